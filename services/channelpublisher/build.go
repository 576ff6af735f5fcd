// Package channelpublisher turns positions into offers (inventory.positions →
// channel.offers) and brings each channel to its latest offers (channel.offers →
// channel → channel.results): the latest value per listing, zero-outs and low cover
// first, within a rate budget, by compare-and-set, and confirmed by reading back.
package channelpublisher

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/policy/heard"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Build wires the service and starts nothing.
func Build(_ context.Context, cfg Config, env service.Env) ([]service.Task, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Codecs == nil {
		return nil, errors.New("channel-publisher: codecs are required")
	}
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	count, err := newMetrics(env.Metrics)
	if err != nil {
		return nil, err
	}
	own, err := policy.NewPromises(&cfg.ATP, cfg.Policies)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	view, err := stream.NewRestoreReads(cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to the log: %w", err)
	}
	producer, err := stream.NewProducer(cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("opening producer: %w", err)
	}
	policies := current.New(cfg.Codecs, own, env.Log)
	silence := heard.Config{
		Kafka: cfg.Kafka, Codecs: cfg.Codecs, Policies: policies, Now: env.Now, Log: env.Log, Metrics: env.Metrics, Prefix: "stockweave_channel",
	}
	sources, err := heard.New(silence)
	if err != nil {
		return nil, err
	}
	b := &builder{cfg: &cfg, policies: policies, heard: sources, views: heard.NewViews(silence), env: env, count: count, board: newBoard(cfg.Codecs), zones: place.New(cfg.Codecs), view: view, producer: producer}
	tasks, err := b.tasks()
	if err != nil {
		return nil, err
	}
	return []service.Task{func(ctx context.Context) error {
		defer view.Close()
		defer producer.Close()
		return service.Run(ctx, tasks...)
	}}, nil
}

// builder holds what all workers share.
type builder struct {
	cfg      *Config
	env      service.Env
	count    *metrics
	board    *board
	policies *current.Policy
	heard    *heard.Sources
	views    *heard.Views
	zones    *place.Places
	view     *stream.RestoreReads
	producer *stream.Producer
}

func (b *builder) tasks() ([]service.Task, error) {
	offers, err := stream.NewTable(stream.TableConfig{Config: b.cfg.Kafka, Topic: event.TopicOffers, Apply: b.board.apply})
	if err != nil {
		return nil, fmt.Errorf("reading offers: %w", err)
	}
	locations, err := stream.NewTable(stream.TableConfig{Config: b.cfg.Kafka, Topic: event.TopicLocations, Apply: b.zones.Apply})
	if err != nil {
		return nil, fmt.Errorf("reading locations: %w", err)
	}
	policies, err := stream.NewTable(stream.TableConfig{Config: b.cfg.Kafka, Topic: event.TopicPolicies, Apply: b.policies.Apply})
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	after := func(run service.Task, known ...<-chan struct{}) service.Task {
		return func(ctx context.Context) error {
			for _, loaded := range known {
				select {
				case <-loaded:
				case <-ctx.Done():
					return nil
				}
			}
			return run(ctx)
		}
	}
	tasks := []service.Task{offers.Run, locations.Run, policies.Run, after(b.heard.Run, policies.Loaded()), after(b.views.Run, policies.Loaded())}
	b.env.Health.Ready("channel-publisher owners", b.heard.Ready)
	b.env.Health.Ready("channel-publisher views", b.views.Ready)
	// What stands on offer, the day, the policy and who is silent must be known before
	// anything is offered.
	loaded := func(run service.Task) service.Task {
		return after(run, offers.Loaded(), locations.Loaded(), policies.Loaded(), b.heard.Loaded(), b.views.Loaded())
	}
	kits := &kitParts{codecs: b.cfg.Codecs, policies: b.policies, table: func(apply func(*stream.Record) error) (table, error) {
		return stream.NewTable(stream.TableConfig{Config: b.cfg.Kafka, Topic: event.TopicPositions, ReadCommitted: true, Apply: apply})
	}}
	b.env.Health.Ready("channel-publisher kits", kits.ready)
	evaluator, err := b.evaluator(kits)
	if err != nil {
		return nil, err
	}
	tasks = append(tasks, loaded(kits.run), loaded(evaluator.Run))
	for i := range b.cfg.Policies {
		w, err := b.publisher(&b.cfg.Policies[i])
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, loaded(w.Run))
	}
	return tasks, nil
}

func (b *builder) evaluator(kits *kitParts) (*stream.Worker, error) {
	dead := func(d stream.DeadLetter) (*stream.Record, error) { return deadLetter(b.cfg.Codecs, d) }
	e := &evaluator{
		codecs: b.cfg.Codecs, log: b.view, policies: b.policies, heard: b.heard, views: b.views, kits: kits, zones: b.zones, board: b.board,
		produce: b.producer.Produce, dead: dead, now: b.env.Now, logger: b.env.Log, count: b.count, parts: map[int32]*partition{},
	}
	w, err := stream.NewWorker(stream.WorkerConfig{
		Config: b.cfg.Kafka, Group: b.cfg.Group + "-offers", Topics: []string{event.TopicPositions}, ReadCommitted: true,
		Dead: dead, Batch: e.batch, Start: e.start, Check: e.check, CheckEvery: b.cfg.CheckEvery, Lost: e.lost,
		MaxRecords: b.cfg.MaxRecords,
	})
	if err != nil {
		return nil, fmt.Errorf("building the evaluator: %w", err)
	}
	b.env.Health.Ready("channel-publisher offers", w.Ready)
	return w, nil
}

func (b *builder) publisher(p *policy.Channel) (*stream.Worker, error) {
	ch, err := open(p, b.cfg, b.env.Now)
	if err != nil {
		return nil, err
	}
	pub := &publisher{
		name: p.Name, channel: ch, board: b.board, codecs: b.cfg.Codecs, budget: newBudget(b.cfg.rate(p.Name), b.env.Now),
		cfg: b.cfg, produce: b.producer.Produce, now: b.env.Now, logger: b.env.Log, count: b.count, parts: map[int32]*shown{},
	}
	w, err := stream.NewWorker(stream.WorkerConfig{
		Config: b.cfg.Kafka, Group: b.cfg.Group + "-publish-" + p.Name, Topics: []string{event.TopicOffers},
		Dead:  func(d stream.DeadLetter) (*stream.Record, error) { return deadLetter(b.cfg.Codecs, d) },
		Batch: pub.batch, Check: pub.reconcile, CheckEvery: b.cfg.ReconcileEvery, Lost: pub.lost, MaxRecords: b.cfg.MaxRecords,
	})
	if err != nil {
		return nil, fmt.Errorf("building the publisher of %s: %w", p.Name, err)
	}
	b.env.Health.Ready("channel-publisher "+p.Name, w.Ready)
	return w, nil
}
