package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/pull"
	"github.com/stockweave/stockweave/services/ingest/pull/api"
	"github.com/stockweave/stockweave/services/ingest/pull/tryton"
	"github.com/stockweave/stockweave/services/ingest/sql"
)

// pollsGroup divides the sources that are asked among the replicas.
const pollsGroup = "ingest-polls"

// polls are the tasks of the sources that ingest asks: databases and APIs. Each has one
// replica at a time: an outbox the one that has its lock, any other the one that holds
// the partition of its cursor. For a moment after a replica has died or stalled it may
// be two; what both read of one record is one message by its id.
func polls(cfg *Config, env service.Env, appender pull.Appender, cursors cursor.Store) ([]service.Task, error) {
	p := polling{cfg: cfg, env: env, appender: appender, cursors: cursors, metrics: pull.NewMetrics()}
	var tasks []service.Task
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Policies.Sources)) {
		src := cfg.Policies.Sources[name]
		var task service.Task // of its own
		var err error
		switch t := &src.Transport; {
		case t.SQL != nil:
			task, err = p.database(src, t.SQL)
		case t.Pull != nil:
			err = p.system(src, t.Pull)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("source %s: %w", name, err))
		}
		if task != nil {
			tasks = append(tasks, task)
		}
	}
	if len(p.feeds) > 0 {
		tasks = append(tasks, func(ctx context.Context) error { return hold(ctx, cfg.Kafka, env.Log, pollsGroup, p.feeds) })
	}
	if len(tasks) > 0 && env.Metrics != nil {
		if err := env.Metrics.Register(p.metrics); err != nil {
			errs = append(errs, fmt.Errorf("registering metrics: %w", err))
		}
	}
	return tasks, errors.Join(errs...)
}

type polling struct {
	cfg      *Config
	env      service.Env
	appender pull.Appender
	cursors  cursor.Store
	metrics  *pull.Metrics
	feeds    []held
}

func (p *polling) secret(env string) (string, error) {
	if env == "" {
		return "", nil
	}
	v := p.cfg.Getenv(env)
	if v == "" {
		return "", fmt.Errorf("environment variable %s is not set", env)
	}
	return v, nil
}

// database makes the task of an outbox, or a feed.
func (p *polling) database(src *policy.Source, s *policy.SQL) (service.Task, error) {
	conn, err := sql.Config(s, p.cfg.Getenv)
	if err != nil {
		return nil, fmt.Errorf("transport.sql: %w", err)
	}
	if s.Outbox != nil {
		return p.outbox(src, s, conn).Run, nil
	}
	rows := sql.NewRows(src, s, conn, p.env.Now)
	p.feed(src, s.Poll, "sql", rows, rows.Close)
	return nil, nil //nolint:nilnil // a feed is no task of its own
}

func (p *polling) outbox(src *policy.Source, s *policy.SQL, conn *pgx.ConnConfig) *sql.Outbox {
	return &sql.Outbox{
		Source: src, SQL: s, Config: conn, Append: p.appender,
		Log: p.env.Log, Now: p.env.Now, Random: rand.Float64, Metrics: p.metrics,
	}
}

func (p *polling) system(src *policy.Source, s *policy.Pull) error {
	var adapter pull.Adapter
	var client *pull.HTTP
	flow, batch := "tryton", s.Poll.Defaults().Batch
	if t := s.Tryton; t != nil {
		url, key, err := p.access(t.URL, t.URLEnv, t.KeyEnv)
		if err != nil {
			return err
		}
		client = pull.NewHTTP(true, p.env.Now) // an ERP stands in the house
		if adapter, err = tryton.New(t, url, key, batch, client, p.env.Now); err != nil {
			return fmt.Errorf("transport.pull.tryton: %w", err)
		}
	} else {
		flow = "http"
		url, key, err := p.access(s.HTTP.URL, s.HTTP.URLEnv, s.HTTP.Auth.KeyEnv)
		if err != nil {
			return err
		}
		client = pull.NewHTTP(s.HTTP.AllowPrivate, p.env.Now)
		adapter = api.New(s.HTTP, url, key, batch, client, p.env.Now)
	}
	p.feed(src, s.Poll, flow, adapter, client.Close)
	return nil
}

func (p *polling) access(url, urlEnv, keyEnv string) (string, string, error) {
	said, err := p.secret(urlEnv)
	if urlEnv == "" {
		said = url
	}
	key, keyErr := p.secret(keyEnv)
	return said, key, errors.Join(err, keyErr)
}

func (p *polling) feed(src *policy.Source, poll policy.Poll, flow string, adapter pull.Adapter, closed func()) {
	f := &pull.Feed{
		Source: src, Poll: poll, Adapter: adapter, Append: p.appender, Cursors: p.cursors, Key: cursor.Key(src.Name, flow),
		Log: p.env.Log, Now: p.env.Now, Random: rand.Float64, Metrics: p.metrics,
	}
	p.feeds = append(p.feeds, held{f.Key, func(ctx context.Context) {
		defer closed() // when it is somebody else's
		_ = f.Run(ctx) // it ends with ctx only
	}})
}
