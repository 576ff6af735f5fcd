package atpapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// marks say how far the projection of a topic has come in each of the partitions that
// reads are answered from now: see feed.Marks.
func (s *store) marks(ctx context.Context, topic string, partitions []int32) (map[int32]int64, error) {
	cmds := make([]*redis.StringCmd, len(partitions))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, partition := range partitions {
			cmds[i] = p.Get(ctx, markKey(partition))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("reading marks: %w", err)
	}
	out := make(map[int32]int64, len(partitions))
	for i, partition := range partitions {
		text, err := cmds[i].Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading mark: %w", err)
		}
		if m, err := parseMark(text); err == nil && m.topic == topic && m.caughtUp() {
			out[partition] = m.next
		}
	}
	return out, nil
}
