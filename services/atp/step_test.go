package atp

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// rig is the service on an in-process log.
type rig struct {
	t      *testing.T
	cfg    stream.Config
	codecs *event.Codecs
	prod   *stream.Producer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := &rig{t: t, codecs: event.TestCodecs(), cfg: stream.Config{Brokers: cluster.ListenAddrs(), Instance: "0", Log: slog.New(slog.DiscardHandler)}}
	admin, err := stream.NewAdmin(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var specs []stream.TopicSpec
	for _, s := range event.TopicSpecs() {
		specs = append(specs, stream.TopicSpec{Name: s.Name, Partitions: s.Partitions, Replicas: 1, Configs: s.Configs})
	}
	if _, err := admin.EnsureTopics(t.Context(), false, specs...); err != nil {
		t.Fatal(err)
	}
	if r.prod, err = stream.NewProducer(r.cfg, stream.WithOwnPartition(event.TopicPolicies)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.prod.Close)
	return r
}

// start runs the service until the function returned is called.
func (r *rig) start() (stop func()) {
	r.t.Helper()
	cfg := DefaultConfig()
	cfg.Kafka, cfg.Codecs = r.cfg, r.codecs
	cfg.Kafka.Metrics = prometheus.NewRegistry()
	return serve(r.t, cfg)
}

// serve runs the service until the function returned is called.
func serve(t *testing.T, cfg Config) (stop func()) {
	t.Helper()
	tasks, err := Build(context.Background(), cfg, service.Env{Name: "atp", Log: cfg.Kafka.Log, Health: &service.Health{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (r *rig) send(es ...*inventory.Event) {
	r.t.Helper()
	for _, e := range es {
		value, err := r.codecs.AppendEvent(nil, e)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := r.prod.Produce(r.t.Context(), &stream.Record{Topic: event.TopicEvents, Key: []byte(e.Key.String()), Value: value}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// read collects the committed records of a topic until it has n.
func (r *rig) read(topic string, n int) []*stream.Record {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	var got []*stream.Record
	table, err := stream.NewTable(stream.TableConfig{Config: r.cfg, Topic: topic, ReadCommitted: true, Apply: func(rec *stream.Record) error {
		c := *rec
		if got = append(got, &c); len(got) >= n {
			cancel()
		}
		return nil
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := table.Run(ctx); err != nil && ctx.Err() == nil {
		r.t.Fatal(err)
	}
	if len(got) != n {
		r.t.Fatalf("%s has %d records, want %d", topic, len(got), n)
	}
	return got
}

func (r *rig) outcomes(n int) []inventory.Outcome {
	r.t.Helper()
	var out []inventory.Outcome
	for _, rec := range r.read(event.TopicOutcomes, n) {
		var o inventory.Outcome
		if err := r.codecs.DecodeOutcome(rec.Value, &o); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

var key = inventory.Key{Entity: "acme", Item: "SKU-1"}

func receipt(number string, q inventory.Quantity) *inventory.Event {
	d := inventory.Document{Type: "944", Number: number, Line: "1"}
	return &inventory.Event{
		ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: key, Source: "wms", Document: d,
		OccurredAt: 1_790_000_000_000, OccurredBasis: "document", ReceivedAt: 1_790_000_000_000,
		Movement: &inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: q},
	}
}

// Every event ends in one outcome, across a restart, and what was applied before
// it is neither lost nor applied again (Invariants 2 and 8).
func TestOneOutcomeAnEventAcrossARestart(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.send(receipt("R1", 10*inventory.One), receipt("R2", 5*inventory.One), receipt("R1", 10*inventory.One))
	before := r.outcomes(3)
	stop()
	stop = r.start()
	defer stop()
	r.send(receipt("R3", inventory.One), receipt("R2", 5*inventory.One), receipt("R2", 6*inventory.One))
	after := r.outcomes(6)[3:]

	var kinds []inventory.OutcomeKind
	for _, o := range append(before, after...) {
		kinds = append(kinds, o.Kind)
	}
	want := []inventory.OutcomeKind{
		inventory.Applied, inventory.Applied, inventory.Duplicate, inventory.Applied, inventory.Duplicate, inventory.Conflict,
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Fatalf("outcomes %v, want %v", kinds, want)
		}
	}
	last := after[0]
	if last.Version != 3 || last.Moves[0].Quantity != inventory.One {
		t.Fatalf("third receipt: %+v", last)
	}
}

// A record that does not decode is kept whole with its reason, and the good ones
// around it go on.
func TestUndecodableGoesToTheDeadLetters(t *testing.T) {
	r := newRig(t)
	defer r.start()()
	r.send(receipt("R1", inventory.One))
	junk := &stream.Record{Topic: event.TopicEvents, Key: []byte(key.String()), Value: []byte("junk")}
	if err := r.prod.Produce(t.Context(), junk); err != nil {
		t.Fatal(err)
	}
	r.send(receipt("R2", inventory.One))
	r.outcomes(2)
	var d event.DeadLetter
	if err := r.codecs.DecodeDeadLetter(r.read(event.TopicDeadATP, 1)[0].Value, &d); err != nil {
		t.Fatal(err)
	}
	if d.Code != "undecodable" || string(d.Value) != "junk" || d.Topic != event.TopicEvents {
		t.Fatalf("dead letter %+v", d)
	}
}

// The ledger obeys a policy from the control record on, and not before.
func TestPolicyFromTheLog(t *testing.T) {
	r := newRig(t)
	defer r.start()()
	r.send(receipt("R1", inventory.One))
	content, hash, err := policy.EncodeLedger(inventory.Policy{Version: 7, Authority: inventory.AuthorityPolicy{
		Owners:  []inventory.Owner{{Balance: []inventory.Source{"somebody-else"}, Moves: []inventory.Source{"somebody-else"}}},
		Compare: []inventory.Comparison{{Source: "wms"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	value, err := r.codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.LedgerName, Version: 7, Hash: hash, Content: content, At: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.prod.Produce(t.Context(), &stream.Record{Topic: event.TopicPolicies, Key: []byte("ledger@7"), Value: value}); err != nil {
		t.Fatal(err)
	}
	byNumber, err := stream.NewProducer(r.cfg, stream.WithOwnPartition())
	if err != nil {
		t.Fatal(err)
	}
	defer byNumber.Close()
	for p := range int32(6) {
		e := inventory.Event{
			ID: event.PlaceID("control", p, 0), Kind: inventory.KindControl, Source: "op", Document: inventory.Document{Type: "policy"},
			OccurredAt: 1, OccurredBasis: "receipt", Control: &inventory.Control{PolicyVersion: 7, PolicyHash: hash},
		}
		value, err := r.codecs.AppendEvent(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		rec := &stream.Record{Topic: event.TopicEvents, Partition: p, Key: []byte(event.ControlKey), Value: value}
		if err := byNumber.Produce(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	r.send(receipt("R2", inventory.One))
	out := r.outcomes(2)
	if out[0].Kind != inventory.Applied || out[0].PolicyVersion != 0 {
		t.Fatalf("before the policy: %+v", out[0])
	}
	if out[1].Kind != inventory.Noted || out[1].PolicyVersion != 7 {
		t.Fatalf("after the policy: %+v", out[1])
	}

	// What the source counts now is its claimed view, published with its variance.
	count := receipt("C1", 0)
	count.Kind, count.Movement = inventory.KindCount, nil
	count.Count = &inventory.Count{
		Location: "DC1", Basis: inventory.Sellable, Covers: []inventory.Account{inventory.OnHand}, AsOf: count.OccurredAt, AsOfBasis: "document",
		Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: 3 * inventory.One}},
	}
	r.send(count)
	rec := r.read(event.TopicViews, 1)[0]
	var v inventory.View
	if err := r.codecs.DecodeView(rec.Value, &v); err != nil {
		t.Fatal(err)
	}
	if want := count.Key.String() + "|DC1|wms"; string(rec.Key) != want || v.EventID != count.ID {
		t.Errorf("view %q of event %s, want %q of %s", rec.Key, v.EventID, want, count.ID)
	}
	if n := v.Variance; n == nil || n.Net != 2*inventory.One || n.Streak.Snapshots != 1 {
		t.Errorf("variance %+v", n)
	}
}
