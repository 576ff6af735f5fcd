package x12

import (
	"slices"
	"strconv"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// quantityStatus is what a quantity (673) is that is stock, or moved it. Others are terms,
// targets and sums.
func quantityStatus(code string) string {
	switch code {
	case "01", "17", "25", "26", "35", "36", "BI", "ES", "RF", "TX":
		return onHand
	case "29", "33", "34", "QA", "RJ", "V2":
		return available
	case "15", "QH":
		return onHold
	case "20", "74":
		return damaged
	case "86":
		return inQuestion
	case "03", "QC":
		return rejected
	case "45", "63", "BA":
		return "on_order"
	case "14", "IQ":
		return inTransit
	case "BQ":
		return backordered
	case "90":
		return acked
	case "19", "75", "87", "AO", "QD":
		return received
	case "76", "84":
		return returned
	case "12", "39", "SA":
		return shipped
	case "77":
		return transferIn
	case "78", "V3":
		return transferOut
	case "32", "83", "OF", "ON", "RT":
		return sold
	case "QB":
		return "dispensed"
	case "99", "UU":
		return "consumed"
	case "QW":
		return issued
	case "BY", "MF", "UA":
		return "produced"
	case "A5", "AJ":
		return adjusted
	case "QV":
		return cancelled
	}
	return ""
}

// activityStatus is the same of an activity (859). Sums, plans and levels are not here.
func activityStatus(code string) string {
	switch code {
	case "AB":
		return shipped
	case "BS", "BT", "MS", "OF", "OP", "Q1", "QS", "RE", "TS", "WQ":
		return sold
	case "DG":
		return damaged
	case "HL", "QH":
		return onHold
	case "OH", "QB", "QE":
		return onHand
	case "QA":
		return available
	case "QO":
		return "out_of_stock"
	case "Q2", "Q3", "QU", "RQ":
		return returned
	case "Q4", "QX":
		return ordered
	case "QP":
		return "on_order"
	case "QI":
		return inTransit
	case "QR":
		return received
	case "QT", "PA", "AA":
		return adjusted
	case "QW":
		return issued
	case "QZ":
		return transferOut
	}
	return ""
}

// block is a piece of a report, from one of its segments to the next.
type block struct {
	id   string // LIN, N1, QTY or ZA
	near segments
}

// quantity is a quantity of a report.
type quantity struct {
	near segments // it and what follows it
	own  segments // what stands between its LIN and the quantities; none: there is no LIN
	site segments // the parties that hold for it beside those of the heading
}

// quantities cuts a report into its quantities. An N1 group holds for what follows it
// until the next group; where a document writes it behind its quantities (QTY, then N1,
// within a LIN), for what stands in front of it.
func (r *reading) quantities(s segments) []quantity {
	blocks := r.m.blocks[:0]
	var before, after bool // N1 stand between LIN and QTY, behind QTY of a LIN
	state := ""            // of the blocks since LIN: LIN, QTY, N1, or none of the orders asked for
	at := s.index("LIN", "N1", "QTY", "ZA")
	for at < len(s) {
		to := at + 1 + s[at+1:].index("LIN", "N1", "QTY", "ZA")
		b := block{s[at].ID(), s[at:to]}
		blocks, at = append(blocks, b), to
		switch {
		case b.id == "LIN":
			state = "LIN"
		case b.id == "N1" && state == "QTY":
			after, state = true, ""
		case b.id == "N1" && (state == "LIN" || state == "N1"):
			state = "N1"
		case b.id == "QTY" && state == "N1":
			before, state = true, ""
		case b.id == "QTY" && (state == "LIN" || state == "QTY"):
			state = "QTY"
		default:
			state = ""
		}
	}
	behind := after && !before
	out := r.m.quantity[:0]
	var own, site segments
	group := false
	for i := range blocks {
		b := &blocks[i]
		switch {
		case b.id == "N1" && group:
			site = joinedSegments(site, b.near)
		case b.id == "N1":
			site, group = b.near, true
		default:
			group = false
			if b.id == "LIN" {
				own = b.near
				if behind {
					site = nil
				}
			} else {
				out = append(out, quantity{b.near, own, site})
			}
		}
	}
	if behind {
		site, group = nil, false
		n := len(out)
		for i := range slices.Backward(blocks) {
			b := &blocks[i]
			switch {
			case b.id == "N1" && group:
				site = joinedSegments(b.near, site)
			case b.id == "N1":
				site, group = b.near, true
			case b.id == "LIN":
				site, group = nil, false
			default:
				group = false
				n--
				out[n].site = site
			}
		}
	}
	r.m.blocks, r.m.quantity = blocks, out
	return out
}

// joinedSegments are those of two pieces of a set that stand one behind the other.
func joinedSegments(a, b segments) segments { return a[:len(a)+len(b)] }

// report are the quantities of a report: what its heading says of all of them.
type report struct {
	set, number, revision, when string
	head                        segments
	wanted                      []string // parties at whose place they are
}

// reportedItem is a LIN of a report, and what it says of its quantities.
type reportedItem struct {
	of           *x12set.Segment
	item         item
	line, unit   string
	place        Place
	lot, ofPlace string
	parties      []inventory.Attribute

	// The same with the parties of a site, the last one.
	site        segments
	sitePlace   Place
	siteParties []inventory.Attribute
}

// at takes the parties that hold for a quantity.
func (l *reportedItem) at(site segments, wanted []string) {
	if len(site) == len(l.site) && (len(site) == 0 || &site[0] == &l.site[0]) {
		return
	}
	l.site, l.sitePlace, l.siteParties = site, site.place(wanted...).or(l.place), roles(l.parties, site)
}

// reported makes a line of each quantity, or of each place of its SDQ.
func (r *reading) reported(p *report, s segments) {
	parties, place, ofHead := roles(nil, p.head), p.head.place(p.wanted...), p.head.reference("LU")
	var of reportedItem
	for _, q := range r.quantities(s) {
		seg := &q.near[0]
		code, activity := seg.El(1), seg.ID() == "ZA"
		status := quantityStatus(code)
		if activity {
			status = activityStatus(code)
		}
		if status == "" || len(q.own) == 0 {
			continue
		}
		if lin := &q.own[0]; of.of != lin {
			of = reportedItem{
				of: lin, item: r.lin(lin), line: lin.El(1), unit: r.comp(q.own.seg("UIT"), 1), place: q.own.place(p.wanted...).or(place),
				lot: q.own.lot(), ofPlace: q.own.reference("LU"), parties: roles(parties, q.own),
			}
			of.sitePlace, of.siteParties = of.place, of.parties
			if of.line == "" {
				of.line = "at " + strconv.Itoa(lin.Pos-r.c.Pos)
			}
		}
		if len(of.item.pairs) == 0 {
			continue
		}
		of.at(q.site, p.wanted)
		split := sdq(q.near)
		if len(split) == 0 && seg.El(2) == "" {
			continue
		}
		l := r.m.add()
		l.At, l.Status, l.Due = seg.Pos, status, q.near.due()
		l.Document = inventory.Document{Type: p.set, Number: p.number, Revision: p.revision, Line: of.line + "/" + code}
		l.IDs = of.item.appendIDs(l.IDs)
		l.Location, l.Quantity = of.sitePlace, seg.El(2)
		l.Unit = first(r.comp(seg, 3), r.comp(q.near.seg("UIT"), 1), of.unit)
		l.known(of.siteParties)
		l.attribute("code", code)
		l.attribute("flags", of.item.flags)
		l.attribute("location_number", first(q.near.reference("LU"), of.ofPlace, ofHead))
		l.attribute("lot", first(of.item.lot, q.near.lot(), of.lot))
		l.attribute("serial", of.item.serial)
		if activity && seg.El(5) != "" {
			r.stamp(l, When(seg.El(5), "", ""))
		} else {
			r.stamp(l, first(q.near.dtm("007", "097", "090", "091", "050", "366"), p.when))
		}
		r.divide(split, "")
	}
}

// inventory is an 846: what is there.
func (r *reading) inventory() {
	head := r.s.until("LIN")
	b := head.seg("BIA")
	r.reported(&report{
		set: "846", number: joined("/", first(b.El(3), r.control()), b.El(4), b.El(5)), revision: revision(b.El(1), b.El(4)),
		when: first(head.dtm("007", "366", "097", "091", "102", "194", "152"), When(b.El(4), b.El(5), "")),
		head: head, wanted: []string{"WH", "RL", "FA", "SF", "ST"},
	}, r.s[len(head):])
	r.balances()
}

// activity is an 852: what is there, and what was sold.
func (r *reading) activity() {
	head := r.s.until("LIN")
	x := head.seg("XQ")
	r.reported(&report{
		set: "852", number: first(joined("/", x.El(2), x.El(3), head.reference("IA", "VR", "DP", "DEP")), r.control()),
		when: When(first(x.El(3), x.El(2)), "", ""),
		head: head, wanted: []string{"RL", "WH", "ST", "BY"},
	}, r.s[len(head):])
	for i := range r.m.lines[:r.m.n] {
		l := r.m.at(i)
		for k := range l.Attributes {
			if a := &l.Attributes[k]; a.Name == "code" && a.Value == "QB" { // of the beginning
				r.stamp(l, When(x.El(2), "", ""))
			}
		}
		l.attribute("period_from", x.El(2))
		l.attribute("period_to", x.El(3))
	}
	r.balances()
	if r.d.sales {
		r.sales()
	}
}

// sales makes movements of what was sold, where the source says that nobody else tells
// of it. What was given back counts when it arrives.
func (r *reading) sales() {
	for i := range r.m.lines[:r.m.n] {
		if l := r.m.at(i); l.Status == sold && l.Quantity != "" {
			l.moves("ship", sold)
		}
	}
}

// state is which balance a status is, -1 where it is none.
func state(status string) int {
	switch status {
	case onHand:
		return 0
	case available:
		return 1
	case onHold:
		return 2
	case damaged:
		return 3
	}
	return -1
}

// balances makes counts of lines where they are balances, milestones where they are not.
// Of one item at one place only one number is the count: on hand goes before available,
// and what is listed twice (by lot, say) is none, for the later would stand in the place of
// the earlier.
func (r *reading) balances() {
	lines := r.m.lines[:r.m.n]
	t := &r.m.table
	t.reset(len(lines))
	for i := range lines {
		l := &lines[i]
		n := state(l.Status)
		if n < 0 {
			continue
		}
		h := t.hash(l.Location.Code) + 31*t.hash(l.OccurredAt)
		for k := range l.IDs {
			h = 31*(31*h+t.hash(l.IDs[k].Value)) + t.hash(l.IDs[k].Type)
		}
		l.counted = t.find(h, i, func(k int) bool { return same(&lines[k], l) })
		lines[l.counted].counts[n]++
	}
	for i := range lines {
		l := &lines[i]
		n := state(l.Status)
		switch {
		case n < 0:
			l.milestone(l.Status, l.Due)
		case lines[l.counted].counts[n] > 1:
			l.milestone(l.Status, l.Due)
			l.flag("listed_twice")
		case l.Status == available && lines[l.counted].counts[0] > 0:
			l.milestone(l.Status, l.Due)
		default:
			l.balance()
		}
	}
}

// same says whether two lines are of one item, place and time.
func same(a, b *Line) bool {
	return a.Location == b.Location && a.OccurredAt == b.OccurredAt && slices.Equal(a.IDs, b.IDs)
}
