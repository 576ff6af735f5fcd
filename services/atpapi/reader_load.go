package atpapi

import (
	"context"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// load finds the facts of items: in the copy where they are right there, and in Redis.
// What Redis does not say is answered from the copy as it was, within its bound.
func (r *reader) load(ctx context.Context, keys []inventory.Key) []standing {
	out := make([]standing, len(keys))
	of := make([]placed, 0, len(keys))
	seen := make([]mark, 0, len(keys))
	index := make([]int, 0, len(keys)) // of the key in out
	now := r.now()
	for i, k := range keys {
		key := k.String()
		partition, m, ok := r.place(key)
		if !ok {
			bad := notReady("the number of partitions is not known yet")
			for i := range out {
				out[i] = standing{problem: bad}
			}
			return out
		}
		if r.local != nil && r.local.cfg.First {
			if positions, when, ok := r.local.get(partition, key); ok && now.Sub(when.at) <= r.local.cfg.Bound {
				out[i] = standing{positions: positions, mark: when.mark, copied: max(1, now.Sub(when.at))}
				r.saw(partition, when.mark)
				continue
			}
		}
		of, seen, index = append(of, placed{partition, key}), append(seen, m), append(index, i)
	}
	if len(of) == 0 {
		return out
	}
	read := r.store.items
	if r.gather != nil {
		read = r.gather.items
	}
	all, err := read(ctx, of)
	if err != nil {
		for n, i := range index {
			out[i] = r.instead(of[n], now, nil, &problem{status: 503, code: "redis_unavailable", title: "The store does not answer", cause: err})
		}
		return out
	}
	for n, i := range index {
		at := &out[i]
		at.mark = all[n].mark
		at.positions, at.problem = r.stand(keys[i], &all[n], seen[n])
		switch {
		case at.problem == nil:
			r.saw(of[n].partition, at.mark)
			if r.local != nil {
				_, latest, _ := r.place(of[n].key)
				r.local.put(of[n].partition, of[n].key, at.positions, asOf{at.mark, now}, latest)
			}
		case at.problem.code == codeUnknownItem:
			r.saw(of[n].partition, at.mark)
		case at.problem.status == 503:
			*at = r.instead(of[n], now, &all[n], at.problem)
		}
	}
	return out
}

// instead is the copy's word for Redis's, or the problem.
func (r *reader) instead(of placed, now time.Time, stood *stood, bad *problem) standing {
	if r.local != nil {
		if s, ok := r.local.instead(of, now, stood); ok {
			return s
		}
	}
	return standing{problem: bad}
}
