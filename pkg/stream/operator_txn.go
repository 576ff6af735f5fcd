package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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

// operatorGrace is how long an interrupted operator goes on trying to end its
// transaction.
const operatorGrace = 3 * time.Second

// write commits records, each to its own partition, and a group's offsets, all or
// nothing. The error says which, where that is known; else the caller looks.
//
// A write whose context ends leaves no transaction open: it aborts it before it
// returns, or says that the brokers will. Once it commits, it waits for the answer a
// little longer than its context does.
func (t *opTxn) write(ctx context.Context, recs []*Record, offsets *groupOffsets) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	if err := t.cl.BeginTransaction(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	last, cancel := outlast(ctx, operatorGrace)
	defer cancel()
	err := t.produce(ctx, recs)
	if err == nil && offsets != nil && len(offsets.at) > 0 {
		err = t.commitOffsets(ctx, offsets)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		if err = t.cl.EndTransaction(last, kgo.TryCommit); err != nil {
			return fmt.Errorf("committing, which may have been done or not: %w", errors.Join(err, ctx.Err()))
		}
		return nil
	}
	err = fmt.Errorf("writing in a transaction: %w", err)
	var abort error
	if ctx.Err() != nil {
		// Records may still be on their way. The identity taken over ends the transaction,
		// and none of them gets into it.
		_, abort = t.o.reads.settle(last, t.id, operatorTimeout)
	} else {
		abort = t.cl.EndTransaction(last, kgo.TryAbort)
	}
	if abort != nil {
		return errors.Join(err, fmt.Errorf("aborting it, so that the brokers end it within %v: %w", operatorTimeout, abort))
	}
	return fmt.Errorf("%w (it is aborted: nothing of it is written)", err)
}

// produce writes records and waits until all of them are acknowledged, or until ctx
// ends. No record has a context that ends: it might have been sent.
func (t *opTxn) produce(ctx context.Context, recs []*Record) error {
	if len(recs) == 0 {
		return nil
	}
	var (
		mu   sync.Mutex
		left = len(recs)
		fail error
		done = make(chan error, 1)
	)
	for _, rec := range recs {
		t.cl.Produce(context.WithoutCancel(ctx), rec, func(_ *Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if fail == nil {
				fail = err
			}
			if left--; left == 0 {
				done <- fail
			}
		})
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outlast is a context that ends a while after another one does.
func outlast(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		wait := time.NewTimer(by)
		defer wait.Stop()
		select {
		case <-wait.C:
			cancel()
		case <-last.Done():
		}
	})
	return last, func() {
		stop()
		cancel()
	}
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
		if pause(ctx, backoff(n)); ctx.Err() != nil {
			return ctx.Err()
		}
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
