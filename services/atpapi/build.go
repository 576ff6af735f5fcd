// Package atpapi brings positions into Redis and answers available-to-promise from
// there over HTTP. Redis is a cache and nothing more: it can be emptied at any
// time, costs a reload, and says how fresh it is. What it holds is effectively
// once, by version: a replayed or reordered position changes nothing.
package atpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
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
		return nil, errors.New("atp-api: codecs are required")
	}
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Fetch == nil {
		cfg.Fetch = access.HTTPS()
	}
	porter, err := newPorter(&cfg, cfg.Fetch, env.Log, env.Now)
	if err != nil {
		return nil, err
	}
	count, err := newMetrics(env.Metrics)
	if err != nil {
		return nil, err
	}
	own, err := policy.NewPromises(&cfg.ATP, cfg.Channels)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	view, err := stream.NewRestoreReads(cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to the log: %w", err)
	}
	producer, err := stream.NewProducer(cfg.Kafka, stream.WithOwnPartition(event.TopicSubscriptions))
	if err != nil {
		return nil, fmt.Errorf("opening producer: %w", err)
	}
	rdb, err := cfg.Redis.client(cfg.Getenv)
	if err != nil {
		return nil, err
	}
	if err := porter.share(rdb, lifeName(cfg.Kafka.Instance, env.Now()), env.Now, env.Metrics); err != nil {
		return nil, err
	}
	st := &store{rdb: rdb}
	letter := func(d stream.DeadLetter) (*stream.Record, error) { return deadLetter(cfg.Codecs, d) }
	p := &projector{
		store: st, log: view, codecs: cfg.Codecs, now: env.Now, logger: env.Log, count: count, parts: map[int32]*projection{},
		dead: func(ctx context.Context, d stream.DeadLetter) error {
			rec, err := letter(d)
			if err != nil {
				return err
			}
			return producer.Produce(ctx, rec)
		},
	}
	worker, err := stream.NewWorker(stream.WorkerConfig{
		Config: cfg.Kafka, Group: cfg.Group, Topics: []string{event.TopicPositions}, ReadCommitted: true,
		Dead: letter, Batch: p.batch, Start: p.start, Check: p.check, CheckEvery: cfg.CheckEvery, Lost: p.lost,
		MaxRecords: cfg.MaxRecords,
	})
	if err != nil {
		return nil, fmt.Errorf("building the projector: %w", err)
	}
	pl := place.New(cfg.Codecs)
	table, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicLocations, Apply: pl.Apply})
	if err != nil {
		return nil, fmt.Errorf("reading locations: %w", err)
	}
	policies := current.New(cfg.Codecs, own, env.Log)
	permitted := make(chan struct{}) // closed when it is known who may ask
	permits, err := porter.follow(cfg.Codecs, &env)
	if err != nil {
		return nil, err
	}
	published, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicPolicies, Apply: func(rec *stream.Record) error {
		return errors.Join(policies.Apply(rec), permits.Apply(rec))
	}})
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	silence := heard.Config{
		Kafka: cfg.Kafka, Codecs: cfg.Codecs, Policies: policies, Now: env.Now, Log: env.Log, Metrics: env.Metrics, Prefix: "stockweave_atp_api",
	}
	sources, err := heard.New(silence)
	if err != nil {
		return nil, err
	}
	views := heard.NewViews(silence)
	atDesk, err := newReservationMetrics(env.Metrics)
	if err != nil {
		return nil, err
	}
	desk := newDesk(cfg.Reservations, &book{rdb: rdb}, lifeName(cfg.Kafka.Instance, env.Now()), env.Now, env.Log, atDesk)
	rd := &reader{store: st, codecs: cfg.Codecs, places: pl, policies: policies, heard: sources, views: views, now: env.Now}
	rd.gather = &gather{load: st.items}
	if cfg.Local.Bytes > 0 {
		rd.local = newLocal(cfg.Local)
		if err := rd.local.register(env.Metrics, env.Now); err != nil {
			return nil, err
		}
	}
	a := &api{
		reader: rd, entity: cfg.Entity, porter: porter, retryAfter: cfg.RetryAfter, now: env.Now, log: env.Log, count: count,
		desk: desk,
	}
	if a.dialects, err = cfg.Doors.open(); err != nil {
		return nil, err
	}
	if a.prover, err = newProver(&cfg, &env); err != nil {
		return nil, err
	}
	told, telling, err := buildChanges(&cfg, &env, view, rd, table.Loaded(), published.Loaded(), sources.Loaded(), views.Loaded())
	if err != nil {
		return nil, err
	}
	a.changes = told
	subscribers, sending, err := buildSubscribers(&cfg, &env, view, producer.Produce, told, porter, permitted, table.Loaded(), published.Loaded(), sources.Loaded(), views.Loaded())
	if err != nil {
		return nil, err
	}
	a.subscribers = subscribers
	env.Health.Ready("atp-api projector", worker.Ready)
	listening := env.Health.Listening("atp-api requests", cfg.Bound)
	env.Health.Ready("atp-api locations", table.Ready)
	env.Health.Ready("atp-api policies", published.Ready)
	env.Health.Ready("atp-api owners", sources.Ready)
	env.Health.Ready("atp-api views", views.Ready)
	env.Health.Detail("atp-api access", permits.Refused)
	tasks := []service.Task{
		table.Run,
		published.Run,
		func(ctx context.Context) error {
			if !wait(ctx, published.Loaded()) { // for whose silence there are rules, and who may ask
				return nil
			}
			permits.Loaded()
			close(permitted)
			return service.Run(ctx, sources.Run, views.Run)
		},
		worker.Run,
		porter.leases.Run,
		func(ctx context.Context) error { return rd.learn(ctx, view, env.Log) },
		func(ctx context.Context) error {
			if rd.local == nil {
				return nil
			}
			return rd.look(ctx, told.feed.Loaded())
		},
		func(ctx context.Context) error { return desk.serve(ctx, &cfg, producer, view) },
		func(ctx context.Context) error {
			st.warnEviction(ctx, env.Log)
			return nil
		},
		func(ctx context.Context) error {
			// A day asked of an unknown zone, a number by an old policy, or one that hides an
			// owner's silence would be wrong ones; and nobody asks who was taken off.
			if !wait(ctx, permitted, porter.leases.Ready(), table.Loaded(), published.Loaded(), sources.Loaded(), views.Loaded()) {
				return nil
			}
			handler := withHead(a.handler())
			if cfg.Local.First {
				return service.ServeBrief(cfg.Listen, handler, brief, listening)(ctx)
			}
			return service.Serve(cfg.Listen, handler, listening)(ctx)
		},
	}
	tasks = append(tasks, telling...)
	if sending != nil {
		tasks = append(tasks, sending)
	}
	return []service.Task{func(ctx context.Context) error {
		defer view.Close()
		defer a.prover.close()
		defer producer.Close()
		defer func() {
			if err := rdb.Close(); err != nil {
				env.Log.Debug("closing redis", slog.Any("err", err))
			}
		}()
		return service.Run(ctx, tasks...)
	}}, nil
}

// wait returns when all are closed, or false when ctx is done.
func wait(ctx context.Context, all ...<-chan struct{}) bool {
	for _, c := range all {
		select {
		case <-c:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// learnEvery is how often the number of partitions is asked for until it is known.
const learnEvery = 500 * time.Millisecond

// learn finds out how many partitions positions have. A count never changes in
// place, so once is enough.
func (r *reader) learn(ctx context.Context, view logView, log *slog.Logger) error {
	for {
		_, n, err := view.Topic(ctx, event.TopicPositions)
		if err == nil && n > 0 {
			r.setPartitions(n)
			return nil
		}
		log.Warn("partitions of positions are not known yet", slog.Any("err", err))
		if !pause(ctx, learnEvery) {
			return nil
		}
	}
}

// deadLetter is a position that cannot be projected, kept whole with its reason.
func deadLetter(c *event.Codecs, d stream.DeadLetter) (*stream.Record, error) {
	letter := event.DeadLetter{
		ID: event.PlaceID(d.Record.Topic, d.Record.Partition, d.Record.Offset), Service: "atp-api",
		Code: d.Code, Reason: d.Reason,
		Topic: d.Record.Topic, Partition: d.Record.Partition, Offset: d.Record.Offset,
		Key: d.Record.Key, Value: d.Record.Value, At: inventory.Instant(d.Record.Timestamp.UnixMilli()),
	}
	value, err := c.AppendDeadLetter(nil, &letter)
	if err != nil {
		return nil, fmt.Errorf("encoding dead letter: %w", err)
	}
	return &stream.Record{Topic: event.TopicDeadATPAPI, Key: d.Record.Key, Value: value}, nil
}
