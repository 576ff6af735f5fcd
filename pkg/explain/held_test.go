package explain_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/explain/explaintest"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
)

// life is a random life of an item at several locations, of which some come late: stock,
// orders and purchases, and events that change nothing.
type life struct {
	*history
	after []map[inventory.Location]inventory.Position // what stood after each event
}

func newLife(t *testing.T, seed uint64, events, together int) *life {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 21))
	l := &life{history: &history{World: explaintest.New(), now: began}}
	l.Together, l.Behind = together, time.Duration(seed%2)*4*time.Minute
	var last *inventory.Event
	for n := range events {
		wait := gap(rng)
		if wait > 2*time.Minute { // no commit takes so long
			l.commit(t)
		}
		l.now = l.now.Add(wait)
		number := fmt.Sprint(n)
		at := inventory.Location(fmt.Sprint("DC", rng.IntN(2+n*4/events)))
		q := inventory.Quantity(1+rng.IntN(9)) * one
		var ev *inventory.Event
		switch rng.IntN(10) {
		case 0, 1, 2:
			ev = explaintest.Order(bolt, number, l.now, at, q)
		case 3:
			ev = explaintest.Purchase(bolt, number, l.now, at, q, place.DayAt(l.now, time.UTC)+3)
		case 4:
			ev = explaintest.Move(bolt, number, l.now, inventory.Movement{Type: inventory.TransferOut, Location: at, ToLocation: "DC1", Quantity: q})
			if at == "DC1" {
				ev.Movement.ToLocation = "DC0"
			}
		case 5:
			ev = explaintest.Move(bolt, number, l.now, inventory.Movement{Type: inventory.Receipt, Location: at, Quantity: -q}) // refused
		case 6:
			if ev = explaintest.Move(other, number, l.now, inventory.Movement{Type: inventory.Receipt, Location: at, Quantity: q}); last != nil {
				again := *last
				ev = &again
			}
		default:
			ev = explaintest.Move(bolt, number, l.now, inventory.Movement{Type: inventory.Receipt, Location: at, Quantity: q})
			last = ev
		}
		l.send(t, ev)
		all := map[inventory.Location]inventory.Position{}
		for _, p := range l.lagged[n] {
			all[p.Location] = p
		}
		l.after = append(l.after, all)
	}
	l.commit(t)
	return l
}

func (l *life) commit(t *testing.T) {
	t.Helper()
	for _, k := range []inventory.Key{bolt, other} {
		if err := l.Commit(k, l.now); err != nil {
			t.Fatal(err)
		}
	}
}

// gap is between two events: some are of one moment, others far apart.
func gap(rng *rand.Rand) time.Duration {
	switch rng.IntN(5) {
	case 0, 1:
		return time.Duration(rng.IntN(3)) * time.Millisecond
	case 2:
		return time.Duration(rng.IntN(30)) * time.Second
	}
	return time.Duration(5+rng.IntN(60)) * time.Minute
}

// compact takes away some of the positions that others took the place of: in any order, as
// no broker promises one.
func (l *life) compact(rng *rand.Rand, share float64) {
	newest := map[string]int{}
	for i, rec := range l.Positions {
		newest[string(rec.Key)] = i
	}
	kept := l.Positions[:0:0]
	for i, rec := range l.Positions {
		if newest[string(rec.Key)] == i || rng.Float64() >= share {
			kept = append(kept, rec)
		}
	}
	l.Positions = kept
}

// facts are those of a position that are of a time, whatever commit wrote them.
func facts(p inventory.Position) inventory.Position {
	return inventory.Position{Key: p.Key, Location: p.Location, States: p.States, Reserved: p.Reserved, Supply: p.Supply, SafetyStock: p.SafetyStock, Frozen: p.Frozen, ParkedOut: p.ParkedOut}
}

// stands are the newest positions of the log, as Redis has them.
func (l *life) stands(t *testing.T) []inventory.Position {
	t.Helper()
	all := map[string]inventory.Position{}
	for _, rec := range l.Positions {
		var p inventory.Position
		if err := l.Codecs.DecodePosition(rec.Value, &p); err != nil {
			t.Fatal(err)
		}
		if p.Key == bolt {
			all[string(rec.Key)] = p
		}
	}
	var ps []inventory.Position
	for _, p := range all {
		ps = append(ps, p)
	}
	return ps
}

// TestHeld: what is told to have been known of a location at a time is what the ledger had
// then, whatever was compacted away and however many events are one commit; what cannot be
// known is a gap. Without compaction, and an event a commit, nothing is.
func TestHeld(t *testing.T) {
	told, none, gaps := 0, 0, map[explain.Gap]int{}
	for seed := range uint64(16) {
		together := 1 + int(seed%3)*int(seed%4)
		share := float64(seed%4) / 4
		l := newLife(t, seed, 80, together)
		rng := rand.New(rand.NewPCG(seed, 22))
		l.compact(rng, share)
		lag := 0
		now := l.stands(t)
		o := l.write(t)
		if seed%5 == 0 { // retention took some outcomes
			o.forget(t, event.TopicOutcomes, int64(20))
		}
		for range 50 {
			n := rng.IntN(len(l.times))
			at := inventory.Instant(l.times[n].UnixMilli())
			switch rng.IntN(4) {
			case 0:
				at += inventory.Instant(rng.IntN(30 * 60_000))
			case 1:
				at--
			}
			var want map[inventory.Location]inventory.Position
			for i := range l.times {
				if inventory.Instant(l.times[i].UnixMilli()) <= at {
					want = l.after[i]
				}
			}
			past, err := explain.Then(t.Context(), explain.ThenConfig{
				Reads: o.reads, Codecs: o.Codecs, Key: bolt, When: explain.When{KnownAt: at}, Now: inventory.Instant(o.now.UnixMilli()),
				Positions: now, Since: inventory.Instant(o.now.UnixMilli()), Held: true,
			})
			if err != nil {
				continue // of what retention took; see TestForgotten
			}
			lag++
			for _, s := range past.Locations {
				p, was := want[s.Location]
				switch {
				case s.Gap != "":
					gaps[s.Gap]++
					if s.Position != nil {
						t.Errorf("seed %d: a gap and a position: %+v", seed, s)
					}
					if share == 0 && together == 1 && (seed%5 != 0 || s.Gap != explain.GapCommit) {
						t.Errorf("seed %d at %d, %s: %s, and nothing was lost", seed, at, s.Location, s.Gap)
					}
				case s.Position == nil:
					none++
					if was {
						t.Errorf("seed %d at %d, %s: nothing is told of %+v", seed, at, s.Location, p)
					}
				default:
					told++
					if got := facts(*s.Position); !was || !reflect.DeepEqual(got, facts(p)) {
						t.Errorf("seed %d at %d, %s: %+v, want %+v", seed, at, s.Location, got, facts(p))
					}
				}
			}
		}
		if lag == 0 {
			t.Errorf("seed %d: nothing was asked", seed)
		}
	}
	if told < 500 || none < 50 || gaps[explain.GapCompacted] < 100 || gaps[explain.GapCommit] < 10 {
		t.Errorf("%d told, %d not there, gaps %v", told, none, gaps)
	}
	t.Logf("%d told, %d not there, gaps %v", told, none, gaps)
}

// heldAt asks what was known at a time, of positions as they stand on the log.
func (o *onLog) heldAt(t *testing.T, l *life, at time.Time, change ...func(*explain.ThenConfig)) []explain.Stood {
	t.Helper()
	o.spent = explain.Spent{}
	cfg := explain.ThenConfig{
		Reads: o.reads, Codecs: o.Codecs, Key: bolt, When: explain.When{KnownAt: inventory.Instant(at.UnixMilli())}, Now: inventory.Instant(o.now.UnixMilli()),
		Positions: l.stands(t), Since: inventory.Instant(o.now.UnixMilli()), Held: true, Spent: &o.spent,
	}
	for _, f := range change {
		f(&cfg)
	}
	past, err := explain.Then(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(past.Locations, func(a, b explain.Stood) int { return len(a.Location) - len(b.Location) })
	return past.Locations
}

// TestHeldCosts: what has not changed since, or began since, is told without a look at
// positions; only what is asked for is looked for; a budget that does not reach says so.
func TestHeldCosts(t *testing.T) {
	l := &life{history: &history{World: explaintest.New(), now: began}}
	receive := func(number string, at inventory.Location) {
		l.now = l.now.Add(time.Hour)
		l.send(t, explaintest.Move(bolt, number, l.now, inventory.Movement{Type: inventory.Receipt, Location: at, Quantity: one}))
	}
	receive("1", "A")
	receive("2", "BB")
	then := l.now.Add(time.Minute)
	receive("3", "BB")
	receive("4", "CCC")
	o := l.write(t)
	outcomes := int64(0)
	only := func(names ...inventory.Location) func(*explain.ThenConfig) {
		return func(c *explain.ThenConfig) { c.Locations = names }
	}
	got := o.heldAt(t, l, then, only("A", "CCC"))
	if outcomes = o.spent.Records; outcomes > 3 || got[0].Gap != "" || got[0].Position.Version != 1 || got[2].Gap != "" || got[2].Position != nil {
		t.Errorf("after %d records: %+v", outcomes, got)
	}
	if got = o.heldAt(t, l, then); o.spent.Records != outcomes+4 || got[1].Gap != "" || got[1].Position.Version != 2 {
		t.Errorf("after %d records: %+v", o.spent.Records, got)
	}
	got = o.heldAt(t, l, then, func(c *explain.ThenConfig) { c.Budget = explain.Budget{Records: outcomes + 1} })
	if got[0].Gap != "" || got[1].Gap != explain.GapTooMuch || got[2].Gap != "" || got[1].States[inventory.OnHand] != one {
		t.Errorf("beyond the budget: %+v", got)
	}
	// Positions that lag behind outcomes are no word on what stood: the log is asked.
	got = o.heldAt(t, l, l.now, func(c *explain.ThenConfig) { c.Positions = l.lagged[1]; c.Since = inventory.Instant(then.UnixMilli()) })
	if got[0].Position.Version != 1 || got[1].Position.Version != 3 || got[2].Position.Version != 4 {
		t.Errorf("behind: %+v", got)
	}
}

// some is a life of a few events, each a commit.
func some(t *testing.T, events ...func(number string, now time.Time) (time.Duration, *inventory.Event)) (*life, []time.Time) {
	t.Helper()
	l := &life{history: &history{World: explaintest.New(), now: began}}
	for i, f := range events {
		wait, ev := f(fmt.Sprint(i), l.now)
		l.now = l.now.Add(wait)
		l.send(t, ev)
	}
	return l, l.times
}

func received(wait time.Duration, at inventory.Location) func(string, time.Time) (time.Duration, *inventory.Event) {
	return func(number string, now time.Time) (time.Duration, *inventory.Event) {
		return wait, explaintest.Move(bolt, number, now, inventory.Movement{Type: inventory.Receipt, Location: at, Quantity: one})
	}
}

func ordered(wait time.Duration, at inventory.Location) func(string, time.Time) (time.Duration, *inventory.Event) {
	return func(number string, now time.Time) (time.Duration, *inventory.Event) {
		return wait, explaintest.Order(bolt, number, now, at, one)
	}
}

// TestHeldOneByOne: what random lives seldom meet.
func TestHeldOneByOne(t *testing.T) {
	// The first outcome of after the time changes nothing, the position of then is gone, and
	// one is there of a version less, with the same states.
	l, times := some(t, received(time.Hour, "A"), ordered(time.Hour, "A"), func(_ string, now time.Time) (time.Duration, *inventory.Event) {
		return time.Hour, explaintest.Move(bolt, "0", now.Add(-2*time.Hour), inventory.Movement{Type: inventory.Receipt, Location: "A", Quantity: one})
	}, received(time.Hour, "A"))
	l.Positions = slices.Delete(l.Positions, 1, 2)
	if got := l.write(t).heldAt(t, l, times[1].Add(30*time.Minute)); got[0].Gap != explain.GapCompacted {
		t.Errorf("gone: %+v", got)
	}
	// What the last commit wrote at another location is gone: of one that it did not change
	// all is known.
	l, times = some(t, received(time.Hour, "A"), received(time.Hour, "BB"), received(time.Minute, "BB"), received(time.Minute, "A"))
	l.Positions = slices.Delete(l.Positions, 1, 2)
	if got := l.write(t).heldAt(t, l, times[1].Add(time.Second)); got[0].Gap != "" || got[0].Position.Version != 1 || got[1].Gap != explain.GapCommit {
		t.Errorf("beside it: %+v", got)
	}
	// A position of which the outcome is not at hand.
	l, times = some(t, received(time.Hour, "A"), ordered(time.Hour, "A"))
	l.Outcomes = l.Outcomes[:1]
	if got := l.write(t).heldAt(t, l, times[0].Add(30*time.Minute)); got[0].Gap != explain.GapUnsettled {
		t.Errorf("ahead: %+v", got)
	}
	// Of a position of a build that did not say what it took the place of, nothing is
	// concluded but where it is of the very version.
	l, times = some(t, received(time.Hour, "A"), received(time.Hour, "BB"), received(time.Hour, "A"), received(time.Hour, "BB"))
	for i, rec := range l.Positions {
		var p inventory.Position
		if err := l.Codecs.DecodePosition(rec.Value, &p); err != nil {
			t.Fatal(err)
		}
		p.Previous = 0
		var err error
		if l.Positions[i].Value, err = l.Codecs.AppendPosition(nil, &p); err != nil {
			t.Fatal(err)
		}
	}
	o := l.write(t)
	if got := o.heldAt(t, l, times[1]); got[0].Gap != explain.GapCompacted || got[1].Gap != "" || got[1].Position.Version != 2 {
		t.Errorf("of an older build: %+v", got)
	}
	if got := o.heldAt(t, l, times[2]); got[0].Gap != "" || got[0].Position.Version != 3 {
		t.Errorf("of an older build, now: %+v", got)
	}
	// Positions that lag behind outcomes, of the same states.
	l, times = some(t, received(time.Hour, "A"), ordered(time.Hour, "A"))
	lag := func(c *explain.ThenConfig) {
		c.Positions, c.Since = l.lagged[0], inventory.Instant(times[0].UnixMilli())
	}
	if got := l.write(t).heldAt(t, l, times[1], lag); got[0].Gap != "" || got[0].Position.Version != 2 {
		t.Errorf("behind: %+v", got)
	}
	// Positions that do not agree with what outcomes tell.
	l, times = some(t, received(time.Hour, "A"), received(time.Hour, "A"))
	var p inventory.Position
	if err := l.Codecs.DecodePosition(l.Positions[0].Value, &p); err != nil {
		t.Fatal(err)
	}
	p.States[inventory.OnHand]++
	var err error
	if l.Positions[0].Value, err = l.Codecs.AppendPosition(nil, &p); err != nil {
		t.Fatal(err)
	}
	if got := l.write(t).heldAt(t, l, times[0]); got[0].Gap != explain.GapUnsettled || got[0].States[inventory.OnHand] != one {
		t.Errorf("not the same: %+v", got)
	}
	// An outcome of then that was written as long before as clocks may be apart, in the
	// transaction of one of after then.
	l = &life{history: &history{World: explaintest.New(), now: began}}
	l.Behind = 5*time.Minute - time.Second
	for n, wait := range []time.Duration{time.Hour, time.Hour, 3 * time.Second} {
		l.now, l.Together = l.now.Add(wait), min(n, 1)+1
		_, ev := ordered(0, "A")(fmt.Sprint(n), l.now)
		l.send(t, ev)
	}
	if got := l.write(t).heldAt(t, l, l.now.Add(-time.Second)); len(l.Positions) != 2 || got[0].Gap != explain.GapCommit {
		t.Errorf("by clocks that are apart: %+v", got)
	}
	// The same, where retention took the outcome of then.
	l = &life{history: &history{World: explaintest.New(), now: began}}
	l.Behind = 5*time.Minute - time.Second
	for n, step := range []struct {
		wait time.Duration
		key  inventory.Key
	}{{time.Hour, bolt}, {time.Hour, bolt}, {500 * time.Millisecond, other}, {2 * time.Second, bolt}} {
		l.now, l.Together = l.now.Add(step.wait), min(n, 1)+1
		l.send(t, explaintest.Order(step.key, fmt.Sprint(n), l.now, "A", one))
	}
	o = l.write(t)
	o.forget(t, event.TopicOutcomes, 2)
	if got := o.heldAt(t, l, l.now.Add(-500*time.Millisecond)); got[0].Gap != explain.GapCommit {
		t.Errorf("by clocks that are apart, and half of it gone: %+v", got)
	}
	// What waited and is dropped has a version of its own.
	back := explaintest.Move(bolt, "back", began, inventory.Movement{
		Type: inventory.Reversal, Location: "A", Quantity: one, Reverses: "never", FromState: inventory.OnHand, ToState: inventory.Supplier,
	})
	drop := explaintest.Event(bolt, "drop", began)
	drop.Kind = inventory.KindApproval
	drop.Approval = &inventory.Approval{Event: back.ID, Release: inventory.ReleaseDrop, Author: "ann", Reason: "none"}
	is := func(ev *inventory.Event) func(string, time.Time) (time.Duration, *inventory.Event) {
		return func(string, time.Time) (time.Duration, *inventory.Event) { return time.Hour, ev }
	}
	l, times = some(t, received(time.Hour, "A"), is(back), is(drop), received(time.Hour, "A"))
	o = l.write(t)
	for n, want := range []inventory.Quantity{0, one, 0} {
		if got := o.heldAt(t, l, times[n]); got[0].Gap != "" || got[0].Position.ParkedOut != want {
			t.Errorf("after event %d: %+v", n, got[0])
		}
	}
}
