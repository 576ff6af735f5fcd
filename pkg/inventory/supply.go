package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// decideSupply takes what a document says of a supply line. Where title passes at
// origin, an advice also moves what it advises from the supplier into in_transit.
func (l *Ledger) decideSupply(p *Policy, ev *Event, pl *plan) *Fault {
	s := ev.Supply
	pl.order = p.Counts.order(ev.Source, 0)
	e := SupplyEntry{
		Source: ev.Source, Location: s.Location, Document: documentHash(&ev.Document),
		Revision: ev.Document.Revision, Stage: s.Stage, Quantity: s.Quantity, Due: s.Due, At: pl.at,
	}
	es := []SupplyEntry{e}
	if s.Stage == Expected && p.titleAtOrigin(ev.Source, s.Location) && !ofTransfer(ev.Refs) {
		e.Stage, e.Due = StageDespatched, 0
		es = append(es, e)
	}
	in := inflow{from: Place{Account: Supplier}, typ: Receipt}
	olds, afters, f := l.decideSupplyLine(ev, pl, in, es...)
	if f != nil || pl.supply == nil || len(olds) == 1 && len(afters) == 1 && len(es) == 1 && pl.before == nil && len(pl.shared) == 0 {
		return f
	}
	if f := l.inflow(pl, olds, afters, in); f != nil {
		return f
	}
	return l.restateAll(pl)
}

// ofTransfer says whether goods come from another location of the entity's.
func ofTransfer(refs []Ref) bool {
	return slices.ContainsFunc(refs, func(r Ref) bool { return r.Type == "transfer" })
}

// decideReceived takes a movement that belongs to a supply line: the line moves
// the difference to what it has received already, so a second source's copy of a
// receipt moves nothing. It counts as a report of by's. q is negative for a reversal;
// mv is the movement as stated.
func (l *Ledger) decideReceived(ev *Event, by Source, pl *plan, mv Move, q Quantity) *Fault {
	e := SupplyEntry{
		Source: by, Location: ev.Movement.Location, Document: documentHash(&ev.Document),
		Revision: ev.Document.Revision, Stage: StageReceived, Quantity: q, At: pl.at, Sequence: ev.sequenceOf(by),
		State: mv.To.Account,
	}
	in := inflow{from: mv.From, typ: mv.Type, reason: mv.Reason}
	if q < 0 {
		e.State, in.from, in.typ = mv.From.Account, mv.To, Receipt
	}
	olds, afters, f := l.decideSupplyLine(ev, pl, in, e)
	if f != nil || pl.supply == nil {
		return f
	}
	if f := l.inflow(pl, olds, afters, in); f != nil {
		return f
	}
	return l.restateAll(pl)
}

// decideSupplyLine recomputes a line with what a document says, and what is still
// to come of it. It returns the lines as they were and as they will be: those that share
// a document with it as well. What an older revision of the
// document says of another line is taken out of that, in the way given.
func (l *Ledger) decideSupplyLine(ev *Event, pl *plan, in inflow, es ...SupplyEntry) (olds, afters []*SupplyLine, f *Fault) {
	refs := ev.Refs
	if f := l.unite(pl, refs); f != nil {
		return nil, nil, f
	}
	united := len(pl.lists) > 0
	as, f := l.replaceSupply(ev, pl, in, es)
	if f != nil {
		return nil, nil, f
	}
	if g, shared := l.groupOf(pl, refs, es[0].Stage); shared {
		return l.decideShared(ev, pl, g, as, es)
	}
	via := l.viaOfRefs(pl, refs)
	alone := via != 0 && !slices.ContainsFunc(refs, func(r Ref) bool { return names(PieceSupply, r.Type) })
	r := l.resolve(pl, PieceSupply, refs)
	if united && len(r.found) == 0 {
		r.id = hashOfVia(via)
	}
	pl.line = r.id
	var oldRefs [][]Ref
	var moved []Ref
	var n int
	for _, id := range r.found {
		ln := l.plannedSupply(pl, id)
		olds = append(olds, ln)
		oldRefs = append(oldRefs, ln.Refs)
		n += len(ln.Entries)
	}
	entries := make([]SupplyEntry, 0, n+len(es))
	for i, ln := range olds {
		if i == 0 {
			entries = append(entries, ln.Entries...)
			continue
		}
		for _, x := range ln.Entries {
			entries, _ = put(entries, x)
			if x.Shared {
				l.relist(pl, hashOfVia(x.Via), []string{r.id}, []string{ln.ID})
			}
		}
		moved = append(moved, documentRefs(PieceSupply, ln.Entries)...)
	}
	newest := false
	for _, e := range es {
		if as == went {
			break
		}
		var newer bool
		e.Via, e.Shared = via, alone
		entries, newer = put(entries, e)
		newest = newest || newer
	}
	if f := checkEntries(entries); f != nil {
		return nil, nil, f
	}
	all, links, f := l.join(&r, refs, oldRefs)
	if f != nil {
		return nil, nil, f
	}
	links = appendHashes(links, moved)
	if united {
		l.relist(pl, hashOfVia(via), []string{r.id}, r.found[min(1, len(r.found)):])
	}
	for i := range refs {
		if to := r.to[i]; to != "" && !names(PieceSupply, refs[i].Type) && !slices.Contains(r.found, to) {
			l.relist(pl, r.hashes[i], []string{r.id}, nil) // it leads to both
			if viaOf(r.hashes[i]) != via {
				all = withRef(all, refs[i]) // for sweep
			}
		}
	}
	if !newest {
		pl.supersede()
		if len(olds) == 1 && len(all) == len(oldRefs[0]) && len(pl.lists) == 0 {
			return nil, nil, nil
		} // what it says of refs holds all the same
	}
	for _, e := range es {
		if x := e.report(); newest && e.Revision != "" {
			links = l.leadsTo(links, PieceSupply, r.id, &x)
		}
	}
	after := &SupplyLine{ID: r.id, Refs: all, Entries: entries, Open: open(entries)}
	if l.tooManySupply(pl, olds, after) {
		return nil, nil, nil
	}
	pl.supply = &lineChange[SupplyLine]{id: r.id, after: after, links: links}
	if len(r.found) > 1 {
		pl.supply.gone = r.found[1:]
	}
	return l.respread(pl, olds)
}

// reopen replaces what is expected of lines by what is of the one they become.
func (l *Ledger) reopen(pl *plan, olds []*SupplyLine, after *SupplyLine) *Fault {
	if len(olds) == 1 && slices.Equal(olds[0].Open, after.Open) {
		return nil
	}
	for _, ln := range olds {
		for _, o := range ln.Open {
			if f := pl.expect(l, o, -o.Quantity); f != nil {
				return f
			}
		}
	}
	for _, o := range after.Open {
		if f := pl.expect(l, o, o.Quantity); f != nil {
			return f
		}
	}
	return nil
}

// open computes what is still to come of a supply line. An advice details part of
// the order and never adds to it; the line is the larger of both. What was
// received takes first what was advised, then what is due first; what was closed
// takes what is due last. Undated quantity comes last of all.
func open(es []SupplyEntry) []SupplyOpen {
	ordered := scheduled(es, Ordered)
	advised := scheduled(es, Expected)
	for i := range advised {
		take(ordered, advised[i].Location, advised[i].Quantity)
	}
	all := append(advised, ordered...)
	var received, closed []SupplyOpen
	for _, name := range places(nil, es) {
		received = append(received, SupplyOpen{Location: name, Quantity: reached(es, StageReceived, name, forever)})
	}
	for _, c := range scheduled(es, Closed) {
		closed = append(closed, SupplyOpen{Location: c.Location, Quantity: c.Quantity})
	}
	takeAll(all, received)
	slices.Reverse(all)
	takeAll(all, closed)

	slices.SortFunc(all, func(a, b SupplyOpen) int {
		return cmp.Or(strings.Compare(string(a.Location), string(b.Location)), cmp.Compare(a.Due, b.Due))
	})
	kept := all[:0]
	for _, o := range all {
		if n := len(kept); n > 0 && kept[n-1].Location == o.Location && kept[n-1].Due == o.Due {
			kept[n-1].Quantity += o.Quantity
		} else if o.Quantity > 0 {
			kept = append(kept, o)
		}
	}
	return kept
}

// scheduled is what the leading source says of a stage, by due day, undated last.
func scheduled(es []SupplyEntry, stage Stage) []SupplyOpen {
	var os []SupplyOpen
	source := leading(es, stage)
	for i := range es {
		if e := &es[i]; e.Stage == stage && e.Source == source && e.Quantity > 0 {
			os = append(os, SupplyOpen{Location: e.Location, Due: e.Due, Quantity: e.Quantity})
		}
	}
	slices.SortFunc(os, func(a, b SupplyOpen) int {
		return cmp.Or(
			cmp.Compare(flag(a.Due == 0), flag(b.Due == 0)), cmp.Compare(a.Due, b.Due),
			strings.Compare(string(a.Location), string(b.Location)), cmp.Compare(a.Quantity, b.Quantity),
		)
	})
	return os
}

// takeAll takes quantities at their own locations first, and what is left of each
// from the others.
func takeAll(from []SupplyOpen, what []SupplyOpen) {
	var rest Quantity
	for i := range what {
		rest += takeAt(from, what[i].Location, what[i].Quantity)
	}
	takeAny(from, rest)
}

// take takes quantity at a location first, then elsewhere.
func take(from []SupplyOpen, at Location, q Quantity) { takeAny(from, takeAt(from, at, q)) }

func takeAt(from []SupplyOpen, at Location, q Quantity) Quantity {
	for i := range from {
		if from[i].Location == at {
			t := min(q, from[i].Quantity)
			from[i].Quantity -= t
			q -= t
		}
	}
	return q
}

func takeAny(from []SupplyOpen, q Quantity) {
	for i := range from {
		t := min(q, from[i].Quantity)
		from[i].Quantity -= t
		q -= t
	}
}

// expect adds to the dated supply of a location; undated supply is never promised.
func (pl *plan) expect(l *Ledger, o SupplyOpen, q Quantity) *Fault {
	if o.Due == 0 {
		return nil
	}
	lc := pl.local(l, o.Location)
	if !lc.newSupply {
		lc.newSupply = true
		if lc.now != nil {
			lc.supply = slices.Clone(lc.now.Supply())
		}
	}
	bs, err := addBucket(lc.supply, Bucket{Due: o.Due, Quantity: q})
	if err != nil {
		return overflow("supply.quantity")
	}
	lc.supply = bs
	return nil
}
