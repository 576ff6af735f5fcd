//go:build bench

package bench

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// The load: items of one entity, each at a few locations, in an order that visits
// the keys without locality, as real traffic does.
const items = 100_000

// nth is the n-th event of the load. The first visit of an item opens a balance;
// later ones receive and ship.
func nth(n, locations int) inventory.Event {
	h := uint64(n) * 0x9E3779B97F4A7C15
	item := n % items * 7919 % items
	loc := inventory.Location(fmt.Sprintf("DC%d", h>>40%uint64(locations)+1))
	var id [16]byte
	for i := range 8 {
		id[i], id[8+i] = byte(h>>(8*i)), byte(uint64(n)>>(8*i))
	}
	at := inventory.Instant(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixMilli() + int64(n))
	m := inventory.Movement{Type: inventory.Receipt, Location: loc, Quantity: inventory.Quantity(1+h>>50) * inventory.One}
	if n >= items && h>>60%2 == 1 {
		m.Type = inventory.Ship
	}
	return inventory.Event{
		ID: hex.EncodeToString(id[:]), Kind: inventory.KindMovement,
		Key:    inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprintf("item-%06d", item))},
		Source: "wms", Document: inventory.Document{Type: "944", Number: fmt.Sprintf("R%09d", n), Line: "1"},
		OccurredAt: at, OccurredBasis: "document", ReceivedAt: at,
		Movement: &m,
		Trace:    inventory.Trace{RawID: hex.EncodeToString(id[:]), RawLine: 1, MappingVersion: "1", MasterVersion: 1, UnitFactor: inventory.One},
	}
}

// fill produces the first n events as fast as it can.
func fill(ctx context.Context, brokers string, codecs *event.Codecs, locations, n int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return fmt.Errorf("opening producer: %w", err)
	}
	defer cl.Close()
	var failed atomic.Value
	for i := range n {
		rec, err := record(codecs, locations, i)
		if err != nil {
			return err
		}
		cl.Produce(ctx, rec, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("flushing: %w", err)
	}
	if err, _ := failed.Load().(error); err != nil {
		return fmt.Errorf("producing: %w", err)
	}
	return nil
}

// pace produces events [from, to) at a steady rate a second.
func pace(ctx context.Context, brokers string, codecs *event.Codecs, locations, from, to, rate int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ProducerLinger(0))
	if err != nil {
		return fmt.Errorf("opening producer: %w", err)
	}
	defer cl.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for n := from; n < to; {
		due := from + int(time.Since(began).Seconds()*float64(rate))
		for ; n < min(due, to); n++ {
			rec, err := record(codecs, locations, n)
			if err != nil {
				return err
			}
			cl.Produce(ctx, rec, nil)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return cl.Flush(ctx)
}

func record(codecs *event.Codecs, locations, n int) (*kgo.Record, error) {
	e := nth(n, locations)
	value, err := codecs.AppendEvent(nil, &e)
	if err != nil {
		return nil, fmt.Errorf("encoding event %d: %w", n, err)
	}
	rec := &kgo.Record{Topic: event.TopicEvents, Key: []byte(e.Key.String()), Value: value}
	for _, h := range (event.CE{ID: e.ID, Source: "urn:stockweave:canonicalizer", Type: "inventory.movement", Time: e.OccurredAt}).Headers() {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return rec, nil
}
