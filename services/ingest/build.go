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

	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
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
	known, err := doors(cfg.Policies, cfg.Getenv)
	if err != nil {
		return nil, err
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stockweave_ingest_requests_total", Help: "Messages sent to the door, by source and answer.",
	}, []string{"source", "code"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "stockweave_ingest_ack_seconds", Help: "From the whole body to the log's ack.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	})
	if env.Metrics != nil {
		for _, c := range []prometheus.Collector{requests, took} {
			if err := env.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("registering metrics: %w", err)
			}
		}
	}
	producer, err := stream.NewProducer(cfg.Kafka, stream.WithMaxBatch(maxBatch))
	if err != nil {
		return nil, fmt.Errorf("opening producer: %w", err)
	}
	s := &server{
		cfg: cfg, doors: known, log: env.Log, now: env.Now, random: rand.Reader,
		produce: producer.Produce, gate: &gate{ping: producer.Ping, now: env.Now},
		slots: make(chan struct{}, cfg.MaxInFlight), requests: requests, took: took,
	}
	env.Health.Ready("ingest", s.gate.ready)
	serve := service.Serve(cfg.Listen, s.handler(), cfg.Bound)
	return []service.Task{func(ctx context.Context) error {
		defer producer.Close() // after the requests under way have their answers
		return serve(ctx)
	}}, nil
}
