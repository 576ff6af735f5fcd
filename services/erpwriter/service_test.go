package erpwriter

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// world is a cluster, an ERP that accepts anything twice, and what was sent.
type world struct {
	*bench
	brokers []string
	all     *kgo.Client // reads every result from the start
	got     map[string][]event.PostingResult
}

func newWorld(t *testing.T, opts simulate.ERPOptions) *world {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3,
		event.TopicOutcomes, event.TopicPostings, event.TopicResults, event.TopicLocations, event.TopicDeadERPWriter))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{bench: newBench(t, opts), brokers: c.ListenAddrs(), got: map[string][]event.PostingResult{}}
	w.all, err = kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.ConsumeTopics(event.TopicResults),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.all.Close)
	return w
}

// start runs the service; stop ends it and waits.
func (w *world) start(t *testing.T, group string) (stop func()) {
	t.Helper()
	cfg := *w.cfg
	cfg.Group, cfg.Codecs, cfg.ERPs = group, event.TestCodecs(), []policy.ERP{w.policy}
	cfg.Kafka = stream.Config{Brokers: w.brokers, Instance: "0"}
	env := service.Env{Name: "erp-writer", Log: slog.New(slog.DiscardHandler), Health: &service.Health{}, Now: time.Now}
	tasks, err := Build(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func (w *world) send(t *testing.T, recs ...*stream.Record) {
	t.Helper()
	p, err := stream.NewProducer(stream.Config{Brokers: w.brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Produce(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
}

// results waits until every named posting has at least one result.
func (w *world) results(t *testing.T, ids []string, each int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		missing := 0
		for _, id := range ids {
			if len(w.got[id]) < each {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		fs := w.all.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d postings have fewer than %d results", missing, len(ids), each)
		}
		fs.EachRecord(func(rec *kgo.Record) {
			var r event.PostingResult
			if err := event.TestCodecs().DecodeResult(rec.Value, &r); err != nil {
				t.Errorf("decoding a result: %v", err)
			}
			w.got[r.PostingID] = append(w.got[r.PostingID], r)
		})
	}
}

// day is n outcomes, each a receipt of one unit and a shipment of none or one.
func day(t *testing.T, n int) (recs []*stream.Record, ids []string, holds int64) {
	t.Helper()
	for i := range n {
		moves := []inventory.Move{{
			Type: inventory.Receipt, From: outside(inventory.Supplier), To: stateAt("DC1", inventory.OnHand), Quantity: 2 * inventory.One,
		}}
		holds += 2
		if i%3 == 0 {
			moves = append(moves, inventory.Move{
				Type: inventory.Ship, From: stateAt("DC1", inventory.OnHand), To: outside(inventory.Customer), Quantity: inventory.One,
			})
			holds--
		}
		o := outcome(inventory.Applied, moves...)
		o.Document.Number = fmt.Sprint(1000 + i)
		o.EventID = event.EventID(o.Source, o.Document)
		recs = append(recs, outcomeRecord(t, o))
		for m := range moves {
			ids = append(ids, postingID([]string{o.EventID}, m, "main"))
		}
	}
	return recs, ids, holds
}

func TestOutcomesBecomeDocumentsOnce(t *testing.T) {
	w := newWorld(t, simulate.ERPOptions{AllowTwice: true})
	recs, ids, holds := day(t, 30)
	w.erp.FailAtRandom(7, 0.1, simulate.FaultDropAfter, simulate.FaultErrorAfter, simulate.FaultUnavailable)
	w.cfg.MaxRefusals = 100
	w.send(t, recs...)
	stop := w.start(t, "erp-writer")
	w.results(t, ids, 1)
	w.expect(t, len(ids), holds)
	stop()

	// The same outcomes again, to a process that remembers nothing: as after an
	// offset commit that was lost.
	w.send(t, recs...)
	stop = w.start(t, "erp-writer")
	w.results(t, ids, 2)
	w.expect(t, len(ids), holds)
	stop()

	// Everything from the start of the log, as after a reset of the group.
	w.start(t, "rewound")
	w.results(t, ids, 3)
	w.expect(t, len(ids), holds)
	for id, rs := range w.got {
		for _, r := range rs {
			if r.Status == event.PostFailed {
				t.Errorf("%s: %+v", id, r)
			}
		}
	}
}

// A service that dies while the ERP holds its calls takes up every document where
// it stands.
func TestStoppedInTheMiddle(t *testing.T) {
	w := newWorld(t, simulate.ERPOptions{AllowTwice: true})
	recs, ids, holds := day(t, 10)
	w.send(t, recs...)
	w.erp.FailAtRandom(1, 1, simulate.FaultUnavailable)
	stop := w.start(t, "erp-writer")
	waitFor(t, func() bool { return w.erp.Counters()["fault_503"] > 5 })
	w.erp.FailAtRandom(1, 0.5, simulate.FaultDropAfter)
	waitFor(t, func() bool { return w.erp.Counters()["posted"] > 2 })
	w.erp.FailAtRandom(1, 0)
	stop()
	w.start(t, "erp-writer")
	w.results(t, ids, 1)
	w.expect(t, len(ids), holds)
}

func TestNothingIsDropped(t *testing.T) {
	w := newWorld(t, simulate.ERPOptions{Items: []string{"SKU-1"}})
	gone := receive("GONE", 1)
	gone.ERP = "retired"
	c := event.TestCodecs()
	orphan, err := postingRecord(c, gone, "")
	if err != nil {
		t.Fatal(err)
	}
	bad := outcome(inventory.Applied, inventory.Move{
		Type: inventory.Receipt, From: outside(inventory.Supplier), To: stateAt("DC1", inventory.OnHand), Quantity: inventory.One,
	})
	bad.Key.Item = "NO-SUCH"
	recs, ids, holds := day(t, 2)
	junk := &stream.Record{Topic: event.TopicOutcomes, Key: []byte("junk"), Value: []byte("no record of ours")}
	junkPosting := &stream.Record{Topic: event.TopicPostings, Key: []byte("junk"), Value: []byte("nor this")}
	badID := postingID([]string{bad.EventID}, 0, "main")
	w.send(t, append(recs, orphan, outcomeRecord(t, bad), junk, junkPosting)...)
	w.start(t, "erp-writer")
	w.results(t, append(ids, gone.ID, badID), 1)
	w.expect(t, len(ids), holds)
	for id, code := range map[string]string{gone.ID: codeUnknownERP, badID: erp.CodeUnknownItem} {
		if r := w.got[id][0]; r.Status != event.PostFailed || r.Code != code || r.Reason == "" {
			t.Errorf("got %+v, want %s", r, code)
		}
	}
	// Both undecodable records are dead letters, once each.
	dead, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.ConsumeTopics(event.TopicDeadERPWriter),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	topics := map[string]int{}
	for len(topics) < 2 && ctx.Err() == nil {
		dead.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
			var d event.DeadLetter
			if err := c.DecodeDeadLetter(rec.Value, &d); err != nil || d.Code != "undecodable" || d.Service != "erp-writer" {
				t.Errorf("dead letter %+v, %v", d, err)
			}
			topics[d.Topic]++
		})
	}
	if topics[event.TopicOutcomes] != 1 || topics[event.TopicPostings] != 1 {
		t.Errorf("dead letters by topic: %v", topics)
	}
}

func TestBuildRefuses(t *testing.T) {
	e := mainERP()
	e.KeyEnv = "ERP_KEY"
	for _, c := range []struct {
		name, want string
		edit       func(*Config)
	}{
		{"bad figures", "erp_writer.timeout", func(c *Config) { c.Timeout = 0 }},
		{"no codecs", "codecs", func(c *Config) { c.Codecs = nil }},
		{"no address", "no address", func(c *Config) { c.ERPs[0].URL = "" }},
		{"no key", "ERP_KEY", func(c *Config) { c.ERPs[0].URL = "http://127.0.0.1:1" }},
		{"no adapter", "no adapter", func(c *Config) { c.ERPs[0].Type = "ledger by post" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := *quick()
			cfg.Codecs, cfg.ERPs = event.TestCodecs(), []policy.ERP{e}
			cfg.Kafka = stream.Config{Brokers: []string{"127.0.0.1:1"}}
			c.edit(&cfg)
			env := service.Env{Log: slog.New(slog.DiscardHandler), Health: &service.Health{}, Now: time.Now}
			if _, err := Build(t.Context(), cfg, env); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want it to name %q", err, c.want)
			}
		})
	}
}
