package jq

import (
	"slices"

	"github.com/itchyny/gojq"
)

// filter compiles with_entries(select(cond)) without entries: an object, less some of
// its members. Where cond looks at .key and .value alone it is asked of them.
func (c *compiler) filter(q *gojq.Query, p place) (node, bool) {
	t := q.Term
	if t == nil || len(q.FuncDefs) > 0 || t.Type != gojq.TermTypeFunc || len(t.SuffixList) > 0 || t.Func.Name != "select" || len(t.Func.Args) != 1 {
		return node{}, false
	}
	if _, local := p.find("select", 1); local {
		return node{}, false
	}
	cond, ok := ofEntry(t.Func.Args[0])
	if !ok {
		return node{}, false
	}
	key, value := c.slot(), c.slot()
	drops, known := unlike(t.Func.Args[0])
	n, err := c.query(cond, p.with("$%key", variable(key)).with("$%value", variable(value)))
	if err != nil || n.one == nil {
		return node{}, false
	}
	f := &filter{n, key, value, drops, known}
	return node{filter: f, one: func(m *vm, in any) (any, error) {
		if members, ok := Members(in); ok {
			return f.of(m, members)
		}
		v, err := c.asks.toEntries(in)
		if err != nil {
			return nil, err
		}
		left := []any{}
		entries, _ := v.([]any)
		for _, e := range entries {
			m.slots[key], m.slots[value] = Field(e, "key"), Field(e, "value")
			keep, err := n.one(m, nil)
			if err != nil {
				return nil, err
			}
			if !isNone(keep) && truthy(keep) {
				left = append(left, e)
			}
		}
		return c.asks.fromEntries(left)
	}}, true
}

// filter is a condition on members, with the slots of their key and value.
type filter struct {
	cond       node
	key, value int

	// Where known, cond says no more than that the value is none of drops.
	drops blanks
	known bool
}

// keeps asks of one member.
func (f *filter) keeps(m *vm, k string, v any) (bool, error) {
	if f.known {
		return !f.drops.has(v), nil
	}
	m.slots[f.key], m.slots[f.value] = k, v
	keep, err := f.cond.one(m, nil)
	return err == nil && !isNone(keep) && truthy(keep), err
}

// of is an object of the members that are kept.
func (f *filter) of(m *vm, all []Member) (any, error) {
	n := 0
	if f.known {
		for i := range all {
			if !f.drops.has(all[i].Value) {
				n++
			}
		}
	} else {
		n = len(all)
	}
	o := m.object(n)
	for i := range all {
		keep, err := f.keeps(m, all[i].Key, all[i].Value)
		if err != nil {
			return nil, err
		}
		if keep {
			o.members = append(o.members, all[i])
		}
	}
	return o, nil
}

// blanks are values that say nothing.
type blanks struct{ null, text, list bool }

func (b blanks) has(v any) bool {
	switch v := v.(type) {
	case nil:
		return b.null
	case string:
		return b.text && v == ""
	case []any:
		return b.list && len(v) == 0
	}
	return false
}

// unlike reads .value != null and .value != "" and .value != [], or some of them.
func unlike(q *gojq.Query) (blanks, bool) {
	if len(q.FuncDefs) > 0 || len(q.Patterns) > 0 || q.Left == nil || q.Right == nil {
		return blanks{}, false
	}
	if q.Op == gojq.OpAnd {
		l, ok1 := unlike(q.Left)
		r, ok2 := unlike(q.Right)
		return blanks{l.null || r.null, l.text || r.text, l.list || r.list}, ok1 && ok2
	}
	l, r := q.Left.Term, q.Right.Term
	if q.Op != gojq.OpNe || l == nil || r == nil || len(q.Left.FuncDefs)+len(q.Right.FuncDefs)+len(l.SuffixList)+len(r.SuffixList) > 0 ||
		l.Type != gojq.TermTypeIndex || l.Index.Name != "value" {
		return blanks{}, false
	}
	switch {
	case r.Type == gojq.TermTypeNull:
		return blanks{null: true}, true
	case r.Type == gojq.TermTypeString && r.Str.Queries == nil && r.Str.Str == "":
		return blanks{text: true}, true
	case r.Type == gojq.TermTypeArray && r.Array.Query == nil:
		return blanks{list: true}, true
	}
	return blanks{}, false
}

// members are those of an object whose keys are known, in their order, and what makes
// the values: each with its place.
type members struct {
	order  []Member // without values
	at     []int
	values []func(m *vm, in any) (any, error)
}

// filtered is an object, less some of its members, that is never made whole.
func filtered(o *members, by node) node {
	f := by.filter
	return node{one: func(m *vm, in any) (any, error) {
		base := len(m.members)
		defer func() { m.members = m.members[:base] }()
		m.members = append(m.members, o.order...)
		for i, value := range o.values {
			v, err := value(m, in)
			if err != nil || isNone(v) {
				return v, err
			}
			m.members[base+o.at[i]].Value = v
		}
		return f.of(m, m.members[base:])
	}}
}

// filteredSum is a sum of objects, less some of their members, that is never made
// whole.
func filteredSum(sum, by node) node {
	f := by.filter
	return node{one: func(m *vm, in any) (any, error) {
		base := len(m.args)
		defer func() { m.args = m.args[:base] }()
		for i := range sum.sum {
			v, err := sum.sum[i].one(m, in)
			if err != nil || isNone(v) {
				return v, err
			}
			m.args = append(m.args, v)
		}
		if all, ok := m.sum(m.args[base:]); ok {
			if !f.known { // what is asked of them may make sums of its own
				all = slices.Clone(all)
			}
			return f.of(m, all)
		}
		v, err := sum.add(m, m.args[base:])
		if err != nil {
			return nil, err
		}
		return by.one(m, v)
	}}
}

// ofEntry writes a condition with $%key and $%value for .key and .value; false where
// it looks at anything else of its input.
func ofEntry(q *gojq.Query) (*gojq.Query, bool) {
	if len(q.FuncDefs) > 0 || len(q.Patterns) > 0 {
		return nil, false
	}
	if q.Term != nil {
		t, ok := ofEntryTerm(q.Term)
		return &gojq.Query{Term: t}, ok
	}
	l, ok := ofEntry(q.Left)
	if !ok {
		return nil, false
	}
	r := q.Right
	switch q.Op { //nolint:exhaustive // the others are not conditions
	case gojq.OpPipe: // what follows has another input
	case gojq.OpAnd, gojq.OpOr, gojq.OpEq, gojq.OpNe, gojq.OpLt, gojq.OpLe, gojq.OpGt, gojq.OpGe, gojq.OpAlt:
		if r, ok = ofEntry(q.Right); !ok {
			return nil, false
		}
	default:
		return nil, false
	}
	return &gojq.Query{Op: q.Op, Left: l, Right: r}, true
}

func ofEntryTerm(t *gojq.Term) (*gojq.Term, bool) {
	for _, s := range t.SuffixList {
		if !s.Optional && (s.Index == nil || !keyIsKnown(s.Index)) {
			return nil, false
		}
	}
	switch t.Type { //nolint:exhaustive // the others look at their input
	case gojq.TermTypeIndex:
		if t.Index.Name != "key" && t.Index.Name != "value" {
			return nil, false
		}
		return &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "$%" + t.Index.Name}, SuffixList: t.SuffixList}, true
	case gojq.TermTypeQuery:
		q, ok := ofEntry(t.Query)
		return &gojq.Term{Type: gojq.TermTypeQuery, Query: q, SuffixList: t.SuffixList}, ok
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber:
		return t, true
	case gojq.TermTypeString:
		return t, t.Str.Queries == nil
	case gojq.TermTypeArray:
		return t, t.Array.Query == nil
	case gojq.TermTypeFunc:
		return t, t.Func.Name[0] == '$' && len(t.Func.Args) == 0
	}
	return nil, false
}
