package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// A document may be about several supply lines at once: an advice whose lines name
// several orders is received by its own number, or one line of a document names two
// orders of one buyer. What it says is spread over those lines, in the order of their
// orders: each takes what the advice said of it or, where it said nothing of any, what
// else is open there; the last takes the rest. The parts are entries of the lines,
// marked as shared and by what they were named, and are made anew from the whole
// whenever one of the lines changes, so that the order of arrival leaves no trace. What
// shared documents take of a line, they leave each other: those of an advice that says how
// much of each line take first.

// spreading is a set of lines that are decided together. It does not hold the plan: every
// event's plan would be allocated then.
type spreading struct {
	olds   []*SupplyLine // nil: there was none
	afters []*SupplyLine
}

// plannedSupply is a supply line as the plan has it so far.
func (l *Ledger) plannedSupply(pl *plan, id string) *SupplyLine {
	for i := range pl.shared {
		if pl.shared[i].id == id {
			return pl.shared[i].after
		}
	}
	if c := pl.before; c != nil && c.id == id {
		return c.after
	}
	return l.supplyLine(id)
}

// line is one of the set, to be changed.
func (s *spreading) line(l *Ledger, pl *plan, id string) *SupplyLine {
	for _, ln := range s.afters {
		if ln.ID == id {
			return ln
		}
	}
	old := l.plannedSupply(pl, id)
	after := &SupplyLine{ID: id}
	if old != nil {
		after.Refs, after.Entries, after.Open = old.Refs, slices.Clone(old.Entries), old.Open
	}
	s.olds, s.afters = append(s.olds, old), append(s.afters, after)
	return after
}

// gather takes the parts of a group's documents off its lines, and returns the wholes.
func (s *spreading) gather(l *Ledger, pl *plan, g *group) (pool []SupplyEntry) {
	for _, id := range g.lines {
		ln := s.line(l, pl, id)
		kept := make([]SupplyEntry, 0, len(ln.Entries))
		for _, e := range ln.Entries {
			if e.Shared && l.repVia(pl, e.Via) == g.via {
				e.Via = g.via
				pool = addPart(pool, e)
			} else {
				kept = append(kept, e)
			}
		}
		ln.Entries = kept
	}
	return pool
}

// spread makes the parts of a group's documents anew. The lines have none of them, and those of
// the groups before it.
func (s *spreading) spread(l *Ledger, pl *plan, g *group) {
	lines := make([]*SupplyLine, len(g.lines))
	for i, id := range g.lines {
		lines[i] = s.line(l, pl, id)
	}
	slices.SortStableFunc(lines, func(a, b *SupplyLine) int { return compareRefs(orderOf(a), orderOf(b)) })
	pool := g.pool
	slices.SortStableFunc(pool, func(a, b SupplyEntry) int { // those of one time stay by document
		return cmp.Or(strings.Compare(string(a.Stage), string(b.Stage)), strings.Compare(string(a.Source), string(b.Source)),
			strings.Compare(string(a.Location), string(b.Location)), cmp.Compare(a.At, b.At))
	})
	for len(pool) > 0 {
		n := 1 // documents that are spread as one: the sum of them over the room there is without any
		for n < len(pool) && pool[n].Stage == pool[0].Stage && pool[n].Source == pool[0].Source && pool[n].Location == pool[0].Location {
			n++
		}
		var sum Quantity
		room := l.roomOf(pl, lines, g, &pool[0])
		for _, e := range pool[:n] {
			from := fill(room, sum)
			sum = saturate(sum, e.Quantity)
			for j, to := range fill(room, sum) {
				part := e
				part.Quantity = to - from[j]
				lines[j].Entries, _ = put(lines[j].Entries, part)
			}
		}
		pool = pool[n:]
	}
}

// orderOf is the ref that names a supply line, else any: of several the first by number,
// since they stand as they came.
func orderOf(ln *SupplyLine) (of Ref) {
	for _, strong := range []bool{true, false} {
		for _, r := range ln.Refs {
			if names(PieceSupply, r.Type) == strong && (of == (Ref{}) || compareRefs(r, of) < 0) {
				of = r
			}
		}
		if of != (Ref{}) {
			break
		}
	}
	return of
}

// addPart adds a part of a document to what is known of the whole.
func addPart(es []SupplyEntry, e SupplyEntry) []SupplyEntry {
	for i := range es {
		if x := &es[i]; x.Source == e.Source && x.Document == e.Document && x.Stage == e.Stage {
			x.Quantity = saturate(x.Quantity, e.Quantity)
			return es
		}
	}
	es, _ = put(es, e)
	return es
}

// decideShared takes a document that several lines share. It returns the lines as they
// were and as they will be.
func (l *Ledger) decideShared(ev *Event, pl *plan, g group, as whereabouts, es []SupplyEntry) (olds, afters []*SupplyLine, f *Fault) {
	if len(g.lines) > maxShared {
		return nil, nil, fault(FaultTooMany, "refs", "lines that share a document")
	}
	if as == went {
		es = nil
	}
	s := &spreading{}
	for i, id := range g.lines {
		if ln := s.line(l, pl, id); len(ln.Refs) == 0 {
			ln.Refs = []Ref{g.refs[i]}
		}
	}
	pl.line = g.lines[0]
	gone := s.absorb(l, pl, &g)
	pool, newest := s.gather(l, pl, &g), false
	for _, e := range es {
		var newer bool
		e.Shared, e.Via = true, g.via
		pool, newer = put(pool, e)
		newest = newest || newer
	}
	into := s.line(l, pl, g.lines[0])
	for _, e := range pool { // until they are spread
		into.Entries, _ = put(into.Entries, e)
	}
	l.relist(pl, hashOfVia(g.via), g.lines, g.begun)
	for _, ref := range ev.Refs {
		if h := RefHash(ref); !names(PieceSupply, ref.Type) && viaOf(l.rep(pl, h)) != g.via {
			l.relist(pl, h, g.lines, g.begun)
			for _, id := range g.lines { // for sweep
				ln := s.line(l, pl, id)
				ln.Refs = withRef(ln.Refs, ref)
			}
		}
	}
	if !newest {
		pl.supersede()
		if len(pl.lists) == 0 && pl.before == nil {
			return nil, nil, nil
		} // what it says of refs holds all the same
	}
	s.again(l, pl, g.begun)
	if f := s.end(l, pl); f != nil || pl.wait.code != "" {
		return nil, nil, f
	}
	var links []string
	for _, e := range es {
		if x := e.report(); newest && e.Revision != "" {
			links = l.leadsTo(links, PieceSupply, pl.line, &x)
		}
	}
	for _, ln := range gone {
		links = appendHashes(links, documentRefs(PieceSupply, ln.Entries))
		for _, o := range ln.Open {
			if f := pl.expect(l, o, -o.Quantity); f != nil {
				return nil, nil, f
			}
		}
	}
	pl.supply = &lineChange[SupplyLine]{id: pl.line, after: s.line(l, pl, pl.line), links: links, gone: g.begun}
	s.keep(pl)
	return append(s.was(), gone...), s.afters, nil
}

// absorb takes in the lines that were begun before their orders were known, and returns
// them. What stands on them is spread with the rest.
func (s *spreading) absorb(l *Ledger, pl *plan, g *group) (gone []*SupplyLine) {
	into := s.line(l, pl, g.lines[0])
	for _, id := range g.begun {
		ln := l.plannedSupply(pl, id)
		gone = append(gone, ln)
		for _, e := range ln.Entries {
			into.Entries, _ = put(into.Entries, e)
		}
		for _, r := range ln.Refs {
			l.relist(pl, RefHash(r), g.lines, g.begun)
		}
	}
	return gone
}

// respread makes the parts anew of what is shared by the line that the plan changes. olds
// are what became that line.
func (l *Ledger) respread(pl *plan, olds []*SupplyLine) (all, afters []*SupplyLine, f *Fault) {
	after := pl.supply.after
	s := &spreading{olds: []*SupplyLine{nil}, afters: []*SupplyLine{after}}
	s.again(l, pl, pl.supply.gone)
	after.Open = open(after.Entries)
	if f := cmp.Or(checkEntries(after.Entries), l.reopen(pl, olds, after)); f != nil {
		return nil, nil, f
	}
	rest := &spreading{olds: s.olds[1:], afters: s.afters[1:]}
	if f := rest.end(l, pl); f != nil {
		return nil, nil, f
	}
	rest.keep(pl)
	return append(olds, rest.was()...), append(s.afters[:1:1], rest.afters...), nil
}

// again makes the parts anew of whatever is shared by a line of the set, by one that the
// document left or by one that hangs together with them through other documents: those are
// taken in. gone are lines that are no more.
func (s *spreading) again(l *Ledger, pl *plan, gone []string) {
	if c := pl.before; c != nil {
		s.sharing(l, pl, c, gone)
	}
	for i := range pl.shared {
		s.sharing(l, pl, &pl.shared[i], gone)
	}
	gs := s.reach(l, pl, gone)
	for i := range gs {
		g := &gs[i]
		g.said = slices.ContainsFunc(g.lines, func(id string) bool {
			return slices.ContainsFunc(s.line(l, pl, id).Entries, func(e SupplyEntry) bool {
				return !e.Shared && e.Stage == Expected && e.Via != 0 && l.repVia(pl, e.Via) == g.via
			})
		})
		g.pool = s.gather(l, pl, g)
	}
	slices.SortFunc(gs, func(a, b group) int {
		return cmp.Or(-cmp.Compare(flag(a.said), flag(b.said)), cmp.Compare(a.via, b.via))
	})
	for i := range gs {
		s.spread(l, pl, &gs[i])
	}
}

// sharing takes a line that the plan changes into the set, where it shares documents.
func (s *spreading) sharing(l *Ledger, pl *plan, c *lineChange[SupplyLine], gone []string) {
	if !slices.Contains(gone, c.id) && slices.ContainsFunc(c.after.Entries, func(e SupplyEntry) bool { return e.Shared }) {
		s.line(l, pl, c.id)
	}
}

// maxTogether lines are made anew at once. What lies further along a chain of shared documents
// stays as it was spread last.
const maxTogether = 256

// reach are the groups of the lines of the set, and of the lines that they lead to in turn.
func (s *spreading) reach(l *Ledger, pl *plan, gone []string) (gs []group) {
	var known []int64
	add := func(via int64) {
		if via = l.repVia(pl, via); slices.Contains(known, via) {
			return
		}
		known = append(known, via)
		g := group{via: via, lines: l.listOf(pl, hashOfVia(via))}
		g.lines = slices.DeleteFunc(g.lines, func(id string) bool { return slices.Contains(gone, id) })
		more := len(s.afters)
		for _, id := range g.lines {
			if !s.has(id) {
				more++
			}
		}
		if len(g.lines) <= maxShared && more <= maxTogether {
			for _, id := range g.lines {
				s.line(l, pl, id)
			}
			gs = append(gs, g)
		}
	}
	for i := range pl.lists {
		if pl.lists[i].same == "" {
			add(viaOf(pl.lists[i].hash))
		}
	}
	for i := 0; i < len(s.afters); i++ {
		for _, e := range s.afters[i].Entries {
			if e.Shared {
				add(e.Via)
			}
		}
	}
	for i := range gs {
		g := &gs[i]
		for _, ln := range s.afters { // that has a part of it and is not on its list
			if !slices.Contains(g.lines, ln.ID) && slices.ContainsFunc(ln.Entries, func(e SupplyEntry) bool { return e.Shared && l.repVia(pl, e.Via) == g.via }) {
				g.lines = append(g.lines, ln.ID)
			}
		}
	}
	return slices.DeleteFunc(gs, func(g group) bool { return len(g.lines) < 2 })
}

func (s *spreading) has(id string) bool {
	return slices.ContainsFunc(s.afters, func(ln *SupplyLine) bool { return ln.ID == id })
}

// end recomputes what is open of the lines. Those that stay as they were leave the set.
func (s *spreading) end(l *Ledger, pl *plan) *Fault {
	n := 0
	for i, ln := range s.afters {
		if old := s.olds[i]; old != nil && slices.Equal(old.Refs, ln.Refs) && slices.Equal(old.Entries, ln.Entries) {
			continue
		}
		s.olds[n], s.afters[n] = s.olds[i], ln
		n++
	}
	s.olds, s.afters = s.olds[:n], s.afters[:n]
	for i, ln := range s.afters {
		if f := checkEntries(ln.Entries); f != nil {
			return f
		}
		ln.Open = open(ln.Entries)
		var olds []*SupplyLine
		if s.olds[i] != nil {
			olds = s.olds[i : i+1]
		}
		if l.tooManySupply(pl, olds, ln) {
			return nil
		}
		if f := l.reopen(pl, olds, ln); f != nil {
			return f
		}
	}
	return nil
}

// keep puts the lines into the plan, but for its own.
func (s *spreading) keep(pl *plan) {
	pl.shared = slices.DeleteFunc(pl.shared, func(c lineChange[SupplyLine]) bool {
		return slices.ContainsFunc(s.afters, func(ln *SupplyLine) bool { return ln.ID == c.id })
	})
	for _, ln := range s.afters {
		if ln.ID != pl.supply.id {
			pl.shared = append(pl.shared, lineChange[SupplyLine]{id: ln.ID, after: ln})
		}
	}
}

// was are the lines that there were.
func (s *spreading) was() (olds []*SupplyLine) {
	for _, ln := range s.olds {
		if ln != nil {
			olds = append(olds, ln)
		}
	}
	return olds
}
