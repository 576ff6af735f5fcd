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

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
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
		codecs: cfg.Codecs, sources: cfg.Policies.Sources, log: env.Log, now: env.Now,
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
	closeAll := func() { reads.Close(); producer.Close() }
	env.Health.Ready("ingest", recv.gate.ready)
	if recv.live, err = followed(&cfg, env, known, porter); err != nil {
		closeAll()
		return nil, err
	}
	published, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicPolicies, Apply: recv.live.Apply})
	if err != nil {
		closeAll()
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	env.Health.Ready("ingest policies", published.Ready)
	env.Health.Detail("sources", recv.live.Refused)
	cursors, err := cursor.NewLog(cfg.Kafka, cfg.Codecs, producer.Produce, env.Now)
	if err != nil {
		closeAll()
		return nil, fmt.Errorf("opening cursors: %w", err)
	}
	asks, err := polls(&cfg, env, recv, cursors)
	takes, faults := folders(&cfg, env, recv, cursors)
	if err := errors.Join(err, faults); err != nil {
		cursors.Close()
		closeAll()
		return nil, err
	}
	serve := service.Serve(cfg.Listen, s.handler(), cfg.Bound)
	return append([]service.Task{published.Run, func(ctx context.Context) error {
		defer cursors.Close()
		defer closeAll() // after the requests under way have their answers
		select {         // a source that was taken off is not let in again by a restart
		case <-published.Loaded():
			recv.live.Loaded()
		case <-ctx.Done():
			return nil
		}
		return serve(ctx)
	}}, append(asks, takes...)...), nil
}
