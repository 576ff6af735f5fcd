package inventory

import (
	"crypto/sha256"
	"encoding/hex"
)

// SnapshotZeroType is the document type of the counts that the end of a full
// snapshot makes.
const SnapshotZeroType = "snapshot_zero"

// SnapshotZero is the count to append for an item that a full snapshot of a
// location did not list, where its source says that it lists all there is: zero, as
// of the snapshot, of every state it covers. It is false where none is needed: the
// location is not known, the snapshot listed the item (be it that its line is held,
// parked or noted), what it covers was nothing by then anyway, or all of that was
// counted later.
//
// The event is a function of the snapshot and the key: its id is what event.EventID
// gives for its source and document, so to append it twice is harmless. The ledger
// decides it as any other count; nothing of it is changed here.
func (l *Ledger) SnapshotZero(end *SnapshotEnd) (Event, bool) {
	if l.key.Entity != end.Entity || len(end.Covers) == 0 {
		return Event{}, false
	}
	if !l.unlisted(end) {
		return Event{}, false
	}
	ev := Event{
		Kind: KindCount, Key: l.key, Source: end.Source,
		Document: Document{
			Type: SnapshotZeroType, Number: end.ID,
			Line: l.placeID(end.Location),
		},
		OccurredAt: end.AsOf, OccurredBasis: BasisDocument,
		Count: &Count{
			Location: end.Location, Basis: end.Basis, Covers: end.Covers,
			AsOf: end.AsOf, AsOfBasis: BasisDocument, Complete: true, Snapshot: end.ID,
		},
	}
	for a := range Account(NumStates) {
		if set(end.Covers)&a.bit() != 0 {
			ev.Count.Balances = append(ev.Count.Balances, StateBalance{State: a})
		}
	}
	ev.ID = documentID(ev.Source, &ev.Document)
	return ev, true
}

// unlisted says whether a snapshot did not list the item and something of it is
// still there.
func (l *Ledger) unlisted(end *SnapshotEnd) bool {
	if v := l.view(end.Source, end.Location); v != nil {
		if v.AsOf >= end.AsOf {
			return false
		}
		for i := range v.Balances {
			if b := &v.Balances[i]; b.Quantity != 0 && set(end.Covers)&b.State.bit() != 0 {
				return !l.waits(end)
			}
		}
	}
	st := l.location(end.Location)
	if st == nil || end.ID != "" && st.LastCount.Snapshot == end.ID {
		return false
	}
	var later uint8 // states counted later
	if st.LastCount.AsOf >= end.AsOf {
		for _, m := range l.marks(st, end.AsOf) {
			if m.at == end.AsOf {
				return false // as of this very moment: it is on the list
			}
			later |= m.state.bit()
		}
	}
	then, f := l.asOf(st, end.AsOf)
	if f != nil {
		return false // out of range: nothing to be done by a count
	}
	for a := range Account(NumStates) {
		if set(end.Covers)&^later&a.bit() != 0 && then[a] != 0 {
			return !l.waits(end)
		}
	}
	return false
}

// ZeroesTooMany says whether the end of a full snapshot sets so many of a
// location's items to zero that it waits for an approval: listed are the items the
// snapshot named, zeroed those it would set to zero.
func (c *CountPolicy) ZeroesTooMany(s Source, listed, zeroed int64) bool {
	x := c.of(s)
	if x == nil || x.ZeroShare == 0 || zeroed <= 0 {
		return false
	}
	// A partition has far fewer items than would make this overflow.
	return Quantity(zeroed)*One > x.ZeroShare*Quantity(max(0, listed)+zeroed)
}

// placeID names a location of the key in a document: as its position is named,
// where that is not too long.
func (l *Ledger) placeID(name Location) string {
	s := PositionKey(l.key, name)
	if len(s) <= maxText {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// documentID is the id of what a source's document states: 32 hex digits, the first
// half of SHA-256 over source and document type, number, revision and line, each
// behind its length as four bytes, big endian.
func documentID(s Source, d *Document) string {
	var a [512]byte
	b := a[:0]
	for _, p := range [5]string{string(s), d.Type, d.Number, d.Revision, d.Line} {
		n := len(p)
		b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
