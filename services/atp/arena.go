package atp

import (
	"slices"

	"github.com/stockweave/stockweave/pkg/stream"
)

// arena is the memory of what one transaction emits, cut from chunks. The log's
// client holds what was cut until the transaction has ended; then reset lets the
// next transaction use the chunks again.
type arena struct {
	bytes   chunks[byte]
	headers chunks[stream.RecordHeader]
}

const (
	chunkBytes   = 64 << 10
	chunkHeaders = 1024
	roomBytes    = 4 << 10 // what an output takes at most, as a rule
	roomHeaders  = 8
	keepChunks   = 256 // more are let go of when a large transaction has ended
)

func (a *arena) reset() {
	a.bytes.reset()
	a.headers.reset()
}

// room is empty memory to append an output to; keep takes what was appended.
func (a *arena) room() []byte { return a.bytes.room(roomBytes, chunkBytes) }

func (a *arena) keep(b []byte) []byte { return a.bytes.keep(b) }

// headerRoom and keepHeaders are the same for headers.
func (a *arena) headerRoom() []stream.RecordHeader { return a.headers.room(roomHeaders, chunkHeaders) }

func (a *arena) keepHeaders(h []stream.RecordHeader) []stream.RecordHeader { return a.headers.keep(h) }

// chunks hands out slices of larger slices.
type chunks[T any] struct {
	all  [][]T // each up to its length in use
	used int   // chunks in use; the last one is being cut
}

// room is empty memory for at least n values.
func (c *chunks[T]) room(n, size int) []T {
	if c.used > 0 {
		if last := c.all[c.used-1]; cap(last)-len(last) >= n {
			return last[len(last):]
		}
	}
	if c.used == len(c.all) {
		c.all = append(c.all, make([]T, 0, size))
	}
	c.used++
	return c.all[c.used-1]
}

// keep takes what was appended to room. What outgrew its room has memory of its
// own by then.
func (c *chunks[T]) keep(b []T) []T {
	if last := &c.all[c.used-1]; len(b) > 0 && cap(*last)-len(*last) >= len(b) && &b[0] == &(*last)[:len(*last)+1][len(*last)] {
		*last = (*last)[:len(*last)+len(b)]
	}
	return slices.Clip(b)
}

func (c *chunks[T]) reset() {
	if len(c.all) > keepChunks {
		clear(c.all[keepChunks:])
		c.all = c.all[:keepChunks]
	}
	for i := range c.all {
		c.all[i] = c.all[i][:0]
	}
	c.used = 0
}
