package x12

import (
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// qualifies says whether a code is a product id qualifier (235) that is likely where some
// qualifier stands.
func qualifies(code string) bool {
	switch code {
	case "A1", "A2", "A3", "B8", "BB", "BL", "BO", "BP", "C3", "CB", "CG", "CH", "CL", "CM", "CN", "DR",
		"EA", "EC", "EM", "EN", "EO", "EQ", "F7", "FS", "GD", "GU", "HD", "IB", "IM", "IN", "IS", "IT", "IZ",
		"LT", "MF", "MG", "MN", "MO", "MP", "N1", "N2", "N3", "N4", "N5", "N6", "NH", "NR",
		"OA", "ON", "OP", "PC", "PD", "PI", "PK", "PL", "PN", "PO", "PR", "PU", "PW", "RC", "RR",
		"S1", "SC", "SG", "SK", "SL", "SM", "SN", "SR", "ST", "SW", "SZ", "TP",
		"UA", "UB", "UC", "UD", "UE", "UG", "UH", "UI", "UK", "UL", "UN", "UO", "UP", "UX",
		"VA", "VC", "VE", "VN", "VO", "VP", "VS", "VU", "VX", "XA", "ZB", "ZZ":
		return true
	}
	return false
}

// aside says whether a qualifier says something about an item and does not name it.
func aside(code string) bool {
	switch code {
	case "B8", "CH", "CL", "CM", "EC", "IZ", "LT", "MF", "PD", "PL", "PO", "RC", "SC", "SL", "SM", "SN", "SZ", "TP", "VE":
		return true
	}
	return false
}

// Flags of an item.
const (
	qualifierOrder     = "qualifier_order"
	qualifierWithoutID = "qualifier_without_id"
)

// mostIDs of an item are read.
const mostIDs = 32

// pair is a product id qualifier and an id.
type pair struct{ qualifier, id string }

// item is what a segment says of an item. Its pairs hold until the next item is read.
type item struct {
	pairs           []pair // empty: it names none
	lot, serial, po string
	flags           string
	plain           bool // its pairs name, all of them
}

// pairs are those of a segment from an element on, behind those that are there. Some
// senders write each id before its qualifier; where that reading is certain, because no
// first one is a qualifier and each second one is, they are put right.
func (r *reading) pairsOf(s *x12set.Segment, from int, there ...pair) item {
	all := append(r.m.pairs[:0], there...)
	alone, swapped := false, true
	for n := from; n < len(s.E); n += 2 {
		q, id := s.El(n), s.El(n+1)
		if q == "" || id == "" {
			alone = alone || q != id
			continue
		}
		all = append(all, pair{q, id})
		swapped = swapped && !qualifies(q) && qualifies(id)
	}
	r.m.pairs = all
	i := item{pairs: all}
	switch {
	case len(all) > len(there) && swapped:
		for n := len(there); n < len(all); n++ {
			all[n] = pair{all[n].id, all[n].qualifier}
		}
		i.flags = qualifierOrder
	case alone:
		i.flags = qualifierWithoutID
	}
	return i
}

// itemOf is the item that pairs name.
func (r *reading) itemOf(s *x12set.Segment, from int, there ...pair) item {
	if s == nil {
		return item{}
	}
	i := r.pairsOf(s, from, there...)
	i.plain = true
	var b8, sl string
	keep := func(to *string, id string) {
		if *to == "" {
			*to = id
		}
	}
	named := false
	for _, p := range i.pairs {
		if !aside(p.qualifier) {
			named = true
			continue
		}
		i.plain = false
		switch p.qualifier {
		case "LT":
			keep(&i.lot, p.id)
		case "B8":
			keep(&b8, p.id)
		case "SL":
			keep(&sl, p.id)
		case "SN":
			keep(&i.serial, p.id)
		case "PO":
			keep(&i.po, p.id)
		}
	}
	i.plain = i.plain || !named // where none names, all are taken
	i.lot = first(i.lot, b8, sl)
	return i
}

// lin is the item of a LIN; of none, none. Some leave LIN01 out altogether.
func (r *reading) lin(s *x12set.Segment) item {
	if qualifies(s.El(1)) && s.El(2) != "" && !qualifies(s.El(2)) {
		return r.itemOf(s, 1)
	}
	return r.itemOf(s, 2)
}

// appendIDs are the ids of an item behind others.
func (i *item) appendIDs(to []event.Identifier) []event.Identifier {
	n := 0
	for _, p := range i.pairs {
		if !i.plain && aside(p.qualifier) {
			continue
		}
		if n++; n > mostIDs {
			break
		}
		to = append(to, event.Identifier{Type: p.qualifier, Value: p.id})
	}
	return to
}

// numeric says whether a product id qualifier is of numbers alone: GTINs.
func numeric(code string) bool {
	switch code {
	case "UP", "UA", "UI", "UK", "EN", "UC", "UD", "UE":
		return true
	}
	return false
}

// itemQualifier says whether a code is a qualifier that warehouses write.
func itemQualifier(code string) bool {
	switch code {
	case "VN", "VA", "VC", "VP", "IN", "BP", "CB", "PI", "SK", "MG", "MF", "PN":
		return true
	}
	return false
}

// TypeUPCCase is the type of an id in an element of its own, the UPC case code.
const TypeUPCCase = "UPC_CASE"

// WarehouseItem are the (qualifier, id) pairs of a segment of a warehouse set, such as
// W07: behind those at the elements in pairs the UPC case code at upc; lot is the element
// of a lot number, and then the number. The flags are words.
//
// Some senders write each id before its qualifier, beginning at the UPC case code. Where
// that reading is certain (a GTIN qualifier in front of what is no number, and a bare
// qualifier behind it) the pairs are put right and the flag qualifier_order says so; the
// bare qualifier is then no lot.
func WarehouseItem(s *x12set.Segment, upc int, pairs []int, lot int, each func(qualifier, id string)) (lotText string, flags []string) {
	lotText = s.El(lot)
	if u := s.El(upc); u != "" && numeric(s.El(upc+1)) && digits(u) && s.El(upc+2) != "" && !digits(s.El(upc+2)) &&
		itemQualifier(s.El(upc+3)) && (upc+3 == lot || s.El(upc+4) == "") {
		each(s.El(upc+1), u)
		each(s.El(upc+3), s.El(upc+2))
		if upc+3 == lot {
			lotText = ""
		}
		return lotText, []string{qualifierOrder}
	}
	for _, n := range pairs {
		switch q, id := s.El(n), s.El(n+1); {
		case q != "" && id != "":
			each(q, id)
		case q != id:
			flags = append(flags, qualifierWithoutID)
		}
	}
	if u := s.El(upc); u != "" {
		each(TypeUPCCase, u)
	}
	return lotText, flags
}
