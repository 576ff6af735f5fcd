package inventory

import "cmp"

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
	from, to Place
	typ      MovementType
	reason   string
}

// inflow moves what a line should have moved by now and has not. It follows the
// line through time, so that counts in between see what was there: what left the
// supplier is the larger of despatched and received at each moment, and what of it
// was not received is in_transit. A receipt before its despatch is all of it.
func (l *Ledger) inflow(pl *plan, olds []*SupplyLine, after *SupplyLine, in inflow) *Fault {
	stages := []Stage{StageDespatched, StageReceived}
	names := places(nil, after.Entries, stages...)
	for _, ln := range olds {
		names = places(names, ln.Entries, stages...)
	}
	c := pl.counts()
	for _, name := range names {
		ts := moments(c, []moment{pl.moment()}, after.Entries, name, stages...)
		for _, ln := range olds {
			ts = moments(c, ts, ln.Entries, name, stages...)
		}
		from, shelf, road := in.from, in.to, Place{name, InTransit}
		if reached(after.Entries, StageDespatched, name, forever) > 0 {
			from = Place{Account: Supplier}
		}
		if shelf.Account.IsState() {
			shelf.Location = name
		}
		if from.Account.IsState() {
			from.Location = name
		}
		var left, got Quantity // change against before, up to the moment
		var onto, between, off []Entry
		for _, t := range ts {
			d, r := despatched(c, after.Entries, name, t)
			for _, ln := range olds {
				od, or := despatched(c, ln.Entries, name, t)
				d, r = d-od, r-or
			}
			step := func(a Account, q Quantity) Entry {
				return Entry{At: t.at, Location: name, State: a, Order: t.order.entry(), Delta: q}
			}
			onto = append(onto, step(shelf.Account, r-got))
			between = append(between, step(InTransit, (d-left)-(r-got)))
			off = append(off, step(from.Account, left-d))
			left, got = d, r
		}
		direct := Quantity(0)
		switch {
		case left > 0 && got > 0:
			direct = min(left, got)
		case left < 0 && got < 0:
			direct = max(left, got)
		}
		m := Move{Type: in.typ, From: from, To: shelf, Quantity: direct, Reason: in.reason, At: pl.at}
		if f := pl.signed(l, m, Reversal); f != nil {
			return f
		}
		m.Type, m.From, m.To, m.Quantity = Despatch, from, road, left-direct
		if f := pl.signed(l, m, Reversal); f != nil {
			return f
		}
		m.Type, m.From, m.To, m.Quantity = in.typ, road, shelf, got-direct
		if f := pl.signed(l, m, Reversal); f != nil {
			return f
		}
		if !from.Account.IsState() {
			off = nil
		}
		f := cmp.Or(pl.reschedule(l, onto, got), pl.reschedule(l, between, left-got), pl.reschedule(l, off, -left))
		if f != nil {
			return f
		}
	}
	return nil
}

// despatched is what has left the supplier, and what was received, up to a moment.
func despatched(c *CountPolicy, es []SupplyEntry, name Location, m moment) (left, got Quantity) {
	got = reachedBy(c, es, StageReceived, name, m)
	return max(reachedBy(c, es, StageDespatched, name, m), got), got
}

// corroborate keeps the receipt of a source that has no authority to receive beside
// its supply line. It moves nothing; the line says when the two differ, each counted
// over all documents and locations.
func (l *Ledger) corroborate(ev *Event, pl *plan) *Fault {
	m := ev.Movement
	stage, sign := m.lineOf(routeOf(m.Type))
	if stage != StageReceived || len(ev.Refs) == 0 {
		return nil
	}
	in := inflow{from: Place{Account: Supplier}, to: Place{Account: OnHand}, typ: Receipt}
	olds, f := l.decideSupplyLine(ev, pl, in, SupplyEntry{
		Source: ev.Source, Location: m.Location, Document: documentHash(&ev.Document),
		Revision: ev.Document.Revision, Stage: StageCorroborated, Quantity: sign * m.Quantity, At: pl.at,
	})
	if f != nil || pl.supply == nil {
		return f
	}
	after := pl.supply.after
	if len(olds) > 1 { // its refs are news: two lines are one
		if f := l.inflow(pl, olds, after, in); f != nil {
			return f
		}
	}
	var here, there Quantity
	for _, name := range places(nil, after.Entries, StageReceived) {
		here = saturate(here, reached(after.Entries, StageReceived, name, forever))
	}
	for i := range after.Entries {
		if e := &after.Entries[i]; e.Stage == StageCorroborated && e.Source == ev.Source {
			there = saturate(there, e.Quantity)
		}
	}
	if here != there {
		pl.code(CodeReceiptDiffers)
		pl.detail = "of this line it has received " + there.String() + ", the ledger " + here.String()
	}
	f = l.restateAll(pl)
	if len(pl.moves) > 0 {
		pl.kind = Applied
	}
	return f
}
