package stream

// spare keeps the memory of values that a commit has replaced, for values to come.
// The log's client is done with them: the transaction that wrote them has ended. A
// nil spare keeps nothing.
type spare struct {
	classes [spareClasses][][]byte // class c holds capacities from (c+1)*spareStep
}

const (
	spareStep    = 64
	spareClasses = 32 // up to 2 KiB
	spareKeep    = 1024
)

// room is empty memory for n bytes.
func (s *spare) room(n int) []byte {
	c := max(0, (n-1)/spareStep)
	if c >= spareClasses {
		return make([]byte, 0, n)
	}
	if l := len(s.classes[c]); l > 0 {
		b := s.classes[c][l-1]
		s.classes[c] = s.classes[c][:l-1]
		return b
	}
	return make([]byte, 0, (c+1)*spareStep)
}

// take keeps a value's memory, unless its successor stands in the same.
func (s *spare) take(old, successor []byte) {
	if s == nil || cap(old) < spareStep {
		return
	}
	if len(successor) > 0 && &old[:1][0] == &successor[0] {
		return
	}
	c := cap(old)/spareStep - 1
	if c >= spareClasses || len(s.classes[c]) >= spareKeep {
		return
	}
	s.classes[c] = append(s.classes[c], old[:0])
}
