package inventory

// A corrected count takes the place of what it corrects. As of the same time or a later
// one it does so by itself: nothing that comes is before the older one and not before
// it. What an older revision of its document counted as of a later time, at another
// location or in a state that the newer one does not state would go on holding, so it
// is withdrawn: what it adjusted is taken back, and its mark holds against nothing.
//
// Which revision is the older one is known of numbers alone, and of one before any.
// Where a source numbers its levels by their time, each is an observation of its own.

// countDocument names the document of a count among those of a key, whatever its
// revision.
func countDocument(ev *Event) int32 {
	d := digest(documentHash(&ev.Document)).text(string(ev.Source))
	return int32(uint32(d ^ d>>32)) //nolint:gosec // its bits
}

// revised says whether a newer revision of a count's document is known, and else which
// event the last one was that is known to be older; empty: none, or not known. The plan
// remembers the revision.
func (l *Ledger) revised(ev *Event, pl *plan) (older bool, previous string) {
	rev, d := ev.Document.Revision, ev.Document
	d.Revision = ""
	first := ev.ID
	if rev != "" {
		first = documentID(ev.Source, &d)
	}
	mark := revisionOf(first)
	last, known := l.seen(mark)
	if known {
		d.Revision = numberedRevision(last.Content)
	}
	n := revisionNumber(rev)
	switch {
	case rev == "":
		return known, ""
	case known && last.Content != 0 && n != 0 && compareRevisions(rev, d.Revision) <= 0:
		return true, ""
	case !known || last.Content != n:
		pl.also = append(pl.also, Seen{ID: mark, Content: n})
	}
	if known && (last.Content == 0 || n == 0) {
		return false, ""
	}
	id := documentID(ev.Source, &d)
	if _, seen := l.seen(HashID(id)); !seen {
		return false, ""
	}
	return false, id
}

// correctCount takes a count for what it is among the revisions of its document: it is
// at its end where a newer one stands, and else what an older one counted is withdrawn.
func (l *Ledger) correctCount(ev *Event, pl *plan, now *LocationState) (done bool, f *Fault) {
	older, previous := l.revised(ev, pl)
	switch {
	case older:
		pl.supersede()
		return true, nil
	case previous == "":
		return false, nil
	}
	var stated uint8
	for _, b := range ev.Count.Balances {
		stated |= b.State.bit()
	}
	doc := countDocument(ev)
	here, f := l.withdraw(pl, now, func(m *mark) bool { return m.document == doc }, func(m *mark) bool {
		return m.at > pl.at || stated&m.state.bit() == 0
	})
	if f != nil {
		return false, f
	}
	pl.withdrew = len(pl.entries) > 0
	for _, name := range l.Locations() {
		if here || name == ev.Count.Location {
			continue
		}
		of := func(m *mark) bool { return m.document == doc }
		if _, f := l.withdraw(pl, l.location(name), of, of); f != nil {
			return false, f
		}
	}
	if len(pl.entries) == 0 {
		return false, nil
	}
	if f := l.restateAll(pl); f != nil {
		return false, f
	}
	pl.settled = len(pl.entries)
	return false, nil
}

// withdraw takes back what counts of a location adjusted, of those asked for as many as
// go; found says whether there are any.
func (l *Ledger) withdraw(pl *plan, st *LocationState, of, goes func(*mark) bool) (found bool, f *Fault) {
	if !st.isCounted() {
		return false, nil
	}
	ms := l.marks(st, 0)
	for i := range ms {
		m := &ms[i]
		if m.state == suspects || !of(m) {
			continue
		}
		found = true
		if !goes(m) {
			continue
		}
		if st.inexact(m.at) {
			pl.code(CodeInexact)
		}
		var back [NumStates]Quantity
		var doubt Quantity
		l.historySince(st, m.at, func(e *Entry) {
			switch {
			case !e.Count || e.At != m.at || e.Document != m.document:
			case e.suspect() && (m.state == Quarantine || m.includes&clearsSuspects != 0):
				doubt = saturate(doubt, -e.Delta)
			case e.State == m.state && !e.suspect():
				back[m.state] = saturate(back[m.state], -e.Delta)
			}
		})
		e := Entry{
			At: m.at, Location: st.Location, State: m.state, Count: true, Includes: m.state.bit(), Order: m.order.entry(),
			Document: m.document, Delta: back[m.state],
		}
		pl.entries = append(pl.entries, e)
		if doubt != 0 {
			e.State, e.Includes, e.Delta = Quarantine, isSuspect, doubt
			pl.entries = append(pl.entries, e)
			back[Quarantine] = saturate(back[Quarantine], doubt)
		}
		pl.local(l, st.Location) // what is suspect anew moves nothing, and is found by later counts
		if f := pl.settle(l, st.Location, back, m.at, CountRestatement, CountRestatement); f != nil {
			return found, f
		}
	}
	return found, nil
}

// withdraws says whether the entry ends the mark of an earlier one: a count includes
// its own state.
func (e *Entry) withdraws() bool { return e.Count && !e.suspect() && e.Includes&e.State.bit() != 0 }

// withdrawsIt says whether an entry is of the mark that this one ends.
func (e *Entry) withdrawsIt(x Entry) bool {
	return x.Count && !x.suspect() && x.State == e.State && x.At == e.At
}

// withdrawn says whether the plan withdraws a mark.
func (pl *plan) withdrawn(name Location, m *mark) bool {
	for i := range pl.entries {
		e := &pl.entries[i]
		if e.withdraws() && e.Location == name && e.At == m.at && (e.State == m.state || m.state == suspects && e.Document == m.document) {
			return true
		}
	}
	return false
}

// withdrawnBy adds what the plan has withdrawn before a count, and what followed from
// that, to the position that the count counted.
func (pl *plan) withdrawnBy(then *[NumStates]Quantity, doubt *Quantity, name Location, m *mark) *Fault {
	for i := range pl.entries {
		e := &pl.entries[i]
		if e.Location != name || e.At > m.at {
			continue
		}
		if e.suspect() {
			*doubt = saturate(*doubt, e.Delta)
		}
		q, err := then[e.State].Add(e.Delta)
		if err != nil {
			return overflow("count.as_of")
		}
		then[e.State] = q
	}
	return nil
}
