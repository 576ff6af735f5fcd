package inventory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// anyAuthority draws rules of authority over the sources and locations of history.
func anyAuthority(t *rapid.T) AuthorityPolicy {
	var a AuthorityPolicy
	day, _ := clock("00:00")
	pick := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(t, label) }
	location := func() Location { return []Location{"", "DC1", "DC2"}[pick("location", 3)] }
	source := func() Source { return []Source{"3pl", "erp", "wms"}[pick("source", 3)] }
	facts := func() Facts { return Facts(pick("facts", 128)) }
	for range pick("owners", 4) {
		o := Owner{Scope: Scope{Location: location(), Facts: facts()}, Balance: []Source{source()}, Moves: []Source{source()}}
		if pick("by state", 4) == 0 {
			o.States = uint8(1 + pick("states", 63))
		}
		a.Owners = append(a.Owners, o)
	}
	for range pick("handovers", 3) {
		a.Handovers = append(a.Handovers, Handover{
			Scope: Scope{Location: location(), Facts: facts()},
			At:    day + Instant(pick("minute", 40))*60_000, Window: Instant(pick("window", 40)) * 60_000, From: source(), To: source(),
		})
	}
	for range pick("modes", 4) {
		a.Modes = append(a.Modes, ModeRule{Source: source(), Location: location(), Facts: facts(), Mode: Mode(pick("mode", 3))})
	}
	for _, s := range []Source{"3pl", "erp", "wms"} {
		if pick("compared", 2) == 0 {
			a.Compare = append(a.Compare, Comparison{Source: s, Lag: Instant(pick("lag", 3)) * 60_000, Alert: Alert{Quantity: One}})
		}
	}
	return a
}

// What is noted, observed and rehearsed included, changes no position, no account
// and no version; and what was only observed or rehearsed might as well not have
// come.
func TestNotedEventsNeverChangeAPosition(t *testing.T) {
	var shadows, views int
	rapid.Check(t, func(rt *rapid.T) {
		policy := Policy{Authority: anyAuthority(rt)}
		evs := history(rt)
		day, _ := clock("00:00")
		g := newLog(t, scenarioKey, rapid.Bool().Draw(rt, "reload"))
		g.policy = policy
		var kept []Event
		for i := range evs {
			evs[i].RecordedAt = day + Instant(60+i)*60_000
			was, version := describe(g.positions())+outsides(g.ledger), g.ledger.Version()
			out, err := g.append(evs[i])
			if err != nil {
				rt.Fatalf("%s: %v", tell(evs[:i+1]), err)
			}
			if out.Kind == Noted && (describe(g.positions())+outsides(g.ledger) != was || g.ledger.Version() != version) {
				rt.Fatalf("%s is noted %v, and the position went from\n%sto\n%s", tell(evs[i:i+1]), out.Codes, was, describe(g.positions()))
			}
			rehearsed := slices.Contains(out.Codes, CodeShadow)
			if out.Kind == Noted && !rehearsed && len(out.Moves) > 0 {
				rt.Fatalf("%s moves %v", tell(evs[i:i+1]), out.Moves)
			}
			if rehearsed && out.Kind != Noted {
				rt.Fatalf("%s is rehearsed and %s", tell(evs[i:i+1]), out.Kind)
			}
			if rehearsed {
				shadows++
			}
			if !rehearsed && !slices.Contains(out.Codes, CodeObserved) {
				kept = append(kept, evs[i])
			}
		}
		for _, s := range []Source{"3pl", "erp", "wms"} {
			if v := viewOf(g, s, "DC1"); v != nil && v.Variance != nil {
				views++
			}
		}
		h := replay(t, policy, kept, false)
		if x, y := describe(g.positions()), describe(h.positions()); x != y {
			rt.Fatalf("with what was noted:\n%swithout:\n%s%s", x, y, tell(evs, kept))
		}
	})
	if shadows == 0 || views == 0 {
		t.Errorf("%d rehearsals and %d variances were reached", shadows, views)
	}
}

// The ledger's and a system's own events, and that system's snapshots, in any order
// and with any of them twice, end in the same view and the same variance.
func TestAnyOrderGivesTheSameVariance(t *testing.T) {
	var moved, explained, differ int
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(rt, label) }
		day, _ := clock("00:00")
		policy := Policy{Authority: AuthorityPolicy{
			Owners:  []Owner{{Balance: []Source{"wms"}, Moves: []Source{"wms"}}},
			Compare: []Comparison{{Source: "erp", Lag: Instant(pick("lag", 20)) * 60_000}},
		}}
		if pick("map", 2) == 0 {
			policy.Authority.Compare[0].States = []StateMap{{State: OnHand, Ledger: 1<<OnHand | 1<<Picked}}
		}
		event := func(n int, s Source) Event {
			return Event{
				ID: testID(string(s), fmt.Sprint(n)), Key: scenarioKey, Source: s, OccurredBasis: BasisDocument,
				OccurredAt: day + Instant(pick("minute", 60))*60_000, Document: Document{Number: fmt.Sprint(n)},
			}
		}
		count := func(ev Event, n int, damaged bool) Event {
			ev.Kind = KindCount
			ev.Count = &Count{
				Location: "DC1", Basis: Sellable, Covers: []Account{OnHand}, AsOfBasis: BasisDocument,
				AsOf: ev.OccurredAt + Instant(n) + 1, Balances: []StateBalance{{OnHand, Quantity(90+pick("counted", 20)) * One}},
			}
			if damaged {
				ev.Count.Covers = append(ev.Count.Covers, Damaged)
				ev.Count.Balances = append(ev.Count.Balances, StateBalance{Damaged, Quantity(pick("damaged", 3)) * One})
			}
			return ev
		}
		first := []Event{movement(0, OpeningBalance, "DC1", 100)}
		first[0].Source = "wms"
		start := count(event(99, "erp"), 0, true)
		start.Count.AsOf = day - 60_000
		first = append(first, start)
		var evs []Event
		for i := range 2 + pick("events", 10) {
			switch pick("kind", 5) {
			case 0:
				evs = append(evs, count(event(i, "erp"), i, pick("both", 2) == 0))
			case 1:
				evs = append(evs, count(event(i, "wms"), i, false))
			default:
				ev := event(i, []Source{"wms", "wms", "erp"}[pick("source", 3)])
				ev.Kind = KindMovement
				ev.Movement = &Movement{
					Type: []MovementType{Receipt, Ship, Pick, Damage}[pick("type", 4)], Location: "DC1",
					Quantity: Quantity(1+pick("quantity", 4)) * One,
				}
				evs = append(evs, ev)
			}
		}
		other := slices.Clone(evs)
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(evs)-1), 0, 3).Draw(rt, "again") {
			other = append(other, evs[i])
		}
		other = rapid.Permutation(other).Draw(rt, "order")
		a := viewOf(replay(t, policy, slices.Concat(first, evs), false), "erp", "DC1")
		b := viewOf(replay(t, policy, slices.Concat(first, other), true), "erp", "DC1")
		if x, y := sayView(a), sayView(b); x != y {
			rt.Fatalf("in order: %s\npermuted: %s\n%s", x, y, tell(evs, other))
		}
		n := a.Variance
		moved += len(a.Moved)
		differ += int(n.Streak.Snapshots)
		explained += int(n.InFlightEvents)
	})
	if moved == 0 || explained == 0 || differ == 0 {
		t.Errorf("reached: %d moves of views, %d events in flight, %d unexplained", moved, explained, differ)
	}
}

// sayView is a view without what the order of snapshots decides (its streak), or
// what is looked for far around it (its diagnosis).
func sayView(v *View) string {
	n := v.Variance
	return fmt.Sprintf("%v %v as of %d; ledger %v as of %d, net %v, absolute %v, unexplained %v net %v, in flight %d %v",
		v.Balances, v.Moved, v.AsOf, n.Ledger, n.AsOf, n.Net, n.Absolute, n.Unexplained, n.UnexplainedNet, n.InFlightEvents, n.InFlight)
}

// The outcome of a handover's count is the difference report: what was left, what
// was counted, state by state, and the moves between.
func TestHandoverReport(t *testing.T) {
	at, _ := clock("12:00")
	g := newLog(t, scenarioKey, true)
	g.policy.Authority.Owners = []Owner{{Balance: []Source{"old"}, Moves: []Source{"old"}}}
	g.policy.Authority.Handovers = []Handover{{At: at, Window: 3_600_000, From: "old", To: "new"}}
	in := movement(1, Receipt, "DC1", 100)
	in.Source, in.OccurredAt = "old", at-7_200_000
	count := Event{
		ID: testID("count"), Kind: KindCount, Key: scenarioKey, Source: "new", OccurredAt: at, OccurredBasis: BasisDocument,
		Count: &Count{
			Location: "DC1", Basis: Sellable, Covers: []Account{OnHand, Damaged}, AsOf: at, AsOfBasis: BasisDocument,
			Balances: []StateBalance{{OnHand, 95 * One}, {Damaged, 2 * One}},
		},
	}
	if _, err := g.append(in); err != nil {
		t.Fatal(err)
	}
	out, err := g.append(count)
	if err != nil {
		t.Fatal(err)
	}
	want := "handover from old to new at DC1, on_hand 100 to 95 (-5), damaged 0 to 2 (+2)"
	if out.Kind != Applied || out.Detail != want || !slices.Contains(out.Codes, CodeHandover) {
		t.Errorf("%s %v: %q, want %q", out.Kind, out.Codes, out.Detail, want)
	}
	if len(out.Moves) != 2 || out.Moves[0].Quantity != 2*One || out.Moves[1].Quantity != 3*One {
		t.Errorf("moves %+v", out.Moves)
	}
}

// A rehearsal says in the outcome what being live would have meant.
func TestShadowSaysWhatItWouldDo(t *testing.T) {
	g := newLog(t, scenarioKey, false)
	g.policy.Authority.Modes = []ModeRule{{Source: "shop", Mode: ModeShadow}}
	ev := Event{
		ID: testID("order"), Kind: KindDemand, Key: scenarioKey, Source: "shop", OccurredAt: 1, OccurredBasis: BasisDocument,
		Refs:   []Ref{{Issuer: "shop", Type: "order", Number: "1"}},
		Demand: &Demand{Stage: Ordered, Location: "DC1", Quantity: 3 * One},
	}
	out, err := g.append(ev)
	if err != nil || out.Kind != Noted || !strings.Contains(out.Detail, "live it would be applied, reserved at DC1 +3") {
		t.Errorf("%s %q, %v", out.Kind, out.Detail, err)
	}
	if _, known := g.ledger.Position("DC1"); known {
		t.Error("the location is known by a rehearsal")
	}
	again, err := g.append(ev)
	if err != nil || again.Kind != Duplicate {
		t.Errorf("sent again: %s, %v", again.Kind, err)
	}
}

// A view keeps a bounded number of movements apart; the sum stays right.
func TestViewMovesAreBounded(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	g.policy.Authority.Modes = []ModeRule{{Source: "erp", Mode: ModeObserve}}
	g.policy.Authority.Compare = []Comparison{{Source: "erp"}}
	from, _ := clock("01:00")
	send := func(ev Event) {
		t.Helper()
		ev.Key, ev.Source, ev.OccurredBasis = scenarioKey, "erp", BasisDocument
		if _, err := g.append(ev); err != nil {
			t.Fatal(err)
		}
	}
	count := func(n int64, at Instant, q Quantity) {
		send(Event{ID: testID("count", fmt.Sprint(n)), Kind: KindCount, OccurredAt: at, Count: &Count{
			Location: "DC1", Basis: Sellable, Covers: []Account{OnHand}, AsOf: at, AsOfBasis: BasisDocument,
			Balances: []StateBalance{{OnHand, q}},
		}})
	}
	count(1, from, 1000*One)
	const n = MaxViewMoves + 10
	for i := range n {
		send(Event{
			ID: testID("ship", fmt.Sprint(i)), Kind: KindMovement, OccurredAt: from + Instant(i+1)*1000,
			Movement: &Movement{Type: Ship, Location: "DC1", Quantity: One},
		})
	}
	v := viewOf(g, "erp", "DC1")
	if len(v.Moved) != MaxViewMoves || v.Balances[0].Quantity != (1000-n)*One || v.Blurred != from+11*1000 {
		t.Errorf("%d moves, %v, merged up to %d", len(v.Moved), v.Balances, v.Blurred-from)
	}
	count(2, from+5*1000, 995*One)
	if v = viewOf(g, "erp", "DC1"); !v.Variance.Inexact {
		t.Error("a snapshot from among the merged movements is exact")
	}
	count(3, from+30*1000, 970*One)
	if v = viewOf(g, "erp", "DC1"); v.Variance.Inexact || v.Balances[0].Quantity != (1000-n)*One {
		t.Errorf("a snapshot after the merged movements: %+v %+v", v.Balances, v.Variance)
	}
}

// With authority, modes and comparisons a ledger restored after every event still
// writes the same pieces as one that is kept, claimed views included (Invariant 8).
func TestRestoreGivesTheSameViews(t *testing.T) {
	var compared int
	rapid.Check(t, func(rt *rapid.T) {
		policy := Policy{Authority: anyAuthority(rt)}
		evs := history(rt)
		kept, restored := replay(t, policy, evs, false), replay(t, policy, evs, true)
		kept.mem.store(t, kept.ledger)
		for k, p := range kept.mem.pieces {
			if p.View != nil && p.View.Variance != nil {
				compared++
			}
			if normal(p) != normal(restored.mem.pieces[k]) {
				rt.Fatalf("piece %s:\nkept     %s\nrestored %s\n%s", k, normal(p), normal(restored.mem.pieces[k]), tell(evs))
			}
		}
		if len(kept.mem.pieces) != len(restored.mem.pieces) {
			rt.Fatalf("%d pieces kept, %d restored", len(kept.mem.pieces), len(restored.mem.pieces))
		}
	})
	if compared == 0 {
		t.Error("no variance was reached")
	}
}
