package atpapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Projection reads what stands in Redis, as it stands, for an audit. It writes
// nothing. It is safe for concurrent use.
type Projection struct{ store *store }

// OpenProjection connects lazily; getenv gives the password where the
// configuration names one.
func OpenProjection(cfg RedisConfig, getenv func(string) string) (*Projection, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	rdb, err := cfg.client(getenv)
	if err != nil {
		return nil, err
	}
	return &Projection{&store{rdb: rdb}}, nil
}

// Close ends it.
func (p *Projection) Close() error { return p.store.rdb.Close() }

// Mark says how far a partition has come: the offset of the next position to apply,
// and the id of the topic it is of. It is loaded when reads are answered from it.
func (p *Projection) Mark(ctx context.Context, partition int32) (next int64, topic string, loaded bool, err error) {
	m, found, err := p.store.mark(ctx, partition)
	if err != nil || !found {
		return 0, "", false, err
	}
	return m.next, m.topic, m.caughtUp(), nil
}

// Items reads the fields of items, by location, in the order of keys: a version in
// 20 digits, then the position as it stands on the topic.
func (p *Projection) Items(ctx context.Context, partition int32, keys []string) ([]map[string]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.MapStringStringCmd, len(keys))
	_, err := p.store.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			cmds[i] = pipe.HGetAll(ctx, itemKey(partition, key))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading items: %w", err)
	}
	items := make([]map[string]string, len(keys))
	for i, c := range cmds {
		items[i] = c.Val()
	}
	return items, nil
}

// Keys calls f with the key of every item of a partition, maybe more than once.
func (p *Projection) Keys(ctx context.Context, partition int32, f func(key string)) error {
	prefix := itemKey(partition, "")
	scan := func(ctx context.Context, node redis.UniversalClient) error {
		it := node.Scan(ctx, 0, prefix+"*", wipeCount).Iterator()
		for it.Next(ctx) {
			f(strings.TrimPrefix(it.Val(), prefix))
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("listing items: %w", err)
		}
		return nil
	}
	cluster, ok := p.store.rdb.(*redis.ClusterClient)
	if !ok {
		return scan(ctx, p.store.rdb)
	}
	// A partition's keys share a slot, so one node has them all.
	node, err := cluster.MasterForKey(ctx, markKey(partition))
	if err != nil {
		return fmt.Errorf("finding the node of partition %d: %w", partition, err)
	}
	return scan(ctx, node)
}
