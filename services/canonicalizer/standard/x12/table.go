package x12

import (
	"hash/maphash"
	"slices"
)

// table finds which of the things numbered from 0 is the same as another, by hashes.
type table struct {
	seed    maphash.Seed
	seeded  bool
	buckets []int32 // numbers, from 1
}

// reset empties the table, for at most n things.
func (t *table) reset(n int) {
	if !t.seeded {
		t.seed, t.seeded = maphash.MakeSeed(), true
	}
	size := 16
	for size < 2*n {
		size *= 2
	}
	t.buckets = slices.Grow(t.buckets[:0], size)[:size]
	clear(t.buckets)
}

// hash is one of a text.
func (t *table) hash(s string) uint64 { return maphash.String(t.seed, s) }

// find is the first thing put into the table that is the same as i, or i, which is in it
// then.
func (t *table) find(hash uint64, i int, same func(k int) bool) int {
	mask := uint64(len(t.buckets) - 1) //nolint:gosec // never 0
	for at := hash & mask; ; at = (at + 1) & mask {
		switch k := int(t.buckets[at]) - 1; {
		case k < 0:
			t.buckets[at] = int32(i + 1) //nolint:gosec // segments are few
			return i
		case same(k):
			return k
		}
	}
}
