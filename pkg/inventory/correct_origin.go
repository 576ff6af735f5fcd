package inventory

import "slices"

// Codes of demand from a source that is no origin.
const (
	CodeUnlinked Code = "unlinked"  // it waits for its order
	CodeNoOrigin Code = "no_origin" // its order never came; a person decides
)

// link decides what a document of demand from a source that is no origin is taken
// for: a copy, where the origin's order is known; else it waits for it, and then
// claims or stays aside by policy. Facts of what physically happened never wait.
func (l *Ledger) link(p *Policy, ev *Event, pl *plan) (Stage, bool) {
	stage := ev.Demand.Stage
	if stage == Cancelled {
		return stage, true
	}
	if p.Lines.LinkWait == 0 || l.hasOrder(p, ev.Refs, pl) {
		return Allocated, true
	}
	switch {
	case pl.approved, pl.overdue && p.Lines.Unlinked == UnlinkedClaims:
		return Ordered, true
	case pl.overdue:
		pl.hold(CodeNoOrigin, "no origin ordered it within its wait")
	default:
		pl.hold(CodeUnlinked, "it waits for the order of an origin")
		pl.wait.until = pl.now + p.Lines.LinkWait
		if ev.RecordedAt != 0 {
			pl.wait.until = ev.RecordedAt + p.Lines.LinkWait
		}
	}
	return "", false
}

// hasOrder says whether an origin ordered any of the lines that refs name.
func (l *Ledger) hasOrder(p *Policy, refs []Ref, pl *plan) bool {
	r := l.resolve(pl, PieceLine, plainRefs(refs))
	for _, id := range r.found {
		if ln := l.planned(pl, id); ln != nil && p.ordered(ln.Entries) {
			return true
		}
	}
	return false
}

func (p *Policy) ordered(es []LineEntry) bool {
	return slices.ContainsFunc(es, func(e LineEntry) bool { return e.Stage == Ordered && p.IsOrigin(e.Source) })
}

// yield makes what others claimed in the place of an origin copies, once the origin
// has spoken.
func (p *Policy) yield(es []LineEntry) []LineEntry {
	if len(p.Origins) == 0 || !p.ordered(es) ||
		!slices.ContainsFunc(es, func(e LineEntry) bool { return e.Stage == Ordered && !p.IsOrigin(e.Source) }) {
		return es
	}
	kept := make([]LineEntry, 0, len(es))
	var copies []LineEntry
	for _, e := range es {
		if e.Stage == Ordered && !p.IsOrigin(e.Source) {
			e.Stage = Allocated
			copies = append(copies, e)
		} else {
			kept = append(kept, e)
		}
	}
	for _, e := range copies {
		kept, _ = put(kept, e)
	}
	return kept
}
