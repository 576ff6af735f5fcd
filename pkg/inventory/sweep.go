package inventory

import (
	"slices"
	"strings"
)

// Closed lines go when they are older than the window, with the refs that name them.
// A pass looks at every line of the key, a few at each event, in the order of their
// names; the head says how far it has come and when the next begins. So what goes
// when is a function of the log, whoever reads it from where.

const (
	sweepStep   = 4  // lines looked at by an event, and so gone at most
	sweepPasses = 16 // within a window
)

// sweep goes on with the pass, or begins one.
func (l *Ledger) sweep(p *Policy) {
	b := &l.head.Book
	kind, after := PieceLine, ""
	if b.Swept != "" {
		kind, after = b.Swept[:1], b.Swept[1:]
	}
	old := l.head.Clock - p.Limits.window()
	for left := sweepStep; ; {
		names := l.namesAfter(kind, after, left)
		for _, name := range names {
			if kind == PieceLine {
				l.sweepLine(name, old)
			} else {
				l.sweepSupply(name, old)
			}
			after = name
		}
		if left -= len(names); left == 0 {
			b.Swept = kind + after
			return
		}
		if kind == PieceSupply {
			break
		}
		kind, after = PieceSupply, ""
	}
	b.Swept, b.SweepAt = "", l.head.Clock+p.Limits.window()/sweepPasses
	if len(l.namesAfter(PieceLine, "", 1)) == 0 && len(l.namesAfter(PieceSupply, "", 1)) == 0 {
		b.SweepAt = 0
	}
}

// toSweep notes that there are lines.
func (l *Ledger) toSweep(p *Policy) {
	if b := &l.head.Book; b.SweepAt == 0 {
		b.SweepAt = max(1, l.head.Clock+p.Limits.window())
	}
}

// sweepLine lets a demand line go on which nothing is open: no claim, nothing off
// the shelf that has not gone out, no hold that may still speak.
func (l *Ledger) sweepLine(id string, old Instant) {
	ln := l.line(id)
	if ln == nil || len(ln.Claims) > 0 {
		return
	}
	for _, po := range ln.Posted {
		if po.Outflow != po.Shipped {
			return
		}
	}
	if ln.expires() != 0 {
		return
	}
	if ln.LastAt() < old && !l.inUse(ln.Held) {
		l.keepLine(id, nil)
		l.sweepRefs(PieceLine, id, append(slices.Clip(ln.leads()), documentRefs(PieceLine, ln.Entries)...))
		l.forgotten(len(ln.Entries), old)
	}
}

// inUse says whether a reservation claims something in any of its places. Until it
// does not, an order that takes its place must find them all.
func (l *Ledger) inUse(h *Held) bool {
	if h == nil || h.Index == 0 && h.Of <= 1 {
		return false
	}
	var none plan
	of := h.Of
	if first := l.hold(&none, h.Reservation, 0).line; first != nil {
		of = first.Held.Of
	}
	for n := range of {
		if at := l.hold(&none, h.Reservation, n).line; at != nil && len(at.Claims) > 0 {
			return true
		}
	}
	return false
}

// forgotten notes that so many documents of a line are, all of before a time. What
// comes of then may be another source's word on the same, so it parks.
func (l *Ledger) forgotten(documents int, old Instant) {
	if documents > 0 {
		l.head.Window.Start = max(l.head.Window.Start, old)
	}
}

// sweepSupply lets a supply line go of which nothing is to come.
func (l *Ledger) sweepSupply(id string, old Instant) {
	ln := l.supplyLine(id)
	if ln == nil || len(ln.Open) > 0 {
		return
	}
	var last Instant
	for i := range ln.Entries {
		last = max(last, ln.Entries[i].At)
	}
	if last < old {
		l.keepSupply(id, nil)
		l.sweepRefs(PieceSupply, id, append(slices.Clip(ln.Refs), documentRefs(PieceSupply, ln.Entries)...))
		for i := range ln.Entries {
			if via := ln.Entries[i].Via; via != 0 {
				l.sweepRef(PieceSupply, id, hashOfVia(via))
			}
		}
		l.forgotten(len(ln.Entries), old)
	}
}

func (l *Ledger) sweepRefs(kind, id string, refs []Ref) {
	for _, ref := range refs {
		l.sweepRef(kind, id, RefHash(ref))
	}
}

// sweepRef forgets that a ref leads to a line that goes; it goes on leading to others.
func (l *Ledger) sweepRef(kind, id, hash string) {
	if kind == PieceSupply {
		hash = l.rep(nil, hash)
	}
	t := l.refTarget(hash)
	switch {
	case t == nil || t.Kind != kind:
	case slices.Contains(t.Lines, id):
		var same []string // names of the same, which go with it
		rest := slices.DeleteFunc(slices.Clone(t.Lines), func(x string) bool {
			if strings.HasPrefix(x, sameName) {
				same = append(same, x)
				return true
			}
			return x == id || !l.there(kind, x)
		})
		if len(rest) == 0 {
			l.extra().refs.set(hash, nil)
			for _, x := range same {
				l.extra().refs.set(x[len(sameName):], nil)
			}
			return
		}
		l.extra().refs.set(hash, &RefTarget{Kind: kind, Line: rest[0], Lines: append(rest, same...)})
	case t.Line == id:
		l.extra().refs.set(hash, nil)
	}
}

// namesAfter are the first n names of lines after one, of those stored and those in
// hand, in the order in which they are stored.
func (l *Ledger) namesAfter(kind, after string, n int) []string {
	var names []string
	in := func(name string, there bool) {
		i, ok := slices.BinarySearchFunc(names, name, byEscape)
		switch {
		case ok && !there:
			names = slices.Delete(names, i, i+1)
		case !ok && there && byEscape(name, after) > 0:
			names = slices.Insert(names, i, name)
		}
	}
	gone := 0 // in hand and deleted: stored ones that do not count
	r := l.extra()
	hand := func(f func(name string, there bool)) {
		if kind == PieceLine {
			for i := range r.lines.slots {
				if s := &r.lines.slots[i]; s.dirty {
					f(s.name, s.val != nil)
				}
			}
			return
		}
		for i := range r.supply.slots {
			if s := &r.supply.slots[i]; s.dirty {
				f(s.name, s.val != nil)
			}
		}
	}
	hand(func(_ string, there bool) {
		if !there {
			gone++
		}
	})
	l.pieces.Names(kind, after, func(name string) bool {
		in(name, true)
		return len(names) < n+gone
	})
	hand(in)
	return names[:min(n, len(names))]
}

func byEscape(a, b string) int { return strings.Compare(Escape(a), Escape(b)) }
