//go:build synctests

package stream

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// shadowed are the aliases of a shadow, whose topics it makes.
func (b *bubble) shadowed(partitions int32) Aliases {
	b.t.Helper()
	a := Aliases{topicState: "state.s", topicOut: "out.s", topicDead: "dead.s"}
	b.makeTopics(partitions, "state.s", "out.s", "dead.s")
	return a
}

func (b *bubble) makeTopics(partitions int32, names ...string) {
	b.t.Helper()
	res, err := kadm.NewClient(b.cl).CreateTopics(context.Background(), partitions, 3, nil, names...)
	if err != nil || res.Error() != nil {
		b.t.Fatal(err, res.Error())
	}
}

func (b *bubble) aliased(a Aliases) func(*RunnerConfig) {
	return func(c *RunnerConfig) { c.Aliases, c.Group = a, "shadow-"+group }
}

func alike(_, value []byte) ([]byte, error) { return value, nil }

// A shadow is folded by the same processor into topics of its own: what it gives is
// the live state, and a piece that is not is found, named and shown.
func TestShadow(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		ctx := context.Background()
		live := b.runner("0", &counter{})
		b.put(0, "a", "b", "a", "junk")
		b.put(1, "c")
		b.until("commit", func() bool { return b.groupOffset(0) == 4 && b.groupOffset(1) == 1 })
		o := b.operator(b.ledger(), nil)
		a := b.shadowed(2)
		l := b.ledger()
		l.Group = "shadow-" + group
		s := b.operator(l, a)
		standings, err := o.Standings(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Seed(ctx, standings); err != nil {
			t.Fatal(err)
		}
		outs := len(b.committed(topicOut, 0))
		w := b.runner("0", &counter{}, b.aliased(a))
		b.until("the shadow", func() bool {
			left, err := s.Reaches(ctx, []int64{3, 0})
			return err == nil && left == 0
		})
		w.stop()
		if got := len(b.committed(topicOut, 0)); got != outs {
			t.Errorf("the shadow wrote %d live outputs", got-outs)
		}
		if got := b.values("out.s", 0); got != b.values(topicOut, 0) {
			t.Errorf("shadow outputs %q, live %q", got, b.values(topicOut, 0))
		}
		compare := func(p int32, only map[string]bool) *Compared {
			t.Helper()
			c, err := o.Compare(ctx, s, p, Comparison{Alike: alike, Only: only})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if c := compare(0, nil); c.Equal != 3 || c.Differ != 0 || len(c.Moved) != 0 || c.First != nil ||
			c.Live.Lineage != 1 || c.Shadow.Lineage != 2 || c.Live.AppliedThrough != 3 || c.Shadow.AppliedThrough != 3 {
			t.Errorf("%+v", c)
		}

		// Live goes on: its keys are named, the others compared.
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		if c := compare(0, nil); c.Equal != 2 || c.Differ != 0 || len(c.Moved) != 1 || !c.Moved["a"] {
			t.Errorf("%+v", c)
		}
		w = b.runner("0", &counter{}, b.aliased(a))
		b.until("the shadow", func() bool {
			left, err := s.Reaches(ctx, []int64{4, 0})
			return err == nil && left == 0
		})
		w.stop()
		if c := compare(0, map[string]bool{"a": true}); c.Equal != 1 || c.Differ != 0 || len(c.Moved) != 0 {
			t.Errorf("%+v", c)
		}

		live.stop()
		b.putState("b|h", []byte("7"))
		b.putState("z|h", []byte("1"))
		if c := compare(0, nil); c.Equal != 2 || c.Differ != 2 || c.First == nil || c.First.Key != "b|h" || string(c.First.Live) != "7" || string(c.First.Shadow) != "1" {
			t.Errorf("%+v %+v", c, c.First)
		}
		if c := compare(1, nil); c.Equal != 1 || c.Differ != 0 {
			t.Errorf("%+v", c)
		}
		if err := s.Seed(ctx, standings); err != nil {
			t.Errorf("a shadow does not go on: %v", err)
		}
		standings[0].Header.Lineage = 2
		refusedFor(t, s.Seed(ctx, standings), "shadow of another state")
	})
}

// At rest means: nobody at work, nothing left to apply.
func TestStill(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		ctx := context.Background()
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		o := b.operator(b.ledger(), nil)
		_, err := o.Still(ctx, nil)
		refusedFor(t, err, "members at work")
		w.stop()
		if _, err = o.Still(ctx, nil); err != nil {
			t.Fatal(err)
		}
		b.put(0, "a", "a")
		_, err = o.Still(ctx, nil)
		refusedFor(t, err, "2 records are left to apply")
	})
}

// An offset ahead of the state's header is taken back, and the worker starts.
func TestAlign(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		ctx := context.Background()
		b.put(0, "a", "a", "a")
		b.putHeader(b.trueHeader(0))
		b.setGroupOffset(0, 3)
		if err := b.operator(b.ledger(), nil).Align(ctx); err != nil {
			t.Fatal(err)
		}
		if off := b.groupOffset(0); off != 1 {
			t.Fatalf("the group stands at %d", off)
		}
		w := b.runner("0", &counter{})
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		w.stop()
		b.wantOut(0, "a1 a2")
		if err := b.operator(b.ledger(), nil).Align(ctx); err != nil || b.groupOffset(0) != 3 {
			t.Errorf("%v, offset %d", err, b.groupOffset(0))
		}
	})
}

// Names are resolved wherever the package meets the cluster.
func TestAliases(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		ctx := context.Background()
		b.makeTopics(2, "in.g", "out.g", "dead.g")
		cfg := b.config("0")
		cfg.Aliases = Aliases{topicIn: "in.g", topicOut: "out.g", topicDead: "dead.g"}
		cfg.MaxBatch = func(topic string) int32 {
			if topic == "in.g" || topic == "out.g" {
				t.Errorf("limit of %s asked for by its own name", topic)
			}
			return 1 << 20
		}
		p, err := NewProducer(cfg, WithOwnPartition(topicIn))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Produce(ctx, &Record{Topic: topicIn, Partition: 1, Key: []byte("k"), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		if got := b.values("in.g", 1); got != "v" {
			t.Fatalf("in.g holds %q", got)
		}
		var seen []string
		worker, err := NewWorker(WorkerConfig{
			Config: cfg, Group: "names", Topics: []string{topicIn}, Dead: deadLetters,
			Handle: func(_ context.Context, rec *Record) ([]*Record, error) {
				seen = append(seen, rec.Topic)
				return []*Record{{Topic: topicOut, Value: []byte("o")}}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		wctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- worker.Run(wctx) }()
		b.until("output", func() bool { return b.values("out.g", 0)+b.values("out.g", 1) == "o" })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !slices.Equal(seen, []string{"in.g"}) || b.values(topicOut, 0) != "" {
			t.Errorf("seen %v", seen)
		}
		table, err := NewTable(TableConfig{Config: cfg, Topic: topicIn, Apply: func(rec *Record) error {
			seen = append(seen, string(rec.Value))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		wctx, cancel = context.WithCancel(ctx)
		go func() { done <- table.Run(wctx) }()
		<-table.Loaded()
		cancel()
		if err := <-done; err != nil || strings.Join(seen, " ") != "in.g v" {
			t.Error(err, seen)
		}
		reads, err := NewRestoreReads(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer reads.Close()
		if _, n, err := reads.Topic(ctx, topicIn); err != nil || n != 2 {
			t.Error(n, err)
		}
		if end, err := reads.HighWatermark(ctx, topicIn, 1); err != nil || end != 1 {
			t.Error(end, err)
		}
		if off, err := reads.GroupOffset(ctx, "names", topicIn, 1); err != nil || off != 1 {
			t.Error(off, err)
		}
		time.Sleep(time.Second)
	})
}

// What no alias names is not written by a sealed worker: it stops, and nothing of the
// record's transaction is there.
func TestSealed(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		b.makeTopics(1, "state.s", "out.s", "dead.s")
		sealed := func(a Aliases) func(*RunnerConfig) {
			return func(c *RunnerConfig) { c.Aliases, c.Sealed = a, true }
		}
		b.put(0, "a")
		w := b.runner("0", &counter{}, sealed(Aliases{topicState: "state.s", topicDead: "dead.s"}))
		if err := w.stopped(); !errors.Is(err, ErrStop) || !strings.Contains(err.Error(), "would write to out") {
			t.Errorf("got %v, want a stop", err)
		}
		b.wantOut(0, "")
		if h := b.values("state.s", 0); h != "" {
			t.Errorf("state %q", h)
		}
		cfg := RunnerConfig{
			Config: b.config("0"), Group: group, Input: topicIn, State: topicState,
			Dead: deadLetters, Codec: jsonHeader{}, GroupOf: groupOfKey, Processor: &counter{},
		}
		cfg.Sealed = true
		if _, err := NewRunner(cfg); err == nil {
			t.Error("a sealed worker may write the live state")
		}
		w = b.runner("0", &counter{}, sealed(Aliases{topicState: "state.s", topicOut: "out.s"}), func(c *RunnerConfig) {
			c.Processor = &counter{step: func(Input, *State) error { return Rejectf("bad", "bad") }}
		})
		if err := w.stopped(); err == nil || !strings.Contains(err.Error(), "would write to dead") {
			t.Errorf("got %v, want a stop", err)
		}
		p, err := NewProducer(cfg.Config)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Produce(context.Background(), &Record{Topic: topicIn}); !errors.Is(err, ErrStop) {
			t.Errorf("a sealed producer wrote: %v", err)
		}
		if got := b.values(topicIn, 0); got != "" {
			t.Errorf("the input holds %q", got)
		}
		if got := b.values(topicDead, 0); got != "" {
			t.Errorf("dead letters %q", got)
		}
	})
}
