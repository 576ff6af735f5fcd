package jq

import (
	"slices"

	"github.com/itchyny/gojq"
)

// step is a path: its last key and what is before it. Nil is the input itself.
type step struct {
	up  *step
	key any
}

func (s *step) list() []any {
	list := []any{}
	for ; s != nil; s = s.up {
		list = append(list, s.key)
	}
	slices.Reverse(list)
	return list
}

// paths is an expression compiled to the paths it names, with the values there.
type paths func(m *vm, at *step, v any, out func(at *step, v any) error) error

func (c *compiler) paths(q *gojq.Query, p place) (paths, error) {
	if c.nodes++; c.nodes > maxNodes {
		return nil, unable("a program this large")
	}
	p = p.define(q.FuncDefs)
	if q.Term != nil {
		return c.termPaths(q.Term, p)
	}
	if q.Left == nil || q.Right == nil {
		return nil, unable("an expression that is missing")
	}
	if q.Op == gojq.OpPipe && len(q.Patterns) > 0 {
		return c.bindPaths(q, p)
	}
	l, err := c.paths(q.Left, p)
	if err != nil {
		return nil, err
	}
	r, err := c.paths(q.Right, p)
	if err != nil {
		return nil, err
	}
	switch q.Op { //nolint:exhaustive // the others make values, not paths
	case gojq.OpPipe:
		return pipePaths(l, r), nil
	case gojq.OpComma:
		return func(m *vm, at *step, v any, out func(*step, any) error) error {
			if err := l(m, at, v, out); err != nil {
				return err
			}
			return r(m, at, v, out)
		}, nil
	case gojq.OpAlt:
		return func(m *vm, at *step, v any, out func(*step, any) error) error {
			found := false
			err := l(m, at, v, func(at *step, v any) error {
				if !truthy(v) {
					return nil
				}
				found = true
				return out(at, v)
			})
			if err != nil || found {
				return err
			}
			return r(m, at, v, out)
		}, nil
	}
	return nil, unable("a path of %s", q.Op.GoString())
}

func pipePaths(l, r paths) paths {
	return func(m *vm, at *step, v any, out func(*step, any) error) error {
		return l(m, at, v, func(at *step, v any) error { return r(m, at, v, out) })
	}
}

func (c *compiler) bindPaths(q *gojq.Query, p place) (paths, error) {
	source, err := c.query(q.Left, p)
	if err != nil {
		return nil, err
	}
	if len(q.Patterns) > 1 {
		return nil, unable("alternatives of patterns")
	}
	put, p, err := c.pattern(q.Patterns[0], p)
	if err != nil {
		return nil, err
	}
	body, err := c.paths(q.Right, p)
	return func(m *vm, at *step, v any, out func(*step, any) error) error {
		return source.each(m, v, func(x any) error {
			return put.do(m, x, func() error { return body(m, at, v, out) })
		})
	}, err
}

func here(_ *vm, at *step, v any, out func(*step, any) error) error { return out(at, v) }

func (c *compiler) termPaths(t *gojq.Term, p place) (paths, error) {
	if n := len(t.SuffixList); n > 0 {
		inner, last := *t, t.SuffixList[n-1]
		inner.SuffixList = t.SuffixList[:n-1]
		if last.Optional {
			return c.tryPaths(&inner, p)
		}
		if last.Index != nil && !keyIsKnown(last.Index) {
			return nil, unable("a path with a computed key behind others")
		}
		l, err := c.termPaths(&inner, p)
		if err != nil {
			return nil, err
		}
		if last.Iter {
			return pipePaths(l, c.iteratePaths()), nil
		}
		r, err := c.indexPaths(last.Index, p)
		return pipePaths(l, r), err
	}
	switch t.Type { //nolint:exhaustive // the others make values, not paths
	case gojq.TermTypeIdentity:
		return here, nil
	case gojq.TermTypeIndex:
		return c.indexPaths(t.Index, p)
	case gojq.TermTypeQuery:
		return c.paths(t.Query, p)
	case gojq.TermTypeIf:
		return c.ifPaths(t.If, p)
	case gojq.TermTypeFunc:
		return c.callPaths(t.Func, p)
	case gojq.TermTypeRecurse:
		if _, local := p.find("recurse", 0); !local {
			return c.recursePaths, nil
		}
	}
	return nil, unable("a path of %s", t.Type.GoString())
}

// tryPaths is t?, which tries the last step alone.
func (c *compiler) tryPaths(t *gojq.Term, p place) (paths, error) {
	before, last := paths(here), t
	if n := len(t.SuffixList); n > 0 && !t.SuffixList[n-1].Optional {
		inner, s := *t, t.SuffixList[n-1]
		inner.SuffixList = t.SuffixList[:n-1]
		var err error
		if before, err = c.termPaths(&inner, p); err != nil {
			return nil, err
		}
		last = &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{s}}
		if s.Index != nil {
			last = &gojq.Term{Type: gojq.TermTypeIndex, Index: s.Index}
		}
	}
	body, err := c.termPaths(last, p)
	return pipePaths(before, func(m *vm, at *step, v any, out func(*step, any) error) error {
		down := false
		err := body(m, at, v, func(at *step, v any) error {
			err := out(at, v)
			down = err != nil
			return err
		})
		if err != nil && !down {
			if _, ok := caught(err); ok {
				return nil
			}
		}
		return err
	}), err
}

// recursePaths is the paths of .. at all depths.
func (c *compiler) recursePaths(m *vm, at *step, v any, out func(*step, any) error) error {
	if err := m.tick(); err != nil {
		return err
	}
	if err := out(at, v); err != nil {
		return err
	}
	switch v.(type) {
	case []any, map[string]any, *Object:
		return c.iteratePaths()(m, at, v, func(at *step, v any) error { return c.recursePaths(m, at, v, out) })
	}
	return nil
}

// keyIsKnown says whether a key does not depend on the input.
func keyIsKnown(x *gojq.Index) bool {
	switch {
	case x.Name != "" || x.Str != nil && x.Str.Queries == nil:
		return true
	case x.IsSlice || x.Start == nil || x.Start.Term == nil || len(x.Start.Term.SuffixList) > 0:
		return false
	}
	t := x.Start.Term
	return t.Type == gojq.TermTypeNumber || t.Type == gojq.TermTypeFunc && t.Func.Name[0] == '$' ||
		t.Type == gojq.TermTypeString && t.Str.Queries == nil
}

func (c *compiler) indexPaths(x *gojq.Index, p place) (paths, error) {
	if x.IsSlice {
		return nil, unable("a path with a slice")
	}
	key := constant(x.Name)
	var err error
	switch {
	case x.Str != nil:
		key, err = c.text(x.Str, p)
	case x.Name == "":
		key, err = c.query(x.Start, p)
	}
	return func(m *vm, at *step, v any, out func(*step, any) error) error {
		return key.each(m, v, func(k any) error {
			w, err := c.asks.index(k, v)
			if err != nil {
				return err
			}
			return out(&step{at, k}, w)
		})
	}, err
}

func (c *compiler) iteratePaths() paths {
	return func(m *vm, at *step, in any, out func(*step, any) error) error {
		if list, ok := in.([]any); ok {
			for i, e := range list {
				if err := m.tick(); err != nil {
					return err
				}
				if err := out(&step{at, i}, e); err != nil {
					return err
				}
			}
			return nil
		}
		if members, ok := Members(in); ok {
			for _, x := range members {
				if err := m.tick(); err != nil {
					return err
				}
				if err := out(&step{at, x.Key}, x.Value); err != nil {
					return err
				}
			}
			return nil
		}
		_, err := c.asks.do(".[]", in)
		return err
	}
}

func (c *compiler) ifPaths(e *gojq.If, p place) (paths, error) {
	cond, err := c.query(e.Cond, p)
	if err != nil {
		return nil, err
	}
	then, err := c.paths(e.Then, p)
	if err != nil {
		return nil, err
	}
	other := paths(here)
	switch {
	case len(e.Elif) > 0:
		other, err = c.ifPaths(&gojq.If{Cond: e.Elif[0].Cond, Then: e.Elif[0].Then, Elif: e.Elif[1:], Else: e.Else}, p)
	case e.Else != nil:
		other, err = c.paths(e.Else, p)
	}
	return choosePaths(cond, then, other), err
}

func choosePaths(cond node, then, other paths) paths {
	return func(m *vm, at *step, v any, out func(*step, any) error) error {
		return cond.each(m, v, func(c any) error {
			if truthy(c) {
				return then(m, at, v, out)
			}
			return other(m, at, v, out)
		})
	}
}

func nowhere(*vm, *step, any, func(*step, any) error) error { return nil }

func (c *compiler) callPaths(f *gojq.Func, p place) (paths, error) {
	if s, local := p.find(f.Name, len(f.Args)); local {
		switch {
		case s.arg != nil:
			return c.paths(s.arg.query, s.arg.at)
		case s.def != nil && len(s.def.Args) == 0 && !p.calling(s.def):
			return c.paths(s.def.Body, place{scope: s, calls: &calls{up: p.calls, def: s.def}})
		}
		return nil, unable("a path of %s", f.Name)
	}
	switch arity(f.Name, len(f.Args)) {
	case "empty/0":
		return nowhere, nil
	case "select/1":
		cond, err := c.query(f.Args[0], p)
		return choosePaths(cond, here, nowhere), err
	}
	return nil, unable("a path of %s", arity(f.Name, len(f.Args)))
}
