package jq

import (
	"math"
	"reflect"
	"strings"

	"github.com/itchyny/gojq"
)

func (c *compiler) term(t *gojq.Term, p place) (node, error) {
	if c.nodes++; c.nodes > maxNodes {
		return node{}, unable("a program this large")
	}
	if n := len(t.SuffixList); n > 0 {
		inner := *t
		inner.SuffixList = t.SuffixList[:n-1]
		return c.suffix(&inner, t.SuffixList[n-1], p)
	}
	switch t.Type { //nolint:exhaustive // labels are left to gojq
	case gojq.TermTypeIdentity:
		return identity(), nil
	case gojq.TermTypeRecurse:
		return c.call(&gojq.Func{Name: "recurse"}, p)
	case gojq.TermTypeNull:
		return constant(nil), nil
	case gojq.TermTypeTrue:
		return constant(true), nil
	case gojq.TermTypeFalse:
		return constant(false), nil
	case gojq.TermTypeNumber:
		v, err := c.asks.constant(t.Number)
		return constant(v), err
	case gojq.TermTypeString:
		return c.text(t.Str, p)
	case gojq.TermTypeFormat:
		if t.Format != "@text" || t.Str == nil {
			return node{}, unable("format %s", t.Format)
		}
		return c.text(t.Str, p)
	case gojq.TermTypeIndex:
		return c.index(identity(), t.Index, p)
	case gojq.TermTypeFunc:
		return c.call(t.Func, p)
	case gojq.TermTypeObject:
		return c.object(t.Object, p)
	case gojq.TermTypeArray:
		if t.Array.Query == nil {
			return constant([]any{}), nil
		}
		n, err := c.query(t.Array.Query, p)
		if n.constant {
			return constant([]any{n.val}), err
		}
		if list, ok := constants(t.Array.Query); ok {
			return constant(list), nil
		}
		return collect(n), err
	case gojq.TermTypeUnary:
		return c.unary(t.Unary, p)
	case gojq.TermTypeIf:
		return c.choose(t.If, p, c.query)
	case gojq.TermTypeTry:
		body, err := c.query(t.Try.Body, p)
		if err != nil {
			return node{}, err
		}
		handler := empty()
		if t.Try.Catch != nil {
			handler, err = c.query(t.Try.Catch, p)
		}
		return try(body, handler), err
	case gojq.TermTypeReduce:
		return c.loop(t.Reduce.Query, t.Reduce.Patterns, t.Reduce.Start, t.Reduce.Update, nil, p)
	case gojq.TermTypeForeach:
		f := t.Foreach
		extract := f.Extract
		if extract == nil {
			extract = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}
		}
		return c.loop(f.Query, f.Patterns, f.Start, f.Update, extract, p)
	case gojq.TermTypeQuery:
		return c.query(t.Query, p)
	}
	return node{}, unable("%s", strings.TrimPrefix(t.Type.GoString(), "gojq.TermType"))
}

// constants reads [1, "a", ...]: texts alone, which is what lists in programs are.
func constants(q *gojq.Query) ([]any, bool) {
	switch {
	case q.Op == gojq.OpComma && len(q.FuncDefs) == 0:
		l, ok1 := constants(q.Left)
		r, ok2 := constants(q.Right)
		return append(l, r...), ok1 && ok2
	case q.Term != nil && len(q.FuncDefs) == 0 && q.Term.Type == gojq.TermTypeString && len(q.Term.SuffixList) == 0 && q.Term.Str.Queries == nil:
		return []any{q.Term.Str.Str}, true
	}
	return nil, false
}

func (c *compiler) suffix(t *gojq.Term, s *gojq.Suffix, p place) (node, error) {
	switch {
	case s.Index != nil:
		n, err := c.term(t, p)
		if err != nil {
			return node{}, err
		}
		return c.index(n, s.Index, p)
	case s.Iter:
		n, err := c.term(t, p)
		return pipe(n, c.iterate()), err
	case s.Optional:
		// Only the last step is tried.
		if n := len(t.SuffixList); n > 0 {
			last := t.SuffixList[n-1]
			step := &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{last}}
			if last.Index != nil {
				step = &gojq.Term{Type: gojq.TermTypeIndex, Index: last.Index}
			}
			if last.Index != nil || last.Iter {
				inner := *t
				inner.SuffixList = t.SuffixList[:n-1]
				l, err := c.term(&inner, p)
				if err != nil {
					return node{}, err
				}
				r, err := c.term(step, p)
				return pipe(l, try(r, empty())), err
			}
		}
		n, err := c.term(t, p)
		return try(n, empty()), err
	}
	return node{}, unable("suffix")
}

func (c *compiler) index(of node, x *gojq.Index, p place) (node, error) {
	var key node
	var err error
	switch {
	case x.Name != "":
		key = constant(x.Name)
	case x.Str != nil:
		key, err = c.text(x.Str, p)
	case !x.IsSlice:
		key, err = c.query(x.Start, p)
	default:
		return c.slice(of, x, p)
	}
	if err != nil {
		return node{}, err
	}
	if key.constant {
		switch k := key.val.(type) {
		case string:
			return c.member(of, k), nil
		case int:
			return pipe(of, lift(c.asks.element(k))), nil
		}
	}
	return pair(key, of, c.asks.index), nil // the key first
}

// member is a field of a known name.
func (c *compiler) member(of node, key string) node {
	site, other := c.sites, c.asks.member(key)
	c.sites++
	get := func(m *vm, in any) (any, error) {
		if o, ok := in.(*Object); ok {
			return m.member(o.members, key, site), nil
		}
		return other(in)
	}
	if of.slot > 0 {
		slot := of.slot - 1
		return node{one: func(m *vm, _ any) (any, error) { return get(m, m.slots[slot]) }}
	}
	return pipe(of, node{one: get})
}

// member is the value of a key, which most often stands where it stood the last time.
func (m *vm) member(members []Member, key string, site int) any {
	if at := int(m.found[site]); at < len(members) && members[at].Key == key {
		return members[at].Value
	}
	at := Index(members, key)
	if at < 0 {
		return nil
	}
	m.found[site] = uint8(min(at, math.MaxUint8))
	return members[at].Value
}

func lift(f func(any) (any, error)) node {
	return node{one: func(_ *vm, in any) (any, error) { return f(in) }}
}

// pair combines two values, the first the slower one.
func pair(first, second node, f func(a, b any) (any, error)) node {
	if first.one != nil && second.one != nil {
		a, b := first.one, second.one
		if first.constant {
			k := first.val
			return node{one: func(m *vm, in any) (any, error) {
				w, err := b(m, in)
				if err != nil || isNone(w) {
					return w, err
				}
				return f(k, w)
			}}
		}
		return node{one: func(m *vm, in any) (any, error) {
			v, err := a(m, in)
			if err != nil || isNone(v) {
				return v, err
			}
			w, err := b(m, in)
			if err != nil || isNone(w) {
				return w, err
			}
			return f(v, w)
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		return first.each(m, in, func(v any) error {
			return second.each(m, in, func(w any) error {
				x, err := f(v, w)
				if err != nil {
					return err
				}
				return out(x)
			})
		})
	}}
}

func (c *compiler) slice(of node, x *gojq.Index, p place) (node, error) {
	ends := [2]node{constant(nil), constant(nil)}
	for i, q := range []*gojq.Query{x.Start, x.End} {
		if q == nil {
			continue
		}
		var err error
		if ends[i], err = c.query(q, p); err != nil {
			return node{}, err
		}
	}
	return c.strict([]node{ends[0], ends[1], of}, func(_ *vm, _ any, vs []any) (any, error) {
		return c.asks.slice(vs[2], vs[0], vs[1])
	}), nil
}

// strict computes arguments, the first one slowest, and a value of them.
func (c *compiler) strict(args []node, f func(m *vm, in any, vs []any) (any, error)) node {
	for _, a := range args {
		if a.one == nil {
			return node{many: func(m *vm, in any, out func(any) error) error {
				return product(m, in, args, nil, func(vs []any) error {
					v, err := f(m, in, vs)
					if err != nil || isNone(v) {
						return err
					}
					return out(v)
				})
			}}
		}
	}
	return node{one: func(m *vm, in any) (any, error) {
		base := len(m.args)
		for i := range args {
			v, err := args[i].one(m, in)
			if err != nil || isNone(v) {
				m.args = m.args[:base]
				return v, err
			}
			m.args = append(m.args, v)
		}
		v, err := f(m, in, m.args[base:])
		m.args = m.args[:base]
		return v, err
	}}
}

func (c *compiler) unary(u *gojq.Unary, p place) (node, error) {
	if u.Op == gojq.OpSub && u.Term.Type == gojq.TermTypeNumber && len(u.Term.SuffixList) == 0 {
		v, err := c.asks.constant("-" + u.Term.Number)
		return constant(v), err
	}
	n, err := c.term(u.Term, p)
	if err != nil {
		return node{}, err
	}
	switch u.Op { //nolint:exhaustive // the others are no unary ones
	case gojq.OpSub:
		f, err := c.asks.function("-.", 0)
		return pipe(n, lift(func(v any) (any, error) { return f(v) })), err
	case gojq.OpAdd:
		f, err := c.asks.function("+.", 0)
		return pipe(n, lift(func(v any) (any, error) { return f(v) })), err
	}
	return node{}, unable("unary %v", u.Op)
}

// choose compiles an if to values or, by body, to something else.
func (c *compiler) choose(e *gojq.If, p place, body func(*gojq.Query, place) (node, error)) (node, error) {
	cond, err := c.query(e.Cond, p)
	if err != nil {
		return node{}, err
	}
	then, err := body(e.Then, p)
	if err != nil {
		return node{}, err
	}
	other := identity()
	switch {
	case len(e.Elif) > 0:
		other, err = c.choose(&gojq.If{Cond: e.Elif[0].Cond, Then: e.Elif[0].Then, Elif: e.Elif[1:], Else: e.Else}, p, body)
	case e.Else != nil:
		other, err = body(e.Else, p)
	}
	return condition(cond, then, other), err
}

func (c *compiler) loop(query *gojq.Query, patterns []*gojq.Pattern, start, update, extract *gojq.Query, p place) (node, error) {
	if len(patterns) != 1 {
		return node{}, unable("alternatives of patterns")
	}
	var ns [4]node
	put, in, err := c.pattern(patterns[0], p)
	if err != nil {
		return node{}, err
	}
	for i, part := range []struct {
		q *gojq.Query
		p place
	}{{query, p}, {start, p}, {update, in}, {extract, in}} {
		if part.q == nil {
			continue
		}
		if ns[i], err = c.query(part.q, part.p); err != nil {
			return node{}, err
		}
	}
	if extract == nil {
		return reduce(ns[0], ns[1], ns[2], put), nil
	}
	return foreach(ns[0], ns[1], ns[2], ns[3], put), nil
}

// text compiles a text with what is computed inside it; the last part is computed
// first, and slowest, as the operands of + are.
func (c *compiler) text(s *gojq.String, p place) (node, error) {
	if s.Queries == nil {
		return constant(s.Str), nil
	}
	parts := make([]node, len(s.Queries))
	for i, q := range s.Queries {
		n, err := c.query(q, p)
		if err != nil {
			return node{}, err
		}
		if q.Term == nil || q.Term.Str == nil {
			n = pipe(n, lift(func(v any) (any, error) {
				if _, is := v.(string); is {
					return v, nil
				}
				return tostring(v), nil
			}))
		}
		parts[len(parts)-1-i] = n
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return c.strict(parts, func(m *vm, _ any, vs []any) (any, error) { return m.joined(vs), nil }), nil
}

// terms counts the terms of a query, up to about most.
func terms(q *gojq.Query, most int) int {
	n := 0
	countTerms(reflect.ValueOf(q), &n, most)
	return n
}

func countTerms(v reflect.Value, n *int, most int) {
	if *n > most {
		return
	}
	switch v.Kind() { //nolint:exhaustive // scalars hold nothing
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if v.Type() == reflect.TypeFor[*gojq.Term]() {
			*n++
		}
		countTerms(v.Elem(), n, most)
	case reflect.Struct:
		for _, f := range v.Fields() {
			countTerms(f, n, most)
		}
	case reflect.Slice:
		for i := range v.Len() {
			countTerms(v.Index(i), n, most)
		}
	}
}
