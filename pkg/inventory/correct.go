package inventory

import (
	"slices"
	"strconv"
)

// A document in a newer revision takes the place of the older one, whatever line that
// was about: its entry there goes. An older one that comes late says nothing of its own
// line but which refs are one, so any order of revisions ends alike.

// documentRef names, among the refs of a key, the line on which a document of a source
// that has revisions stands with a stage. No ref of an event has such a type.
func documentRef(kind string, r *report) Ref {
	stage := r.stage
	if stage.short() {
		stage = StageShort
	}
	return Ref{Issuer: string(r.source), Type: "\x00" + kind, Number: strconv.FormatUint(r.document, 16), Line: string(stage)}
}

// documentRefs are those of the entries that have revisions. The first revision has
// none: it is looked for when a second one comes.
func documentRefs[E reported](kind string, es []E) (refs []Ref) {
	for i := range es {
		if r := es[i].report(); r.revision != "" {
			refs = append(refs, documentRef(kind, &r))
		}
	}
	return refs
}

// appendHashes adds the hashes of refs.
func appendHashes(links []string, refs []Ref) []string {
	for _, ref := range refs {
		links = append(links, RefHash(ref))
	}
	return links
}

// leadsTo adds the name of a report's document to the links of the line it stands on,
// where nothing leads there yet.
func (l *Ledger) leadsTo(links []string, kind, id string, r *report) []string {
	if h := RefHash(documentRef(kind, r)); l.target(kind, h) != id {
		links = append(links, h)
	}
	return links
}

// same says whether reports are revisions of one document's word on a stage.
func (r *report) same(x *report) bool {
	return r.source == x.source && r.document == x.document && sameStage(r.stage, x.stage)
}

// latest finds, among entries, the revision in which a report's document stands.
func latest[E reported](es []E, r *report) (revision string, ok bool) {
	for i := range es {
		if x := es[i].report(); x.same(r) && (!ok || compareRevisions(x.revision, revision) > 0) {
			revision, ok = x.revision, true
		}
	}
	return revision, ok
}

// elsewhere is the line, but for those that refs name, on which a report's document
// stands in another revision; empty: none. A first revision without a number is found
// as long as its id is remembered.
func (l *Ledger) elsewhere(ev *Event, pl *plan, kind string, refs []Ref, r *report) string {
	id := l.target(kind, RefHash(documentRef(kind, r)))
	if id == "" && r.revision != "" {
		first := ev.Document
		first.Revision = ""
		if _, known := l.seen(HashID(documentID(ev.Source, &first))); known {
			id = l.firstOf(kind, r)
		}
	}
	if id == "" || len(refs) > 0 && slices.Contains(l.resolve(pl, kind, refs).found, id) {
		return ""
	}
	return id
}

// firstOf looks through the key's lines for the one on which the first revision of a
// report's document stands.
func (l *Ledger) firstOf(kind string, r *report) string {
	for _, id := range l.namesAfter(kind, "", 1<<31-1) {
		var ok bool
		if kind == PieceLine {
			_, ok = latest(l.line(id).Entries, r)
		} else {
			_, ok = latest(l.supplyLine(id).Entries, r)
		}
		if ok {
			return id
		}
	}
	return ""
}

// whereabouts say what becomes of an entry on a line.
type whereabouts uint8

const (
	stays whereabouts = iota
	went              // in a newer revision: here nothing of it is
	left              // it stood here in an older one
)

// replaceElsewhere takes what an older revision of the entry's document says off another
// demand line, or finds a newer one there.
func (l *Ledger) replaceElsewhere(ev *Event, refs []Ref, pl *plan, e *LineEntry) (as whereabouts, changed bool, f *Fault) {
	r := e.report()
	id := l.elsewhere(ev, pl, PieceLine, refs, &r)
	if id == "" {
		return stays, false, nil
	}
	ln := l.planned(pl, id)
	if revision, _ := latest(ln.Entries, &r); compareRevisions(e.Revision, revision) <= 0 {
		return went, false, nil
	}
	changed, f = l.setLine(ln.Refs, pl, *e, nil, left)
	return stays, changed, f
}

// replaceSupply is replaceElsewhere of a supply line: es is what one document says. What
// it moved moves back, in the way given.
func (l *Ledger) replaceSupply(ev *Event, pl *plan, in inflow, es []SupplyEntry) (whereabouts, *Fault) {
	r := es[0].report()
	id := l.elsewhere(ev, pl, PieceSupply, ev.Refs, &r)
	if e := l.sharedPart(ev, pl, id, &r); e != nil {
		switch g, shared := l.groupOf(pl, ev.Refs, r.stage); {
		case shared && g.via == l.repVia(pl, e.Via):
			return stays, nil // it is made anew of all lines
		case compareRevisions(r.revision, e.Revision) <= 0:
			return went, nil
		default:
			return stays, l.leaveShared(pl, e.Via, in, es)
		}
	}
	if id == "" {
		id = l.apart(ev, pl, &r)
	}
	if id == "" {
		return stays, nil
	}
	ln := l.supplyLine(id)
	if revision, _ := latest(ln.Entries, &r); compareRevisions(r.revision, revision) <= 0 {
		return went, nil
	}
	after := &SupplyLine{ID: ln.ID, Refs: ln.Refs, Entries: slices.Clone(ln.Entries)}
	for i := range es {
		r := es[i].report()
		after.Entries = slices.DeleteFunc(after.Entries, func(x SupplyEntry) bool { y := x.report(); return y.same(&r) })
	}
	after.Open = open(after.Entries)
	pl.before = &lineChange[SupplyLine]{id: id, after: after}
	if f := l.reopen(pl, []*SupplyLine{ln}, after); f != nil {
		return stays, f
	}
	return stays, l.inflow(pl, []*SupplyLine{ln}, []*SupplyLine{after}, in)
}
