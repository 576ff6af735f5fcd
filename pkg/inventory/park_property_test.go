package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// reversible draws a history in which some movements are reversed, some reversals
// are reversed in turn, and some documents have several events.
func reversible(rt *rapid.T) []Event {
	evs := history(rt)
	for i := range evs {
		m := evs[i].Movement
		if m == nil || len(evs[i].Refs) > 0 || m.Type == TransferOut || !rapid.Bool().Draw(rt, "reversed") {
			continue
		}
		from, to := Customer, Returned
		switch m.Type { //nolint:exhaustive // the others of the history are returns
		case Damage:
			from, to = OnHand, Damaged
		case Hold, ShortPick:
			from, to = OnHand, Quarantine
		case Release:
			from, to = Quarantine, OnHand
		case ScrapStock:
			from, to = OnHand, Scrap
		case OpeningBalance:
			from, to = Opening, OnHand
		}
		for target := evs[i]; ; {
			from, to = to, from
			r := target
			r.Document = Document{Type: "reversal", Number: target.Document.Number, Revision: target.Document.Revision + "r"}
			r.ID = testID(string(r.Source), r.Document.Type, r.Document.Number, r.Document.Revision)
			r.OccurredAt += Instant(rapid.IntRange(0, 20).Draw(rt, "later")) * 60_000
			r.Movement = &Movement{
				Type: Reversal, Location: m.Location, FromState: from, ToState: to, Quantity: m.Quantity, Reverses: target.ID,
			}
			evs = append(evs, r)
			if target = r; rapid.IntRange(0, 2).Draw(rt, "again") > 0 {
				break
			}
		}
	}
	return evs
}

// finals are the outcomes of each event that were its last word.
type finals map[string][]OutcomeKind

func (f finals) add(outs ...Outcome) {
	for i := range outs {
		if k := outs[i].Kind; k != Parked && k != Duplicate {
			f[outs[i].EventID] = append(f[outs[i].EventID], k)
		}
	}
}

// Whatever order events come in, those that must wait are let through when what
// they wait for has come: the positions are the same, nothing waits at the end, and
// each event has exactly one last word.
func TestWhatWaitsIsNeitherLostNorTakenTwice(t *testing.T) {
	waited := 0
	rapid.Check(t, func(rt *rapid.T) {
		evs := reversible(rt)
		other := slices.Clone(evs)
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(evs)-1), 0, 4).Draw(rt, "again") {
			other = append(other, evs[i])
		}
		other = rapid.Permutation(other).Draw(rt, "order")
		run := func(evs []Event, reload bool) (*log, finals) {
			g, f := newLog(t, scenarioKey, reload), finals{}
			for i := range evs {
				out, err := g.append(evs[i])
				if err != nil {
					rt.Fatalf("%s: %v", tell(evs[i:i+1]), err)
				}
				if out.Kind == Parked {
					waited++
				}
				f.add(out)
				f.add(g.also...)
			}
			return g, f
		}
		a, fa := run(evs, false)
		b, fb := run(other, true)
		if x, y := describe(a.positions()), describe(b.positions()); x != y {
			rt.Fatalf("in order:\n%s\npermuted:\n%s\n%s", x, y, tell(evs, other))
		}
		for _, ev := range evs {
			if len(fa[ev.ID]) != 1 || len(fb[ev.ID]) != 1 {
				rt.Fatalf("last words in order %v, permuted %v\n%s", fa[ev.ID], fb[ev.ID], tell([]Event{ev}, evs, other))
			}
		}
		for _, g := range []*log{a, b} {
			if q := g.head().Queue; q.Parked+q.Held+q.Bytes != 0 || g.stored(PieceParked) != 0 {
				rt.Fatalf("still waiting: %+v\n%s", q, tell(other))
			}
			for _, p := range g.positions() {
				if p.ParkedOut != 0 {
					rt.Fatalf("still not promised: %v", p.ParkedOut)
				}
			}
		}
	})
	if waited == 0 {
		t.Error("nothing ever waited")
	}
}

// A key that was frozen at any time, and whose events an operator appended again in
// order while others came in, ends where it would have ended: nothing is lost, taken
// twice, or taken out of order.
func TestAFrozenKeyEndsWhereItWouldHave(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		evs := reversible(rt)
		evening, _ := clock("20:00")
		for i := range evs {
			evs[i].RecordedAt = evening + Instant(i)
		}
		plain := replay(t, Policy{}, evs, false)
		g := newLog(t, scenarioKey, rapid.Bool().Draw(rt, "reload"))
		at := rapid.IntRange(0, len(evs)-1).Draw(rt, "frozen from")
		thaw := rapid.IntRange(at, len(evs)-1).Draw(rt, "copied from")
		type record struct {
			ev     Event
			offset int64
		}
		var missed []record
		f := finals{}
		arrive := func(i int) {
			offset := g.offset
			if i == at {
				var out Outcome
				g.ledger.Freeze(&out, &g.policy, &evs[i], At{Lineage: 1, Offset: offset}, CodeOversize)
				g.offset++
				if g.reload {
					g.reopen()
				}
			} else {
				out, err := g.append(evs[i])
				if err != nil {
					rt.Fatal(err)
				}
				f.add(out)
				f.add(g.also...)
			}
			if g.ledger.Frozen().Since != 0 {
				missed = append(missed, record{evs[i], offset})
			}
		}
		for i := range thaw + 1 {
			arrive(i)
		}
		next := thaw + 1
		unfreeze := 0
		for g.ledger.Frozen().Since != 0 {
			for i := 0; i < len(missed); i++ {
				if next < len(evs) && rapid.Bool().Draw(rt, "another arrives") {
					arrive(next)
					next++
				}
				if i > 0 && rapid.IntRange(0, 9).Draw(rt, "begin again") == 0 {
					i = rapid.IntRange(0, i).Draw(rt, "from")
				}
				m := missed[i]
				place := At{Lineage: 1, Offset: g.offset, Copy: true, Original: m.offset}
				g.offset++
				if rapid.IntRange(0, 15).Draw(rt, "too much still") == 0 { // nor is what stands behind it taken
					var out Outcome
					g.ledger.Freeze(&out, &g.policy, &m.ev, place, CodeOversize)
					f.add(out)
				} else {
					out, err := g.ledger.Apply(&g.policy, &m.ev, place)
					if err != nil {
						rt.Fatal(err)
					}
					f.add(out)
					f.add(g.ledger.Also()...)
				}
				if g.reload {
					g.reopen()
				}
			}
			if unfreeze++; unfreeze > 1000 {
				rt.Fatalf("it never goes on: %+v", g.ledger.Frozen())
			}
			if _, err := g.append(approvalAt(unfreeze, ReleaseUnfreeze, "", evs[len(evs)-1].RecordedAt)); err != nil {
				rt.Fatal(err)
			}
		}
		for ; next < len(evs); next++ {
			arrive(next)
		}
		if x, y := describe(plain.positions()), describe(g.positions()); x != y {
			rt.Fatalf("never frozen:\n%s\nfrozen from %d, copied from %d:\n%s\n%s", x, at, thaw, y, tell(evs))
		}
		for _, ev := range evs {
			if len(f[ev.ID]) != 1 {
				rt.Fatalf("last words %v of\n%s", f[ev.ID], tell([]Event{ev}))
			}
		}
		if fmt.Sprint(outsides(plain.ledger)) != fmt.Sprint(outsides(g.ledger)) {
			rt.Fatalf("outside accounts differ")
		}
	})
}
