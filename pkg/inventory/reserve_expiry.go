package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// expiries knows what lapses when, and what is tentative where: what reading all
// lines would tell. It is made of them when it is first needed and follows every
// change from then on, so that neither a confirm nor a full item reads them all.
type expiries struct {
	order     []expiry // by time, then line
	tentative []tentativeAt
	partners  map[string]Quantity // only looked up
	total     Quantity            // tentative, of all partners
}

type expiry struct {
	at   Instant
	line string
}

type tentativeAt struct {
	location Location
	buckets  []Bucket // by due day alone
}

// soon is the index of what lapses. Where nothing does it reads nothing.
func (l *Ledger) soon() *expiries {
	if l.expiring != nil {
		return l.expiring
	}
	x := &expiries{partners: map[string]Quantity{}}
	if l.head.Book.Tentative > 0 {
		inHand := &l.extra().lines
		l.pieces.Lines(func(ln *Line) bool {
			if _, ok := inHand.find(ln.ID); !ok {
				x.put(ln, 1)
			}
			return true
		})
		for i := range inHand.slots {
			x.put(inHand.slots[i].val, 1)
		}
	}
	l.expiring = x
	return x
}

// put adds a line (sign 1) or takes it out (sign -1).
func (x *expiries) put(ln *Line, sign Quantity) {
	if at := ln.expires(); at != 0 {
		e := expiry{at: at, line: ln.ID}
		i, found := slices.BinarySearchFunc(x.order, e, func(a, b expiry) int {
			return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.line, b.line))
		})
		switch {
		case sign > 0 && !found:
			e.line = strings.Clone(e.line)
			x.order = slices.Insert(x.order, i, e)
		case sign < 0 && found && i == 0: // many lapse at once, from the front
			x.order = x.order[1:]
		case sign < 0 && found:
			x.order = slices.Delete(x.order, i, i+1)
		}
	}
	if !ln.tentative() {
		return
	}
	for _, c := range ln.Claims {
		i, found := slices.BinarySearchFunc(x.tentative, c.Location, func(t tentativeAt, n Location) int {
			return strings.Compare(string(t.location), string(n))
		})
		if !found {
			x.tentative = slices.Insert(x.tentative, i, tentativeAt{location: c.Location})
		}
		t := &x.tentative[i]
		// The sum of all claims at a location is within range, so that of some is.
		t.buckets, _ = addBucket(t.buckets, Bucket{Due: ln.Due, Quantity: sign * c.Quantity})
		if len(t.buckets) == 0 {
			x.tentative = slices.Delete(x.tentative, i, i+1)
		}
		x.total += sign * c.Quantity
		if q := x.partners[ln.Held.Partner] + sign*c.Quantity; q == 0 {
			delete(x.partners, ln.Held.Partner)
		} else {
			x.partners[strings.Clone(ln.Held.Partner)] = q
		}
	}
}

// at is what is tentative at a location.
func (x *expiries) at(name Location) []Bucket {
	for i := range x.tentative {
		if x.tentative[i].location == name {
			return x.tentative[i].buckets
		}
	}
	return nil
}

// keepLine sets a line and the book with it: how many lines have an open claim, how many
// lapse, and when the first does.
func (l *Ledger) keepLine(id string, after *Line) {
	b := &l.head.Book
	before := l.line(id)
	b.Lines += count(after) - count(before)
	was, is := before.expires(), after.expires()
	if was != 0 || is != 0 {
		x := l.soon() // before the book changes: it says whether there is anything to read
		if before != nil {
			x.put(before, -1)
		}
		if after != nil {
			x.put(after, 1)
		}
		b.Tentative = int32(len(x.order)) //nolint:gosec // at most the open claims of one item
		b.ExpiresAt = 0
		if len(x.order) > 0 {
			b.ExpiresAt = x.order[0].at
		}
	}
	l.extra().lines.set(id, after)
}

// count is 1 for a line with an open claim.
func count(ln *Line) int32 {
	if ln != nil && len(ln.Claims) > 0 {
		return 1
	}
	return 0
}
