package inventory

import "strings"

// takeOver notices the count by which a new owner takes over: the first it makes at
// or after the moment of the handover, and every one as of that very moment.
func (l *Ledger) takeOver(a *AuthorityPolicy, q *asked, states uint8, pl *plan) {
	if len(a.Handovers) == 0 {
		return
	}
	q.state = states
	h := a.takes(q)
	if h == nil {
		return
	}
	if st := l.location(q.location); st != nil && q.at != h.At {
		if c := st.lastCount(); c.Source == q.source && c.AsOf >= h.At {
			return
		}
	}
	pl.code(CodeHandover)
	pl.takes = h
}

// report says what a handover's count found: for each state what the old owner
// left, what the new one counts, and the difference. The moves say the same.
func (pl *plan) report(l *Ledger, c *Count) {
	if pl.takes == nil || pl.kind != Applied {
		return
	}
	was := [NumStates]Quantity{}
	if st := l.location(c.Location); st != nil {
		then, f := l.asOf(st, c.AsOf)
		if f != nil {
			return
		}
		was = then
	}
	var diff [NumStates]Quantity
	for i := range pl.moves {
		m := &pl.moves[i]
		if m.Type != CountDifference && m.Type != CountStateChange {
			continue
		}
		if m.From.Location == c.Location {
			diff[m.From.Account] = saturate(diff[m.From.Account], -m.Quantity)
		}
		if m.To.Location == c.Location {
			diff[m.To.Account] = saturate(diff[m.To.Account], m.Quantity)
		}
	}
	var s strings.Builder
	s.WriteString("handover from " + string(pl.takes.From) + " to " + string(pl.takes.To) + " at " + string(c.Location))
	for a := range Account(NumStates) {
		if set(c.Covers)&a.bit() != 0 {
			s.WriteString(", " + a.String() + " " + was[a].String() + " to " + saturate(was[a], diff[a]).String() + " (" + signedText(diff[a]) + ")")
		}
	}
	pl.detail = s.String()
}
