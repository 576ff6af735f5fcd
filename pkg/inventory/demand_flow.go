package inventory

// shippedFrom is the state that a shipment with refs leaves, or that its reversal puts
// it back into. Whether it leaves the shelf or what was picked from there, the line
// knows: both are on_hand.
func (m *Movement) shippedFrom() Account {
	a := m.FromState
	if m.Type == Reversal {
		a = m.ToState
	}
	if a == Picked {
		return OnHand
	}
	return a
}

// flow moves what a line should have moved by now and has not. It follows the
// line through time, so that counts in between see what was there: outflow from
// on_hand is the larger of picked and shipped at each moment. What was shipped out of
// another state left neither the shelf nor what was picked, and is told apart.
func (l *Ledger) flow(pl *plan, olds []*Line, after *Line) *Fault {
	names := places(nil, after.Entries, StagePicked, StageShipped)
	for _, ln := range olds {
		names = places(names, ln.Entries, StagePicked, StageShipped)
	}
	for _, name := range names {
		if f := l.flowAt(pl, olds, after, name); f != nil {
			return f
		}
		if out, shipped := offShelf(nil, after.Entries, name, moment{at: forever}); out != 0 || shipped[OnHand] != 0 {
			after.Posted = append(after.Posted, Posted{Location: name, Outflow: out, Shipped: shipped[OnHand]})
		}
	}
	return l.shortFlow(pl, olds, after)
}

// flowAt is flow at one location.
func (l *Ledger) flowAt(pl *plan, olds []*Line, after *Line, name Location) *Fault {
	c := pl.counts()
	ts := moments(c, []moment{pl.moment()}, after.Entries, name, StagePicked, StageShipped)
	states := statesOf(0, after.Entries, StageShipped, name)
	for _, ln := range olds {
		ts = moments(c, ts, ln.Entries, name, StagePicked, StageShipped)
		states = statesOf(states, ln.Entries, StageShipped, name)
	}
	states &^= OnHand.bit()
	var out Quantity             // change against before, up to the moment
	var ship [NumStates]Quantity // and what of it reached the customer, by the state it left
	var steps [NumStates][]Entry
	for _, t := range ts {
		o, s := offShelf(c, after.Entries, name, t)
		for _, ln := range olds {
			oo, os := offShelf(c, ln.Entries, name, t)
			o -= oo
			for a := range s {
				s[a] -= os[a]
			}
		}
		step := func(a Account, q Quantity) {
			steps[a] = append(steps[a], Entry{At: t.at, Location: name, State: a, Order: t.order.entry(), Delta: q})
		}
		step(OnHand, out-o)
		step(Picked, (o-out)-(s[OnHand]-ship[OnHand]))
		for a := Picked + 1; a < NumStates; a++ {
			if states&a.bit() != 0 {
				step(a, ship[a]-s[a])
			}
		}
		out, ship = o, s
	}
	// out and ship are now what moves; whatever the line did at other moments is
	// entered in the journal, where it cancels out.
	shipped := ship[OnHand]
	direct := Quantity(0)
	switch {
	case out > 0 && shipped > 0:
		direct = min(out, shipped)
	case out < 0 && shipped < 0:
		direct = max(out, shipped)
	}
	on, pick, cust := Place{name, OnHand}, Place{name, Picked}, Place{Account: Customer}
	if f := pl.signed(l, Move{Type: Ship, From: on, To: cust, Quantity: direct, At: pl.at}, Reversal); f != nil {
		return f
	}
	if f := pl.signed(l, Move{Type: Pick, From: on, To: pick, Quantity: out - direct, At: pl.at}, Unpick); f != nil {
		return f
	}
	if f := pl.signed(l, Move{Type: Ship, From: pick, To: cust, Quantity: shipped - direct, At: pl.at}, Reversal); f != nil {
		return f
	}
	for a := Picked + 1; a < NumStates; a++ {
		if f := pl.signed(l, Move{Type: Ship, From: Place{name, a}, To: cust, Quantity: ship[a], At: pl.at}, Reversal); f != nil {
			return f
		}
	}
	moved := ship
	moved[OnHand], moved[Picked] = out, shipped-out
	for a := range steps {
		if f := pl.reschedule(l, steps[a], -moved[a]); f != nil {
			return f
		}
	}
	return nil
}

// offShelf is what left on_hand at a location, and what reached the customer by the state it
// left, up to a moment. What came back to the shelf beyond what left it was shipped out
// of another state.
func offShelf(c *CountPolicy, es []LineEntry, name Location, m moment) (out Quantity, shipped [NumStates]Quantity) {
	shipped = byState(c, es, StageShipped, name, m)
	back := min(0, shipped[OnHand])
	return max(reachedBy(c, es, StagePicked, name, m), shipped[OnHand]-back) + back, shipped
}

// outflow is how much of a line is out at a location, up to a time, as its claims see it.
func outflow(es []LineEntry, name Location, t Instant) Quantity {
	return max(reached(es, StagePicked, name, t), reached(es, StageShipped, name, t))
}
