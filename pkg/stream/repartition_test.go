//go:build synctests

package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// moves are the topics of the test's ledger in their next generation.
func moves(partitions int32) Repartition {
	late := map[string]string{"message.timestamp.type": "LogAppendTime"}
	return Repartition{Partitions: partitions, Topics: []MovedTopic{
		{From: topicIn, To: "in.g1", Spec: TopicSpec{Configs: late}, Empty: true},
		{From: topicState, To: "state.g1", Compacted: true},
		{From: topicOut, To: "out.g1", Read: true},
	}}
}

// A ledger moves to more partitions: every key is where a producer puts its events,
// goes on from what it was, and none of its events is swallowed by an old fence.
func TestRepartition(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		ctx := context.Background()
		w := b.runner("0", &counter{})
		keys := make([]string, 20)
		for i := range keys {
			keys[i] = fmt.Sprint("key-", i)
			b.put(Partition([]byte(keys[i]), 2), keys[i], keys[i])
		}
		all := func() bool { return b.groupOffset(0)+b.groupOffset(1) == 40 }
		b.until("commit", all)
		o := b.operator(b.ledger(), nil)
		r := moves(5)
		_, err := o.Repartition(ctx, r)
		refusedFor(t, err, "members at work")
		w.stop()

		// A reader that is behind would never read the rest.
		if err := o.adm.commit(ctx, "reader", topicOut, []int64{1, 0}); err != nil {
			t.Fatal(err)
		}
		_, err = o.Repartition(ctx, r)
		refusedFor(t, err, "group reader has not read all of partition 0 of out")
		ends, err := o.adm.EndOffsets(ctx, topicOut)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.adm.commit(ctx, "reader", topicOut, ends); err != nil {
			t.Fatal(err)
		}
		b.put(Partition([]byte("key-0"), 2), "key-0") // and one event too many
		_, err = o.Repartition(ctx, r)
		refusedFor(t, err, "1 records are left to apply")
		w = b.runner("0", &counter{})
		b.until("commit", func() bool { return b.groupOffset(0)+b.groupOffset(1) == 41 })
		w.stop()
		if ends, err = o.adm.EndOffsets(ctx, topicOut); err != nil {
			t.Fatal(err)
		}
		if err := o.adm.commit(ctx, "reader", topicOut, ends); err != nil {
			t.Fatal(err)
		}

		// What an attempt that broke off has left is in nobody's way.
		b.makeTopics(3, "state.g1")
		torn := &Record{Topic: "state.g1", Partition: 2, Key: []byte("key-0|h"), Value: []byte("99")}
		if err := b.cl.ProduceSync(ctx, torn).FirstErr(); err != nil {
			t.Fatal(err)
		}
		moved, err := o.Repartition(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if len(moved) != 3 || moved[1].Sum.Records != 20 || moved[2].Sum.Records != 41 || strings.Join(moved[2].Readers, "") != "reader" {
			t.Errorf("%+v", moved)
		}
		a := Aliases{topicIn: "in.g1", topicState: "state.g1", topicOut: "out.g1"}
		for _, key := range keys {
			rec := &Record{Topic: "in.g1", Partition: Partition([]byte(key), 5), Key: []byte(key)}
			if err := b.cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		n := b.operator(b.ledger(), a)
		if err := n.Align(ctx); err != nil {
			t.Fatal(err)
		}
		w = b.runner("0", &counter{}, func(c *RunnerConfig) { c.Aliases = a })
		b.until("the new log", func() bool {
			s, err := n.Standings(ctx)
			if err != nil {
				return false
			}
			applied := int64(0)
			for i := range s {
				applied += s[i].Applied() + 1
			}
			return applied == 20
		})
		w.stop()
		for p := range int32(5) {
			for _, rec := range b.committed("out.g1", p) {
				if rec.Offset >= 0 && Partition(rec.Key, 5) != p {
					t.Errorf("%s stands in partition %d", rec.Key, p)
				}
			}
		}
		got := map[string]string{}
		for p := range int32(5) {
			for _, rec := range b.committed("out.g1", p) {
				got[string(rec.Key)] += " " + strings.TrimPrefix(string(rec.Value), string(rec.Key))
			}
		}
		got["key-0"] = strings.TrimSuffix(got["key-0"], " 4") // it had one more
		for _, key := range keys {
			if got[key] != " 1 2 3" {
				t.Errorf("%s went through%s", key, got[key])
			}
		}
		s, err := n.Standings(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s {
			if h := s[i].Header; h.Lineage != 2 || h.Origin != OriginRepartition || h.Topic != "in.g1" || h.Partitions != 5 {
				t.Errorf("header %+v", h)
			}
		}
		// Its reader goes on behind the copy.
		for p := range int32(5) {
			off, err := n.reads.GroupOffset(ctx, "reader", topicOut, p)
			if err != nil || off < 0 {
				t.Errorf("reader at %d of partition %d: %v", off, p, err)
			}
		}
	})
}

// A key that stands in two partitions, which no producer makes, is not folded into
// one in silence.
func TestRepartitionFindsAKeyTwice(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.put(1, "a")
		b.until("commit", func() bool { return b.groupOffset(0)+b.groupOffset(1) == 2 })
		w.stop()
		_, err := b.operator(b.ledger(), nil).Repartition(context.Background(), moves(3))
		if !errors.Is(err, ErrStop) || !strings.Contains(err.Error(), "holds 2 records") {
			t.Errorf("got %v", err)
		}
	})
}

// An event that comes in during the copy would be in the old log alone: the copy is
// not used.
func TestRepartitionHoldsItsBarrier(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a", "b")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		w.stop()
		late := make(chan struct{})
		var once sync.Once
		b.c.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
			go once.Do(func() {
				defer close(late)
				b.put(0, "c")
			})
			return nil, nil, false
		})
		_, err := b.operator(b.ledger(), nil).Repartition(context.Background(), moves(3))
		<-late
		refusedFor(t, err, "1 records are left to apply")
	})
}

// Parts of a ledger that decide by different policies cannot be mixed, and what needs
// its old log stays there.
func TestRepartitionRefuses(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		ctx := context.Background()
		b.put(0, "a")
		h := b.trueHeader(0)
		h.Partitions, h.PolicyVersion = 2, 3
		b.putHeader(h)
		b.putState("a|h", []byte("1"))
		l := b.ledger()
		l.Bound = func([]byte, []byte) (string, error) { return "frozen", nil }
		_, err := b.operator(l, nil).Repartition(ctx, moves(3))
		refusedFor(t, err, "partition 1 decides by policy version 0", "need the old log: [a|h]")
	})
}

func TestSumIsOfTheSet(t *testing.T) {
	rec := func(k, v string) *Record { return &Record{Key: []byte(k), Value: []byte(v)} }
	sum := func(recs ...*Record) string {
		var s Sum
		for _, r := range recs {
			s.add(r)
		}
		return fmt.Sprint(s.Records, s.Text())
	}
	if sum(rec("a", "1"), rec("b", "2")) != sum(rec("b", "2"), rec("a", "1")) {
		t.Error("order matters")
	}
	for _, other := range [][]*Record{
		{rec("a", "2"), rec("b", "1")}, {rec("a", "1")}, {rec("a1", ""), rec("b", "2")}, {rec("a", "1"), rec("b", "2"), rec("b", "2")},
	} {
		if sum(other...) == sum(rec("a", "1"), rec("b", "2")) {
			t.Errorf("another set has the same sum: %v", other)
		}
	}
}
