package x12

import (
	"slices"
	"strconv"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// inherited is what a loop says, or else the nearest one above it that does.
type inherited struct {
	segments segments
	kinds    kinds
	line     bool // it, or one above it, has an item and a quantity
	above    bool // one above it is a line

	lin                         *x12set.Segment
	prf, po, when, due          string
	tracking, bol, sscc, number string
	to                          Place

	// Of the heading and of the loops above it; its own are among them if they are told,
	// which they are where others need them: each loop may have as many as a line.
	parties []inventory.Attribute
	told    bool
}

// tell keeps the loop's own parties among those of the loops above.
func (from *inherited) tell() {
	from.parties, from.told = from.roles(), true
}

// roles are the parties of the heading and of the loops down to it.
func (from *inherited) roles() []inventory.Attribute {
	if from.told || from.kinds&hasParty == 0 {
		return from.parties
	}
	return roles(from.parties, from.segments)
}

// heir is a loop below one that has said so much.
func (from *inherited) heir(s segments) inherited {
	from.tell()
	h, has := *from, s.kinds()
	h.segments, h.above, h.kinds, h.told = s, from.line, has, false
	if has&hasItem != 0 {
		h.lin = s.seg("LIN")
	}
	if has&hasOrder != 0 {
		h.prf = first(s.prf(), from.prf)
	}
	if has&hasDate != 0 {
		h.when, h.due = first(s.dtm("011"), from.when), first(s.due(), from.due)
	}
	if has&hasReference != 0 {
		h.po, h.bol = first(s.reference("PO"), from.po), first(s.reference("BM"), from.bol)
		h.number = first(s.reference("PK", "BM", "SI"), from.number)
	}
	if has&(hasReference|hasMark) != 0 {
		h.tracking, h.sscc = first(s.tracking(), from.tracking), first(s.sscc(), from.sscc)
	}
	if has&hasParty != 0 {
		h.to = s.place("ST").or(from.to)
	}
	h.line = from.line || has&hasItem != 0 && has&hasShipped != 0
	return h
}

// firstOf is the first of two segments that there is.
func firstOf(a, b *x12set.Segment) *x12set.Segment {
	if a != nil {
		return a
	}
	return b
}

// hierarchy reads HL loops.
func (r *reading) hierarchy() *Fault {
	loops, all := r.m.loops[:0], r.m.inherited[:0]
	r.s.loops(func(_ int, loop segments) {
		h := &loop[0]
		loops = append(loops, format.Loop{Number: h.El(1), Parent: h.El(2), Level: h.El(3)})
		all = append(all, inherited{segments: loop})
	}, "HL")
	r.m.loops, r.m.inherited = loops, all
	if err := format.Hierarchy(loops, true); err != nil {
		return reject("bad_hierarchy", "hl: %v", err)
	}
	var none inherited
	top := none.heir(r.s.until("HL"))
	top.line = false
	for i := range all {
		from := &top
		if above := loops[i].Above; above >= 0 {
			from = &all[above]
		}
		all[i] = from.heir(all[i].segments)
	}
	return nil
}

// shipNotice is an 856: what is on its way.
//
// An HL with a quantity (SN1) is a line, unless one above it is one already: what stands
// below an item divides it and adds nothing. What it does not say itself, the loops above
// it say: the nearest counts.
func (r *reading) shipNotice() *Fault {
	b, fault := r.header("an 856 needs a BSN", "BSN")
	if fault != nil {
		return fault
	}
	if fault := r.hierarchy(); fault != nil {
		return fault
	}
	n := notice{
		number: b.El(2), revision: revision(b.El(1), b.El(3)+b.El(4)), when: When(b.El(3), b.El(4), ""), cancelled: cancels(b.El(1)),
	}
	for i := range r.m.inherited {
		h := &r.m.inherited[i]
		if h.above || h.kinds&hasShipped == 0 || !slices.ContainsFunc(h.segments, func(s x12set.Segment) bool { return s.ID() == "SN1" && s.El(2) != "" }) {
			continue
		}
		lins := 0
		for k := range h.segments {
			if h.segments[k].ID() == "LIN" {
				lins++
			}
		}
		if lins < 2 {
			r.noticed(&n, i, h.segments)
			continue
		}
		h.tell()
		h.segments.loops(func(_ int, own segments) { r.noticed(&n, i, own) }, "LIN")
	}
	return nil
}

// notice is what the heading of a ship notice says.
type notice struct {
	number, revision, when string
	cancelled              bool
}

// noticed makes a line of what stands in loop i.
func (r *reading) noticed(n *notice, i int, own segments) {
	h, at := &r.m.inherited[i], &r.m.loops[i]
	sn := own.seg("SN1")
	if sn == nil {
		return
	}
	lin := firstOf(own.seg("LIN"), h.lin)
	if lin == nil {
		r.fail(h.segments[0].Pos, reject("no_item", "HL %s has a quantity and no LIN, nor has one above it", at.Number))
		return
	}
	item := r.lin(lin)
	po := first(h.prf, item.po, h.po)
	l := r.m.add()
	l.At = sn.Pos
	l.Document = inventory.Document{Type: "856", Number: first(n.number, h.number), Revision: n.revision, Line: first(at.Number, strconv.Itoa(i+1))}
	if l.Document.Number == "" {
		l.Document.Number = r.control()
	}
	l.IDs = item.appendIDs(l.IDs)
	l.Quantity, l.Unit, l.Location = sn.El(2), r.comp(sn, 3), h.to
	l.Ref = r.purchase(po)
	l.known(h.roles())
	l.attribute("bol", h.bol)
	l.attribute("flags", joined(" ", item.flags, at.Flag))
	l.attribute("lot", item.lot)
	if item.lot == "" && h.kinds&hasReference != 0 {
		l.attribute("lot", own.lot())
	}
	l.attribute("ordered", sn.El(5))
	l.attribute("po", po)
	l.attribute("serial", item.serial)
	l.attribute("sscc", h.sscc)
	l.attribute("tracking", h.tracking)
	r.stamp(l, first(h.when, n.when))
	switch said := answerStatus(sn.El(8)); {
	case n.cancelled:
		l.milestone(cancelled, h.due)
		l.About = aboutShipments
	case zero(l.Quantity) && said != acked:
		l.Quantity = first(sn.El(5), l.Quantity)
		l.milestone(said, h.due)
	case po == "":
		l.milestone(shipped, h.due)
	default:
		l.staged(kindSupply, shipped, "expected", h.due)
	}
	r.divide(sdq(own), shipTo)
}

// receivingAdvice is an 861: what was received.
func (r *reading) receivingAdvice() *Fault {
	b, fault := r.header("an 861 needs a BRA", "BRA")
	if fault != nil {
		return fault
	}
	by := "RCD"
	if r.s.index("LIN") < r.s.index("RCD") {
		by = "LIN"
	}
	head := r.s.until(by)
	parties, at, po := roles(nil, head), head.place("RC", "WH", "ST"), first(head.reference("PO"), head.prf())
	when := first(head.dtm("050", "035", "140"), When(b.El(2), b.El(5), ""))
	document := inventory.Document{Type: "861", Number: first(b.El(1), r.control()), Revision: revision(b.El(3), b.El(2)+b.El(5))}
	r.s.loops(func(n int, loop segments) {
		item := r.lin(loop.seg("LIN"))
		order := first(loop.prf(), item.po, loop.reference("PO"), po)
		place, happened := loop.place("RC", "WH", "ST").or(at), first(loop.dtm("050", "035"), when)
		lot, shipment, known := first(item.lot, loop.lot()), loop.reference("SI", "BM", "PK"), roles(parties, loop)
		for i := range loop {
			c := &loop[i]
			if c.ID() != "RCD" {
				continue
			}
			line := func(quantity, unit, behind string) *Line {
				l := r.m.add()
				l.At, l.Document = c.Pos, document
				l.Document.Line = lineNumber(c, n+1) + behind
				l.IDs = item.appendIDs(l.IDs)
				l.Location, l.Quantity, l.Unit, l.Ref = place, quantity, unit, r.purchase(order)
				l.known(known)
				l.attribute("flags", item.flags)
				l.attribute("lot", lot)
				l.attribute("po", order)
				l.attribute("serial", item.serial)
				l.attribute("shipment", shipment)
				r.stamp(l, happened)
				return l
			}
			if q := c.El(2); q != "" {
				line(q, r.comp(c, 3), "").moves("receipt", received)
			}
			if q := c.El(4); q != "" && !zero(q) {
				line(q, r.comp(c, 5), "/returned").milestone(returned, "")
			}
			for k := 6; k < 21; k += 3 {
				if q := c.El(k); q != "" && digitsOf(q) != "" && !zero(q) {
					l := line(q, first(r.comp(c, k+1), r.comp(c, 3)), "/"+strconv.Itoa(k))
					l.milestone(inQuestion, "")
					l.attribute("condition", c.El(k+2))
				}
			}
		}
	}, by)
	return nil
}
