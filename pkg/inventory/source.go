package inventory

import (
	"slices"
	"strings"
)

// shelf is what locations could give as the plan stands: their positions, less what
// was taken from them here. It is thrown away when everything is decided.
type shelf struct {
	l      *Ledger
	policy *Policy
	now    Instant
	locals []local
	lines  []lineChange[Line]
	spots  []Position
	where  map[Location]int      // of spots, once there are many
	ranks  map[string][]Location // by channel; see sources
	served map[string]map[Location]bool
	// bare leaves out what is tentative: what fits then fits but for claims that may
	// still be given up.
	bare bool
}

// shelf is what the locations of the plan could give. It holds copies: a plan stays
// where it is made, as most events need no shelf.
func (l *Ledger) shelf(pl *plan, bare bool) shelf {
	s := shelf{l: l, policy: pl.policy, now: pl.now, lines: pl.lines, bare: bare}
	for i := range pl.locals() {
		s.locals = append(s.locals, *pl.localAt(i))
	}
	return s
}

// at is a location's position. It is good until the next call.
func (s *shelf) at(name Location) *Position {
	if p := s.spot(name); p != nil {
		return p
	}
	p := Position{Key: s.l.key, Location: name, SafetyStock: s.l.head.Safety}
	if st := s.l.location(name); st != nil {
		s.l.fill(&p, st)
	}
	for i := range s.locals {
		lc := &s.locals[i]
		if lc.location != name {
			continue
		}
		p.States[OnHand] = saturate(p.States[OnHand], lc.delta[OnHand])
		if lc.newReserved {
			p.Reserved = slices.Clone(lc.reserved)
		}
		if lc.newSupply {
			p.Supply = slices.Clone(lc.supply)
		}
	}
	if s.bare {
		for _, b := range s.l.soon().at(name) {
			p.Reserved = adding(p.Reserved, Bucket{Due: b.Due, Quantity: -b.Quantity})
		}
		for i := range s.lines { // what lapses in this plan is off the position already
			if ln := s.l.line(s.lines[i].id); ln.tentative() {
				p.Reserved = adding(p.Reserved, Bucket{Due: ln.Due, Quantity: ln.at(name)})
			}
		}
	}
	s.spots = append(s.spots, p)
	if n := len(s.spots); s.where != nil {
		s.where[name] = n - 1
	} else if n > fewSpots {
		s.where = make(map[Location]int, 2*n)
		for i := range s.spots {
			s.where[s.spots[i].Location] = i
		}
	}
	return &s.spots[len(s.spots)-1]
}

// fewSpots are looked through; more have an index.
const fewSpots = 16

// spot is a position that was asked for before, or nil.
func (s *shelf) spot(name Location) *Position {
	if s.where != nil {
		if i, ok := s.where[name]; ok {
			return &s.spots[i]
		}
		return nil
	}
	for i := range s.spots {
		if s.spots[i].Location == name {
			return &s.spots[i]
		}
	}
	return nil
}

// at is what a line claims at a location.
func (ln *Line) at(name Location) Quantity {
	for _, c := range ln.Claims {
		if c.Location == name {
			return c.Quantity
		}
	}
	return 0
}

// adding is addBucket for a shelf, where a sum out of range stays at its end.
func adding(bs []Bucket, b Bucket) []Bucket {
	if b.Quantity == 0 {
		return bs
	}
	out, err := addBucket(bs, b)
	if err != nil {
		for i := range bs {
			if bs[i].Due == b.Due && bs[i].Channel == b.Channel && bs[i].Movable == b.Movable {
				bs[i].Quantity = saturate(bs[i].Quantity, b.Quantity)
			}
		}
		return bs
	}
	return out
}

// release puts back what a line claims: its own claim is not counted against its
// change.
func (s *shelf) release(ln *Line) {
	if s.bare && ln.tentative() {
		return // left out already
	}
	for _, c := range ln.Claims {
		s.take(c.Location, ln.Due, -c.Quantity)
	}
}

// take claims quantity of a location for a day.
func (s *shelf) take(name Location, due Day, q Quantity) {
	p := s.at(name)
	p.Reserved = adding(p.Reserved, Bucket{Due: due, Quantity: q})
}

// fits is what a location can still promise for a day, signed.
func (s *shelf) fits(name Location, due Day) Quantity {
	pol := &s.policy.Reservations
	today := pol.Today(s.l.key.Entity, name, s.now)
	return pol.fits(s.at(name), today, max(today, due))
}

// sources are the locations that serve unlocated demand of a channel, best first.
func (l *Ledger) sources(p *Policy, channel string) []Location {
	if ls := p.Reservations.ranked(l.key.Entity, channel); len(ls) > 0 {
		return ls
	}
	return l.Locations()
}

// sources are those of the ledger. Every line of a request asks for them, and an item
// may have thousands of locations, so they are listed once a channel.
func (s *shelf) sources(channel string) []Location {
	ls, ok := s.ranks[channel]
	if !ok {
		ls = s.l.sources(s.policy, channel)
		if s.ranks == nil {
			s.ranks = map[string][]Location{}
		}
		s.ranks[channel] = ls
	}
	return ls
}

// serves says whether a location is one of a channel's sources.
func (s *shelf) serves(channel string, name Location) bool {
	set, ok := s.served[channel]
	if !ok {
		ls := s.sources(channel)
		set = make(map[Location]bool, len(ls))
		for _, l := range ls {
			set[l] = true
		}
		if s.served == nil {
			s.served = map[string]map[Location]bool{}
		}
		s.served[channel] = set
	}
	return set[name]
}

// rank orders locations from which too much was taken: by source rank, the unranked
// last. Of equals the name decides.
func (l *Ledger) rank(p *Policy, channel string, cs []Claim) []int {
	order := make([]int, len(cs))
	for i := range order {
		order[i] = i
	}
	if p == nil || len(p.Reservations.Ranks) == 0 || len(cs) < 2 {
		return order
	}
	ranked := p.Reservations.ranked(l.key.Entity, channel)
	place := func(i int) int {
		if n := slices.Index(ranked, cs[i].Location); n >= 0 {
			return n
		}
		return len(ranked)
	}
	slices.SortStableFunc(order, func(a, b int) int { return place(a) - place(b) })
	return order
}

// pick sources a quantity of one line: one location that serves all of it, else, where
// the policy allows it, several by rank. What nobody can serve is left over.
func (s *shelf) pick(from []Location, due Day, q Quantity) (cs []Claim, left Quantity) {
	if q == 0 {
		return nil, 0
	}
	best, most := -1, Quantity(0)
	for i, name := range from {
		fit := s.fits(name, due)
		if fit >= q {
			s.take(name, due, q)
			return []Claim{{name, q}}, 0
		}
		if fit > most {
			best, most = i, fit
		}
	}
	if best < 0 {
		return nil, q
	}
	if !s.policy.Reservations.Split {
		s.take(from[best], due, most)
		return []Claim{{from[best], most}}, q - most
	}
	for _, name := range from {
		if take := min(q, s.fits(name, due)); take > 0 {
			s.take(name, due, take)
			cs = append(cs, Claim{name, take})
			if q -= take; q == 0 || len(cs) == maxSplit {
				break
			}
		}
	}
	return cs, q
}

// source places what an order states without a location. What is placed stays where it
// is, so that later documents of the line find it; only what is more is placed, and
// what is less is taken off the end. before are the lines that become this one.
func (l *Ledger) source(pl *plan, before []*Line, after *Line) *Fault {
	var want, have Quantity
	by := leading(after.Entries, Ordered)
	for i := range after.Entries {
		if e := &after.Entries[i]; e.Location == "" && e.Stage == Ordered && e.Source == by {
			want += e.Quantity
		}
	}
	var placed []Claim
	for _, ln := range before {
		want += movedClaims(ln.Entries)
		for _, c := range ln.Sourced {
			placed = gather(placed, c)
			have += c.Quantity
		}
	}
	for have > want { // the last first
		c := &placed[len(placed)-1]
		less := min(c.Quantity, have-want)
		c.Quantity -= less
		have -= less
		if c.Quantity == 0 {
			placed = placed[:len(placed)-1]
		}
	}
	after.Sourced = placed
	if have == want {
		return nil
	}
	rest := want - have
	put := func(name Location, q Quantity) {
		if q = min(q, rest); q > 0 {
			after.Sourced = gather(after.Sourced, Claim{name, q})
			rest -= q
		}
	}
	// Where a reservation held it, then where it has left from already.
	for _, ln := range before {
		if ln.holding() {
			for _, c := range ln.Held.Granted {
				put(c.Location, c.Quantity)
			}
		}
	}
	for _, name := range places(nil, after.Entries, StagePicked, StageShipped) {
		out := outflow(after.Entries, name, forever)
		for i := range after.Entries {
			if e := &after.Entries[i]; e.Location == name && e.Stage == Ordered && e.Source == by {
				out -= e.Quantity
			}
		}
		for _, c := range after.Sourced {
			if c.Location == name {
				out -= c.Quantity
			}
		}
		put(name, out)
	}
	if rest == 0 {
		return nil
	}
	from := l.sources(pl.policy, after.Channel)
	if len(from) == 0 {
		return fault(FaultNoLocation, "demand.location", "no location is known to serve it from")
	}
	s := l.shelf(pl, false)
	for _, ln := range before {
		s.release(ln)
	}
	for _, c := range after.Sourced {
		s.take(c.Location, after.Due, c.Quantity)
	}
	cs, left := s.pick(from, after.Due, rest)
	if left > 0 && !pl.policy.Reservations.Split { // nobody takes all of it: the first does
		cs, left = nil, rest
	}
	for _, c := range cs {
		put(c.Location, c.Quantity)
	}
	put(from[0], left) // a fact is never denied: it is oversold there
	return nil
}

// gather adds a claim to a list without repeats, in the order they came.
func gather(cs []Claim, c Claim) []Claim {
	for i := range cs {
		if cs[i].Location == c.Location {
			cs[i].Quantity += c.Quantity
			return cs
		}
	}
	return append(cs, c)
}

// containsSorted says whether a sorted list has a name.
func containsSorted(ls []Location, name Location) bool {
	_, ok := slices.BinarySearchFunc(ls, name, func(a, b Location) int { return strings.Compare(string(a), string(b)) })
	return ok
}
