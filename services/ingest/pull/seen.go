package pull

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// maxSeen bounds what is remembered of a round. Rounds overlap, so most records of one
// come again in the next; what was forgotten goes to the log once more, under the id it
// had, and is a duplicate there.
const maxSeen = 20_000

// seen remembers the ids of the last whole round and of this one.
type seen struct {
	now, before map[uint64]struct{}
}

// short is the first half of a raw id: 2^64 of them keep 20,000 apart.
func short(id string) uint64 {
	var b [8]byte
	if _, err := hex.Decode(b[:], []byte(id[:16])); err != nil {
		return 0 // RawID makes no such id
	}
	return binary.BigEndian.Uint64(b[:])
}

// add remembers an id; false when it was known.
func (s *seen) add(id string) bool {
	h := short(id)
	if s.now == nil {
		s.now = map[uint64]struct{}{}
	}
	_, now := s.now[h]
	_, before := s.before[h]
	if len(s.now) >= maxSeen {
		for k := range s.now { // any; the map knows no order
			delete(s.now, k)
			break
		}
	}
	s.now[h] = struct{}{}
	return !now && !before
}

// turn ends a round.
func (s *seen) turn() { s.before, s.now = s.now, nil }

func (s *seen) encode() []byte {
	b := make([]byte, 0, 8*len(s.before))
	for h := range s.before {
		b = binary.BigEndian.AppendUint64(b, h)
	}
	return b
}

var errSeen = errors.New("not a list of hashes")

func (s *seen) decode(b []byte) error {
	if len(b)%8 != 0 || len(b) > 8*maxSeen {
		return errSeen
	}
	s.before = make(map[uint64]struct{}, len(b)/8)
	for ; len(b) > 0; b = b[8:] {
		s.before[binary.BigEndian.Uint64(b)] = struct{}{}
	}
	return nil
}
