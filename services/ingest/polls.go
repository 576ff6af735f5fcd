package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/pull"
	"github.com/stockweave/stockweave/services/ingest/pull/api"
	"github.com/stockweave/stockweave/services/ingest/pull/shipments"
	"github.com/stockweave/stockweave/services/ingest/pull/tryton"
	"github.com/stockweave/stockweave/services/ingest/sql"
)

// database is the work of an outbox, each batch of which is the replica's that has its
// lock, or of a query or function.
func (f *fetcher) database(src *policy.Source, s *policy.SQL) (*work, error) {
	conn, err := sql.Config(s, f.cfg.Getenv)
	if err != nil {
		return nil, fmt.Errorf("transport.sql: %w", err)
	}
	if s.Outbox != nil {
		box := &sql.Outbox{
			Source: src, SQL: s, Config: conn, Append: f.appender(src),
			Log: f.env.Log, Now: f.env.Now, Random: random, Metrics: f.polls,
		}
		run := func(_, until context.Context) { _ = box.Run(until) } // it ends with that only
		return &work{key: cursor.Key(src.Name, "outbox"), everywhere: true, run: run}, nil
	}
	rows := sql.NewRows(src, s, conn, f.env.Now)
	return f.poll(src, s.Poll, "sql", rows, rows.Close), nil
}

// system is the work of asking an API.
func (f *fetcher) system(src *policy.Source, s *policy.Pull) (*work, error) {
	batch := s.Poll.Defaults().Batch
	if t := s.Tryton; t != nil {
		url, key, err := f.access(t.URL, t.URLEnv, t.KeyEnv)
		if err != nil {
			return nil, err
		}
		client := pull.NewHTTP(true, f.env.Now) // an ERP stands in the house
		adapter, err := tryton.New(t, url, key, batch, client, f.env.Now)
		if err != nil {
			return nil, fmt.Errorf("transport.pull.tryton: %w", err)
		}
		return f.poll(src, s.Poll, "tryton", adapter, client.Close), nil
	}
	url, key, err := f.access(s.HTTP.URL, s.HTTP.URLEnv, s.HTTP.Auth.KeyEnv)
	if err != nil {
		return nil, err
	}
	client := pull.NewHTTP(s.HTTP.AllowPrivate, f.env.Now)
	adapter := api.New(s.HTTP, url, key, batch, client, f.env.Now)
	w := f.poll(src, s.Poll, "http", adapter, client.Close)
	if a := s.HTTP.Ask; a != nil && a.Shipments != nil {
		open := shipments.New(*a.Shipments, src.Name, f.env.Now)
		adapter.Asks = open.List
		return f.beside(w, func(ctx context.Context) { f.tell(ctx, src.Name, open) }), nil
	}
	return w, nil
}

// beside is a work with a helper that runs while it does.
func (f *fetcher) beside(w *work, helper func(ctx context.Context)) *work {
	return &work{key: w.key, everywhere: w.everywhere, run: func(ctx, until context.Context) {
		within, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		all.Go(func() { helper(within) })
		w.run(ctx, until)
		cancel()
		all.Wait()
	}}
}

// tell applies the milestones of shipments, as they come, until ctx ends.
func (f *fetcher) tell(ctx context.Context, own inventory.Source, open *shipments.Open) {
	for ctx.Err() == nil {
		table, err := stream.NewTable(stream.TableConfig{
			Config: f.cfg.Kafka, Topic: event.TopicShipments, Since: open.Since(), ReadCommitted: true,
			Apply: func(rec *stream.Record) error {
				var m event.Milestone
				if err := f.cfg.Codecs.DecodeMilestone(rec.Value, &m); err != nil {
					f.env.Log.Warn("a milestone cannot be read", slog.Int64("offset", rec.Offset), slog.Any("err", err))
					return nil // it opens and ends no shipment
				}
				open.Apply(&m)
				return nil
			},
		})
		if err == nil {
			stop := make(chan struct{})
			go func() {
				select {
				case <-table.Loaded():
					open.Loaded()
				case <-stop:
				}
			}()
			err = table.Run(ctx)
			close(stop)
		}
		if err != nil {
			f.env.Log.Warn("open shipments cannot be read, trying again", slog.String("source", string(own)), slog.Any("err", err))
			_ = pull.Sleep(ctx, 10*time.Second)
		}
	}
}

func (f *fetcher) access(url, urlEnv, keyEnv string) (string, string, error) {
	said, err := f.secret(urlEnv)
	if urlEnv == "" {
		said = url
	}
	key, keyErr := f.secret(keyEnv)
	return said, key, errors.Join(err, keyErr)
}

func (f *fetcher) poll(src *policy.Source, poll policy.Poll, flow string, adapter pull.Adapter, closed func()) *work {
	feed := &pull.Feed{
		Source: src, Poll: poll, Adapter: adapter, Append: f.appender(src), Cursors: f.cursors, Key: cursor.Key(src.Name, flow),
		Log: f.env.Log, Now: f.env.Now, Random: random, Metrics: f.polls,
	}
	return &work{key: feed.Key, run: func(_, until context.Context) {
		defer closed()      // when it is somebody else's
		_ = feed.Run(until) // it ends with that only
	}}
}
