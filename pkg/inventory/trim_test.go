package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func countedAt(n, q int, asOf, recorded Instant, l Location) Event {
	ev := movedAt(n, Receipt, 1, recorded)
	ev.ID, ev.Kind, ev.Movement = testID("count", fmt.Sprint(n)), KindCount, nil
	ev.Document = Document{Type: "count", Number: fmt.Sprint(n)}
	ev.OccurredAt = asOf
	ev.Count = &Count{
		Location: l, Basis: Sellable, Covers: []Account{OnHand}, AsOf: asOf, AsOfBasis: BasisDocument,
		Balances: []StateBalance{{OnHand, units(q)}},
	}
	return ev
}

// Whatever a journal has lost of its detail, positions are the same: for late
// movements from any time, and for counts as of any time that is not in the blurred
// part. Those say that they are inexact.
func TestTrimmedJournalGivesTheSamePositions(t *testing.T) {
	trimmed := 0
	rapid.Check(t, func(rt *rapid.T) {
		whole, cut := newLog(t, scenarioKey, false), newLog(t, scenarioKey, false)
		whole.policy.Limits = LimitPolicy{Exact: 1 << 50, Entries: 1 << 50, Horizon: 1 << 50}
		cut.policy.Limits = LimitPolicy{
			Exact:   Instant(rapid.IntRange(1, 40).Draw(rt, "exact")) * hour,
			Entries: int64(rapid.IntRange(1, 4).Draw(rt, "entries")) * SegmentSize,
			Horizon: Instant(rapid.IntRange(40, 400).Draw(rt, "horizon")) * hour,
		}
		now, _ := clock("00:00")
		n := rapid.IntRange(600, 900).Draw(rt, "events")
		seed := rapid.IntRange(0, 1<<30).Draw(rt, "seed")
		for i := range n {
			r := mix(i, seed)
			now += Instant(r % 1_200_000)
			at := now
			if r>>32%5 == 0 { // late
				at -= Instant(r>>40) % (60 * hour)
			}
			l := []Location{"DC1", "DC1", "DC1", "DC2"}[r>>12%4]
			ev := movedAt(i, []MovementType{Receipt, Ship, Damage, Pick}[r>>8%4], int(r>>16%7)+1, at)
			ev.RecordedAt, ev.ReceivedAt, ev.Movement.Location = now, now, l
			if r>>20%50 == 0 {
				asOf := at
				st := cut.state(l)
				if r>>24%3 == 0 {
					asOf = now - Instant(r>>26)%(100*hour) // anywhere
				}
				if st != nil && asOf < howFar(st).Blurred {
					ev = countedAt(i, int(r>>16%40), asOf, now, l)
					if out, err := cut.append(ev); err != nil || !slices.Contains(out.Codes, CodeInexact) {
						rt.Fatalf("count %d as of %d, blurred up to %d: %v, %v", i, asOf, howFar(st).Blurred, out.Codes, err)
					}
					return // from here on the two differ
				}
				ev = countedAt(i, int(r>>16%40), asOf, now, l)
			}
			a, errA := whole.append(ev)
			b, errB := cut.append(ev)
			if errA != nil || errB != nil || fmt.Sprint(a.Moves) != fmt.Sprint(b.Moves) || slices.Contains(b.Codes, CodeInexact) {
				rt.Fatalf("event %d:\n%v %v\n%v %v %v", i, a.Moves, errA, b.Moves, b.Codes, errB)
			}
			if i%50 == 0 {
				if x, y := describe(whole.positions()), describe(cut.positions()); x != y {
					rt.Fatalf("after event %d:\n%s\n%s", i, x, y)
				}
				cut.reopen()
			}
		}
		if x, y := outsides(whole.ledger), outsides(cut.ledger); x != y {
			rt.Fatalf("outside accounts %s, trimmed %s", x, y)
		}
		if howFar(cut.state("DC1")).Sums > 0 {
			trimmed++
		}
	})
	if trimmed == 0 {
		t.Error("nothing was ever trimmed")
	}
}

// reopen restores the ledger from its pieces.
func (g *log) reopen() {
	g.mem.store(g.t, g.ledger)
	g.ledger = NewLedger(g.mem.key, g.mem)
}

// mix is a number that looks drawn.
func mix(i, seed int) uint64 {
	x := uint64(i)*0x9e3779b97f4a7c15 ^ uint64(seed)*0xbf58476d1ce4e5b9
	x ^= x >> 29
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// state is what is stored of a location.
func (g *log) state(name Location) *LocationState {
	if h := g.head(); h != nil {
		for i := range h.Locations {
			if h.Locations[i].Location == name {
				return &h.Locations[i]
			}
		}
	}
	return g.mem.Location(name)
}

// A count that holds goes on holding after its entry is beyond the horizon.
func TestMarksAreCarriedBeyondTheHorizon(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	g.policy.Limits = LimitPolicy{Exact: hour, Horizon: 2 * hour}
	start, _ := clock("00:00")
	if _, err := g.append(countedAt(0, 100, start, start, "DC1")); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if _, err := g.append(movedAt(i+1, Damage, 1, start+1+Instant(i)*60_000)); err != nil {
			t.Fatal(err)
		}
	}
	st := g.state("DC1")
	if howFar(st).Gone == 0 {
		t.Fatalf("no sums are gone: %+v", howFar(st))
	}
	late := movedAt(9999, Receipt, 7, start-hour)
	late.RecordedAt = g.head().Clock
	before := g.positions()[0].States[OnHand]
	out, err := g.append(late)
	if err != nil || !out.Late || g.positions()[0].States[OnHand] != before {
		t.Fatalf("a movement of before the count: %+v, %v; on hand %v, was %v", out, err, g.positions()[0].States[OnHand], before)
	}
}

// A sum is never after what it sums: a count as of the very end of the blurred part
// sees all of it, though the minute is not over.
func TestCountAtTheEndOfTheBlurredPart(t *testing.T) {
	g := newLog(t, scenarioKey, false)
	g.policy.Limits.Entries = SegmentSize
	start, _ := clock("10:00")
	for i := range 1000 { // ten a second
		if _, err := g.append(movedAt(i, Receipt, 1, start+Instant(i)*100)); err != nil {
			t.Fatal(err)
		}
	}
	blurred := howFar(g.state("DC1")).Blurred
	if blurred%60_000 == 0 || blurred <= start {
		t.Fatalf("blurred up to %d", blurred-start)
	}
	n := int((blurred-start)/100) + 1 // received up to then
	out, err := g.append(countedAt(1, n, blurred, start+hour, "DC1"))
	if err != nil || len(out.Moves) != 0 || slices.Contains(out.Codes, CodeInexact) {
		t.Fatalf("a count of what was there moved %+v, %v, %v", out.Moves, out.Codes, err)
	}
	if out, err = g.append(countedAt(2, n-1, blurred-1, start+hour, "DC1")); err != nil || !slices.Contains(out.Codes, CodeInexact) {
		t.Fatalf("a count as of before: %v, %v", out.Codes, err)
	}
}

// The journal of a busy location is bounded.
func TestJournalIsBounded(t *testing.T) {
	g := newLog(t, scenarioKey, false)
	start, _ := clock("00:00")
	for i := range 60_000 { // a movement a second for 16 hours
		if _, err := g.append(movedAt(i, Receipt, 1, start+Instant(i)*1000)); err != nil {
			t.Fatal(err)
		}
		if i%5000 == 0 {
			g.mem.store(t, g.ledger)
		}
	}
	st := g.state("DC1")
	exact := st.More.JournalCount - howFar(st).From*SegmentSize
	if exact > 4096+SegmentSize || exact < 4096-SegmentSize {
		t.Errorf("%d entries are kept exactly", exact)
	}
	sums := 0
	for _, p := range g.mem.pieces {
		if p.Kind == PieceJournal && p.N[1][0] == '-' {
			sums += len(p.Journal)
		}
	}
	if sums < 900 || sums > 1000 { // 56,000 seconds are about 930 minutes
		t.Errorf("%d sums", sums)
	}
	if got := g.stored(PieceJournal); got > 17+4+1 {
		t.Errorf("%d segments are stored", got)
	}
}

// howFar is how far back a location's journal is exact.
func howFar(st *LocationState) Trimmed {
	if st.More == nil || st.More.Trimmed == nil {
		return Trimmed{}
	}
	return *st.More.Trimmed
}
