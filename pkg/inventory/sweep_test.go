package inventory_test

import (
	"fmt"
	"reflect"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func lineAt(n int, kind Kind, stage Stage, q int, number string, t Instant) Event {
	ev := movedAt(n, Receipt, 1, t)
	ev.ID, ev.Kind, ev.Movement = testID(string(kind), string(stage), fmt.Sprint(n)), kind, nil
	ev.Document = Document{Type: string(kind) + string(stage), Number: fmt.Sprint(n)}
	if kind == KindDemand {
		ev.Refs = []Ref{{Issuer: "shop", Type: "order", Number: number}, {Issuer: "erp", Type: "order", Number: "5" + number}}
		ev.Demand = &Demand{Stage: stage, Location: "DC1", Quantity: units(q)}
	} else {
		ev.Refs = []Ref{{Issuer: "buyer", Type: "purchase_order", Number: number}, {Issuer: "erp", Type: "transfer", Number: "7" + number}}
		ev.Supply = &Supply{Stage: stage, Location: "DC1", Quantity: units(q), Due: scenarioDay}
	}
	return ev
}

// Lines that are closed and older than the window go, with the refs that name them,
// a few at each event; open ones stay, whatever their age. What goes when is the
// same however often the ledger is restored.
func TestClosedLinesAreSwept(t *testing.T) {
	start, _ := clock("00:00")
	var evs []Event
	for i := range 40 {
		number, at := fmt.Sprint(i), start+Instant(i)*hour
		evs = append(evs, lineAt(i, KindDemand, Ordered, 3, number, at), lineAt(i, KindSupply, Ordered, 4, number, at))
		if i%4 != 0 { // every fourth stays open
			evs = append(evs, lineAt(i, KindDemand, Cancelled, 3, number, at), lineAt(i, KindSupply, Closed, 4, number, at))
		}
		if i%4 == 3 { // and every fourth is picked and never shipped
			pick := movedAt(1000+i, Pick, 1, at)
			pick.Refs = []Ref{{Issuer: "shop", Type: "order", Number: number}}
			evs = append(evs, pick)
		}
	}
	for i := range 200 { // days go by
		evs = append(evs, movedAt(5000+i, Receipt, 1, start+Instant(i)*6*hour+3*days))
	}
	kept, restored := newLog(t, scenarioKey, false), newLog(t, scenarioKey, true)
	most := 0
	for i, ev := range evs {
		if _, err := kept.append(ev); err != nil {
			t.Fatal(err)
		}
		before := len(restored.mem.pieces)
		if _, err := restored.append(ev); err != nil {
			t.Fatal(err)
		}
		most = max(most, before-len(restored.mem.pieces))
		if i%37 == 0 || i > 300 {
			kept.mem.store(t, kept.ledger)
			if !reflect.DeepEqual(kept.mem.Head(), restored.mem.Head()) || len(kept.mem.pieces) != len(restored.mem.pieces) {
				t.Fatalf("after event %d:\nkept     %+v\nrestored %+v", i, kept.mem.Head().Book, restored.mem.Head().Book)
			}
		}
	}
	if got := restored.stored(PieceLine); got != 20 { // open, or picked and not shipped
		t.Errorf("%d lines are left, want 20", got)
	}
	if got := restored.stored(PieceSupply); got != 10 {
		t.Errorf("%d supply lines are left, want 10", got)
	}
	if got := restored.stored(PieceRef); got != 30 {
		t.Errorf("%d refs are left, want 30", got)
	}
	if b := restored.head().Book; b.Lines != 10 || b.Supplies != 10 || b.SweepAt == 0 {
		t.Errorf("the book says %+v", b)
	}
	if most > 8+1 {
		t.Errorf("an event took %d pieces away", most)
	}
	if p, _ := restored.ledger.Position("DC1"); len(p.Reserved) != 1 || p.Reserved[0].Quantity != 30*One || p.Supply[0].Quantity != 40*One {
		t.Errorf("open claims and supply are %v, %v", p.Reserved, p.Supply)
	}
}

// When no line is left no pass is due any more.
func TestSweepEnds(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	start, _ := clock("00:00")
	for i := range 6 {
		for _, ev := range []Event{lineAt(i, KindDemand, Ordered, 3, fmt.Sprint(i), start), lineAt(i, KindDemand, Cancelled, 3, fmt.Sprint(i), start)} {
			if _, err := g.append(ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 20 {
		if _, err := g.append(movedAt(100+i, Receipt, 1, start+20*days+Instant(i))); err != nil {
			t.Fatal(err)
		}
	}
	if got, b := g.stored(PieceLine)+g.stored(PieceRef), g.head().Book; got != 0 || b != (Book{}) {
		t.Errorf("%d pieces are left, the book says %+v", got, b)
	}
}

// Once a line is gone, what occurred before the window parks: another source's copy of
// a movement would move it again (EXACTLY-ONCE §5).
func TestCopiesOfSweptLinesPark(t *testing.T) {
	for _, kind := range []MovementType{Ship, Receipt} {
		g := newLog(t, scenarioKey, true)
		start, _ := clock("09:00")
		moved := func(source Source, n int) Event {
			ev := movedAt(n, kind, 3, start)
			ev.ID, ev.Source = testID(string(source), "copy"), source
			ev.Refs = []Ref{{Issuer: "shop", Type: "order", Number: "1001"}}
			if kind == Receipt {
				ev.Refs[0] = Ref{Issuer: "buyer", Type: "purchase_order", Number: "77"}
			}
			return ev
		}
		if _, err := g.append(moved("wms", 1)); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			if _, err := g.append(movedAt(10+i, Damage, 1, start+Instant(15+i)*days)); err != nil {
				t.Fatal(err)
			}
		}
		if n := g.stored(PieceLine) + g.stored(PieceSupply); n != 0 {
			t.Fatalf("%d lines are left", n)
		}
		before, _ := g.ledger.Position("DC1")
		ev := moved("erp", 2)
		ev.RecordedAt = start + 20*days
		out, err := g.append(ev)
		if err != nil || out.Kind != Parked || len(out.Codes) != 1 || out.Codes[0] != CodeBeforeWindow || len(out.Moves) > 0 {
			t.Errorf("%s: a copy became %s %v with %v, %v", kind, out.Kind, out.Codes, out.Moves, err)
		}
		if p, _ := g.ledger.Position("DC1"); p.States != before.States {
			t.Errorf("%s: it changed %v to %v", kind, before.States, p.States)
		}
	}
}

// A reservation goes as a whole: while one of its lines claims something, an order
// that takes its place finds all of them, and what left for them.
func TestReservationsInUseAreNotSwept(t *testing.T) {
	for first := range 2 { // the line that is served
		g := newLog(t, scenarioKey, true)
		start, _ := clock("09:00")
		n := 0
		send := func(ev Event, at Instant) {
			t.Helper()
			n++
			ev.Key, ev.Source, ev.OccurredBasis, ev.OccurredAt, ev.RecordedAt = scenarioKey, "shop", BasisDocument, at, at
			ev.ID, ev.Document = testID("of", fmt.Sprint(n)), Document{Type: "of", Number: fmt.Sprint(n)}
			if _, err := g.append(ev); err != nil {
				t.Fatal(err)
			}
		}
		r := Reservation{ID: "R1", Action: Try, Partner: "web", ReplyTo: -1, ExpiresAt: start + 60_000}
		for _, name := range []string{"A", "B"} {
			r.Lines = append(r.Lines, ReservationLine{Line: name, Location: "DC1", Quantity: units(4)})
		}
		send(Event{Kind: KindMovement, Movement: &Movement{Type: Receipt, Location: "DC1", Quantity: units(10)}}, start)
		send(Event{Kind: KindReservation, Reservation: &r}, start)
		send(Event{Kind: KindReservation, Reservation: &Reservation{ID: "R1", Action: Confirm, Partner: "web", ReplyTo: -1}}, start)
		send(Event{
			Kind: KindMovement, Refs: []Ref{{Type: "reservation", Number: "R1", Line: r.Lines[first].Line}},
			Movement: &Movement{Type: Ship, Location: "DC1", Quantity: units(4)},
		}, start)
		for i := range 5 {
			send(Event{Kind: KindTick}, start+Instant(20+i)*days)
		}
		send(Event{
			Kind: KindDemand, Refs: []Ref{{Issuer: "shop", Type: "order", Number: "1001"}, {Type: "reservation", Number: "R1"}},
			Demand: &Demand{Stage: Ordered, Location: "DC1", Quantity: units(8)},
		}, start+30*days)
		if p, _ := g.ledger.Position("DC1"); p.States[OnHand] != units(6) || reservedAt(&p) != units(4) {
			t.Errorf("line %d served: on hand %v, reserved %v", first, p.States[OnHand], reservedAt(&p))
		}
		checkBook(t, g, "")
	}
}
