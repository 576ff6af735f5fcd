package inventory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Changed calls f with every piece that changed since ClearChanged, each once, in
// an order that depends on the pieces alone. A piece is good until f returns.
func (l *Ledger) Changed(f func(Piece)) {
	if l.headDirty {
		f(Piece{Kind: PieceHead, Head: &l.head})
	}
	r := l.rare
	if r == nil {
		return
	}
	for i := range r.split.slots {
		if s := &r.split.slots[i]; s.dirty {
			f(Piece{Kind: PieceLocation, N: []string{s.name}, Location: s.val})
		}
	}
	slices.SortFunc(r.ids, func(a, b idSegment) int { return cmp.Compare(a.n, b.n) })
	for i := range r.ids {
		if s := &r.ids[i]; s.dirty {
			f(Piece{Kind: PieceIDs, N: []string{number(s.n)}, IDs: s.ids, Latest: s.latest, Deleted: s.gone})
		}
	}
	slices.SortFunc(r.journal, func(a, b journalSegment) int {
		return cmp.Or(strings.Compare(string(a.location), string(b.location)), cmp.Compare(a.n, b.n))
	})
	for i := range r.journal {
		if s := &r.journal[i]; s.dirty {
			f(Piece{Kind: PieceJournal, N: []string{string(s.location), number(s.n)}, Journal: s.entries, Deleted: s.gone})
		}
	}
	for i := range r.lines.slots {
		if s := &r.lines.slots[i]; s.dirty {
			f(Piece{Kind: PieceLine, N: []string{s.name}, Line: s.val, Deleted: s.val == nil})
		}
	}
	for i := range r.supply.slots {
		if s := &r.supply.slots[i]; s.dirty {
			f(Piece{Kind: PieceSupply, N: []string{s.name}, Supply: s.val, Deleted: s.val == nil})
		}
	}
	for i := range r.refs.slots {
		if s := &r.refs.slots[i]; s.dirty {
			f(Piece{Kind: PieceRef, N: []string{s.name}, Ref: s.val, Deleted: s.val == nil})
		}
	}
	for i := range r.kept.slots {
		if s := &r.kept.slots[i]; s.dirty {
			kind, n := keptPiece(s.name)
			f(Piece{Kind: kind, N: []string{n}, Kept: s.val, Deleted: s.val == nil})
		}
	}
	for i := range r.views.slots {
		if s := &r.views.slots[i]; s.dirty {
			f(Piece{Kind: PieceView, N: []string{string(s.val.Source), string(s.val.Location)}, View: s.val})
		}
	}
}

// Same says what of a head is as it was at the last ClearChanged: who wrote it then may
// copy that. Of the zero value nothing is.
type Same struct {
	Locations    uint64 // bit n: number n of them
	Added        uint64 // bit n: number n of them was not there
	IDs, Journal int    // the first so many
}

// add makes number i of the locations a new one, of which nothing is the same.
func (s *Same) add(i int) {
	below := uint64(1)<<i - 1
	s.Locations = s.Locations&below | s.Locations&^below<<1&^(1<<i)
	s.Added = s.Added&below | s.Added&^below<<1 | 1<<i
}

// Same says what of the head is the same.
func (l *Ledger) Same() Same { return l.same }

// number is a segment's number as text.
func number(n int64) string { return strconv.FormatInt(n, 10) }

// ChangedPositions are the positions of the locations changed since ClearChanged,
// sorted by location, each as part i of n. Their version is the item's version now:
// that of the commit they belong to.
func (l *Ledger) ChangedPositions() []Position { return l.AppendChangedPositions(nil) }

// AppendChangedPositions is ChangedPositions into memory of the caller's.
func (l *Ledger) AppendChangedPositions(ps []Position) []Position {
	from := len(ps)
	slices.SortFunc(l.changes, func(a, b change) int {
		return strings.Compare(string(a.location), string(b.location))
	})
	ps = slices.Grow(ps, len(l.changes))[:from+len(l.changes)]
	for i := range l.changes {
		c := &l.changes[i]
		p := &ps[from+i]
		l.fill(p, l.location(c.location))
		p.Version, p.Previous = l.head.Version, c.previous
		p.Part, p.Parts = int32(i+1), int32(len(l.changes))
		p.RecordedAt, p.EventID, p.PolicyVersion = c.recordedAt, c.eventID, c.policyVersion
		p.Lineage, p.Partition, p.Offset = c.at.Lineage, c.at.Partition, c.at.Offset
	}
	return ps
}

func (l *Ledger) fill(p *Position, st *LocationState) {
	*p = Position{
		Key: l.key, Location: st.Location, States: st.States,
		Reserved: slices.Clone(st.Reserved()), Supply: slices.Clone(st.Supply()),
		SafetyStock: l.head.Safety, Version: st.Version, Part: 1, Parts: 1,
	}
	if q, ok := st.Safety(); ok {
		p.SafetyStock = q
	}
	if l.head.Queue.Parked+l.head.Queue.Held != 0 {
		p.ParkedOut = l.parkedOut(st)
	}
	p.Frozen = l.head.Frozen.Since != 0
}

// Position is what is known of a location now; false where nothing is. Its version
// is that of the location's last change. It does not say which event that was, nor
// what was before it.
func (l *Ledger) Position(name Location) (Position, bool) {
	st := l.location(name)
	if st == nil {
		return Position{}, false
	}
	var p Position
	l.fill(&p, st)
	return p, true
}

// Locations are the names of all locations of the key, sorted.
func (l *Ledger) Locations() []Location {
	ls := slices.Clone(l.head.Split)
	for i := range l.head.Locations {
		ls = append(ls, l.head.Locations[i].Location)
	}
	slices.Sort(ls)
	return ls
}

// ChangedViews are the claimed views changed since ClearChanged, by source and
// location.
func (l *Ledger) ChangedViews() []View {
	if l.rare == nil {
		return nil
	}
	var vs []View
	for i := range l.rare.views.slots {
		if s := &l.rare.views.slots[i]; s.dirty {
			vs = append(vs, *s.val)
		}
	}
	return vs
}

// ClearChanged is called when everything changed has been put where Pieces finds
// it. Pieces other than the head are then let go, and read again when an event
// needs them.
func (l *Ledger) ClearChanged() {
	l.headDirty = false
	l.same = Same{Locations: ^uint64(0), IDs: len(l.head.IDs), Journal: len(l.head.Journal)}
	clear(l.changes)
	l.changes = l.changes[:0]
	l.rare = nil
}

// Sum is the sum over all accounts of the item: zero, always (Invariant 3).
func (l *Ledger) Sum() Quantity {
	var s Quantity
	for _, name := range l.Locations() {
		if st := l.location(name); st != nil {
			for _, q := range st.States {
				s += q
			}
		}
	}
	for _, q := range l.head.Outside {
		s += q
	}
	return s
}

// Outside is the balance of an account outside locations.
func (l *Ledger) Outside(a Account) Quantity {
	if a.IsState() || int(a) >= NumAccounts {
		return 0
	}
	return l.head.Outside[a-NumStates]
}
