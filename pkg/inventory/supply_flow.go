package inventory

import (
	"cmp"
	"slices"
)

// Stages of a supply line that documents bring it to without saying so.
const (
	StageDespatched   Stage = "despatched"   // advised where title passes at origin: it is in_transit
	StageCorroborated Stage = "corroborated" // received by a source that has no authority to receive
)

// Despatch is made by an advice where title passes at origin: supplier → in_transit.
const Despatch MovementType = "despatch"

// CodeReceiptDiffers says that a source without authority has received another
// quantity of a supply line than the ledger.
const CodeReceiptDiffers Code = "receipt_differs"

// inflow is how a supply line's goods come in.
type inflow struct {
	from   Place
	typ    MovementType
	reason string
}

// inflow moves what a line should have moved by now and has not. It follows the
// line through time, so that counts in between see what was there: what left the
// supplier is the larger of despatched and received at each moment, and what of it
// was not received is in_transit. A receipt before its despatch is all of it.
func (l *Ledger) inflow(pl *plan, olds, afters []*SupplyLine, in inflow) *Fault {
	stages := []Stage{StageDespatched, StageReceived}
	var names []Location
	both := slices.Concat(afters, olds)
	for _, ln := range both {
		names = places(names, ln.Entries, stages...)
	}
	c := pl.counts()
	for _, name := range names {
		ts, states := []moment{pl.moment()}, OnHand.bit()
		for _, ln := range both {
			ts = moments(c, ts, ln.Entries, name, stages...)
			states = statesOf(states, ln.Entries, StageReceived, name)
		}
		from, road := in.from, Place{name, InTransit}
		if slices.ContainsFunc(afters, func(ln *SupplyLine) bool { return reached(ln.Entries, StageDespatched, name, forever) > 0 }) {
			from = Place{Account: Supplier}
		}
		if from.Account.IsState() {
			from.Location = name
		}
		var left Quantity           // change against before, up to the moment
		var got [NumStates]Quantity // and what of it arrived
		var onto [NumStates][]Entry
		var between, off []Entry
		for _, t := range ts {
			var d Quantity
			var r [NumStates]Quantity
			for _, ln := range afters {
				nd, nr := despatched(c, ln.Entries, name, t)
				d += nd
				for a := range nr {
					r[a] += nr[a]
				}
			}
			for _, ln := range olds {
				od, or := despatched(c, ln.Entries, name, t)
				d -= od
				for a := range or {
					r[a] -= or[a]
				}
			}
			step := func(a Account, q Quantity) Entry {
				return Entry{At: t.at, Location: name, State: a, Order: t.order.entry(), Delta: q}
			}
			for a := range Account(NumStates) {
				if states&a.bit() != 0 {
					onto[a] = append(onto[a], step(a, r[a]-got[a]))
				}
			}
			between = append(between, step(InTransit, (d-left)-(summed(r)-summed(got))))
			off = append(off, step(from.Account, left-d))
			left, got = d, r
		}
		if f := pl.arrive(l, name, from, road, left, got, in); f != nil {
			return f
		}
		if !from.Account.IsState() {
			off = nil
		}
		f := cmp.Or(pl.reschedule(l, between, left-summed(got)), pl.reschedule(l, off, -left))
		for a := range onto {
			f = cmp.Or(f, pl.reschedule(l, onto[a], got[a]))
		}
		if f != nil {
			return f
		}
	}
	return nil
}

// arrive makes the moves of an inflow at a location: what newly left, and what newly
// arrived in each state. What does both goes directly; so does what leaves one state
// for another.
func (pl *plan) arrive(l *Ledger, name Location, from, road Place, left Quantity, got [NumStates]Quantity, in inflow) *Fault {
	var plus, minus Quantity
	for _, q := range got {
		plus, minus = plus+max(0, q), minus+max(0, -q)
	}
	out, back := max(0, left)+min(plus, minus), max(0, -left)+min(plus, minus)
	move := func(typ MovementType, from, to Place, q Quantity, reason string) *Fault {
		return pl.signed(l, Move{Type: typ, From: from, To: to, Quantity: q, Reason: reason, At: pl.at}, Reversal)
	}
	for _, sign := range [2]Quantity{-1, 1} { // out of states first
		for a, q := range got {
			if q*sign <= 0 {
				continue
			}
			direct := max(-back, min(out, q))
			if out, back = out-max(0, direct), back-max(0, -direct); direct != 0 {
				left, got[a] = left-direct, q-direct
				if f := move(in.typ, from, Place{name, Account(a)}, direct, in.reason); f != nil {
					return f
				}
			}
		}
	}
	if f := move(Despatch, from, road, left, in.reason); f != nil {
		return f
	}
	for a, q := range got {
		if f := move(in.typ, road, Place{name, Account(a)}, q, in.reason); f != nil {
			return f
		}
	}
	return nil
}

// despatched is what has left the supplier, and what was received into which state, up
// to a moment.
func despatched(c *CountPolicy, es []SupplyEntry, name Location, m moment) (left Quantity, got [NumStates]Quantity) {
	got = byState(c, es, StageReceived, name, m)
	return max(reachedBy(c, es, StageDespatched, name, m), summed(got)), got
}

// corroborate keeps the receipt of a source that has no authority to receive beside
// its supply line, or lines. It moves nothing; it says when the two differ, each counted
// over all documents, locations and lines that the document is about.
func (l *Ledger) corroborate(ev *Event, pl *plan) *Fault {
	m := ev.Movement
	stage, sign := m.lineOf(routeOf(m.Type))
	if stage != StageReceived || len(ev.Refs) == 0 {
		return nil
	}
	in := inflow{from: Place{Account: Supplier}, typ: Receipt}
	olds, afters, f := l.decideSupplyLine(ev, pl, in, SupplyEntry{
		Source: ev.Source, Location: m.Location, Document: documentHash(&ev.Document),
		Revision: ev.Document.Revision, Stage: StageCorroborated, Quantity: sign * m.Quantity, At: pl.at,
	})
	if f != nil || pl.supply == nil {
		return f
	}
	if len(olds) > 1 || len(afters) > 1 { // its refs are news: two lines are one, or receipts are spread anew
		if f := l.inflow(pl, olds, afters, in); f != nil {
			return f
		}
	}
	lines, _ := l.groupOf(pl, ev.Refs, StageCorroborated)
	if len(lines.lines) < 2 {
		lines.lines = []string{pl.supply.id}
	}
	var here, there Quantity
	for _, id := range lines.lines { // it may be spread over them as the ledger's are not
		ln := pl.supply.after
		if id != pl.supply.id {
			ln = l.plannedSupply(pl, id)
		}
		for _, name := range places(nil, ln.Entries, StageReceived) {
			here = saturate(here, reached(ln.Entries, StageReceived, name, forever))
		}
		for i := range ln.Entries {
			if e := &ln.Entries[i]; e.Stage == StageCorroborated && e.Source == ev.Source {
				there = saturate(there, e.Quantity)
			}
		}
	}
	if here != there {
		pl.code(CodeReceiptDiffers)
		pl.detail = "of what it is about it has received " + there.String() + ", the ledger " + here.String()
	}
	f = l.restateAll(pl)
	if len(pl.moves) > 0 || pl.expects() {
		pl.kind = Applied
	}
	return f
}

// expects says whether the plan changes what is to come at any location.
func (pl *plan) expects() bool {
	for i := range pl.locals() {
		lc := pl.localAt(i)
		var was []Bucket
		if lc.now != nil {
			was = lc.now.Supply()
		}
		if lc.newSupply && !slices.Equal(lc.supply, was) {
			return true
		}
	}
	return false
}
