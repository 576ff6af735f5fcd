// Package slab gives memory to values of a type that are made together and forgotten
// together, many at a time: those of a message, or of one run of a program.
package slab

import "unsafe"

// Of is memory for values of a type. A piece that is full is left to whatever stands in
// it; the next one is larger. The zero value is ready. It is not safe for concurrent use.
type Of[T any] struct {
	piece []T
	used  int
	wrote int // values before it may be other than zero
}

// Sizes of pieces: the first one, and the largest.
const (
	least = 8
	most  = 8192
)

// Take is room for n values: zero all of them, but after Again.
func (s *Of[T]) Take(n int) []T {
	if n > len(s.piece)-s.used {
		s.piece = make([]T, max(n, least, min(2*len(s.piece), most)))
		s.used, s.wrote = 0, 0
	}
	out := s.piece[s.used : s.used+n : s.used+n]
	s.used += n
	return out
}

// New is Take of one value.
func (s *Of[T]) New() *T { return &s.Take(1)[0] }

// Again makes the memory free again, as it is: nothing may be read any more of what was
// taken, and who takes some next writes all of it.
func (s *Of[T]) Again() { s.wrote, s.used = max(s.wrote, s.used), 0 }

// Forget makes the memory free again, and zero. One piece is kept.
func (s *Of[T]) Forget() {
	s.Again()
	clear(s.piece[:s.wrote])
	s.wrote = 0
	if len(s.piece) > most {
		s.piece = nil // for one that was larger than all others
	}
}

// Room is how many values the piece that is kept has room for.
func (s *Of[T]) Room() int { return len(s.piece) }

// Boxes are values of a type as any, many in one piece of memory: any(v) takes a piece for
// each, and rows of a table have several. T is no pointer, map, channel or function. The
// zero value is ready. It is not safe for concurrent use.
type Boxes[T any] struct {
	of   Of[T]
	zero any // of the type
}

// New is a value, and where it stands: it is whatever is written there.
func (b *Boxes[T]) New() (v any, at *T) {
	if b.zero == nil {
		b.zero = *new(T)
	}
	v, at = b.zero, b.of.New()
	// An any of such a type is the type and the address of the value.
	(*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1] = unsafe.Pointer(at)
	return v, at
}

// Any is v as an any.
func (b *Boxes[T]) Any(v T) any {
	boxed, at := b.New()
	*at = v
	return boxed
}

// Again is that of Of.
func (b *Boxes[T]) Again() { b.of.Again() }

// Forget is that of Of.
func (b *Boxes[T]) Forget() { b.of.Forget() }

// Texts is memory for texts. They are texts like others: nothing is ever written over
// them. The zero value is ready; it must not be copied.
type Texts struct{ piece []byte }

// textPiece is the size of a piece of texts, bytes.
const textPiece = 4 << 10

// Of is the text of b.
func (t *Texts) Of(b []byte) string {
	if len(b) > textPiece/4 {
		return string(b)
	}
	if len(b) > cap(t.piece)-len(t.piece) {
		t.piece = make([]byte, 0, textPiece)
	}
	from := len(t.piece)
	t.piece = append(t.piece, b...)
	return unsafe.String(unsafe.SliceData(t.piece[from:]), len(b))
}
