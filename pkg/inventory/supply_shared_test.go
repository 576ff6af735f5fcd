package inventory_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// sharedHistory draws documents of several orders and of advices over them, corrected
// ones as well: some name an order, some an advice, some both or two orders.
func sharedHistory(t *rapid.T) []Event {
	day, _ := clock("00:00")
	n := rapid.IntRange(1, 12).Draw(t, "events")
	evs := make([]Event, 0, n)
	for i := range n {
		pick := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(t, label) }
		location := []Location{"DC1", "DC2"}[pick("location", 2)]
		q := Quantity(pick("quantity", 9)+1) * One
		po := func() Ref {
			return Ref{Issuer: "buyer", Type: "purchase_order", Number: strconv.Itoa(pick("po", 4))}
		}
		asn := Ref{Issuer: "vendor", Type: "asn", Number: []string{"A", "B"}[pick("asn", 2)]}
		ev := Event{
			Key: scenarioKey, Source: []Source{"3pl", "wms"}[pick("source", 2)], OccurredBasis: BasisDocument,
			OccurredAt: day + Instant(pick("minute", 20))*60_000, Refs: []Ref{po()},
		}
		kind := pick("kind", 8)
		switch kind {
		case 0, 1, 2:
			ev.Kind, ev.Supply = KindSupply, &Supply{Stage: Ordered, Location: location, Quantity: q, Due: scenarioDay + Day(pick("due", 3))}
		case 3:
			ev.Kind, ev.Supply = KindSupply, &Supply{Stage: Expected, Location: location, Quantity: q, Due: scenarioDay + Day(pick("due", 3))}
		case 4:
			ev.Kind, ev.Supply = KindSupply, &Supply{Stage: Closed, Location: location, Quantity: q}
		default:
			ev.Kind = KindMovement
			ev.Movement = &Movement{Type: Receipt, Location: location, Quantity: q, ToState: []Account{OnHand, OnHand, Quarantine}[pick("into", 3)]}
		}
		if ev.Refs[0].Number == "2" && pick("alias", 2) == 0 {
			ev.Refs = append(ev.Refs, Ref{Issuer: "anybody", Type: "purchase_order", Number: "9"})
			if pick("swap", 2) == 0 {
				slices.Reverse(ev.Refs)
			}
		} else if kind >= 3 {
			switch pick("shares", 8) {
			case 0, 1:
				ev.Refs = append(ev.Refs, asn)
				if pick("both", 4) == 0 {
					ev.Refs = append(ev.Refs, Ref{Issuer: "vendor", Type: "asn", Number: "C"})
				}
			case 2:
				ev.Refs = []Ref{asn}
			case 4: // by two names of a load
				ev.Refs = []Ref{asn, {Issuer: "carrier", Type: "shipment", Number: []string{"S", "T"}[pick("load", 2)]}}
				if pick("swap", 2) == 0 {
					slices.Reverse(ev.Refs)
				}
			case 5:
				ev.Refs = []Ref{{Issuer: "carrier", Type: "shipment", Number: []string{"S", "T"}[pick("load", 2)]}}
			case 6:
				if two := po(); two != ev.Refs[0] {
					ev.Refs = append(ev.Refs, two, asn)
				}
			case 3:
				if two := po(); two != ev.Refs[0] {
					ev.Refs = append(ev.Refs, two)
				}
			}
		}
		ev.Document = Document{Type: documentType(&ev), Number: strconv.Itoa(pick("document", n)), Revision: strconv.Itoa(i)}
		ev.ID = testID(string(ev.Source), ev.Document.Type, ev.Document.Number, ev.Document.Revision)
		evs = append(evs, ev)
	}
	return evs
}

// Whatever orders share whatever documents, any permutation of them, with any of it sent
// twice, gives the same positions and the same balances outside.
func TestSharedDocumentsAreRightInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := Policy{}
		if rapid.Bool().Draw(rt, "title at origin") {
			policy.Lanes = []Lane{{Title: TitleOrigin}}
		}
		evs := sharedHistory(rt)
		other := slices.Clone(evs)
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(evs)-1), 0, 3).Draw(rt, "again") {
			other = append(other, evs[i])
		}
		other = rapid.Permutation(other).Draw(rt, "order")

		a, b := replay(t, policy, evs, false), replay(t, policy, other, true)
		samePieces(rt, a, replay(t, policy, evs, true))
		if x, y := describe(a.positions()), describe(b.positions()); x != y {
			rt.Fatalf("in order:\n%s\npermuted:\n%s\n%s", x, y, tell(evs, other))
		}
		if x, y := outsides(a.ledger), outsides(b.ledger); x != y {
			rt.Fatalf("outside accounts: %v in order, %v permuted\n%s", x, y, tell(evs, other))
		}
	})
}

// suppliedAt is a document of a supply line at DC1, by its refs; what was received is a movement.
func suppliedAt(n int, stage Stage, q int, at Instant, refs ...Ref) Event {
	ev := lineAt(n, KindSupply, stage, q, "", at)
	if ev.Refs = refs; stage == StageReceived {
		ev.Kind, ev.Supply, ev.Movement = KindMovement, nil, &Movement{Type: Receipt, Location: "DC1", Quantity: units(q)}
	}
	return ev
}

// What several orders share is found as long as one of them is kept, and is forgotten
// with the last.
func TestSharedRefsGoWithTheirLastOrder(t *testing.T) {
	for _, goes := range []string{"77", "78"} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprint(goes, " goes first, receipts follow ", again), func(t *testing.T) { sharedRefsGo(t, goes, again) })
		}
	}
}

func sharedRefsGo(t *testing.T, goes string, again bool) {
	start, _ := clock("00:00")
	po := func(number string) Ref { return Ref{Issuer: "buyer", Type: "purchase_order", Number: number} }
	asn, load := Ref{Issuer: "vendor", Type: "asn", Number: "A"}, Ref{Issuer: "carrier", Type: "shipment", Number: "S"}
	stays := map[string]string{"77": "78", "78": "77"}[goes]
	at, n := start, 0
	g := newLog(t, scenarioKey, true)
	say := func(stage Stage, q int, refs ...Ref) {
		n++
		at += hour
		if _, err := g.append(suppliedAt(n, stage, q, at, refs...)); err != nil {
			t.Fatal(err)
		}
	}
	daysGoBy := func() {
		for range 40 {
			n++
			at += 24 * hour
			if _, err := g.append(movedAt(n, Damage, 1, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, number := range []string{goes, stays} {
		say(Ordered, 10, po(number))
		say(Expected, 10, po(number), asn, load)
	}
	say(StageReceived, 2, po("77"), po("78"), asn, load)
	say(StageReceived, 1, asn, Ref{Issuer: "carrier", Type: "shipment", Number: "T"}) // another name of it
	say(Closed, 10, po(goes))
	say(Expected, 10, po("79"), load) // it stays open, and is one of the second list only
	daysGoBy()
	if got := g.stored(PieceSupply); got != 2 {
		t.Fatalf("%d supply lines are left, want those that are open", got)
	}
	open := supplyAt(g, "DC1")
	if again {
		say(StageReceived, 4, asn)
		if got := open - supplyAt(g, "DC1"); got != 4*One {
			t.Errorf("a receipt by the advice took %v of what is to come, want 4", got)
		}
		say(StageReceived, 1, load)
		if got := open - supplyAt(g, "DC1"); got != 5*One {
			t.Errorf("a receipt by the load took %v of what is to come, want 5", got)
		}
	}
	say(Closed, 10, po(stays))
	say(Closed, 10, po("79"))
	daysGoBy()
	daysGoBy()
	if lines, refs := g.stored(PieceSupply), g.stored(PieceRef); lines != 0 || refs != 0 {
		t.Errorf("%d supply lines and %d refs are left", lines, refs)
	}
}

// Of documents that are spread together the earliest is of the first order, whatever its
// number.
func TestTheEarliestDocumentIsOfTheFirstOrder(t *testing.T) {
	at, _ := clock("00:00")
	first, second := Ref{Issuer: "buyer", Type: "purchase_order", Number: "77"}, Ref{Issuer: "buyer", Type: "purchase_order", Number: "78"}
	asn := Ref{Issuer: "vendor", Type: "asn", Number: "A"}
	for _, numbers := range [][2]int{{8, 9}, {9, 8}} {
		g := newLog(t, scenarioKey, true)
		say := func(due Day, ev Event) {
			if ev.Supply != nil {
				ev.Supply.Due = scenarioDay + due
			}
			if _, err := g.append(ev); err != nil {
				t.Fatal(err)
			}
		}
		say(5, suppliedAt(1, Ordered, 10, at, first))
		say(5, suppliedAt(2, Ordered, 10, at, second))
		say(1, suppliedAt(numbers[0], Expected, 8, at+hour, first, second, asn))
		say(2, suppliedAt(numbers[1], Expected, 8, at+2*hour, first, second, asn))
		say(0, suppliedAt(3, StageReceived, 4, at+3*hour, first)) // takes of what is due first of its order
		p, _ := g.ledger.Position("DC1")
		if want := []Bucket{{Due: scenarioDay + 1, Quantity: 4 * One}, {Due: scenarioDay + 2, Quantity: 8 * One}, {Due: scenarioDay + 5, Quantity: 4 * One}}; !slices.Equal(p.Supply, want) {
			t.Errorf("documents %v: %v is to come, want %v", numbers, p.Supply, want)
		}
	}
}

// A document that more orders share than one may is refused, what was shared before stays
// as it is, and the list of its orders does not grow on.
func TestADocumentIsOfAtMostSoManyOrders(t *testing.T) {
	const most = 64
	at, _ := clock("00:00")
	g := newLog(t, scenarioKey, true)
	asn, n := Ref{Issuer: "vendor", Type: "asn", Number: "A"}, 0
	say := func(stage Stage, q int, refs ...Ref) error {
		n++
		_, err := g.append(suppliedAt(n, stage, q, at, refs...))
		return err
	}
	order := func(number int) {
		po := Ref{Issuer: "buyer", Type: "purchase_order", Number: strconv.Itoa(number)}
		for _, err := range []error{say(Ordered, 1, po), say(Expected, 1, po, asn)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range most {
		order(i + 1)
	}
	if err := say(StageReceived, 10, asn); err != nil || supplyAt(g, "DC1") != (most-10)*One {
		t.Fatalf("of %d orders: %v, %v is to come", most, err, supplyAt(g, "DC1"))
	}
	order(0) // the first of them all
	if err := say(StageReceived, 10, asn); !strings.Contains(fmt.Sprint(err), string(FaultTooMany)) {
		t.Errorf("of %d orders: %v", most+1, err)
	}
	if got := supplyAt(g, "DC1"); got != (most-9)*One {
		t.Errorf("%v is to come, want what was and the new order", got)
	}
	if err := say(Closed, 1, Ref{Issuer: "buyer", Type: "purchase_order", Number: "0"}); err != nil || supplyAt(g, "DC1") != (most-10)*One {
		t.Errorf("%v: %v is to come, want what was: the new order has nothing of what was shared", err, supplyAt(g, "DC1"))
	}
	for i := range most {
		order(100 + i)
	}
	if err := say(StageReceived, 10, asn); !strings.Contains(fmt.Sprint(err), string(FaultTooMany)) {
		t.Errorf("of %d orders: %v", 2*most+1, err)
	}
	for k, p := range g.mem.pieces {
		if p.Kind == PieceRef && len(p.Ref.Lines) > most+1 {
			t.Errorf("piece %v has %d lines", k, len(p.Ref.Lines))
		}
	}
}

// A shipment has at most so many names; one more that comes is refused, and those that it
// has go on leading to it.
func TestAShipmentHasAtMostSoManyNames(t *testing.T) {
	const most = 64
	at, _ := clock("00:00")
	g := newLog(t, scenarioKey, true)
	n := 0
	say := func(stage Stage, q int, refs ...Ref) error {
		n++
		_, err := g.append(suppliedAt(n, stage, q, at, refs...))
		return err
	}
	load := func(i int) Ref { return Ref{Issuer: "carrier", Type: "shipment", Number: strconv.Itoa(i)} }
	if err := say(Expected, 200, load(0)); err != nil {
		t.Fatal(err)
	}
	for i := range most - 1 {
		if err := say(StageReceived, 1, load(i), load(i+1)); err != nil {
			t.Fatalf("name %d: %v", i+2, err)
		}
	}
	if err := say(StageReceived, 1, load(most-1), load(most)); !strings.Contains(fmt.Sprint(err), string(FaultTooMany)) {
		t.Errorf("name %d: %v", most+1, err)
	}
	if err := say(StageReceived, 1, load(most-1)); err != nil || supplyAt(g, "DC1") != (200-most)*One {
		t.Errorf("%v: %v is to come", err, supplyAt(g, "DC1"))
	}
}

// frugal counts the supply lines that are read.
type frugal struct {
	*memory
	read map[string]bool
}

func (m *frugal) SupplyLine(id string) *SupplyLine {
	m.read[id] = true
	return m.memory.SupplyLine(id)
}

// However many orders hang together through the documents they share, an event reads a
// bounded number of them.
func TestAChainOfSharedDocumentsIsBounded(t *testing.T) {
	const orders, most = 300, 256
	at, _ := clock("00:00")
	g := newLog(t, scenarioKey, true)
	n := 0
	event := func(stage Stage, q int, refs ...Ref) Event {
		n++
		return suppliedAt(n, stage, q, at, refs...)
	}
	po := func(i int) Ref { return Ref{Issuer: "buyer", Type: "purchase_order", Number: strconv.Itoa(i)} }
	for i := range orders {
		if _, err := g.append(event(Ordered, 10, po(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range orders - 1 { // each receipt is of two orders, and each order of two receipts
		if _, err := g.append(event(StageReceived, 1, po(i), po(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	m := &frugal{g.mem, map[string]bool{}}
	ev := event(StageReceived, 1, po(0), po(1))
	if _, err := NewLedger(scenarioKey, m).Apply(&Policy{}, &ev, At{Lineage: 1, Offset: g.offset}); err != nil {
		t.Fatal(err)
	}
	if len(m.read) < 2 || len(m.read) > most+2 {
		t.Errorf("%d supply lines are read, at most %d are made anew", len(m.read), most)
	}
}

// samePieces says whether a ledger that was kept writes what one writes that was
// restored after every event.
func samePieces(t *rapid.T, kept, restored *log) {
	kept.mem.store(kept.t, kept.ledger)
	for k, p := range kept.mem.pieces {
		if normal(p) != normal(restored.mem.pieces[k]) {
			t.Fatalf("piece %s:\nkept     %+v\nrestored %+v", k, normal(p), normal(restored.mem.pieces[k]))
		}
	}
	if len(kept.mem.pieces) != len(restored.mem.pieces) {
		t.Fatalf("%d pieces kept, %d restored", len(kept.mem.pieces), len(restored.mem.pieces))
	}
}

func supplyAt(g *log, name Location) (sum Quantity) {
	p, _ := g.ledger.Position(name)
	for _, b := range p.Supply {
		sum += b.Quantity
	}
	return sum
}

// Whatever advices over the same orders, loads and orders themselves receipts and closings
// go by, what is to come is what was ordered less what came and what was closed: what one
// document takes, the others leave, and advices add nothing.
func TestSharedDocumentsLeaveEachOtherWhatTheyTake(t *testing.T) {
	day, _ := clock("00:00")
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(rt, label) }
		po := func(n int) Ref { return Ref{Issuer: "buyer", Type: "purchase_order", Number: strconv.Itoa(n)} }
		asn := func(n int) Ref { return Ref{Issuer: "vendor", Type: "asn", Number: string(rune('A' + n))} }
		var evs []Event
		say := func(stage Stage, q int, refs ...Ref) {
			evs = append(evs, suppliedAt(len(evs)+1, stage, q, day+Instant(len(evs))*60_000, refs...))
		}
		var left, came, unadvised int
		orders := pick("orders", 3) + 2
		for i := range orders {
			q := pick("ordered", 9) + 1
			say(Ordered, q, po(i))
			left, unadvised = left+q, unadvised+q
		}
		all := make([]Ref, orders)
		for i := range all {
			all[i] = po(i)
		}
		for range pick("documents", 8) + 1 {
			q := min(left, pick("taken", 9)+1)
			if q == 0 {
				break
			}
			stage := []Stage{StageReceived, StageReceived, StageReceived, Closed, Expected}[pick("stage", 5)]
			refs := slices.Clone(all)
			if n := pick("by", 4); n > 0 {
				refs = append(refs, asn(n))
			}
			if stage == Expected { // it re-dates what was ordered, and adds nothing
				q = min(q, unadvised)
				unadvised, left = unadvised-q, left+q
			}
			if stage == StageReceived {
				came += q
			}
			say(stage, q, refs...)
			left -= q
		}
		g := replay(t, Policy{}, rapid.Permutation(evs).Draw(rt, "order"), true)
		if got := supplyAt(g, "DC1"); got != units(left) {
			rt.Fatalf("%v is to come, want %d\n%s", got, left, tell(evs))
		}
		if p, _ := g.ledger.Position("DC1"); p.States[OnHand] != units(came) {
			rt.Fatalf("%v came, want %d\n%s", p.States[OnHand], came, tell(evs))
		}
	})
}
