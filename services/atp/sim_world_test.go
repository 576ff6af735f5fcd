//go:build synctests

package atp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// simWorld is a cluster of fakes under a fake clock, with the service on it.
type simWorld struct {
	t      *testing.T
	seed   uint64
	dir    string // snapshots of worker 0
	start  time.Time
	net    kfake.VirtualNetwork
	c      *kfake.Cluster
	cl     *kgo.Client
	codecs *event.Codecs
	parts  int32 // of the log

	mu      sync.Mutex
	met     map[string]int // faults and situations
	lives   int
	working [2]context.CancelFunc // ends the life that a worker has now
}

func newSimWorld(t *testing.T, seed uint64, dir string) *simWorld {
	t.Helper()
	w := &simWorld{t: t, seed: seed, dir: dir, start: time.Now(), codecs: event.TestCodecs(), met: map[string]int{}}
	var err error
	// The cluster does not compact: in this version of it that drops abort markers and
	// goes on naming their transactions, so that a committed read of what the same
	// producer wrote later yields nothing.
	w.c, err = kfake.NewCluster(kfake.NumBrokers(3), kfake.Ports(19092, 19093, 19094), kfake.ListenFn(w.net.Listen), kfake.SleepOutOfOrder(),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "100000000000"}))
	if err != nil {
		t.Fatal(err)
	}
	if w.cl, err = kgo.NewClient(kgo.SeedBrokers(w.c.ListenAddrs()...), kgo.Dialer(w.net.DialContext)); err != nil {
		t.Fatal(err)
	}
	admin, err := stream.NewAdmin(w.kafka("admin"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var specs []stream.TopicSpec
	for _, s := range event.TopicSpecs() {
		switch s.Name {
		case event.TopicAnswers:
			s.Configs["retention.ms"] = "-1" // they are all read at the end
		case event.TopicEvents:
			w.parts = s.Partitions
		}
		specs = append(specs, stream.TopicSpec{Name: s.Name, Partitions: s.Partitions, Replicas: 3, Configs: s.Configs})
	}
	if _, err := admin.EnsureTopics(context.Background(), false, specs...); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *simWorld) close() {
	w.cl.Close()
	w.c.Close()
	time.Sleep(time.Minute) // let everything end
}

// kafka is how an instance reaches the cluster. STREAM_LOG lets it tell.
func (w *simWorld) kafka(instance string) stream.Config {
	cfg := stream.Config{
		Brokers: w.c.ListenAddrs(), Instance: instance, Dialer: w.net.DialContext,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}
	if os.Getenv("STREAM_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(w.t.Output(), nil)).With(slog.String("instance", instance))
	}
	return cfg
}

// work is one worker's lives, the next one begun when the last has ended. Between
// episodes they are long and one works alone, and once nobody does.
func (w *simWorld) work(i int, plan *simPlan, stop <-chan struct{}) {
	failed := 0
	for {
		w.sleepUntil(plan.rest(i, time.Since(w.start)))
		cfg := DefaultConfig()
		cfg.Kafka, cfg.Codecs = w.kafka(fmt.Sprint(i)), w.codecs
		cfg.Kafka.MaxBatch = plan.limit(time.Since(w.start))
		if i == 0 {
			cfg.SnapshotDir = w.dir
		}
		if plan.buggy(time.Since(w.start)) {
			cfg.wrap = func(p *processor) stream.Processor { return panicking{p, w} }
		}
		tasks, closing, err := parts(cfg, service.Env{Name: "atp", Log: cfg.Kafka.Log, Health: &service.Health{}, Now: time.Now})
		if err != nil {
			w.t.Errorf("building worker %d: %v", i, err)
			return
		}
		if plan.closes(time.Since(w.start)) {
			tasks = append(tasks, closing)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- service.Run(ctx, tasks...) }()
		w.mu.Lock()
		w.lives++
		w.working[i] = cancel
		w.mu.Unlock()
		end := time.NewTimer(time.Until(w.start.Add(plan.life(i, time.Since(w.start)))))
		select {
		case <-end.C:
			cancel()
			err = <-done
		case err = <-done: // its supervisor starts it again
		case <-stop:
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("worker %d ended with %v", i, err)
			}
			return
		}
		end.Stop()
		cancel()
		if err != nil {
			w.t.Logf("worker %d at %v: %v", i, time.Since(w.start), err)
			if failed++; errors.Is(err, stream.ErrStop) || failed > 20 {
				w.t.Errorf("worker %d stopped: %v", i, err)
				return
			}
		}
		time.Sleep(time.Second)
	}
}

// crash ends every worker's life; they begin another.
func (w *simWorld) crash() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cancel := range w.working {
		if cancel != nil {
			cancel()
		}
	}
}

// policies decrees a version of the simulation's policy.
func (w *simWorld) policies(version int64) { w.decree(simLedger(version)) }

// decree writes a version of the ledger's policy, and then to every partition that it
// holds from there on.
func (w *simWorld) decree(p inventory.Policy) {
	version := p.Version
	content, hash, err := policy.EncodeLedger(p)
	if err != nil {
		w.t.Error(err)
		return
	}
	value, err := w.codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.LedgerName, Version: version, Hash: hash, Content: content, At: 1})
	if err != nil {
		w.t.Error(err)
		return
	}
	prod, err := stream.NewProducer(w.kafka("policies"), stream.WithOwnPartition())
	if err != nil {
		w.t.Error(err)
		return
	}
	defer prod.Close()
	w.produce(prod, &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "%s@%d", policy.LedgerName, version), Value: value})
	for part := range w.parts {
		e := inventory.Event{
			ID: event.PlaceID("control", part, version), Kind: inventory.KindControl, Source: "op", Document: inventory.Document{Type: "policy"},
			OccurredAt: 1, OccurredBasis: "receipt", Control: &inventory.Control{PolicyVersion: version, PolicyHash: hash},
		}
		value, err := w.codecs.AppendEvent(nil, &e)
		if err != nil {
			w.t.Error(err)
			return
		}
		w.produce(prod, &stream.Record{Topic: event.TopicEvents, Partition: part, Key: []byte(event.ControlKey), Value: value})
	}
}

// append is one producer: what it has to say, in the order of time.
func (w *simWorld) append(sends []simSend) {
	prod, err := stream.NewProducer(w.kafka("producer"))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer prod.Close()
	for i := range sends {
		s := &sends[i]
		w.sleepUntil(s.at)
		rec := &stream.Record{Topic: event.TopicEvents, Key: []byte(s.event.Key.String()), Value: []byte("junk")}
		if s.event.Kind != "" {
			if rec.Value, err = w.codecs.AppendEvent(nil, &s.event); err != nil {
				w.t.Error(err)
				return
			}
		}
		w.produce(prod, rec)
	}
}

// produce appends a record, again and again until it is acked.
func (w *simWorld) produce(prod *stream.Producer, rec *stream.Record) {
	for range 20 {
		again := *rec
		if err := prod.Produce(context.Background(), &again); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Error("a record could not be appended")
}

// settled waits until every event of the log is worked off.
func (w *simWorld) settled() {
	reads, err := stream.NewRestoreReads(w.kafka("reads"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer reads.Close()
	group := DefaultConfig().Group
	for range 600 {
		behind := 0
		for p := range w.parts {
			end, err := reads.HighWatermark(context.Background(), event.TopicEvents, p)
			off, err2 := reads.GroupOffset(context.Background(), group, event.TopicEvents, p)
			if err != nil || err2 != nil || off < end {
				behind++
			}
		}
		if behind == 0 {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Error("waited in vain: all is worked off")
}

// read is everything committed in a topic's partition.
func (w *simWorld) read(reads *stream.RestoreReads, topic string, partition int32) []*stream.Record {
	ctx := context.Background()
	high, err := reads.HighWatermark(ctx, topic, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	from, err := reads.LogStart(ctx, topic, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []*stream.Record
	for c := reads.Cursor(topic, partition, from, true); c.Offset() < high; {
		recs, err := c.Next(ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, recs...)
	}
	return all
}
