package inventory

// Codes of facts that are noted only, and of a handover.
const (
	CodeObserved        Code = "observed"         // the flow is watched, not taken
	CodeShadow          Code = "shadow"           // the moves are what would have moved; nothing did
	CodeHandover        Code = "handover"         // the count by which a new owner takes over
	CodeHandoverPending Code = "handover_pending" // from before the source owned it
	CodeHandoverClosed  Code = "handover_closed"  // from before the handover, and too late for it
)

// asked is a fact, as authority sees it.
type asked struct {
	source   Source
	entity   Entity
	location Location
	fact     Facts
	state    uint8 // the state changed, bit n: Account n; none for demand and supply
	other    uint8 // of a change between two states: the second
	at       Instant
	recorded Instant // zero: not known yet, so in time
}

func (s *Scope) holds(q *asked) bool {
	facts := s.Facts
	if facts == 0 {
		facts = StockFacts
	}
	return facts&q.fact != 0 && (s.Location == "" || s.Location == q.location) && (s.Entity == "" || s.Entity == q.entity)
}

// owner is the rule that decides a fact of one state, or nil.
func (a *AuthorityPolicy) owner(q *asked) *Owner {
	for i := range a.Owners {
		o := &a.Owners[i]
		if o.holds(q) && q.at >= o.From && (o.Until == 0 || q.at < o.Until) && (o.States == 0 || o.States&q.state != 0) {
			return o
		}
	}
	return nil
}

// refuses says why the source has no authority for a fact; empty when it has it. A
// change between two states needs it for both.
func (a *AuthorityPolicy) refuses(q *asked) Code {
	if q.other != 0 {
		one := *q
		one.other = 0
		if code := a.refuses(&one); code != "" {
			return code
		}
		one.state = q.other
		return a.refuses(&one)
	}
	code := a.owner(q).refuses(q)
	if len(a.Handovers) > 0 {
		code = a.handed(q, code)
	}
	return code
}

func (o *Owner) refuses(q *asked) Code {
	if o == nil {
		return ""
	}
	list := o.Moves
	if q.fact == FactBalance {
		list = o.Balance
	}
	switch {
	case !holds(list, q.source):
		return CodeUnauthorised
	case o.Until != 0 && o.Window != 0 && q.recorded > o.Until+o.Window:
		return CodeHandoverClosed
	}
	return ""
}

// handed lets handovers have their say after the owners' lists. Of a source's
// handovers the last one at or before the fact's time decides, else the first one
// after it; and the first one that takes the fact's time away from it closes it.
func (a *AuthorityPolicy) handed(q *asked, code Code) Code {
	var last, next, ends *Handover
	for i := range a.Handovers {
		h := &a.Handovers[i]
		if !h.holds(q) || h.States != 0 && h.States&q.state == 0 || q.source != h.From && q.source != h.To {
			continue
		}
		switch {
		case h.At <= q.at:
			if last == nil || h.At > last.At {
				last = h
			}
		default:
			if next == nil || h.At < next.At {
				next = h
			}
			if q.source == h.From && (ends == nil || h.At < ends.At) {
				ends = h
			}
		}
	}
	switch {
	case last != nil && last.To == q.source, last == nil && next != nil && next.From == q.source:
		code = ""
	case last != nil:
		code = CodeUnauthorised
	case next != nil:
		code = CodeHandoverPending
	}
	if code == "" && ends != nil && q.recorded > ends.At+ends.Window {
		code = CodeHandoverClosed
	}
	return code
}

// takes finds the handover by which the source became the balance authority before
// a count, or nil.
func (a *AuthorityPolicy) takes(q *asked) *Handover {
	var last *Handover
	for i := range a.Handovers {
		h := &a.Handovers[i]
		if h.holds(q) && (h.States == 0 || h.States&q.state != 0) && h.To == q.source && h.At <= q.at && (last == nil || h.At > last.At) {
			last = h
		}
	}
	return last
}

func (a *AuthorityPolicy) mode(q *asked) Mode {
	for i := range a.Modes {
		m := &a.Modes[i]
		if (m.Source == "" || m.Source == q.source) && (m.Location == "" || m.Location == q.location) && (m.Facts == 0 || m.Facts&q.fact != 0) {
			return m.Mode
		}
	}
	return ModeLive
}

// open says that everything is everybody's and live.
func (a *AuthorityPolicy) open() bool {
	return len(a.Owners) == 0 && len(a.Handovers) == 0 && len(a.Modes) == 0
}

// leg says which authority a movement needs: the issuer's for what leaves a
// location, the receiver's for what enters one, and between states of one location
// that location's for both. Adjustments and opening balances set the books without
// goods moving. A reversal needs the authority of what it reverses.
func (m *Movement) leg(q *asked) {
	r := routeOf(m.Type)
	mv := m.move(r, 0)
	from, to := mv.From, mv.To
	if r.typ == Reversal {
		from, to = to, from
	}
	in, out := to.Account.IsState(), from.Account.IsState()
	switch {
	case from.Account == Adjustment || from.Account == Opening:
		q.fact, q.location, q.state = FactAdjustment, to.Location, to.Account.bit()
	case to.Account == Adjustment || to.Account == Opening:
		q.fact, q.location, q.state = FactAdjustment, from.Location, from.Account.bit()
	case in && !out:
		q.fact, q.location, q.state = FactReceipt, to.Location, to.Account.bit()
	case out && !in, from.Location != to.Location:
		q.fact, q.location, q.state = FactIssue, from.Location, from.Account.bit()
	case from.Account == InTransit:
		q.fact, q.location, q.state = FactReceipt, to.Location, to.Account.bit()
	default:
		q.fact, q.location, q.state, q.other = FactStateChange, from.Location, from.Account.bit(), to.Account.bit()
	}
}

// May says whether a source has authority for a fact of a kind in a state (none
// for demand and supply) at a location at a time, whatever the mode of its flow.
func (p *Policy) May(s Source, e Entity, name Location, state Account, fact Facts, at Instant) bool {
	q := asked{source: s, entity: e, location: name, fact: fact, at: at}
	if state.IsState() && fact&StockFacts != 0 {
		q.state = state.bit()
	}
	return p.Authority.refuses(&q) == ""
}
