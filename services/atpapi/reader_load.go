package atpapi

import (
	"context"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// copyOf is what the copy says of an item where it answers first and is right by the
// bound, which is taken as said; seen is the mark that was answered from before.
func (r *reader) copyOf(partition int32, key string, seen *mark, now time.Time) (standing, bool) {
	if !r.local.first() {
		return standing{}, false
	}
	kept, when, ok := r.local.get(partition, key)
	if !ok || now.Sub(when.at) > r.local.cfg.Bound {
		return standing{}, false
	}
	if when.mark.further(seen) {
		r.saw(partition, when.mark)
	}
	r.local.reads.copy.Add(1)
	return standing{positions: kept.positions, kept: kept, mark: when.mark, copied: max(1, now.Sub(when.at))}, true
}

// copiedOne is copyOf for an item by its key.
func (r *reader) copiedOne(k inventory.Key, now time.Time) (standing, bool) {
	if !r.local.first() {
		return standing{}, false
	}
	key := k.String()
	partition, seen, ok := r.place(key)
	if !ok {
		return standing{}, false
	}
	return r.copyOf(partition, key, &seen, now)
}

// load finds the facts of items: in the copy where they are right there, and in Redis.
// What Redis does not say is answered from the copy as it was, within its bound.
func (r *reader) load(ctx context.Context, keys []inventory.Key) []standing {
	out := make([]standing, len(keys))
	r.loadInto(ctx, keys, out, new(sought))
	return out
}

// loadInto is load into as many standings as there are keys; a is room.
func (r *reader) loadInto(ctx context.Context, keys []inventory.Key, out []standing, a *sought) {
	of, seen, index := slices.Grow(a.of, len(keys)), slices.Grow(a.seen, len(keys)), slices.Grow(a.index, len(keys))
	now := r.now()
	for i, k := range keys {
		key := k.String()
		partition, m, ok := r.place(key)
		if !ok {
			bad := notReady("the number of partitions is not known yet")
			for i := range out {
				out[i] = standing{problem: bad}
			}
			return
		}
		if s, ok := r.copyOf(partition, key, &m, now); ok {
			out[i] = s
			continue
		}
		of, seen, index = append(of, placed{partition, key}), append(seen, m), append(index, i)
	}
	*a = sought{of, seen, index, now}
	if rest := r.seek(ctx, keys, out, a, r.local != nil); rest != nil { // what the copy turned out not to know
		r.seek(ctx, keys, out, rest, false)
	}
}

// sought are items that Redis is asked for.
type sought struct {
	of    []placed
	seen  []mark
	index []int // of the key
	now   time.Time
}

func (a *sought) add(of placed, seen mark, index int) {
	a.of, a.seen, a.index = append(a.of, of), append(a.seen, seen), append(a.index, index)
}

// seek finds the facts of items in Redis. Of those that the copy is likely to know it asks
// for the mark alone, by which the copy's are what stands there, and returns those of
// which they are not.
func (r *reader) seek(ctx context.Context, keys []inventory.Key, out []standing, a *sought, marked bool) (rest *sought) {
	if len(a.of) == 0 {
		return nil
	}
	asks, at, byMark := make([]placed, 0, len(a.of)), make([]int, len(a.of)), make([]bool, len(a.of))
	var markAt map[int32]int
	for n, p := range a.of {
		if byMark[n] = marked && r.local.likely(p.partition, p.key); byMark[n] {
			i, already := markAt[p.partition]
			if already {
				at[n] = i
				continue
			}
			if len(a.of) > 1 {
				if markAt == nil {
					markAt = map[int32]int{}
				}
				markAt[p.partition] = len(asks)
			}
			p.key = ""
		}
		at[n] = len(asks)
		asks = append(asks, p)
	}
	read := r.store.items
	if r.gather != nil {
		read = r.gather.items
	}
	all, err := read(ctx, asks)
	for n, i := range a.index {
		of, to := a.of[n], &out[i]
		switch {
		case err != nil:
			*to = r.instead(of, a.now, nil, &problem{status: 503, code: "redis_unavailable", title: "The store does not answer", cause: err})
		case !byMark[n]:
			r.take(keys[i], of, &all[at[n]], a.seen[n], a.now, to)
		default:
			s := &all[at[n]]
			if bad := s.loaded(a.seen[n]); bad != nil {
				*to = r.instead(of, a.now, s, bad)
				continue
			}
			k := r.local.standsAt(of.partition, of.key, &asOf{s.mark, a.now})
			if k == nil {
				if rest == nil {
					rest = &sought{now: a.now}
				}
				_, latest, _ := r.place(of.key) // others may have been answered meanwhile
				rest.add(of, latest, i)
				continue
			}
			*to = standing{positions: k.positions, kept: k, mark: s.mark}
			r.saw(of.partition, s.mark)
			r.local.reads.mark.Add(1)
		}
	}
	return rest
}

// take takes what stood in Redis of an item.
func (r *reader) take(k inventory.Key, of placed, s *stood, seen mark, now time.Time, to *standing) {
	to.mark = s.mark
	to.kept, to.problem = r.stand(k, of, s, seen)
	switch {
	case to.problem == nil:
		to.positions = to.kept.positions
		r.saw(of.partition, to.mark)
		if r.local != nil {
			r.local.reads.redis.Add(1)
			_, latest, _ := r.place(of.key)
			r.local.put(of.partition, of.key, to.kept, &asOf{to.mark, now}, latest)
		}
	case to.problem.code == codeUnknownItem:
		r.saw(of.partition, to.mark)
	case to.problem.status == 503:
		*to = r.instead(of, now, s, to.problem)
	}
}

// instead is the copy's word for Redis's, or the problem.
func (r *reader) instead(of placed, now time.Time, stood *stood, bad *problem) standing {
	if r.local != nil {
		if s, ok := r.local.instead(of, now, stood); ok {
			r.local.reads.stale.Add(1)
			return s
		}
	}
	return standing{problem: bad}
}
