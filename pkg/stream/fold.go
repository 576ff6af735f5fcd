package stream

import (
	"context"
	"time"
)

// settleWait is the pause before a log's stable end is asked for again.
const settleWait = 20 * time.Millisecond

// StableEnd is the end of a partition now, once no transaction below it is pending:
// the records below it are those of whole transactions.
func (r *RestoreReads) StableEnd(ctx context.Context, topic string, partition int32) (int64, error) {
	high, err := r.HighWatermark(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	for {
		stable, err := r.LastStable(ctx, topic, partition)
		if err != nil || stable >= high {
			return stable, err
		}
		if pause(ctx, settleWait); ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

// Fold calls f for every committed record of a partition, from its first to its
// stable end now, which it returns. Of a compacted topic the last call for a key has
// its value; nil removes.
func (r *RestoreReads) Fold(ctx context.Context, topic string, partition int32, f func(*Record) error) (end int64, err error) {
	if end, err = r.StableEnd(ctx, topic, partition); err != nil {
		return 0, err
	}
	start, err := r.LogStart(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	return end, r.Each(ctx, topic, partition, start, end, f)
}

// Each calls f for the committed records of a partition from one offset up to below
// another.
func (r *RestoreReads) Each(ctx context.Context, topic string, partition int32, from, until int64, f func(*Record) error) error {
	c := r.Cursor(topic, partition, from, true)
	for c.Offset() < until {
		recs, err := c.Next(ctx)
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if rec.Offset >= until {
				return nil
			}
			if err := f(rec); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
