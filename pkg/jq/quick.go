package jq

import (
	"errors"
	"slices"

	"github.com/itchyny/gojq"
)

// quick changes a value without naming the paths: v is none where it is to be
// deleted, and changed is false where there was nothing to change.
type quick func(m *vm, in any, f func(any) (any, error)) (v any, changed bool, err error)

// errSlow sends an update the slow way.
var errSlow = errors.New("jq: not a common update")

// keep is what a change gives for what is to stay as it is.
type keep struct{}

var kept any = (*keep)(nil)

func isKept(v any) bool {
	_, is := v.(*keep)
	return is
}

func whole(_ *vm, in any, f func(any) (any, error)) (any, bool, error) {
	v, err := f(in)
	return v, !isKept(v), err
}

func (c *compiler) quick(q *gojq.Query, p place) (quick, error) {
	switch {
	case len(q.FuncDefs) > 0:
		return nil, nil //nolint:nilnil // the slow way
	case q.Term != nil:
		return c.quickTerm(q.Term, p)
	case q.Op == gojq.OpPipe && len(q.Patterns) == 0:
		l, err := c.quick(q.Left, p)
		if err != nil || l == nil {
			return nil, err
		}
		r, err := c.quick(q.Right, p)
		if err != nil || r == nil {
			return nil, err
		}
		return quickPipe(l, r), nil
	case q.Op == gojq.OpComma && c.apart(q, map[any]bool{}):
		l, err := c.quick(q.Left, p)
		if err != nil {
			return nil, err
		}
		r, err := c.quick(q.Right, p)
		return func(m *vm, in any, f func(any) (any, error)) (any, bool, error) {
			v, changed, err := l(m, in, f)
			if err != nil {
				return nil, false, err
			}
			if !changed {
				v = in
			}
			w, again, err := r(m, v, f)
			if !again {
				w = v
			}
			return w, changed || again, err
		}, err
	}
	return nil, nil //nolint:nilnil // the slow way
}

// apart says whether paths are of fields of one object, each its own: then one after
// another is the same as all at once.
func (c *compiler) apart(q *gojq.Query, seen map[any]bool) bool {
	if q.Op == gojq.OpComma {
		return c.apart(q.Left, seen) && c.apart(q.Right, seen)
	}
	keys := c.keys(q)
	if keys == nil || seen[keys[0]] {
		return false
	}
	seen[keys[0]] = true
	_, field := keys[0].(string)
	return field
}

func quickPipe(l, r quick) quick {
	return func(m *vm, in any, f func(any) (any, error)) (any, bool, error) {
		return l(m, in, func(v any) (any, error) {
			w, changed, err := r(m, v, f)
			if err == nil && !changed {
				return kept, nil
			}
			return w, err
		})
	}
}

func (c *compiler) quickTerm(t *gojq.Term, p place) (quick, error) {
	if n := len(t.SuffixList); n > 0 {
		inner, last := *t, t.SuffixList[n-1]
		inner.SuffixList = t.SuffixList[:n-1]
		l, err := c.quickTerm(&inner, p)
		if err != nil || l == nil {
			return nil, err
		}
		switch {
		case last.Iter:
			return quickPipe(l, quickEach), nil
		case last.Index != nil && keyIsKnown(last.Index):
			r, err := c.quickIndex(last.Index, p)
			if err != nil || r == nil {
				return nil, err
			}
			return quickPipe(l, r), nil
		}
		return nil, nil //nolint:nilnil // the slow way
	}
	switch t.Type { //nolint:exhaustive // the others go the slow way
	case gojq.TermTypeIdentity:
		return whole, nil
	case gojq.TermTypeQuery:
		return c.quick(t.Query, p)
	case gojq.TermTypeIndex:
		return c.quickIndex(t.Index, p)
	case gojq.TermTypeFunc:
		if _, local := p.find(t.Func.Name, len(t.Func.Args)); local || t.Func.Name != "select" || len(t.Func.Args) != 1 {
			break
		}
		cond, err := c.query(t.Func.Args[0], p)
		if err != nil || cond.one == nil {
			return nil, err
		}
		return func(m *vm, in any, f func(any) (any, error)) (any, bool, error) {
			v, err := cond.one(m, in)
			if err != nil || isNone(v) || !truthy(v) {
				return in, false, err
			}
			return whole(m, in, f)
		}, nil
	}
	return nil, nil //nolint:nilnil // the slow way
}

// quickIndex changes a field or an element.
func (c *compiler) quickIndex(x *gojq.Index, p place) (quick, error) {
	if x.IsSlice {
		return nil, nil //nolint:nilnil // the slow way
	}
	key := constant(x.Name)
	var err error
	switch {
	case x.Str != nil:
		key, err = c.text(x.Str, p)
	case x.Name == "":
		key, err = c.query(x.Start, p)
	}
	if err != nil || key.one == nil {
		return nil, err
	}
	return func(m *vm, in any, f func(any) (any, error)) (any, bool, error) {
		k, err := key.one(m, in)
		if err != nil || isNone(k) {
			return in, false, err
		}
		switch k := k.(type) {
		case string:
			return quickField(in, k, f)
		case int:
			return quickElement(in, k, f)
		}
		return nil, false, errSlow
	}, nil
}

func quickField(in any, key string, f func(any) (any, error)) (any, bool, error) {
	old, had, ok := field(in, key)
	if !ok && in != nil {
		return nil, false, errSlow
	}
	v, err := f(old)
	switch {
	case err != nil:
		return nil, false, err
	case isKept(v), isNone(v) && !had, had && alike(old, v):
		return in, false, nil
	}
	members, _ := Members(in)
	o := &Object{members}
	if isNone(v) {
		return o.without(key), true, nil
	}
	return o.With(key, v), true, nil
}

// alike says of texts that they are the same: most of what is put right was right.
func alike(a, b any) bool {
	s, ok1 := a.(string)
	t, ok2 := b.(string)
	return ok1 && ok2 && s == t
}

func quickElement(in any, i int, f func(any) (any, error)) (any, bool, error) {
	list, ok := in.([]any)
	if !ok || i < 0 || i >= len(list) {
		return nil, false, errSlow
	}
	v, err := f(list[i])
	switch {
	case err != nil:
		return nil, false, err
	case isKept(v):
		return in, false, nil
	case isNone(v):
		return slices.Concat(list[:i], list[i+1:]), true, nil
	}
	list = slices.Clone(list)
	list[i] = v
	return list, true, nil
}

// quickEach changes every element of an array or every value of an object.
func quickEach(m *vm, in any, f func(any) (any, error)) (any, bool, error) {
	changed := false
	one := func(old any) (v any, there bool, err error) {
		if err := m.tick(); err != nil {
			return nil, false, err
		}
		v, err = f(old)
		if isKept(v) {
			return old, true, err
		}
		changed = true
		return v, !isNone(v), err
	}
	if list, ok := in.([]any); ok {
		out := make([]any, 0, len(list))
		for _, old := range list {
			v, there, err := one(old)
			if err != nil {
				return nil, false, err
			}
			if there {
				out = append(out, v)
			}
		}
		return out, changed, nil
	}
	members, ok := Members(in)
	if !ok {
		return nil, false, errSlow
	}
	out := m.object(len(members))
	for _, x := range members {
		v, there, err := one(x.Value)
		if err != nil {
			return nil, false, err
		}
		if there {
			out.members = append(out.members, Member{x.Key, v})
		}
	}
	return out, changed, nil
}
