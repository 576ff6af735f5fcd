package reserve

import (
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// try answers a try, by trying.
func (m *Model) try(r *inventory.Reservation) Answer {
	old := m.holds[r.ID]
	switch {
	case old != nil && old.state == inventory.HeldCancelled && old.expires > m.now:
		return Answer{Verdict: inventory.VerdictCancelled}
	case r.ExpiresAt <= m.now:
		return Answer{Verdict: inventory.Lapsed}
	}
	if old == nil || old.state == inventory.HeldCancelled || old.state == inventory.HeldLapsed {
		old = &hold{partner: r.Partner, state: inventory.HeldTentative}
	}
	var asked inventory.Quantity
	for _, l := range r.Lines {
		asked += l.Quantity
	}
	next := &hold{partner: r.Partner, state: old.state, expires: r.ExpiresAt}
	if old.state == inventory.HeldConfirmed {
		next.expires = old.expires
	}
	var fit, more inventory.Quantity
	limit := inventory.MaxQuantity
	if id := m.taken[r.ID]; id != "" {
		next.lines, fit = m.behalf(r, id)
		more = fit
	} else {
		limit = m.limit(r, old)
		next.lines, fit = m.place(r, old, limit, false)
		_, more = m.place(r, old, limit, true)
	}
	if fit < asked && (!r.Partial || fit == 0) {
		a := Answer{Verdict: inventory.VerdictDenied, Available: fit}
		if limit >= asked && (more == asked || r.Partial && more > 0) {
			a.Verdict = inventory.Contended
		}
		return a
	}
	if len(next.lines) > 0 || m.holds[r.ID] != nil {
		m.holds[r.ID] = next
	}
	return Answer{Verdict: inventory.Granted, Granted: fit}
}

// behalf grants what an order asks for already.
func (m *Model) behalf(r *inventory.Reservation, id string) (ls []line, fit inventory.Quantity) {
	left := m.orders[id].ordered
	for _, l := range r.Lines {
		q := min(l.Quantity, left)
		left -= q
		fit += q
		ls = append(ls, line{name: l.Line, at: []inventory.Claim{{Location: m.orders[id].at, Quantity: q}}})
	}
	return ls, fit
}

// limit is how much may be tentative of a reservation.
func (m *Model) limit(r *inventory.Reservation, old *hold) inventory.Quantity {
	opened := len(r.Lines)
	for _, l := range old.lines {
		if sum(l.at) > 0 {
			opened--
		}
	}
	if opened > 0 && m.Policy.MaxClaims > 0 && m.Claims()+opened > m.Policy.MaxClaims {
		return 0
	}
	limit := inventory.MaxQuantity
	if old.state == inventory.HeldConfirmed {
		return limit
	}
	own := old.total()
	if c := m.Policy.ItemCap; c > 0 {
		limit = min(limit, max(own, c-m.Tentative("")+own))
	}
	if c := m.Policy.PartnerCap; c > 0 {
		limit = min(limit, max(own, c-m.Tentative(r.Partner)+own))
	}
	return limit
}

func (h *hold) line(name string) *line {
	for i := range h.lines {
		if h.lines[i].name == name {
			return &h.lines[i]
		}
	}
	return nil
}

// place serves the lines of a try one after the other, located ones first, as far as
// it goes; with others' tentative claims or without.
func (m *Model) place(r *inventory.Reservation, old *hold, limit inventory.Quantity, bare bool) (ls []line, fit inventory.Quantity) {
	free := map[inventory.Location]inventory.Quantity{}
	for at, q := range m.stock {
		free[at] = q - m.Reserved(at) + old.held(at)
	}
	for id, h := range m.holds {
		if bare && h != old && m.live(id) && h.state == inventory.HeldTentative {
			for at := range free {
				free[at] += h.held(at)
			}
		}
	}
	ls = make([]line, len(r.Lines))
	give := func(i int, at inventory.Location, q inventory.Quantity) {
		if q > 0 {
			ls[i].at = add(ls[i].at, inventory.Claim{Location: at, Quantity: q})
			free[at] -= q
			limit -= q
			fit += q
		}
	}
	for i, l := range r.Lines { // what stays comes first
		ls[i].name = l.Line
		had := old.line(l.Line)
		switch {
		case had == nil:
		case l.Location != "":
			give(i, l.Location, min(l.Quantity, limit, at(had.at, l.Location)))
		case sum(had.at) >= l.Quantity && l.Quantity <= limit:
			left := l.Quantity
			for _, c := range sorted(had.at) {
				q := min(c.Quantity, left)
				left -= q
				give(i, c.Location, q)
			}
		}
	}
	var rest []int
	for i, l := range r.Lines {
		left := l.Quantity - sum(ls[i].at)
		switch {
		case left == 0:
		case l.Location != "":
			give(i, l.Location, min(left, limit, free[l.Location]))
		default:
			rest = append(rest, i)
		}
	}
	if m.together(r, old, rest, limit, free, give) {
		return ls, fit
	}
	for _, i := range rest {
		m.serve(old.line(r.Lines[i].Line), min(r.Lines[i].Quantity, limit), free, func(at inventory.Location, q inventory.Quantity) { give(i, at, q) })
	}
	return ls, fit
}

func at(cs []inventory.Claim, l inventory.Location) inventory.Quantity {
	for _, c := range cs {
		if c.Location == l {
			return c.Quantity
		}
	}
	return 0
}

func add(cs []inventory.Claim, c inventory.Claim) []inventory.Claim {
	for i := range cs {
		if cs[i].Location == c.Location {
			cs[i].Quantity += c.Quantity
			return cs
		}
	}
	return append(cs, c)
}

func sorted(cs []inventory.Claim) []inventory.Claim {
	cs = slices.Clone(cs)
	slices.SortFunc(cs, func(a, b inventory.Claim) int {
		if a.Location < b.Location {
			return -1
		}
		return 1
	})
	return cs
}

// candidates are where a line is, then the others by rank.
func (m *Model) candidates(had *line) (from []inventory.Location) {
	if had != nil {
		for _, c := range had.at {
			from = append(from, c.Location)
		}
	}
	for _, l := range m.Policy.Ranks {
		if !slices.Contains(from, l) {
			from = append(from, l)
		}
	}
	return from
}

// together serves several unlocated lines from the first location that takes all.
func (m *Model) together(r *inventory.Reservation, old *hold, rest []int, limit inventory.Quantity,
	free map[inventory.Location]inventory.Quantity, give func(int, inventory.Location, inventory.Quantity),
) bool {
	var all inventory.Quantity
	for _, i := range rest {
		all += r.Lines[i].Quantity
	}
	if len(rest) < 2 || all > limit {
		return false
	}
	for _, at := range m.candidates(old.line(r.Lines[rest[0]].Line)) {
		serves := func(i int) bool { return slices.Contains(m.candidates(old.line(r.Lines[i].Line)), at) }
		if free[at] >= all && !slices.ContainsFunc(rest, func(i int) bool { return !serves(i) }) {
			for _, i := range rest {
				give(i, at, r.Lines[i].Quantity)
			}
			return true
		}
	}
	return false
}

// serve finds one location for a quantity, or several where the policy splits.
func (m *Model) serve(had *line, q inventory.Quantity, free map[inventory.Location]inventory.Quantity, give func(inventory.Location, inventory.Quantity)) {
	if q <= 0 {
		return
	}
	from := m.candidates(had)
	best := from[0]
	for _, at := range from {
		if free[at] >= q {
			give(at, q)
			return
		}
		if free[at] > free[best] {
			best = at
		}
	}
	if !m.Policy.Split {
		give(best, free[best])
		return
	}
	for _, at := range from {
		take := min(q, free[at])
		if take > 0 {
			give(at, take)
			q -= take
		}
	}
}
