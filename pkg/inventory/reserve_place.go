package inventory

import (
	"cmp"
	"slices"
)

// place finds where the lines of a try can be served from, up to limit in all, and says
// how much was asked for and how much of that fits.
func (l *Ledger) place(s *shelf, ws []want, hs []hold, limit Quantity) (asked, fit Quantity) {
	for _, h := range hs {
		if h.line.holding() {
			s.release(h.line)
		}
	}
	// What stays where it is comes first, so that nothing else takes its place.
	for i := range ws {
		w := &ws[i]
		asked = saturate(asked, w.line.Quantity)
		w.grant, w.need, w.out = nil, 0, 0
		if w.order != nil {
			w.grant = w.order.behalf(min(w.line.Quantity, l.unclaimed(ws[:i], w.order)))
			continue
		}
		if w.old != nil {
			for _, name := range places(nil, w.old.Entries, StagePicked, StageShipped) {
				out := outflow(w.old.Entries, name, forever)
				w.out += out
			}
		}
		w.need = max(0, w.line.Quantity-w.out)
		limit -= w.stay(s, limit)
	}
	var located, unlocated []*want
	for i := range ws {
		w := &ws[i]
		switch {
		case w.order != nil || w.need <= sum(w.grant):
		case w.line.Location == "":
			unlocated = append(unlocated, w)
		default:
			located = append(located, w)
		}
	}
	byPriority := func(a, b *want) int { return cmp.Compare(a.line.Priority, b.line.Priority) }
	slices.SortStableFunc(located, byPriority)
	slices.SortStableFunc(unlocated, byPriority)
	for _, w := range located {
		if q := min(limit, w.need-sum(w.grant), s.fits(w.line.Location, w.line.Due)); q > 0 {
			w.grant = gather(w.grant, Claim{w.line.Location, q})
			s.take(w.line.Location, w.line.Due, q)
			limit -= q
		}
	}
	if !l.together(s, unlocated, limit) {
		for _, w := range unlocated {
			w.grant, _ = s.pick(w.candidates(s), w.line.Due, min(w.need, limit))
			limit -= sum(w.grant)
		}
	}
	for i := range ws {
		w := &ws[i]
		if w.order == nil {
			fit = saturate(fit, min(w.line.Quantity, w.out))
		}
		fit = saturate(fit, sum(w.grant))
	}
	return asked, fit
}

// same says whether the line claims already, for the same day.
func (w *want) same() bool {
	return w.old.holding() && w.line.Due == w.old.Due && w.old.Held.Line == w.line.Line
}

// stay keeps what a line has already where it may be, up to limit, and says how much:
// a change to less always fits. An unlocated line that wants more than it has is
// sourced anew as a whole.
func (w *want) stay(s *shelf, limit Quantity) Quantity {
	left := min(w.need, limit)
	if !w.same() || w.line.Location == "" && (left < w.need || w.old.claimed() < w.need) {
		return 0
	}
	for _, c := range w.old.Claims {
		if w.line.Location != "" && c.Location != w.line.Location {
			continue
		}
		if q := min(c.Quantity, left); q > 0 {
			w.grant = append(w.grant, Claim{c.Location, q})
			s.take(c.Location, w.line.Due, q)
			left -= q
		}
	}
	return sum(w.grant)
}

// candidates are the locations an unlocated line may be served from: where it is, then
// by rank.
func (w *want) candidates(s *shelf) []Location {
	ranked, had := s.sources(w.line.Channel), w.had()
	if len(had) == 0 {
		return ranked
	}
	ls := make([]Location, 0, len(had)+len(ranked))
	for _, c := range had {
		ls = append(ls, c.Location)
	}
	for _, name := range ranked {
		if !slices.Contains(ls[:len(had)], name) {
			ls = append(ls, name)
		}
	}
	return ls
}

// had is what the line was granted before.
func (w *want) had() []Claim {
	if !w.old.holding() || w.old.Held.Line != w.line.Line {
		return nil
	}
	return w.old.Held.Granted
}

// from says whether a location is one of the candidates.
func (w *want) from(s *shelf, name Location) bool {
	return s.serves(w.line.Channel, name) ||
		slices.ContainsFunc(w.had(), func(c Claim) bool { return c.Location == name })
}

// together serves the unlocated lines of a request from one location that takes all of
// them, if there is one.
func (l *Ledger) together(s *shelf, ws []*want, limit Quantity) bool {
	var all Quantity
	for _, w := range ws {
		all = saturate(all, w.need)
	}
	if len(ws) < 2 || all > limit {
		return false
	}
	for _, name := range ws[0].candidates(s) {
		n := 0
		for ; n < len(ws); n++ {
			w := ws[n]
			if s.fits(name, w.line.Due) < w.need || !w.from(s, name) {
				break
			}
			s.take(name, w.line.Due, w.need)
		}
		if n == len(ws) {
			for _, w := range ws {
				if w.need > 0 {
					w.grant = []Claim{{name, w.need}}
				}
			}
			return true
		}
		for _, w := range ws[:n] {
			s.take(name, w.line.Due, -w.need)
		}
	}
	return false
}

// unclaimed is what an order has that no other line of the request stands for.
func (l *Ledger) unclaimed(before []want, order *Line) Quantity {
	q := order.wanted()
	for i := range before {
		if o := before[i].order; o != nil && o.ID == order.ID {
			q -= sum(before[i].grant)
		}
	}
	return max(0, q)
}

// wanted is what an order asks for, less what was cancelled of it.
func (ln *Line) wanted() Quantity {
	var q Quantity
	by, off := leading(ln.Entries, Ordered), leading(ln.Entries, Cancelled)
	for i := range ln.Entries {
		switch e := &ln.Entries[i]; {
		case e.Stage == Ordered && e.Source == by:
			q += e.Quantity
		case e.Stage == Cancelled && e.Source == off:
			q -= e.Quantity
		}
	}
	return max(0, q)
}

// behalf is a quantity of an order where the order is served from.
func (ln *Line) behalf(q Quantity) (cs []Claim) {
	from := slices.Clone(ln.Claims)
	for _, name := range places(nil, ln.Entries) {
		if name != "" {
			from = append(from, Claim{name, q})
		}
	}
	for _, c := range from {
		if take := min(q, c.Quantity); take > 0 {
			cs = gather(cs, Claim{c.Location, take})
			q -= take
		}
	}
	return cs
}

func sum(cs []Claim) Quantity {
	var q Quantity
	for _, c := range cs {
		q = saturate(q, c.Quantity)
	}
	return q
}
