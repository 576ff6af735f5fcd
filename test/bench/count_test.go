//go:build bench

package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
)

// A count of everything beside people who reserve.
const (
	countItems   = 125_000 // by ledgerLocations: a million lines
	linesMessage = 10_000
	reserveRate  = 200 // a second
	reserveQuiet = 10 * time.Second
)

const countSource = `name: shelf
entity: acme
format: csv
latency_class: bulk
auth: {api_key_env: STOCKWEAVE_SHELF_KEY}
time_zone: UTC
balance: {basis: physical, covers: [on_hand]}
csv: {header: [count_id, sku, location, quantity]}
mapping_version: "1"
mapping: |
  .tree as $r
  | [{ kind: "count", at: $r.row,
       document: {type: "count", number: $r.count_id, line: "\($r.location)/\($r.sku)"},
       ids: [{type: "sku", value: $r.sku}],
       location: $r.location, quantity: $r.quantity, occurred_at: $r.as_of }]
`

// besideCount measures how long a reservation takes, asked for reserveRate times a
// second: while nothing else happens, and while the bulk class takes in a count of a
// million lines.
func (r *rig) besideCount(t *testing.T) []row {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.policies, "sources", "shelf.yaml"), []byte(countSource), 0o644); err != nil {
		t.Fatal(err)
	}
	r.masters(t)
	if err := fill(t.Context(), r.brokers(), r.codecs, r.locations, items); err != nil {
		t.Fatal(err)
	}
	ports := make([]int, 2)
	for i := range ports {
		var err error
		if ports[i], err = harness.Port(); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"atp", "canonicalizer"} {
		p := harness.Start(t, harness.Run{Args: []string{name}, Name: name + "-count", Config: r.conf(ports[i], 0)})
		p.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[i]))
	}
	r.applied(t, items)

	client := r.reserver(t)
	quiet := r.reserve(t, client, "quiet", time.After(reserveQuiet))
	lines := countItems * r.locations
	began := time.Now()
	parts := r.sendCount(t)
	done := make(chan time.Time, 1)
	go func() {
		if err := r.read(t, "canonicalizer-bulk", event.TopicRawBulk, parts); err != nil {
			t.Error(err)
		}
		done <- time.Now()
	}()
	counting := r.reserve(t, client, "counting", done)
	took := time.Since(began)
	p99 := func(ds []time.Duration) float64 {
		slices.Sort(ds)
		return float64(ds[int(.99*float64(len(ds)-1))].Microseconds()) / 1000
	}
	t.Logf("%d reservations while nothing else happened, %d beside a count of %d lines in %.0f s", len(quiet), len(counting), lines, took.Seconds())
	return []row{
		against("reservation.p99_ms", "ms", p99(counting), p99(quiet), "≤ 100"),
		{Name: "count.lines_per_s", Value: float64(lines) / took.Seconds(), Unit: "1/s"},
	}
}

// masters makes the items and locations known.
func (r *rig) masters(t *testing.T) {
	t.Helper()
	producer, err := stream.NewProducer(stream.Config{Brokers: r.kafka.Brokers()}, stream.WithLinger(5*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	recs := make([]*stream.Record, 0, countItems+r.locations)
	add := func(topic, key string, value []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, &stream.Record{Topic: topic, Key: []byte(key), Value: value})
	}
	for n := range countItems {
		it := event.MasterItem{Key: inventory.Key{Entity: "acme", Item: itemName(n)}, BaseUnit: "EA", Version: 1, Source: "master"}
		value, err := r.codecs.AppendItem(nil, &it)
		add(event.TopicItems, it.Key.String(), value, err)
	}
	for n := range r.locations {
		loc := event.MasterLocation{Entity: "acme", Location: locationName(n), Class: "dc", Zone: "UTC", ReceiptTo: "on_hand", Version: 1, Source: "master"}
		value, err := r.codecs.AppendLocation(nil, &loc)
		add(event.TopicLocations, "acme|"+string(loc.Location), value, err)
	}
	for chunk := range slices.Chunk(recs, 10_000) {
		if err := producer.Produce(t.Context(), chunk...); err != nil {
			t.Fatal(err)
		}
	}
}

// sendCount puts the whole count on the bulk topic at once, as the door would, and
// says in how many messages.
func (r *rig) sendCount(t *testing.T) (parts int) {
	t.Helper()
	producer, err := stream.NewProducer(stream.Config{Brokers: r.kafka.Brokers()}, stream.WithMaxBatch(event.MaxBatch(event.TopicRawBulk)))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	at := time.Now().UTC().Format(time.RFC3339)
	var body bytes.Buffer
	lines := 0
	send := func() {
		parts++
		raw := event.RawMessage{
			ID: fmt.Sprintf("%032x", parts), Source: "shelf", Body: body.Bytes(), ReceivedAt: inventory.Instant(time.Now().UnixMilli()),
		}
		value, err := r.codecs.AppendRawBulk(nil, &raw)
		if err == nil {
			// A file has a stream of its own; here each part does, so that all partitions work.
			err = producer.Produce(t.Context(), &stream.Record{Topic: event.TopicRawBulk, Key: fmt.Appendf(nil, "shelf|%d", parts), Value: value})
		}
		if err != nil {
			t.Fatal(err)
		}
		body.Reset()
	}
	for n := range countItems {
		for l := range r.locations {
			if lines%linesMessage == 0 {
				body.WriteString("count_id,sku,location,quantity,as_of\n")
			}
			fmt.Fprintf(&body, "C1,%s,%s,%d,%s\n", itemName(n), locationName(l), 500+n%100, at)
			if lines++; lines%linesMessage == 0 {
				send()
			}
		}
	}
	if body.Len() > 0 {
		send()
	}
	return parts
}

// reserver is a client of the ledger.
func (r *rig) reserver(t *testing.T) *reservation.Client {
	t.Helper()
	cfg := stream.Config{Brokers: r.kafka.Brokers()}
	producer, err := stream.NewProducer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	client, err := reservation.NewClient(reservation.Config{
		Codecs: r.codecs, Log: producer, Name: "bench", Source: "api", ReplyTo: 0, Now: time.Now, Random: rand.Float64,
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := reservation.Follow(cfg, r.codecs, 0, time.Now().Add(-time.Minute), client.Answered)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- table.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-table.Loaded()
	return client
}

// reserve asks for one of an item at a steady rate until the end, and waits for the
// answers. It returns how long each took.
func (r *rig) reserve(t *testing.T, client *reservation.Client, name string, end <-chan time.Time) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	status := map[reservation.Status]int{}
	var asked sync.WaitGroup
	tick := time.NewTicker(time.Second / reserveRate)
	defer tick.Stop()
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 0; ; n++ {
		select {
		case <-end:
			asked.Wait()
			t.Logf("%s: %v", name, status)
			return took
		case <-tick.C:
		}
		req := reservation.Request{
			ID: reservation.ID("shop", fmt.Sprintf("%s-%d", name, n)), Partner: "shop",
			Lines: []reservation.Line{{
				Key:             inventory.Key{Entity: "acme", Item: itemName(rng.IntN(items))},
				ReservationLine: inventory.ReservationLine{Line: "1", Quantity: inventory.One},
			}},
		}
		asked.Go(func() {
			began := time.Now()
			reply, err := client.Reserve(t.Context(), req)
			d := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("reserving: %v", err)
				return
			}
			status[reply.Status]++
			took = append(took, d)
		})
	}
}

func itemName(n int) inventory.Item         { return inventory.Item(fmt.Sprintf("item-%06d", n)) }
func locationName(n int) inventory.Location { return inventory.Location(fmt.Sprintf("DC%d", n+1)) }
