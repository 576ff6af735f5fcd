//go:build bench

package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// A watcher reads committed outcomes and positions as they appear, and Redis's
// offset of each partition, a thousand times a second.
type watcher struct {
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex
	on        bool
	committed []time.Duration
	visible   []time.Duration
	pending   map[int32][]pending // positions Redis does not have yet, by partition
}

type pending struct {
	offset  int64
	durable inventory.Instant
	counted bool
}

func (r *rig) watch(t *testing.T) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{cancel: cancel, pending: map[int32][]pending{}}
	cl := r.kafka.Client(t, kgo.ConsumeTopics(event.TopicOutcomes, event.TopicPositions), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()), kgo.FetchMaxWait(100*time.Millisecond))
	if err := cl.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	w.work.Go(func() {
		for ctx.Err() == nil {
			fs := cl.PollFetches(ctx)
			now := time.Now().UnixMilli()
			w.mu.Lock()
			fs.EachRecord(func(rec *kgo.Record) { w.take(t, r.codecs, rec, now) })
			w.mu.Unlock()
		}
	})
	r.visible(ctx, t, &w.work, func(partition int32, next int64) { w.seen(partition, next, time.Now().UnixMilli()) })
	return w
}

// visible says of every partition, again and again until the context ends, below which
// offset Redis has all positions.
func (r *rig) visible(ctx context.Context, t *testing.T, work *sync.WaitGroup, seen func(partition int32, next int64)) {
	t.Helper()
	redis := r.redis.Client(t)
	marks := make([]string, partitions)
	for p := range marks {
		marks[p] = fmt.Sprintf("sw:{p%d}:o", p)
	}
	work.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			// One question for all partitions: whoever measures takes the machine's time, too.
			found, err := redis.MGet(ctx, marks...).Result()
			if err != nil {
				continue
			}
			for p, v := range found {
				mark, ok := v.(string)
				if !ok {
					continue
				}
				first, _, _ := strings.Cut(mark, " ") // the next offset, see services/atpapi
				if next, err := strconv.ParseInt(first, 10, 64); err == nil {
					seen(int32(p), next)
				}
			}
		}
	})
}

func (w *watcher) take(t *testing.T, codecs *event.Codecs, rec *kgo.Record, now int64) {
	if rec.Topic == event.TopicOutcomes {
		var o inventory.Outcome
		if err := codecs.DecodeOutcome(rec.Value, &o); err != nil {
			t.Error(err)
			return
		}
		if w.on {
			w.committed = append(w.committed, time.Duration(now-int64(o.RecordedAt))*time.Millisecond)
		}
		return
	}
	var p inventory.Position
	if err := codecs.DecodePosition(rec.Value, &p); err != nil {
		t.Error(err)
		return
	}
	w.pending[rec.Partition] = append(w.pending[rec.Partition], pending{rec.Offset, p.RecordedAt, w.on})
}

// seen notes that Redis has everything of a partition below next.
func (w *watcher) seen(partition int32, next, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.pending[partition]
	i := 0
	for ; i < len(list) && list[i].offset < next; i++ {
		if list[i].counted {
			w.visible = append(w.visible, time.Duration(now-int64(list[i].durable))*time.Millisecond)
		}
	}
	w.pending[partition] = list[i:]
}

func (w *watcher) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = true
}

// end waits until what was counted has all become visible.
func (w *watcher) end(t *testing.T) (committed, visible []time.Duration) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		w.mu.Lock()
		left := 0
		for _, list := range w.pending {
			left += len(list)
		}
		some := len(w.committed) > 0 && len(w.visible) > 0
		w.mu.Unlock()
		if left == 0 && some {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d positions never became visible", left)
		}
		<-tick.C
	}
	w.cancel()
	w.work.Wait()
	return w.committed, w.visible
}
