package atpapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// maxTogether bounds the items of one transaction, so that Redis is never held long.
	maxTogether = 100
	// maxAtOnce bounds the transactions under way for one request on a cluster.
	maxAtOnce = 8
)

// placed is an item and the partition it is in; without a key the partition's mark alone.
type placed struct {
	partition int32
	key       string
}

// stood is what stood in Redis of an item: see store.item.
type stood struct {
	values map[string]string
	mark   mark
	found  bool
}

// items is item for many, in their order. Items and the marks of their partitions are
// of one moment for each of the transactions it takes: on one node that of maxTogether
// items, on a cluster that of one partition's among them.
func (s *store) items(ctx context.Context, of []placed) ([]stood, error) {
	out := make([]stood, len(of))
	_, cluster := s.rdb.(*redis.ClusterClient)
	groups := together(of, cluster)
	if len(groups) == 1 {
		return out, s.group(ctx, of, groups[0], out)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(1) // one node works on one thing at a time: asking for more at once gains nothing
	if cluster {
		g.SetLimit(maxAtOnce)
	}
	for _, group := range groups {
		g.Go(func() error { return s.group(ctx, of, group, out) })
	}
	return out, g.Wait() //nolint:wrapcheck // ours
}

// together are the items, by index, that one transaction reads.
func together(of []placed, alone bool) [][]int {
	var out [][]int
	open := map[int32]int{} // group being filled, by partition; 0 that of all
	for i, p := range of {
		in := p.partition
		if !alone {
			in = 0
		}
		g, ok := open[in]
		if !ok || len(out[g]) == maxTogether {
			g = len(out)
			out, open[in] = append(out, make([]int, 0, min(len(of)-i, maxTogether))), g
		}
		out[g] = append(out[g], i)
	}
	return out
}

// group reads the items at the indices in one transaction.
func (s *store) group(ctx context.Context, of []placed, group []int, out []stood) error {
	marks := map[int32]*redis.StringCmd{}
	hashes := make([]*redis.MapStringStringCmd, len(group))
	read := s.rdb.Pipelined
	if slices.ContainsFunc(group, func(i int) bool { return of[i].key != "" }) {
		read = s.rdb.TxPipelined // marks and items of one moment
	}
	_, err := read(ctx, func(p redis.Pipeliner) error {
		for n, i := range group {
			if marks[of[i].partition] == nil {
				marks[of[i].partition] = p.Get(ctx, markKey(of[i].partition))
			}
			if of[i].key == "" {
				continue
			}
			hashes[n] = p.HGetAll(ctx, itemKey(of[i].partition, of[i].key))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("reading items: %w", err)
	}
	parsed := make(map[int32]mark, len(marks))
	for partition, cmd := range marks {
		raw, err := cmd.Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading mark: %w", err)
		}
		if m, err := parseMark(raw); err == nil { // else not written by us: nothing to answer from
			parsed[partition] = m
		}
	}
	for n, i := range group {
		o := &out[i]
		if o.mark, o.found = parsed[of[i].partition]; !o.found || hashes[n] == nil {
			continue
		}
		if o.values, err = hashes[n].Result(); err != nil {
			return fmt.Errorf("reading item: %w", err)
		}
	}
	return nil
}

// marks reads the marks of partitions; one that is not there or not written by us is
// left out.
func (s *store) marks(ctx context.Context, partitions []int32) (map[int32]mark, error) {
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
	out := make(map[int32]mark, len(partitions))
	for i, partition := range partitions {
		text, err := cmds[i].Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading mark: %w", err)
		}
		if m, err := parseMark(text); err == nil {
			out[partition] = m
		}
	}
	return out, nil
}

// allMarks reads the marks of the first n partitions: see marks.
func (s *store) allMarks(ctx context.Context, n int) (map[int32]mark, error) {
	all := make([]int32, n)
	for p := range all {
		all[p] = int32(p) //nolint:gosec // partition counts are int32
	}
	return s.marks(ctx, all)
}
