package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/files"
)

// foldersGroup divides the folders among the replicas.
const foldersGroup = "ingest-files"

// folders is the task that takes files. Each folder has one replica at a time: the one
// that holds the partition of its cursor (ADR 26).
func folders(cfg *Config, env service.Env, appender files.Appender, cursors cursor.Store) ([]service.Task, error) {
	metrics := files.NewMetrics()
	var feeds []held
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Policies.Sources)) {
		src := cfg.Policies.Sources[name]
		f := &files.Feed{
			Source: src, Append: appender, Cursors: cursors, StreamKey: streamKey,
			Log: env.Log, Now: env.Now, Random: rand.Float64, Metrics: metrics,
		}
		flow := "files"
		switch t := &src.Transport; {
		case t.Files != nil:
			dir := t.Files.Dir
			if e := t.Files.DirEnv; e != "" {
				if dir = cfg.Getenv(e); dir == "" {
					errs = append(errs, fmt.Errorf("source %s: environment variable %s is not set", name, e))
				}
			}
			f.Pickup = t.Files.Pickup
			f.Open = func(context.Context) (files.Folder, error) { return files.Local(dir) }
		case t.SFTP != nil:
			server, err := files.ServerOf(t.SFTP, cfg.Getenv)
			if err != nil {
				errs = append(errs, fmt.Errorf("source %s: transport.sftp: %w", name, err))
				continue
			}
			flow, f.Pickup, f.Open = "sftp", t.SFTP.Pickup, server.Connect
		default:
			continue
		}
		f.Key = cursor.Key(name, flow)
		feeds = append(feeds, held{f.Key, func(ctx context.Context) { _ = f.Run(ctx) }}) // it ends with ctx only
	}
	if err := errors.Join(errs...); err != nil || len(feeds) == 0 {
		return nil, err
	}
	if env.Metrics != nil {
		if err := metrics.Register(env.Metrics); err != nil {
			return nil, err //nolint:wrapcheck // it says what
		}
	}
	return []service.Task{func(ctx context.Context) error { return hold(ctx, cfg.Kafka, env.Log, foldersGroup, feeds) }}, nil
}
