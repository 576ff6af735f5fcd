//go:build synctests

package stream

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lostAnswer is a worker whose commit of both partitions loses its answer.
type lostAnswer struct {
	*bubble
	w    *worker
	lost *atomic.Bool
}

// loseAnswer primes three partitions with state and lets the next commit, which is of
// partitions 0 and 1, take effect or not; what the worker is told is an error that
// says neither. hit is called then, on the cluster's own goroutine.
func loseAnswer(b *bubble, effect bool, answer *kerr.Error, hit func()) *lostAnswer {
	b.t.Helper()
	l := &lostAnswer{bubble: b, w: b.runner("0", &counter{})}
	for i := range int32(3) {
		b.put(i, "a", "b")
	}
	b.until("commits", func() bool { return b.groupOffset(0) == 2 && b.groupOffset(1) == 2 && b.groupOffset(2) == 2 })
	if n := l.w.metric("restored_records_total", ""); n != 0 {
		b.t.Fatalf("%v records restored of an empty changelog", n)
	}
	l.lost = b.loseEnd(answer, effect, hit)
	l.both(0, 1)
	return l
}

// loseEnd lets the next commit take effect or not and answers it with an error either
// way. hit is called then, on the cluster's own goroutine.
func (b *bubble) loseEnd(answer *kerr.Error, effect bool, hit func()) *atomic.Bool {
	done := new(atomic.Bool)
	b.c.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		q := r.(*kmsg.EndTxnRequest)
		if !q.Commit || done.Swap(true) {
			return nil, nil, false
		}
		if effect {
			same := *q // another client ends it
			b.c.SleepControl(func() {
				if _, err := same.RequestWith(context.Background(), b.cl); err != nil {
					b.t.Error(err)
				}
			})
		}
		if hit != nil {
			hit()
		}
		resp := q.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = answer.Code
		return resp, nil, true
	})
	return done
}

// both puts a record into each of the partitions, to be read by one poll.
func (b *bubble) both(partitions ...int32) {
	b.t.Helper()
	var recs []*Record
	for _, i := range partitions {
		recs = append(recs, &Record{Topic: topicIn, Partition: i, Key: []byte("a")})
	}
	if err := b.cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

// wants compares the outcome, and that the work goes on from the right state.
func (l *lostAnswer) wants(outcome string, restored bool) {
	l.t.Helper()
	l.until("commits", func() bool { return l.groupOffset(0) == 3 && l.groupOffset(1) == 3 })
	for i := range int32(3) {
		l.put(i, "a", "b")
	}
	l.until("commits", func() bool { return l.groupOffset(0) == 5 && l.groupOffset(1) == 5 && l.groupOffset(2) == 4 })
	if !l.lost.Load() {
		l.t.Fatal("no answer was lost")
	}
	for _, o := range []string{outcomeAdopted, outcomeDiscarded, outcomeRestored} {
		want := 0.0
		if o == outcome {
			want = 1
		}
		if got := l.w.metric("unknown_commits_total", o); got != want {
			l.t.Errorf("%v commits %s, want %v", got, o, want)
		}
	}
	if n := l.w.metric("restored_records_total", ""); (n > 0) != restored {
		l.t.Errorf("%v records restored, want some: %v", n, restored)
	}
	for i, want := range []string{"a1 b1 a2 a3 b2", "a1 b1 a2 a3 b2", "a1 b1 a2 b2"} {
		l.wantOut(int32(i), want)
	}
	for i, want := range []map[string]string{{"a|h": "3", "b|h": "2"}, {"a|h": "3", "b|h": "2"}, {"a|h": "2", "b|h": "2"}} {
		if s := l.state(int32(i)); fmt.Sprint(s) != fmt.Sprint(want) {
			l.t.Errorf("partition %d: state %v, want %v", i, s, want)
		}
		if h := l.header(int32(i)); h.AppliedThrough != l.groupOffset(int32(i))-1 {
			l.t.Errorf("partition %d: header %+v", i, h)
		}
	}
	if err := l.w.r.Ready(); err != nil {
		l.t.Error(err)
	}
	l.w.stop()
}

// The commit took effect and its answer was lost: what was staged becomes the state
// and no partition is read again.
func TestLostCommitIsAdopted(t *testing.T) {
	inBubble(t, 3, func(b *bubble) {
		loseAnswer(b, true, kerr.RequestTimedOut, nil).wants(outcomeAdopted, false)
	}, kfake.SleepOutOfOrder())
}

// The commit never took effect: what was staged is dropped, its records are worked
// on again, and no partition is read again.
func TestLostCommitIsDiscarded(t *testing.T) {
	for _, answer := range []*kerr.Error{kerr.RequestTimedOut, kerr.ProducerFenced, kerr.InvalidProducerEpoch} {
		t.Run(answer.Message, func(t *testing.T) {
			inBubble(t, 3, func(b *bubble) {
				loseAnswer(b, false, answer, nil).wants(outcomeDiscarded, false)
			})
		})
	}
}

// The offsets of the transaction's partitions contradict each other, or one cannot
// be read: everything is restored.
func TestLostCommitIsRestored(t *testing.T) {
	for _, tc := range []struct {
		name   string
		effect bool
		lie    func(*kmsg.OffsetFetchResponseGroupTopicPartition)
	}{
		{"took effect, one stands at the start", true, func(p *kmsg.OffsetFetchResponseGroupTopicPartition) { p.Offset = 2 }},
		{"did not, one stands at the end", false, func(p *kmsg.OffsetFetchResponseGroupTopicPartition) { p.Offset = 3 }},
		{"took effect, one stands beyond", true, func(p *kmsg.OffsetFetchResponseGroupTopicPartition) { p.Offset = 4 }},
		{"unreadable", true, func(p *kmsg.OffsetFetchResponseGroupTopicPartition) {
			p.ErrorCode = kerr.TopicAuthorizationFailed.Code
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, 3, func(b *bubble) {
				var lost atomic.Bool
				b.c.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
					q := r.(*kmsg.OffsetFetchRequest)
					b.c.KeepControl()
					if !lost.Load() || len(q.Groups) != 1 || len(q.Groups[0].Topics) != 1 || len(q.Groups[0].Topics[0].Partitions) != 1 ||
						q.Groups[0].Topics[0].Partitions[0] != 1 || !q.RequireStable {
						return nil, nil, false
					}
					lost.Store(false) // the first that asks of partition 1
					resp := q.ResponseKind().(*kmsg.OffsetFetchResponse)
					rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
					rp.Partition = 1
					tc.lie(&rp)
					rt := kmsg.NewOffsetFetchResponseGroupTopic()
					rt.Topic, rt.TopicID = q.Groups[0].Topics[0].Topic, q.Groups[0].Topics[0].TopicID
					rt.Partitions = append(rt.Partitions, rp)
					rg := kmsg.NewOffsetFetchResponseGroup()
					rg.Group, rg.Topics = group, append(rg.Topics, rt)
					resp.Groups = append(resp.Groups, rg)
					return resp, nil, true
				})
				l := loseAnswer(b, tc.effect, kerr.RequestTimedOut, func() { lost.Store(true) })
				l.wants(outcomeRestored, true)
				if lost.Load() {
					t.Error("no offset was forged")
				}
			}, kfake.SleepOutOfOrder())
		})
	}
}

// Between the outcome and the next session somebody else writes to a changelog: that
// partition is restored, the others are not.
func TestKeptPartitionIsRestoredWhenItsChangelogMoved(t *testing.T) {
	inBubble(t, 3, func(b *bubble) {
		var lost atomic.Bool
		b.c.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
			if !lost.Load() {
				b.c.KeepControl()
				return nil, nil, false
			}
			b.c.SleepControl(func() { b.putState("z|h", []byte("7")) })
			return nil, nil, false
		})
		l := loseAnswer(b, true, kerr.RequestTimedOut, func() { lost.Store(true) })
		l.until("commits", func() bool { return l.groupOffset(0) == 3 && l.groupOffset(1) == 3 })
		l.put(0, "z")
		l.put(1, "a")
		l.until("commits", func() bool { return l.groupOffset(0) == 4 && l.groupOffset(1) == 4 })
		l.wantOut(0, "a1 b1 a2 z8")
		l.wantOut(1, "a1 b1 a2 a3")
		if n := l.w.metric("unknown_commits_total", outcomeAdopted); n != 1 {
			t.Errorf("%v commits adopted", n)
		}
		// Partition 0: two values and the header for each of two transactions, or of
		// one, and what was written beside them; the others would add as much again.
		want := float64(len(b.committed(topicState, 0)) - 2) // without z's own
		if n := l.w.metric("restored_records_total", ""); n != want {
			t.Errorf("%v records restored, want the %v of partition 0", n, want)
		}
		l.w.stop()
	}, kfake.SleepOutOfOrder())
}

// Another member takes a partition over while the outcome is looked for: what was
// kept of it is not used, whoever owns it in the end.
func TestKeptPartitionGoesToAnother(t *testing.T) {
	inBubble(t, 3, func(b *bubble) {
		second := make(chan struct{})
		var once atomic.Bool
		l := loseAnswer(b, true, kerr.RequestTimedOut, func() {
			if once.CompareAndSwap(false, true) {
				close(second)
			}
		})
		<-second
		w2 := b.runner("1", &counter{})
		for range 20 {
			b.both(0, 1, 2)
		}
		b.until("balance", func() bool {
			return w2.metric("partitions_owned", "") > 0 && l.w.metric("partitions_owned", "")+w2.metric("partitions_owned", "") == 3
		})
		for range 5 {
			b.both(0, 1, 2)
		}
		b.until("commits", func() bool { return b.groupOffset(0) == 28 && b.groupOffset(1) == 28 && b.groupOffset(2) == 27 })
		for i, want := range []string{"27", "27", "26"} {
			if s := b.state(int32(i)); s["a|h"] != want {
				t.Errorf("partition %d: state %v, want %s", i, s, want)
			}
		}
		l.w.stop()
		w2.stop()
	}, kfake.SleepOutOfOrder())
}
