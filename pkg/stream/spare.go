package stream

import "math/bits"

// spare keeps the memory of values that a commit has replaced, for values to come. What
// was to be written of them stands in batches of its own. A nil spare keeps nothing.
type spare struct {
	classes [spareClasses][][]byte // class c holds capacities from spareSize(c) on
}

const (
	spareStep    = 64
	spareClasses = 11   // up to 2 KiB
	spareKeep    = 1024 // values of a class
)

// spareSize is the capacity that class c holds at least: half steps between powers of
// two. Values grow by little at a time, and what most have outgrown serves no more.
func spareSize(c int) int { return (2 + c%2) * (spareStep / 2) << (c / 2) }

// spareClass is the first class whose capacity is n or more; spareClasses for none.
func spareClass(n int) int {
	if n <= spareStep {
		return 0
	}
	shift := bits.Len(uint(n-1)) - 2 // n-1 is 1x in binary, and shift bits behind these
	return min((shift-5)*2+(n-1)>>shift-1, spareClasses)
}

// spareCap is the capacity of room for n bytes.
func spareCap(n int) int {
	if c := spareClass(n); c < spareClasses {
		return spareSize(c)
	}
	return n
}

// room is empty memory for n bytes.
func (s *spare) room(n int) []byte {
	c := spareClass(n)
	if c >= spareClasses {
		return make([]byte, 0, n)
	}
	if l := len(s.classes[c]); l > 0 {
		b := s.classes[c][l-1]
		s.classes[c] = s.classes[c][:l-1]
		return b
	}
	return make([]byte, 0, spareSize(c))
}

// take keeps a value's memory, unless its successor stands in the same.
func (s *spare) take(old, successor []byte) {
	if s == nil || cap(old) < spareStep {
		return
	}
	if len(successor) > 0 && &old[:1][0] == &successor[0] {
		return
	}
	c := spareClass(cap(old)+1) - 1
	if cap(old) >= 2*spareSize(c) || len(s.classes[c]) >= spareKeep {
		return
	}
	s.classes[c] = append(s.classes[c], old[:0])
}
