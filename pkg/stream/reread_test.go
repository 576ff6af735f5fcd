//go:build synctests

package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// badReads makes each read of a topic give one batch, and those fail that are asked for,
// numbered from 1.
func (b *bubble) badReads(topic string, fails func(n int32) bool) (hits *atomic.Int32) {
	b.t.Helper()
	topics, err := kadm.NewClient(b.cl).ListTopics(context.Background(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	id := topics[topic].ID
	var reads int32
	var last *kmsg.FetchRequest // is asked about more than once
	failing := false
	hits = new(atomic.Int32)
	b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: -1, When: func(r kmsg.Request) bool {
		q, ok := r.(*kmsg.FetchRequest)
		if !ok || len(q.Topics) != 1 || q.Topics[0].TopicID != id && q.Topics[0].Topic != topic {
			return false
		}
		q.MaxBytes = 1
		for i := range q.Topics[0].Partitions {
			q.Topics[0].Partitions[i].PartitionMaxBytes = 1
		}
		if q != last {
			reads++
			if last, failing = q, fails(reads); failing {
				hits.Add(1)
			}
		}
		return failing
	}})
	return hits
}

// A restore of which reads fail goes on where it was, and one that begins anew after
// many of them has the same state.
func TestRestoreThatFailsInBetween(t *testing.T) {
	for name, fails := range map[string]func(n int32) bool{
		"every other read":    func(n int32) bool { return n%2 == 0 },
		"more than are borne": func(n int32) bool { return n > 5 && n <= 40 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				w := b.runner("0", &counter{})
				var want []string
				for i := range 12 {
					k := fmt.Sprint("k", i%5)
					b.put(0, k)
					b.until("commits", func() bool { return b.groupOffset(0) == int64(i+1) })
					want = append(want, fmt.Sprint(k, i/5+1))
				}
				w.stop()
				hits := b.badReads(topicState, fails)
				w = b.runner("0", &counter{})
				b.put(0, "k0", "k1", "k2", "k3", "k4")
				b.until("commits", func() bool { return b.groupOffset(0) == 17 })
				b.wantOut(0, strings.Join(append(want, "k04", "k14", "k23", "k33", "k43"), " "))
				if n := w.metric("restored_records_total", ""); n != 24 || hits.Load() < 10 { // 12 counts, 12 headers
					t.Errorf("%v records were restored, %d reads failed", n, hits.Load())
				}
				w.stop()
			})
		})
	}
}

// A table of which reads fail has every record once, in the order of the log.
func TestTableThatFailsInBetween(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		var want, got []string
		for i := range 12 {
			b.put(0, fmt.Sprint("k", i))
			want = append(want, fmt.Sprint("k", i))
		}
		hits := b.badReads(topicIn, func(n int32) bool { return n%3 != 0 })
		tb, err := NewTable(TableConfig{Config: b.config(""), Topic: topicIn, Apply: func(rec *Record) error {
			got = append(got, string(rec.Key))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- tb.Run(ctx) }()
		b.until("loads", func() bool { return tb.Ready() == nil || len(done) > 0 })
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) || hits.Load() < 20 {
			t.Errorf("%v, want %v; %d reads failed", got, want, hits.Load())
		}
	})
}
