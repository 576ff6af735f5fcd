package jq

import (
	"slices"

	"github.com/itchyny/gojq"
)

// binary compiles an operator; its right operand is computed first, and slowest.
func (c *compiler) binary(op gojq.Operator, l, r node) node {
	a := c.asks
	switch op { //nolint:exhaustive // the others are asked
	case gojq.OpAdd:
		parts := []node{r, l}
		if l.sum != nil {
			parts = append([]node{r}, l.sum...)
		}
		n := pair(r, l, func(r, l any) (any, error) { return a.add(l, r) })
		if len(parts) > 2 {
			n = c.strict(parts, func(m *vm, _ any, vs []any) (any, error) { return a.addAll(m, vs) })
		}
		n.sum, n.add = parts, a.addAll
		return n
	case gojq.OpEq, gojq.OpNe:
		same := op == gojq.OpEq
		if n, ok := c.equalTo(l, r, same); ok {
			return n
		}
		return pair(r, l, func(r, l any) (any, error) { return equal(l, r) == same, nil })
	case gojq.OpGt:
		return pair(r, l, func(r, l any) (any, error) { return compare(l, r) > 0, nil })
	case gojq.OpLt:
		return pair(r, l, func(r, l any) (any, error) { return compare(l, r) < 0, nil })
	case gojq.OpGe:
		return pair(r, l, func(r, l any) (any, error) { return compare(l, r) >= 0, nil })
	case gojq.OpLe:
		return pair(r, l, func(r, l any) (any, error) { return compare(l, r) <= 0, nil })
	}
	return pair(r, l, a.operator(op))
}

// operator is an operator of two values, the right one first.
func (a *asks) operator(op gojq.Operator) func(r, l any) (any, error) {
	text := "$a " + op.String() + " $b"
	return func(r, l any) (any, error) {
		if n, ok := l.(int); ok {
			if k, ok := r.(int); ok && n > -1<<31 && n < 1<<31 && k > -1<<31 && k < 1<<31 {
				switch op { //nolint:exhaustive // the others are asked
				case gojq.OpSub:
					return n - k, nil
				case gojq.OpMul:
					return n * k, nil
				case gojq.OpDiv:
					if k != 0 && n%k == 0 {
						return n / k, nil
					}
				}
			}
		}
		return a.do(text, nil, l, r)
	}
}

// equalTo compares with a constant text or null.
func (c *compiler) equalTo(l, r node, same bool) (node, bool) {
	if l.constant && !r.constant {
		l, r = r, l
	}
	if !r.constant || l.one == nil {
		return node{}, false
	}
	f := l.one
	switch want := r.val.(type) {
	case string:
		return node{one: func(m *vm, in any) (any, error) {
			v, err := f(m, in)
			if err != nil || isNone(v) {
				return v, err
			}
			s, ok := v.(string)
			return (ok && s == want) == same, nil
		}}, true
	case nil:
		return node{one: func(m *vm, in any) (any, error) {
			v, err := f(m, in)
			if err != nil || isNone(v) {
				return v, err
			}
			return (v == nil) == same, nil
		}}, true
	}
	return node{}, false
}

func (c *compiler) object(o *gojq.Object, p place) (node, error) {
	if len(o.KeyVals) == 0 {
		return constant(&Object{}), nil
	}
	n := len(o.KeyVals)
	parts := make([]node, 0, 2*n) // key, value, key, value
	fixed := true
	for _, kv := range o.KeyVals {
		k, v, err := c.keyValue(kv, p)
		if err != nil {
			return node{}, err
		}
		parts = append(parts, k, v)
		_, text := k.val.(string)
		fixed = fixed && k.constant && text
	}
	if fixed {
		return c.fixedObject(parts), nil
	}
	return c.strict(parts, func(_ *vm, _ any, vs []any) (any, error) {
		for i := len(vs) - 2; i >= 0; i -= 2 {
			if _, ok := vs[i].(string); !ok {
				return c.asks.do("{($a): null}", nil, vs[i])
			}
		}
		members := make([]Member, 0, n)
		for i := 0; i < len(vs); i += 2 {
			k, _ := vs[i].(string)
			members = append(members, Member{k, vs[i+1]})
		}
		return Ordered(members), nil
	}), nil
}

func (c *compiler) keyValue(kv *gojq.ObjectKeyVal, p place) (k, v node, err error) {
	switch {
	case kv.Key != "" && kv.Key[0] == '$':
		if kv.Val != nil { // {$x: ...}: the value of $x is the key
			k, err = c.call(&gojq.Func{Name: kv.Key}, p)
			break
		}
		v, err = c.call(&gojq.Func{Name: kv.Key}, p)
		return constant(kv.Key[1:]), v, err
	case kv.Key != "":
		k = constant(kv.Key)
	case kv.KeyString != nil:
		k, err = c.text(kv.KeyString, p)
	default:
		k, err = c.query(kv.KeyQuery, p)
	}
	if err != nil {
		return k, v, err
	}
	if kv.Val != nil {
		v, err = c.query(kv.Val, p)
		return k, v, err
	}
	name, ok := k.val.(string)
	if !k.constant || !ok {
		return k, v, unable("an object of a computed key alone")
	}
	return k, c.member(identity(), name), nil
}

// fixedObject is an object whose keys are known.
func (c *compiler) fixedObject(parts []node) node {
	n := len(parts) / 2
	keys, values := make([]string, n), make([]node, n)
	single, known := true, true
	for i := range n {
		key, _ := parts[2*i].val.(string)
		keys[i] = c.word(key)
		values[i] = parts[2*i+1]
		single = single && values[i].one != nil
		known = known && values[i].constant
	}
	if known {
		return constant(table(keys, values))
	}
	order, at := placesOf(keys)
	if single {
		ones := make([]func(*vm, any) (any, error), n)
		for i := range values {
			ones[i] = values[i].one
		}
		return node{members: &members{order, at, ones}, one: func(m *vm, in any) (any, error) {
			o := m.objectOf(order)
			for i, f := range ones {
				v, err := f(m, in)
				if err != nil || isNone(v) {
					return v, err
				}
				o.members[at[i]].Value = v
			}
			return o, nil
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		return product(m, in, values, nil, func(vs []any) error {
			o := m.objectOf(order)
			for i := range vs {
				o.members[at[i]].Value = vs[i]
			}
			return out(o)
		})
	}}
}

// word is a key as one text in all of the program: whoever reads its objects tells one by
// where it stands.
func (c *compiler) word(k string) string {
	if one, ok := c.words[k]; ok {
		return one
	}
	c.words[k] = k
	return k
}

// table is an object that is known: a map where it is large, which is what is looked
// up in.
func table(keys []string, values []node) any {
	m := make(map[string]any, len(keys))
	for i, k := range keys {
		m[k] = values[i].val
	}
	if len(m) > 8 {
		return m
	}
	members, _ := Members(m)
	return &Object{members}
}

// placesOf are keys in their order, each once, without values, and where among them
// each one stands.
func placesOf(keys []string) (order []Member, at []int) {
	for _, k := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		order = append(order, Member{Key: k})
	}
	for _, k := range keys {
		i, _ := Find(order, k)
		at = append(at, i)
	}
	return order, at
}
