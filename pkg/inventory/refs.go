package inventory

import "slices"

// resolved says which line an event's refs name.
type resolved struct {
	id     string   // of the line; new when found is empty
	found  []string // lines they name today, id first; the others become part of it
	hashes []string // of the refs, in their order
	to     []string // the lines they name today, or empty
}

// maxLineRefs of one line.
const maxLineRefs = 64

// names says whether a ref of this type names one line by itself. Others (a
// shipment, an ASN) may cover several lines of an item; they only lead to a line
// when nothing better is there.
func names(kind, refType string) bool {
	if kind == PieceLine {
		return refType == "order"
	}
	return refType == "purchase_order" || refType == "transfer"
}

// resolve finds the line of an event. Refs that name several lines join them: the
// documents that tell lines to be one may come after those lines were begun.
func (l *Ledger) resolve(pl *plan, kind string, refs []Ref) resolved {
	r := resolved{hashes: make([]string, len(refs)), to: make([]string, len(refs))}
	strong := -1 // first ref that names a line
	for i := range refs {
		r.hashes[i] = RefHash(refs[i])
		r.to[i] = l.lead(pl, kind, &refs[i], r.hashes[i])
		if strong < 0 && names(kind, refs[i].Type) {
			strong = i
		}
	}
	if strong < 0 {
		for _, id := range r.to {
			if id == "" || slices.Contains(r.found, id) {
				continue
			}
			switch {
			case len(r.found) == 0 || !l.named(kind, id):
				r.found = append(r.found, id)
			case !l.named(kind, r.found[0]):
				r.found = slices.Insert(r.found, 0, id)
			}
		}
		if r.id = r.hashes[0]; len(r.found) > 0 {
			r.id = r.found[0]
		}
		return r
	}
	for i := range refs {
		if names(kind, refs[i].Type) {
			if id := r.to[i]; id != "" && !slices.Contains(r.found, id) {
				r.found = append(r.found, id)
			}
		}
	}
	for i := range refs {
		if !names(kind, refs[i].Type) {
			if id := r.to[i]; id != "" && !l.named(kind, id) && !slices.Contains(r.found, id) {
				r.found = append(r.found, id)
			}
		}
	}
	if r.id = r.hashes[strong]; len(r.found) > 0 {
		r.id = r.found[0]
	}
	return r
}

// target is the line a ref names today, or empty. A line whose id is the ref's own
// hash needs no ref piece.
func (l *Ledger) target(kind, hash string) string {
	if kind == PieceSupply {
		hash = l.rep(nil, hash)
	}
	if t := l.refTarget(hash); t != nil && t.Kind == kind {
		if l.there(kind, t.Line) {
			return t.Line
		}
		for _, id := range t.Lines {
			if l.there(kind, id) {
				return id
			}
		}
	}
	if l.there(kind, hash) {
		return hash
	}
	return ""
}

// refTarget is what a ref leads to, or nil.
func (l *Ledger) refTarget(hash string) *RefTarget {
	c := &l.extra().refs
	i, ok := c.find(hash)
	if !ok {
		c.insert(i, hash, l.pieces.Ref(hash))
	}
	return c.slots[i].val
}

// there says whether a line is kept: one that was swept away is not, even while a ref
// still names it.
func (l *Ledger) there(kind, id string) bool {
	if kind == PieceLine {
		return l.line(id) != nil
	}
	return l.supplyLine(id) != nil
}

// named says whether a line is named by a ref that names one line by itself.
func (l *Ledger) named(kind, id string) bool {
	var refs []Ref
	if kind == PieceLine {
		if ln := l.line(id); ln != nil {
			refs = ln.Refs
		}
	} else if ln := l.supplyLine(id); ln != nil {
		refs = ln.Refs
	}
	return slices.ContainsFunc(refs, func(r Ref) bool { return names(kind, r.Type) })
}

// join gives the refs of the line as it will be, and the hashes that must point to
// it from now on.
func (l *Ledger) join(r *resolved, refs []Ref, lines [][]Ref) (all []Ref, links []string, f *Fault) {
	for i, of := range lines {
		for _, ref := range of {
			if i > 0 { // of a line that becomes part of this one
				if h := RefHash(ref); h != r.id && !slices.Contains(links, h) {
					links = append(links, h)
				}
			}
			if !slices.Contains(all, ref) {
				all = append(all, ref)
			}
		}
	}
	for i, ref := range refs {
		if slices.Contains(all, ref) {
			continue
		}
		if id := r.to[i]; id != "" && !slices.Contains(r.found, id) {
			continue // names another line, and keeps doing so
		}
		all = append(all, ref)
		if r.hashes[i] != r.id {
			links = append(links, r.hashes[i])
		}
	}
	if len(all) > maxLineRefs {
		return nil, nil, fault(FaultTooMany, "refs", "of one line")
	}
	return all, links, nil
}

func (l *Ledger) line(id string) *Line {
	c := &l.extra().lines
	i, ok := c.find(id)
	if !ok {
		c.insert(i, id, l.pieces.Line(id))
	}
	return c.slots[i].val
}

func (l *Ledger) supplyLine(id string) *SupplyLine {
	c := &l.extra().supply
	i, ok := c.find(id)
	if !ok {
		c.insert(i, id, l.pieces.SupplyLine(id))
	}
	return c.slots[i].val
}
