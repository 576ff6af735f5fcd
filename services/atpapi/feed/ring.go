package feed

import (
	"sort"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Change says that a position changed, and where in the log. What it is now is not
// in it.
type Change struct {
	Partition int32
	Offset    int64
	Key       inventory.Key
	Location  inventory.Location
	At        int64 // when it was appended, ms; 0 when it was read from the log again
}

// ring holds the newest changes of a partition, in the order of their offsets.
type ring struct {
	buf   []Change
	first int // index of the oldest
	count int

	from    int64 // every change from here on up to next is in it
	next    int64 // offset behind the last change
	visible int64 // changes below may be told: what is read with them is as new
	unseen  int64 // changes below fell out before they were visible: no reader was too slow for them
}

func (r *ring) at(i int) *Change { return &r.buf[(r.first+i)%len(r.buf)] }

func (r *ring) add(c Change) {
	if c.Offset < r.next {
		return
	}
	if r.count == len(r.buf) {
		oldest := r.at(0).Offset
		r.from = oldest + 1
		if oldest >= r.visible {
			r.unseen = r.from
		}
		r.first = (r.first + 1) % len(r.buf)
		r.count--
	}
	r.count++
	*r.at(r.count - 1) = c
	r.next = c.Offset + 1
}

// each calls f for the visible changes from an offset on until it returns false, and
// returns the offset behind what f was called for: the visible end when that was all.
func (r *ring) each(from int64, f func(*Change) bool) (next int64, all bool) {
	i := sort.Search(r.count, func(i int) bool { return r.at(i).Offset >= from })
	for ; i < r.count; i++ {
		c := r.at(i)
		if c.Offset >= r.visible {
			break
		}
		if !f(c) {
			return c.Offset + 1, false
		}
	}
	return max(from, r.visible), true
}
