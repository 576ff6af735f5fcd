package inventory_test

import (
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// reservedFacts draws a reservation of two lines and what may come after its try in
// any order: its cancellation, orders that name it as a whole or by line, and what
// leaves under the name of a line or of an order. The try comes first.
func reservedFacts(t *rapid.T) []Event {
	n := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(t, label) }
	now, _ := clock("10:00")
	lines := []string{"A", "B"}
	byLine := n("by line", 2) == 1
	evs := []Event{{Kind: KindReservation, Source: "requests", Reservation: &Reservation{
		ID: "R1", Action: Try, Partner: "web", ReplyTo: -1, ExpiresAt: now + 3_600_000,
	}}}
	for _, name := range lines {
		r := evs[0].Reservation
		r.Lines = append(r.Lines, ReservationLine{Line: name, Quantity: units(n("quantity", 5) + 1), Location: "DC1"})
	}
	if n("cancel", 2) == 0 {
		evs = append(evs, Event{Kind: KindReservation, Source: "requests", Reservation: &Reservation{ID: "R1", Action: Cancel, Partner: "web", ReplyTo: -1}})
	}
	held := func(line string) Ref { return Ref{Issuer: "web", Type: "reservation", Number: "R1", Line: line} }
	order := func(i int) Ref { return Ref{Issuer: "shop", Type: "order", Number: strconv.Itoa(1000 + i)} }
	orders := 1
	if byLine {
		orders = 2
	}
	for i := range orders {
		refs := []Ref{order(i), held("")}
		if byLine {
			refs[1] = held(lines[i])
		}
		for range n("documents", 3) {
			evs = append(evs, Event{
				Kind: KindDemand, Source: "shop", Refs: refs,
				Demand: &Demand{Stage: Ordered, Location: "DC1", Quantity: units(n("ordered", 9))},
			})
		}
	}
	for range n("movements", 6) {
		i := n("order", orders)
		refs := []Ref{order(i)}
		switch by := n("by", 3); {
		case by == 0 && byLine:
			refs = []Ref{held(lines[i])}
		case by == 0:
			refs = []Ref{held(lines[n("line", 2)])}
		}
		evs = append(evs, Event{Kind: KindMovement, Source: []Source{"wms", "erp"}[n("source", 2)], Refs: refs, Movement: &Movement{
			Type: []MovementType{Pick, Ship, Ship, ShortPick}[n("type", 4)], Location: []Location{"DC1", "DC1", "DC2"}[n("at", 3)],
			Quantity: units(n("quantity", 4) + 1),
		}})
	}
	for i := range evs {
		ev := &evs[i]
		ev.Key, ev.OccurredAt, ev.RecordedAt, ev.OccurredBasis = scenarioKey, now, now, BasisDocument
		ev.Document = Document{Type: string(ev.Kind), Number: strconv.Itoa(i)}
		ev.ID = testID(string(ev.Source), ev.Document.Type, ev.Document.Number)
	}
	return evs
}

// After its try it does not matter in which order a reservation's cancellation, its
// orders and what leaves for them come.
func TestFactsOfReservationsCommute(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := Policy{}
		if rapid.Bool().Draw(rt, "short ends the claim") {
			policy.Lines.Short = ShortCancel
		}
		evs := reservedFacts(rt)
		opening := movedAt(9000, OpeningBalance, 1000, evs[0].OccurredAt)
		opening.RecordedAt = evs[0].RecordedAt
		first := []Event{opening, evs[0]}
		other := rapid.Permutation(evs[1:]).Draw(rt, "order")
		a := replay(t, policy, append(slices.Clone(first), evs[1:]...), false)
		b := replay(t, policy, append(slices.Clone(first), other...), true)
		if x, y := describe(a.positions()), describe(b.positions()); x != y {
			rt.Fatalf("in order:\n%s\npermuted:\n%s\n%s", x, y, tell(evs, other))
		}
		checkBook(rt, a, tell(evs))
		checkBook(rt, b, tell(other))
	})
}
