package inventory

import "slices"

// oneHold leaves one hold among the lines that an event joins: a line has room for
// one. What the others hold ends when an order stands on the line; see replaceHolds.
func (l *Ledger) oneHold(pl *plan, r *resolved) {
	if len(r.found) < 2 {
		return
	}
	kept := r.found[:0:0]
	held := false
	for _, id := range r.found {
		ln := l.planned(pl, id)
		if ln.Held != nil && held {
			// The ref that led there belongs to the line of the event from now on.
			for i := range r.to {
				if r.to[i] == id {
					r.to[i] = ""
				}
			}
			continue
		}
		held = held || ln.Held != nil
		kept = append(kept, id)
	}
	r.found = kept
}

// replaceHolds lets an order take the place of whatever reservations its line names
// hold elsewhere, so that nothing is claimed twice, whichever came first. What was
// leaves under the reservation's name alone counts for the order, before it and after
// it, though the reservation is over. It returns the lines that the order's line
// replaces, and the hashes of the refs that it takes from them.
func (l *Ledger) replaceHolds(pl *plan, r *resolved, olds []*Line, after *Line) (_ []*Line, links []string, _ *Fault) {
	if !after.ordered() {
		return olds, nil, nil
	}
	for i := range len(after.Refs) {
		ref := after.Refs[i]
		if ref.Type != refReservation {
			continue
		}
		for _, h := range l.holds(pl, ref.Number, 1) {
			if h.id == r.id || slices.Contains(r.found, h.id) || !h.line.holding() && len(h.line.Entries) == 0 ||
				ref.Line != "" && ref.Line != h.line.Held.Line || l.named(PieceLine, h.id) {
				continue
			}
			for _, x := range h.line.Entries {
				after.Entries, _ = put(after.Entries, x)
			}
			links = appendHashes(links, documentRefs(PieceLine, h.line.Entries))
			for _, x := range h.line.Refs {
				links = append(links, RefHash(x))
				if !slices.Contains(after.Refs, x) {
					after.Refs = append(after.Refs, x)
				}
			}
			if len(after.Refs) > maxLineRefs {
				return nil, nil, fault(FaultTooMany, "refs", "of one line")
			}
			shell := *h.line
			held := *h.line.Held
			if h.line.holding() {
				held.State = HeldOrdered
			}
			shell.Held, shell.Refs, shell.Entries, shell.Claims, shell.Posted = &held, nil, nil, nil, nil
			pl.change(lineChange[Line]{id: h.id, after: &shell})
			olds = append(slices.Clip(olds), h.line)
		}
	}
	return olds, links, nil
}

// checkBook names a line that is opened beyond the limit: a fact is recorded all the
// same.
func (l *Ledger) checkBook(pl *plan, olds []*Line, after *Line) {
	if pl.policy == nil || len(after.Claims) == 0 || slices.ContainsFunc(olds, func(ln *Line) bool { return len(ln.Claims) > 0 }) {
		return
	}
	if l.head.Book.Lines >= pl.policy.Reservations.maxClaims() {
		pl.code(CodeTooManyClaims)
	}
}

// keepSupply sets a supply line and the book with it.
func (l *Ledger) keepSupply(id string, after *SupplyLine) {
	open := func(ln *SupplyLine) int32 {
		if ln != nil && len(ln.Open) > 0 {
			return 1
		}
		return 0
	}
	l.head.Book.Supplies += open(after) - open(l.supplyLine(id))
	l.extra().supply.set(id, after)
}
