package inventory

import (
	"math/bits"
	"slices"
)

// maxParts of a full snapshot.
const maxParts = 10_000

// partsRight says whether a part of a full snapshot is numbered as it may be.
func partsRight(part, parts int32) bool {
	switch {
	case part == 0:
		return parts == 0
	case part < 0 || part > maxParts || parts < 0 || parts > maxParts:
		return false
	}
	return parts == 0 || part <= parts
}

// SnapshotParts gathers the ends of one full snapshot in several messages, in any order and
// however often each comes. The zero value is ready.
type SnapshotParts struct {
	first       SnapshotEnd
	ended       []uint64 // bit n: part n
	parts, last int32
	why         string // they can never be one snapshot
}

// Add takes the end of a part.
func (s *SnapshotParts) Add(e *SnapshotEnd) {
	if s.first.ID == "" {
		s.first = *e
	}
	if e.Part < 0 || e.Part > maxParts {
		s.why = "a part of it has no number that a part may have"
		return
	}
	for int(e.Part)/64 >= len(s.ended) {
		s.ended = append(s.ended, 0)
	}
	s.ended[e.Part/64] |= 1 << (e.Part % 64)
	s.last = max(s.last, e.Part)
	switch {
	case s.why != "":
	case e.Part == 0:
		s.why = "one message says that it is all of it, another that it is a part"
	case e.AsOf != s.first.AsOf:
		s.why = "its parts state different times"
	case e.Basis != s.first.Basis || set(e.Covers) != set(s.first.Covers):
		s.why = "its parts count different things"
	case e.Parts != 0 && s.parts != 0 && e.Parts != s.parts:
		s.why = "its parts disagree on how many there are"
	}
	s.parts = max(s.parts, e.Parts)
}

// Missing are the parts that have not ended; none and an empty text: it is over. Where no
// part says how many there are, the one behind the last is missing. The text says why they
// can never be one snapshot.
func (s *SnapshotParts) Missing() (missing []int32, why string) {
	switch {
	case s.why != "":
		return nil, s.why
	case s.parts != 0 && s.last > s.parts:
		return nil, "its parts disagree on how many there are"
	}
	until := s.parts
	if until == 0 {
		until = s.last + 1
	}
	for n := int32(1); n <= until; n++ {
		if !s.Ended(n) {
			missing = append(missing, n)
		}
	}
	return slices.Clip(missing), ""
}

// Ended says whether a part has.
func (s *SnapshotParts) Ended(part int32) bool {
	return part >= 0 && int(part)/64 < len(s.ended) && s.ended[part/64]&(1<<(part%64)) != 0
}

// Count is how many parts have ended.
func (s *SnapshotParts) Count() (n int) {
	for _, w := range s.ended {
		n += bits.OnesCount64(w)
	}
	return n
}
