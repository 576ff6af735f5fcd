package inventory_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// history draws events of one item that may come in any order: everything but
// settings, counts of one moment and the available basis, for which the order of
// the log decides, and reversals, which must come after what they reverse.
func history(t *rapid.T) []Event {
	locations := []Location{"DC1", "DC2", "DC3"}
	sources := []Source{"3pl", "erp", "wms"}
	day, _ := clock("00:00")
	n := rapid.IntRange(1, 14).Draw(t, "events")
	evs := make([]Event, 0, n)
	for i := range n {
		pick := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(t, label) }
		location := locations[pick("location", len(locations))]
		q := Quantity(pick("quantity", 5)+1) * One
		ev := Event{
			Key: scenarioKey, Source: sources[pick("source", len(sources))], OccurredBasis: BasisDocument,
			OccurredAt: day + Instant(pick("minute", 40))*60_000,
		}
		order := Ref{Issuer: "shop", Type: "order", Number: strconv.Itoa(pick("order", 3))}
		po := Ref{Issuer: "buyer", Type: "purchase_order", Number: strconv.Itoa(pick("po", 2))}
		switch pick("kind", 12) {
		case 0:
			typ := []MovementType{Damage, Hold, ScrapStock, OpeningBalance, ReturnReceipt, Release, ShortPick}[pick("type", 7)]
			ev.Kind, ev.Movement = KindMovement, &Movement{Type: typ, Location: location, Quantity: q}
		case 1:
			ev.Kind, ev.Movement = KindMovement, &Movement{
				Type: TransferOut, Location: location, ToLocation: locations[pick("to", len(locations))], Quantity: q,
			}
		case 2, 3:
			includes := [][]Account{nil, {Picked}, {Picked, Damaged}}[pick("includes", 3)]
			c := &Count{
				Location: location, Basis: Physical, Includes: includes, Covers: []Account{OnHand},
				Balances: []StateBalance{{OnHand, q * 3}},
				// no two counts of one moment
				AsOf: day + Instant(pick("minute", 40))*60_000 + Instant(i) + 1, AsOfBasis: BasisDocument,
			}
			if pick("damaged", 3) == 0 {
				c.Covers = append(c.Covers, Damaged)
				c.Balances = append(c.Balances, StateBalance{Damaged, q})
			}
			ev.Kind, ev.Count = KindCount, c
		case 4, 5, 6:
			stage := []Stage{Ordered, Ordered, Cancelled, Allocated}[pick("stage", 4)]
			n := pick("due", 2)
			ev.Kind, ev.Refs = KindDemand, []Ref{order}
			// Terms are the order's own: two origins that disagree on them would leave
			// it to the log.
			ev.Demand = &Demand{Stage: stage, Location: location, Quantity: q}
			if order.Number == "1" {
				ev.Demand.Due, ev.Demand.Channel, ev.Demand.Movable = scenarioDay+3, "web", true
			}
			if n == 0 {
				ev.Refs = append(ev.Refs, Ref{Issuer: "erp", Type: "order", Number: "5" + order.Number})
			}
		case 7, 8, 9:
			typ := []MovementType{Pick, Ship, Ship, Unpick, ShortPick}[pick("type", 5)]
			ev.Kind, ev.Refs = KindMovement, []Ref{order}
			ev.Movement = &Movement{Type: typ, Location: location, Quantity: q}
			if typ == Ship {
				ev.Movement.FromState = []Account{OnHand, OnHand, Picked, Damaged, Quarantine}[pick("out of", 5)]
			}
			if pick("by erp number", 3) == 0 {
				ev.Refs[0] = Ref{Issuer: "erp", Type: "order", Number: "5" + order.Number}
			}
		case 10:
			ev.Kind, ev.Refs = KindMovement, []Ref{po}
			ev.Movement = &Movement{Type: Receipt, Location: location, Quantity: q, ToState: []Account{OnHand, OnHand, Quarantine, Damaged}[pick("into", 4)]}
		case 11:
			stage := []Stage{Ordered, Expected, Closed}[pick("stage", 3)]
			ev.Kind, ev.Refs = KindSupply, []Ref{po}
			ev.Supply = &Supply{Stage: stage, Location: location, Quantity: q, Due: scenarioDay + Day(pick("due", 4))}
		}
		if ev.Supply != nil && ev.Supply.Stage != Ordered || ev.Movement != nil && ev.Movement.Type == Receipt {
			asn := Ref{Issuer: "vendor", Type: "asn", Number: "A"}
			switch pick("shares", 6) {
			case 0:
				ev.Refs = append(ev.Refs, asn)
			case 1:
				ev.Refs = []Ref{asn}
			case 2:
				ev.Refs = []Ref{{Issuer: "buyer", Type: "purchase_order", Number: "1"}, {Issuer: "buyer", Type: "purchase_order", Number: "0"}}
			}
		}
		ev.Document = Document{Type: documentType(&ev), Number: strconv.Itoa(pick("document", n)), Revision: strconv.Itoa(i)}
		if i == 0 {
			ev.Document.Revision = "" // a first one, as most are
		}
		if ev.Kind == KindCount {
			ev.Document.Number = "alone " + strconv.Itoa(i)
		}
		ev.ID = testID(string(ev.Source), ev.Document.Type, ev.Document.Number, ev.Document.Revision)
		evs = append(evs, ev)
	}
	return evs
}

// documentType is that of an event: a corrected document is of the type of the first.
func documentType(ev *Event) string {
	switch {
	case ev.Movement != nil:
		return string(ev.Movement.Type)
	case ev.Demand != nil:
		return "order " + string(ev.Demand.Stage)
	case ev.Supply != nil:
		return "purchase " + string(ev.Supply.Stage)
	}
	return string(ev.Kind)
}

// Any permutation of a history, with any of it sent twice, gives the same
// positions, and the accounts sum to zero (Invariant 3).
func TestAnyOrderGivesTheSamePosition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := Policy{}
		if rapid.Bool().Draw(rt, "one origin") {
			policy.Origins = []Source{"3pl"}
		}
		evs := history(rt)
		again := rapid.SliceOfN(rapid.IntRange(0, len(evs)-1), 0, 4).Draw(rt, "again")
		other := slices.Clone(evs)
		for _, i := range again {
			other = append(other, evs[i])
		}
		other = rapid.Permutation(other).Draw(rt, "order")

		a, b := replay(t, policy, evs, false), replay(t, policy, other, true)
		if x, y := describe(a.positions()), describe(b.positions()); x != y {
			rt.Fatalf("in order:\n%s\npermuted:\n%s\n%s", x, y, tell(evs, other))
		}
		if x, y := outsides(a.ledger), outsides(b.ledger); x != y {
			rt.Fatalf("outside accounts: %v in order, %v permuted\n%s", x, y, tell(evs, other))
		}
	})
}

// A corrected document counts as its latest revision says, whatever lines the others
// were about.
func TestOnlyTheLatestRevisionCounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		evs := history(rt)
		last := map[string]int{}
		for i := range evs {
			if refs := evs[i].Refs; len(refs) > 0 { // documents that join lines join them for good
				evs[i].Refs = []Ref{{Issuer: "shop", Type: refs[0].Type, Number: strings.TrimPrefix(refs[0].Number, "5")}}
			}
			last[fmt.Sprint(evs[i].Source, evs[i].Document.Type, evs[i].Document.Number)] = i
		}
		var latest []Event
		for _, i := range slices.Sorted(maps.Values(last)) {
			latest = append(latest, evs[i])
		}
		a, b := replay(t, Policy{}, evs, false), replay(t, Policy{}, latest, false)
		if x, y := describe(a.positions()), describe(b.positions()); x != y {
			rt.Fatalf("with all revisions:\n%s\nwith the latest alone:\n%s\n%s", x, y, tell(evs, latest))
		}
	})
}

// A ledger that is restored from its pieces after every event writes the same
// pieces as one that is kept, and one that is stored only once at the end.
func TestRestoreGivesTheSameState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		evs := history(rt)
		kept, restored := replay(t, Policy{}, evs, false), replay(t, Policy{}, evs, true)
		kept.mem.store(t, kept.ledger)
		for k, p := range kept.mem.pieces {
			if normal(p) != normal(restored.mem.pieces[k]) {
				rt.Fatalf("piece %s:\nkept     %+v\nrestored %+v", k, p, restored.mem.pieces[k])
			}
		}
		if len(kept.mem.pieces) != len(restored.mem.pieces) {
			rt.Fatalf("%d pieces kept, %d restored", len(kept.mem.pieces), len(restored.mem.pieces))
		}
	})
}

// normal makes empty and missing lists the same, as an encoding does.
func normal(p Piece) string {
	s := fmt.Sprintf("%s %v %v %v %v", p.Kind, p.N, p.IDs, p.Latest, p.Journal)
	if p.Head != nil {
		s += fmt.Sprintf("%+v", *p.Head)
	}
	if p.Location != nil {
		s += fmt.Sprintf("%+v", *p.Location)
	}
	if p.Line != nil {
		n := *p.Line
		if n.Held != nil {
			s += fmt.Sprintf("%+v", *n.Held)
			n.Held = nil
		}
		s += fmt.Sprintf("%+v", n)
	}
	if p.Supply != nil {
		s += fmt.Sprintf("%+v", *p.Supply)
	}
	if p.Ref != nil {
		s += fmt.Sprintf("%+v", *p.Ref)
	}
	if p.View != nil {
		v := *p.View
		if v.Variance != nil {
			s += fmt.Sprintf("%+v", *v.Variance)
			v.Variance = nil
		}
		s += fmt.Sprintf("%+v", v)
	}
	if k := p.Kept; k != nil {
		s += fmt.Sprintln(k.Event.ID, k.Code, k.Detail, k.At, k.Lineage, k.Offset, k.Until)
	}
	return s
}

func replay(t testing.TB, p Policy, evs []Event, reload bool) *log {
	g := newLog(t, scenarioKey, reload)
	g.policy = p
	for i := range evs {
		if _, err := g.append(evs[i]); err != nil {
			t.Fatalf("%s: %v", tell(evs[i:i+1]), err)
		}
	}
	return g
}

func describe(ps []Position) (s string) {
	for _, p := range ps {
		if p.States == [NumStates]Quantity{} && len(p.Reserved)+len(p.Supply) == 0 {
			continue // known by one order of events, not by another
		}
		s += fmt.Sprintf("%s %v reserved %v supply %v\n", p.Location, p.States, p.Reserved, p.Supply)
	}
	return s
}

func outsides(l *Ledger) (s string) {
	for a := Supplier; int(a) < NumAccounts; a++ {
		s += fmt.Sprintf("%v %v ", a, l.Outside(a))
	}
	return s
}

func tell(runs ...[]Event) (s string) {
	for _, evs := range runs {
		for _, ev := range evs {
			s += fmt.Sprintf("%s %s@%d %s/%s refs %v", ev.Kind, ev.Source, ev.OccurredAt%86_400_000/60_000, ev.Document.Number, ev.Document.Revision, ev.Refs)
			switch {
			case ev.Movement != nil:
				s += fmt.Sprintf(" %+v", *ev.Movement)
			case ev.Count != nil:
				s += fmt.Sprintf(" %+v", *ev.Count)
			case ev.Demand != nil:
				s += fmt.Sprintf(" %+v", *ev.Demand)
			case ev.Supply != nil:
				s += fmt.Sprintf(" %+v", *ev.Supply)
			}
			s += "\n"
		}
		s += "--\n"
	}
	return s
}
