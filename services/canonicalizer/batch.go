package canonicalizer

import (
	"slices"
	"sync"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/slab"
)

// batch is the memory of a message's events, which are forgotten together when their
// records are written. Nothing else may be in it: an event has texts, references and
// attributes of its own.
type batch struct {
	events    []inventory.Event // those of the result, and room behind them
	movements slab.Of[inventory.Movement]
	counts    slab.Of[inventory.Count]
	demands   slab.Of[inventory.Demand]
	supplies  slab.Of[inventory.Supply]
	balances  slab.Of[inventory.StateBalance]
}

// mostEvents is how many events a batch that is kept has room for: some megabytes.
const mostEvents = 8192

// batches are those that no message has. It is safe for concurrent use.
type batches struct{ free sync.Pool }

func (bs *batches) get() *batch {
	if bs != nil {
		if b, ok := bs.free.Get().(*batch); ok {
			return b
		}
	}
	return &batch{}
}

func (bs *batches) put(b *batch) {
	if cap(b.events) > mostEvents {
		b.events = nil
	}
	b.forget()
	bs.free.Put(b)
}

// forget makes all of the memory free again, zero.
func (b *batch) forget() {
	clear(b.events)
	b.events = b.events[:0]
	b.movements.Forget()
	b.counts.Forget()
	b.demands.Forget()
	b.supplies.Forget()
	b.balances.Forget()
}

// next is room for one more event, zero. It is none of the events until they are longer.
func (b *batch) next() *inventory.Event {
	n := len(b.events)
	if n == cap(b.events) {
		b.events = slices.Grow(b.events, max(n, 1)) // doubled: a message has up to a hundred thousand
	}
	return &b.events[:n+1][n]
}

// release gives the memory of the events back: they are forgotten, and so are the bodies
// they had. Whoever has done with a result may do this, once.
func (r *Result) release() {
	if r.batch == nil || r.of == nil {
		return
	}
	r.of.put(r.batch)
	r.batch, r.Events = nil, nil
}
