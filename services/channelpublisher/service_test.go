package channelpublisher

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/pkg/stream"
)

const (
	partitions = 3
	secret     = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// road is a cluster with a transactional writer of positions, two channels, and
// every result as it came.
type road struct {
	cluster   *kfake.Cluster
	brokers   []string
	writer    *kgo.Client
	reader    *kgo.Client
	codecs    *event.Codecs
	shop, hub *simulate.Channel
	policies  []policy.Channel
	atp       policy.ATPPolicy
	results   []event.OfferResult
}

func newRoad(t *testing.T) *road {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions,
		event.TopicPositions, event.TopicLocations, event.TopicPolicies, event.TopicReceipts, event.TopicViews, event.TopicOffers, event.TopicConfirmed, event.TopicDeadChannel))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	r := &road{cluster: c, brokers: c.ListenAddrs(), codecs: event.TestCodecs()}
	if r.writer, err = kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.TransactionalID("atp-0"), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.writer.Close)
	if r.reader, err = kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.ConsumeTopics(event.TopicConfirmed), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.reader.Close)
	r.shop, r.hub = simulate.NewChannel(simulate.ChannelOptions{}), simulate.NewChannel(simulate.ChannelOptions{Secret: secret})
	shopURL, stop, err := r.shop.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	hubURL, stop, err := r.hub.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	sh := shop()
	sh.Share, sh.Buffer, sh.Cap, sh.Unit, sh.URL = 100, 0, 0, 0, shopURL
	hub := sh
	hub.Name, hub.Type, hub.URL, hub.SecretEnv, hub.Locations = "hub", policy.ChannelWebhook, hubURL+"/webhook", "HUB", []inventory.Location{"DC2"}
	r.policies = []policy.Channel{hub, sh}
	return r
}

// serve runs the whole service; stop ends it and waits.
func (r *road) serve(t *testing.T) (stop func()) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Kafka = stream.Config{Brokers: r.brokers, Instance: "0"}
	cfg.Codecs, cfg.ATP, cfg.Policies, cfg.AllowPrivate = r.codecs, r.atp, r.policies, true
	cfg.Getenv = func(string) string { return secret }
	cfg.CheckEvery, cfg.ReconcileEvery, cfg.ReconcileFor = 20*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	cfg.Timeout, cfg.FirstWait, cfg.MostWait, cfg.PerSecond = 500*time.Millisecond, time.Millisecond, 10*time.Millisecond, 5000
	env := service.Env{Name: "channel-publisher", Log: slog.New(slog.DiscardHandler), Health: &service.Health{}, Now: time.Now}
	tasks, err := Build(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the service ended with %v", err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// write commits a transaction of positions.
func (r *road) write(t *testing.T, recs ...*stream.Record) {
	t.Helper()
	if err := r.writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		var p inventory.Position
		if err := r.codecs.DecodePosition(rec.Value, &p); err != nil {
			t.Fatal(err)
		}
		rec.Partition = stream.Partition([]byte(p.Key.String()), partitions)
		if err := r.writer.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.writer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

// shows waits until a channel shows a value.
func shows(t *testing.T, c *simulate.Channel, listing, want string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		changed := c.Changed()
		if v, _ := c.Value(listing); v.Quantity == want {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			v, _ := c.Value(listing)
			t.Fatalf("%s shows %q after 30 s, want %q; calls %+v", listing, v.Quantity, want, c.Calls())
		}
	}
}

// says waits for a result.
func (r *road) says(t *testing.T, what string, ok func(event.OfferResult) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if slices.ContainsFunc(r.results, ok) {
			return
		}
		fs := r.reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("no result that %s among %+v", what, r.results)
		}
		fs.EachRecord(func(rec *kgo.Record) {
			var res event.OfferResult
			if err := r.codecs.DecodeOfferResult(rec.Value, &res); err != nil {
				t.Error(err)
			}
			r.results = append(r.results, res)
		})
	}
}

// TestFromPositionsToChannels runs the service on a log and two channels: positions
// become values that are read back; a value changed by hand is put right; faults
// and a restart lead to the same values.
func TestFromPositionsToChannels(t *testing.T) {
	r := newRoad(t)
	for v := int64(1); v <= 20; v++ {
		r.write(t, position(t, r.codecs, "A", "DC1", v, v, 1, 2), position(t, r.codecs, "A", "DC2", v, 5, 2, 2))
		r.write(t, position(t, r.codecs, "B", "DC2", v, 2*v, 1, 1))
	}
	stop := r.serve(t)
	shows(t, r.shop, "L-1", "25")
	shows(t, r.shop, "B", "40")
	shows(t, r.hub, "B", "40")
	shows(t, r.hub, "L-1", "5")
	r.says(t, "confirms A at the shop", func(o event.OfferResult) bool {
		return o.Channel == "shop" && o.Key.Item == "A" && o.Status == event.Confirmed && o.Seen == 25*inventory.One && o.Version == 20
	})
	// A webhook that cannot be read back is accepted, not done (Invariant 7).
	r.says(t, "leaves the webhook unconfirmed", func(o event.OfferResult) bool {
		return o.Channel == "hub" && o.Key.Item == "B" && o.Status == event.Unconfirmed && o.Code == codeNoReadBack
	})
	// Of twenty versions only the last was ever offered.
	for _, c := range r.shop.Calls() {
		if c.Version != 20 {
			t.Errorf("the shop was sent version %d", c.Version)
		}
	}

	r.shop.SetByHand("L-1", 77*inventory.One)
	shows(t, r.shop, "L-1", "25")
	r.says(t, "corrects A", func(o event.OfferResult) bool {
		return o.Channel == "shop" && o.Status == event.Corrected && o.Seen == 77*inventory.One
	})

	r.shop.Fail(simulate.ChannelSet, simulate.ChannelErrorAfter, simulate.ChannelThrottle, simulate.ChannelHang)
	r.hub.Fail(simulate.ChannelSet, simulate.ChannelErrorBefore, simulate.ChannelThrottle)
	r.write(t, position(t, r.codecs, "A", "DC1", 21, 1, 1, 1))
	r.write(t, position(t, r.codecs, "B", "DC2", 21, 0, 1, 1))
	shows(t, r.shop, "L-1", "6")
	shows(t, r.shop, "B", "0")
	shows(t, r.hub, "B", "0")
	stop()

	// While it is away: new positions, and hands at the channel.
	r.write(t, position(t, r.codecs, "A", "DC1", 22, 3, 1, 1))
	r.shop.SetByHand("B", 9*inventory.One)
	before := len(r.hub.Calls())
	r.serve(t)
	shows(t, r.shop, "L-1", "8")
	shows(t, r.shop, "B", "0") // by the reconciler, or by an offer that was not committed yet
	if after := r.hub.Calls(); len(after) != before {
		t.Errorf("a restart sent what was sent before: %+v", after[before:])
	}
	// At no time was a value from an older offer set over a newer one.
	last := map[string]int64{}
	for _, c := range r.shop.Calls() {
		if c.Applied && c.Version < last[c.Listing] {
			t.Errorf("%s went from version %d back to %d", c.Listing, last[c.Listing], c.Version)
		}
		last[c.Listing] = max(last[c.Listing], c.Version)
	}
}

// publish writes a policy of promises to policies.v1.
func (r *road) publish(t *testing.T, a policy.ATPPolicy, channels []policy.Channel) {
	t.Helper()
	content, hash, err := policy.EncodeATP(&a, channels)
	if err != nil {
		t.Fatal(err)
	}
	value, err := r.codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.ATPName, Version: a.Version, Hash: hash, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	rec := &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "%s@%d", policy.ATPName, a.Version), Value: value}
	if err := r.writer.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := r.writer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

// TestPoliciesAndKitsWhileRunning: a published policy holds at once, and a kit that
// comes with it is read and offered, whatever partitions it and its parts are in.
func TestPoliciesAndKitsWhileRunning(t *testing.T) {
	r := newRoad(t)
	seen := map[int32]bool{}
	for _, i := range []string{"A", "B", "C", "KIT"} {
		seen[stream.Partition([]byte("acme|"+i), partitions)] = true
	}
	if len(seen) < 2 {
		t.Fatal("the kit and its parts are in one partition: nothing is shown")
	}
	r.write(t, position(t, r.codecs, "A", "DC1", 1, 9, 1, 1))
	r.write(t, position(t, r.codecs, "B", "DC1", 1, 30, 1, 1))
	r.serve(t)
	shows(t, r.shop, "B", "30")

	kit := func(version int64, parts ...inventory.Item) policy.ATPPolicy {
		k := policy.Kit{Entity: "acme", Item: "KIT"}
		for _, i := range parts {
			k.Parts = append(k.Parts, policy.KitPart{Item: i, Quantity: 2 * inventory.One})
		}
		return policy.ATPPolicy{Version: version, Kits: []policy.Kit{k}}
	}
	r.policies[1].Share = 50
	r.publish(t, kit(4, "A", "B"), r.policies)
	shows(t, r.shop, "B", "15")
	shows(t, r.shop, "KIT", "2")
	r.write(t, position(t, r.codecs, "A", "DC1", 2, 40, 1, 1))
	shows(t, r.shop, "KIT", "7")
	// Another part is read, though its position is older than the policy.
	r.write(t, position(t, r.codecs, "C", "DC1", 3, 8, 1, 1))
	shows(t, r.shop, "C", "4")
	r.publish(t, kit(5, "A", "C"), r.policies)
	shows(t, r.shop, "KIT", "2")
	r.write(t, position(t, r.codecs, "C", "DC1", 4, 0, 1, 1))
	shows(t, r.shop, "KIT", "0")
}

// hold keeps a topic from being read until release is closed.
func (r *road) hold(topic string) (release chan struct{}) {
	release = make(chan struct{})
	r.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if list, ok := req.(*kmsg.ListOffsetsRequest); ok && slices.ContainsFunc(list.Topics, func(t kmsg.ListOffsetsRequestTopic) bool { return t.Topic == topic }) {
			r.cluster.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
	return release
}

// TestOwnersOnTheLog: what channels show follows an owner's silence, the claims that
// take its place, and its word, without any position.
func TestOwnersOnTheLog(t *testing.T) {
	r := newRoad(t)
	r.atp.Silence = []policy.Silence{
		{Location: "DC1", Owner: "wms", Heartbeat: 3_600_000, Then: inventory.SilenceZero},
		{Location: "DC2", Owner: "3pl", Heartbeat: 3_600_000, Then: inventory.SilenceFallback, Fallback: "erp"},
	}
	r.atp.Kits = []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "B", Quantity: inventory.One}}}}
	send := func(topic string, value []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := r.writer.ProduceSync(t.Context(), &stream.Record{Topic: topic, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := r.writer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	claims := func(q inventory.Quantity, asOf inventory.Instant) {
		t.Helper()
		value, err := r.codecs.AppendView(nil, &inventory.View{
			Key: inventory.Key{Entity: "acme", Item: "B"}, Location: "DC2", Source: "erp", Basis: inventory.Sellable, EventID: "e", Version: 1,
			Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: q}}, AsOf: asOf,
		})
		send(event.TopicViews, value, err)
	}
	r.write(t, position(t, r.codecs, "B", "DC1", 1, 9, 1, 2), position(t, r.codecs, "B", "DC2", 1, 4, 2, 2))
	began := inventory.Instant(time.Now().UnixMilli())
	claims(2*inventory.One, began)
	// Before it is known who is silent, and what is claimed, nothing is offered.
	for _, topic := range []string{event.TopicReceipts, event.TopicViews} {
		release := r.hold(topic)
		stop := r.serve(t)
		select {
		case <-r.shop.Changed():
		case <-time.After(time.Second):
		}
		if calls := r.shop.Calls(); len(calls) > 0 {
			t.Errorf("without %s the shop was sent %+v", topic, calls)
		}
		close(release)
		stop()
	}
	r.serve(t)
	shows(t, r.shop, "B", "2")
	shows(t, r.shop, "KIT", "2")
	claims(3*inventory.One, began+1)
	shows(t, r.shop, "B", "3")
	shows(t, r.shop, "KIT", "3")
	for _, s := range []inventory.Source{"3pl", "wms"} {
		value, err := r.codecs.AppendReceipt(nil, &event.Receipt{RawID: "r", Source: s, At: inventory.Instant(time.Now().UnixMilli())})
		send(event.TopicReceipts, value, err)
		shows(t, r.shop, "B", map[inventory.Source]string{"3pl": "4", "wms": "13"}[s])
	}
	for _, c := range r.shop.Calls() {
		if !slices.Contains([]string{"2", "3", "4", "13"}, c.Quantity) {
			t.Errorf("the shop was sent %+v", c)
		}
	}
}
