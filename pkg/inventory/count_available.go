package inventory

import "slices"

// A source that reports available stock has taken off the claims it knew. They
// are added back: those that it had acknowledged as of then, by its own documents
// of the line. What a line says of then may become known later, so a change of it
// changes the numbers of counts already there.

// ackChange is how much more a source is known to have taken off a count.
type ackChange struct {
	location Location
	at       Instant // as of the count
	source   Source
	quantity Quantity
}

// known sums what a source knew of all lines' claims at a location as of t.
func (l *Ledger) known(pl *plan, s Source, at Location, t Instant) (Quantity, *Fault) {
	var sum Quantity
	var wrong *Fault
	x := pl.policy.Counts.of(s)
	l.eachLine(func(ln *Line) {
		q, err := sum.Add(acknowledged(ln, x, s, at, t))
		if err != nil {
			wrong = overflow("count.balances")
			return
		}
		sum = q
	})
	return sum, wrong
}

// acknowledged is the claim of a line at a location that a source knew as of t:
// what it allocated or ordered itself by then, or, of a source that never says,
// what had been ordered for long enough; less what was cancelled and what had left
// the shelf.
func acknowledged(ln *Line, x *CountSource, s Source, at Location, t Instant) Quantity {
	es := ln.Entries
	var told Quantity
	if x != nil && x.AssumeAckAfter > 0 {
		by, since := leading(es, Ordered), t-x.AssumeAckAfter
		told = said(es, Ordered, by, at, since) + ln.placed(by, at, since)
	} else {
		told = max(said(es, Allocated, s, at, t), said(es, Ordered, s, at, t)+ln.placed(s, at, t))
	}
	if told == 0 {
		return 0
	}
	out := outflow(es, at, t)
	return max(0, told-said(es, Cancelled, leading(es, Cancelled), at, t)-out)
}

// placed is what a source ordered up to t without a location, and did not cancel, as
// far as it is served from one.
func (ln *Line) placed(s Source, at Location, t Instant) Quantity {
	i := slices.IndexFunc(ln.Sourced, func(c Claim) bool { return c.Location == at })
	if i < 0 || s != leading(ln.Entries, Ordered) {
		return 0
	}
	q := said(ln.Entries, Ordered, s, "", t) - said(ln.Entries, Cancelled, leading(ln.Entries, Cancelled), "", t)
	return max(0, min(ln.Sourced[i].Quantity, q))
}

// said is what one source says of a stage at a location, by documents up to t.
func said(es []LineEntry, stage Stage, s Source, at Location, t Instant) (sum Quantity) {
	for i := range es {
		if e := &es[i]; e.Stage == stage && e.Source == s && e.Location == at && e.At <= t {
			sum += e.Quantity // within range: checkEntries
		}
	}
	return sum
}

// places adds the locations that documents of the line name, or that it is served
// from, to a sorted list without repeats.
func (ln *Line) places(names []Location) []Location {
	names = places(names, ln.Entries)
	for _, c := range ln.Sourced {
		if i, found := slices.BinarySearch(names, c.Location); !found {
			names = slices.Insert(names, i, c.Location)
		}
	}
	return names
}

// acknowledge finds the counts of available stock whose numbers a change of a line
// changes.
func (l *Ledger) acknowledge(pl *plan, olds []*Line, after *Line) {
	names := after.places(nil)
	for _, ln := range olds {
		names = ln.places(names)
	}
	for _, name := range names {
		st := l.location(name)
		if st == nil || st.lastCount().Covers&countAvailable == 0 {
			continue
		}
		reaches := func(e LineEntry) bool {
			return (e.Location == name || e.Location == "") && e.At <= st.More.LastCount.AsOf
		}
		if !slices.ContainsFunc(after.Entries, reaches) &&
			!slices.ContainsFunc(olds, func(ln *Line) bool { return slices.ContainsFunc(ln.Entries, reaches) }) {
			continue // all of it is later than any count
		}
		for _, m := range l.marks(st, 0) {
			if m.state != OnHand || m.includes&countAvailable == 0 {
				continue
			}
			x := pl.policy.Counts.of(m.order.Source)
			q := acknowledged(after, x, m.order.Source, name, m.at)
			for _, ln := range olds {
				q -= acknowledged(ln, x, m.order.Source, name, m.at)
			}
			if q != 0 {
				pl.acks = append(pl.acks, ackChange{name, m.at, m.order.Source, q})
				pl.local(l, name).touch = true
			}
		}
	}
}

// acknowledged is how much more than before a count must find, because its source
// had taken it off.
func (pl *plan) acknowledged(name Location, m *mark) (sum Quantity) {
	if m.state != OnHand || m.includes&countAvailable == 0 {
		return 0
	}
	for i := range pl.acks {
		if a := &pl.acks[i]; a.location == name && a.at == m.at && a.source == m.order.Source {
			sum = saturate(sum, a.quantity)
		}
	}
	return sum
}

// eachLine calls f with every line of the key, as changed so far.
func (l *Ledger) eachLine(f func(*Line)) {
	c := &l.extra().lines
	l.pieces.Lines(func(ln *Line) bool {
		if _, inHand := c.find(ln.ID); !inHand {
			f(ln)
		}
		return true
	})
	for i := range c.slots {
		if ln := c.slots[i].val; ln != nil {
			f(ln)
		}
	}
}
