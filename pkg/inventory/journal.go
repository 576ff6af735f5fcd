package inventory

import (
	"cmp"
	"slices"
)

// journalSegment is a segment of a location's journal in hand.
type journalSegment struct {
	location Location
	n        int64
	entries  []Entry
	dirty    bool
}

// enter adds entries to the journal. When the head holds too many, the older half
// goes to the segments of its locations.
func (l *Ledger) enter(e Entry) {
	if cap(l.head.Journal) == 0 {
		l.head.Journal = make([]Entry, 0, 4)
	}
	l.head.Journal = append(l.head.Journal, e)
	if len(l.head.Journal) <= MaxRecentEntries {
		return
	}
	k := len(l.head.Journal) - MaxRecentEntries/2
	for _, e := range l.head.Journal[:k] {
		st := l.location(e.Location)
		seg := l.journalSegment(st, st.JournalCount/SegmentSize)
		seg.entries = append(seg.entries, e)
		seg.dirty = true
		st.JournalCount++
		l.dirtyLocation(e.Location)
	}
	n := copy(l.head.Journal, l.head.Journal[k:])
	clear(l.head.Journal[n:])
	l.head.Journal = l.head.Journal[:n]
}

func (l *Ledger) journalSegment(st *LocationState, n int64) *journalSegment {
	r := l.extra()
	for i := range r.journal {
		if s := &r.journal[i]; s.n == n && s.location == st.Location {
			return s
		}
	}
	seg := journalSegment{location: st.Location, n: n}
	if st.JournalCount > n*SegmentSize {
		seg.entries = l.pieces.Journal(st.Location, n)
	}
	r.journal = append(r.journal, seg)
	return &r.journal[len(r.journal)-1]
}

// history calls f with every journal entry of a location, oldest first by when it
// was entered.
func (l *Ledger) history(st *LocationState, f func(e *Entry)) {
	for n := int64(0); n*SegmentSize < st.JournalCount; n++ {
		seg := l.journalSegment(st, n)
		for i := range seg.entries {
			f(&seg.entries[i])
		}
	}
	for i := range l.head.Journal {
		if e := &l.head.Journal[i]; e.Location == st.Location {
			f(e)
		}
	}
}

// asOf is the position of a location at a time: what is there now, less all that
// was entered with a later time.
func (l *Ledger) asOf(st *LocationState, t Instant) ([NumStates]Quantity, *Fault) {
	then := st.States
	var wrong *Fault
	l.history(st, func(e *Entry) {
		if e.At <= t {
			return
		}
		q, err := then[e.State].Add(-e.Delta)
		if err != nil {
			wrong = overflow("count.as_of")
			return
		}
		then[e.State] = q
	})
	return then, wrong
}

// mark is a count that holds: at At, State and the states of Includes together
// stood at what was counted.
type mark struct {
	at       Instant
	state    Account
	includes uint8
}

// covers says whether the count's number contains the state.
func (m mark) covers(a Account) bool { return m.state == a || m.includes&a.bit() != 0 }

// marks are the counts of a location as of from or later, by time. Of several
// counts of one state as of one time the last one entered holds. Within one time,
// on_hand, which alone includes other states, comes last.
func (l *Ledger) marks(st *LocationState, from Instant) []mark {
	var ms []mark
	l.history(st, func(e *Entry) {
		if !e.Count || e.At < from {
			return
		}
		for i := range ms {
			if ms[i].at == e.At && ms[i].state == e.State {
				ms[i].includes = e.Includes
				return
			}
		}
		ms = append(ms, mark{e.At, e.State, e.Includes})
	})
	slices.SortFunc(ms, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.state, a.state))
	})
	return ms
}

// restateAll corrects the counts of every location that the plan changes before
// one of them.
func (l *Ledger) restateAll(pl *plan) *Fault {
	for i := range pl.locals() {
		if f := l.restate(pl, i); f != nil {
			return f
		}
	}
	return nil
}

// restate keeps counts true when something is entered at or before their as-of:
// the first count from there on takes the opposite, so that the position as of it
// is again what was counted, and nothing later changes. That makes counts right in
// any order with their neighbours.
func (l *Ledger) restate(pl *plan, i int) *Fault {
	lc := pl.localAt(i)
	if lc.now == nil || lc.now.LastCount.AsOf == 0 {
		return nil
	}
	name := lc.location
	last := lc.now.LastCount.AsOf
	first := last + 1
	for j := range pl.moves {
		if m := &pl.moves[j]; (m.From.Location == name || m.To.Location == name) && !byCount(m.Type) {
			first = min(first, m.At)
		}
	}
	for j := range pl.entries {
		if e := &pl.entries[j]; e.Location == name {
			first = min(first, e.At)
		}
	}
	if first > last {
		return nil
	}
	marks := l.marks(lc.now, first)
	effects := pl.effects(name)
	var net [NumStates]Quantity // entered so far and not yet taken back
	for len(marks) > 0 {
		t := marks[0].at
		for len(effects) > 0 && effects[0].At <= t {
			e := &effects[0]
			q, err := net[e.State].Add(e.Delta)
			if err != nil {
				return overflow("movement.quantity")
			}
			net[e.State] = q
			effects = effects[1:]
		}
		var fix [NumStates]Quantity
		for ; len(marks) > 0 && marks[0].at == t; marks = marks[1:] {
			m := marks[0]
			if pl.counted.at == t && pl.counted.states&m.state.bit() != 0 {
				continue // the count in hand takes its place
			}
			var off Quantity
			for a := range Account(NumStates) {
				if net[a] == 0 || !m.covers(a) {
					continue
				}
				pl.late = true
				q, err := off.Add(net[a])
				if err != nil {
					return overflow("movement.quantity")
				}
				off = q
			}
			if off == 0 {
				continue
			}
			q, err := net[m.state].Add(-off)
			if err != nil {
				return overflow("movement.quantity")
			}
			net[m.state], fix[m.state] = q, -off
			pl.entries = append(pl.entries, Entry{
				At: t, Location: name, State: m.state, Count: true, Includes: m.includes, Delta: -off,
			})
		}
		if f := pl.settle(l, name, fix, t, CountRestatement, CountRestatement); f != nil {
			return f
		}
	}
	return nil
}
