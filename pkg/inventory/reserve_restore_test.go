package inventory_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// The index of what lapses follows every change as if it were read anew: a ledger that
// is kept, one that is forgotten after every event, and one that is forgotten now and
// then write the same pieces (Invariant 8).
func TestReservationsRestoreTheSame(t *testing.T) {
	op := rapid.Custom(drawReserveOp)
	rapid.Check(t, func(rt *rapid.T) {
		policy := drawReservePolicy(rt).Ledger()
		ops := rapid.SliceOfN(op, 1, 40).Draw(rt, "ops")
		every := rapid.IntRange(2, 7).Draw(rt, "every")
		var tells string
		logs := []*log{newLog(t, scenarioKey, false), newLog(t, scenarioKey, true), newLog(t, scenarioKey, false)}
		now := Instant(1000 * 60_000)
		for i, o := range ops {
			now += Instant(o.later) * 60_000
			ev := o.event(i, now)
			if o.kind == opAgain {
				ev = ops[o.again%len(ops)].event(o.again%len(ops), now)
			}
			tells += tellRequest(&ev)
			var said string
			for n, g := range logs {
				g.policy = policy
				out, err := g.append(ev)
				if err != nil {
					rt.Fatalf("%v after:\n%s", err, tells)
				}
				now := fmt.Sprintf("%s %v %+v %v", out.Kind, out.Codes, out.Lapsed, out.Version)
				if out.Answer != nil {
					now += fmt.Sprintf(" %+v", *out.Answer)
				}
				if n == 0 {
					said = now
				} else if now != said {
					rt.Fatalf("ledger %d says %s, the first %s\nafter:\n%s", n, now, said, tells)
				}
				if n == 2 && i%every == 0 {
					g.mem.store(t, g.ledger)
					g.ledger = NewLedger(scenarioKey, g.mem)
				}
			}
		}
		for _, g := range logs {
			g.mem.store(t, g.ledger)
		}
		for _, g := range logs[1:] {
			if len(g.mem.pieces) != len(logs[0].mem.pieces) {
				rt.Fatalf("%d pieces, not %d\nafter:\n%s", len(g.mem.pieces), len(logs[0].mem.pieces), tells)
			}
			for k, p := range logs[0].mem.pieces {
				if a, b := held(p), held(g.mem.pieces[k]); a != b {
					rt.Fatalf("piece %s:\n%s\n%s\nafter:\n%s", k, a, b, tells)
				}
			}
		}
	})
}

// held is a piece in words, with what a pointer of it holds.
func held(p Piece) string {
	if p.Line == nil || p.Line.Held == nil {
		return normal(p)
	}
	ln := *p.Line
	s := fmt.Sprintf("%+v", *ln.Held)
	ln.Held, p.Line = nil, &ln
	return normal(p) + s
}
