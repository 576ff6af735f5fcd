package stream

import "context"

// probeBytes is enough for one batch; a larger one comes whole all the same.
const probeBytes = 64 << 10

// Topic returns a topic's id, as hex, and how many partitions it has.
func (r *RestoreReads) Topic(ctx context.Context, topic string) (id string, partitions int32, err error) {
	m, err := r.meta(ctx, true, topic)
	if err != nil {
		return "", 0, err
	}
	return m.idString(), int32(len(m.leaders)), nil //nolint:gosec // partition counts are int32
}

// NextRecord looks for the first committed record at or after from. Where there is
// none up to the last stable offset, found is false and next is that offset:
// whoever has read everything before from has read all there is, although markers,
// aborted and compacted records keep the offsets of what it read below the end.
func (r *RestoreReads) NextRecord(ctx context.Context, topic string, partition int32, from int64) (next int64, found bool, err error) {
	stable, err := r.LastStable(ctx, topic, partition)
	if err != nil {
		return from, false, err
	}
	t := tail{reads: r, topic: topic, partition: partition, committed: true, offset: from}
	for t.offset < stable {
		fp, err := t.fetch(ctx, probeBytes)
		if err != nil {
			return from, false, err
		}
		if len(fp.Records) > 0 {
			return fp.Records[0].Offset, true, nil
		}
	}
	return max(t.offset, from), false, nil
}

// Count counts the committed records from an offset on, up to the last stable offset,
// which is next; it stops behind the first that are more than most.
func (r *RestoreReads) Count(ctx context.Context, topic string, partition int32, from, most int64) (n, next int64, err error) {
	stable, err := r.LastStable(ctx, topic, partition)
	if err != nil {
		return 0, from, err
	}
	t := tail{reads: r, topic: topic, partition: partition, committed: true, offset: from}
	for t.offset < stable && n <= most {
		fp, err := t.fetch(ctx, probeBytes)
		if err != nil {
			return n, from, err
		}
		for _, rec := range fp.Records {
			if rec.Offset < stable {
				n++
			}
		}
	}
	return n, stable, nil
}
