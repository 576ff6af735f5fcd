package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// opTxn writes in transactions under the operator's identity. One goroutine uses it.
type opTxn struct {
	o  *Operator
	id string
	cl *kgo.Client
}

// operate opens the operator's producer, which fences any other operator.
func (o *Operator) operate() (*opTxn, error) {
	cl, err := o.cfg.client(
		kgo.TransactionalID(o.identity()),
		kgo.TransactionTimeout(operatorTimeout),
		kgo.RecordPartitioner(partitioner(nil)),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.MetadataMinAge(metadataAge),
	)
	if err != nil {
		return nil, err
	}
	return &opTxn{o: o, id: o.identity(), cl: cl}, nil
}

// operatorTimeout is that of an operator's transactions: one that dies holds readers
// up no longer.
const operatorTimeout = transactionTimeout

func (t *opTxn) close() { t.cl.Close() }

// groupOffsets are the offsets a group goes on from, by partition of one topic.
type groupOffsets struct {
	group, topic string
	at           map[int32]int64
}

// write commits records, each to its own partition, and a group's offsets, all or
// nothing. An error leaves open which; the caller looks.
func (t *opTxn) write(ctx context.Context, recs []*Record, offsets *groupOffsets) error {
	if err := t.cl.BeginTransaction(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	err := t.cl.ProduceSync(context.WithoutCancel(ctx), recs...).FirstErr()
	if err == nil && offsets != nil && len(offsets.at) > 0 {
		err = t.commitOffsets(ctx, offsets)
	}
	if err != nil {
		err = fmt.Errorf("writing in a transaction: %w", err)
		if abort := t.cl.EndTransaction(context.WithoutCancel(ctx), kgo.TryAbort); abort != nil {
			err = errors.Join(err, fmt.Errorf("aborting it: %w", abort))
		}
		return err
	}
	if err := t.cl.EndTransaction(context.WithoutCancel(ctx), kgo.TryCommit); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// commitOffsets puts a group's offsets into the open transaction. The group has no
// member, so there is none to speak for.
func (t *opTxn) commitOffsets(ctx context.Context, g *groupOffsets) error {
	meta, err := t.o.reads.meta(ctx, false, g.topic)
	if err != nil {
		return err
	}
	producer, epoch, err := t.cl.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("reading the producer's id: %w", err)
	}
	for n := 1; ; n++ {
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = t.id, producer, epoch, g.group
		resp, err := add.RequestWith(ctx, t.cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err == nil {
			break
		}
		if n > 20 || !errors.Is(err, kerr.ConcurrentTransactions) && !kerr.IsRetriable(err) {
			return fmt.Errorf("adding offsets of group %s: %w", g.group, err)
		}
		pause(ctx, backoff(n))
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = t.id, producer, epoch
	req.Group, req.Generation = g.group, -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic, rt.TopicID = g.topic, meta.id
	for id := range int32(len(meta.leaders)) { //nolint:gosec // partition counts are int32
		at, ok := g.at[id]
		if !ok {
			continue
		}
		rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch = id, at, -1
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, t.cl)
	if err != nil {
		return fmt.Errorf("committing offsets of group %s: %w", g.group, err)
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("committing offset of group %s for partition %d: %w", g.group, p.Partition, err)
			}
		}
	}
	return nil
}
