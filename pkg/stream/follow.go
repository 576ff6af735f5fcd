package stream

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Follow calls f for the committed records of a topic's partitions, of each from an
// offset on, in the order of each partition, until ctx is done; for the markers of
// transactions too, of which Attrs.IsControl is true: who counts offsets has to pass
// them. It is outside any group. An error is f's, or the log's when it has no longer
// what was asked for.
func Follow(ctx context.Context, cfg Config, topic string, from map[int32]int64, f func(*Record) error) error {
	return follow(ctx, cfg, cfg.Physical(topic), from, true, f, kgo.KeepControlRecords())
}

// follow takes the topic's physical name.
func follow(ctx context.Context, cfg Config, topic string, from map[int32]int64, committed bool, f func(*Record) error, opts ...kgo.Opt) error {
	at := make(map[int32]kgo.Offset, len(from))
	for id, off := range from {
		at[id] = kgo.NewOffset().At(off)
	}
	isolation := kgo.ReadUncommitted()
	if committed {
		isolation = kgo.ReadCommitted()
	}
	cl, err := cfg.client(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(isolation),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		fs := cl.PollFetches(ctx)
		var fault error
		fs.EachError(func(topic string, partition int32, err error) {
			if f := fetchFault(topic, partition, err); f != nil && fault == nil {
				fault = f
			}
		})
		if fault != nil && ctx.Err() == nil {
			return fault
		}
		fs.EachRecord(func(rec *Record) {
			if fault != nil {
				return
			}
			if err := f(rec); err != nil {
				fault = fmt.Errorf("applying %s partition %d offset %d: %w", topic, rec.Partition, rec.Offset, err)
			}
		})
		if fault != nil {
			return fault
		}
	}
	return nil
}
