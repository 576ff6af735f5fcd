package inventory

import (
	"cmp"
	"slices"
)

// What lies beyond the exact part of a journal. A full segment whose entries are
// all old, or that is one too many, becomes sums by the minute: what moved the same
// state in the same direction in one minute is one entry. Marks of counts stay as
// they are. Sums have segments of their own, piece -1-i, which are full before the
// next begins, and go when they are older than the horizon.

const (
	minute = Instant(60_000)
	// maxSums is how many segments of sums a location has at most.
	maxSums = 64
	// trimStep is how many segments change at once.
	trimStep = 2
)

// trim puts the journal of a location in order after one of its segments became
// full.
func (l *Ledger) trim(p *Policy, name Location) {
	st := l.location(name)
	t := new(st.trimmed()) // a copy: others may hold the one before
	m := st.more()
	m.Trimmed = t
	full := m.JournalCount / SegmentSize
	for range trimStep {
		if t.From >= full {
			break
		}
		seg := l.journalSegment(st, t.From)
		young := youngest(seg.entries)
		if (full-t.From)*SegmentSize <= p.Limits.entries() && young >= l.head.Clock-p.Limits.exact() {
			break
		}
		entries := seg.entries
		seg.entries, seg.gone, seg.dirty = nil, true, true
		l.blur(st, entries)
		t.Blurred = max(t.Blurred, young)
		t.From++
	}
	for range trimStep {
		if t.Gone+1 >= t.Sums {
			break
		}
		seg := l.journalSegment(st, sums(t.Gone))
		if t.Sums-t.Gone <= maxSums && youngest(seg.entries) >= l.head.Clock-p.Limits.horizon() {
			break
		}
		entries := seg.entries
		seg.entries, seg.gone, seg.dirty = nil, true, true
		l.carry(st, entries, t.Gone+1)
		t.Gone++
	}
	if *t == (Trimmed{}) {
		m.Trimmed = nil
	}
	l.dirtyLocation(name)
}

// sums is the piece of a segment of sums.
func sums(i int64) int64 { return -1 - i }

func youngest(es []Entry) (t Instant) {
	for i := range es {
		t = max(t, es[i].At)
	}
	return t
}

// blur adds entries to the sums of a location.
func (l *Ledger) blur(st *LocationState, entries []Entry) {
	t := st.More.Trimmed
	if t.Sums == t.Gone {
		t.Sums++
	}
	seg := l.journalSegment(st, sums(t.Sums-1))
	for _, e := range entries {
		if !e.Count {
			// The start of its minute is not after it, so a position as of later has it.
			e.At -= e.At % minute
			e.Order = nil
		}
		if i := slices.IndexFunc(seg.entries, e.adds); i >= 0 {
			if q, err := seg.entries[i].Delta.Add(e.Delta); err == nil {
				e.Delta = q
				seg.entries[i] = e
				seg.dirty = true
				continue
			}
		}
		if len(seg.entries) >= SegmentSize {
			t.Sums++
			seg = l.journalSegment(st, sums(t.Sums-1))
		}
		seg.entries = append(seg.entries, e)
		seg.dirty = true
	}
}

// adds says whether two entries may be one. Of counts the one entered last holds.
func (e *Entry) adds(x Entry) bool {
	return x.At == e.At && x.State == e.State && x.Count == e.Count && x.suspect() == e.suspect() && (e.Count || x.Delta < 0 == (e.Delta < 0))
}

// carry puts the last mark of each state into the segment that follows the one that
// goes: a count holds for good against what happened before it. What is suspect stays
// so until a count clears it.
func (l *Ledger) carry(st *LocationState, entries []Entry, into int64) {
	var last [NumStates]*Entry
	var doubt Entry
	seg := l.journalSegment(st, sums(into))
	for i := range entries {
		e := &entries[i]
		if e.Count && e.withdraws() { // what it withdraws was carried, or is among these
			seg.entries = slices.DeleteFunc(seg.entries, e.withdrawsIt)
			seg.dirty = true
			continue
		}
		if e.suspect() {
			doubt = Entry{
				At: max(doubt.At, e.At), Location: e.Location, State: e.State, Includes: e.Includes,
				Delta: saturate(doubt.Delta, e.Delta),
			}
		}
		if e.Count && !e.suspect() && (last[e.State] == nil || last[e.State].At <= e.At) &&
			!slices.ContainsFunc(entries[i+1:], func(x Entry) bool { return x.withdraws() && x.withdrawsIt(*e) }) {
			last[e.State] = e
		}
	}
	for _, e := range last {
		if e == nil || slices.ContainsFunc(seg.entries, func(x Entry) bool { return x.Count && x.State == e.State && x.At == e.At }) {
			continue
		}
		c := *e
		c.Delta = 0
		seg.entries = slices.Insert(seg.entries, 0, c)
		seg.dirty = true
	}
	if doubt != (Entry{}) && doubt.Delta != 0 {
		seg.entries = slices.Insert(seg.entries, 0, doubt)
		seg.dirty = true
	}
}

// sums calls f with every entry of the sums of a location, as history does, unless
// all of them are from before since.
func (l *Ledger) sums(st *LocationState, since Instant, f func(e *Entry)) {
	t := st.trimmed()
	if since > t.Blurred {
		return
	}
	for i := t.Gone; i < t.Sums; i++ {
		seg := l.journalSegment(st, sums(i))
		for j := range seg.entries {
			f(&seg.entries[j])
		}
	}
}

// inexact says whether a position of the location as of a time may be off, since
// its journal of then is sums by the minute or gone.
func (st *LocationState) inexact(asOf Instant) bool { return asOf < st.trimmed().Blurred }

// maxLocationBytes is what the locations of a head may take: the rest of its 8 KiB
// is for the latest ids and entries.
const maxLocationBytes = 6 << 10

// fit moves locations out of a head that has become too large, the largest first.
func (l *Ledger) fit() {
	h := &l.head
	total, widest := 0, make([]int, len(h.Locations))
	for i := range h.Locations {
		widest[i] = weighLocation(&h.Locations[i])
		total += widest[i]
	}
	for total > maxLocationBytes && len(h.Locations) > 1 {
		at := 0
		for i := range widest {
			if widest[i] >= widest[at] {
				at = i
			}
		}
		st := h.Locations[at]
		h.Locations = slices.Delete(h.Locations, at, at+1)
		l.same.Locations = 0
		total -= widest[at]
		widest = slices.Delete(widest, at, at+1)
		j, _ := slices.BinarySearchFunc(h.Split, st.Location, func(a, b Location) int { return cmp.Compare(a, b) })
		h.Split = slices.Insert(h.Split, j, st.Location)
		l.extra().split.set(string(st.Location), &st)
	}
}
