package x12

import (
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// warehouseRow is a line of a warehouse set.
type warehouseRow struct {
	of   *x12set.Segment
	loop segments // from it to the next
	nth  int

	// What its LX loop says in front of its lines.
	lot, tracking, sscc string
}

// warehouse is what the lines of a warehouse set have in common.
type warehouse struct {
	document inventory.Document
	parties  []inventory.Attribute
	place    Place
}

// warehouseRows goes through the lines of a warehouse set: segments of the first of the
// ids that there is.
func (r *reading) warehouseRows(each func(row *warehouseRow), ids ...string) {
	id := ""
	for _, want := range ids {
		if r.s.seg(want) != nil {
			id = want
			break
		}
	}
	if id == "" {
		return
	}
	var row warehouseRow
	r.s.loops(func(_ int, loop segments) {
		if row.of = &loop[0]; row.of.ID() == "LX" {
			row.lot, row.tracking, row.sscc = loop.lot(), loop.tracking(), loop.sscc()
			return
		}
		row.nth++
		row.loop = loop
		each(&row)
	}, id, "LX")
}

// elementsOf are the numbers of the elements of a warehouse line.
func elementsOf(id string) (quantity, unit, upc int, pairs [3]int, lot int) {
	switch id {
	case "W01":
		return 1, 2, 3, [3]int{4, 6, 15}, 13
	case "W04":
		return 1, 2, 3, [3]int{4, 6, 14}, 999
	case "W07":
		return 1, 2, 3, [3]int{4, 6, 10}, 8
	case "W12":
		return 3, 5, 6, [3]int{7, 17, 21}, 9
	}
	return 2, 3, 4, [3]int{5, 7, 17}, 9
}

// warehouseLine makes a line of a row. Some write another set's segments.
func (r *reading) warehouseLine(w *warehouse, row *warehouseRow) *Line {
	s := row.of
	quantity, unit, upc, pairs, lotAt := elementsOf(s.ID())
	l := r.m.add()
	l.At, l.Document, l.Nth, l.Location = s.Pos, w.document, row.nth, w.place
	l.Quantity, l.Unit = s.El(quantity), r.comp(s, unit)
	asides, lotOf := 0, ""
	lot, flags := WarehouseItem(s, upc, pairs[:], lotAt, func(qualifier, id string) {
		if aside(qualifier) {
			asides++
			if qualifier == "LT" && lotOf == "" {
				lotOf = id
			}
		}
		l.IDs = append(l.IDs, event.Identifier{Type: qualifier, Value: id})
	})
	if asides > 0 && asides < len(l.IDs) {
		named := l.IDs[:0]
		for _, id := range l.IDs {
			if !aside(id.Type) {
				named = append(named, id)
			}
		}
		l.IDs = named
	}
	lot = first(lot, lotOf)
	tracking, sscc := row.tracking, row.sscc
	l.known(w.parties)
	l.attribute("flags", strings.Join(flags, " "))
	if row.loop.kinds()&(hasReference|hasMark) != 0 {
		lot = first(lot, row.loop.lot())
		tracking, sscc = first(row.loop.tracking(), tracking), first(row.loop.sscc(), sscc)
		l.attribute("po", row.loop.reference("PO"))
		l.attribute("serial", row.loop.reference("SE"))
	}
	l.attribute("lot", first(lot, row.lot))
	l.attribute("sscc", sscc)
	l.attribute("tracking", tracking) // else that of the set
	return l
}

// shippingOrder is a 940.
func (r *reading) shippingOrder() *Fault {
	h, fault := r.header("a 940 needs a W05", "W05")
	if fault != nil {
		return fault
	}
	if h.El(1) == "X" {
		return reject("simulation", "a simulated order")
	}
	stage := ordered
	if h.El(1) == "D" || h.El(1) == "F" {
		stage = cancelled
	}
	w := warehouse{
		document: inventory.Document{Type: "940", Number: h.El(2), Revision: reportRevision(h.El(1))},
		parties:  roles(nil, r.s), place: r.s.place("WH", "SF"),
	}
	if stage == cancelled {
		w.document.Revision = ""
	}
	due := r.s.g62("02", "10", "17", "38", "04")
	r.warehouseRows(func(row *warehouseRow) {
		if _, fault := numberOf(h, 2); fault != nil {
			r.fail(row.of.Pos, fault)
			return
		}
		l := r.warehouseLine(&w, row)
		l.Ref = r.order(h.El(2))
		l.without("po")
		l.attribute("po", h.El(3))
		l.staged(kindDemand, stage, stage, due)
		r.stamp(l, "")
	}, "W01", "W04", "W12")
	return nil
}

// transferAdvice is a 943.
func (r *reading) transferAdvice() *Fault {
	h, fault := r.header("a 943 needs a W06", "W06", "W05", "W17")
	if fault != nil {
		return fault
	}
	number, order, day, shipment := h.El(2), h.El(2), "", ""
	switch h.ID() {
	case "W06":
		number, day, shipment = first(h.El(2), h.El(4)), h.El(3), h.El(4)
	case "W17":
		number, order, day = h.El(3), h.El(4), h.El(2)
	}
	w := warehouse{
		document: inventory.Document{Type: "943", Number: first(number, r.control()), Revision: reportRevision(h.El(1))},
		parties:  roles(nil, r.s), place: r.s.place("WH", "ST"),
	}
	due, when := r.s.g62("17", "02", "35", "53"), first(r.s.g62("11"), When(day, "", ""))
	r.warehouseRows(func(row *warehouseRow) {
		l := r.warehouseLine(&w, row)
		l.Ref = r.purchase(order)
		l.attribute("shipment", shipment)
		r.stamp(l, when)
		if order == "" {
			l.milestone(inTransit, due)
		} else {
			l.staged(kindSupply, inTransit, "expected", due)
		}
	}, "W04", "W12", "W07", "W01")
	return nil
}

// conditionStatus is what a condition of receipt (412) makes of a quantity beside the
// receipt.
func conditionStatus(code string) string {
	switch code {
	case "01":
		return damaged
	case "04", "05", "13":
		return inQuestion
	case "08":
		return rejected
	case "09":
		return onHold
	}
	return ""
}

// transferReceipt is a 944.
func (r *reading) transferReceipt() *Fault {
	h, fault := r.header("a 944 needs a W17", "W17")
	if fault != nil {
		return fault
	}
	when := When(h.El(2), h.El(7), "")
	if h.El(7) == "" { // G62 may tell the time of the day
		if g := r.s.g62("09", "19", "35"); g != "" && when != "" && strings.HasPrefix(g, when) {
			when = g
		}
	}
	w := warehouse{
		document: inventory.Document{Type: "944", Number: first(h.El(3), h.El(4), r.control()), Revision: reportRevision(h.El(1))},
		parties:  roles(nil, r.s), place: r.s.place("WH", "ST"),
	}
	r.warehouseRows(func(row *warehouseRow) {
		l := r.warehouseLine(&w, row)
		l.Ref = r.purchase(h.El(4))
		l.attribute("shipment", h.El(5))
		r.stamp(l, when)
		at := r.m.last()
		for n := range row.loop {
			x := &row.loop[n]
			status := conditionStatus(x.El(3))
			if x.ID() != "W13" || status == "" || x.El(1) == "" {
				continue
			}
			of := r.m.again(at)
			of.At, of.Quantity, of.Unit = x.Pos, x.El(1), first(r.comp(x, 2), of.Unit)
			of.milestone(status, "")
			of.About = aboutShipments
			of.Document.Line, of.Nth = strconv.Itoa(row.nth)+"/"+strconv.Itoa(n), 0
			of.attribute("condition", x.El(3))
		}
		r.m.at(at).moves("receipt", received)
	}, "W07", "W04", "W12")
	return nil
}

// unshippedStatus is what a state of a shipment line (368) means where nothing of it was
// shipped.
func unshippedStatus(code string) string {
	switch code {
	case "BK", "BO", "BP", "IB":
		return backordered
	case "CA", "CK", "CN", "DE", "ID":
		return cancelled
	case "IR", "RJ":
		return rejected
	}
	return shipped
}

// shippingAdvice is a 945.
func (r *reading) shippingAdvice() *Fault {
	h, fault := r.header("a 945 needs a W06", "W06")
	if fault != nil {
		return fault
	}
	w := warehouse{
		document: inventory.Document{Type: "945", Number: first(h.El(4), h.El(2), r.control()), Revision: reportRevision(h.El(1))},
		parties:  roles(nil, r.s), place: r.s.place("SF", "WH"),
	}
	all := Line{Attributes: w.parties}
	all.attribute("tracking", r.s.tracking())
	w.parties = all.Attributes
	when := first(r.s.g62("11", "35"), When(h.El(3), "", ""))
	r.warehouseRows(func(row *warehouseRow) {
		s := row.of
		l := r.warehouseLine(&w, row)
		l.Ref = r.order(h.El(2))
		l.attribute("shipment", h.El(4))
		isW12 := s.ID() == "W12"
		if isW12 {
			l.attribute("code", s.El(1))
			l.attribute("ordered", s.El(2))
		}
		r.stamp(l, when)
		switch status := unshippedStatus(s.El(1)); {
		case l.Quantity == "" && status == shipped, l.Quantity != "" && !zero(l.Quantity):
			l.moves("ship", shipped)
		case isW12 && status != shipped:
			l.Quantity = "0"
			for _, n := range [2]int{2, 4} {
				if q := s.El(n); q != "" && !zero(q) {
					l.Quantity = magnitude(q)
				}
			}
			l.milestone(status, "")
		case l.Ref.Number == "":
			l.milestone(shipped, "")
		default:
			// Nothing shipped of a line moves nothing: the warehouse knows of it, no more.
			l.staged(kindDemand, shipped, "allocated", "")
		}
	}, "W12", "W04", "W07")
	return nil
}

// adjustmentReason is a reason of an adjustment (181).
func adjustmentReason(code string) string {
	if reason, ok := adjustmentReasons[code]; ok {
		return reason
	}
	return "adjustment"
}

var adjustmentReasons = map[string]string{
	"03": "shipment greater than reported", "04": "receipt less than reported", "05": "put on hold", "06": "book adjustment decrease", "07": "dumped or destroyed",
	"51": "located", "52": "reworked", "53": "shipment less than reported", "54": "receipt greater than reported", "55": "taken off hold", "56": "book adjustment increase",
	"AA": "physical count", "AB": "accounting error", "AC": "condition change", "AD": "purpose change", "AE": "reidentification", "AF": "stock number change", "AG": "ownership change",
	"AK": "transfer", "AR": "order shipment error", "AS": "recouping", "AU": "damaged in facility", "AV": "damaged in transit", "AW": "product recall", "AX": "shelf life",
	"AY": "receipt error", "BD": "nonrecoverable", "CD": "donation", "CR": "customer return", "CS": "sample", "PC": "reserved for customer", "UD": "unauthorized destruction",
}

// adjustments is a 947. W19-02 is a credit or, below zero, a debit. Where the reason is a
// loss by its name a number without a sign is one as well.
func (r *reading) adjustments() *Fault {
	h, fault := r.header("a 947 needs a W15", "W15")
	if fault != nil {
		return fault
	}
	w := warehouse{
		document: inventory.Document{Type: "947", Number: first(h.El(2), h.El(3), r.control())},
		parties:  roles(nil, r.s), place: r.s.place("WH", "SF", "ST"),
	}
	when := first(r.s.g62("07", "09", "16"), When(h.El(1), "", ""))
	r.warehouseRows(func(row *warehouseRow) {
		l, code := r.warehouseLine(&w, row), row.of.El(1)
		l.attribute("code", code)
		l.attribute("depositor_adjustment", h.El(3))
		l.attribute("inventory_type", row.of.El(16))
		r.stamp(l, when)
		debit := strings.HasPrefix(l.Quantity, "-")
		switch code {
		case "05":
			l.Quantity = magnitude(l.Quantity)
			l.moves("hold", onHold)
			return
		case "55":
			l.Quantity = magnitude(l.Quantity)
			l.moves("release", available)
			return
		case "AU", "AV":
			if debit {
				l.Quantity = magnitude(l.Quantity)
				l.moves("damage", adjusted)
				return
			}
		case "06", "07", "BD", "UD":
			if l.Quantity != "" && !zero(l.Quantity) && !debit {
				l.Quantity = "-" + strings.TrimPrefix(l.Quantity, "+")
				l.flag("sign_of_reason")
			}
		}
		if zero(l.Quantity) {
			l.milestone(adjusted, "")
			return
		}
		l.Kind, l.Status, l.Movement, l.MovementReason = kindMovement, adjusted, "adjustment", joined(" ", code, adjustmentReason(code))
	}, "W19")
	return nil
}
