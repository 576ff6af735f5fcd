package inventory

import "strings"

// decideCount turns a balance into the difference to the position as of then.
func (l *Ledger) decideCount(_ *Policy, ev *Event, pl *plan) *Fault {
	c := ev.Count
	if ev.RecordedAt != 0 && c.AsOf > ev.RecordedAt+Skew && !pl.approved {
		pl.hold(CodeFutureCount, "as of more than five minutes after it was recorded")
		return nil
	}
	pl.at = pl.clamp(ev, c.AsOf)
	now := l.location(c.Location)
	if now == nil {
		now = &LocationState{Location: c.Location}
	}
	if last := now.lastCount(); olderOfOwn(&last, ev) {
		pl.supersede()
		pl.detail = "a later count of its source's own sequence is known"
		return nil
	}
	if done, f := l.correctCount(ev, pl, now); done || f != nil {
		return f
	}
	if now.inexact(pl.at - pl.counts().widest()) {
		pl.code(CodeInexact)
	}
	t, f := l.tally(pl, ev, now)
	switch {
	case f != nil:
		return f
	case t.sets == 0:
		pl.wait = wait{} // a person could only find the same
		pl.supersede()
		pl.detail = "a later count of its source's own sequence is known as of the same time"
		return nil
	}
	if f := l.trust(pl, ev, &t); f != nil || pl.wait.code != "" {
		return f
	}
	pl.local(l, c.Location).touch = true
	for a := range Account(NumStates) {
		if t.sets&a.bit() == 0 {
			continue
		}
		e := Entry{At: pl.at, Location: c.Location, State: a, Count: true, Order: t.order.entry(), Document: t.document, Delta: t.diff[a]}
		if a == OnHand {
			e.Includes = t.includes
		}
		if a == Quarantine {
			e.Delta += t.clears // an entry of its own takes them out
		}
		pl.entries = append(pl.entries, e)
	}
	if t.includes&clearsSuspects != 0 || t.sets&Quarantine.bit() != 0 {
		t.sets |= suspects.bit()
	}
	if t.clears != 0 {
		pl.entries = append(pl.entries, Entry{
			At: pl.at, Location: c.Location, State: Quarantine, Count: true, Includes: isSuspect, Order: t.order.entry(),
			Document: t.document, Delta: -t.clears,
		})
	}
	if f := pl.settle(l, c.Location, t.diff, pl.at, CountStateChange, CountDifference); f != nil {
		return f
	}
	pl.counted = counted{
		at: pl.at, states: t.sets, place: c.Location, corrects: pl.withdrew,
		mark: CountMark{AsOf: pl.at, Source: ev.Source, Covers: set(c.Covers), Sequence: c.Sequence, Snapshot: c.Snapshot},
	}
	if l.head.Queue.Parked+l.head.Queue.Held != 0 && t.sets&OnHand.bit() != 0 && l.parkedAfter(now, pl.at) != l.parkedOut(now) {
		pl.local(l, c.Location).parked = true // what waits is in its number, though it may change nothing
	}
	if c.Sequence != 0 {
		pl.counted.mark.Covers |= countSequenced
	}
	if c.Basis == Available {
		pl.counted.mark.Covers |= countAvailable
	}
	return l.restateAll(pl)
}

// olderOfOwn says whether the source's sequence puts a count before the last one,
// while its as-of, inferred from receipt, puts it after.
func olderOfOwn(last *CountMark, ev *Event) bool {
	c := ev.Count
	return c.AsOfBasis == BasisReceipt && c.Sequence != 0 && c.Sequence < last.Sequence &&
		last.Source == ev.Source && c.AsOf > last.AsOf
}

// tally is what a count finds.
type tally struct {
	then     [NumStates]Quantity // the position it counted, as the ledger had it
	diff     [NumStates]Quantity // what it found more
	sets     uint8
	includes uint8    // states its on_hand number includes and that it does not state
	clears   Quantity // what was suspect and is not any more; diff has it
	order    Order
	document int32
}

// tally compares a count with the position as of pl.at.
func (l *Ledger) tally(pl *plan, ev *Event, now *LocationState) (tally, *Fault) {
	c := ev.Count
	t := tally{order: Order{Sequence: c.Sequence}, document: countDocument(ev)}
	if c.Sequence != 0 || c.Basis == Available || len(pl.policy.Counts.Sources) > 0 {
		t.order.Source = ev.Source
	}
	var number [NumStates]Quantity
	var stated uint8
	for _, b := range c.Balances {
		stated |= b.State.bit()
		number[b.State] = b.Quantity
	}
	// States that the on_hand number includes and that stand beside it are
	// subtracted now; the others by every change of them, for good.
	t.includes = set(c.Includes) &^ stated
	var f *Fault
	// as-of: what was there at the time of the count, not what is there now
	m := mark{at: pl.at, state: OnHand, includes: stated | t.includes, order: t.order}
	if stated&OnHand.bit() == 0 {
		m.state = c.Balances[0].State
	}
	var doubt Quantity
	if t.then, doubt, f = l.before(now, &m, pl); f != nil {
		return t, f
	}
	if f := pl.withdrawnBy(&t.then, &doubt, c.Location, &m); f != nil {
		return t, f
	}
	if stated&Quarantine.bit() == 0 {
		doubt = toClear(doubt, t.then[Quarantine]) // released by hand, it is gone already
	}
	if stated&OnHand.bit() != 0 {
		q := number[OnHand]
		for _, a := range c.Includes {
			minus := t.then[a]
			if a == Quarantine {
				minus -= doubt
			}
			if stated&a.bit() != 0 {
				minus = number[a]
			}
			var err error
			if q, err = q.Add(-minus); err != nil {
				return t, overflow("count.balances")
			}
		}
		if c.Basis == Available {
			t.includes |= countAvailable
			known, f := l.known(pl, ev.Source, c.Location, pl.at)
			if f != nil {
				return t, f
			}
			var err error
			if q, err = q.Add(known); err != nil {
				return t, overflow("count.balances")
			}
		}
		number[OnHand] = q
	}
	t.sets = stated &^ l.newerOfOwn(pl, ev, now)
	for a := range Account(NumStates) {
		if t.sets&a.bit() == 0 {
			continue
		}
		q, err := number[a].Add(-t.then[a])
		if err != nil {
			return t, overflow("count.balances")
		}
		t.diff[a] = q
	}
	switch {
	case t.sets&Quarantine.bit() != 0:
		t.clears = doubt // its number says what is left
	case t.sets&OnHand.bit() != 0 && stated&Quarantine.bit() == 0:
		t.clears, t.diff[Quarantine] = doubt, -doubt
		t.includes |= clearsSuspects
	}
	return t, nil
}

// newerOfOwn are the states that the source counted as of the same time later in
// its own sequence: those counts stand.
func (l *Ledger) newerOfOwn(pl *plan, ev *Event, now *LocationState) (states uint8) {
	if last := now.lastCount(); ev.Count.Sequence == 0 || last.Covers&countSequenced == 0 || last.AsOf < pl.at {
		return 0
	}
	for _, m := range l.marks(now, pl.at) {
		if m.at == pl.at && m.order.Source == ev.Source && m.order.Sequence > ev.Count.Sequence {
			states |= m.state.bit()
		}
	}
	return states
}

// mark remembers a count that was posted as the location's last one, if it is.
func (l *Ledger) mark(c *counted) {
	st := l.location(c.place)
	last := st.lastCount()
	kinds := (last.Covers | c.mark.Covers) & (countSequenced | countAvailable)
	if until := last.AsOf; c.mark.AsOf >= until || c.corrects {
		last = c.mark
		last.AsOf = max(until, c.mark.AsOf)            // no count holds as of later
		last.Snapshot = strings.Clone(c.mark.Snapshot) // outlives the event
	}
	last.Covers |= kinds
	st.more().LastCount = &last
	l.dirtyLocation(c.place)
}
