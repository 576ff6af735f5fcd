package inventory_test

import (
	"runtime"
	"slices"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

const (
	hour = Instant(3_600_000)
	days = 24 * hour
)

// at is a movement that occurred and was recorded at a time.
func movedAt(n int, typ MovementType, q int, t Instant) Event {
	ev := movement(n, typ, "DC1", q)
	ev.OccurredAt, ev.ReceivedAt, ev.RecordedAt = t, t, t
	return ev
}

// stored is how many pieces of a kind are kept.
func (g *log) stored(kind string) (n int) {
	if !g.reload {
		g.mem.store(g.t, g.ledger)
	}
	for _, p := range g.mem.pieces {
		if p.Kind == kind {
			n++
		}
	}
	return n
}

// Ids are forgotten by segments once all in them are older than the window; what is
// older than the last one forgotten can no longer be told from a repeat, and parks.
func TestIdsAreForgottenAfterTheWindow(t *testing.T) {
	for _, reload := range []bool{false, true} {
		g := newLog(t, scenarioKey, reload)
		start, _ := clock("00:00")
		const n = 2000
		for i := range n { // 40 days, an event half an hour or so
			if out, err := g.append(movedAt(i, Receipt, 1, start+Instant(i)*days/50)); err != nil || out.Kind != Applied || len(out.Codes) > 0 {
				t.Fatalf("event %d: %+v, %v", i, out, err)
			}
		}
		head := g.head()
		if head.Window.From < 3 || head.Window.From > 5 {
			t.Fatalf("window %+v: 14 of 40 days are about 700 of 2000 ids", head.Window)
		}
		if got, want := int64(g.stored(PieceIDs)), (head.IDCount+SegmentSize-1)/SegmentSize-head.Window.From; got != want {
			t.Errorf("%d segments are stored, want %d", got, want)
		}
		if head.Window.Start > head.Clock-14*days || head.Window.Start < start {
			t.Errorf("window begins at %d, the clock is %d", head.Window.Start, head.Clock)
		}
		before := describe(g.positions())
		for i := range n {
			if i >= 200 && i < 1000 {
				continue // fewer wait than may
			}
			ev := movedAt(i, Receipt, 1, start+Instant(i)*days/50)
			ev.RecordedAt = head.Clock
			want := Duplicate
			switch before := head.Window.Start - ev.OccurredAt; {
			case before > (MaxRecentIDs+1)*days/50:
				want = Parked
			case before > 0: // it may be known all the same: a segment's time is that of its key when it was full
				continue
			}
			if out, err := g.append(ev); err != nil || out.Kind != want || want == Parked && !slices.Equal(out.Codes, []Code{CodeBeforeWindow}) {
				t.Fatalf("event %d again: %s %v, %v, want %s", i, out.Kind, out.Codes, err, want)
			}
			if i%97 == 0 { // and once more: a parked event is known from then on
				if out, _ := g.append(ev); out.Kind != Duplicate {
					t.Fatalf("event %d a third time: %s", i, out.Kind)
				}
			}
		}
		if after := describe(g.positions()); after != before {
			t.Errorf("repeats changed\n%sinto\n%s", before, after)
		}
		old := movedAt(0, Receipt, 1, start)
		word := Event{
			ID: testID("word"), Kind: KindApproval, Key: scenarioKey, Source: "console", OccurredAt: head.Clock, OccurredBasis: BasisReceipt,
			RecordedAt: head.Clock, Approval: &Approval{Event: old.ID, Release: ReleaseApply, Author: "ann"},
		}
		if _, err := g.append(word); err != nil || len(g.also) != 1 || g.also[0].Kind != Applied || g.also[0].EventID != old.ID {
			t.Fatalf("approved: %+v, %v", g.also, err)
		}
		if g.also[0].Offset != 2000 || g.also[0].RecordedAt != head.Clock {
			t.Errorf("its outcome is of offset %d, recorded %d", g.also[0].Offset, g.also[0].RecordedAt)
		}
	}
}

// A busy key keeps so many ids whatever their age, and no more: then its window
// advances, which the outcome says.
func TestWindowAdvancesOnABusyKey(t *testing.T) {
	g := newLog(t, scenarioKey, false)
	g.policy.Limits.IDs = 1000
	start, _ := clock("00:00")
	told := 0
	for i := range 3000 {
		out, err := g.append(movedAt(i, Receipt, 1, start+Instant(i)*1000))
		if err != nil || out.Kind != Applied {
			t.Fatalf("event %d: %+v, %v", i, out, err)
		}
		if slices.Contains(out.Codes, CodeWindowAdvanced) {
			told++
		}
		h := g.head()
		if held := h.IDCount - h.Window.From*SegmentSize + int64(len(h.IDs)); i >= 1000 && held < 1000 || held > 1000+2*SegmentSize {
			t.Fatalf("after %d events %d ids are remembered", i+1, held)
		}
	}
	h := g.head()
	if told == 0 || h.Window.Start <= start || h.Window.Start > start+3000*1000 {
		t.Fatalf("told %d times, window %+v", told, h.Window)
	}
	// What is within it is known. Of what is not, the last may be all the same: a
	// segment's time is that of its key when it was full.
	for _, d := range []struct {
		at   Instant
		want OutcomeKind
	}{{h.Window.Start + 999, Duplicate}, {h.Window.Start - (MaxRecentIDs+1)*1000, Parked}} {
		i := int((d.at - start) / 1000)
		ev := movedAt(i, Receipt, 1, start+Instant(i)*1000)
		ev.RecordedAt = h.Clock
		if out, _ := g.append(ev); out.Kind != d.want {
			t.Errorf("event %d again: %s, want %s", i, out.Kind, d.want)
		}
	}
}

// History that is loaded late does not shorten the window: that is in the time of
// the events.
func TestWindowIsInEventTime(t *testing.T) {
	g := newLog(t, scenarioKey, false)
	g.policy.Limits.IDs = 500
	now, _ := clock("12:00")
	for i := range 2000 {
		ev := movedAt(i, Receipt, 1, now-300*days+Instant(i)*hour)
		ev.ReceivedAt, ev.RecordedAt = now, now
		if out, err := g.append(ev); err != nil || out.Kind != Applied {
			t.Fatalf("event %d of the past: %s %v, %v", i, out.Kind, out.Codes, err)
		}
	}
}

// What waits is known for as long as it does, even when its id is forgotten.
func TestWhatWaitsIsKnownBeyondTheWindow(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	g.policy.Limits.IDs = 300
	start, _ := clock("00:00")
	waits := reversalOf(1, "a", start)
	if out, err := g.append(waits); err != nil || out.Kind != Parked {
		t.Fatal(out.Kind, err)
	}
	for i := range 1000 {
		if _, err := g.append(movedAt(10+i, Receipt, 1, start+Instant(i)*1000)); err != nil {
			t.Fatal(err)
		}
	}
	waits.RecordedAt = g.head().Clock
	if out, err := g.append(waits); err != nil || out.Kind != Duplicate || g.head().Queue.Parked != 1 {
		t.Fatalf("sent again it became %s, %v; %d wait", out.Kind, err, g.head().Queue.Parked)
	}
	waits.Movement.Quantity++
	if out, err := g.append(waits); err != nil || out.Kind != Conflict {
		t.Fatalf("with other content it became %s, %v", out.Kind, err)
	}
}

// A request older than the window is denied: nobody waits for it.
func TestOldRequestIsDenied(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	g.policy.Limits.IDs = 300
	start, _ := clock("00:00")
	for i := range 1000 {
		if _, err := g.append(movedAt(i, Receipt, 1, start+Instant(i)*1000)); err != nil {
			t.Fatal(err)
		}
	}
	try := movedAt(1, Receipt, 1, start)
	try.ID, try.Kind, try.Movement, try.RecordedAt = testID("try"), KindReservation, nil, g.head().Clock
	try.Reservation = &Reservation{
		ID: "r", Action: Try, Partner: "web", ExpiresAt: try.RecordedAt + hour, ReplyTo: 3,
		Lines: []ReservationLine{{Line: "1", Location: "DC1", Quantity: One}},
	}
	out, err := g.append(try)
	if err != nil || out.Kind != Denied || out.Answer == nil || out.Answer.Verdict != VerdictDenied || out.Answer.Code != CodeBeforeWindow || out.Answer.ReplyTo != 3 {
		t.Fatalf("became %+v, %v", out, err)
	}
	if out, err = g.append(try); err != nil || out.Kind != Duplicate || out.Answer.Code != CodeBeforeWindow {
		t.Fatalf("again: %+v, %v", out, err)
	}
}

// head is the ledger's head as stored.
func (g *log) head() *Head {
	if !g.reload {
		g.mem.store(g.t, g.ledger)
	}
	return g.mem.Head()
}

// BenchmarkHotKey measures a key that remembers 100,000 ids: what an event costs,
// and what the ids take in memory, however many have been forgotten.
func BenchmarkHotKey(b *testing.B) {
	m := newMemory(scenarioKey)
	l := NewLedger(scenarioKey, m)
	p := Policy{}
	var before, after runtime.MemStats
	i := 0
	apply := func() {
		ev := movedAt(i, Receipt, 1, 1_772_000_000_000+Instant(i))
		if _, err := l.Apply(&p, &ev, At{Lineage: 1, Offset: int64(i)}); err != nil {
			b.Fatal(err)
		}
		if i++; i%1000 == 0 {
			l.Changed(func(p Piece) {
				if k := StateKey(m.key, p.Kind, p.N...); p.Deleted {
					delete(m.pieces, k)
				} else {
					m.pieces[k] = clonePiece(p)
				}
			})
			l.ClearChanged()
		}
	}
	for range 300_000 {
		apply()
	}
	for b.Loop() {
		apply()
	}
	b.StopTimer()
	l.Changed(func(p Piece) { m.pieces[StateKey(m.key, p.Kind, p.N...)] = clonePiece(p) })
	l.ClearChanged()
	runtime.GC()
	runtime.ReadMemStats(&before)
	runtime.KeepAlive(l)
	l = NewLedger(scenarioKey, m)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(before.HeapAlloc-after.HeapAlloc), "index-B")
	h := m.Head()
	b.ReportMetric(float64(h.IDCount-h.Window.From*SegmentSize), "ids")
}
