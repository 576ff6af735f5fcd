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
	gone     bool
}

// enter adds entries to the journal. When the head holds too many, the older half
// goes to the segments of its locations.
func (l *Ledger) enter(e Entry) {
	if cap(l.head.Journal) == 0 {
		l.head.Journal = make([]Entry, 0, 8)
	}
	l.head.Journal = append(l.head.Journal, e)
	if len(l.head.Journal) <= MaxRecentEntries {
		return
	}
	k := len(l.head.Journal) - MaxRecentEntries/2
	for _, e := range l.head.Journal[:k] {
		st := l.location(e.Location)
		seg := l.journalSegment(st, st.journalCount()/SegmentSize)
		seg.entries = append(seg.entries, e)
		seg.dirty = true
		m := st.more()
		m.JournalCount++
		l.dirtyLocation(e.Location)
		if m.JournalCount%SegmentSize == 0 {
			l.full(st.Location)
		}
	}
	n := copy(l.head.Journal, l.head.Journal[k:])
	clear(l.head.Journal[n:])
	l.head.Journal, l.same.Journal = l.head.Journal[:n], 0
}

func (l *Ledger) journalSegment(st *LocationState, n int64) *journalSegment {
	r := l.extra()
	for i := range r.journal {
		if s := &r.journal[i]; s.n == n && s.location == st.Location {
			return s
		}
	}
	seg := journalSegment{location: st.Location, n: n}
	if st.journalCount() > n*SegmentSize {
		seg.entries = l.pieces.Journal(st.Location, n)
	}
	r.journal = append(r.journal, seg)
	return &r.journal[len(r.journal)-1]
}

// history calls f with every journal entry of a location, oldest first by when it
// was entered.
func (l *Ledger) history(st *LocationState, f func(e *Entry)) { l.historySince(st, 0, f) }

// historySince is history, but that it may leave out entries of before since.
func (l *Ledger) historySince(st *LocationState, since Instant, f func(e *Entry)) {
	l.sums(st, since, f)
	for n := st.trimmed().From; n*SegmentSize < st.journalCount(); n++ {
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
	then, _, f := l.before(st, &mark{at: t}, nil)
	return then, f
}

// before is the position that a count counted: what is there now, less all that
// followed it, and how much of its quarantine was suspect. pl is told of what may
// have followed; nil takes times as they are.
func (l *Ledger) before(st *LocationState, m *mark, pl *plan) (then [NumStates]Quantity, doubt Quantity, f *Fault) {
	then = st.States
	var wrong *Fault
	l.history(st, func(e *Entry) {
		after := e.At > m.at
		if pl != nil && pl.policy != nil {
			var unsure bool
			if after, unsure = pl.policy.Counts.follows(e, m); unsure && m.covers(e.State) {
				pl.unsure(m.order.Source, e.order().Source)
			}
		}
		if !after {
			if e.suspect() {
				doubt = saturate(doubt, e.Delta)
			}
			return
		}
		q, err := then[e.State].Add(-e.Delta)
		if err != nil {
			wrong = overflow("count.as_of")
			return
		}
		then[e.State] = q
	})
	return then, doubt, wrong
}

// mark is a count that holds: at At, State and the states of Includes together
// stood at what was counted.
type mark struct {
	at       Instant
	state    Account
	includes uint8
	order    Order // its source and place there, as far as policy asks for them
	document int32
	states   bool // of suspects: the count states what is in quarantine
}

// covers says whether the count's number contains the state.
func (m *mark) covers(a Account) bool { return m.state == a || m.includes&a.bit() != 0 }

// marks are the counts of a location as of from or later, by time. Of several
// counts of one state as of one time the last one entered holds. Within one time,
// on_hand, which alone includes other states, comes last.
func (l *Ledger) marks(st *LocationState, from Instant) []mark {
	var ms []mark
	l.historySince(st, from, func(e *Entry) {
		if !e.Count || e.At < from || e.suspect() {
			return
		}
		for i := range ms {
			if ms[i].at == e.At && ms[i].state == e.State {
				ms[i].includes, ms[i].order, ms[i].document = e.Includes, e.order(), e.Document
				return
			}
		}
		ms = append(ms, mark{at: e.At, state: e.State, includes: e.Includes, order: e.order(), document: e.Document})
	})
	ms = slices.DeleteFunc(ms, func(m mark) bool { return m.includes&m.state.bit() != 0 }) // withdrawn
	for i := range ms {
		if m := ms[i]; m.state == Quarantine || m.state == OnHand && m.includes&clearsSuspects != 0 {
			ms = append(ms, mark{at: m.at, state: suspects, order: m.order, document: m.document, states: m.state == Quarantine})
		}
	}
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

// restate keeps counts true when something is entered before them: the first count
// from there on takes the opposite, so that the position as of it is again what was
// counted, and nothing later changes. That makes counts right in any order with
// their neighbours.
func (l *Ledger) restate(pl *plan, i int) *Fault {
	lc := pl.localAt(i)
	if lc.now == nil || !lc.now.isCounted() {
		return nil
	}
	name := lc.location
	from, ok := pl.reach(name, lc.now.More.LastCount)
	if !ok {
		return nil
	}
	marks := l.marks(lc.now, from)
	effects := pl.effects(name)
	var fixed stand // by the corrections so far
	for len(marks) > 0 {
		t := marks[0].at
		var fix [NumStates]Quantity
		for ; len(marks) > 0 && marks[0].at == t; marks = marks[1:] {
			m := &marks[0]
			if pl.counted.at == t && pl.counted.states&m.state.bit() != 0 {
				continue // the count in hand takes its place
			}
			if pl.withdrawn(name, m) {
				continue
			}
			net, f := pl.entered(effects, m, fixed)
			if f != nil {
				return f
			}
			var off Quantity
			if m.state == suspects && !m.states {
				off, f = l.cleared(pl, lc.now, m, &net)
			} else {
				off, f = pl.within(m, &net)
				off = pl.acknowledged(name, m) - off
			}
			if f != nil {
				return f
			}
			if off == 0 {
				continue
			}
			e := Entry{At: t, Location: name, State: m.state, Count: true, Includes: m.includes, Order: m.order.entry(), Document: m.document, Delta: off}
			if m.state == suspects {
				e.State, e.Includes = Quarantine, isSuspect
			}
			if !fixed.add(&e) {
				return overflow("movement.quantity")
			}
			fix[e.State] += off
			pl.entries = append(pl.entries, e)
		}
		if f := pl.settle(l, name, fix, t, CountRestatement, CountRestatement); f != nil {
			return f
		}
	}
	return nil
}

// reach is how early a count may be that the plan changes something before; false
// when there is none.
func (pl *plan) reach(name Location, last *CountMark) (from Instant, ok bool) {
	first := last.AsOf + 1
	for j := range pl.moves {
		if m := &pl.moves[j]; (m.From.Location == name || m.To.Location == name) && !byCount(m.Type) {
			first = min(first, m.At)
		}
	}
	for j := pl.settled; j < len(pl.entries); j++ {
		if e := &pl.entries[j]; e.Location == name {
			first = min(first, e.At)
		}
	}
	for j := range pl.acks {
		if a := &pl.acks[j]; a.location == name {
			first = min(first, a.at)
		}
	}
	if first > last.AsOf && !pl.mayPrecede(last, first) {
		return 0, false
	}
	if last.Covers&countSequenced != 0 {
		return 0, true // by its sequence an event may precede any count
	}
	if pl.policy != nil && len(pl.policy.Counts.Sources) > 0 {
		first -= pl.policy.Counts.widest()
	}
	return first, true
}

// entered is what the plan enters before a count.
func (pl *plan) entered(effects []Entry, m *mark, fixed stand) (net stand, f *Fault) {
	net = fixed
	for i := range effects {
		e := &effects[i]
		after, unsure := e.At > m.at, false
		if pl.policy != nil {
			after, unsure = pl.policy.Counts.follows(e, m)
		}
		if unsure && m.covers(e.State) {
			pl.unsure(m.order.Source, e.order().Source)
		}
		if after {
			continue
		}
		if !net.add(e) {
			return net, overflow("movement.quantity")
		}
	}
	return net, nil
}

// within is how much of what is entered before a count lies in what it counted.
func (pl *plan) within(m *mark, net *stand) (sum Quantity, f *Fault) {
	for a := range suspects + 1 {
		if net[a] == 0 || !m.covers(a) || a == suspects && m.state != suspects { // a part of quarantine
			continue
		}
		pl.late = true
		q, err := sum.Add(net[a])
		if err != nil {
			return 0, overflow("movement.quantity")
		}
		sum = q
	}
	return sum, nil
}

// cleared is by how much the entry changes with which a count of the shelf took what was
// suspect out of quarantine, when net is entered before it: what was released or shipped
// from there by then is gone already.
func (l *Ledger) cleared(pl *plan, st *LocationState, m *mark, net *stand) (Quantity, *Fault) {
	if net[Quarantine] == 0 && net[suspects] == 0 {
		return 0, nil
	}
	pl.late = true
	then, doubt, f := l.before(st, m, pl)
	if f != nil {
		return 0, f
	}
	var own Quantity // as it is
	l.historySince(st, m.at, func(e *Entry) {
		if e.Count && e.suspect() && e.At == m.at && e.Document == m.document {
			own = saturate(own, e.Delta)
		}
	})
	left := saturate(saturate(then[Quarantine], -own), net[Quarantine])
	return saturate(-toClear(saturate(saturate(doubt, -own), net[suspects]), left), -own), nil
}

// toClear is how much of what is suspect a count of the shelf takes out of quarantine.
func toClear(doubt, quarantine Quantity) Quantity { return min(doubt, max(0, quarantine)) }
