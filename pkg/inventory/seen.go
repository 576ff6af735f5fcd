package inventory

import "slices"

// idSegment is a segment of event ids in hand.
type idSegment struct {
	n     int64
	ids   []Seen
	dirty bool
}

// seen looks an event id up among all ids of the key and returns its content hash.
func (l *Ledger) seen(id uint64) (uint32, bool) {
	for _, s := range slices.Backward(l.head.IDs) {
		if s.ID == id {
			return s.Content, true
		}
	}
	if l.head.IDCount == 0 {
		return 0, false
	}
	if l.old == nil {
		l.old = make(map[uint64]uint32, l.head.IDCount)
		for n := int64(0); n*SegmentSize < l.head.IDCount; n++ {
			for _, s := range l.pieces.IDs(n) {
				l.old[s.ID] = s.Content
			}
		}
	}
	c, ok := l.old[id]
	return c, ok
}

// remember adds an id. When the head holds too many, the older half goes to the
// open segment, so that this is not rewritten with every event.
func (l *Ledger) remember(s Seen) {
	if cap(l.head.IDs) == 0 {
		l.head.IDs = make([]Seen, 0, 4)
	}
	l.head.IDs = append(l.head.IDs, s)
	if len(l.head.IDs) <= MaxRecentIDs {
		return
	}
	k := len(l.head.IDs) - MaxRecentIDs/2
	l.seen(0) // builds the index, if need be, before the segments grow
	for _, s := range l.head.IDs[:k] {
		seg := l.idSegment(l.head.IDCount / SegmentSize)
		seg.ids = append(seg.ids, s)
		seg.dirty = true
		l.head.IDCount++
		if l.old == nil {
			l.old = make(map[uint64]uint32)
		}
		l.old[s.ID] = s.Content
	}
	l.head.IDs = append(l.head.IDs[:0], l.head.IDs[k:]...)
}

// idSegment is the open segment, the only one that grows.
func (l *Ledger) idSegment(n int64) *idSegment {
	r := l.extra()
	for i := range r.ids {
		if r.ids[i].n == n {
			return &r.ids[i]
		}
	}
	seg := idSegment{n: n}
	if l.head.IDCount > n*SegmentSize {
		seg.ids = l.pieces.IDs(n)
	}
	r.ids = append(r.ids, seg)
	return &r.ids[len(r.ids)-1]
}
