//go:build synctests

package stream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (b *bubble) ledger() Ledger {
	return Ledger{Group: group, Input: topicIn, State: topicState, Codec: jsonHeader{}, StoreVersion: 1, GroupOf: groupOfKey}
}

func (b *bubble) operator(l Ledger, aliases Aliases) *Operator {
	b.t.Helper()
	cfg := b.config("")
	cfg.Aliases = aliases
	o, err := NewOperator(cfg, l)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(o.Close)
	return o
}

// recreate makes the input anew, as another topic of the same name.
func (b *bubble) recreate(partitions int32, keys ...string) {
	b.t.Helper()
	adm := kadm.NewClient(b.cl)
	ctx := context.Background()
	if _, err := adm.DeleteTopic(ctx, topicIn); err != nil {
		b.t.Fatal(err)
	}
	late := "LogAppendTime"
	if _, err := adm.CreateTopic(ctx, partitions, 3, map[string]*string{"message.timestamp.type": &late}, topicIn); err != nil {
		b.t.Fatal(err)
	}
	cl, err := b.config("").client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	for _, key := range keys {
		if err := cl.ProduceSync(ctx, &Record{Topic: topicIn, Key: []byte(key)}).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
	time.Sleep(time.Second) // older than what is kept of the cluster's metadata
}

func refusedFor(t *testing.T, err error, words ...string) {
	t.Helper()
	no, ok := errors.AsType[*Refused](err)
	if !ok {
		t.Fatalf("got %v, want a refusal over %q", err, words)
	}
	for _, w := range words {
		if !strings.Contains(no.Error(), w) {
			t.Errorf("%v does not say %q", no, w)
		}
	}
}

// The input is recreated: the worker stops, a cutover says where to go on, and not one
// of the low offsets is swallowed.
func TestCutover(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		ctx := context.Background()
		w := b.runner("0", &counter{})
		b.put(0, "a", "a", "b")
		b.put(1, "c")
		b.until("commit", func() bool { return b.groupOffset(0) == 3 && b.groupOffset(1) == 1 })
		w.stop()
		o := b.operator(b.ledger(), nil)
		plan, err := o.PlanCutover(ctx, nil)
		if err != nil || len(plan.Cuts) != 0 {
			t.Fatal(plan, err)
		}
		if _, err := o.Cutover(ctx, []Cut{{Partition: 0, Old: 2, Start: FromFirst}}); err == nil {
			t.Error("a partition that goes on by itself was cut over")
		}

		b.recreate(2, "a", "b", "a")
		if err := b.runner("0", &counter{}).stopped(); !errors.Is(err, ErrStop) || !strings.Contains(err.Error(), "cutover") {
			t.Fatalf("got %v, want a stop", err)
		}
		if plan, err = o.PlanCutover(ctx, nil); err != nil || len(plan.Cuts) != 2 || plan.Cuts[0] != (Cut{0, 2, 0}) || plan.Cuts[1] != (Cut{1, 0, 0}) {
			t.Fatal(plan, err)
		}
		both := func(old0, start0 int64) []Cut { return []Cut{{0, old0, start0}, {1, 0, FromFirst}} }
		before := b.header(0)
		_, err = o.Cutover(ctx, both(1, 0))
		refusedFor(t, err, "partition 0 has applied offset 2, not 1 as stated")
		_, err = o.Cutover(ctx, both(2, 4))
		refusedFor(t, err, "holds offsets 0 to 3 and cannot go on at 4")
		_, err = o.Cutover(ctx, both(2, 0)[:1])
		refusedFor(t, err, "partition 1 needs a cutover too")
		_, err = o.Cutover(ctx, append(both(2, 0), Cut{7, 0, 0}))
		refusedFor(t, err, "no partition 7")
		if b.header(0) != before {
			t.Fatal("a refusal wrote something")
		}

		if _, err := o.Cutover(ctx, both(2, 0)); err != nil {
			t.Fatal(err)
		}
		h := b.header(0)
		if h.Lineage != 2 || h.PreviousEnd != 2 || h.Start != 0 || h.AppliedThrough != -1 || h.Origin != OriginCutover || h.TopicID == before.TopicID {
			t.Errorf("header %+v", h)
		}
		if b.groupOffset(0) != 0 || b.groupOffset(1) != 0 {
			t.Errorf("the group stands at %d and %d", b.groupOffset(0), b.groupOffset(1))
		}
		lineage := int64(0)
		w = b.runner("0", &counter{step: func(in Input, _ *State) error {
			lineage = in.Lineage
			return nil
		}})
		b.until("the new log", func() bool { return b.groupOffset(0) == 3 })
		w.stop()
		b.wantOut(0, "a1 a2 b1 a3 b2 a4")
		if lineage != 2 || w.metric("noops_total", "") != 0 {
			t.Errorf("lineage %d, no-ops %v", lineage, w.metric("noops_total", ""))
		}
		if h := b.header(0); h.PreviousEnd != 2 || h.Origin != OriginCutover || h.AppliedThrough != 2 {
			t.Errorf("the worker forgot the cutover: %+v", h)
		}
	})
}

// While a worker is a member of the group nothing is cut over.
func TestCutoverRefusesBesideAWorker(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		_, err := b.operator(b.ledger(), nil).Cutover(context.Background(), []Cut{{0, 0, 0}})
		refusedFor(t, err, group+"-0")
		w.stop()
	})
}

// A worker that stood still with a transaction open is fenced: what it wrote before
// and what it commits after do not come between.
func TestCutoverFencesAZombie(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		ctx := context.Background()
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		w.stop()
		b.recreate(2, "a")
		o := b.operator(b.ledger(), nil)
		if err := o.adm.Idle(ctx, group); err != nil {
			t.Fatal(err)
		}
		zombie := b.leaveOpen(group + "-0")
		defer zombie.Close()
		ended := make(chan error, 1)
		go func() {
			time.Sleep(5 * time.Second)
			ended <- zombie.EndTransaction(ctx, kgo.TryCommit)
		}()
		// Partition 1 was never worked on: it starts by itself.
		if _, err := o.Cutover(ctx, []Cut{{0, 0, 0}}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Error("the zombie committed after the cutover")
		}
		if s := b.state(0); len(s) != 1 || s["x|h"] != "" || b.header(0).Lineage != 2 {
			t.Errorf("state %v, header %+v", s, b.header(0))
		}
	})
}

// Of two operators the one that came first is fenced.
func TestOperatorsFenceEachOther(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		ctx := context.Background()
		o := b.operator(b.ledger(), nil)
		first, err := o.operate()
		if err != nil {
			t.Fatal(err)
		}
		defer first.close()
		if _, _, err := first.cl.ProducerID(ctx); err != nil {
			t.Fatal(err)
		}
		second, err := o.operate()
		if err != nil {
			t.Fatal(err)
		}
		defer second.close()
		rec := func() *Record { return &Record{Topic: topicState, Key: []byte("x|h"), Value: []byte("1")} }
		if err := second.write(ctx, []*Record{rec()}, nil); err != nil {
			t.Fatal(err)
		}
		if err := first.write(ctx, []*Record{rec()}, nil); err == nil {
			t.Error("both operators wrote")
		}
	})
}

// Keys move with a partition count, and lost state is not hidden.
func TestCutoverRefusesWhatItCannotMend(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		ctx := context.Background()
		o := b.operator(b.ledger(), nil)
		b.setGroupOffset(0, 1)
		b.put(0, "a", "b", "c")
		b.truncate(0, 2)
		_, err := o.PlanCutover(ctx, nil)
		refusedFor(t, err, "state was lost")

		b.setGroupOffset(0, 0)
		b.putHeader(b.trueHeader(0)) // retention took offset 1
		plan, err := o.PlanCutover(ctx, map[int32]int64{0: 2})
		if err != nil || len(plan.Cuts) != 1 || plan.Headers[0].Lineage != 5 {
			t.Fatal(plan, err)
		}
		b.recreate(3)
		_, err = o.PlanCutover(ctx, nil)
		refusedFor(t, err, "a repartition does")
	})
}
