package inventory

// admit says whether an event may change the ledger, and returns it as far as it
// may: all of it, or the states of a count that its source owns. It returns nil
// when the event is noted only: then it has done what there is to do, which never
// changes a position.
func (l *Ledger) admit(p *Policy, ev *Event, pl *plan) (*Event, *Fault) {
	a := &p.Authority
	q := ev.asks(pl.at)
	if q.fact == 0 {
		return ev, nil
	}
	if q.fact == FactBalance {
		return l.admitCount(p, ev, pl, &q)
	}
	switch mode := a.mode(&q); mode {
	case ModeLive:
		code := a.refuses(&q)
		if code == "" {
			return ev, nil
		}
		pl.noted(code)
		if code == CodeHandoverPending {
			l.rehearse(p, ev, pl)
		}
		if code == CodeUnauthorised && ev.Kind == KindMovement {
			if f := l.corroborate(ev, pl); f != nil {
				return nil, f
			}
		}
	case ModeShadow:
		pl.noted(CodeShadow)
		l.rehearse(p, ev, pl)
	case ModeObserve:
		pl.noted(CodeObserved)
	}
	if ev.Kind == KindMovement {
		l.claimMovement(ev, pl)
	}
	return nil, nil
}

// asks is what authority is asked about an event; no fact where it has no say. Of a
// count the states are asked one by one.
func (ev *Event) asks(at Instant) asked {
	q := asked{source: ev.Source, entity: ev.Key.Entity, at: at, recorded: ev.RecordedAt}
	switch ev.Kind {
	case KindMovement:
		ev.Movement.leg(&q)
	case KindCount:
		q.fact, q.location, q.at = FactBalance, ev.Count.Location, ev.Count.AsOf
	case KindDemand:
		q.fact, q.location = FactDemand, ev.Demand.Location
	case KindSupply:
		q.fact, q.location = FactSupply, ev.Supply.Location
	case KindReservation, KindApproval, KindTick, KindSetting, KindControl:
	}
	return q
}

// posts says whether an event may change a position. One that may not waits for
// nothing: while it waited, it would weigh on what is promisable.
func (p *Policy) posts(ev *Event) bool {
	a := &p.Authority
	if a.open() {
		return true
	}
	q := ev.asks(ev.OccurredAt)
	switch {
	case q.fact == 0:
		return true
	case a.mode(&q) != ModeLive:
		return false
	case q.fact != FactBalance:
		return a.refuses(&q) == ""
	}
	for _, s := range ev.Count.Covers {
		if q.state = s.bit(); a.refuses(&q) == "" {
			return true
		}
	}
	return false
}

// admitCount is admit for a count, state by state: those its source owns set the
// ledger, the others are claimed.
func (l *Ledger) admitCount(p *Policy, ev *Event, pl *plan, q *asked) (*Event, *Fault) {
	a, c := &p.Authority, ev.Count
	mode := a.mode(q)
	if mode != ModeLive {
		pl.noted(CodeObserved)
		if mode == ModeShadow {
			pl.codes = []Code{CodeShadow}
			l.rehearse(p, ev, pl)
		}
		l.claim(ev, pl, ^uint8(0))
		return nil, nil
	}
	covers, owned := set(c.Covers), uint8(0)
	var refused Code
	for s := range Account(NumStates) {
		if covers&s.bit() == 0 {
			continue
		}
		q.state = s.bit()
		if code := a.refuses(q); code != "" {
			refused = code
		} else {
			owned |= s.bit()
		}
	}
	if owned == covers {
		l.takeOver(a, q, owned, pl)
		return ev, nil
	}
	pl.code(refused)
	if part := c.only(owned); len(part.Balances) > 0 {
		l.claim(ev, pl, ^owned)
		pl.kind = Applied
		l.takeOver(a, q, owned, pl)
		mine := *ev
		mine.Count = part
		return &mine, nil
	}
	pl.kind = Noted
	if refused == CodeHandoverPending {
		l.rehearse(p, ev, pl)
	}
	l.claim(ev, pl, ^uint8(0))
	return nil, nil
}

// only is the part of a count about some states.
func (c *Count) only(states uint8) *Count {
	part := *c
	part.Covers, part.Balances = nil, nil
	for _, s := range c.Covers {
		if states&s.bit() != 0 {
			part.Covers = append(part.Covers, s)
		}
	}
	for _, b := range c.Balances {
		if states&b.State.bit() != 0 {
			part.Balances = append(part.Balances, b)
		}
	}
	return &part
}

// noted makes the outcome say that nothing was taken, and why.
func (pl *plan) noted(c Code) {
	pl.kind = Noted
	pl.code(c)
}

// rehearse decides an event as if it were live and authorised, and keeps of it only
// what the outcome says: the moves it would have made and the codes it would have
// raised. Nothing of it is posted. It sees the ledger as it stands, with what lapses
// in this very step still held.
func (l *Ledger) rehearse(p *Policy, ev *Event, pl *plan) {
	trial := plan{kind: Applied, at: pl.at, policy: p, now: pl.now}
	f := l.decideKind(p, ev, &trial)
	if f == nil {
		if trial.wait.code != "" {
			trial = plan{kind: Parked, codes: append(trial.codes, trial.wait.code), detail: trial.wait.detail}
		}
		f = l.conclude(&trial)
	}
	pl.rehearsed = true
	pl.code(CodeShadow)
	if f != nil {
		pl.code(f.Code)
		pl.detail = "live it would be rejected: " + f.Error()
		return
	}
	pl.would, pl.late, pl.line = trial.moves, trial.late, trial.line
	for _, c := range trial.codes {
		pl.code(c)
	}
	pl.detail = "live it would be " + string(trial.kind)
	for i := range trial.locals() {
		pl.detail += trial.localAt(i).claims()
	}
	if trial.detail != "" {
		pl.detail += ": " + trial.detail
	}
}

// claims says how the claims and the supply of a location would change.
func (lc *local) claims() (s string) {
	var now LocationState
	if lc.now != nil {
		now = *lc.now
	}
	say := func(what string, was, is []Bucket) {
		if d := total(is) - total(was); d != 0 {
			s += ", " + what + " at " + string(lc.location) + " " + signedText(d)
		}
	}
	if lc.newReserved {
		say("reserved", now.Reserved(), lc.reserved)
	}
	if lc.newSupply {
		say("supply", now.Supply(), lc.supply)
	}
	return s
}

// total is the sum of buckets, within MaxQuantity.
func total(bs []Bucket) (q Quantity) {
	for i := range bs {
		q = saturate(q, bs[i].Quantity)
	}
	return q
}

// signedText is a difference for people.
func signedText(q Quantity) string {
	if q > 0 {
		return "+" + q.String()
	}
	return q.String()
}
