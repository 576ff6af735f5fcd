//go:build synctests

package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// carrier is a worker at work.
type carrier struct {
	*worker
	w   *Worker
	cfg WorkerConfig
}

func (b *bubble) worker(change func(*WorkerConfig)) *carrier {
	b.t.Helper()
	cfg := WorkerConfig{Config: b.config(""), Group: group, Topics: []string{topicIn}, Dead: deadLetters, OwnPartition: []string{topicOut, topicDead}}
	change(&cfg)
	w, err := NewWorker(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &carrier{w: w, cfg: cfg, worker: &worker{b: b, cancel: cancel, done: make(chan error, 1), cfg: RunnerConfig{Config: cfg.Config}, readiness: w.Ready}}
	b.mu.Lock()
	b.workers = append(b.workers, c.worker)
	b.mu.Unlock()
	go func() { c.done <- w.Run(ctx) }()
	return c
}

// copied is the handler that copies a record to the output.
func copied(_ context.Context, rec *Record) ([]*Record, error) {
	return []*Record{{Topic: topicOut, Partition: rec.Partition, Key: rec.Key, Value: fmt.Appendf(nil, "%s%d", rec.Key, rec.Offset)}}, nil
}

func TestWorkerCopies(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		w := b.worker(func(c *WorkerConfig) { c.Handle = copied })
		b.put(0, "a", "b")
		b.put(1, "c")
		b.until("commits", func() bool { return b.groupOffset(0) == 2 && b.groupOffset(1) == 1 })
		if err := w.w.Ready(); err != nil {
			t.Error(err)
		}
		w.stop()
		w = b.worker(func(c *WorkerConfig) { c.Handle = copied })
		b.put(0, "d")
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		b.wantOut(0, "a0 b1 d2")
		b.wantOut(1, "c0")
		w.stop()
	})
}

func TestWorkerFirstStart(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		b.put(0, "a", "b")
		b.truncate(0, 1)
		w := b.worker(func(c *WorkerConfig) { c.Handle = copied })
		if err := w.stopped(); !errors.Is(err, ErrStop) {
			t.Fatalf("got %v, want a stop", err)
		}
		time.Sleep(time.Minute)
		b.setGroupOffset(0, 1)
		w = b.worker(func(c *WorkerConfig) { c.Handle = copied })
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.wantOut(0, "b1")
		w.stop()
	})
}

// An offset is committed only when its outputs, and its dead letters, are acked.
func TestWorkerCommitsAfterAcks(t *testing.T) {
	for _, topic := range []string{topicOut, topicDead} {
		t.Run(topic, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				// NOT_ENOUGH_REPLICAS is not an ack; the client tries again.
				h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Count: -1, Err: kerr.NotEnoughReplicas})
				w := b.worker(func(c *WorkerConfig) {
					c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
						if topic == topicDead {
							return nil, Rejectf("bad_value", "bad")
						}
						return copied(ctx, rec)
					}
				})
				b.put(0, "a=x")
				if err := h.Wait(context.Background(), 2); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				if off := b.groupOffset(0); off != -1 {
					t.Fatalf("offset %d committed before the ack", off)
				}
				h.Remove()
				b.until("commit", func() bool { return b.groupOffset(0) == 1 })
				if topic == topicOut {
					b.wantOut(0, "a0")
				} else if got := b.values(topicDead, 0); got != "bad_value@0:x" {
					t.Error(got)
				}
				w.stop()
			})
		})
	}
}

// A failing record holds its partition up, in order, and no other.
func TestWorkerRetriesInOrder(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		var mu sync.Mutex
		failures := 0
		w := b.worker(func(c *WorkerConfig) {
			c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
				mu.Lock()
				defer mu.Unlock()
				if string(rec.Key) == "b" && failures < 20 {
					failures++
					return nil, errors.New("not now")
				}
				return copied(ctx, rec)
			}
		})
		b.put(0, "a", "b", "c")
		b.put(1, "d")
		b.until("commit", func() bool { return b.groupOffset(1) == 1 && b.groupOffset(0) == 1 })
		mu.Lock()
		if failures == 20 {
			t.Error("the other partition waited")
		}
		mu.Unlock()
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		b.wantOut(0, "a0 b1 c2")
		if failures != 20 {
			t.Errorf("%d failures", failures)
		}
		w.stop()
	})
}

func TestWorkerPoison(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.worker(func(c *WorkerConfig) {
			c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
				switch string(rec.Value) {
				case "bad":
					return nil, Rejectf("bad_value", "bad")
				case "panic":
					panic("always")
				case "huge":
					return []*Record{{Topic: topicOut, Value: make([]byte, 2<<20)}}, nil
				}
				return copied(ctx, rec)
			}
		})
		b.put(0, "a", "b=bad", "c=panic", "d=huge", "e")
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		b.wantOut(0, "a0 e4")
		if got, want := b.values(topicDead, 0), "bad_value@1:bad diverted@2:panic output_too_large@3:huge"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.stop()
	})
}

func TestWorkerBatch(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		var sizes []int
		failed := false
		w := b.worker(func(c *WorkerConfig) {
			c.Batch = func(ctx context.Context, recs []*Record) ([]*Record, error) {
				sizes = append(sizes, len(recs))
				if !failed {
					failed = true
					return nil, errors.New("not now")
				}
				var outs []*Record
				for _, rec := range recs {
					if string(rec.Value) == "bad" {
						return nil, Rejectf("bad_value", "bad")
					}
					o, _ := copied(ctx, rec)
					outs = append(outs, o...)
				}
				return outs, nil
			}
		})
		b.put(0, "a", "b=bad", "c")
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		b.wantOut(0, "a0 c2")
		if got := b.values(topicDead, 0); got != "bad_value@1:bad" {
			t.Error(got)
		}
		if !failed {
			t.Error("the fault was not met")
		}
		w.stop()
	})
}

// Of a batch that panics, or whose outputs the log refuses, only the record at fault is
// lost to the dead letters.
func TestWorkerBatchPoison(t *testing.T) {
	for value, want := range map[string]string{"panic": "diverted@2:panic", "huge": "output_too_large@2:huge"} {
		t.Run(value, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				b.put(0, "a", "b", "c="+value, "d")
				w := b.worker(func(c *WorkerConfig) {
					c.Batch = func(ctx context.Context, recs []*Record) (all []*Record, err error) {
						for _, rec := range recs {
							switch string(rec.Value) {
							case "panic":
								panic("always")
							case "huge":
								return []*Record{{Topic: topicOut, Value: make([]byte, 2<<20)}}, nil
							}
							outs, err := copied(ctx, rec)
							if err != nil {
								return nil, err
							}
							all = append(all, outs...)
						}
						return all, nil
					}
				})
				b.until("commit", func() bool { return b.groupOffset(0) == 4 })
				b.wantOut(0, "a0 b1 d3")
				if got := b.values(topicDead, 0); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				w.stop()
			})
		})
	}
}

// What a worker projects into has lost something: it reads again from there.
func TestWorkerRewind(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		var mu sync.Mutex
		var seen []int64
		rewind := map[int64]int64{3: 1} // at offset 3 go back to 1, once
		checked, lost := 0, 0
		b.put(0, "a", "b", "c", "d", "e")
		w := b.worker(func(c *WorkerConfig) {
			c.Start = func(context.Context, string, int32) (int64, error) { return 2, nil }
			c.CheckEvery = time.Second
			c.Check = func(context.Context, string, int32) error {
				mu.Lock()
				defer mu.Unlock()
				if checked++; checked == 20 {
					return Rewind{Offset: 4}
				}
				return nil
			}
			c.Lost = func(string, int32) { lost++ }
			c.Handle = func(_ context.Context, rec *Record) ([]*Record, error) {
				mu.Lock()
				defer mu.Unlock()
				if to, ok := rewind[rec.Offset]; ok {
					delete(rewind, rec.Offset)
					return nil, fmt.Errorf("gone: %w", Rewind{Offset: to})
				}
				seen = append(seen, rec.Offset)
				return nil, nil
			}
		})
		b.until("second reading", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return checked > 22
		})
		b.put(0, "f")
		b.until("commit", func() bool { return b.groupOffset(0) == 6 })
		if want := []int64{2, 1, 2, 3, 4, 4, 5}; !slices.Equal(seen, want) {
			t.Errorf("saw %v, want %v", seen, want)
		}
		w.stop()
		if lost != 1 {
			t.Errorf("told %d times that the partition is gone", lost)
		}
	})
}

func TestWorkerStops(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.worker(func(c *WorkerConfig) {
			c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
				if rec.Offset == 1 {
					return nil, fmt.Errorf("%w: broken", ErrStop)
				}
				return copied(ctx, rec)
			}
		})
		b.put(0, "a", "b", "c")
		if err := w.stopped(); !errors.Is(err, ErrStop) {
			t.Errorf("got %v", err)
		}
		b.wantOut(0, "a0")
		if off := b.groupOffset(0); off != 1 {
			t.Errorf("offset %d, want 1", off)
		}
	})
}

// A worker that stops when it was to go back has the next one go back.
func TestWorkerRewindThenStop(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		b.put(0, "a", "b", "c", "d", "e")
		var (
			seen []int64
			w    *carrier
		)
		handle := func(_ context.Context, rec *Record) ([]*Record, error) {
			if rec.Offset == 3 && !slices.Contains(seen, 3) {
				seen = append(seen, 3)
				w.cancel()
				return nil, Rewind{Offset: 1}
			}
			seen = append(seen, rec.Offset)
			return nil, nil
		}
		started := make(chan struct{})
		w = b.worker(func(c *WorkerConfig) {
			c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
				<-started
				return handle(ctx, rec)
			}
		})
		close(started)
		if err := <-w.done; err != nil {
			t.Fatal(err)
		}
		if off := b.groupOffset(0); off != 1 {
			t.Errorf("offset %d committed", off)
		}
		w = b.worker(func(c *WorkerConfig) { c.Handle = handle })
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		if want := []int64{0, 1, 2, 3, 1, 2, 3, 4}; !slices.Equal(seen, want) {
			t.Errorf("seen %v, want %v", seen, want)
		}
		w.stop()
	})
}

// Members come and go: every record is handled, in order, and Lost is told.
func TestWorkerRebalance(t *testing.T) {
	inBubble(t, 4, func(b *bubble) {
		var mu sync.Mutex
		lost := 0
		change := func(c *WorkerConfig) {
			c.Handle = copied
			c.Lost = func(string, int32) { mu.Lock(); lost++; mu.Unlock() }
		}
		feed := func(n int) {
			for range n {
				for p := range int32(4) {
					b.put(p, "k")
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
		first := b.worker(change)
		feed(20)
		second := b.worker(change)
		feed(100)
		b.until("balance", func() bool { return second.metric("partitions_owned", "") == 2 })
		feed(20)
		first.stop()
		feed(20)
		b.until("commits", func() bool {
			for p := range int32(4) {
				if b.groupOffset(p) != 160 {
					return false
				}
			}
			return true
		})
		for p := range int32(4) {
			seen := map[string]bool{}
			for v := range strings.FieldsSeq(b.values(topicOut, p)) {
				seen[v] = true
			}
			if len(seen) != 160 {
				t.Errorf("partition %d: %d different records of 160", p, len(seen))
			}
		}
		if lost < 4 {
			t.Errorf("told %d times that a partition is gone", lost)
		}
		second.stop()
	})
}

// A queue longer than it can hold pauses its partition and goes on later.
func TestWorkerBackpressure(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		keys := make([]string, 300)
		for i := range keys {
			keys[i] = "k"
		}
		b.put(0, keys...)
		longest := 0
		w := b.worker(func(c *WorkerConfig) {
			c.MaxRecords = 10
			c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
				time.Sleep(20 * time.Millisecond)
				return copied(ctx, rec)
			}
		})
		b.until("commit", func() bool {
			if c := w.w.current.Load(); c != nil {
				c.mu.Lock()
				for _, p := range c.parts {
					longest = max(longest, len(p.queue))
				}
				c.mu.Unlock()
			}
			return b.groupOffset(0) == 300
		})
		if longest == 0 || longest > 30 {
			t.Errorf("the queue held %d records", longest)
		}
		w.stop()
	})
}

func TestWorkerDrain(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		in := make(chan struct{})
		w := b.worker(func(c *WorkerConfig) {
			c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
				if rec.Offset == 0 {
					close(in)
					time.Sleep(2 * time.Second)
				}
				return copied(ctx, rec)
			}
		})
		b.put(0, "a", "b")
		<-in
		w.stop()
		if off := b.groupOffset(0); off != 1 {
			t.Errorf("offset %d: the record under way was not finished and committed", off)
		}
		b.wantOut(0, "a0")
	})
}

// A record that fails again and again does not keep the check from its turns: what it
// finds may be why, and the way out.
func TestWorkerChecksWhileFailing(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		var checked atomic.Int64
		var whole atomic.Bool
		w := b.worker(func(c *WorkerConfig) {
			c.CheckEvery = time.Second
			c.Check = func(context.Context, string, int32) error {
				if checked.Add(1) == 5 {
					whole.Store(true)
					return Rewind{Offset: 0}
				}
				return nil
			}
			c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
				if rec.Offset == 2 && !whole.Load() {
					return nil, errors.New("something is missing")
				}
				return copied(ctx, rec)
			}
		})
		b.put(0, "a", "b", "c", "d")
		b.until("commit", func() bool { return b.groupOffset(0) == 4 })
		b.wantOut(0, "a0 b1 a0 b1 c2 d3")
		if n := checked.Load(); n < 5 {
			t.Errorf("checked %d times", n)
		}
		w.stop()
	})
}
