package stream

import (
	"slices"
	"strings"
	"unsafe"
)

// loader fills a store before anybody works on it. What it makes is cut from chunks:
// a restore makes millions of keys, values and states, and one by one they would keep
// the collector busy. One goroutine uses it.
type loader struct {
	st *store

	names  cutter[byte]
	values cutter[byte]
	states cutter[State]
	rows   cutter[piece]
}

// A chunk is kept whole while anything in it is used. Those of values are small,
// since values are replaced one by one.
const (
	nameChunk  = 32 << 10
	valueChunk = 128 << 10
	stateChunk = 64
	rowChunk   = 256
)

// put applies a record of the changelog; nil removes. All of it may point into a
// fetched batch: what is kept is copied.
func (l *loader) put(group, key string, value []byte) {
	st := l.st.groups[group]
	if st == nil {
		if value == nil {
			return
		}
		st = l.state()
		p := piece{l.name(key), l.value(value)}
		st.pieces = append(l.rows.cut(1, rowChunk)[:0], p)
		l.enter(st, group)
		return
	}
	i, known := st.search(key)
	switch {
	case known && value == nil:
		st.pieces = slices.Delete(st.pieces, i, i+1)
		if len(st.pieces) == 0 {
			delete(l.st.groups, st.group)
		}
	case known && len(value) <= cap(st.pieces[i].value) && len(value) > 0:
		// Nobody has seen the old value yet.
		st.pieces[i].value = append(st.pieces[i].value[:0], value...)
	case known:
		st.pieces[i].value = l.value(value)
	case value != nil:
		st.pieces = slices.Insert(st.pieces, i, piece{l.name(key), l.value(value)})
	}
}

func (l *loader) state() *State {
	st := &l.states.cut(1, stateChunk)[0]
	st.cache, st.spare = l.st.cache, l.st.spare
	return st
}

// enter puts a state that has its first piece into the store. The group's name shares
// the bytes of that key where it can.
func (l *loader) enter(st *State, group string) {
	if key := st.pieces[0].key; strings.HasPrefix(key, group) {
		st.group = key[:len(group)]
	} else {
		st.group = strings.Clone(group)
	}
	l.st.groups[st.group] = st
}

func (l *loader) name(s string) string {
	if s == "" {
		return ""
	}
	b := l.names.cut(len(s), nameChunk)
	copy(b, s)
	return unsafe.String(&b[0], len(b))
}

// value has the capacity that Room would have given it, so that its memory serves
// values of its size again.
func (l *loader) value(b []byte) []byte {
	if len(b) == 0 {
		return []byte{} // nil is a tombstone
	}
	v := l.values.cut(spareCap(len(b)), valueChunk)[:len(b)]
	copy(v, b)
	return v
}

// stringOf is the bytes as a string without a copy; good as long as they stay as
// they are.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// cutter cuts slices from chunks. What is large gets memory of its own.
type cutter[T any] struct{ rest []T }

func (c *cutter[T]) cut(n, chunk int) []T {
	if n > chunk/4 {
		return make([]T, n)
	}
	if len(c.rest) < n {
		c.rest = make([]T, chunk)
	}
	out := c.rest[:n:n]
	c.rest = c.rest[n:]
	return out
}
