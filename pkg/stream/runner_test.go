//go:build synctests

package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

func TestRunnerCountsAndRestores(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a", "a", "b")
		b.put(1, "c")
		b.until("commits", func() bool { return b.groupOffset(0) == 3 && b.groupOffset(1) == 1 })
		b.wantOut(0, "a1 a2 b1")
		b.wantOut(1, "c1")
		if err := w.r.Ready(); err != nil {
			t.Error(err)
		}
		w.stop()
		p := new(counter)
		w = b.runner("0", p)
		b.put(0, "a", "b", "b")
		b.until("commits", func() bool { return b.groupOffset(0) == 6 })
		b.wantOut(0, "a1 a2 b1 a3 b2 b3")
		if s := b.state(0); len(s) != 2 || s["a|h"] != "3" || s["b|h"] != "3" {
			t.Error(s)
		}
		if h := b.header(0); h.AppliedThrough != 5 || h.Lineage != 1 || h.Partitions != 2 || h.Partition != 0 || h.Cluster == "" || len(h.TopicID) != 32 || h.Partitioner != "murmur2" {
			t.Errorf("%+v", h)
		}
		if p.decod != 2 {
			t.Errorf("decoded %d times, each group once is enough", p.decod)
		}
		w.stop()
	})
}

// An abort leaves state and object as they were; the records come again.
func TestAbortLeavesStateAlone(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		boom := 2
		p := &counter{after: func(in Input, _ *State) error {
			if in.Offset == 3 && boom > 0 {
				boom--
				return errors.New("boom")
			}
			return nil
		}}
		b.put(0, "a", "b", "a", "a", "b")
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		b.wantOut(0, "a1 b1 a2 a3 b2")
		if got := w.metric("aborts_total", "step"); got != 2 || boom != 0 {
			t.Errorf("%v aborts, the fault was not met twice", got)
		}
		if s := b.state(0); s["a|h"] != "3" || s["b|h"] != "2" {
			t.Error(s)
		}
		w.stop()
	})
}

// A crash in mid-transaction: the same identity comes back, what it left open is
// aborted at once, and the state is what was committed.
func TestRestartMidBatch(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		stuck, hang := make(chan struct{}), make(chan struct{})
		p := &counter{after: func(in Input, _ *State) error {
			if in.Offset == 4 {
				close(stuck)
				<-hang // the process is gone: nothing of it happens any more
				return errors.New("gone")
			}
			return nil
		}}
		w := b.runner("0", p, func(c *RunnerConfig) { c.Drain = time.Second })
		b.put(0, "a", "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		big := strings.Repeat("x", 900_000) // more than a batch: it goes out before the flush
		for range 2 {
			b.put(0, "a="+big)
		}
		b.put(0, "b")
		<-stuck
		began := time.Now()
		w2 := b.runner("0", &counter{})
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %v: waited for the transaction or the session to time out", took)
		}
		b.wantOut(0, "a1 a2 a3 a4 b1")
		close(hang)
		if err := w.stopped(); !errors.Is(err, ErrStop) || !errors.Is(err, kerr.FencedInstanceID) {
			t.Errorf("the zombie was not fenced: %v", err)
		}
		b.put(0, "b")
		b.until("commit", func() bool { return b.groupOffset(0) == 6 })
		b.wantOut(0, "a1 a2 a3 a4 b1 b2")
		w2.stop()
	})
}

// Two members share the partitions; on a rebalance the one drops what it loses and
// the other restores it, and nothing is lost or counted twice.
func TestRebalance(t *testing.T) {
	inBubble(t, 4, func(b *bubble) {
		first := b.runner("0", &counter{})
		n := 0
		feed := func(rounds int) {
			for range rounds {
				for p := range int32(4) {
					b.put(p, fmt.Sprintf("k%d", p))
				}
				n++
				time.Sleep(30 * time.Millisecond)
			}
		}
		feed(20)
		second := b.runner("1", &counter{})
		feed(100)
		b.until("balance", func() bool {
			return first.metric("partitions_owned", "") == 2 && second.metric("partitions_owned", "") == 2
		})
		if second.metric("records_total", "") == 0 {
			feed(20)
		}
		third := b.runner("2", &counter{})
		feed(50)
		b.until("balance", func() bool { return third.metric("partitions_owned", "") > 0 })
		feed(20)
		b.wantCounted(4, n)
		if second.metric("records_total", "") == 0 || third.metric("records_total", "") == 0 {
			t.Error("no hand-over happened")
		}
		if second.metric("restored_records_total", "") == 0 {
			t.Error("nothing was restored")
		}
		first.stop()
		second.stop()
		third.stop()
	})
}

// The answer to EndTxn is lost: whether the commit took effect is found out, never
// assumed.
func TestLostEndTxn(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  *kerr.Error
	}{
		{"applied, timed out", kerr.RequestTimedOut},
		{"not applied, unknown server error", kerr.UnknownServerError},
		{"not applied, fenced", kerr.ProducerFenced},
		{"not applied, epoch", kerr.InvalidProducerEpoch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, 2, func(b *bubble) {
				w := b.runner("0", &counter{})
				b.put(0, "a")
				b.put(1, "b")
				b.until("commits", func() bool { return b.groupOffset(0) == 1 && b.groupOffset(1) == 1 })
				h := b.c.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: tc.err,
					When: func(r kmsg.Request) bool { q, ok := r.(*kmsg.EndTxnRequest); return ok && q.Commit },
				})
				b.put(0, "a", "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 3 })
				b.put(0, "a")
				b.put(1, "b")
				b.until("commits", func() bool { return b.groupOffset(0) == 4 && b.groupOffset(1) == 2 })
				if h.Hits() == 0 {
					t.Fatal("the fault was not met")
				}
				b.wantOut(0, "a1 a2 a3 a4")
				b.wantOut(1, "b1 b2")
				if s := b.state(0); s["a|h"] != "4" {
					t.Error(s)
				}
				if w.metric("aborts_total", "") == 0 {
					t.Error("the lost answer was not noticed")
				}
				w.stop()
			})
		})
	}
}

// The coordinator commits and answers UNKNOWN_SERVER_ERROR: the client then says
// that the transaction was aborted. Believing it would apply the records twice.
// Before transaction version 2 the client cannot know better.
func TestCommitReportedAsAbort(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		hit := 0
		b.c.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
			q := r.(*kmsg.EndTxnRequest)
			if hit++; hit > 1 {
				return nil, nil, false // from the other client
			}
			same := *q
			b.c.SleepControl(func() {
				// Another client ends it: the transaction commits, and the
				// worker gets an answer that says nothing.
				if _, err := same.RequestWith(context.Background(), b.cl); err != nil {
					b.t.Error(err)
				}
			})
			resp := q.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = kerr.UnknownServerError.Code
			return resp, nil, true
		})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		if hit == 0 {
			t.Fatal("the fault was not met")
		}
		b.wantOut(0, "a1 a2 a3")
		w.stop()
	}, kfake.MaxVersions(kversion.V3_7_0()), kfake.SleepOutOfOrder())
}

// A worker dies between the commit of its offsets and the end of the transaction:
// the next one under its name does not wait for the transaction to time out.
func TestSettledAtStart(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		var stuck atomic.Int64
		h := b.c.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress, Count: -1,
			When: func(r kmsg.Request) bool {
				q := r.(*kmsg.EndTxnRequest)
				stuck.CompareAndSwap(0, int64(q.ProducerEpoch)+1)
				return stuck.Load() == int64(q.ProducerEpoch)+1
			},
		})
		b.put(0, "a")
		if err := h.Wait(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w2 := b.runner("0", &counter{})
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		b.wantOut(0, "a1 a2")
		if err := w.stopped(); !errors.Is(err, ErrStop) {
			t.Errorf("the zombie goes on: %v", err)
		}
		w2.stop()
	})
}

// The changelog ends in an aborted transaction: a restore that waited for a record
// at its end would wait for ever.
func TestAbortedTail(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		w.stop()
		cl, err := b.config("").client(kgo.TransactionalID("other"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		cl.ProduceSync(context.Background(), &Record{Topic: topicState, Key: []byte("a|h"), Value: []byte("99")})
		if err := cl.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		reads := &RestoreReads{cl: b.cl}
		high, _ := reads.HighWatermark(context.Background(), topicState, 0)
		recs := b.committed(topicState, 0)
		if last := recs[len(recs)-1].Offset; last+3 > high {
			t.Fatalf("no aborted tail: last record %d, end %d", last, high)
		}
		w = b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.wantOut(0, "a1 a2")
		w.stop()
	})
}

// A restore waits for transactions pending in the changelog.
func TestRestoreWaitsForPending(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		w.stop()
		cl, err := b.config("").client(kgo.TransactionalID("other"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		cl.ProduceSync(context.Background(), &Record{Topic: topicState, Key: []byte("b|h"), Value: []byte("7")})
		w = b.runner("0", &counter{})
		b.put(0, "b")
		time.Sleep(10 * time.Second)
		if err := w.r.Ready(); err == nil || !strings.Contains(err.Error(), "restoring") {
			t.Fatalf("ready with a transaction pending: %v", err)
		}
		if err := cl.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.wantOut(0, "a1 b8")
		w.stop()
	})
}

// wantOut compares what is committed in the output's partition.
func (b *bubble) wantOut(partition int32, want string) {
	b.t.Helper()
	if got := b.values(topicOut, partition); got != want {
		b.t.Errorf("partition %d: got %s, want %s", partition, got, want)
	}
}
