package event

import (
	"hash/maphash"
	"sync/atomic"
	"unicode/utf8"
)

const (
	numWords    = 2048 // a power of two
	longestWord = 64
)

// words keeps one copy of strings that come again and again: locations, sources,
// kinds. It is a table of fixed size in which the latest word wins its slot, so
// no input makes it grow. It is safe for concurrent use.
type words struct {
	seed  maphash.Seed
	slots [numWords]atomic.Pointer[string]
}

func newWords() *words { return &words{seed: maphash.MakeSeed()} }

// get returns b as a string, and whether it is UTF-8.
func (w *words) get(b []byte) (string, bool) {
	if len(b) > longestWord {
		s := string(b)
		return s, utf8.ValidString(s)
	}
	slot := &w.slots[maphash.Bytes(w.seed, b)%numWords]
	if p := slot.Load(); p != nil && *p == string(b) {
		return *p, true
	}
	s := string(b)
	if !utf8.ValidString(s) {
		return "", false
	}
	slot.Store(&s)
	return s, true
}
