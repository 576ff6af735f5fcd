// Package hooks sends changes of ATP to subscribers by Standard Webhooks 1.0.0. It keeps
// who they are and how far each has come in atp-api.subscriptions, divides them among the
// replicas, signs, tries again, and gives up. What there is to tell it is told by its
// caller: it knows no numbers.
package hooks

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

const (
	lookEvery   = time.Second            // how soon a replica knows what was said to another
	againSoon   = 100 * time.Millisecond // after a subscription's messages broke off; it doubles
	againLate   = 30 * time.Second
	topicBefore = 2 * time.Second // until they are looked for again at start
	made        = time.Minute     // in which a subscription is written, once where it begins is
)

// Parts are what a Hub is made of.
type Parts struct {
	Config Config
	Kafka  stream.Config
	Keys   *Keys
	Log    *Log
	// Follow tells a courier what changes until ctx is done or there is an error: the
	// courier's is passed on. It is called again after any but ErrStopped.
	Follow func(ctx context.Context, s *event.Subscription, c *Courier) error
	// May says whether a subscription's owner may read what it is about.
	May func(s *event.Subscription) bool
	// Bury returns when a dead letter is durable.
	Bury    func(ctx context.Context, d *event.DeadLetter) error
	Now     func() time.Time
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// Hub delivers the subscriptions of a replica: those of the partitions of
// atp-api.subscriptions that fall to it, so that one replica delivers each. Where a replica
// is cut off two may for a moment: each sends a number as it is then, under the same id when
// it says the same. It is safe for concurrent use.
type Hub struct {
	Parts

	poster *Poster
	parts  hubParts
	count  *metrics

	mu     sync.Mutex
	looked chan struct{}   // closed and replaced by Look
	tally  map[int32]tally // by partition
}

// New connects to nothing.
func New(p Parts) (*Hub, error) {
	count, err := newMetrics(p.Metrics)
	if err != nil {
		return nil, err
	}
	h := &Hub{Parts: p, count: count, looked: make(chan struct{}), tally: map[int32]tally{}}
	if h.poster, err = newPoster(&h.Config, p.Keys, p.Now, count); err != nil {
		return nil, err
	}
	h.parts = hubParts{
		cfg: &h.Config, poster: h.poster, save: p.Log.SaveDelivery, bury: p.Bury, place: p.Log.Partition, now: p.Now, log: p.Logger, count: count,
	}
	return h, nil
}

// Poster sends single messages.
func (h *Hub) Poster() *Poster { return h.poster }

// Look tells that a subscription of the log is another one.
func (h *Hub) Look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.looked)
	h.looked = make(chan struct{})
}

func (h *Hub) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.looked
}

// Run delivers until ctx is done.
func (h *Hub) Run(ctx context.Context) error {
	defer h.poster.Close()
	for {
		err := h.Log.Refresh(ctx)
		if err == nil {
			break
		}
		if ctx.Err() == nil {
			h.Logger.Warn("nothing is delivered before subscriptions can be read", slog.Any("err", err))
		}
		if sleep(ctx, topicBefore) != nil {
			return nil
		}
	}
	return stream.Hold(ctx, h.Kafka, h.Config.Group, event.TopicSubscriptions, h.hold) //nolint:wrapcheck // it says what
}

// tally is what is counted of a partition.
type tally struct {
	status map[string]int
	oldest int64 // ms that a message waits
}

// delivering is a subscription under way.
type delivering struct {
	entry   atomic.Pointer[Entry]
	courier *Courier
	removed atomic.Bool // nothing of it is to be saved
	cancel  context.CancelFunc
	done    chan struct{}
}

func (d *delivering) stop() {
	d.cancel()
	<-d.done
}

// hold delivers the subscriptions of a partition until ctx is done.
func (h *Hub) hold(ctx context.Context, partition int32) {
	running := map[string]*delivering{}
	defer func() {
		for _, d := range running {
			d.cancel()
		}
		for _, d := range running {
			<-d.done
		}
		h.counted(partition, tally{})
	}()
	first := true
	for ctx.Err() == nil {
		looked := h.next()
		err := h.Log.Refresh(ctx, partition)
		switch {
		case err != nil && ctx.Err() == nil:
			h.Logger.Warn("subscriptions cannot be read, trying again", slog.Any("err", err))
		case err == nil:
			if first {
				h.tidy(ctx, partition)
				first = false
			}
			h.arrange(ctx, partition, running)
		}
		t := time.NewTimer(lookEvery)
		select {
		case <-looked:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// tidy removes what is left of removed subscriptions, and seals secrets with the present
// key, so that the one before can be taken out of the configuration. Before each it is
// looked again: owners go on changing them by way of other replicas.
func (h *Hub) tidy(ctx context.Context, partition int32) {
	for _, e := range h.Log.All(partition) {
		left := e.Subscription.ID == "" && h.Now().UnixMilli()-int64(e.Delivery.At) > made.Milliseconds()
		if _, old := h.Keys.reseal(&e.Subscription); !left && !old {
			continue
		}
		err := h.Log.Refresh(ctx, partition)
		now, known := h.Log.Get(cmp.Or(e.Subscription.ID, e.Delivery.ID))
		switch s, old := h.Keys.reseal(&now.Subscription); {
		case err != nil:
		case old:
			err = h.Log.Save(ctx, &s)
		case left && !known:
			err = h.Log.Remove(ctx, e.Delivery.ID)
		}
		if err != nil && ctx.Err() == nil {
			h.Logger.Warn("a subscription cannot be put in order", slog.Any("err", err))
		}
	}
}

// arrange starts and ends deliveries as the log says.
func (h *Hub) arrange(ctx context.Context, partition int32, running map[string]*delivering) {
	seen := map[string]bool{}
	all := tally{status: map[string]int{}}
	now := h.Now().UnixMilli()
	for _, e := range h.Log.All(partition) {
		s := &e.Subscription
		if s.ID == "" {
			continue
		}
		seen[s.ID] = true
		may := h.May(s)
		all.status[e.Status(may)]++
		d := running[s.ID]
		if d != nil {
			if since := d.courier.since.Load(); since > 0 {
				all.oldest = max(all.oldest, now-since)
			}
			was := &d.entry.Load().Subscription
			same := was.CreatedAt == s.CreatedAt // else it was removed, and made again under its key
			if s.Enabled && may && same && was.Epoch == s.Epoch {
				d.entry.Store(e) // with another secret, say
				continue
			}
			d.removed.Store(!same)
			d.stop()
			delete(running, s.ID)
			if same {
				e.Delivery = d.courier.d // which is not read yet, perhaps
			}
		}
		if s.Enabled && may && e.Stopped() == "" {
			running[s.ID] = h.start(ctx, e)
		}
	}
	for id, d := range running {
		if !seen[id] {
			d.removed.Store(true)
			d.stop()
			delete(running, id)
		}
	}
	h.counted(partition, all)
}

// start delivers a subscription from where it stands.
func (h *Hub) start(ctx context.Context, e *Entry) *delivering {
	ctx, cancel := context.WithCancel(ctx)
	one := &delivering{cancel: cancel, done: make(chan struct{})}
	one.entry.Store(e)
	d := e.Delivery
	if d.ID = e.Subscription.ID; d.Epoch != e.Subscription.Epoch {
		d.Epoch, d.Stopped, d.Failed, d.Fault, d.Since, d.Next = e.Subscription.Epoch, "", 0, "", 0, 0
	}
	one.courier = &Courier{hub: &h.parts, sub: &one.entry, d: d}
	go func() {
		defer close(one.done)
		defer func() {
			if !one.removed.Load() {
				one.courier.end(ctx)
			}
		}()
		wait := againSoon
		for ctx.Err() == nil {
			sub, stood, number := one.entry.Load().Subscription, one.courier.d.Bookmark, one.courier.d.Number
			err := h.Follow(ctx, &sub, one.courier)
			if errors.Is(err, ErrStopped) || ctx.Err() != nil {
				return
			}
			if one.courier.d.Bookmark != stood || one.courier.d.Number != number {
				wait = againSoon // it went on: what it told took longer than memory lasts, say
			}
			h.Logger.Info("the messages of a subscription broke off, going on", slog.String("subscription", sub.ID), slog.Any("err", err))
			if sleep(ctx, wait) != nil {
				return
			}
			wait = min(2*wait, againLate)
		}
	}()
	return one
}

// counted sets the gauges.
func (h *Hub) counted(partition int32, of tally) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tally[partition] = of
	status, oldest := map[string]int{}, int64(0)
	for _, t := range h.tally {
		oldest = max(oldest, t.oldest)
		for s, n := range t.status {
			status[s] += n
		}
	}
	for _, s := range []string{StatusActive, StatusRetrying, StatusFailing, StatusDisabled, StatusForbidden} {
		h.count.held.WithLabelValues(s).Set(float64(status[s]))
	}
	h.count.oldest.Set(time.Duration(oldest * int64(time.Millisecond)).Seconds())
}

// Statuses of subscriptions.
const (
	StatusActive    = "active"    // what changes is sent
	StatusRetrying  = "retrying"  // the last attempt has failed; there will be another
	StatusFailing   = "failing"   // the last of all attempts has failed: nothing is sent
	StatusDisabled  = "disabled"  // by its owner, or by its receiver's 410
	StatusForbidden = "forbidden" // its owner's scopes do not reach it any more
)

// Status is how a subscription stands, whose owner may read what it is about or not.
func (e *Entry) Status(may bool) string {
	switch stopped := e.Stopped(); {
	case !e.Subscription.Enabled || stopped == StoppedGone:
		return StatusDisabled
	case stopped != "":
		return StatusFailing
	case !may:
		return StatusForbidden
	case e.Delivery.Epoch == e.Subscription.Epoch && e.Delivery.Failed > 0:
		return StatusRetrying
	}
	return StatusActive
}
