package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/files"
)

// foldersGroup divides the folders among the replicas.
const foldersGroup = "ingest-files"

// folders is the task that takes files. Each folder has one replica at a time: the one
// that holds the partition of its cursor (ADR 26).
func folders(cfg *Config, env service.Env, appender files.Appender, cursors cursor.Store) ([]service.Task, error) {
	metrics := files.NewMetrics()
	var feeds []*files.Feed
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
		feeds = append(feeds, f)
	}
	if err := errors.Join(errs...); err != nil || len(feeds) == 0 {
		return nil, err
	}
	if env.Metrics != nil {
		if err := metrics.Register(env.Metrics); err != nil {
			return nil, err //nolint:wrapcheck // it says what
		}
	}
	return []service.Task{func(ctx context.Context) error { return runFolders(ctx, cfg.Kafka, env.Log, feeds) }}, nil
}

// runFolders runs the feeds of the partitions that this replica holds.
func runFolders(ctx context.Context, kafka stream.Config, log *slog.Logger, feeds []*files.Feed) error {
	n, err := cursorPartitions(ctx, kafka, log)
	if err != nil || n == 0 {
		return err
	}
	return stream.Hold(ctx, kafka, foldersGroup, event.TopicCursors, func(ctx context.Context, partition int32) { //nolint:wrapcheck // it says what
		var wg sync.WaitGroup
		for _, f := range feeds {
			if stream.Partition([]byte(f.Key), n) == partition {
				wg.Go(func() { _ = f.Run(ctx) }) // it ends with ctx only
			}
		}
		wg.Wait()
	})
}

// cursorPartitions asks until a broker answers; 0 when ctx ends.
func cursorPartitions(ctx context.Context, kafka stream.Config, log *slog.Logger) (int32, error) {
	reads, err := stream.NewRestoreReads(kafka)
	if err != nil {
		return 0, fmt.Errorf("connecting for folders: %w", err)
	}
	defer reads.Close()
	for ctx.Err() == nil {
		_, n, err := reads.Topic(ctx, kafka.Physical(event.TopicCursors))
		if err == nil && n > 0 {
			return n, nil
		}
		log.Warn("no files are taken before the cursors' topic is there", slog.Any("err", err))
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
	return 0, nil
}
