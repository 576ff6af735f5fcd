package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const (
	items     = 90
	feedEvery = 20 * time.Millisecond // a batch
	feedBatch = 3                     // events
)

// A feed appends events of every kind to the log, steadily, whoever is dead.
type feed struct {
	t      *testing.T
	codecs *event.Codecs
	rng    *rand.Rand
	sent   int
	orders []placed
	holds  []placed
	old    []*stream.Record // for duplicates

	cancel context.CancelFunc
	done   chan error
}

// placed is an order or reservation that later events name.
type placed struct {
	id  string
	key inventory.Key
	loc inventory.Location
}

func startFeed(t *testing.T, w *world, seed uint64) *feed {
	t.Helper()
	producer, err := stream.NewProducer(w.Stream())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f := &feed{
		t: t, codecs: w.Codecs, rng: rand.New(rand.NewPCG(seed, 2)),
		cancel: cancel, done: make(chan error, 1),
	}
	go func() {
		defer producer.Close()
		f.done <- f.run(ctx, producer)
	}()
	t.Cleanup(cancel)
	return f
}

func (f *feed) run(ctx context.Context, producer *stream.Producer) error {
	tick := time.NewTicker(feedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		recs := make([]*stream.Record, 0, feedBatch)
		for range feedBatch {
			rec, err := f.next()
			if err != nil {
				return err
			}
			recs = append(recs, rec)
		}
		if err := producer.Produce(context.WithoutCancel(ctx), recs...); err != nil {
			return fmt.Errorf("feeding: %w", err)
		}
	}
}

// stop ends the feed; what was fed stands on the log.
func (f *feed) stop() {
	f.t.Helper()
	f.cancel()
	if err := <-f.done; err != nil {
		f.t.Fatal(err)
	}
}

// next makes an event: movements, counts, demand, requests that are confirmed,
// cancelled or left to lapse, and now and then one that was there already.
func (f *feed) next() (*stream.Record, error) {
	f.sent++
	kind := f.rng.IntN(100)
	if kind < 5 && len(f.old) > 0 {
		old := f.old[f.rng.IntN(len(f.old))]
		return &stream.Record{Topic: old.Topic, Key: old.Key, Value: old.Value}, nil
	}
	now := inventory.Instant(time.Now().UnixMilli())
	e := &inventory.Event{
		Key:      inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprintf("item-%03d", f.rng.IntN(items)))},
		Source:   "wms",
		Document: inventory.Document{Type: "test", Number: fmt.Sprintf("D%09d", f.sent), Line: "1"},
		// A little late and out of order: counts are restated.
		OccurredAt: now - inventory.Instant(f.rng.IntN(3000)), OccurredBasis: inventory.BasisDocument, ReceivedAt: now,
	}
	f.body(e, kind, inventory.Location(fmt.Sprintf("DC%d", 1+f.rng.IntN(2))))
	e.ID = event.EventID(e.Source, e.Document)
	value, err := f.codecs.AppendEvent(nil, e)
	if err != nil {
		return nil, fmt.Errorf("encoding event %d: %w", f.sent, err)
	}
	rec := &stream.Record{Topic: event.TopicEvents, Key: []byte(e.Key.String()), Value: value}
	f.old = append(f.old[max(0, len(f.old)-500):], rec)
	return rec, nil
}

func (f *feed) body(e *inventory.Event, kind int, loc inventory.Location) {
	q := inventory.Quantity(1+f.rng.IntN(5)) * inventory.One
	switch {
	case kind < 40:
		e.Kind, e.Movement = inventory.KindMovement, &inventory.Movement{Type: inventory.Receipt, Location: loc, Quantity: 4 * q}
		if kind < 10 {
			e.Movement.Type, e.Movement.Quantity, e.Movement.Reason = inventory.Adjust, -q, "broken"
		}
	case kind < 45:
		e.Kind, e.Source = inventory.KindCount, "wms-count"
		e.Count = &inventory.Count{
			Location: loc, Basis: inventory.Physical, Covers: []inventory.Account{inventory.OnHand},
			Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: 10 * q}}, AsOf: e.OccurredAt, AsOfBasis: inventory.BasisDocument,
		}
	case kind < 55:
		e.Kind, e.Source = inventory.KindDemand, "shop"
		e.Demand = &inventory.Demand{Stage: inventory.Ordered, Location: loc, Quantity: q, Channel: "webshop"}
		e.Refs = []inventory.Ref{{Issuer: "shop", Type: "order", Number: e.Document.Number, Line: "1"}}
		f.orders = append(f.orders, placed{e.Document.Number, e.Key, loc})
	case kind < 65 && len(f.orders) > 0:
		o := take(f.rng, &f.orders)
		e.Key, e.Refs = o.key, []inventory.Ref{{Issuer: "shop", Type: "order", Number: o.id, Line: "1"}}
		e.Kind, e.Movement = inventory.KindMovement, &inventory.Movement{Type: inventory.Ship, Location: o.loc, Quantity: q}
	case kind < 82 && len(f.holds) > 0:
		h := take(f.rng, &f.holds)
		e.Key, e.Source, e.Kind = h.key, "web", inventory.KindReservation
		e.Reservation = &inventory.Reservation{ID: h.id, Partner: "web", Action: inventory.Confirm, ReplyTo: -1}
		switch {
		case kind < 72:
			e.Reservation.Action = inventory.Cancel
		case kind < 78:
			e.Reservation.ExpiresAt = e.ReceivedAt + 2000
		}
	default:
		e.Source, e.Kind = "web", inventory.KindReservation
		e.Reservation = &inventory.Reservation{
			ID: event.EventID("web", e.Document), Partner: "web", Action: inventory.Try, ReplyTo: -1,
			ExpiresAt: e.ReceivedAt + 500 + inventory.Instant(f.rng.IntN(2500)),
			Lines:     []inventory.ReservationLine{{Line: "1", Location: loc, Quantity: q, Channel: "webshop"}},
		}
		if f.rng.IntN(4) > 0 { // the others lapse
			f.holds = append(f.holds, placed{e.Reservation.ID, e.Key, loc})
		}
	}
}

// take removes one of the last few.
func take(rng *rand.Rand, all *[]placed) placed {
	s := *all
	i := max(0, len(s)-1-rng.IntN(20))
	p := s[i]
	*all = append(s[max(0, i-100):i:i], s[i+1:]...)
	return p
}
