package x12

import (
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// shipTo is the role of whom goods go to.
const shipTo = "ship_to"

// roleOf is what a party is called, by the code of its entity (98).
func roleOf(code string) string {
	switch code {
	case "":
		return "party"
	case "ST":
		return shipTo
	case "SF":
		return "ship_from"
	case "WH":
		return "warehouse"
	case "BY":
		return "buyer"
	case "SE":
		return "seller"
	case "SU":
		return "supplier"
	case "VN":
		return "vendor"
	case "BT":
		return "bill_to"
	case "SO":
		return "sold_to"
	case "CN":
		return "consignee"
	case "SH":
		return "shipper"
	case "DE":
		return "depositor"
	case "RL":
		return "reporting_location"
	case "Z7":
		return "mark_for"
	case "MA":
		return "final_destination"
	case "CA":
		return "carrier"
	case "MF":
		return "manufacturer"
	case "DS":
		return "distributor"
	case "DB":
		return "distributor_branch"
	case "RC":
		return "receiver"
	case "OB":
		return "ordered_by"
	case "PF":
		return "receives_freight_bill"
	}
	return "party_" + strings.Map(func(c rune) rune { // ASCII alone
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, code)
}

// mostRoles are read: one more than an event may have attributes.
const mostRoles = 65

// roles are parties as attributes: those of a document, and of segments below it in their
// place. Of each role it is the first in the segments that has a code (N104) or a name
// (N102).
func roles(of []inventory.Attribute, s segments) []inventory.Attribute {
	at := s.index("N1")
	if at == len(s) {
		return of
	}
	l := Line{Attributes: slices.Clone(of)}
	var buffer [16]string
	told := buffer[:0]
	for _, nameless := range [2]bool{false, true} {
		for i := at; i < len(s) && len(told) < mostRoles && len(l.Attributes) < mostRoles; i++ {
			n := &s[i]
			value := first(n.El(4), n.El(2))
			if n.ID() != "N1" || (value == "") != nameless {
				continue
			}
			role := roleOf(n.El(1))
			if slices.Contains(told, role) {
				continue
			}
			told = append(told, role)
			if l.attribute(role, value); nameless {
				l.without(role)
			}
		}
	}
	return l.Attributes
}

// place is the first of the parties wanted that there is.
func (s segments) place(wanted ...string) Place {
	at := s.index("N1")
	if at == len(s) {
		return Place{}
	}
	for _, w := range wanted {
		for i := at; i < len(s); i++ {
			if n := &s[i]; n.ID() == "N1" && n.El(1) == w {
				if p := placeOf(n.El(4), n.El(2)); p.Code != "" {
					return p
				}
			}
		}
	}
	return Place{}
}

// destination is a part of a line's quantity for a place of its own.
type destination struct {
	place          Place
	quantity, unit string
}

// destinations of a line that states their quantities: the (place, quantity) pairs of SDQ,
// else N1 loops with a QTY. For most lines there are none.
func (r *reading) destinations(s segments) []destination {
	out := sdq(s)
	if out != nil || s.seg("N1") == nil {
		return out
	}
	s.loops(func(_ int, loop segments) {
		n := &loop[0]
		if q := loop.seg("QTY"); n.ID() == "N1" && q != nil {
			out = append(out, destination{placeOf(n.El(4), n.El(2)), q.El(2), r.comp(q, 3)})
		}
	}, "N1", "SLN")
	return out
}

// sdq are the destinations of SDQ segments.
func sdq(s segments) (out []destination) {
	for i := range s {
		if s[i].ID() == "SDQ" {
			out = appendSDQ(out, &s[i])
		}
	}
	return out
}

func appendSDQ(out []destination, s *x12set.Segment) []destination {
	for n := 3; n < 23; n += 2 {
		if s.El(n) != "" && s.El(n+1) != "" {
			out = append(out, destination{Place{Code: s.El(n)}, s.El(n + 1), s.El(1)})
		}
	}
	return out
}

// divide makes of the last line one for each of its destinations, if it has any. Their
// places are an attribute, too, if that has a name.
func (r *reading) divide(to []destination, attribute string) {
	base := r.m.last()
	for range max(0, len(to)-1) {
		r.m.again(base)
	}
	for n, d := range to {
		l := r.m.at(base + n)
		l.Location, l.Quantity, l.Unit = d.place, d.quantity, first(d.unit, l.Unit)
		l.Document.Line += "/" + d.place.Code
		if attribute != "" {
			l.attribute(attribute, d.place.Code)
		}
	}
}
