package x12

import (
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// shipmentIDs are the ids of a shipment, each value once, in the order of the values.
func shipmentIDs(to []event.Identifier, ids ...event.Identifier) []event.Identifier {
	for _, id := range ids {
		if id.Value != "" {
			to = append(to, id)
		}
	}
	slices.SortStableFunc(to, func(a, b event.Identifier) int { return strings.Compare(a.Value, b.Value) })
	return slices.CompactFunc(to, func(a, b event.Identifier) bool { return a.Value == b.Value })
}

// ofShipments is the next line, a milestone of shipments.
func (r *reading) ofShipments(at *x12set.Segment, set, status string) *Line {
	l := r.m.add()
	l.Kind, l.At, l.Status, l.About, l.Document.Type = kindMilestone, at.Pos, status, aboutShipments, set
	return l
}

// shipmentStatus is a 214.
func (r *reading) shipmentStatus() *Fault {
	b, fault := r.header("a 214 needs a B10", "B10")
	if fault != nil {
		return fault
	}
	head := r.s.until("LX", "AT7")
	parties, order := roles(nil, head), ""
	ids := []event.Identifier{{Type: "tracking", Value: b.El(1)}, {Type: "shipment", Value: b.El(2)}}
	for i := range head {
		if head[i].ID() != "L11" {
			continue
		}
		switch value := head[i].El(1); head[i].El(2) {
		case "BM", "MB":
			ids = append(ids, event.Identifier{Type: "bol", Value: value})
		case "CN", "2I":
			ids = append(ids, event.Identifier{Type: "tracking", Value: value})
		case "SI":
			ids = append(ids, event.Identifier{Type: "shipment", Value: value})
		case "PO":
			order = first(order, value)
		}
	}
	ids = shipmentIDs(nil, ids...)
	ids = ids[:min(len(ids), mostIDs)]
	r.s.loops(func(_ int, near segments) {
		a := &near[0]
		if a.ID() != "AT7" {
			return
		}
		status := first(a.El(1), a.El(3))
		if status == "" {
			r.fail(a.Pos, reject("no_status", "AT7 has neither a status nor an appointment"))
			return
		}
		m, equipment := near.seg("MS1"), near.seg("MS2")
		when := When(a.El(5), a.El(6), a.El(7))
		l := r.ofShipments(a, "214", status)
		l.Location.Code = joined(" ", m.El(1), m.El(2), m.El(3))
		l.Document.Number = first(b.El(1), b.El(2), r.control())
		l.Document.Line = joined(" ", status, when, l.Location.Code)
		l.IDs = append(l.IDs, ids...)
		l.known(parties)
		l.attribute("equipment", equipment.El(1)+equipment.El(2))
		l.attribute("po", first(order, near.reference("PO")))
		l.attribute("reason", first(a.El(2), a.El(4)))
		l.attribute("scac", b.El(3))
		r.stamp(l, when)
	}, "LX", "AT7")
	return nil
}

// cents is an amount of type N2: the last two digits are cents.
func cents(s string) string {
	sign, n := "", s
	if strings.HasPrefix(s, "-") {
		sign, n = "-", s[1:]
	}
	if !digits(n) {
		return ""
	}
	if len(n) < 3 {
		n = "000"[len(n):] + n
	}
	return sign + n[:len(n)-2] + "." + n[len(n)-2:]
}

// freightInvoice is a 210.
func (r *reading) freightInvoice() *Fault {
	b, fault := r.header("a 210 needs a B3", "B3")
	if fault != nil {
		return fault
	}
	l := r.ofShipments(b, "210", "freight_invoice")
	l.Document.Number, l.Document.Revision = first(b.El(2), b.El(3), r.control()), b.El(8)
	l.IDs = shipmentIDs(l.IDs, event.Identifier{Type: "tracking", Value: b.El(2)}, event.Identifier{Type: "shipment", Value: b.El(3)},
		event.Identifier{Type: "bol", Value: r.s.reference("BM")})
	l.Quantity, l.Unit = cents(b.El(7)), first(r.s.seg("C3").El(1), r.s.seg("CUR").El(2))
	l.known(roles(nil, r.s.until("LX")))
	l.attribute("delivered", b.El(9))
	l.attribute("scac", b.El(11))
	r.stamp(l, When(b.El(6), "", ""))
	return nil
}

// loadTender is a 990: the answer to one.
func (r *reading) loadTender() *Fault {
	b, fault := r.header("a 990 needs a B1", "B1")
	if fault != nil {
		return fault
	}
	if b.El(4) == "" {
		return reject("no_status", "B1 has no reservation action")
	}
	l := r.ofShipments(b, "990", b.El(4))
	l.Document.Number, l.Document.Line = first(b.El(2), r.control()), joined(" ", b.El(4), b.El(3))
	l.IDs = shipmentIDs(l.IDs, event.Identifier{Type: "shipment", Value: b.El(2)}, event.Identifier{Type: "tracking", Value: r.s.reference("CN", "2I")})
	l.attribute("scac", b.El(1))
	l.attribute("reason", r.s.seg("V9").El(8))
	r.stamp(l, When(b.El(3), "", ""))
	return nil
}

// accepted is what an answer to a set or group (717, 715) comes to.
func accepted(code string) string {
	switch code {
	case "":
		return ""
	case "A", "E":
		return "accepted"
	case "P":
		return "partially_accepted"
	}
	return rejected
}

// groupAbout is the topic of the sets of a functional group (479).
func groupAbout(code string) string {
	switch code {
	case "SH", "OW", "SW", "AR", "RE", "AW", "IM", "QM", "GF", "SM", "RC":
		return aboutShipments
	case "AN":
		return aboutReturns
	}
	return aboutOrders
}

// functional is a 997 or 999: acknowledgements of sets, else of the group.
func (r *reading) functional() *Fault {
	g, fault := r.header("a "+r.c.ID+" needs an AK1", "AK1")
	if fault != nil {
		return fault
	}
	all := r.s.seg("AK9")
	line := func(at *x12set.Segment, id, status, code string) *Line {
		l := r.m.add()
		l.Kind, l.At, l.Status, l.About = kindMilestone, at.Pos, status, groupAbout(g.El(1))
		l.Document = inventory.Document{Type: r.c.ID, Number: g.El(1) + "-" + g.El(2), Line: id}
		if id != "" {
			l.IDs = append(l.IDs, event.Identifier{Type: "control", Value: id})
		}
		l.attribute("code", code)
		l.attribute("group", g.El(2))
		l.attribute("group_type", g.El(1))
		l.attribute("version", g.El(3))
		r.stamp(l, "")
		return l
	}
	r.s.loops(func(_ int, loop segments) {
		a, answer := &loop[0], &x12set.Segment{}
		if at := loop.index("AK5", "IK5"); at < len(loop) {
			answer = &loop[at]
		}
		status := accepted(first(answer.El(1), all.El(1)))
		if a.ID() != "AK2" || status == "" {
			return
		}
		l := line(a, a.El(2), status, answer.El(1))
		l.attribute("set", a.El(1))
		l.attribute("errors", joined(" ", answer.El(2), answer.El(3), answer.El(4), answer.El(5), answer.El(6)))
	}, "AK2", "AK9")
	if r.m.n == 0 && all.El(1) != "" {
		line(all, g.El(2), accepted(all.El(1)), all.El(1))
	}
	return nil
}
