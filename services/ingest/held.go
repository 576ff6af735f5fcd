package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// hold divides the partitions of the cursors among the replicas of a group, and calls
// run for each that is this one's: mine says whether a cursor is of it.
func hold(ctx context.Context, kafka stream.Config, log *slog.Logger, group string, run func(ctx context.Context, mine func(key string) bool)) error {
	n, err := cursorPartitions(ctx, kafka, log)
	if err != nil || n == 0 {
		return err
	}
	return stream.Hold(ctx, kafka, group, event.TopicCursors, func(ctx context.Context, partition int32) { //nolint:wrapcheck // it says what
		run(ctx, func(key string) bool { return stream.Partition([]byte(key), n) == partition })
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
		_ = pull.Sleep(ctx, 2*time.Second) // the loop sees that ctx has ended
	}
	return 0, nil
}
