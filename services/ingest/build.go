// Package ingest is the door: it takes messages over HTTP, checks who sends them,
// and answers 202 only when the log has them (→ raw.messages, or raw.bulk by the
// latency class of the source). It reads no more of
// a message than it must: what it means is the canonicalizer's job.
package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/acks"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/signature"
)

// maxBatch is what raw.messages allows: a body of policy.MaxMessage and its
// metadata fit.
const maxBatch = 2 << 20

// Build wires the service and starts nothing. A secret that is missing from the
// environment is an error.
func Build(_ context.Context, cfg Config, env service.Env) ([]service.Task, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Codecs == nil || cfg.Policies == nil {
		return nil, errors.New("ingest: codecs and policies are required")
	}
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Fetch == nil {
		cfg.Fetch = signature.HTTPFetch()
	}
	known, err := doors(cfg.Policies, cfg.Getenv, cfg.Fetch)
	if err != nil {
		return nil, err
	}
	porter, err := newPorter(cfg.Policies, known, access.HTTPS(), env.Log, env.Now)
	if err != nil {
		return nil, err
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stockweave_ingest_requests_total", Help: "Messages sent to the door, by source and answer.",
	}, []string{"source", "code"})
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stockweave_ingest_messages_total", Help: "Messages in requests, by source and what became of them: a request may have several.",
	}, []string{"source", "code"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "stockweave_ingest_ack_seconds", Help: "From the whole body to the log's ack.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	})
	if env.Metrics != nil {
		for _, c := range []prometheus.Collector{requests, messages, took} {
			if err := env.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("registering metrics: %w", err)
			}
		}
	}
	producer, err := stream.NewProducer(cfg.Kafka, stream.WithMaxBatch(maxBatch))
	if err != nil {
		return nil, fmt.Errorf("opening producer: %w", err)
	}
	recv := &receiver{
		codecs: cfg.Codecs, log: env.Log, now: env.Now,
		produce: producer.Produce, gate: &gate{ping: producer.Ping, now: env.Now}, wait: cfg.AckTimeout, took: took,
	}
	reads, err := stream.NewRestoreReads(cfg.Kafka)
	if err != nil {
		producer.Close()
		return nil, fmt.Errorf("connecting for acknowledgements: %w", err)
	}
	s := &server{
		cfg: cfg, log: env.Log, now: env.Now, random: rand.Reader, recv: recv, porter: porter,
		slots: make(chan struct{}, cfg.MaxInFlight), strangers: make(chan struct{}, max(1, cfg.MaxInFlight/2)), requests: requests, messages: messages,
		ids:  idempotent.NewWindow(idsKept, mostIDs, maxAnswer, env.Now),
		acks: acks.NewReader(reads, cfg.Codecs), asks: make(chan struct{}, mostAcks),
	}
	env.Health.Ready("ingest", recv.gate.ready)
	cursors, err := cursor.NewLog(cfg.Kafka, cfg.Codecs, producer.Produce, env.Now)
	if err != nil {
		reads.Close()
		producer.Close()
		return nil, fmt.Errorf("opening cursors: %w", err)
	}
	closeAll := func() { cursors.Close(); reads.Close(); producer.Close() }
	tasks, err := tasksOf(&cfg, env, known, s, cursors, closeAll)
	if err != nil {
		closeAll()
		return nil, err
	}
	return tasks, nil
}

// tasksOf are the tasks of the service: to follow the policies, to take what is sent and
// to fetch what is not. closeAll is called when the last of them is over.
func tasksOf(cfg *Config, env service.Env, known map[inventory.Source]*door, s *server, cursors cursor.Store, closeAll func()) ([]service.Task, error) {
	fetch, err := newFetcher(cfg, env, s.recv, cursors, s.acks)
	if err != nil {
		return nil, err
	}
	own, err := fetch.ways(cfg.Policies, known)
	if err != nil {
		return nil, err
	}
	crew := newCrew(cfg.Kafka, env.Log)
	crew.set(own)
	live, err := followed(cfg, env, own, s.porter, fetch, crew)
	if err != nil {
		return nil, err
	}
	permits, err := permitted(cfg, env, s.porter)
	if err != nil {
		return nil, err
	}
	published, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicPolicies, Apply: takePolicy(live, permits)})
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	env.Health.Ready("ingest policies", published.Ready)
	env.Health.Detail("sources", live.Refused)
	env.Health.Detail("ingest access", permits.Refused)
	loaded := sync.OnceFunc(func() { loadPolicy(live, permits) })
	serve := service.Serve(cfg.Listen, s.handler(), env.Health.Listening("ingest requests", cfg.Bound))
	var under atomic.Int32
	under.Store(2)
	// A source that was taken off is not let in again, nor fetched from, by a restart.
	after := func(task service.Task) service.Task {
		return func(ctx context.Context) error {
			defer func() { // what is under way has its answers by then
				if under.Add(-1) == 0 {
					closeAll()
				}
			}()
			select {
			case <-published.Loaded():
				loaded()
				return task(ctx)
			case <-ctx.Done():
				return nil
			}
		}
	}
	return []service.Task{published.Run, after(serve), after(crew.run)}, nil
}
