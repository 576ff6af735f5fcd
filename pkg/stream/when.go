package stream

import (
	"context"
	"time"
)

// OffsetAt is the first offset of a partition whose record has this time or a later one;
// false when no record has. Records below it are older, whatever their order.
func (r *RestoreReads) OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (offset int64, found bool, err error) {
	offset, err = r.listOffset(ctx, topic, partition, max(0, at.UnixMilli()), 0)
	return offset, err == nil && offset >= 0, err
}
