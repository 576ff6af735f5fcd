package x12

import (
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// mostLines is how many lines a set may become: no message may have more.
const mostLines = policy.DefaultMaxLines

// Memory is what lines are made in, set after set. The zero value is ready; it is of one
// goroutine at a time.
type Memory struct {
	lines  []Line // those from n on are kept for the memory of their lists
	n      int    // one above mostLines: there were more
	beyond Line   // each of those, in the place of the one before

	// Of the set being read.
	blocks    []block
	quantity  []quantity
	loops     []format.Loop
	inherited []inherited
	pairs     []pair
	table     table
}

// MostKept is of how many lines, and pieces of a set, memory is kept by Forget.
const MostKept = 1024

// Forget gives up what is too large to be kept, and all texts.
func (m *Memory) Forget() {
	if len(m.lines) > MostKept || cap(m.blocks) > MostKept || cap(m.inherited) > MostKept {
		*m = Memory{}
		return
	}
	for i := range m.lines {
		l := &m.lines[i]
		clear(l.IDs[:cap(l.IDs)])
		clear(l.Attributes[:cap(l.Attributes)])
		l.reset()
	}
	clear(m.blocks[:cap(m.blocks)])
	clear(m.quantity[:cap(m.quantity)])
	clear(m.loops[:cap(m.loops)])
	clear(m.inherited[:cap(m.inherited)])
	clear(m.pairs[:cap(m.pairs)])
	clear(m.beyond.IDs[:cap(m.beyond.IDs)])
	clear(m.beyond.Attributes[:cap(m.beyond.Attributes)])
	m.beyond.reset()
	m.n = 0
}

// add is the next line, empty. It holds until the one after it.
func (m *Memory) add() *Line {
	if m.n > mostLines {
		m.beyond.reset()
		return &m.beyond
	}
	if m.n == len(m.lines) {
		m.lines = append(m.lines, Line{})
	}
	l := &m.lines[m.n]
	m.n++
	l.reset()
	return l
}

// again is another line that says what line i says.
func (m *Memory) again(i int) *Line {
	to := m.add()
	from := m.at(i)
	ids, attributes := append(to.IDs, from.IDs...), append(to.Attributes, from.Attributes...)
	*to = *from
	to.IDs, to.Attributes = ids, attributes
	return to
}

// at is a line by its index.
func (m *Memory) at(i int) *Line {
	if i >= m.n {
		m.beyond.reset()
		return &m.beyond
	}
	return &m.lines[i]
}

// last is the index of the line made last.
func (m *Memory) last() int {
	if m.n > mostLines {
		return m.n
	}
	return m.n - 1
}

func (l *Line) reset() { *l = Line{IDs: l.IDs[:0], Attributes: l.Attributes[:0]} }
