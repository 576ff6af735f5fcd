package canonicalizer

import (
	"slices"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
)

// mostElements bounds the elements of a segment that shortcuts read.
const mostElements = 1000

// x12Short are shortcuts of standard/x12.jq, with the codes that stand there.
type x12Short struct{ qualifiers, aside, roles map[string]string }

func x12Shortcuts(defs []*gojq.FuncDef) []jq.Shortcut {
	x := &x12Short{tableOf(defs, "x12_qualifier"), tableOf(defs, "x12_aside"), tableOf(defs, "x12_role")}
	if len(x.qualifiers) == 0 || len(x.aside) == 0 || len(x.roles) == 0 {
		return nil // they are written in another way now
	}
	return []jq.Shortcut{
		{Name: "x12_lin", Args: 0, Call: x.lin},
		{Name: "x12_pairs", Args: 1, Call: x.pairsFrom},
		{Name: "x12_item", Args: 0, Call: x.item},
		{Name: "x12_roles", Args: 0, Call: x.rolesOf},
		{Name: "x12_place", Args: 1, Call: x.place},
		{Name: "x12_dtm", Args: 1, Call: x12DTM},
		{Name: "x12_reference", Args: 1, Call: x12Reference},
		{Name: "x12_mark", Args: 1, Call: x12Mark},
		{Name: "x12_split", Args: 1, Call: x12NotSplit},
		{Name: "x12_zero", Args: 0, Call: x12Zero},
	}
}

// pair is a qualifier and an id, each a text or nil.
type pair struct{ q, id any }

func (x *x12Short) qualifies(v any) bool {
	s, ok := v.(string)
	_, is := x.qualifiers[s]
	return ok && is
}

// pairs are those of a segment from an element on, and its flags; false where an
// element is no text.
func (x *x12Short) pairs(v any, from int) (out []pair, flags []any, ok bool) {
	e, ok := jq.Field(v, "e").([]any)
	if !ok || from < 0 || len(e) > mostElements {
		return nil, nil, false
	}
	for _, v := range e {
		if _, text := v.(string); !text && v != nil {
			return nil, nil, false
		}
	}
	alone, swapped := false, true
	for i := from; i < len(e); i += 2 {
		p := pair{q: trimmed(e[i])}
		if i+1 < len(e) {
			p.id = trimmed(e[i+1])
		}
		if p.q == nil || p.id == nil {
			alone = alone || (p.q == nil) != (p.id == nil)
			continue
		}
		out = append(out, p)
		swapped = swapped && !x.qualifies(p.q) && x.qualifies(p.id)
	}
	switch {
	case len(out) > 0 && swapped:
		for i, p := range out {
			out[i] = pair{p.id, p.q}
		}
		return out, []any{"qualifier_order"}, true
	case alone:
		return out, []any{"qualifier_without_id"}, true
	}
	return out, []any{}, true
}

func (x *x12Short) pairsFrom(in any, args []any) (any, bool) {
	from, ok := args[0].(int)
	if !ok {
		return nil, false
	}
	pairs, flags, ok := x.pairs(in, from)
	if !ok {
		return nil, false
	}
	list := make([]any, len(pairs))
	for i, p := range pairs {
		list[i] = []any{p.q, p.id}
	}
	return jq.NewObject(jq.Member{Key: "flags", Value: flags}, jq.Member{Key: "pairs", Value: list}), true
}

// itemOf is x12_item of pairs.
func (x *x12Short) itemOf(all []pair, flags any) any {
	of := func(q string) any {
		for _, p := range all {
			if p.q == q {
				return p.id
			}
		}
		return nil
	}
	lot := of("LT")
	for _, q := range []string{"B8", "SL"} {
		if lot == nil {
			lot = of(q)
		}
	}
	named := 0
	for _, p := range all {
		if _, aside := x.aside[p.q.(string)]; !aside { //nolint:forcetypeassert // pairs are of texts
			named++
		}
	}
	ids := make([]any, 0, min(len(all), 32))
	for _, p := range all {
		if _, aside := x.aside[p.q.(string)]; aside && named > 0 || len(ids) == 32 { //nolint:forcetypeassert // as above
			continue
		}
		ids = append(ids, jq.NewObject(jq.Member{Key: "type", Value: p.q}, jq.Member{Key: "value", Value: p.id}))
	}
	return jq.NewObject(
		jq.Member{Key: "flags", Value: flags}, jq.Member{Key: "ids", Value: ids}, jq.Member{Key: "lot", Value: lot},
		jq.Member{Key: "po", Value: of("PO")}, jq.Member{Key: "serial", Value: of("SN")},
	)
}

func (x *x12Short) item(in any, _ []any) (any, bool) {
	list, ok := jq.Field(in, "pairs").([]any)
	if !ok {
		return nil, false
	}
	all := make([]pair, len(list))
	for i, v := range list {
		p, _ := v.([]any)
		if len(p) != 2 {
			return nil, false
		}
		q, ok1 := p[0].(string)
		id, ok2 := p[1].(string)
		if !ok1 || !ok2 {
			return nil, false
		}
		all[i] = pair{q, id}
	}
	return x.itemOf(all, jq.Field(in, "flags")), true
}

func (x *x12Short) lin(in any, _ []any) (any, bool) {
	if in == nil {
		return jq.NewObject(jq.Member{Key: "flags", Value: []any{}}, jq.Member{Key: "ids", Value: []any{}}), true
	}
	e, _ := jq.Field(in, "e").([]any)
	s := segmentOf{e: e}
	from := 2
	if x.qualifies(s.el(1)) && s.el(2) != nil && !x.qualifies(s.el(2)) {
		from = 1
	}
	pairs, flags, ok := x.pairs(in, from)
	if !ok {
		return nil, false
	}
	return x.itemOf(pairs, flags), true
}

func (x *x12Short) rolesOf(in any, _ []any) (any, bool) {
	var buffer [8]jq.Member
	out := buffer[:0]
	texts := true
	ok := segmentsOf(in, func(s segmentOf) bool {
		if s.id != "N1" {
			return true
		}
		code, isText := s.text(1)
		texts = texts && isText
		role := x.roles[code]
		if role == "" {
			role = "party"
			if s.el(1) != nil {
				role = "party_" + asciiLower(code)
			}
		}
		at, had := jq.Find(out, role)
		if had && out[at].Value != nil {
			return true
		}
		value := s.el(4)
		if value == nil {
			value = s.el(2)
		}
		_, isText = value.(string)
		texts = texts && (isText || value == nil)
		if had {
			out[at].Value = value
		} else {
			out = slices.Insert(out, at, jq.Member{Key: role, Value: value})
		}
		return true
	})
	return jq.NewObject(out...), ok && texts
}

// asciiLower is ascii_downcase.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// wantedOf is a list of texts.
func wantedOf(v any) ([]any, bool) {
	list, ok := v.([]any)
	for _, w := range list {
		if _, text := w.(string); !text {
			return nil, false
		}
	}
	return list, ok
}

// firstOf is what get gives of the first of the segments, in the order of the codes
// wanted; get gives nil for what is none, and false for what it cannot read.
func firstOf(in any, wanted any, get func(s segmentOf, want any) (any, bool), ids ...string) (any, bool) {
	list, ok := wantedOf(wanted)
	if !ok {
		return nil, false
	}
	var buffer [16]segmentOf
	some := buffer[:0]
	ok = segmentsOf(in, func(s segmentOf) bool {
		if slices.Contains(ids, s.id) {
			some = append(some, s)
		}
		return true
	})
	if !ok {
		return nil, false
	}
	if len(some) == 0 {
		return nil, true
	}
	for _, want := range list {
		for _, s := range some {
			v, ok := get(s, want)
			if !ok {
				return nil, false
			}
			if v != nil {
				return v, true
			}
		}
	}
	return nil, true
}

func (x *x12Short) place(in any, args []any) (any, bool) {
	return firstOf(in, args[0], func(s segmentOf, want any) (any, bool) {
		code, ok := s.text(1)
		if !ok {
			return nil, false
		}
		if s.el(1) == nil || code != want {
			return nil, true
		}
		var out []any
		for _, n := range []int{4, 2} {
			if v := s.el(n); v != nil {
				out = append(out, v)
			}
		}
		if out == nil {
			return nil, true
		}
		return out, true
	}, "N1")
}

func x12DTM(in any, args []any) (any, bool) {
	return firstOf(in, args[0], func(s segmentOf, want any) (any, bool) {
		code, ok := s.text(1)
		if !ok {
			return nil, false
		}
		if s.el(1) == nil || code != want {
			return nil, true
		}
		date, ok1 := s.text(2)
		century, ok2 := s.text(5)
		if s.el(2) == nil {
			return nil, ok1 && s.el(6) == nil
		}
		if !ok1 || !ok2 || !ascii(date) {
			return nil, false
		}
		if len(date) == 6 && len(century) == 2 && digits(century) {
			date = century + date
		}
		return x12When(nil, []any{date, s.el(3), s.el(4)}), true
	}, "DTM")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func x12Reference(in any, args []any) (any, bool) {
	return firstOf(in, args[0], func(s segmentOf, want any) (any, bool) {
		q, value := s.el(1), s.el(2)
		if s.id == "L11" {
			q, value = value, q
		}
		code, ok := q.(string)
		text, ok2 := value.(string)
		switch {
		case !ok && q != nil, !ok2 && value != nil:
			return nil, false
		case value == nil || q == nil || code != want:
			return nil, true
		}
		return text, true
	}, "REF", "N9", "L11")
}

func x12Mark(in any, args []any) (any, bool) {
	wanted, ok := wantedOf(args[0])
	if !ok {
		return nil, false
	}
	var found any
	texts := true
	ok = segmentsOf(in, func(s segmentOf) bool {
		if s.id != "MAN" || s.el(2) == nil {
			return true
		}
		code, ok1 := s.text(1)
		value, ok2 := s.text(2)
		if texts = ok1 && ok2; !texts {
			return false
		}
		for _, w := range wanted {
			if s.el(1) != nil && w == code {
				found = value
				return false
			}
		}
		return true
	})
	return found, ok && texts
}

// x12NotSplit is x12_split of segments that have nothing to split by.
func x12NotSplit(in any, _ []any) (any, bool) {
	whole := true
	ok := segmentsOf(in, func(s segmentOf) bool {
		whole = s.id != "SDQ" && s.id != "N1"
		return whole
	})
	return []any{}, ok && whole
}

// x12Zero is x12_zero: a sign, zeros, a point and zeros, or less of it.
func x12Zero(in any, _ []any) (any, bool) {
	s, ok := in.(string)
	if !ok {
		return false, in == nil
	}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	s = strings.TrimLeft(s, "0")
	return s == "" || s[0] == '.' && strings.Trim(s[1:], "0") == "", true
}
