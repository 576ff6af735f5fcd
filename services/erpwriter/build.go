// Package erpwriter plans one ERP document for each movement the ledger has
// applied (inventory.outcomes → erp.postings), and posts the plan to the ERPs
// (erp.postings → ERP → erp.results).
//
// The plan is durable before any call, and its ids are functions of the events, so
// recovery reads the plan and never regroups. Posting is at-least-once with a
// look-up before each attempt: effectively once, not exactly (Invariant 6).
package erpwriter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// Build wires the service and starts nothing.
func Build(_ context.Context, cfg Config, env service.Env) ([]service.Task, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Codecs == nil {
		return nil, errors.New("erp-writer: codecs are required")
	}
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	m, err := newMetrics(env.Metrics)
	if err != nil {
		return nil, err
	}
	b := &builder{cfg: &cfg, env: env, metrics: m}
	tasks, err := b.planner()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for i := range cfg.ERPs {
		e := &cfg.ERPs[i]
		known[e.Name] = true
		task, err := b.poster(e)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, task)
	}
	// Whatever belongs to no configured ERP still gets a result.
	orphans, err := b.worker("poster", event.TopicPostings, &postings{
		codecs: cfg.Codecs, mine: func(erp string) bool { return !known[erp] }, post: unknownERP(m, env.Now),
	})
	if err != nil {
		return nil, err
	}
	return append(tasks, orphans.Run), nil
}

// builder holds what all workers share.
type builder struct {
	cfg     *Config
	env     service.Env
	metrics *metrics
}

// planner reads outcomes; a date needs the locations' zones first.
func (b *builder) planner() ([]service.Task, error) {
	places := place.New(b.cfg.Codecs)
	table, err := stream.NewTable(stream.TableConfig{Config: b.cfg.Kafka, Topic: event.TopicLocations, Apply: places.Apply})
	if err != nil {
		return nil, fmt.Errorf("reading locations: %w", err)
	}
	p := &planner{codecs: b.cfg.Codecs, erps: b.cfg.ERPs, zone: places.Zone, metrics: b.metrics}
	w, err := b.worker("planner", event.TopicOutcomes, p)
	if err != nil {
		return nil, err
	}
	return []service.Task{
		table.Run,
		func(ctx context.Context) error {
			select {
			case <-table.Loaded():
			case <-ctx.Done():
				return nil
			}
			return w.Run(ctx)
		},
	}, nil
}

// poster posts to one ERP.
func (b *builder) poster(e *policy.ERP) (service.Task, error) {
	adapter, err := open(e, b.cfg, b.env.Now)
	if err != nil {
		return nil, err
	}
	p := newPoster(e, adapter, b.cfg, b.env, b.metrics)
	w, err := b.worker("poster-"+e.Name, event.TopicPostings, &postings{
		codecs: b.cfg.Codecs, mine: func(erp string) bool { return erp == e.Name }, post: p.post,
	})
	if err != nil {
		return nil, err
	}
	return w.Run, nil
}

// batcher handles the records of one partition that one poll brought.
type batcher interface {
	batch(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error)
}

func (b *builder) worker(name, topic string, h batcher) (*stream.Worker, error) {
	c := b.cfg.Codecs
	w, err := stream.NewWorker(stream.WorkerConfig{
		Config: b.cfg.Kafka, Group: b.cfg.Group + "-" + name, Topics: []string{topic},
		Dead:  func(d stream.DeadLetter) (*stream.Record, error) { return deadLetter(c, d) },
		Batch: h.batch,
		// Outcomes are written in transactions; postings are not, and lose nothing.
		ReadCommitted: true,
		MaxRecords:    b.cfg.MaxRecords,
	})
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", name, err)
	}
	b.env.Health.Ready("erp-writer "+name, w.Ready)
	return w, nil
}

// newPoster makes the poster of an ERP with the limits of its policy.
func newPoster(e *policy.ERP, adapter erp.ERP, cfg *Config, env service.Env, m *metrics) *poster {
	gauge := m.open.WithLabelValues(e.Name)
	log := env.Log
	return &poster{
		name: e.Name, erp: adapter, policy: e, cfg: cfg, now: env.Now, log: log, metrics: m,
		slots: make(chan struct{}, max(e.Throttle.Concurrent, 1)),
		breaker: &breaker{
			threshold: cfg.BreakerAfter, cool: cfg.BreakerCool, maxCool: cfg.BreakerMost, now: env.Now,
			changed: func(open bool) {
				if open {
					gauge.Set(1)
					log.Error("the ERP does not answer; calls are held back", slog.String("erp", e.Name))
					return
				}
				gauge.Set(0)
				log.Info("the ERP answers again", slog.String("erp", e.Name))
			},
		},
	}
}
