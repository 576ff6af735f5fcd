package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	tailFetchBytes = 4 << 20
	tailWait       = 100 * time.Millisecond
)

// tail reads one partition from its start, batch by batch. Unlike a consumer it
// knows its position also where the log holds nothing to return: compacted away,
// aborted, or a marker. A restore that only saw records would wait for ever at an
// aborted tail.
type tail struct {
	reads     *RestoreReads
	topic     string
	partition int32
	id        [16]byte // zero until the first fetch
	committed bool
	offset    int64 // of the next fetch

	end, stable, start int64 // as of the last fetch
	decompress         kgo.Decompressor
}

// errRecreated is a topic that came back under another id.
var errRecreated = errors.New("topic was recreated")

// next returns the records from offset on, possibly none, and moves offset past
// everything it has seen. It waits a moment when there is nothing. Transient
// errors are returned as they are; the caller tries again.
func (t *tail) next(ctx context.Context) ([]*Record, error) {
	fp, err := t.fetch(ctx, tailFetchBytes)
	if err != nil {
		return nil, err
	}
	return fp.Records, nil
}

func (t *tail) fetch(ctx context.Context, maxBytes int32) (kgo.FetchPartition, error) {
	none := kgo.FetchPartition{}
	meta, err := t.reads.meta(ctx, false, t.topic)
	if err != nil {
		return none, err
	}
	switch {
	case t.id == [16]byte{}:
		t.id = meta.id
	case t.id != meta.id:
		return none, fmt.Errorf("reading %s: %w", t.topic, errRecreated)
	}
	if int(t.partition) >= len(meta.leaders) || meta.leaders[t.partition] < 0 {
		return none, t.refresh(ctx, kerr.LeaderNotAvailable)
	}
	if t.decompress == nil {
		t.decompress = kgo.DefaultDecompressor()
	}

	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition = t.partition
	rp.FetchOffset = t.offset
	rp.CurrentLeaderEpoch = -1
	rp.PartitionMaxBytes = maxBytes
	topic := t.reads.cfg.Physical(t.topic)
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = topic
	rt.TopicID = t.id
	rt.Partitions = append(rt.Partitions, rp)
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID = -1
	req.MaxWaitMillis = int32(tailWait / time.Millisecond)
	req.MinBytes = 1
	req.MaxBytes = maxBytes
	req.SessionEpoch = -1 // no fetch session
	isolation := kgo.ReadUncommitted()
	if t.committed {
		req.IsolationLevel = 1
		isolation = kgo.ReadCommitted()
	}
	req.Topics = append(req.Topics, rt)

	kresp, err := t.reads.cl.Broker(int(meta.leaders[t.partition])).RetriableRequest(ctx, req)
	if err != nil {
		return none, t.refresh(ctx, err)
	}
	resp, ok := kresp.(*kmsg.FetchResponse)
	if !ok {
		return none, fmt.Errorf("reading %s: unexpected answer %T", t.topic, kresp)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return none, t.refresh(ctx, err)
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			if p.Partition != t.partition {
				continue
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return none, t.refresh(ctx, err)
			}
			fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
				Offset:         t.offset,
				IsolationLevel: isolation,
				Topic:          topic,
				Partition:      t.partition,
			}, p, t.decompress, nil)
			if fp.Err != nil {
				return none, fmt.Errorf("reading %s partition %d: %w", t.topic, t.partition, fp.Err)
			}
			t.end, t.stable, t.start = p.HighWatermark, p.LastStableOffset, p.LogStartOffset
			t.offset = max(t.offset, next)
			return fp, nil
		}
	}
	return none, t.refresh(ctx, kerr.UnknownTopicOrPartition)
}

// refresh drops what is known of leaders and returns err.
func (t *tail) refresh(ctx context.Context, err error) error {
	_, _ = t.reads.meta(ctx, true, t.topic) // the cause is err; the next fetch will tell
	return fmt.Errorf("reading %s partition %d: %w", t.topic, t.partition, err)
}

// ReadCommitted calls f for the committed records of a partition from an offset on,
// until the position is at or past until, and returns the position. Pending
// transactions below until are waited for.
func (r *RestoreReads) ReadCommitted(ctx context.Context, topic string, partition int32, from, until int64, f func(*Record)) (int64, error) {
	t := tail{reads: r, topic: topic, partition: partition, committed: true, offset: from}
	for t.offset < until {
		recs, err := t.next(ctx)
		if err != nil {
			return t.offset, err
		}
		for _, rec := range recs {
			f(rec)
		}
		if ctx.Err() != nil {
			return t.offset, ctx.Err()
		}
	}
	return t.offset, nil
}
