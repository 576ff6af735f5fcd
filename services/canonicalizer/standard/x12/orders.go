package x12

import (
	"strconv"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// poLine is a line of PO1 or POC: what both have.
type poLine struct {
	of             *x12set.Segment
	own            segments // less its parts (SLN)
	split          []destination
	schedule       []scheduled // of a line that states no quantity of its own
	quantity, unit string
	item           item
	due            string
}

// columns are the numbers of the elements in which PO1 and POC differ.
type columns struct {
	id                   string
	quantity, unit, pair int
}

// poLine reads a line. Its item's pairs hold until the next item is read.
func (r *reading) poLine(loop segments, by *columns) poLine {
	p := poLine{own: loop.until("SLN")}
	p.of = &p.own[0]
	p.split = r.destinations(p.own)
	p.quantity, p.unit = p.of.El(by.quantity), r.comp(p.of, by.unit)
	if p.quantity == "" {
		p.quantity = p.own.until("N1").seg("QTY").El(2)
	}
	if p.quantity == "" {
		p.schedule = r.schedules(p.own)
	}
	p.item = r.itemOf(p.of, by.pair)
	if p.due = p.own.due(); p.due == "" {
		p.due = When(p.own.seg("SCH").El(6), "", "")
	}
	return p
}

// scheduled is a part of a line's quantity that is due at a time of its own.
type scheduled struct{ quantity, unit, due string }

// schedules are those of a line's SCH that state a quantity.
func (r *reading) schedules(s segments) (out []scheduled) {
	for i := range s {
		if q := &s[i]; q.ID() == "SCH" && q.El(1) != "" {
			out = append(out, scheduled{q.El(1), r.comp(q, 2), When(q.El(6), "", "")})
		}
	}
	return out
}

// inParts makes of the last line one for each part of its schedule, if it has any.
func (r *reading) inParts(of []scheduled) {
	base := r.m.last()
	for range max(0, len(of)-1) {
		r.m.again(base)
	}
	for n, part := range of {
		l := r.m.at(base + n)
		l.Quantity, l.Unit, l.Due = part.quantity, first(part.unit, l.Unit), first(part.due, l.Due)
		if n > 0 {
			l.Document.Line += "/" + strconv.Itoa(n+1)
		}
	}
}

// describe says what a line has beside its number, with the parties of its document.
func (p *poLine) describe(l *Line, parties []inventory.Attribute) {
	l.IDs = p.item.appendIDs(l.IDs)
	l.Quantity, l.Unit = p.quantity, p.unit
	l.known(roles(parties, p.own))
	l.attribute("lot", p.item.lot)
	l.attribute("serial", p.item.serial)
	l.attribute("flags", p.item.flags)
}

// lineNumber is the number of a line (350, 554), else which one it is.
func lineNumber(s *x12set.Segment, nth int) string { return first(s.El(1), strconv.Itoa(nth)) }

// orderDocument is what the heading of an order says.
type orderDocument struct {
	columns
	number, revision, when string
	cancelled              bool
	change                 func(line *x12set.Segment) (status, code string)
}

// orderLines are the lines of an order. Our customer's order is demand on us;
// defaults.orders: supply makes it what we have ordered ourselves, due at its ship-to.
func (r *reading) orderLines(d *orderDocument) {
	head := r.s.until(d.id)
	parties, from, to, due := roles(nil, head), head.place("WH", "SF"), head.place("ST"), head.due()
	r.s.loops(func(n int, loop segments) {
		p := r.poLine(loop, &d.columns)
		status, code := d.change(p.of)
		base := r.m.n
		l := r.m.add()
		l.At, l.Status, l.Due = p.of.Pos, status, first(p.due, due)
		l.Document = inventory.Document{Type: "850", Number: d.number, Revision: d.revision, Line: lineNumber(p.of, n+1)}
		if l.Ref = r.order(d.number); r.d.ours {
			l.Ref = r.purchase(d.number)
		}
		p.describe(l, parties)
		l.attribute("change", code)
		r.stamp(l, d.when)
		if len(p.split) == 0 {
			r.inParts(p.schedule)
		}
		r.divide(p.split, shipTo)
		served, dueAt := p.own.place("WH", "SF").or(from), p.own.place("ST").or(to)
		for i := base; i < r.m.n; i++ {
			l := r.m.at(i)
			place := dueAt
			if len(p.split) > 0 {
				place = l.Location.or(dueAt)
			}
			l.Location = served
			stage := ordered
			switch {
			case status != orderLineGone:
				if d.cancelled {
					stage = cancelled
				}
			case l.Quantity != "" && !zero(l.Quantity):
				stage, place = cancelled, to // a line is gone when its quantity is cancelled,
			default:
				l.Quantity, place = "0", to // or none is ordered any more
			}
			switch {
			case !r.d.ours:
				l.staged(kindDemand, status, stage, l.Due)
			case stage == cancelled:
				l.staged(kindSupply, status, "closed", l.Due)
				l.Location = served.or(place)
			default:
				l.staged(kindSupply, status, stage, l.Due)
				l.Location = served.or(place)
			}
		}
	}, d.id)
}

// purchaseOrder is an 850.
func (r *reading) purchaseOrder() *Fault {
	b, fault := r.header("an 850 needs a BEG", "BEG")
	if fault != nil {
		return fault
	}
	number, fault := numberOf(b, 3)
	if fault != nil {
		return fault
	}
	d := orderDocument{
		columns: columns{"PO1", 2, 3, 6}, number: released(number, b.El(4)), revision: revision(b.El(1), b.El(5)),
		when: When(b.El(5), "", ""), cancelled: cancels(b.El(1)),
	}
	d.change = func(*x12set.Segment) (status, code string) {
		if d.cancelled {
			return cancelled, ""
		}
		return ordered, ""
	}
	r.orderLines(&d)
	return nil
}

// changeStatus is what a change (670) makes of a line.
func changeStatus(code string) string {
	if code == "DI" || code == "CF" {
		return orderLineGone
	}
	return ordered
}

// orderChange is an 860.
func (r *reading) orderChange() *Fault {
	b, fault := r.header("an 860 needs a BCH", "BCH")
	if fault != nil {
		return fault
	}
	gone := cancels(b.El(1))
	if gone && r.s.seg("POC") == nil {
		return reject("whole_order", "order %s is cancelled as a whole, without its lines", b.El(3))
	}
	number, fault := numberOf(b, 3)
	if fault != nil {
		return fault
	}
	r.orderLines(&orderDocument{
		columns: columns{"POC", 3, 5, 8}, number: released(number, b.El(4)),
		revision: first(digitsOf(b.El(5)), digitsOf(b.El(11)), digitsOf(b.El(6)), digitsOf(field(r.c.Group, "date"))),
		when:     When(first(b.El(11), b.El(6)), "", ""), cancelled: gone,
		change: func(line *x12set.Segment) (status, code string) {
			if gone {
				return cancelled, line.El(2)
			}
			return changeStatus(line.El(2)), line.El(2)
		},
	})
	return nil
}

// answerStatus is what an answer (668) says of a line.
func answerStatus(code string) string {
	switch code {
	case "IB":
		return backordered
	case "ID":
		return cancelled
	case "IR", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8":
		return rejected
	case "IF", "IH", "IW":
		return onHold
	}
	return acked
}

// answerDocument is what the heading of an answer to an order says.
type answerDocument struct {
	columns
	set, number, revision, when string
	kind                        string // data element 587: of the order as a whole
	change                      bool   // lines state a change (670)
}

// answers are those to an order, line by line: by its ACK segments, else as a whole. They
// move nothing; the advice of shipment does.
func (r *reading) answers(d *answerDocument) {
	head := r.s.until(d.id)
	parties, to, due := roles(nil, head), head.place("ST"), head.due()
	whole := acked
	switch d.kind {
	case "RD", "RJ", "RF", "RO":
		whole = rejected
	}
	r.s.loops(func(n int, loop segments) {
		p := r.poLine(loop, &d.columns)
		gone := d.change && changeStatus(p.of.El(2)) == orderLineGone
		base := r.m.n
		l := r.m.add()
		l.At = p.of.Pos
		l.Document = inventory.Document{Type: d.set, Number: d.number, Revision: d.revision, Line: lineNumber(p.of, n+1)}
		l.Location, l.Ref = p.own.place("ST").or(to), r.purchase(d.number)
		p.describe(l, parties)
		r.stamp(l, d.when)
		if p.own.seg("ACK") == nil {
			if l.milestone(whole, first(p.due, due)); gone {
				l.milestone(orderLineGone, first(p.due, due))
			}
			r.divide(p.split, shipTo)
			return
		}
		// The line is of the first answer; the others are copies of it as it is.
		answers := 0
		for i := range p.own {
			if p.own[i].ID() == "ACK" {
				answers++
			}
		}
		for range answers - 1 {
			r.m.again(base)
		}
		nth := 0
		for i := range p.own {
			a := &p.own[i]
			if a.ID() != "ACK" {
				continue
			}
			l := r.m.at(base + nth)
			nth++
			said := answerStatus(a.El(1))
			if gone && said == acked {
				said = orderLineGone
			}
			l.At, l.Quantity, l.Unit = a.Pos, first(a.El(2), l.Quantity), first(r.comp(a, 3), l.Unit)
			l.milestone(said, first(When(a.El(5), "", ""), p.due, due))
			if nth > 1 {
				l.Document.Line += "/" + strconv.Itoa(nth)
			}
			l.attribute("code", a.El(1))
			named := r.itemOf(a, 7) // a substitute, where another item was ordered
			others, text := named.appendIDs(nil), ""
			for k, id := range others {
				if k > 0 {
					text += " "
				}
				text += id.Type + " " + id.Value
			}
			l.attribute("answered", text)
			if len(l.IDs) == 0 {
				l.IDs = append(l.IDs, others...)
			}
		}
	}, d.id)
}

// acknowledgement is an 855.
func (r *reading) acknowledgement() *Fault {
	b, fault := r.header("an 855 needs a BAK", "BAK")
	if fault != nil {
		return fault
	}
	number, fault := numberOf(b, 3)
	if fault != nil {
		return fault
	}
	r.answers(&answerDocument{
		columns: columns{"PO1", 2, 3, 6}, set: "855", number: released(number, b.El(5)), revision: digitsOf(b.El(9)),
		when: When(b.El(9), "", ""), kind: b.El(2),
	})
	return nil
}

// changeAcknowledgement is an 865.
func (r *reading) changeAcknowledgement() *Fault {
	b, fault := r.header("an 865 needs a BCA", "BCA")
	if fault != nil {
		return fault
	}
	number, fault := numberOf(b, 3)
	if fault != nil {
		return fault
	}
	day := ""
	for _, n := range []int{10, 11, 12} {
		if d := b.El(n); (len(d) == 6 || len(d) == 8) && digits(d) {
			day = d
		}
	}
	r.answers(&answerDocument{
		columns: columns{"POC", 3, 5, 8}, set: "865", number: released(number, b.El(4)),
		revision: first(digitsOf(b.El(5)), digitsOf(day), digitsOf(b.El(6))), when: When(day, "", ""), kind: b.El(2), change: true,
	})
	return nil
}
