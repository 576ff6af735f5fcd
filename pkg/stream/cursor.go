package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrGone says that a partition no longer has what was asked for: retention took
// it, or the topic was recreated.
var ErrGone = errors.New("stream: the log no longer has it")

// maxReadFailures is how often in a row a Cursor tries before it gives up.
const maxReadFailures = 8

// A Cursor reads a partition from an offset on, batch by batch, outside any group.
// One goroutine uses it.
type Cursor struct{ t tail }

// Cursor starts at an offset. With committed set, records of aborted transactions
// are left out and those of pending ones are waited for.
func (r *RestoreReads) Cursor(topic string, partition int32, from int64, committed bool) *Cursor {
	return &Cursor{tail{reads: r, topic: topic, partition: partition, committed: committed, offset: from}}
}

// Offset is where the next batch begins. It also passes what is not returned:
// markers, aborted and compacted records.
func (c *Cursor) Offset() int64 { return c.t.offset }

// Next returns the next records, possibly none: it waits only a moment. Transient
// errors are tried again a few times; ErrGone is final.
func (c *Cursor) Next(ctx context.Context) ([]*Record, error) {
	for failed := 0; ; {
		recs, err := c.t.next(ctx)
		switch {
		case err == nil:
			return recs, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errRecreated), errors.Is(err, kerr.OffsetOutOfRange):
			return nil, fmt.Errorf("%w: %w", ErrGone, err)
		}
		if failed++; failed == maxReadFailures {
			return nil, err
		}
		pause(ctx, backoff(failed))
	}
}
