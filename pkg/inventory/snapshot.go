package inventory

import (
	"crypto/sha256"
	"encoding/hex"
)

// SnapshotZeroType is the document type of the counts that the end of a full
// snapshot makes.
const SnapshotZeroType = "snapshot_zero"

// SnapshotZero is the count to append for an item that a full snapshot of a
// location did not list, where its source says that it lists all there is. It is
// false unless SnapshotStanding says SnapshotUnlisted.
func (l *Ledger) SnapshotZero(end *SnapshotEnd) (Event, bool) {
	if l.SnapshotStanding(end) != SnapshotUnlisted {
		return Event{}, false
	}
	return end.Zero(l.key), true
}

// Zero is the count that says that nothing of an item is there: zero, as of the
// snapshot, of every state it covers.
//
// The event is a function of the snapshot and the key: its id is what event.EventID
// gives for its source and document, so to append it twice is harmless. The ledger
// decides it as any other count.
func (e *SnapshotEnd) Zero(k Key) Event {
	ev := Event{
		Kind: KindCount, Key: k, Source: e.Source,
		Document: Document{
			Type: SnapshotZeroType, Number: e.ID,
			Line: placeID(k, e.Location),
		},
		OccurredAt: e.AsOf, OccurredBasis: BasisDocument,
		Count: &Count{
			Location: e.Location, Basis: e.Basis, Covers: e.Covers,
			AsOf: e.AsOf, AsOfBasis: BasisDocument, Complete: true, Snapshot: e.ID,
		},
	}
	for a := range Account(NumStates) {
		if set(e.Covers)&a.bit() != 0 {
			ev.Count.Balances = append(ev.Count.Balances, StateBalance{State: a})
		}
	}
	ev.ID = documentID(ev.Source, &ev.Document)
	return ev
}

// Lists says whether a location's latest count was a line of the snapshot.
func (e *SnapshotEnd) Lists(st *LocationState) bool {
	last := st.lastCount()
	return e.ID != "" && st.Location == e.Location && last.Snapshot == e.ID && last.Source == e.Source
}

// Validate says whether the end names one snapshot in full, so that the counts it
// makes are valid; the error is a *Fault.
func (e *SnapshotEnd) Validate() error {
	if f := e.check(); f != nil {
		return f
	}
	return nil
}

func (e *SnapshotEnd) check() *Fault {
	switch {
	case e.ID == "":
		return fault(FaultNoID, "snapshot.id", "")
	case len(e.ID) > maxText:
		return fault(FaultTooLong, "snapshot.id", "")
	case len(e.Author) > maxText:
		return fault(FaultTooLong, "snapshot.author", "")
	case len(e.Reason) > maxLongText:
		return fault(FaultTooLong, "snapshot.reason", "")
	case e.Author == "" && e.Reason != "":
		return fault(FaultNoSource, "snapshot.author", "a reason needs somebody who gives it")
	case !partsRight(e.Part, e.Parts):
		return fault(FaultParts, "snapshot.part", "numbered from 1 to at most 10000")
	case len(e.Covers) == 0:
		return fault(FaultCovers, "snapshot.covers", "no state: it says nothing")
	}
	// Of an item of any name, the count is an event as any other.
	zero := e.Zero(Key{Entity: e.Entity, Item: "*"})
	return zero.check()
}

// SnapshotStanding is what the end of a full snapshot means for an item.
type SnapshotStanding uint8

// The standings.
const (
	// SnapshotApart: the snapshot has nothing to do with the item. The location is not
	// known, what is covered was nothing by then, or all of that was counted later.
	SnapshotApart SnapshotStanding = iota
	// SnapshotListed: it lists the item, be it that its line is held, parked, noted, given
	// up after that, rejected, or in conflict with an earlier one of its id.
	SnapshotListed
	// SnapshotUnlisted: it does not, and something is there: SnapshotZero.
	SnapshotUnlisted
	// SnapshotUnknown: nobody can tell. The key takes no events, so that its line may
	// stand in the log and be taken after the end of the snapshot; or the journal does
	// not reach back to its time exactly, so that what came since may look as if it had
	// been there.
	SnapshotUnknown
)

// SnapshotStanding says what the end of a full snapshot means for the ledger's item,
// where the ledger has taken all lines of the snapshot that are about it. It changes
// nothing.
func (l *Ledger) SnapshotStanding(end *SnapshotEnd) SnapshotStanding {
	if l.key.Entity != end.Entity || len(end.Covers) == 0 {
		return SnapshotApart
	}
	s := l.stands(end)
	switch {
	case s != SnapshotUnlisted:
		return s
	case l.head.Frozen.Since != 0:
		return SnapshotUnknown
	case l.waits(end):
		return SnapshotListed
	}
	if _, refused := l.seen(refusedLine(end.Source, end.ID, end.Location)); refused {
		return SnapshotListed
	}
	return SnapshotUnlisted
}

// listsStill remembers a line of a full snapshot that is not taken, since another
// content came under its id before or it was given up after it had waited: its item is
// on the list all the same.
func (l *Ledger) listsStill(ev *Event) {
	c := ev.Count
	if c == nil || !c.Complete || c.Snapshot == "" {
		return
	}
	id := refusedLine(ev.Source, c.Snapshot, c.Location)
	if _, known := l.seen(id); !known {
		l.remember(Seen{ID: id})
	}
}

// lists is listsStill of a line that is rejected outright: of the event nothing else is
// kept.
func (l *Ledger) lists(p *Policy, ev *Event, at At) {
	if ev.Kind != KindCount || ev.Key != l.key || ev.Count == nil || !ev.Count.Complete || ev.Count.Snapshot == "" {
		return
	}
	l.listsStill(ev)
	l.head.Fence = Fence{Lineage: at.Lineage, Offset: at.Offset, IDHash: HashID(ev.ID)}
	l.headDirty = true
	l.tend(p, &plan{policy: p})
}

// refusedLine is remembered of such a line.
func refusedLine(s Source, snapshot string, name Location) uint64 {
	return HashID("refused line of " + Escape(string(s)) + "|" + Escape(snapshot) + "|" + Escape(string(name)))
}

// stands is SnapshotStanding as far as events are taken and decided.
func (l *Ledger) stands(end *SnapshotEnd) SnapshotStanding {
	if v := l.view(end.Source, end.Location); v != nil {
		switch {
		case v.AsOf == end.AsOf:
			return SnapshotListed
		case v.AsOf > end.AsOf:
			return SnapshotApart
		}
		for i := range v.Balances {
			if b := &v.Balances[i]; b.Quantity != 0 && set(end.Covers)&b.State.bit() != 0 {
				return SnapshotUnlisted
			}
		}
	}
	st := l.location(end.Location)
	if st == nil {
		return SnapshotApart
	}
	if end.Lists(st) {
		return SnapshotListed
	}
	var later uint8 // states counted later
	if last := st.lastCount(); last.AsOf >= end.AsOf {
		for _, m := range l.marks(st, end.AsOf) {
			if m.at == end.AsOf {
				return SnapshotListed // as of this very moment
			}
			later |= m.state.bit()
		}
	}
	then, f := l.asOf(st, end.AsOf)
	if f != nil {
		return SnapshotApart // beyond what can be counted
	}
	for a := range Account(NumStates) {
		if set(end.Covers)&^later&a.bit() == 0 || then[a] == 0 {
			continue
		}
		if st.inexact(end.AsOf) {
			return SnapshotUnknown
		}
		return SnapshotUnlisted
	}
	return SnapshotApart
}

// ZeroesTooMany says whether the end of a full snapshot sets so many of a
// location's items to zero that it waits for an approval: listed are the items the
// snapshot named, zeroed those it would set to zero. Each partition is judged alone.
func (c *CountPolicy) ZeroesTooMany(s Source, listed, zeroed int64) bool {
	x := c.of(s)
	if x == nil || x.ZeroShare == 0 || zeroed <= 0 {
		return false
	}
	// A partition has far fewer items than would make this overflow.
	return Quantity(zeroed)*One > x.ZeroShare*Quantity(max(0, listed)+zeroed)
}

// placeID names a location of a key in a document: as its position is named,
// where that is not too long.
func placeID(k Key, name Location) string {
	s := PositionKey(k, name)
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
