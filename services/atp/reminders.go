package atp

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// When a tick is due (EXACTLY-ONCE §6).
const (
	tickAfter  = inventory.Instant(1000) // ms after a claim's expiry
	tickAgain  = inventory.Instant(5000) // ms to the next, until the claim has lapsed
	tickPeriod = 100 * time.Millisecond  // between two looks at the heap
	tickBurst  = 50                      // a partition and look: 500 a second
)

// reminders knows when the reservations of the owned keys lapse, and appends a
// tick to the log of a key whose time has come. A tick only brings time: one too
// early, too late or twice does no harm, so nothing here is part of a transaction.
// It is safe for concurrent use.
type reminders struct {
	codecs *event.Codecs
	log    *slog.Logger

	mu     sync.Mutex
	parts  map[int32]*reminderHeap
	frozen frozenKeys // see frozen.go

	variances variances
}

// reminder is a key that waits for time to pass.
type reminder struct {
	key     inventory.Key
	expires inventory.Instant
	next    inventory.Instant // when the next tick is due
	attempt int
	at      int // in the heap
}

func newReminders(codecs *event.Codecs, log *slog.Logger) *reminders {
	return &reminders{codecs: codecs, log: log, parts: map[int32]*reminderHeap{}}
}

// Owned notes what waits in the state of a partition, and which variances are open. Only
// a key with lines or with events set aside has anything that time decides, so only their
// heads are decoded.
func (r *reminders) Owned(partition int32, each func(yield func(key string, value []byte) bool)) {
	wait, views := map[string]bool{}, r.variances.owned(partition)
	each(func(key string, value []byte) bool {
		group, rest := split(key)
		if strings.HasPrefix(rest, inventory.PieceView+"|") {
			r.viewRead(views, key, value)
			return true
		}
		if strings.HasPrefix(rest, inventory.PieceLine+"|") || strings.HasPrefix(rest, inventory.PieceWaiting+"|") ||
			strings.HasPrefix(rest, inventory.PieceParked+"|") {
			if !wait[group] {
				wait[strings.Clone(group)] = true
			}
		}
		return true
	})
	if len(wait) == 0 {
		return
	}
	var piece inventory.Piece
	each(func(key string, value []byte) bool {
		group, rest := split(key)
		if rest != inventory.PieceHead || !wait[group] {
			return true
		}
		// A head that does not decode stops the worker when an event needs it.
		if err := r.codecs.DecodeState([]byte(key), value, &piece); err != nil {
			r.log.LogAttrs(context.Background(), slog.LevelError, "a head is unreadable", slog.String("key", key), slog.Any("error", err))
			return true
		}
		at, since := piece.Head.WakeAt(), piece.Head.Frozen.Since
		if at != 0 || since != 0 {
			k, err := event.ParseKey(strings.Clone(group)) // outlives the state's
			if err != nil {
				r.log.LogAttrs(context.Background(), slog.LevelError, "a state key is no key", slog.String("key", key), slog.Any("error", err))
				return true
			}
			r.note(partition, k, at)
			r.froze(partition, k, since)
		}
		return true
	})
}

// split takes the ledger's key off a state key.
func split(key string) (group, rest string) {
	group = groupOf(unsafe.Slice(unsafe.StringData(key), len(key)))
	return group, strings.TrimPrefix(key[len(group):], "|")
}

// Disowned forgets a partition that is owned no more.
func (r *reminders) Disowned(partition int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.parts, partition)
	delete(r.frozen, partition)
	r.variances.disowned(partition)
}

// Settled is stream.Settler's.
func (r *reminders) Settled(committed bool) { r.variances.settled(committed) }

// note takes what a key's head says: the earliest expiry, 0 for none.
func (r *reminders) note(partition int32, key inventory.Key, expires inventory.Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.parts[partition]
	if h == nil {
		if expires == 0 {
			return
		}
		h = &reminderHeap{of: map[inventory.Key]*reminder{}}
		r.parts[partition] = h
	}
	m := h.of[key]
	switch {
	case m == nil && expires == 0, m != nil && m.expires == expires:
	case expires == 0:
		heap.Remove(h, m.at)
	case m == nil:
		heap.Push(h, &reminder{key: key, expires: expires, next: expires + tickAfter})
	default:
		m.expires, m.next, m.attempt = expires, expires+tickAfter, 0
		heap.Fix(h, m.at)
	}
}

// due takes the ticks whose time has come, at most tickBurst of each partition.
// Each comes again later, until note says that its key has nothing to lapse.
func (r *reminders) due(now inventory.Instant) []reminder {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []reminder
	for _, h := range r.parts {
		for range tickBurst {
			if len(h.heap) == 0 || h.heap[0].next > now {
				break
			}
			m := h.heap[0]
			all = append(all, *m)
			m.attempt++
			m.next = now + tickAgain
			heap.Fix(h, 0)
		}
	}
	return all
}

// waiting is how many keys have something to lapse.
func (r *reminders) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, h := range r.parts {
		n += len(h.heap)
	}
	return n
}

// tick is the event that brings time to a key. Its id is a function of key, expiry
// and attempt, so what a zombie appends beside us is a duplicate.
func (m *reminder) tick(now inventory.Instant) inventory.Event {
	doc := inventory.Document{ // of any key, however long its name
		Type: "tick", Number: event.EventID(tickSource, inventory.Document{Number: m.key.String()}),
		Revision: strconv.FormatInt(int64(m.expires), 10), Line: strconv.Itoa(m.attempt),
	}
	return inventory.Event{
		ID: event.EventID(tickSource, doc), Kind: inventory.KindTick, Key: m.key, Source: tickSource, Document: doc,
		OccurredAt: m.expires, OccurredBasis: inventory.BasisReceipt, ReceivedAt: now,
	}
}

// tickSource is who states ticks.
const tickSource inventory.Source = "ledger"

// reminderHeap is ordered by when the next tick is due.
type reminderHeap struct {
	heap []*reminder
	of   map[inventory.Key]*reminder
}

func (h *reminderHeap) Len() int           { return len(h.heap) }
func (h *reminderHeap) Less(i, j int) bool { return h.heap[i].next < h.heap[j].next }

func (h *reminderHeap) Swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].at, h.heap[j].at = i, j
}

// Push is heap.Interface's.
func (h *reminderHeap) Push(x any) {
	m, ok := x.(*reminder)
	if !ok {
		return
	}
	m.at = len(h.heap)
	h.heap = append(h.heap, m)
	h.of[m.key] = m
}

// Pop is heap.Interface's.
func (h *reminderHeap) Pop() any {
	n := len(h.heap) - 1
	m := h.heap[n]
	h.heap[n] = nil
	h.heap = h.heap[:n]
	delete(h.of, m.key)
	return m
}

// newTicker appends what the reminders say to the log that cfg reaches.
func newTicker(cfg Config, r *reminders, env service.Env) (*ticker, func(), error) {
	producer, err := stream.NewProducer(cfg.Kafka)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the ticks' producer: %w", err)
	}
	appended := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "stockweave_atp_ticks_total",
		Help: "Ticks appended for keys on which time alone decides something.",
	})
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stockweave_atp_waiting_keys",
		Help: "Keys on which time alone will decide something.",
	}, func() float64 { return float64(r.waiting()) })
	for _, c := range append(r.frozenMetrics(env.Now), appended, waiting) {
		if cfg.Kafka.Metrics == nil {
			break
		}
		if err := cfg.Kafka.Metrics.Register(c); err != nil {
			return nil, nil, fmt.Errorf("registering metrics of ticks: %w", err)
		}
	}
	return &ticker{
		reminders: r, codecs: cfg.Codecs, produce: producer.Produce, now: env.Now, log: env.Log, appended: appended,
	}, producer.Close, nil
}

// A ticker appends the ticks that are due. They go to the log outside transactions,
// as everything there does (EXACTLY-ONCE §1).
type ticker struct {
	reminders *reminders
	codecs    *event.Codecs
	produce   func(ctx context.Context, recs ...*stream.Record) error
	now       func() time.Time
	log       *slog.Logger
	appended  prometheus.Counter
}

// run looks at the heap until ctx is done. A tick that could not be written comes
// again by itself.
func (t *ticker) run(ctx context.Context) error {
	every := time.NewTicker(tickPeriod)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		if err := t.round(ctx); err != nil && ctx.Err() == nil {
			t.log.LogAttrs(ctx, slog.LevelWarn, "ticks are late", slog.Any("error", err))
		}
	}
}

func (t *ticker) round(ctx context.Context) error {
	now := inventory.Instant(t.now().UnixMilli())
	due := t.reminders.due(now)
	if len(due) == 0 {
		return nil
	}
	recs := make([]*stream.Record, 0, len(due))
	for i := range due {
		ev := due[i].tick(now)
		value, err := t.codecs.AppendEvent(nil, &ev)
		if err != nil {
			return fmt.Errorf("encoding a tick of %s: %w", ev.Key, err)
		}
		recs = append(recs, &stream.Record{
			Topic: event.TopicEvents, Key: []byte(ev.Key.String()), Value: value, Headers: event.HeadersOf[stream.RecordHeader](&ev, source),
		})
	}
	if err := t.produce(ctx, recs...); err != nil {
		return fmt.Errorf("appending %d ticks: %w", len(recs), err)
	}
	stream.Crash("tick_appended")
	t.appended.Add(float64(len(recs)))
	return nil
}
