package inventory

import "slices"

// decideReservation answers a request. The key has one writer, so what is granted here
// is granted to nobody else (Invariant 4).
func (l *Ledger) decideReservation(ev *Event, pl *plan) *Fault {
	r := ev.Reservation
	pl.ask(r)
	switch r.Action {
	case Confirm:
		return l.confirm(r, pl)
	case Cancel:
		return l.cancel(r, pl)
	case Try:
	}
	return l.try(r, pl)
}

// want is a line of a try.
type want struct {
	line  *ReservationLine
	index int32
	id    string // of the ledger's line
	old   *Line  // as it stands; nil: new
	order *Line  // that took its place already; it may be old itself
	need  Quantity
	grant []Claim // of need, or of the order
	out   Quantity
}

// try grants what fits. What the same reservation claims already is not counted
// against it, and what it keeps of that is not asked for again. A denied change leaves
// what was granted before.
func (l *Ledger) try(r *Reservation, pl *plan) *Fault {
	hs := l.holds(pl, r.ID, len(r.Lines))
	var confirmed *Held
	over := false
	for _, h := range hs {
		switch held := h.line.Held; held.State {
		case HeldCancelled:
			if held.ExpiresAt > pl.now {
				pl.refuse(VerdictCancelled, CodeCancelled)
				return nil
			}
			over = true
		case HeldLapsed:
			over = true
		case HeldConfirmed:
			confirmed = held
		case HeldTentative, HeldOrdered:
		}
	}
	if over { // what comes now is a new one
		confirmed = nil
	}
	switch {
	case l.head.Frozen.Since != 0:
		pl.refuse(VerdictDenied, CodeFrozen)
		return nil
	case r.ExpiresAt <= pl.now:
		pl.refuse(Lapsed, CodeLapsed)
		return nil
	}
	ws, dropped, f := l.wants(r, pl, hs)
	if f != nil {
		return f
	}
	limit, code := l.limit(r, pl, ws, hs, confirmed != nil)
	s := l.shelf(pl, false)
	asked, fit := l.place(&s, ws, hs, limit)
	if fit < asked && (!r.Partial || fit == 0) {
		pl.answer.Available = fit
		if code == "" {
			code = CodeNotEnough
			bare := l.shelf(pl, true)
			if _, more := l.place(&bare, ws, hs, limit); more == asked || r.Partial && more > 0 {
				pl.refuse(Contended, CodeContended)
				return nil
			}
		}
		pl.refuse(VerdictDenied, code)
		return nil
	}
	return l.grant(r, pl, ws, dropped, confirmed)
}

// wants matches the lines of a try with those the reservation has, by name. Places of
// lines that are over are used again. dropped are those it names no more.
func (l *Ledger) wants(r *Reservation, pl *plan, hs []hold) (ws []want, dropped []hold, f *Fault) {
	ws = make([]want, len(r.Lines))
	free := make([]hold, 0, len(hs))
	used := make([]bool, maxRequestLines)
	matched := make([]bool, len(r.Lines))
	for _, h := range hs {
		i := slices.IndexFunc(r.Lines, func(n ReservationLine) bool { return n.Line == h.line.Held.Line })
		switch {
		case i >= 0:
			ws[i] = want{id: h.id, index: h.line.Held.Index, old: h.line}
			matched[i] = true
		case len(h.line.Entries) == 0 && h.line.Held.State != HeldOrdered:
			free = append(free, h)
			continue
		default:
			dropped = append(dropped, h)
		}
		used[h.line.Held.Index] = true
	}
	next := int32(0)
	for i := range ws {
		w := &ws[i]
		w.line = &r.Lines[i]
		if !matched[i] && len(free) > 0 {
			h := free[0]
			free = free[1:]
			w.id, w.index, w.old = h.id, h.line.Held.Index, h.line
			used[w.index] = true
		} else if !matched[i] {
			for next < maxRequestLines && (used[next] || slices.ContainsFunc(free, func(h hold) bool { return h.line.Held.Index == next })) {
				next++
			}
			if next == maxRequestLines {
				return nil, nil, fault(FaultTooMany, "reservation.lines", "of one reservation, those of before included")
			}
			w.index, w.id = next, holdID(r.ID, next)
			used[next] = true
		}
	}
	l.orders(r, pl, ws)
	return ws, append(dropped, free...), nil
}

// orders finds the orders that named the reservation before its try, or took its place
// since.
func (l *Ledger) orders(r *Reservation, pl *plan, ws []want) {
	for i := range ws {
		w := &ws[i]
		if w.old != nil && w.old.ordered() {
			w.order = w.old
			continue
		}
		id := l.target(PieceLine, RefHash(Ref{Type: refReservation, Number: r.ID, Line: w.line.Line}))
		if id == "" && w.line.Line != "" {
			id = l.target(PieceLine, RefHash(Ref{Type: refReservation, Number: r.ID}))
		}
		if id == "" || id == w.id {
			continue
		}
		ln := l.planned(pl, id)
		if ln == nil {
			continue
		}
		if ln.ordered() {
			w.order = ln
		}
		// A line that a fact began becomes that of the hold, if it has none yet.
		if w.old == nil && ln.Held == nil && !slices.ContainsFunc(ws[:i], func(o want) bool { return o.id == id }) {
			w.old, w.id = ln, id
		}
	}
}

// limit is how much a try may have tentative, and why no more. What is confirmed stays
// so when it is changed, and is not limited.
func (l *Ledger) limit(r *Reservation, pl *plan, ws []want, hs []hold, confirmed bool) (Quantity, Code) {
	p := &pl.policy.Reservations
	opened := int32(0)
	for i := range ws {
		if ws[i].order == nil {
			opened++
		}
	}
	for _, h := range hs {
		if h.line.holding() {
			opened -= count(h.line)
		}
	}
	if opened > 0 && l.open(pl)+opened > p.maxClaims() {
		return 0, CodeTooManyClaims
	}
	if p.PartnerCap == 0 && p.ItemCap == 0 || confirmed {
		return MaxQuantity, ""
	}
	var own, lapsing, lapsingOwn Quantity
	for _, h := range hs {
		if h.line.tentative() {
			own += h.line.claimed()
		}
	}
	for i := range pl.lines {
		if ln := l.line(pl.lines[i].id); ln.tentative() {
			lapsing += ln.claimed()
			if ln.Held.Partner == r.Partner {
				lapsingOwn += ln.claimed()
			}
		}
	}
	x := l.soon()
	limit, code := MaxQuantity, Code("")
	if p.ItemCap > 0 {
		limit, code = max(own, p.ItemCap-(x.total-lapsing-own)), CodeItemCap
	}
	if p.PartnerCap > 0 {
		if q := max(own, p.PartnerCap-(x.partners[r.Partner]-lapsingOwn-own)); q <= limit {
			limit, code = q, CodePartnerCap
		}
	}
	var need Quantity
	for i := range ws {
		if ws[i].order == nil {
			need = saturate(need, ws[i].line.Quantity)
		}
	}
	if need <= limit {
		code = ""
	}
	return limit, code
}

// open is how many lines have an open claim once the plan's lapses are done.
func (l *Ledger) open(pl *plan) int32 {
	n := l.head.Book.Lines
	for i := range pl.lines {
		n += count(pl.lines[i].after) - count(l.line(pl.lines[i].id))
	}
	return n
}
