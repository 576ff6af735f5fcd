package inventory

import (
	"maps"
	"slices"
)

// idSegment is a segment of event ids in hand.
type idSegment struct {
	n      int64
	ids    []Seen
	latest Instant
	dirty  bool
	gone   bool
}

// idIndex finds the ids that stand in segments. It is bounded as they are.
type idIndex struct {
	of   map[uint64]oldID
	gone int // deletions since the map was made
}

// oldID is a Seen but for its id.
type oldID struct {
	content uint32
	verdict Verdict
}

// seen looks an event id up among all ids of the key.
func (l *Ledger) seen(id uint64) (Seen, bool) {
	for _, s := range slices.Backward(l.head.IDs) {
		if s.ID == id {
			return s, true
		}
	}
	if l.head.IDCount != 0 {
		if o, ok := l.index().of[id]; ok {
			return Seen{ID: id, Content: o.content, Verdict: o.verdict}, true
		}
	}
	if l.head.Queue.Parked+l.head.Queue.Held != 0 { // kept longer than its id may be
		if i := l.keptByID(id); i >= 0 {
			return Seen{ID: id, Content: l.last.aside[i].content}, true
		}
	}
	return Seen{}, false
}

// index is built when the first id is looked for in segments.
func (l *Ledger) index() *idIndex {
	x := &l.lasting().ids
	if x.of == nil {
		from := l.head.Window.From
		x.of = make(map[uint64]oldID, max(0, l.head.IDCount-from*SegmentSize))
		for n := from; n*SegmentSize < l.head.IDCount; n++ {
			ids, _ := l.pieces.IDs(n)
			x.add(ids)
		}
	}
	return x
}

func (x *idIndex) add(ids []Seen) {
	for _, s := range ids {
		x.of[s.ID] = oldID{s.Content, s.Verdict}
	}
}

// drop takes ids out. A map never gives memory back, so it is made anew when more
// has gone than is left.
func (x *idIndex) drop(ids []Seen) {
	for _, s := range ids {
		if o := x.of[s.ID]; o.content == s.Content {
			delete(x.of, s.ID) // else it is remembered anew
		}
	}
	if x.gone += len(ids); x.gone <= len(x.of) {
		return
	}
	of := make(map[uint64]oldID, len(x.of)+SegmentSize)
	maps.Copy(of, x.of)
	x.of, x.gone = of, 0
}

// remember adds an id. When the head holds as many as it may, the older half goes to the
// open segment, so that this is not rewritten with every event.
func (l *Ledger) remember(s Seen) {
	if cap(l.head.IDs) == 0 {
		l.head.IDs = make([]Seen, 0, 8)
	}
	if n := len(l.head.IDs); n >= MaxRecentIDs {
		l.leaveIDs(n + 1 - MaxRecentIDs/2)
	}
	l.head.IDs = append(l.head.IDs, s)
}

// leaveIDs moves the oldest k ids of the head.
func (l *Ledger) leaveIDs(k int) {
	x := l.index() // before the segments grow
	x.add(l.head.IDs[:k])
	for _, s := range l.head.IDs[:k] {
		seg := l.idSegment(l.head.IDCount / SegmentSize)
		seg.ids = append(seg.ids, s)
		seg.latest, seg.dirty = l.head.Latest, true
		l.head.IDCount++
		if l.head.IDCount%SegmentSize == 0 {
			l.due |= fullIDs
		}
	}
	l.head.IDs, l.same.IDs = append(l.head.IDs[:0], l.head.IDs[k:]...), 0
}

// idSegment is a segment in hand. Only the open one grows.
func (l *Ledger) idSegment(n int64) *idSegment {
	r := l.extra()
	for i := range r.ids {
		if r.ids[i].n == n {
			return &r.ids[i]
		}
	}
	seg := idSegment{n: n}
	if l.head.IDCount > n*SegmentSize {
		seg.ids, seg.latest = l.pieces.IDs(n)
	}
	r.ids = append(r.ids, seg)
	return &r.ids[len(r.ids)-1]
}
