package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// held is what one replica does at a time: the one that holds the partition of its
// cursor.
type held struct {
	key string // of its cursor
	run func(ctx context.Context)
}

// hold divides what is held among the replicas of a group, and runs what is this one's.
func hold(ctx context.Context, kafka stream.Config, log *slog.Logger, group string, all []held) error {
	n, err := cursorPartitions(ctx, kafka, log)
	if err != nil || n == 0 {
		return err
	}
	return stream.Hold(ctx, kafka, group, event.TopicCursors, func(ctx context.Context, partition int32) { //nolint:wrapcheck // it says what
		var wg sync.WaitGroup
		for _, h := range all {
			if stream.Partition([]byte(h.key), n) == partition {
				wg.Go(func() { h.run(ctx) })
			}
		}
		wg.Wait()
	})
}

// cursorPartitions asks until a broker answers; 0 when ctx ends.
func cursorPartitions(ctx context.Context, kafka stream.Config, log *slog.Logger) (int32, error) {
	reads, err := stream.NewRestoreReads(kafka)
	if err != nil {
		return 0, fmt.Errorf("connecting for cursors: %w", err)
	}
	defer reads.Close()
	for ctx.Err() == nil {
		_, n, err := reads.Topic(ctx, kafka.Physical(event.TopicCursors))
		if err == nil && n > 0 {
			return n, nil
		}
		log.Warn("nothing is fetched before the cursors' topic is there", slog.Any("err", err))
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
	return 0, nil
}
