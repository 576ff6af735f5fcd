// Package reserve is a naive model of reservations: what the ledger must answer,
// said again in the plainest way, for tests of the ledger in one process and behind
// a log. It knows stock, orders and requests of one item, without due days, channels
// and safety stock.
package reserve

import (
	"cmp"
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Model is one item. Step changes it; Clone keeps a copy.
type Model struct {
	Policy Policy

	now    inventory.Instant
	stock  map[inventory.Location]inventory.Quantity
	holds  map[string]*hold
	orders map[string]*order
	taken  map[string]string // reservation to the order that took its place
}

// Policy is what of a ledger's policy the model knows.
type Policy struct {
	Ranks      []inventory.Location // best first; all that there are
	Split      bool
	PartnerCap inventory.Quantity
	ItemCap    inventory.Quantity
	MaxClaims  int
	Tombstone  inventory.Instant
}

// Ledger is the same policy for a ledger.
func (p Policy) Ledger() inventory.Policy {
	return inventory.Policy{Reservations: inventory.ReservationPolicy{
		Ranks: []inventory.SourceRank{{Locations: p.Ranks}}, Split: p.Split, PartnerCap: p.PartnerCap, ItemCap: p.ItemCap,
		MaxClaims: int32(p.MaxClaims), Tombstone: p.Tombstone, //nolint:gosec // a few
	}}
}

// hold is a reservation. What it holds is by line, in the order the lines first came.
type hold struct {
	partner string
	state   inventory.HeldState
	expires inventory.Instant
	lines   []line
}

type line struct {
	name string
	at   []inventory.Claim
}

// order is what was ordered at its location, and shipped from anywhere.
type order struct {
	at      inventory.Location
	ordered inventory.Quantity
	shipped map[inventory.Location]inventory.Quantity
}

// New is an item of which nothing is known.
func New(p Policy) *Model {
	return &Model{
		Policy: p, stock: map[inventory.Location]inventory.Quantity{}, holds: map[string]*hold{},
		orders: map[string]*order{}, taken: map[string]string{},
	}
}

// Clone is a copy that shares nothing that Step changes in place.
func (m *Model) Clone() *Model {
	c := *m
	c.stock, c.taken = maps.Clone(m.stock), maps.Clone(m.taken)
	c.holds, c.orders = maps.Clone(m.holds), maps.Clone(m.orders)
	return &c
}

// Equal compares two states by all that decides what comes.
func (m *Model) Equal(o *Model) bool {
	return m.now == o.now && maps.Equal(m.stock, o.stock) && maps.Equal(m.taken, o.taken) &&
		maps.EqualFunc(m.holds, o.holds, func(a, b *hold) bool {
			return a == b || a.partner == b.partner && a.state == b.state && a.expires == b.expires &&
				slices.EqualFunc(a.lines, b.lines, func(x, y line) bool { return x.name == y.name && slices.Equal(x.at, y.at) })
		}) &&
		maps.EqualFunc(m.orders, o.orders, func(a, b *order) bool {
			return a == b || a.at == b.at && a.ordered == b.ordered && maps.Equal(a.shipped, b.shipped)
		})
}

// live says whether a reservation claims what it holds.
func (m *Model) live(id string) bool {
	h := m.holds[id]
	return h != nil && m.taken[id] == "" && (h.state == inventory.HeldTentative || h.state == inventory.HeldConfirmed)
}

// claims are the open claims of an order: at its location what was ordered and not
// shipped, from wherever.
func (o *order) claim() inventory.Quantity {
	q := o.ordered
	for _, s := range o.shipped {
		q -= s
	}
	return max(0, q)
}

// Reserved is what is claimed at a location, in all.
func (m *Model) Reserved(at inventory.Location) (q inventory.Quantity) {
	for id, h := range m.holds {
		if m.live(id) {
			q += h.held(at)
		}
	}
	for _, o := range m.orders {
		if o.at == at {
			q += o.claim()
		}
	}
	return q
}

// OnHand is what is there.
func (m *Model) OnHand(at inventory.Location) inventory.Quantity { return m.stock[at] }

// Claims is how many lines have an open claim.
func (m *Model) Claims() (n int) {
	for id, h := range m.holds {
		for _, l := range h.lines {
			if m.live(id) && sum(l.at) > 0 {
				n++
			}
		}
	}
	for _, o := range m.orders {
		if o.claim() > 0 {
			n++
		}
	}
	return n
}

// Tentative is what is tentative, of a partner or, when it is empty, of all.
func (m *Model) Tentative(partner string) (q inventory.Quantity) {
	for id, h := range m.holds {
		if m.live(id) && h.state == inventory.HeldTentative && (partner == "" || h.partner == partner) {
			q += h.total()
		}
	}
	return q
}

// Expires is when the first claim lapses; 0: none does.
func (m *Model) Expires() (at inventory.Instant) {
	for id, h := range m.holds {
		if m.live(id) && h.total() > 0 && h.expires != 0 && (at == 0 || h.expires < at) {
			at = h.expires
		}
	}
	return at
}

func (h *hold) held(at inventory.Location) (q inventory.Quantity) {
	for _, l := range h.lines {
		for _, c := range l.at {
			if c.Location == at {
				q += c.Quantity
			}
		}
	}
	return q
}

func (h *hold) total() (q inventory.Quantity) {
	for _, l := range h.lines {
		q += sum(l.at)
	}
	return q
}

func sum(cs []inventory.Claim) (q inventory.Quantity) {
	for _, c := range cs {
		q += c.Quantity
	}
	return q
}

// pass lets time pass: what is over is over first.
func (m *Model) pass(to inventory.Instant) {
	m.now = max(m.now, to)
	for id, h := range m.holds {
		if m.live(id) && h.total() > 0 && h.expires != 0 && h.expires <= m.now {
			c := *h
			c.state = inventory.HeldLapsed
			m.holds[id] = &c
		}
	}
}

// Step takes an event at its ledger time. A request is answered; facts and ticks are
// not. An event must not come twice: that a repetition changes nothing is the caller's
// to check.
func (m *Model) Step(ev *inventory.Event) Answer {
	m.pass(ev.RecordedAt)
	switch {
	case ev.Movement != nil:
		m.move(ev)
	case ev.Demand != nil:
		m.order(ev)
	case ev.Reservation != nil:
		switch r := ev.Reservation; r.Action {
		case inventory.Try:
			return m.try(r)
		case inventory.Confirm:
			return m.confirm(r)
		case inventory.Cancel:
			return m.cancel(r)
		}
	}
	return Answer{}
}

func (m *Model) move(ev *inventory.Event) {
	v := ev.Movement
	if v.Type != inventory.Ship {
		m.stock[v.Location] += v.Quantity
		return
	}
	m.stock[v.Location] -= v.Quantity
	if id := number(ev, "order"); id != "" {
		o := m.orderOf(id)
		o.shipped = maps.Clone(o.shipped)
		o.shipped[v.Location] += v.Quantity
	}
}

// orderOf is an order for changing.
func (m *Model) orderOf(id string) *order {
	o := &order{shipped: map[inventory.Location]inventory.Quantity{}}
	if had := m.orders[id]; had != nil {
		*o = *had
	}
	m.orders[id] = o
	return o
}

// order takes an order. All documents of one order are about one location.
func (m *Model) order(ev *inventory.Event) {
	id := number(ev, "order")
	o := m.orderOf(id)
	o.at = ev.Demand.Location
	o.ordered += ev.Demand.Quantity
	if r := number(ev, "reservation"); r != "" && m.taken[r] == "" {
		m.taken[r] = id
	}
}

func number(ev *inventory.Event, typ string) string {
	for _, r := range ev.Refs {
		if r.Type == typ {
			return r.Number
		}
	}
	return ""
}

func (m *Model) confirm(r *inventory.Reservation) Answer {
	h := m.holds[r.ID]
	switch {
	case h == nil:
		return Answer{Verdict: inventory.Unknown}
	case h.state == inventory.HeldCancelled:
		return Answer{Verdict: inventory.VerdictCancelled}
	case h.state == inventory.HeldLapsed, r.ExpiresAt != 0 && r.ExpiresAt <= m.now:
		return Answer{Verdict: inventory.Lapsed}
	}
	c := *h
	c.state, c.expires = inventory.HeldConfirmed, r.ExpiresAt
	m.holds[r.ID] = &c
	return Answer{Verdict: inventory.Confirmed, Granted: c.total()}
}

func (m *Model) cancel(r *inventory.Reservation) Answer {
	m.holds[r.ID] = &hold{partner: r.Partner, state: inventory.HeldCancelled, expires: m.now + m.Policy.Tombstone}
	return Answer{Verdict: inventory.VerdictCancelled}
}

// Answer is what of the ledger's answer the model says.
type Answer struct {
	Verdict   inventory.Verdict
	Granted   inventory.Quantity // in all
	Available inventory.Quantity // of a denied try
}

// Of is the ledger's answer in the model's words.
func Of(a *inventory.Answer) Answer {
	if a == nil {
		return Answer{}
	}
	out := Answer{Verdict: a.Verdict}
	for _, l := range a.Lines {
		out.Granted += l.Quantity
	}
	if a.Verdict == inventory.VerdictDenied || a.Verdict == inventory.Contended {
		out.Available = a.Available
	}
	return out
}

// Locations are those with stock or claims, sorted.
func (m *Model) Locations() []inventory.Location {
	ls := slices.Collect(maps.Keys(m.stock))
	for _, o := range m.orders {
		if o.at != "" {
			ls = append(ls, o.at)
		}
	}
	slices.SortFunc(ls, func(a, b inventory.Location) int { return cmp.Compare(a, b) })
	return slices.Compact(ls)
}
