package hooks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Entry is a subscription and how far it has come.
type Entry struct {
	Subscription event.Subscription
	Delivery     event.Delivery
	Offset       int64 // of the subscription's record
}

// Stopped says why nothing is sent; empty: it is.
func (e *Entry) Stopped() string {
	if e.Delivery.Epoch != e.Subscription.Epoch {
		return "" // it was, before it was enabled again
	}
	return e.Delivery.Stopped
}

// Log keeps subscriptions in the compacted topic atp-api.subscriptions. What it knows is
// what it has read: a look at it begins with Refresh, and sees then what every replica
// wrote before. It is safe for concurrent use.
type Log struct {
	cfg LogConfig

	busy  chan struct{} // holds one while somebody reads
	topic string        // id; empty: not known yet. Of whoever reads, as next is
	next  []int64       // by partition; -1: nothing is read

	mu sync.RWMutex
	of []map[string]*Entry // by partition; nil: their number is not known yet
}

// LogConfig is what a Log is made of.
type LogConfig struct {
	Topic  string // as the cluster calls it
	Reads  *stream.RestoreReads
	Codecs *event.Codecs
	// Produce returns when its records are durable. It takes each to the partition that it
	// carries.
	Produce func(ctx context.Context, recs ...*stream.Record) error
	Now     func() time.Time
}

// NewLog asks nothing yet.
func NewLog(cfg LogConfig) *Log { return &Log{cfg: cfg, busy: make(chan struct{}, 1)} }

// Refresh reads on to the present end of partitions; of all where none is named. Of a topic
// that was made anew nothing is known of before.
func (l *Log) Refresh(ctx context.Context, partitions ...int32) error {
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return fmt.Errorf("reading subscriptions: %w", ctx.Err())
	}
	topic, n, err := l.cfg.Reads.Topic(ctx, l.cfg.Topic)
	if err == nil && n == 0 {
		err = errors.New("the topic has no partitions")
	}
	if err != nil {
		return fmt.Errorf("asking for the topic of subscriptions: %w", err)
	}
	if topic != l.topic {
		l.topic, l.next = topic, make([]int64, n)
		for i := range l.next {
			l.next[i] = -1
		}
		l.mu.Lock()
		l.of = make([]map[string]*Entry, n)
		l.mu.Unlock()
	}
	if len(partitions) == 0 {
		for i := range l.next {
			partitions = append(partitions, int32(i)) //nolint:gosec // partition counts are int32
		}
	}
	for _, p := range partitions {
		if int(p) >= len(l.next) {
			return fmt.Errorf("reading subscriptions: there is no partition %d any more", p)
		}
		if err := l.refresh(ctx, p); err != nil {
			return fmt.Errorf("reading subscriptions of partition %d: %w", p, err)
		}
	}
	return nil
}

func (l *Log) refresh(ctx context.Context, p int32) error {
	end, err := l.cfg.Reads.HighWatermark(ctx, l.cfg.Topic, p)
	if err != nil {
		return err
	}
	from := l.next[p]
	if from < 0 {
		if from, err = l.cfg.Reads.LogStart(ctx, l.cfg.Topic, p); err != nil {
			return err
		}
	}
	if from >= end && l.next[p] >= 0 {
		return nil
	}
	// Others see what was known before, or all of it.
	of := map[string]*Entry{}
	if l.next[p] >= 0 {
		maps.Copy(of, l.of[p])
	}
	err = l.cfg.Reads.Each(ctx, l.cfg.Topic, p, from, end, func(rec *stream.Record) error { return l.apply(of, rec) })
	if err != nil {
		l.next[p] = -1 // compacted underneath, say: from the start the next time
		return err
	}
	l.next[p] = max(from, end)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[p] = of
	return nil
}

func (l *Log) apply(of map[string]*Entry, rec *stream.Record) error {
	key := string(rec.Key)
	id, isDelivery := strings.CutSuffix(key, "|delivery")
	var e Entry
	if was := of[id]; was != nil {
		e = *was // entries are not changed: others read them
	}
	switch {
	case isDelivery && rec.Value == nil:
		e.Delivery = event.Delivery{}
	case isDelivery:
		var d event.Delivery
		if err := l.cfg.Codecs.DecodeDelivery(rec.Value, &d); err != nil {
			return fmt.Errorf("decoding %s: %w", key, err)
		}
		e.Delivery = d
	case rec.Value == nil:
		e.Subscription = event.Subscription{}
	default:
		var s event.Subscription
		if err := l.cfg.Codecs.DecodeSubscription(rec.Value, &s); err != nil {
			return fmt.Errorf("decoding %s: %w", key, err)
		}
		for i := range s.Secrets {
			s.Secrets[i].Sealed = bytes.Clone(s.Secrets[i].Sealed) // of the record's memory
		}
		e.Subscription, e.Offset = s, rec.Offset
	}
	if delete(of, id); e.Subscription.ID != "" || e.Delivery.ID != "" {
		of[id] = &e
	}
	return nil
}

// Partition is that of a subscription. The number must be known: see Refresh.
func (l *Log) Partition(id string) int32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.partition(id)
}

// partition needs the lock.
func (l *Log) partition(id string) int32 {
	return stream.Partition([]byte(id), int32(len(l.of))) //nolint:gosec // partition counts are int32
}

// Get is a subscription as it was read last; false: there is none.
func (l *Log) Get(id string) (Entry, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	e := l.of[l.partition(id)][id]
	if e == nil || e.Subscription.ID == "" {
		return Entry{}, false
	}
	return *e, true
}

// All are the subscriptions of a partition, in no order, and the deliveries of those that
// are no more: their subscription has no id. The caller owns the entries.
func (l *Log) All(partition int32) []*Entry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if int(partition) >= len(l.of) {
		return nil // of a topic that was made anew with fewer
	}
	out := make([]*Entry, 0, len(l.of[partition]))
	for _, e := range l.of[partition] {
		one := *e
		out = append(out, &one)
	}
	return out
}

// Of are the subscriptions of an owner, the oldest first, and how many there are of all
// owners. The caller owns the entries.
func (l *Log) Of(owner string) (of []*Entry, all int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, some := range l.of {
		for _, e := range some {
			if e.Subscription.ID == "" {
				continue
			}
			if all++; e.Subscription.Owner == owner {
				one := *e
				of = append(of, &one)
			}
		}
	}
	slices.SortFunc(of, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.Subscription.CreatedAt, b.Subscription.CreatedAt), strings.Compare(a.Subscription.ID, b.Subscription.ID))
	})
	return of, all
}

// Save returns when a subscription is durable. Of two that are saved at a time the last
// holds.
func (l *Log) Save(ctx context.Context, s *event.Subscription) error {
	value, err := l.cfg.Codecs.AppendSubscription(nil, s)
	if err != nil {
		return fmt.Errorf("encoding subscription %s: %w", s.ID, err)
	}
	return l.put(ctx, s.ID, l.record(s.ID, inventory.Escape(s.ID), value, "atp-api.subscription"))
}

// SaveDelivery returns when it is durable.
func (l *Log) SaveDelivery(ctx context.Context, d *event.Delivery) error {
	value, err := l.cfg.Codecs.AppendDelivery(nil, d)
	if err != nil {
		return fmt.Errorf("encoding delivery of %s: %w", d.ID, err)
	}
	return l.put(ctx, d.ID, l.record(d.ID, event.DeliveryKey(d.ID), value, "atp-api.subscription-delivery"))
}

// Remove returns when there is no such subscription any more.
func (l *Log) Remove(ctx context.Context, id string) error {
	return l.put(ctx, id, l.record(id, inventory.Escape(id), nil, ""), l.record(id, event.DeliveryKey(id), nil, ""))
}

func (l *Log) record(id, key string, value []byte, typ string) *stream.Record {
	rec := &stream.Record{Topic: event.TopicSubscriptions, Key: []byte(key), Value: value, Partition: l.Partition(id)}
	if value != nil {
		at := inventory.Instant(l.cfg.Now().UnixMilli())
		for _, h := range (event.CE{ID: fmt.Sprintf("%s@%d", key, at), Source: "/stockweave/atp-api", Type: typ, Time: at}).Headers() {
			rec.Headers = append(rec.Headers, stream.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	return rec
}

func (l *Log) put(ctx context.Context, id string, recs ...*stream.Record) error {
	if err := l.cfg.Produce(ctx, recs...); err != nil {
		return fmt.Errorf("writing subscription %s: %w", id, err)
	}
	return nil
}
