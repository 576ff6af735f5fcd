package atpapi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/policy/heard"
	"github.com/stockweave/stockweave/pkg/stream"
)

// fakeLog is a partition in memory. Offsets may have gaps, as markers and
// compaction leave them.
type fakeLog struct {
	mu    sync.Mutex
	topic string
	start int64
	end   int64
	recs  []*stream.Record
}

func (l *fakeLog) Topic(context.Context, string) (string, int32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.topic, 1, nil
}

func (l *fakeLog) LogStart(context.Context, string, int32) (int64, error) { return l.start, nil }

func (l *fakeLog) LastStable(context.Context, string, int32) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end, nil
}

func (l *fakeLog) NextRecord(_ context.Context, _ string, _ int32, from int64) (int64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.recs {
		if r.Offset >= from {
			return r.Offset, true, nil
		}
	}
	return max(from, l.end), false, nil
}

// commit appends the parts of one transaction and its marker.
func (l *fakeLog) commit(t *testing.T, c *event.Codecs, item string, version int64, onHand map[inventory.Location]int64) []*stream.Record {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*stream.Record
	part := int32(0)
	for _, loc := range []inventory.Location{"DC1", "DC2", "DC3"} {
		q, ok := onHand[loc]
		if !ok {
			continue
		}
		part++
		p := inventory.Position{
			Key: inventory.Key{Entity: "acme", Item: inventory.Item(item)}, Location: loc, Version: version,
			Part: part, Parts: int32(len(onHand)), RecordedAt: inventory.Instant(1_700_000_000_000 + version), EventID: "e", PolicyVersion: 1,
		}
		p.States[inventory.OnHand] = inventory.Quantity(q) * inventory.One
		value, err := c.AppendPosition(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		rec := &stream.Record{
			Topic: event.TopicPositions, Key: []byte(inventory.PositionKey(p.Key, loc)), Value: value,
			Offset: l.end, Timestamp: time.UnixMilli(1_700_000_000_000 + version),
		}
		l.end++
		l.recs = append(l.recs, rec)
		out = append(out, rec)
	}
	l.end++ // the marker
	return out
}

// rig is a projector and a reader over one Redis.
type rig struct {
	*projector
	reader *reader
	codecs *event.Codecs
	flog   *fakeLog
	dead   []stream.DeadLetter
	now    time.Time
}

func newRig(t *testing.T, s *store, l *fakeLog) *rig {
	t.Helper()
	return newRigOf(t, event.TestCodecs(), s, l)
}

func newRigOf(t *testing.T, codecs *event.Codecs, s *store, l *fakeLog) *rig {
	t.Helper()
	count, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{codecs: codecs, flog: l, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return r.now }
	r.projector = &projector{
		store: s, log: l, codecs: codecs, now: now, logger: slog.New(slog.DiscardHandler), count: count, parts: map[int32]*projection{},
		dead: func(_ context.Context, d stream.DeadLetter) error {
			r.dead = append(r.dead, d)
			return nil
		},
	}
	r.reader = &reader{store: s, codecs: codecs, places: place.New(codecs), now: now}
	r.reader.setPartitions(1)
	r.promiseBy(t, policy.ATPPolicy{})
	return r
}

// promiseBy makes the reader promise by a policy.
func (r *rig) promiseBy(t *testing.T, a policy.ATPPolicy, channels ...policy.Channel) {
	t.Helper()
	p, err := policy.NewPromises(&a, channels)
	if err != nil {
		t.Fatal(err)
	}
	r.reader.policies = current.New(r.codecs, p, slog.New(slog.DiscardHandler))
	cfg := heard.Config{
		Codecs: r.codecs, Policies: r.reader.policies, Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler),
	}
	r.reader.views = heard.NewViews(cfg)
	r.reader.heard, err = heard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.reader.heard.Covers(time.UnixMilli(0))
}

// hears takes the receipt of a message of a source, which came so long ago.
func (r *rig) hears(t *testing.T, source inventory.Source, ago time.Duration) {
	t.Helper()
	value, err := r.codecs.AppendReceipt(nil, &event.Receipt{RawID: "r", Source: source, At: inventory.Instant(r.now.Add(-ago).UnixMilli())})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.reader.heard.Apply(&stream.Record{Value: value}); err != nil {
		t.Fatal(err)
	}
}

// run starts the partition and feeds it the log in polls of n, as the worker does.
func (r *rig) run(t *testing.T, n int) {
	t.Helper()
	from, err := r.start(t.Context(), event.TopicPositions, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.feed(t, from, n)
}

func (r *rig) feed(t *testing.T, from int64, n int) {
	t.Helper()
	var poll []*stream.Record
	flush := func() {
		if len(poll) > 0 {
			if _, err := r.batch(t.Context(), poll); err != nil {
				t.Fatal(err)
			}
			poll = nil
		}
	}
	for _, rec := range r.flog.recs {
		if rec.Offset >= from {
			if poll = append(poll, rec); len(poll) == n {
				flush()
			}
		}
	}
	flush()
	if err := r.check(t.Context(), event.TopicPositions, 0); err != nil {
		t.Fatal(err)
	}
}

// get reads an item; it fails the test unless the answer is of the wanted code,
// empty for an answer.
func (r *rig) get(t *testing.T, item, code string) *answer {
	t.Helper()
	a, bad := r.reader.read(t.Context(), query{key: inventory.Key{Entity: "acme", Item: inventory.Item(item)}})
	got := ""
	if bad != nil {
		got = bad.code
	}
	if got != code {
		t.Fatalf("%s: code %q (%v), want %q", item, got, bad, code)
	}
	return a
}

func TestPartsOfACommitBecomeVisibleTogether(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		r := newRig(t, s, &fakeLog{topic: "t1"})
		r.flog.commit(t, r.codecs, "A", 1, map[inventory.Location]int64{"DC1": 10, "DC2": 10})
		r.run(t, 100)
		if a := r.get(t, "A", ""); a.ATP != "20" || a.Version != 1 {
			t.Fatalf("loaded %+v", a)
		}
		parts := r.flog.commit(t, r.codecs, "A", 2, map[inventory.Location]int64{"DC1": 4, "DC2": 16})
		if _, err := r.batch(t.Context(), parts[:1]); err != nil {
			t.Fatal(err)
		}
		if a := r.get(t, "A", ""); a.ATP != "20" || a.Version != 1 || a.Locations[0].ATP != "10" {
			t.Errorf("one part of a commit is visible: %+v", a)
		}
		// A restart in between reads the first part again: the mark did not pass it.
		if m, _, _ := s.mark(t.Context(), 0); m.next > parts[0].Offset {
			t.Errorf("mark at %d, beyond the part that waits at %d", m.next, parts[0].Offset)
		}
		if _, err := r.batch(t.Context(), parts[1:]); err != nil {
			t.Fatal(err)
		}
		if a := r.get(t, "A", ""); a.Version != 2 || a.Locations[0].ATP != "4" || a.Locations[1].ATP != "16" {
			t.Errorf("after both parts: %+v", a)
		}
		// Parts out of order, with another item between, and a repeat.
		parts = r.flog.commit(t, r.codecs, "A", 3, map[inventory.Location]int64{"DC1": 1, "DC2": 2, "DC3": 3})
		other := r.flog.commit(t, r.codecs, "B", 1, map[inventory.Location]int64{"DC1": 7})
		for _, rec := range []*stream.Record{parts[2], parts[0], parts[0], other[0]} {
			if _, err := r.batch(t.Context(), []*stream.Record{rec}); err != nil {
				t.Fatal(err)
			}
		}
		if a := r.get(t, "A", ""); a.Version != 2 {
			t.Errorf("visible before its last part: %+v", a)
		}
		if a := r.get(t, "B", ""); a.ATP != "7" {
			t.Errorf("an item waits for another: %+v", a)
		}
		if _, err := r.batch(t.Context(), parts[1:2]); err != nil {
			t.Fatal(err)
		}
		if a := r.get(t, "A", ""); a.Version != 3 || len(a.Locations) != 3 {
			t.Errorf("after the last part: %+v", a)
		}
	})
}

// TestCompactedPartsAreNotWaitedFor: of a commit only one part is left in the log.
func TestCompactedPartsAreNotWaitedFor(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		r := newRig(t, s, &fakeLog{topic: "t1"})
		r.run(t, 10)
		parts := r.flog.commit(t, r.codecs, "A", 2, map[inventory.Location]int64{"DC1": 4, "DC2": 16})
		if _, err := r.batch(t.Context(), parts[:1]); err != nil {
			t.Fatal(err)
		}
		r.get(t, "A", "unknown_item")
		r.flog.recs = r.flog.recs[:1] // the second one is compacted away
		if err := r.check(t.Context(), event.TopicPositions, 0); err != nil {
			t.Fatal(err)
		}
		if a := r.get(t, "A", ""); a.ATP != "4" {
			t.Errorf("got %+v", a)
		}
		if m, _, _ := s.mark(t.Context(), 0); m.next != r.flog.end {
			t.Errorf("mark at %d, want the end %d", m.next, r.flog.end)
		}
	})
}

func TestFlushAllCostsAReload(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		r := newRig(t, s, &fakeLog{topic: "t1"})
		for v := int64(1); v <= 40; v++ {
			r.flog.commit(t, r.codecs, "A", v, map[inventory.Location]int64{"DC1": v, "DC2": 2 * v})
			r.flog.commit(t, r.codecs, "B", v, map[inventory.Location]int64{"DC3": v})
		}
		r.run(t, 7)
		beforeA, beforeB := r.get(t, "A", ""), r.get(t, "B", "")

		if err := s.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r.get(t, "A", "not_caught_up")
		var back stream.Rewind
		// Noticed although nothing flows.
		if err := r.check(t.Context(), event.TopicPositions, 0); !errors.As(err, &back) || back.Offset != 0 {
			t.Fatalf("check returned %v, want a rewind to 0", err)
		}
		r.get(t, "A", "not_caught_up")
		// Records that were fetched before the rewind do not skip what lies between.
		if _, err := r.batch(t.Context(), r.flog.recs[50:55]); !errors.As(err, &back) || back.Offset != 0 {
			t.Fatalf("a later batch returned %v, want a rewind to 0", err)
		}
		if _, err := r.batch(t.Context(), r.flog.recs[:60]); err != nil {
			t.Fatal(err)
		}
		r.get(t, "A", "not_caught_up")
		r.feed(t, r.flog.recs[60].Offset, 7)
		afterA, afterB := r.get(t, "A", ""), r.get(t, "B", "")
		if afterA.ATP != beforeA.ATP || afterA.Version != beforeA.Version || afterB.ATP != beforeB.ATP || tagOf(t, afterB) != tagOf(t, beforeB) {
			t.Errorf("A %+v → %+v, B %+v → %+v", beforeA, afterA, beforeB, afterB)
		}

		// The same, found by a write.
		if err := s.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		recs := r.flog.commit(t, r.codecs, "B", 41, map[inventory.Location]int64{"DC3": 99})
		if _, err := r.batch(t.Context(), recs); !errors.As(err, &back) || back.Offset != 0 {
			t.Fatalf("writing returned %v, want a rewind to 0", err)
		}
		r.feed(t, 0, 100)
		if a := r.get(t, "B", ""); a.ATP != "99" {
			t.Errorf("got %+v", a)
		}
	})
}

// TestARedisThatFellBack stands for a failover to a replica that lacks the last
// writes: nothing is answered from it, and the missing part is read again.
func TestARedisThatFellBack(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		r := newRig(t, s, &fakeLog{topic: "t1"})
		r.flog.commit(t, r.codecs, "A", 1, map[inventory.Location]int64{"DC1": 1})
		r.run(t, 10)
		oldMark := s.rdb.Get(t.Context(), markKey(0)).Val()
		oldItem := s.rdb.HGetAll(t.Context(), itemKey(0, "acme|A")).Val()
		recs := r.flog.commit(t, r.codecs, "A", 2, map[inventory.Location]int64{"DC1": 2})
		if _, err := r.batch(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
		r.get(t, "A", "")
		s.rdb.Set(t.Context(), markKey(0), oldMark, 0)
		s.rdb.Del(t.Context(), itemKey(0, "acme|A"))
		s.rdb.HSet(t.Context(), itemKey(0, "acme|A"), oldItem)

		r.get(t, "A", "not_caught_up") // before the projector has noticed
		var back stream.Rewind
		if err := r.check(t.Context(), event.TopicPositions, 0); !errors.As(err, &back) || back.Offset != recs[0].Offset {
			t.Fatalf("check returned %v, want a rewind to %d", err, recs[0].Offset)
		}
		r.get(t, "A", "not_caught_up")
		r.feed(t, back.Offset, 10)
		if a := r.get(t, "A", ""); a.Version != 2 {
			t.Errorf("got %+v", a)
		}
	})
}

// TestAnotherLogStartsOver: an offset of another topic, or beyond the log's end,
// says nothing about this log, and what it brought is removed.
func TestAnotherLogStartsOver(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		for name, change := range map[string]func(*fakeLog){
			"recreated topic": func(l *fakeLog) { l.topic = "t2" },
			"truncated log":   func(*fakeLog) {},
		} {
			t.Run(name, func(t *testing.T) {
				s.rdb.FlushAll(t.Context())
				old := newRig(t, s, &fakeLog{topic: "t1"})
				for v := int64(1); v <= 20; v++ {
					old.flog.commit(t, old.codecs, "A", v, map[inventory.Location]int64{"DC1": v})
				}
				old.flog.commit(t, old.codecs, "GONE", 1, map[inventory.Location]int64{"DC1": 1})
				old.run(t, 10)

				l := &fakeLog{topic: "t1"}
				change(l)
				r := newRig(t, s, l)
				l.commit(t, r.codecs, "A", 1, map[inventory.Location]int64{"DC1": 5})
				from, err := r.start(t.Context(), event.TopicPositions, 0)
				if err != nil || from != 0 {
					t.Fatalf("starts at %d, %v; want 0", from, err)
				}
				r.get(t, "A", "not_caught_up")
				r.feed(t, from, 10)
				if a := r.get(t, "A", ""); a.ATP != "5" || a.Version != 1 {
					t.Errorf("got %+v", a)
				}
				r.get(t, "GONE", "unknown_item")
			})
		}
	})
}

// TestAnInterruptedRestartIsFound: emptying stopped half way.
func TestAnInterruptedRestartIsFound(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		r := newRig(t, s, &fakeLog{topic: "t1"})
		r.flog.commit(t, r.codecs, "A", 1, map[inventory.Location]int64{"DC1": 5})
		s.rdb.HSet(t.Context(), itemKey(0, "acme|A"), "DC1", number(99)+"left over")
		s.rdb.Set(t.Context(), markKey(0), mark{topic: emptying("t1")}.String(), 0)
		r.get(t, "A", "not_caught_up")
		r.run(t, 10)
		if a := r.get(t, "A", ""); a.Version != 1 {
			t.Errorf("got %+v", a)
		}
	})
}

func TestUnreadablePositionsGoToTheDeadLetters(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		r := newRig(t, s, &fakeLog{topic: "t1"})
		r.flog.commit(t, r.codecs, "A", 1, map[inventory.Location]int64{"DC1": 5})
		r.flog.commit(t, r.codecs, "B", 1, map[inventory.Location]int64{"DC1": 6})
		r.flog.commit(t, r.codecs, "C", 1, map[inventory.Location]int64{"DC1": 7})
		r.flog.commit(t, r.codecs, "D", 1, map[inventory.Location]int64{"DC1": 8})
		r.flog.recs[0].Value = []byte("junk")
		r.flog.recs[1].Key = []byte("acme|X|DC1")
		r.flog.recs[2].Value = nil
		r.run(t, 10)
		var codes []string
		for _, d := range r.dead {
			codes = append(codes, d.Code)
		}
		if len(codes) != 3 || codes[0] != "undecodable" || codes[1] != "key_mismatch" || codes[2] != "no_value" {
			t.Errorf("dead letters %v", codes)
		}
		if a := r.get(t, "D", ""); a.ATP != "8" {
			t.Errorf("got %+v", a)
		}
	})
}

// TestAnIdlePartitionIsFresh: the watermark moves without records.
func TestAnIdlePartitionIsFresh(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		r := newRig(t, s, &fakeLog{topic: "t1"})
		r.flog.commit(t, r.codecs, "A", 1, map[inventory.Location]int64{"DC1": 5})
		r.run(t, 10)
		r.now = r.now.Add(time.Hour)
		if a := r.get(t, "A", ""); a.Freshness.AgeMS != time.Hour.Milliseconds() {
			t.Errorf("age %d ms, want an hour: nobody has looked since", a.Freshness.AgeMS)
		}
		if err := r.check(t.Context(), event.TopicPositions, 0); err != nil {
			t.Fatal(err)
		}
		a := r.get(t, "A", "")
		if a.Freshness.AgeMS != 0 || !a.Freshness.CaughtUp || a.Freshness.RecordedAt != "2023-11-14T22:13:20.001Z" {
			t.Errorf("freshness %+v", a.Freshness)
		}
	})
}

// TestAFailedBatchIsForgotten: the worker hands it over again whole.
func TestAFailedBatchIsForgotten(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		r := newRig(t, s, &fakeLog{topic: "t1"})
		r.run(t, 10)
		parts := r.flog.commit(t, r.codecs, "A", 1, map[inventory.Location]int64{"DC1": 4, "DC2": 16})
		if _, err := r.batch(t.Context(), parts[:1]); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.batch(gone, parts[1:]); err == nil {
			t.Fatal("no error from a Redis that cannot be reached")
		}
		if _, err := r.batch(t.Context(), parts[1:]); err != nil {
			t.Fatal(err)
		}
		if a := r.get(t, "A", ""); a.ATP != "20" {
			t.Errorf("got %+v: the first part was lost with the failed batch", a)
		}
	})
}

func tagOf(t *testing.T, a *answer) string {
	t.Helper()
	tag, err := a.tag()
	if err != nil {
		t.Fatal(err)
	}
	return tag
}
