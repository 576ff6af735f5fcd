package inventory

import (
	"slices"
	"strconv"
)

// CodeRevised says of a corrected movement that what its last revision moved is not
// known any more, so that a person decides: dropped it changes nothing; applied, once
// the last revision has been reversed by its id, it counts in full.
const CodeRevised Code = "revised"

// correct takes back what an older revision of a movement's document moved, and says
// whether the movement is at its end, because a newer one stands.
//
// A movement of a line is on it by document. One of no line leaves its entries in the
// journal and its id with the hash of what it stated, and that is enough: what it moved
// are the entries from which a movement of the same hash can be made.
func (l *Ledger) correct(ev *Event, pl *plan, r *route) (done bool, f *Fault) {
	first, d := ev.ID, ev.Document
	if d.Revision != "" {
		d.Revision = ""
		first = documentID(ev.Source, &d)
	}
	mark := revisionOf(first)
	last, revised := l.seen(mark)
	rev := ev.Document.Revision
	if revised {
		d.Revision = numberedRevision(last.Content)
	}
	older := revised && (rev == "" || last.Content != 0 && compareRevisions(rev, d.Revision) <= 0)
	switch {
	case rev == "" && !revised:
		return false, nil // as most are
	case !older:
		pl.also = append(pl.also, Seen{ID: mark, Content: revisionNumber(rev)})
	}
	if found, done, f := l.leaveLine(ev, pl, r); found || f != nil {
		return done, f
	}
	switch {
	case l.onLine(ev, pl, r):
		return false, nil
	case older:
		pl.supersede()
		pl.also = append(pl.also, Seen{ID: neverApplied(ev.ID)})
		return true, nil
	}
	old := documentID(ev.Source, &d)
	had, known := l.seen(HashID(old))
	if !known && !revised || pl.approved || l.undone(old) {
		return false, nil
	}
	if known {
		if m, order, ok := l.madeBy(ev, &d, had.Content, r); ok {
			pl.also = append(pl.also, Seen{ID: neverApplied(old)})
			return false, pl.takeBack(l, m, order)
		}
	}
	pl.hold(CodeRevised, "what its last revision moved is not known any more")
	return true, nil
}

// revisionOf is remembered of a document that has revisions, by the id of the first,
// with the number of the last one taken.
func revisionOf(first string) uint64 { return uint64(digest(HashID(first)).text("revision")) }

// undone says whether an event came to nothing, or was reversed.
func (l *Ledger) undone(id string) bool {
	_, never := l.seen(neverApplied(id))
	_, reversed := l.seen(reversalOf(id))
	return never || reversed
}

// reversalOf is remembered of an event that was reversed.
func reversalOf(id string) uint64 { return HashID("reversal of " + id) }

// revisionNumber is one more than a revision that is a number, or 0 where it is none or
// too large.
func revisionNumber(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 || strconv.FormatUint(n, 10) != s {
		return 0
	}
	return uint32(n) + 1
}

// numberedRevision is the opposite; of 0 it is what no document has.
func numberedRevision(n uint32) string {
	if n == 0 {
		return "\x00"
	}
	return strconv.FormatUint(uint64(n-1), 10)
}

// madeBy finds in the journal what a revision d of the event's document moved, as a
// movement of no line: the one whose content has the hash.
func (l *Ledger) madeBy(ev *Event, d *Document, content uint32, r *route) (Move, Order, bool) {
	names := l.Locations()
	own := slices.Index(names, ev.Movement.Location)
	if own > 0 { // where it most likely was
		names[0], names[own] = names[own], names[0]
	}
	was, m := *ev, *ev.Movement
	was.Document, was.Movement = *d, &m
	tos := []Location{m.ToLocation}
	if r.across && len(names) <= MaxHeadLocations {
		tos = names
	}
	for _, name := range names {
		var found Move
		var order Order
		ok := false
		l.history(l.location(name), func(e *Entry) {
			if ok || e.Count || e.suspect() || e.Delta == 0 {
				return
			}
			m = *ev.Movement
			m.Location, m.Sequence, m.Quantity = name, e.order().Sequence, max(e.Delta, -e.Delta)
			was.OccurredAt = e.At
			if r.typ == Adjust {
				m.Quantity = e.Delta
			}
			for _, ends := range [][2]Account{{m.FromState, m.ToState}, {e.State, m.ToState}, {m.FromState, e.State}, {e.State, OnHand}, {OnHand, e.State}} {
				m.FromState, m.ToState = ends[0], ends[1]
				for _, m.ToLocation = range tos {
					for _, was.Refs = range [][]Ref{nil, ev.Refs} {
						if !ok && ContentHash(&was) == content {
							found, order, ok = m.move(r, e.At), e.order(), true
						}
					}
				}
			}
		})
		if ok {
			return found, order, true
		}
	}
	return Move{}, Order{}, false
}

// takeBack moves what a movement moved back: now, and in the journal at its own time.
func (pl *plan) takeBack(l *Ledger, m Move, order Order) *Fault {
	at := m.At
	m.From, m.To, m.At = m.To, m.From, pl.at
	if m.Type != ShortPick { // what is not missed any more is not suspect
		m.Type = Reversal
	}
	if f := pl.move(l, m); f != nil || at == pl.at && order == pl.order {
		return f
	}
	for _, e := range [2]Entry{pl.entry(&m, m.From, -m.Quantity), pl.entry(&m, m.To, m.Quantity)} {
		if e.State.IsState() {
			then := e
			then.At, then.Order = at, order.entry()
			e.Delta = -e.Delta
			pl.entries = append(pl.entries, then, e)
		}
	}
	return nil
}

// onLine says whether the document of a movement with refs stands on a line they name.
func (l *Ledger) onLine(ev *Event, pl *plan, r *route) bool {
	if len(ev.Refs) == 0 || r.line == "" {
		return false
	}
	x := ev.reportOf(r)
	kind := r.lineKind()
	refs := plainRefs(ev.Refs)
	for _, id := range l.resolve(pl, kind, refs).found {
		var ok bool
		if kind == PieceLine {
			_, ok = latest(l.planned(pl, id).Entries, &x)
		} else {
			_, ok = latest(l.supplyLine(id).Entries, &x)
		}
		if ok {
			return true
		}
	}
	return l.elsewhere(ev, pl, kind, refs, &x) != ""
}

// leaveLine takes the older revision of a movement that names no line any more off the
// line it was about, where there is one; done says that a newer one stands there.
func (l *Ledger) leaveLine(ev *Event, pl *plan, r *route) (found, done bool, f *Fault) {
	if len(ev.Refs) > 0 || r.line == "" {
		return false, false, nil
	}
	x := ev.reportOf(r)
	if l.elsewhere(ev, pl, r.lineKind(), nil, &x) == "" {
		return false, false, nil
	}
	var as whereabouts
	if r.lineKind() == PieceLine {
		as, _, f = l.replaceElsewhere(ev, nil, pl, &LineEntry{
			Source: x.source, Document: x.document, Revision: x.revision, Stage: x.stage, Location: ev.Movement.Location, At: pl.at,
		})
	} else {
		mv := ev.Movement.move(r, pl.at)
		in := inflow{from: mv.From, typ: mv.Type, reason: mv.Reason}
		as, f = l.replaceSupply(ev, pl, in, []SupplyEntry{{Source: x.source, Document: x.document, Revision: x.revision, Stage: x.stage}})
	}
	if as == went {
		pl.supersede()
		pl.also = append(pl.also, Seen{ID: neverApplied(ev.ID)})
	}
	return true, as == went, f
}

func (ev *Event) reportOf(r *route) report {
	return report{source: ev.Source, document: documentHash(&ev.Document), revision: ev.Document.Revision, stage: r.line}
}

// lineKind is the kind of piece of the lines that movements of a route are about.
func (r *route) lineKind() string {
	if r.line == StageReceived {
		return PieceSupply
	}
	return PieceLine
}
