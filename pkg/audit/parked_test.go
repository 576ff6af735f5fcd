package audit_test

import (
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

func ask(number, id string, a inventory.Action, q inventory.Quantity, until inventory.Instant) *inventory.Event {
	e := movement(bolt, number, inventory.Movement{})
	e.Kind, e.Movement, e.Source, e.Document.Type = inventory.KindReservation, nil, "api", "request"
	e.ID = event.EventID("api", e.Document)
	e.Reservation = &inventory.Reservation{ID: id, Action: a, Partner: "web", ReplyTo: -1}
	if a == inventory.Try {
		e.Reservation.ExpiresAt = until
		e.Reservation.Lines = []inventory.ReservationLine{{Line: "1", Location: "DC1", Quantity: q}}
	}
	return e
}

func reversal(number string, of *inventory.Event, q inventory.Quantity) *inventory.Event {
	e := movement(bolt, number, inventory.Movement{Type: inventory.Reversal, Location: "DC1", FromState: inventory.OnHand, ToState: inventory.Supplier, Quantity: q, Reverses: of.ID})
	return e
}

func word(n string, kind inventory.ReleaseKind, of string) *inventory.Event {
	e := movement(bolt, n, inventory.Movement{})
	e.Source, e.Kind, e.Movement = "console", inventory.KindApproval, nil
	e.ID = event.EventID("console", e.Document)
	e.Approval = &inventory.Approval{Event: of, Release: kind, Author: "ann", Reason: "cleared"}
	return e
}

func received(n string, q inventory.Quantity) *inventory.Event {
	return movement(bolt, n, inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: q})
}

func report(t *testing.T, w *world) {
	t.Helper()
	w.flush()
	w.project()
	r := run(t, w)
	for i, o := range w.outcomes {
		t.Logf("%d: off %d %s %s v%d %v lapsed %d at %d", i, o.Offset, o.EventKind, o.Kind, o.Version, o.Codes, len(o.Lapsed), o.RecordedAt)
	}
	if f := r.First(); f != nil {
		t.Errorf("first %+v (%d bad)", *f, r.Bad)
	}
}

func TestLapsesByDuplicates(t *testing.T) {
	w := newWorld()
	r1 := received("R1", 10*one)
	w.send(r1, ask("t1", "A", inventory.Try, 4*one, start+100), ask("t2", "B", inventory.Try, 4*one, start+200), ask("t3", "C", inventory.Try, one, start+300))
	w.late = 150
	w.send(r1)
	w.late = 250
	w.send(ask("t4", "D", inventory.Try, 40*one, start+10000))
	w.late = 350
	other := received("R1", 11*one)
	w.send(other)
	report(t, w)
}

func TestParksAndAlso(t *testing.T) {
	w := newWorld()
	r1, r2, r3 := received("R1", 4*one), received("R2", 4*one), received("R3", 4*one)
	w.send(received("R0", 10*one), reversal("V1", r1, 4*one), reversal("V2", r2, 4*one), r1, reversal("V3", r3, 4*one), received("R5", one), word("A1", inventory.ReleaseDrop, reversal("V2", r2, 1).ID), received("R6", one))
	report(t, w)
}

func TestFreeze(t *testing.T) {
	w := newWorld()
	w.policy.Limits.Parked = 1
	r1, r2 := received("R1", 4*one), received("R2", 4*one)
	w.send(received("R0", 10*one), reversal("V1", r1, one), reversal("V2", r2, one), received("R3", one))
	bad := received("X1", -one)
	w.send(bad)
	w.late = 5000
	w.send(received("R4", one), ask("t1", "A", inventory.Try, one, start+100000))
	frozen := w.outcomes[2:]
	w.send(word("A1", inventory.ReleaseDrop, reversal("V1", r1, 1).ID))
	evs := map[string]*inventory.Event{}
	for _, e := range []*inventory.Event{reversal("V2", r2, one), received("R3", one), received("R4", one)} {
		evs[e.ID] = e
	}
	for _, o := range frozen {
		if e := evs[o.EventID]; e != nil && o.Kind == inventory.Parked {
			w.copyOf = o
			w.send(e)
			w.copyOf = nil
		}
	}
	w.send(word("A2", inventory.ReleaseUnfreeze, ""))
	report(t, w)
}
