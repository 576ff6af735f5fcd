package canonicalizer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

func inputRecord(raw *event.RawMessage) *stream.Record {
	return &stream.Record{Topic: event.TopicRaw, Key: []byte(string(raw.Source) + "|"), Partition: 1, Offset: 7}
}

// kafka is a broker in process with every topic, and what is on them by now.
type kafka struct {
	cfg    stream.Config
	codecs *event.Codecs
	prod   *stream.Producer

	mu   sync.Mutex
	recs map[string][]*stream.Record
	more chan struct{}
}

func newKafka(t *testing.T) *kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	k := &kafka{
		cfg: stream.Config{Brokers: cluster.ListenAddrs(), Instance: "0"}, codecs: event.TestCodecs(),
		recs: map[string][]*stream.Record{}, more: make(chan struct{}, 1),
	}
	admin, err := stream.NewAdmin(k.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, s := range event.TopicSpecs() {
		_, err := admin.EnsureTopics(t.Context(), false, stream.TopicSpec{Name: s.Name, Partitions: min(s.Partitions, 2), Replicas: 1, Configs: s.Configs})
		if err != nil {
			t.Fatal(err)
		}
	}
	if k.prod, err = stream.NewProducer(k.cfg, stream.WithMaxBatch(2<<20)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.prod.Close)
	for _, topic := range []string{
		event.TopicEvents, event.TopicItems, event.TopicLocations, event.TopicParked, event.TopicDeadCanonicalizer, event.TopicReceipts,
		event.TopicOrders, event.TopicShipments, event.TopicReturns,
	} {
		table, err := stream.NewTable(stream.TableConfig{Config: k.cfg, Topic: topic, Apply: func(rec *stream.Record) error {
			k.mu.Lock()
			k.recs[topic] = append(k.recs[topic], rec)
			k.mu.Unlock()
			select {
			case k.more <- struct{}{}:
			default:
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		go func() { _ = table.Run(ctx) }()
	}
	return k
}

func (k *kafka) count(topic string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.recs[topic])
}

// await waits until a topic has n records.
func (k *kafka) await(t *testing.T, topic string, n int) []*stream.Record {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for k.count(topic) < n {
		select {
		case <-k.more:
		case <-deadline:
			t.Fatalf("%s has %d records, want %d", topic, k.count(topic), n)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.recs[topic])
}

func (k *kafka) send(t *testing.T, source inventory.Source, id string, body []byte) {
	t.Helper()
	raw := &event.RawMessage{ID: id, Source: source, Body: body, ReceivedAt: sampleTime}
	value, err := k.codecs.AppendRaw(nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	trace := stream.RecordHeader{Key: event.TraceParent, Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}
	err = k.prod.Produce(t.Context(), &stream.Record{Topic: event.TopicRaw, Key: []byte(string(source) + "|"), Value: value, Headers: []stream.RecordHeader{trace}})
	if err != nil {
		t.Fatal(err)
	}
}

// start runs the built service; the result stops it.
func (k *kafka) start(t *testing.T) (stop func()) { return k.startWith(t, load(t, shipped)) }

func (k *kafka) startWith(t *testing.T, set *policy.Set) (stop func()) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Kafka, cfg.Codecs, cfg.Policies = k.cfg, k.codecs, set
	tasks, err := Build(t.Context(), cfg, service.Env{
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Health: &service.Health{}, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(shipped, "sources", "samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOnKafka: raw messages in; events, masters, parked and rejected lines and
// receipts out; after a restart the master data is known, and the same message
// again gives the same ids.
func TestOnKafka(t *testing.T) {
	k := newKafka(t)
	stop := k.start(t)
	k.send(t, "master-items", "m1", sample(t, "master-items.csv"))
	k.send(t, "master-locations", "m2", sample(t, "master-locations.csv"))
	k.await(t, event.TopicReceipts, 2)
	k.send(t, "wms", "r1", sample(t, "wms-944.edi"))
	k.send(t, "shop", "r2", sample(t, "shop-order.json"))
	k.await(t, event.TopicReceipts, 4)
	stop()

	stop = k.start(t)
	defer stop()
	k.send(t, "wms", "r3", sample(t, "wms-944.edi"))
	k.send(t, "gone", "r4", []byte("x"))
	err := k.prod.Produce(t.Context(), &stream.Record{Topic: event.TopicRaw, Key: []byte("?"), Value: []byte("junk")})
	if err != nil {
		t.Fatal(err)
	}
	receipts := k.await(t, event.TopicReceipts, 6)
	dead := k.await(t, event.TopicDeadCanonicalizer, 2+1+1+1+1+1)
	events := k.await(t, event.TopicEvents, 2+2+2)

	ids := map[string]int{}
	for _, rec := range events {
		var ev inventory.Event
		if err := k.codecs.DecodeEvent(rec.Value, &ev); err != nil {
			t.Fatal(err)
		}
		ids[ev.ID]++
		if string(rec.Key) != ev.Key.String() || rec.Partition != stream.Partition(rec.Key, 2) {
			t.Errorf("event of %s under key %q in partition %d", ev.Key, rec.Key, rec.Partition)
		}
		headers := map[string]string{}
		for _, h := range rec.Headers {
			headers[h.Key] = string(h.Value)
		}
		if headers["ce_id"] != ev.ID || headers["traceparent"] == "" {
			t.Errorf("headers %v", headers)
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d ids, want 4: two of them twice: %v", len(ids), ids)
	}
	byRaw := map[string]event.Receipt{}
	for _, rec := range receipts {
		var r event.Receipt
		if err := k.codecs.DecodeReceipt(rec.Value, &r); err != nil {
			t.Fatal(err)
		}
		byRaw[r.RawID] = r
		for _, id := range r.EventIDs {
			if ids[id] == 0 {
				t.Errorf("receipt of %s names event %s, which is not in the log", r.RawID, id)
			}
		}
	}
	for raw, want := range map[string][5]int32{ // lines, events, rejected, parked, masters
		"m1": {4, 0, 1, 0, 3}, "m2": {4, 0, 1, 0, 3}, "r1": {3, 2, 1, 0, 0}, "r2": {4, 2, 1, 1, 0}, "r3": {3, 2, 1, 0, 0}, "r4": {1, 0, 1, 0, 0},
	} {
		r := byRaw[raw]
		if got := [5]int32{r.Lines, int32(len(r.EventIDs)), r.Rejected, r.Parked, r.Masters}; got != want {
			t.Errorf("receipt of %s: %v, want %v", raw, got, want)
		}
	}
	if !slices.Equal(byRaw["r1"].EventIDs, byRaw["r3"].EventIDs) {
		t.Error("the same message again gives other events")
	}
	var codes []string
	for _, rec := range dead {
		var d event.DeadLetter
		if err := k.codecs.DecodeDeadLetter(rec.Value, &d); err != nil {
			t.Fatal(err)
		}
		codes = append(codes, d.Code)
	}
	slices.Sort(codes)
	if got := strings.Join(codes, " "); got != "bad_time_zone bad_unit fraction_of_indivisible fraction_of_indivisible no_item undecodable unknown_source" {
		t.Errorf("dead letters %s", got)
	}
	if n := k.count(event.TopicItems); n != 3 {
		t.Errorf("%d items", n)
	}
	parked := k.await(t, event.TopicParked, 1)
	if got := string(parked[0].Key); got != "item:sku:NOT-LISTED|r2|3" {
		t.Errorf("parked under %q", got)
	}
}

// Invariant 2: a receipt is written only when everything it names is durable.
func TestNoReceiptBeforeItsEvents(t *testing.T) {
	all, m := world(t)
	down := errors.New("no broker")
	var written int
	h := &handler{
		codecs: event.TestCodecs(), sources: all, masters: m, chunk: maxChunk,
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "l"}, []string{"source", "became"}),
		produce: func(_ context.Context, recs ...*stream.Record) error {
			if down != nil {
				return down
			}
			written += len(recs)
			return nil
		},
	}
	value, err := h.codecs.AppendRaw(nil, &event.RawMessage{ID: "r", Source: "wms", Body: sample(t, "wms-944.edi"), ReceivedAt: sampleTime})
	if err != nil {
		t.Fatal(err)
	}
	rec := &stream.Record{Topic: event.TopicRaw, Key: []byte("wms|"), Value: value}
	if out, err := h.batch(t.Context(), []*stream.Record{rec}); !errors.Is(err, down) || out != nil {
		t.Errorf("%d receipts and %v while the log is down", len(out), err)
	}
	down = nil
	out, err := h.batch(t.Context(), []*stream.Record{rec})
	if err != nil || len(out) != 1 || written != 3 || out[0].Topic != event.TopicReceipts {
		t.Errorf("%d receipts after %d records: %v", len(out), written, err)
	}
}

// What a bulk message becomes is appended a piece at a time, each when the
// ledger is near; its receipt follows the last.
func TestBulkWaitsForTheLedger(t *testing.T) {
	all, m := world(t)
	var did []string
	far := errors.New("the ledger is gone")
	h := &handler{
		codecs: event.TestCodecs(), sources: all, masters: m, chunk: 2,
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "l"}, []string{"source", "became"}),
		wait: func(context.Context) error {
			did = append(did, "wait")
			if len(did) == 3 {
				return far
			}
			return nil
		},
		produce: func(_ context.Context, recs ...*stream.Record) error {
			did = append(did, fmt.Sprint(len(recs)))
			return nil
		},
	}
	value, err := h.codecs.AppendRawBulk(nil, &event.RawMessage{ID: "r", Source: "wms", Body: sample(t, "wms-944.edi"), ReceivedAt: sampleTime})
	if err != nil {
		t.Fatal(err)
	}
	rec := &stream.Record{Topic: event.TopicRawBulk, Key: []byte("wms|"), Value: value}
	if out, err := h.batch(t.Context(), []*stream.Record{rec}); !errors.Is(err, far) || out != nil {
		t.Errorf("%d receipts and %v without the ledger", len(out), err)
	}
	out, err := h.batch(t.Context(), []*stream.Record{rec})
	if want := []string{"wait", "2", "wait", "wait", "2", "wait", "1"}; err != nil || len(out) != 1 || !slices.Equal(did, want) {
		t.Errorf("%v, %d receipts, %v", did, len(out), err)
	}
	h.turn = make(chan struct{}, 1)
	h.turn <- struct{}{} // another partition's
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if out, err := h.batch(gone, []*stream.Record{rec}); !errors.Is(err, context.Canceled) || out != nil {
		t.Errorf("%d receipts and %v without a turn", len(out), err)
	}
}

// Both latency classes are read, and a message is the same in both.
func TestBothClasses(t *testing.T) {
	k := newKafka(t)
	defer k.start(t)()
	k.send(t, "master-items", "m1", sample(t, "master-items.csv"))
	k.send(t, "master-locations", "m2", sample(t, "master-locations.csv"))
	k.await(t, event.TopicReceipts, 2)
	raw := &event.RawMessage{ID: "b1", Source: "wms", Body: sample(t, "wms-944.edi"), ReceivedAt: sampleTime}
	value, err := k.codecs.AppendRawBulk(nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.prod.Produce(t.Context(), &stream.Record{Topic: event.TopicRawBulk, Key: []byte("wms|"), Value: value}); err != nil {
		t.Fatal(err)
	}
	receipts := k.await(t, event.TopicReceipts, 3)
	var last event.Receipt
	if err := k.codecs.DecodeReceipt(receipts[2].Value, &last); err != nil || last.RawID != "b1" || len(last.EventIDs) != 2 {
		t.Errorf("%+v, %v", last, err)
	}
}

func TestNothingIsReadBeforeMasterDataIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items, locations := make(chan struct{}), make(chan struct{})
		started := false
		task := whenLoaded(func(context.Context) error { started = true; return nil }, items, locations)
		done := make(chan error, 1)
		go func() { done <- task(t.Context()) }()
		close(locations)
		synctest.Wait()
		if started {
			t.Fatal("started before the items are known")
		}
		close(items)
		if err := <-done; err != nil || !started {
			t.Errorf("started %v, %v", started, err)
		}
	})
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	err := whenLoaded(func(context.Context) error { t.Error("started while stopping"); return nil }, make(chan struct{}))(stopped)
	if err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	cfg := DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{}
	if err := bad.Validate(); err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("%v", err)
	}
	set := load(t, shipped)
	src := *set.Sources["wms"]
	src.Mapping = "[now]"
	set.Sources["wms"] = &src
	cfg.Kafka, cfg.Codecs, cfg.Policies = stream.Config{Brokers: []string{"127.0.0.1:1"}}, event.TestCodecs(), set
	if _, err := Build(t.Context(), cfg, service.Env{Health: &service.Health{}}); err == nil || !strings.Contains(fmt.Sprint(err), "now is not allowed") {
		t.Errorf("%v", err)
	}
}
