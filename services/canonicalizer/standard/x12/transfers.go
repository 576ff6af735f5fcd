package x12

import (
	"strconv"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// transferStatus is what a transfer (521; PTD06 says which way) is.
func transferStatus(code, way string) string {
	switch way {
	case "TI":
		return transferIn
	case "TO":
		return transferOut
	case "CD", "DM":
		return returned
	}
	switch code {
	case "BN", "RB", "RP", "RU", "RV":
		return returned
	case "IB", "BJ":
		return transferOut
	case "IA", "SA", "SC", "TD", "BT":
		return adjusted
	case "RC":
		return received
	case "BC", "BD", "BE", "BG", "BH", "BI", "BL", "BM", "CC", "CO", "SM":
		return issued
	}
	return sold
}

// transfers is an 867: what was sold or transferred on.
func (r *reading) transfers() *Fault {
	b, fault := r.header("an 867 needs a BPT", "BPT")
	if fault != nil {
		return fault
	}
	from := []string{"SF", "WH", "DS", "DB", "SE", "RL"}
	days := []string{"003", "011", "035", "187", "514"}
	head := r.s.until("PTD")
	parties, at, when := roles(nil, head), head.place(from...), first(head.dtm("003", "011", "091"), When(b.El(3), "", ""))
	document := inventory.Document{Type: "867", Number: first(b.El(2), r.control()), Revision: revision(b.El(1), b.El(3))}
	r.s.loops(func(n int, loop segments) {
		p := &loop[0]
		if p.El(1) == "PA" || p.El(1) == "PB" {
			return // price adjustments move nothing
		}
		own := loop.until("QTY")
		order, place, day := own.reference("PO", "CO"), own.place(from...).or(at), own.dtm(days...)
		known, ofAll := roles(parties, own), own.seg("LIN")
		lin := ofAll // of the block before
		loop.loops(func(m int, near segments) {
			q := &near[0]
			before := firstOf(lin, ofAll)
			lin = near.seg("LIN")
			of := firstOf(lin, before)
			if ofAll != nil { // each LIN stands in front of its quantities
				of = before
			}
			item := r.lin(of)
			if len(item.pairs) == 0 || q.El(2) == "" {
				return
			}
			status := ""
			switch q.El(1) {
			case "01", "02", "38": // what there is, of what moved
			default:
				status = quantityStatus(q.El(1))
			}
			if status == "" || status == sold {
				status = transferStatus(p.El(1), p.El(6))
			}
			l := r.m.add()
			l.At, l.Document = q.Pos, document
			l.Document.Line = strconv.Itoa(n+1) + "/" + strconv.Itoa(m+1)
			l.IDs = item.appendIDs(l.IDs)
			l.Quantity, l.Unit = q.El(2), first(r.comp(q, 3), r.comp(near.seg("UIT"), 1))
			l.Location = place
			l.known(known)
			l.attribute("flags", item.flags)
			l.attribute("lot", first(item.lot, near.lot()))
			l.attribute("order", order)
			l.attribute("serial", item.serial)
			l.attribute("transfer", p.El(1))
			l.milestone(status, "")
			r.stamp(l, first(near.dtm(days...), day, when))
		}, "QTY")
	}, "PTD")
	return nil
}

// returns is a 180: what is to come back.
func (r *reading) returns() *Fault {
	b, fault := r.header("a 180 needs a BGN", "BGN")
	if fault != nil {
		return fault
	}
	by := "LIN"
	if r.s.seg("BLI") != nil {
		by = "BLI"
	}
	head := r.s.until(by)
	parties, po, rma, when := roles(nil, head), head.prf(), head.reference("RZ", "QJ", "1Z"), When(b.El(3), b.El(4), b.El(5))
	document := inventory.Document{Type: "180", Number: first(b.El(2), r.control()), Revision: revision(b.El(1), b.El(3)+b.El(4))}
	r.s.loops(func(n int, loop segments) {
		s, q := &loop[0], loop.seg("QTY")
		l := r.m.add()
		l.At, l.Document, l.Nth = s.Pos, document, n+1
		l.Quantity, l.Unit = q.El(2), r.comp(q, 3)
		var item item
		if by == "BLI" {
			item = r.bli(s)
			l.Quantity, l.Unit = first(s.El(3), l.Quantity), first(r.comp(s, 4), l.Unit)
		} else {
			item = r.lin(s)
		}
		l.IDs = item.appendIDs(l.IDs)
		l.known(roles(parties, loop))
		reason := loop.seg("RDR")
		l.attribute("disposition", reason.El(1))
		l.attribute("flags", item.flags)
		l.attribute("lot", item.lot)
		l.attribute("po", first(loop.prf(), po))
		l.attribute("reason", reason.El(2))
		l.attribute("rma", first(loop.reference("RZ", "QJ", "1Z"), rma))
		l.attribute("serial", item.serial)
		l.milestone(returnRequested, "")
		r.stamp(l, when)
	}, by)
	return nil
}

// bli is the item of a BLI: a pair at its beginning, others behind its price.
func (r *reading) bli(s *x12set.Segment) item {
	if s.El(1) == "" || s.El(2) == "" {
		return r.itemOf(s, 8)
	}
	return r.itemOf(s, 8, pair{s.El(1), s.El(2)})
}
