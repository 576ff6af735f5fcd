package stream

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// RestoreReads are the reads that a restore rests on. Their order is the whole
// point (§3): a transaction's markers reach the group's offsets and the changelog
// one independently of the other, so whoever reads the changelog's last stable
// offset and then a stable group offset may see the new offset with the old state.
// Right is: GroupOffset, then HighWatermark, then reading committed past it.
//
// It is safe for concurrent use.
type RestoreReads struct {
	cl  *kgo.Client
	cfg Config // for the names of topics
}

// NewRestoreReads connects lazily.
func NewRestoreReads(cfg Config) (*RestoreReads, error) {
	// One connection pool serves every partition that is restored.
	cl, err := cfg.client()
	if err != nil {
		return nil, err
	}
	return &RestoreReads{cl: cl, cfg: cfg}, nil
}

// Close ends it.
func (r *RestoreReads) Close() { r.cl.Close() }

// unstableWait is the pause before a stable offset is asked for again.
const unstableWait = 20 * time.Millisecond

// GroupOffset returns the group's offset for a partition, or -1 when there is
// none. It waits until no transaction over it is pending.
func (r *RestoreReads) GroupOffset(ctx context.Context, group, topic string, partition int32) (int64, error) {
	for {
		off, err := r.groupOffset(ctx, group, topic, partition)
		if !errors.Is(err, kerr.UnstableOffsetCommit) {
			return off, err
		}
		pause(ctx, unstableWait)
		if ctx.Err() != nil {
			return -1, ctx.Err()
		}
	}
}

func (r *RestoreReads) groupOffset(ctx context.Context, group, topic string, partition int32) (int64, error) {
	topic = r.cfg.Physical(topic)
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic = topic
	rt.Partitions = []int32{partition}
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic = topic
	gt.Partitions = []int32{partition}
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group

	meta, err := r.meta(ctx, false, topic)
	if err != nil {
		return -1, err
	}
	gt.TopicID = meta.id
	rg.Topics = append(rg.Topics, gt)

	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	req.Group = group
	req.Topics = append(req.Topics, rt)
	req.Groups = append(req.Groups, rg)
	resp, err := req.RequestWith(ctx, r.cl)
	if err != nil {
		return -1, fmt.Errorf("fetching offset of group %s: %w", group, err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return -1, fmt.Errorf("fetching offset of group %s: %w", group, err)
	}
	for _, g := range resp.Groups {
		err := kerr.ErrorForCode(g.ErrorCode)
		if errors.Is(err, kerr.GroupIDNotFound) {
			return -1, nil // nobody has joined it yet
		}
		if err != nil {
			return -1, fmt.Errorf("fetching offset of group %s: %w", group, err)
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if p.Partition != partition {
					continue
				}
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return -1, fmt.Errorf("fetching offset of group %s: %w", group, err)
				}
				return p.Offset, nil
			}
		}
	}
	return -1, nil
}

// HighWatermark returns the end of a partition, read uncommitted: records of
// pending transactions are below it.
func (r *RestoreReads) HighWatermark(ctx context.Context, topic string, partition int32) (int64, error) {
	return r.listOffset(ctx, topic, partition, -1, 0)
}

// LastStable returns the end of a partition as far as no transaction is pending.
func (r *RestoreReads) LastStable(ctx context.Context, topic string, partition int32) (int64, error) {
	return r.listOffset(ctx, topic, partition, -1, 1)
}

// LogStart returns the first offset a partition still has.
func (r *RestoreReads) LogStart(ctx context.Context, topic string, partition int32) (int64, error) {
	return r.listOffset(ctx, topic, partition, -2, 0)
}

func (r *RestoreReads) listOffset(ctx context.Context, topic string, partition int32, timestamp int64, isolation int8) (int64, error) {
	topic = r.cfg.Physical(topic)
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition = partition
	rp.Timestamp = timestamp
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	rt.Partitions = append(rt.Partitions, rp)
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = isolation
	req.Topics = append(req.Topics, rt)
	for _, shard := range r.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return -1, fmt.Errorf("listing offsets of %s: %w", topic, shard.Err)
		}
		resp, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if !ok {
			continue
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if p.Partition != partition {
					continue
				}
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return -1, fmt.Errorf("listing offsets of %s partition %d: %w", topic, partition, err)
				}
				return p.Offset, nil
			}
		}
	}
	return -1, fmt.Errorf("listing offsets of %s partition %d: no answer", topic, partition)
}

// topicMeta is what the cluster says of a topic.
type topicMeta struct {
	cluster string
	id      [16]byte
	leaders []int32 // by partition
	epochs  []int32 // of the leaders; -1 when not known
}

func (m topicMeta) idString() string { return hex.EncodeToString(m.id[:]) }

// meta asks for a topic's metadata; fresh goes past the cache.
func (r *RestoreReads) meta(ctx context.Context, fresh bool, topic string) (topicMeta, error) {
	topic = r.cfg.Physical(topic)
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = new(topic)
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, rt)
	age := 10 * time.Second
	if fresh {
		age = 10 * time.Millisecond
	}
	resp, err := r.cl.RequestCachedMetadata(ctx, req, age)
	if err != nil {
		return topicMeta{}, fmt.Errorf("reading metadata of %s: %w", topic, err)
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic == nil || *t.Topic != topic {
			continue
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return topicMeta{}, fmt.Errorf("reading metadata of %s: %w", topic, err)
		}
		m := topicMeta{id: t.TopicID, leaders: make([]int32, len(t.Partitions)), epochs: make([]int32, len(t.Partitions))}
		if resp.ClusterID != nil {
			m.cluster = *resp.ClusterID
		}
		for _, p := range t.Partitions {
			if int(p.Partition) < len(m.leaders) {
				m.leaders[p.Partition], m.epochs[p.Partition] = p.Leader, p.LeaderEpoch
			}
		}
		return m, nil
	}
	return topicMeta{}, fmt.Errorf("reading metadata of %s: %w", topic, kerr.UnknownTopicOrPartition)
}

// settle ends whatever a transactional id has left open: a pending commit is
// completed, an open transaction aborted, and everybody who still uses the id is
// fenced. It returns when the outcome stands (§3), with the id of whoever uses it next.
func (r *RestoreReads) settle(ctx context.Context, txnID string, timeout time.Duration) (producerID, error) {
	for n := 1; ; n++ {
		id, err := initProducer(ctx, r.cl, txnID, timeout, nobody())
		if err == nil {
			return id, nil
		}
		if ctx.Err() != nil {
			return producerID{}, ctx.Err()
		}
		if !kerr.IsRetriable(err) && !errors.Is(err, kerr.ConcurrentTransactions) && !kgo.IsRetryableBrokerErr(err) {
			return producerID{}, fmt.Errorf("settling transactional id %s: %w", txnID, err)
		}
		pause(ctx, backoff(n))
	}
}

// producerID is who writes, as the brokers know it.
type producerID struct {
	id    int64
	epoch int16
}

// nobody is who comes in the place of whoever was there.
func nobody() producerID { return producerID{-1, -1} }

// initProducer asks once for the id and epoch that follow upon was.
func initProducer(ctx context.Context, cl *kgo.Client, txnID string, timeout time.Duration, was producerID) (producerID, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = new(txnID)
	req.TransactionTimeoutMillis = int32(timeout.Milliseconds()) //nolint:gosec // seconds
	req.ProducerID, req.ProducerEpoch = was.id, was.epoch
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return producerID{}, err
	}
	return producerID{resp.ProducerID, resp.ProducerEpoch}, kerr.ErrorForCode(resp.ErrorCode)
}

// implicit reports whether the brokers add partitions to transactions by themselves and end
// a producer's epoch with each (KIP-890, feature transaction.version 2).
func (r *RestoreReads) implicit(ctx context.Context) (bool, error) {
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, r.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return false, fmt.Errorf("reading features of the brokers: %w", err)
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel >= 2, nil
		}
	}
	return false, nil
}
