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
// other shared documents take of a line is not looked at.

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

// spread makes the parts of a group's documents anew, with what one says now. It says
// whether that is news.
func (s *spreading) spread(l *Ledger, pl *plan, g *group, es []SupplyEntry) (newest bool) {
	var pool []SupplyEntry
	lines := make([]*SupplyLine, len(g.lines))
	for i, id := range g.lines {
		lines[i] = s.line(l, pl, id)
	}
	slices.SortStableFunc(lines, func(a, b *SupplyLine) int {
		if len(a.Refs) == 0 || len(b.Refs) == 0 {
			return 0
		}
		return compareRefs(orderOf(a), orderOf(b))
	})
	for _, ln := range lines {
		kept := make([]SupplyEntry, 0, len(ln.Entries))
		for _, e := range ln.Entries {
			if e.Shared && e.Via == g.via {
				pool = addPart(pool, e)
			} else {
				kept = append(kept, e)
			}
		}
		ln.Entries = kept
	}
	for _, e := range es {
		var newer bool
		e.Shared, e.Via = true, g.via
		pool, newer = put(pool, e)
		newest = newest || newer
	}
	slices.SortFunc(pool, func(a, b SupplyEntry) int {
		return cmp.Or(strings.Compare(string(a.Source), string(b.Source)), strings.Compare(string(a.Stage), string(b.Stage)),
			strings.Compare(string(a.Location), string(b.Location)), cmp.Compare(a.At, b.At), cmp.Compare(a.Document, b.Document))
	})
	var sum Quantity
	var room []Quantity
	for i, e := range pool {
		if p := &pool[max(0, i-1)]; i == 0 || p.Source != e.Source || p.Stage != e.Stage || p.Location != e.Location {
			sum, room = 0, roomOf(lines, g.via, e.Stage, e.Location)
		}
		from := fill(room, sum)
		sum = saturate(sum, e.Quantity)
		for j, to := range fill(room, sum) {
			part := e
			part.Quantity = to - from[j]
			lines[j].Entries, _ = put(lines[j].Entries, part)
		}
	}
	return newest
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

// roomOf is how much of a stage each line takes at a location.
func roomOf(lines []*SupplyLine, via int64, stage Stage, at Location) []Quantity {
	room := make([]Quantity, len(lines))
	said := false
	own := make([][]SupplyEntry, len(lines))
	for i, ln := range lines {
		for _, e := range ln.Entries {
			if !e.Shared {
				own[i] = append(own[i], e)
				said = said || e.Via == via && e.Stage == Expected
			}
		}
	}
	for i := range lines {
		if said && stage != Expected && stage != StageDespatched {
			by := slices.DeleteFunc(slices.Clone(own[i]), func(e SupplyEntry) bool { return e.Via != via })
			room[i] = max(0, reached(by, Expected, at, forever)-reached(by, stage, at, forever))
			continue
		}
		for _, o := range open(own[i]) {
			room[i] = saturate(room[i], o.Quantity)
		}
	}
	return room
}

// fill spreads a quantity: each takes what it has room for, the last the rest.
func fill(room []Quantity, q Quantity) []Quantity {
	parts := make([]Quantity, len(room))
	for i := range room {
		t := max(0, min(room[i], q))
		parts[i], q = t, q-t
	}
	parts[len(parts)-1] += q
	return parts
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
	gone, more := s.absorb(l, pl, &g)
	newest := s.spread(l, pl, &g, append(more, es...))
	l.relist(pl, hashOfVia(g.via), g.lines, g.begun)
	for _, ref := range ev.Refs {
		if h := RefHash(ref); !names(PieceSupply, ref.Type) && viaOf(h) != g.via {
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

// absorb takes in the lines that were begun before their orders were known. It returns
// them, and what of them is shared by the group.
func (s *spreading) absorb(l *Ledger, pl *plan, g *group) (gone []*SupplyLine, more []SupplyEntry) {
	into := s.line(l, pl, g.lines[0])
	for _, id := range g.begun {
		ln := l.plannedSupply(pl, id)
		gone = append(gone, ln)
		for _, e := range ln.Entries {
			if e.Shared && e.Via == g.via {
				more = append(more, e)
			} else {
				into.Entries, _ = put(into.Entries, e)
			}
		}
		for _, r := range ln.Refs {
			if h := RefHash(r); viaOf(h) != g.via {
				l.relist(pl, h, g.lines, g.begun)
			}
		}
	}
	return gone, more
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
	s.keep(pl)
	return append(olds, rest.was()...), s.afters, nil
}

// again makes the parts anew of whatever is shared by a line of the set or by the one
// that the document left, and of what refs share from now on. gone are lines that are
// no more.
func (s *spreading) again(l *Ledger, pl *plan, gone []string) {
	if c := pl.before; c != nil && slices.ContainsFunc(c.after.Entries, func(e SupplyEntry) bool { return e.Shared }) {
		s.line(l, pl, c.id)
	}
	var vias []int64
	in := map[int64]string{}
	for _, ln := range s.afters {
		for i := range ln.Entries {
			if e := &ln.Entries[i]; e.Shared && !slices.Contains(vias, e.Via) {
				vias = append(vias, e.Via)
				in[e.Via] = ln.ID
			}
		}
	}
	for i := range pl.lists {
		if via := viaOf(pl.lists[i].hash); !slices.Contains(vias, via) {
			vias = append(vias, via)
		}
	}
	slices.Sort(vias)
	for _, via := range vias {
		g := group{via: via, lines: slices.Clone(l.listOf(pl, hashOfVia(via)))}
		g.lines = slices.DeleteFunc(g.lines, func(id string) bool { return slices.Contains(gone, id) })
		if id, ok := in[via]; ok && !slices.Contains(g.lines, id) {
			g.lines = append(g.lines, id)
		}
		if len(g.lines) > 1 && len(g.lines) <= maxShared {
			s.spread(l, pl, &g, nil)
		}
	}
}

// end recomputes what is open of the lines.
func (s *spreading) end(l *Ledger, pl *plan) *Fault {
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
