package inventory_test

import (
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// Where not all of a request fits, its lines are served by priority, 0 first, whether
// they name their location or not; of equals the first.
func TestLinesAreServedByPriority(t *testing.T) {
	for _, at := range []Location{"DC1", ""} {
		g := newLog(t, scenarioKey, true)
		now, _ := clock("09:00")
		if _, err := g.append(movedAt(1, OpeningBalance, 10, now)); err != nil {
			t.Fatal(err)
		}
		ev := reserveOp{kind: opTry, ttl: 5, partial: true, lines: []reserveLine{{name: 1, quantity: 6}, {name: 2, quantity: 6}, {name: 3, quantity: 6}}}.event(2, now)
		for i, priority := range []uint8{5, 0, 5} {
			ev.Reservation.Lines[i].Priority, ev.Reservation.Lines[i].Location = priority, at
		}
		out, err := g.append(ev)
		if err != nil || out.Answer.Verdict != Granted {
			t.Fatalf("%v %+v", err, out.Answer)
		}
		got := map[string]Quantity{}
		for _, l := range out.Answer.Lines {
			got[l.Line] += l.Quantity
		}
		if got["A"] != units(4) || got["B"] != units(6) || got["C"] != 0 {
			t.Errorf("at %q: granted %v", at, got)
		}
	}
}
