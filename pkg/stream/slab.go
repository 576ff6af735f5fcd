package stream

// slab holds a transaction's outputs. Its memory serves one transaction after the
// other: once a transaction has ended the client holds none of it.
type slab struct {
	chunks [][]output
	n      int // taken
	sent   int // handed to the client
	dirty  int // outputs from here on hold nothing
}

// output is a record to produce, and the input record it comes from.
type output struct {
	rec    Record
	part   int32
	offset int64
	shared bool // other records of the transaction may have led to it as well
}

const slabChunk = 256

func (s *slab) at(i int) *output { return &s.chunks[i/slabChunk][i%slabChunk] }

// next takes an output, to be overwritten wholly.
func (s *slab) next() *output {
	if s.n == len(s.chunks)*slabChunk {
		s.chunks = append(s.chunks, make([]output, slabChunk))
	}
	s.n++
	return s.at(s.n - 1)
}

// unsent returns the next output not handed over yet, nil when there is none.
func (s *slab) unsent() *output {
	if s.sent == s.n {
		return nil
	}
	s.sent++
	return s.at(s.sent - 1)
}

// back gives the outputs back that were not handed over.
func (s *slab) back() { s.n = s.sent }

// reset gives all back. What is taken again is overwritten; of what a larger
// transaction has left behind it, some is let go of each time.
func (s *slab) reset() {
	s.dirty = max(s.dirty, s.n)
	for range min(s.dirty-s.n, slabChunk) {
		s.dirty--
		*s.at(s.dirty) = output{}
	}
	if keep := 4*s.dirty/slabChunk + 64; len(s.chunks) > keep {
		s.chunks = s.chunks[:keep]
	}
	s.n, s.sent = 0, 0
}

// abandon leaves the memory to whoever may still use it.
func (s *slab) abandon() { *s = slab{} }

// find returns the output a record belongs to.
func (s *slab) find(rec *Record) *output {
	for i := range s.n {
		if o := s.at(i); &o.rec == rec {
			return o
		}
	}
	return nil
}
