package x12

import (
	"slices"
	"strings"

	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// segments are those of a set, or of a loop of it.
type segments []x12set.Segment

// seg is the first segment of an id, nil where there is none: it has no elements then.
func (s segments) seg(id string) *x12set.Segment {
	for i := range s {
		if s[i].ID() == id {
			return &s[i]
		}
	}
	return nil
}

// index is where the first segment of one of the ids stands; len(s) where there is none.
func (s segments) index(ids ...string) int {
	for i := range s {
		if slices.Contains(ids, s[i].ID()) {
			return i
		}
	}
	return len(s)
}

// loops goes through what begins with a segment of one of the ids and ends before the
// next one.
func (s segments) loops(each func(n int, loop segments), ids ...string) {
	from := s.index(ids...)
	for n := 0; from < len(s); n++ {
		to := from + 1 + s[from+1:].index(ids...)
		each(n, s[from:to:to])
		from = to
	}
}

// until is what stands before the first segment of one of the ids.
func (s segments) until(ids ...string) segments { return s[:s.index(ids...)] }

// reference is the value of the first REF, N9 or L11 with one of the qualifiers (128), in
// their order.
func (s segments) reference(wanted ...string) string {
	value := ""
	for i := range s {
		q, v := s[i].El(1), s[i].El(2)
		switch s[i].ID() {
		case "L11":
			q, v = v, q
		case "REF", "N9":
		default:
			continue
		}
		if v == "" {
			continue
		}
		for n, w := range wanted {
			if w == q {
				wanted, value = wanted[:n], v // those before it are better
				break
			}
		}
	}
	return value
}

func (s segments) lot() string { return s.reference("LT", "LOT", "BT") }

// kinds are what stands among segments, of what is looked for most.
type kinds uint8

const (
	hasParty     kinds = 1 << iota // N1
	hasDate                        // DTM
	hasReference                   // REF, N9, L11
	hasMark                        // MAN
	hasOrder                       // PRF
	hasItem                        // LIN
	hasShipped                     // SN1
)

func (s segments) kinds() kinds {
	var k kinds
	for i := range s {
		switch s[i].ID() {
		case "N1":
			k |= hasParty
		case "DTM":
			k |= hasDate
		case "REF", "N9", "L11":
			k |= hasReference
		case "MAN":
			k |= hasMark
		case "PRF":
			k |= hasOrder
		case "LIN":
			k |= hasItem
		case "SN1":
			k |= hasShipped
		}
	}
	return k
}

// mark is the first of the marks (88) of a package of the kinds wanted.
func (s segments) mark(wanted ...string) string {
	for i := range s {
		if m := &s[i]; m.ID() == "MAN" && m.El(2) != "" && slices.Contains(wanted, m.El(1)) {
			return m.El(2)
		}
	}
	return ""
}

// sscc is the GS1 number of a package.
func (s segments) sscc() string { return s.mark("GM", "AA", "AI") }

// tracking is the carrier's number.
func (s segments) tracking() string {
	if v := s.reference("2I", "CN", "WY"); v != "" {
		return v
	}
	return s.mark("CP")
}

// prf is the purchase order that a PRF names.
func (s segments) prf() string {
	p := s.seg("PRF")
	if p.El(1) == "" {
		return ""
	}
	return released(p.El(1), p.El(2))
}

// released is a number of a blanket order with its release.
func released(number, release string) string {
	if release == "" {
		return number
	}
	return number + "/" + release
}

// comp is the first component of element n.
func (r *reading) comp(s *x12set.Segment, n int) string {
	text, sep := s.El(n), r.c.Component
	if sep == "" || !strings.Contains(text, sep) {
		return text
	}
	text, _, _ = strings.Cut(text, sep)
	return strings.TrimSpace(text)
}

// zero is a number that is none: of zeros alone, with a sign and a point or without.
// No number is not zero.
func zero(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '-' || s[0] == '+' {
		s = s[1:]
	}
	s = strings.TrimLeft(s, "0")
	return s == "" || s[0] == '.' && strings.Trim(s[1:], "0") == ""
}

// magnitude is a number without its sign.
func magnitude(s string) string { return strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+") }

// digitsOf are the digits of a text.
func digitsOf(s string) string {
	if digits(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, s)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// first is the first of the texts that is not empty.
func first(of ...string) string {
	for _, s := range of {
		if s != "" {
			return s
		}
	}
	return ""
}

// joined are the texts that are not empty, with a separator between them.
func joined(sep string, of ...string) string {
	var buffer [8]string
	some := buffer[:0]
	for _, s := range of {
		if s != "" {
			some = append(some, s)
		}
	}
	return strings.Join(some, sep)
}
