package atpapi

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// scanNode is a server that has a share of the keys.
type scanNode struct {
	name string
	rdb  redis.UniversalClient
}

// scanNodes are the servers that together have all keys, in one order.
func (s *store) scanNodes(ctx context.Context) ([]scanNode, error) {
	cluster, ok := s.rdb.(*redis.ClusterClient)
	if !ok {
		return []scanNode{{"", s.rdb}}, nil
	}
	var mu sync.Mutex
	var out []scanNode
	err := cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		out = append(out, scanNode{node.Options().Addr, node})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("finding the servers: %w", err)
	}
	slices.SortFunc(out, func(a, b scanNode) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// life names the servers, and the process that one of them is: a place in the keys of
// another process, or of one server of others, is none. A server that does not say
// which process it is is taken for the one that it was.
func life(ctx context.Context, nodes []scanNode, at int) uint32 {
	h := fnv.New32a()
	for _, n := range nodes {
		_, _ = h.Write([]byte(n.name + "\n")) // never fails
	}
	info, err := nodes[at].rdb.Info(ctx, "server").Result()
	if err != nil {
		return h.Sum32()
	}
	for line := range strings.Lines(info) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "run_id:"); ok {
			_, _ = h.Write([]byte(id))
		}
	}
	return h.Sum32()
}

// scan finds items of an entity on a server, about count of all its keys further from
// a place on; 0 is the first place, and the next one when there are no more. Every
// item that is there from the first call to the last is found, some twice (SCAN of
// Redis).
func (n scanNode) scan(ctx context.Context, e inventory.Entity, from uint64, count int64) ([]inventory.Key, uint64, error) {
	match := "sw:{p*}:i:" + globbed(inventory.Escape(string(e))+"|") + "*"
	keys, next, err := n.rdb.Scan(ctx, from, match, count).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("scanning for items: %w", err)
	}
	out := make([]inventory.Key, 0, len(keys))
	for _, k := range keys {
		_, rest, ok := strings.Cut(k, "}:i:")
		entity, item, two := strings.Cut(rest, "|")
		if ok && two && inventory.Unescape(entity) == string(e) {
			out = append(out, inventory.Key{Entity: e, Item: inventory.Item(inventory.Unescape(item))})
		}
	}
	return out, next, nil
}

// globbed is a text that matches itself alone.
func globbed(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
