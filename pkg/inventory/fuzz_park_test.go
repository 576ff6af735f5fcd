package inventory_test

import (
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// fuzzed is an event and where it stood.
type fuzzed struct {
	ev Event
	at At
}

// fuzzOther makes an event of the kinds that ask, approve or bring time.
func fuzzOther(ev *Event, next func() byte, ids []string) {
	switch next() % 4 {
	case 0:
		ev.Kind = KindTick
		ev.RecordedAt += Instant(next()) * 100
	case 1:
		id := ""
		if len(ids) > 0 && next()%4 > 0 {
			id = ids[int(next())%len(ids)]
		}
		ev.Kind = KindApproval
		ev.Approval = &Approval{Event: id, Release: []ReleaseKind{ReleaseApply, ReleaseDrop, ReleaseUnfreeze, ""}[next()%4], Author: "a"}
	default:
		ev.Kind = KindReservation
		r := &Reservation{
			ID: string([]byte{'r', '0' + next()%3}), Action: []Action{Try, Try, Confirm, Cancel}[next()%4], Partner: "p", Partial: next()%2 == 0,
		}
		if r.Action == Try {
			r.ExpiresAt = 3000 + Instant(next())*20
			for i := range next()%2 + 1 {
				r.Lines = append(r.Lines, ReservationLine{
					Line: string([]byte{'1' + i}), Location: []Location{"", "A", "B"}[next()%3], Quantity: Quantity(next()%5) * One,
				})
			}
		}
		ev.Reservation = r
	}
}

// fuzzReplay plays everything again, restoring the ledger now and then: the state is
// the same, piece by piece, and the head counts what is kept.
func fuzzReplay(t *testing.T, g *log, played []fuzzed) {
	t.Helper()
	h := g.head()
	if h == nil {
		return
	}
	again := newLog(t, scenarioKey, false)
	again.policy = g.policy
	for i, f := range played {
		_, _ = again.appendAt(f.ev, f.at) // judged the first time
		if i%3 == 2 {
			again.reopen()
		}
	}
	again.mem.store(t, again.ledger)
	for k, p := range g.mem.pieces {
		if normal(p) != normal(again.mem.pieces[k]) {
			t.Fatalf("piece %s is\n%s\nand was\n%s", k, normal(again.mem.pieces[k]), normal(p))
		}
	}
	if len(g.mem.pieces) != len(again.mem.pieces) {
		t.Fatalf("%d pieces, and were %d", len(again.mem.pieces), len(g.mem.pieces))
	}
	if p, w := g.stored(PieceParked), g.stored(PieceWaiting); int32(p) != h.Queue.Parked || int32(w) != h.Queue.Held {
		t.Fatalf("%d and %d pieces wait, the head says %+v", p, w, h.Queue)
	}
	if h.Frozen.Since == 0 && h.Frozen != (Frozen{}) || h.Frozen.Count < 0 {
		t.Fatalf("frozen %+v", h.Frozen)
	}
	open := 0
	for _, p := range g.mem.pieces {
		if p.Supply != nil && len(p.Supply.Open) > 0 {
			open++
		}
	}
	if int32(open) != h.Book.Supplies {
		t.Fatalf("%d supply lines are open, the head says %d", open, h.Book.Supplies)
	}
}
