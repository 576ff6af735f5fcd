package inventory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// aside is what is looked up of an event that waits; the event itself is a piece.
type aside struct {
	kind        string // of its piece
	n           int64
	id          uint64 // HashID
	content     uint32
	document    uint64 // it and its successors; 0: none
	reservation uint64
	refs        []uint64
	waits       uint64 // HashID of the event it reverses
	code        Code
	count       bool
	until       Instant
	out         Quantity // it would take from on_hand
	from        Location
	at          Instant
	weight      int32
}

func asideOf(kind string, n int64, k *Kept) aside {
	ev := &k.Event
	a := aside{
		kind: kind, n: n, id: HashID(ev.ID), content: ContentHash(ev), code: k.Code, until: k.Until,
		count: ev.Kind == KindCount,
		at:    when(ev), weight: weighKept(k),
	}
	a.document, a.reservation = chains(ev)
	a.out, a.from = parkedOut(ev)
	if m := ev.Movement; m != nil && m.Reverses != "" {
		a.waits = HashID(m.Reverses)
	}
	for i := range ev.Refs {
		a.refs = append(a.refs, refDigest(&ev.Refs[i]))
	}
	return a
}

// chains name what an event's successors share with it: the document, whatever its
// revision, and the reservation.
func chains(ev *Event) (document, reservation uint64) {
	if d := &ev.Document; d.Number != "" {
		document = uint64(digest(1).text(string(ev.Source)).text(d.Type).text(d.Number)) | 1
	}
	if r := ev.Reservation; r != nil {
		reservation = uint64(digest(2).text(r.ID)) | 1
	}
	return document, reservation
}

func refDigest(r *Ref) uint64 {
	return uint64(digest(3).text(r.Issuer).text(r.Type).text(r.Number).text(r.Line))
}

func (a *aside) follows(b *aside) bool {
	return a.document != 0 && a.document == b.document || a.reservation != 0 && a.reservation == b.reservation
}

// queue is what waits, in the order it was set aside. It is read when it is first
// needed, before anything is changed of it.
func (l *Ledger) queue() []aside {
	x := l.lasting()
	if x.read || l.head.Queue.Parked+l.head.Queue.Held == 0 {
		return x.aside
	}
	x.read = true
	for _, kind := range [2]string{PieceParked, PieceWaiting} {
		l.pieces.Names(kind, "", func(name string) bool {
			n, err := strconv.ParseInt(name, 10, 64)
			if k := l.pieces.Kept(kind, n); err == nil && k != nil {
				x.aside = append(x.aside, asideOf(kind, n, k))
			}
			return true
		})
	}
	slices.SortFunc(x.aside, func(a, b aside) int { return cmp.Compare(a.n, b.n) })
	return x.aside
}

// behind says whether an event that waits is of the same document or reservation.
func (l *Ledger) behind(ev *Event) bool {
	switch ev.Kind {
	case KindApproval, KindTick, KindControl:
		return false
	case KindMovement, KindCount, KindDemand, KindSupply, KindReservation, KindSetting:
	}
	a := aside{id: HashID(ev.ID), count: ev.Kind == KindCount}
	a.document, a.reservation = chains(ev)
	q := l.queue()
	return blocked(q, len(q), &a)
}

// blocked says whether one of the first n events that wait keeps another waiting:
// it is of the same document or reservation, and does not itself wait for that one.
// A later count takes the place of one that is held.
func blocked(q []aside, n int, a *aside) bool {
	var free []bool
	for i := range q[:n] {
		if !a.follows(&q[i]) || a.count && (q[i].code == CodeGuard || q[i].code == CodeUnconfirmed) {
			continue
		}
		if free == nil {
			free = awaiting(q, a.id)
		}
		if !free[i] {
			return true
		}
	}
	return false
}

// awaiting are the events that cannot be decided before another one: they reverse
// it, or they reverse or follow one of these.
func awaiting(q []aside, id uint64) []bool {
	in := make([]bool, len(q))
	var next []int
	for i := range q {
		if id != 0 && q[i].waits == id {
			in[i] = true
			next = append(next, i)
		}
	}
	for len(next) > 0 {
		j := next[0]
		next = next[1:]
		for i := range q {
			if a := &q[i]; !in[i] && (a.waits != 0 && a.waits == q[j].id || j < i && a.code == CodeBehind && a.follows(&q[j])) {
				in[i] = true
				next = append(next, i)
			}
		}
	}
	return in
}

// keptByID finds an event that waits, or -1.
func (l *Ledger) keptByID(id uint64) int {
	return slices.IndexFunc(l.queue(), func(a aside) bool { return a.id == id })
}

// keep sets an event aside.
func (l *Ledger) keep(k *Kept) {
	l.queue() // before anything is changed of it
	q := &l.head.Queue
	a := asideOf(pieceOf(k.Code), q.Next, k)
	q.Next++
	if a.kind == PieceParked {
		q.Parked++
	} else {
		q.Held++
	}
	q.Bytes += a.weight
	if a.from != "" {
		a.from = l.name(a.from)
	}
	l.last.aside, l.last.read = append(l.last.aside, a), true
	l.awaited()
	l.extra().kept.set(keptName(&a), k)
}

// takeOut ends the waiting of an event and returns it.
func (l *Ledger) takeOut(i int) {
	a := l.last.aside[i]
	q := &l.head.Queue
	if a.kind == PieceParked {
		q.Parked--
	} else {
		q.Held--
	}
	if q.Bytes -= a.weight; q.Parked+q.Held == 0 {
		q.Bytes = 0
	}
	l.extra().kept.set(keptName(&a), nil)
	l.last.aside = slices.Delete(l.last.aside, i, i+1)
	l.awaited()
}

// kept is the piece of an event that waits.
func (l *Ledger) kept(a *aside) *Kept {
	c, name := &l.extra().kept, keptName(a)
	i, ok := c.find(name)
	if !ok {
		c.insert(i, name, l.pieces.Kept(a.kind, a.n))
	}
	return c.slots[i].val
}

// keptName names a piece so that the names are sorted as the numbers are.
func keptName(a *aside) string {
	const digits = 19
	n := number(a.n)
	return a.kind + "0000000000000000000"[:digits-len(n)] + n
}

// keptPiece is the piece of a name.
func keptPiece(name string) (kind, n string) {
	if n = strings.TrimLeft(name[1:], "0"); n == "" {
		n = "0"
	}
	return name[:1], n
}

// parkedOut is what waiting movements would take from a location's on_hand, but for
// what a count has found gone already.
func (l *Ledger) parkedOut(st *LocationState) Quantity { return l.parkedAfter(st, 0) }

// parkedAfter is parkedOut once a count as of a time has found what it did.
func (l *Ledger) parkedAfter(st *LocationState, counted Instant) Quantity {
	var sum Quantity
	looked := false
	q := l.queue()
	for i := range q {
		a := &q[i]
		if a.out == 0 || a.from != st.Location || a.at <= counted {
			continue
		}
		if a.at > st.lastCount().AsOf { // no count is of later: nothing to look for
			sum = saturate(sum, a.out)
			continue
		}
		if !looked {
			looked = true
			for _, m := range l.marks(st, 0) {
				if m.state == OnHand {
					counted = max(counted, m.at)
				}
			}
		}
		if a.at > counted {
			sum = saturate(sum, a.out)
		}
	}
	return sum
}
