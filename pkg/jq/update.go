package jq

import (
	"errors"

	"github.com/itchyny/gojq"
)

// update compiles the operators that change what paths name.
func (c *compiler) update(q *gojq.Query, p place) (node, error) {
	switch q.Op { //nolint:exhaustive // the others are of an operator and =
	case gojq.OpModify:
		return c.modify(q.Left, q.Right, p)
	case gojq.OpAssign:
		to, err := c.query(q.Right, p)
		if err != nil {
			return node{}, err
		}
		return c.assign(q.Left, p, to)
	}
	to, err := c.query(q.Right, p)
	if err != nil {
		return node{}, err
	}
	op := map[gojq.Operator]gojq.Operator{
		gojq.OpUpdateAdd: gojq.OpAdd, gojq.OpUpdateSub: gojq.OpSub, gojq.OpUpdateMul: gojq.OpMul,
		gojq.OpUpdateDiv: gojq.OpDiv, gojq.OpUpdateMod: gojq.OpMod,
	}[q.Op]
	var f func(r, l any) (any, error)
	switch q.Op { //nolint:exhaustive // all others have an operator
	case gojq.OpUpdateAlt:
		f = func(r, l any) (any, error) {
			if truthy(l) {
				return l, nil
			}
			return r, nil
		}
	case gojq.OpUpdateAdd:
		f = func(r, l any) (any, error) { return c.asks.add(l, r) }
	default:
		f = c.asks.operator(op)
	}
	return c.change(q.Left, p, to, func(_ *vm, old, by any) (any, error) { return f(by, old) })
}

// change compiles p = to, and p op= to: for each value of to.
func (c *compiler) change(path *gojq.Query, p place, to node, f func(m *vm, old, by any) (any, error)) (node, error) {
	u, err := c.updater(path, p)
	if err != nil {
		return node{}, err
	}
	return c.strict([]node{to}, func(m *vm, in any, vs []any) (any, error) {
		by := vs[0]
		return u.run(m, in, func(old any) (any, error) { return f(m, old, by) })
	}), nil
}

// assign compiles p = to.
func (c *compiler) assign(path *gojq.Query, p place, to node) (node, error) {
	u, err := c.updater(path, p)
	if err != nil {
		return node{}, err
	}
	u.assign, u.keys = true, c.keys(path)
	return c.strict([]node{to}, func(m *vm, in any, vs []any) (any, error) {
		by := vs[0]
		return u.run(m, in, func(any) (any, error) { return by, nil })
	}), nil
}

// modify compiles p |= by: the first value of by, without one what is there goes.
func (c *compiler) modify(path, by *gojq.Query, p place) (node, error) {
	u, err := c.updater(path, p)
	if err != nil {
		return node{}, err
	}
	n, err := c.query(by, p)
	n = first(n)
	return node{one: func(m *vm, in any) (any, error) {
		return u.run(m, in, func(old any) (any, error) { return n.one(m, old) })
	}}, err
}

// delete compiles del(path).
func (c *compiler) delete(path *gojq.Query, p place) (node, error) {
	u, err := c.updater(path, p)
	u.delete = true
	return node{one: func(m *vm, in any) (any, error) {
		return u.run(m, in, func(any) (any, error) { return none, nil })
	}}, err
}

// updater changes what a path names.
type updater struct {
	asks  *asks
	quick quick // nil where the path is not of the common ones
	paths paths

	assign bool  // what is there is not asked for
	delete bool  // all of it, and nothing is asked for
	keys   []any // of an assignment to fields that are known
}

func (c *compiler) updater(q *gojq.Query, p place) (updater, error) {
	ps, err := c.paths(q, p)
	if err != nil {
		return updater{}, err
	}
	f, err := c.quick(q, p)
	return updater{asks: c.asks, quick: f, paths: ps}, err
}

// run gives in changed by f, of which nothing deletes. Where anything goes wrong it
// is done again step by step, as gojq does it, for the error to be the same.
func (u *updater) run(m *vm, in any, f func(any) (any, error)) (any, error) {
	if u.quick != nil {
		v, changed, err := u.quick(m, in, f)
		switch {
		case err == nil && !changed:
			return in, nil
		case err == nil && isNone(v):
			return nil, nil //nolint:nilnil // null is left of what is deleted whole
		case err == nil:
			return v, nil
		}
		if _, over := errors.AsType[*aborted](err); over {
			return nil, err
		}
	}
	if u.keys != nil {
		v, err := f(nil)
		if err != nil {
			return nil, err
		}
		return u.asks.do("setpath($a; $b)", in, u.keys, v)
	}
	now, gone := in, []any{}
	err := u.paths(m, nil, in, func(at *step, _ any) error {
		if err := m.tick(); err != nil {
			return err
		}
		path := at.list()
		if u.delete {
			gone = append(gone, path)
			return nil
		}
		var old any
		var err error
		if !u.assign {
			if old, err = u.asks.do("getpath($a)", now, path); err != nil {
				return err
			}
		}
		v, err := f(old)
		if err != nil {
			return err
		}
		if isNone(v) {
			gone = append(gone, path)
			return nil
		}
		now, err = u.asks.do("setpath($a; $b)", now, path, v)
		return err
	})
	if err != nil || len(gone) == 0 {
		return now, err
	}
	return u.asks.do("delpaths($a)", now, gone)
}

// keys are those of a path whose keys all stand in the program; nil of any other.
func (c *compiler) keys(q *gojq.Query) []any {
	if q.Term == nil {
		return nil
	}
	keys := []any{}
	switch q.Term.Type { //nolint:exhaustive // the others have none
	case gojq.TermTypeIndex:
		k, ok := c.key(q.Term.Index)
		if !ok {
			return nil
		}
		keys = append(keys, k)
	case gojq.TermTypeQuery:
		if keys = c.keys(q.Term.Query); keys == nil {
			return nil
		}
	default:
		return nil
	}
	for _, s := range q.Term.SuffixList {
		if s.Index == nil {
			return nil
		}
		k, ok := c.key(s.Index)
		if !ok {
			return nil
		}
		keys = append(keys, k)
	}
	return keys
}

func (c *compiler) key(x *gojq.Index) (any, bool) {
	switch {
	case x.Name != "":
		return x.Name, true
	case x.Str != nil:
		return x.Str.Str, x.Str.Queries == nil
	case x.IsSlice || x.Start.Term == nil || len(x.Start.Term.SuffixList) > 0:
		return nil, false
	}
	switch t := x.Start.Term; t.Type { //nolint:exhaustive // the others are computed
	case gojq.TermTypeString:
		return t.Str.Str, t.Str.Queries == nil
	case gojq.TermTypeNumber:
		k, err := c.asks.constant(t.Number)
		return k, err == nil
	case gojq.TermTypeUnary:
		if t.Unary.Op == gojq.OpSub && t.Unary.Term.Type == gojq.TermTypeNumber && len(t.Unary.Term.SuffixList) == 0 {
			k, err := c.asks.constant("-" + t.Unary.Term.Number)
			return k, err == nil
		}
	}
	return nil, false
}
