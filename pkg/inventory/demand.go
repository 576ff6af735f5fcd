package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// decideDemand takes what a document says of a demand line.
func (l *Ledger) decideDemand(p *Policy, ev *Event, pl *plan) *Fault {
	d := ev.Demand
	e := LineEntry{
		Source: ev.Source, Location: d.Location, Document: documentHash(&ev.Document),
		Revision: ev.Document.Revision, Stage: d.Stage, Quantity: d.Quantity, At: pl.at,
	}
	origin := p.IsOrigin(ev.Source)
	if !origin && (d.Stage != Allocated || p.Lines.LinkWait != 0) {
		// A copy of the order: its source knows of the line, and that is all. Only
		// the demand origin creates ordered quantity.
		stage, ok := l.link(p, ev, pl)
		if !ok {
			return nil
		}
		e.Stage = stage
	}
	changed, f := l.decideLine(ev, pl, e, d)
	if f == nil && !changed && !origin && pl.kind == Applied {
		pl.kind = Noted
	}
	return f
}

// decideFlow takes a movement that belongs to a demand line: the line moves the
// difference to what it has moved already, so a copy moves nothing. It counts as a
// report of by's.
func (l *Ledger) decideFlow(ev *Event, by Source, pl *plan, stage Stage, q Quantity) *Fault {
	switch {
	case stage == StageShort && q < 0:
		stage = l.shortTaken(ev, by, pl)
	case stage == StageShort && pl.policy != nil:
		stage = pl.policy.Lines.shortage()
	}
	e := LineEntry{
		Source: by, Location: ev.Movement.Location, Document: documentHash(&ev.Document),
		Revision: ev.Document.Revision, Stage: stage, Quantity: q, At: pl.at, Sequence: ev.sequenceOf(by),
	}
	if stage == StageShipped {
		e.State = ev.Movement.shippedFrom()
	}
	_, f := l.decideLine(ev, pl, e, nil)
	for i := range pl.moves {
		if !byCount(pl.moves[i].Type) {
			pl.moves[i].Reason = ev.Movement.Reason
		}
	}
	return f
}

// decideLine takes one more entry into the line that the event's refs name, and out of
// another one what an older revision of its document says there. It says whether a
// position changes.
func (l *Ledger) decideLine(ev *Event, pl *plan, e LineEntry, d *Demand) (bool, *Fault) {
	refs := plainRefs(ev.Refs)
	as, changed, f := l.replaceElsewhere(ev, refs, pl, &e)
	if f != nil {
		return false, f
	}
	more, f := l.setLine(refs, pl, e, d, as)
	if f != nil {
		return false, f
	}
	if e.Revision != "" && pl.kind != Superseded {
		r := e.report()
		for i := range pl.lines {
			if c := &pl.lines[i]; c.id == pl.line {
				c.links = l.leadsTo(c.links, PieceLine, c.id, &r)
			}
		}
	}
	return changed || more, l.restateAll(pl)
}

// setLine recomputes a line with one more entry, or without it: never incremented, so
// order, pick and shipment may come in any order. It says whether a position changes.
func (l *Ledger) setLine(refs []Ref, pl *plan, e LineEntry, d *Demand, as whereabouts) (bool, *Fault) {
	r := l.resolve(pl, PieceLine, refs)
	l.oneHold(pl, &r)
	pl.line = r.id
	var olds []*Line
	var oldRefs [][]Ref
	var moved []Ref
	var n int
	for _, id := range r.found {
		ln := l.planned(pl, id)
		olds = append(olds, ln)
		oldRefs = append(oldRefs, ln.Refs)
		n += len(ln.Entries)
	}
	entries := make([]LineEntry, 0, n+1)
	for i, ln := range olds {
		if i == 0 {
			entries = append(entries, ln.Entries...)
			continue
		}
		for _, x := range ln.Entries {
			entries, _ = put(entries, x)
		}
		moved = append(moved, documentRefs(PieceLine, ln.Entries)...)
	}
	newest := as == left
	switch r := e.report(); as {
	case stays:
		entries, newest = put(entries, e)
	case left:
		entries = slices.DeleteFunc(entries, func(x LineEntry) bool { y := x.report(); return y.same(&r) })
		e.Quantity = 0
	case went:
	}
	entries = pl.policy.yield(entries)
	if f := checkEntries(entries); f != nil {
		return false, f
	}
	all, links, f := l.join(&r, refs, oldRefs)
	if f != nil {
		return false, f
	}
	if !newest {
		pl.supersede()
		if len(olds) == 1 && len(all) == len(oldRefs[0]) {
			return false, nil
		} // what it says of refs holds all the same
	}
	links = appendHashes(links, moved)
	after := &Line{ID: r.id, Refs: all, Entries: entries}
	for _, ln := range olds {
		if after.Channel == "" && after.Due == 0 && !after.Movable {
			after.Channel, after.Due, after.Movable, after.Priority = ln.Channel, ln.Due, ln.Movable, ln.Priority
		}
		if ln.Held != nil {
			after.Held = ln.Held
			if ln.ID != r.id {
				links = append(links, holdID(ln.Held.Reservation, ln.Held.Index))
			}
		}
	}
	if d != nil && e.Stage == Ordered && newest {
		after.Channel, after.Due, after.Movable = d.Channel, d.Due, d.Movable
	}
	olds, taken, f := l.replaceHolds(pl, &r, olds, after)
	if f != nil {
		return false, f
	}
	links = append(links, taken...)
	if f := cmp.Or(checkEntries(after.Entries), l.source(pl, olds, after)); f != nil {
		return false, f
	}
	if newest && e.Stage.short() {
		l.shorten(pl, olds, after, &e)
	}
	if len(olds) == 1 && d != nil {
		after.Posted = olds[0].Posted
	} else if f := l.flow(pl, olds, after); f != nil {
		return false, f
	}
	changed, f := l.claims(pl, olds, after)
	if f != nil {
		return false, f
	}
	l.acknowledge(pl, olds, after)
	l.checkBook(pl, olds, after)
	c := lineChange[Line]{id: r.id, after: after, links: links}
	if len(r.found) > 1 {
		c.gone = r.found[1:]
	}
	pl.change(c)
	return changed || len(pl.moves) > 0, nil
}

// reschedule enters what a state did over time, less what the plan's moves enter
// of it at the plan's time.
func (pl *plan) reschedule(l *Ledger, steps []Entry, moved Quantity) *Fault {
	for _, e := range steps {
		if e.At == pl.at && e.order() == pl.order {
			e.Delta -= moved
		}
		switch {
		case e.Delta == 0:
			continue
		case e.Delta > MaxQuantity || e.Delta < -MaxQuantity:
			return overflow("movement.quantity")
		}
		pl.entries = append(pl.entries, e)
		pl.local(l, e.Location).touch = true
	}
	return nil
}

// claims recomputes what a line still claims where, and replaces it in the
// reserved quantities of the locations.
func (l *Ledger) claims(pl *plan, olds []*Line, after *Line) (bool, *Fault) {
	s := l.standing(pl, after)
	after.Claims = s.claims
	if s.over > 0 || s.cancelled > 0 {
		var was standings
		for _, ln := range olds {
			o := l.standing(pl, ln)
			was.over += o.over
			was.cancelled += o.cancelled
		}
		switch {
		case s.over > was.over:
			pl.code(CodeOverShipped)
		case s.cancelled > was.cancelled && s.over == 0:
			pl.code(CodeShippedAfterCancel)
		}
	}
	if len(olds) == 1 && sameTerms(olds[0], after) && slices.Equal(olds[0].Claims, after.Claims) {
		return false, nil
	}
	for _, ln := range olds {
		for _, c := range ln.Claims {
			if f := pl.reserve(l, ln, c.Location, -c.Quantity); f != nil {
				return false, f
			}
		}
	}
	for _, c := range after.Claims {
		if f := pl.reserve(l, after, c.Location, c.Quantity); f != nil {
			return false, f
		}
	}
	return len(after.Claims) > 0 || slices.ContainsFunc(olds, func(ln *Line) bool { return len(ln.Claims) > 0 }), nil
}

func sameTerms(a, b *Line) bool {
	return a.Channel == b.Channel && a.Due == b.Due && a.Movable == b.Movable
}

// standings is how a demand line stands.
type standings struct {
	claims    []Claim
	over      Quantity // shipped or picked beyond what was ordered
	cancelled Quantity // beyond what was ordered and not cancelled
}

// standing computes the open claims of a line: at each location what was ordered
// less what was cancelled, picked or shipped there. What was ordered without a
// location counts where it is sourced; without an order what a reservation holds
// counts. What is too much at one location, a shipment from elsewhere for instance,
// lowers the claims of the others, by source rank.
func (l *Ledger) standing(pl *plan, ln *Line) standings {
	es := ln.Entries
	var s standings
	var ordered, cancelled, out, excess Quantity
	by, off := leading(es, Ordered), leading(es, Cancelled)
	placed := ln.Sourced
	if ln.holding() {
		placed = ln.Held.Granted
	}
	names := places(nil, es)
	for _, c := range placed {
		if j, found := slices.BinarySearch(names, c.Location); !found {
			names = slices.Insert(names, j, c.Location)
		}
	}
	for _, name := range names {
		var o, c Quantity
		for i := range es {
			switch e := &es[i]; {
			case e.Location != name:
			case e.Stage == Ordered && e.Source == by && name != "":
				o += e.Quantity
			case e.Stage == Cancelled && e.Source == off:
				c += e.Quantity
			}
		}
		if name == "" {
			c = max(0, c-shortEnded(es, off))
		}
		for _, p := range placed {
			if p.Location == name {
				o += p.Quantity
			}
		}
		o -= reached(es, StageShortMoved, name, forever)
		c = max(c, reached(es, StageShortCancelled, name, forever))
		x := outflow(es, name, forever)
		ordered, cancelled, out = ordered+o, cancelled+c, out+x
		if open := o - c - x; open > 0 {
			s.claims = append(s.claims, Claim{Location: name, Quantity: open})
		} else {
			excess -= open
		}
	}
	if excess > 0 {
		for _, i := range l.rank(pl.policy, ln.Channel, s.claims) {
			less := min(s.claims[i].Quantity, excess)
			excess -= less
			s.claims[i].Quantity -= less
		}
	}
	kept := s.claims[:0]
	for _, c := range s.claims {
		if c.Quantity > 0 {
			kept = append(kept, c)
		}
	}
	s.claims = kept
	if ordered > 0 || ln.ordered() { // revised to nothing, it is an order still
		s.over = max(0, out-ordered)
		s.cancelled = max(0, out-max(0, ordered-cancelled))
	}
	return s
}

// shortEnded is what short picks ended of a line beyond what was cancelled there. The
// order's own cancellation of it names no location where the order named none.
func shortEnded(es []LineEntry, off Source) (q Quantity) {
	for _, name := range places(nil, es, StageShortCancelled) {
		q += max(0, reached(es, StageShortCancelled, name, forever)-said(es, Cancelled, off, name, forever))
	}
	return q
}

// reserve adds to the claims on a location, in the bucket of the line.
func (pl *plan) reserve(l *Ledger, ln *Line, name Location, q Quantity) *Fault {
	lc := pl.local(l, name)
	if !lc.newReserved {
		lc.newReserved = true
		if lc.now != nil {
			lc.reserved = slices.Clone(lc.now.Reserved())
		}
	}
	bs, err := addBucket(lc.reserved, Bucket{Due: ln.Due, Channel: ln.Channel, Movable: ln.Movable, Quantity: q})
	if err != nil {
		return overflow("demand.quantity")
	}
	lc.reserved = bs
	return nil
}

// addBucket adds quantity to the bucket of its sort. Buckets are sorted, and none
// is empty.
func addBucket(bs []Bucket, b Bucket) ([]Bucket, error) {
	i, found := slices.BinarySearchFunc(bs, b, func(x, y Bucket) int {
		return cmp.Or(
			cmp.Compare(x.Due, y.Due),
			strings.Compare(x.Channel, y.Channel),
			cmp.Compare(flag(x.Movable), flag(y.Movable)),
		)
	})
	if !found {
		return slices.Insert(bs, i, b), nil
	}
	q, err := bs[i].Quantity.Add(b.Quantity)
	if err != nil {
		return bs, err
	}
	if bs[i].Quantity = q; q == 0 {
		bs = slices.Delete(bs, i, i+1)
	}
	return bs, nil
}
