package inventory

import "slices"

// decideCount turns a balance into the difference to the position as of then.
func (l *Ledger) decideCount(p *Policy, ev *Event, pl *plan) *Fault {
	c := ev.Count
	if ev.RecordedAt != 0 && c.AsOf > ev.RecordedAt+Skew {
		return fault(FaultFutureCount, "count.as_of", "more than five minutes after it was recorded")
	}
	if !p.OwnsBalance(ev.Source, c.Location) {
		l.claim(ev, pl)
		return nil
	}
	pl.at = c.AsOf
	lc := pl.local(l, c.Location)
	lc.touch = true
	now := lc.now
	if now == nil {
		now = &LocationState{Location: c.Location}
	}
	then, f := l.asOf(now, c.AsOf) // as-of: what was there at the time of the count, not what is there now
	if f != nil {
		return f
	}
	stated, number := uint8(0), [NumStates]Quantity{}
	for _, b := range c.Balances {
		stated |= b.State.bit()
		number[b.State] = b.Quantity
	}
	// States that the on_hand number includes and that stand beside it are
	// subtracted now; the others by every change of them, for good.
	includes := set(c.Includes) &^ stated
	if stated&OnHand.bit() != 0 {
		q := number[OnHand]
		for _, a := range c.Includes {
			var err error
			minus := then[a]
			if stated&a.bit() != 0 {
				minus = number[a]
			}
			if q, err = q.Add(-minus); err != nil {
				return overflow("count.balances")
			}
		}
		if c.Basis == Available {
			// The claims the source had taken off are taken to be those open now.
			for i := range now.Reserved {
				var err error
				if q, err = q.Add(now.Reserved[i].Quantity); err != nil {
					return overflow("count.balances")
				}
				pl.code(CodeInexact)
			}
		}
		number[OnHand] = q
	}
	var diff [NumStates]Quantity
	for a := range Account(NumStates) {
		if stated&a.bit() == 0 {
			continue
		}
		q, err := number[a].Add(-then[a])
		if err != nil {
			return overflow("count.balances")
		}
		diff[a] = q
		e := Entry{At: c.AsOf, Location: c.Location, State: a, Count: true, Delta: q}
		if a == OnHand {
			e.Includes = includes
		}
		pl.entries = append(pl.entries, e)
	}
	if f := pl.settle(l, c.Location, diff, c.AsOf, CountStateChange, CountDifference); f != nil {
		return f
	}
	pl.counted = counted{
		at: c.AsOf, states: stated, place: c.Location,
		mark: CountMark{AsOf: c.AsOf, Source: ev.Source, Covers: set(c.Covers)},
	}
	return l.restateAll(pl)
}

// claim keeps a balance of a source without authority as its claimed view; the
// ledger stays as it is.
func (l *Ledger) claim(ev *Event, pl *plan) {
	c := ev.Count
	pl.kind = Noted
	old := l.view(ev.Source, c.Location)
	v := View{
		Key: ev.Key, Location: c.Location, Source: ev.Source, Basis: c.Basis, Balances: slices.Clone(c.Balances),
		AsOf: c.AsOf, RecordedAt: ev.RecordedAt, EventID: ev.ID, Version: 1,
	}
	if old != nil {
		if old.AsOf > c.AsOf {
			pl.kind = Superseded
			pl.detail = "a later view of this source is known"
			return
		}
		v.Version = old.Version + 1
	}
	pl.view = &v
}

func (l *Ledger) view(s Source, name Location) *View {
	c := &l.extra().views
	n := viewName(s, name)
	i, ok := c.find(n)
	if !ok {
		c.insert(i, n, l.pieces.View(s, name))
	}
	return c.slots[i].val
}
