package inventory

import (
	"slices"
	"strconv"
)

// refReservation is the type of a ref that names a reservation. It needs no issuer:
// the number is the reservation's id. Without a line it means whichever line of the
// reservation is there.
const refReservation = "reservation"

// hold is a line of a reservation as the plan has it.
type hold struct {
	id   string // of the line
	line *Line  // nil: not there
}

// holdID is the id of the line that holds place n of a reservation. No ref of an event
// has an empty type, so no other line has it.
func holdID(reservation string, n int32) string {
	return RefHash(Ref{Number: reservation, Line: strconv.Itoa(int(n))})
}

// leads are the refs that lead to a line, with that of the hold that became part of it.
func (ln *Line) leads() []Ref {
	if ln.Held == nil {
		return ln.Refs
	}
	return append(slices.Clip(ln.Refs), Ref{Number: ln.Held.Reservation, Line: strconv.Itoa(int(ln.Held.Index))})
}

// hold finds what stands in place n of a reservation: a line of its own, or the line
// of the order that took it over.
func (l *Ledger) hold(pl *plan, reservation string, n int32) hold {
	h := hold{id: holdID(reservation, n)}
	if id := l.target(PieceLine, h.id); id != "" {
		if ln := l.planned(pl, id); ln != nil && ln.Held != nil && ln.Held.Reservation == reservation {
			return hold{id: id, line: ln}
		}
	}
	return h
}

// holds are the lines of a reservation by place. Where the first is gone, swept away
// while others are in use, it looks for them in as many places as least says.
func (l *Ledger) holds(pl *plan, reservation string, least int) []hold {
	var hs []hold
	of := int32(min(max(least, 1), maxRequestLines))
	for n := int32(0); n < of; n++ {
		h := l.hold(pl, reservation, n)
		if n == 0 && h.line != nil {
			of = h.line.Held.Of
		}
		if h.line != nil {
			hs = append(hs, h)
		}
	}
	return hs
}

// planned is a line as it will be after what the plan has decided so far.
func (l *Ledger) planned(pl *plan, id string) *Line {
	for i := len(pl.lines) - 1; i >= 0; i-- {
		c := &pl.lines[i]
		if c.id == id {
			return c.after
		}
		if slices.Contains(c.gone, id) {
			return nil
		}
	}
	return l.line(id)
}

// ordered says whether an order stands on the line: then a reservation claims nothing.
func (ln *Line) ordered() bool {
	return slices.ContainsFunc(ln.Entries, func(e LineEntry) bool { return e.Stage == Ordered })
}

// live says whether the hold claims what it was granted, as long as no order does.
func (h *Held) live() bool {
	return h != nil && (h.State == HeldTentative || h.State == HeldConfirmed)
}

// holding says whether the line claims what a reservation was granted.
func (ln *Line) holding() bool { return ln != nil && ln.Held.live() && !ln.ordered() }

// expires is when the claim lapses by itself; 0: it does not.
func (ln *Line) expires() Instant {
	if !ln.holding() || len(ln.Held.Granted) == 0 {
		return 0
	}
	return ln.Held.ExpiresAt
}

// tentative says whether the claim may still be given up for others.
func (ln *Line) tentative() bool { return ln.holding() && ln.Held.State == HeldTentative }

// claimed is what a line claims over all locations.
func (ln *Line) claimed() Quantity {
	var sum Quantity
	if ln != nil {
		for _, c := range ln.Claims {
			sum = saturate(sum, c.Quantity)
		}
	}
	return sum
}

// LastAt is the latest time the line knows of: a line that claims nothing and whose
// last time is older than the window of remembered ids is needed no more.
func (ln *Line) LastAt() Instant {
	var at Instant
	if h := ln.Held; h != nil {
		at = max(h.GrantedAt, h.ExpiresAt)
	}
	for i := range ln.Entries {
		at = max(at, ln.Entries[i].At)
	}
	return at
}

// lead is the line a ref names today, or empty. Of several lines that a reservation
// has it is the first that claims something and that no order took; where none claims
// any more, the order that names the reservation comes before what it held.
func (l *Ledger) lead(pl *plan, kind string, ref *Ref, hash string) string {
	id := l.target(kind, hash)
	if id != "" || kind != PieceLine || ref.Type != refReservation {
		return id
	}
	for _, h := range l.holds(pl, ref.Number, 1) {
		switch {
		case ref.Line != "" && ref.Line != h.line.Held.Line:
		case !h.line.holding():
			for _, name := range [2]string{h.line.Held.Line, ""} {
				if t := l.target(kind, RefHash(Ref{Type: refReservation, Number: ref.Number, Line: name})); t != "" && id == "" {
					id = t
				}
			}
			if id == "" && h.line.Held.State != HeldOrdered {
				id = h.id
			}
		case len(h.line.Claims) > 0 && !l.named(kind, h.id):
			return h.id
		case id == "":
			id = h.id
		}
	}
	return id
}

// plainRefs are the refs with those of reservations in the one form they are kept in.
func plainRefs(refs []Ref) []Ref {
	for i := range refs {
		if refs[i].Type == refReservation && refs[i].Issuer != "" {
			refs = slices.Clone(refs)
			for j := i; j < len(refs); j++ {
				if refs[j].Type == refReservation {
					refs[j].Issuer = ""
				}
			}
			return refs
		}
	}
	return refs
}

// change puts a line into the plan as it will be.
func (pl *plan) change(c lineChange[Line]) {
	for i := range pl.lines {
		if o := &pl.lines[i]; o.id == c.id {
			o.after = c.after
			o.gone = append(o.gone, c.gone...)
			o.links = append(o.links, c.links...)
			return
		}
	}
	pl.lines = append(pl.lines, c)
}

// Book counts the key's open claims and supply lines, and says when the first claim
// lapses.
func (l *Ledger) Book() Book { return l.head.Book }
