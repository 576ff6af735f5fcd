package inventory

import "slices"

// sharedPart finds a part of what another revision of a document said of several lines,
// on the line given or those that refs lead to; nil: there is none.
func (l *Ledger) sharedPart(ev *Event, pl *plan, id string, r *report) *SupplyEntry {
	var ids []string
	if id != "" {
		ids = append(ids, id)
	}
	if len(ev.Refs) > 0 {
		ids = append(ids, l.resolve(pl, PieceSupply, ev.Refs).found...)
	}
	for _, id := range ids {
		ln := l.supplyLine(id)
		for i := range ln.Entries {
			e := &ln.Entries[i]
			if x := e.report(); e.Shared && x.same(r) && len(l.listOf(pl, hashOfVia(e.Via))) > 1 {
				return e
			}
		}
	}
	return nil
}

// apart is the line on which a document that is shared now stands by itself, in another
// revision that was about that line alone; empty: none.
func (l *Ledger) apart(ev *Event, pl *plan, r *report) string {
	g, shared := l.groupOf(pl, ev.Refs, r.stage)
	for _, id := range g.lines {
		if !shared {
			break
		}
		if ln := l.supplyLine(id); ln != nil && slices.ContainsFunc(ln.Entries, func(e SupplyEntry) bool {
			x := e.report()
			return (!e.Shared || l.repVia(pl, e.Via) != g.via) && x.same(r)
		}) {
			return id
		}
	}
	return ""
}

// leaveShared takes a document that several lines shared off all of them.
func (l *Ledger) leaveShared(pl *plan, via int64, in inflow, es []SupplyEntry) *Fault {
	s := &spreading{}
	for _, id := range l.listOf(pl, hashOfVia(via)) {
		ln := s.line(l, pl, id)
		for i := range es {
			r := es[i].report()
			ln.Entries = slices.DeleteFunc(ln.Entries, func(x SupplyEntry) bool { y := x.report(); return y.same(&r) })
		}
	}
	if f := s.end(l, pl); f != nil {
		return f
	}
	for _, ln := range s.afters {
		pl.shared = append(pl.shared, lineChange[SupplyLine]{id: ln.ID, after: ln})
	}
	return l.inflow(pl, s.was(), s.afters, in)
}
