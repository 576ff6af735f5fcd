package jq

import "slices"

// node is a compiled expression. one is set when it gives at most one value; many
// otherwise.
type node struct {
	one  func(m *vm, in any) (any, error)
	many func(m *vm, in any, out func(any) error) error

	constant bool // its value is val whatever the input
	val      any
	identity bool
	slot     int // of a variable, plus one

	loop    *loop                              // set beside many
	parts   []func(m *vm, in any) (any, error) // of a, b, c: at most one value each
	members *members                           // of an object whose keys are known
	filter  *filter                            // of an object's members
	sum     []node                             // of a + b + c, the last one first
	add     func(m *vm, vs []any) (any, error) // where there is a sum
}

// nothing is what one gives for no value.
type nothing struct{}

var none any = (*nothing)(nil)

func isNone(v any) bool {
	_, is := v.(*nothing)
	return is
}

func truthy(v any) bool {
	b, ok := v.(bool)
	return v != nil && (!ok || b)
}

// each runs a node of either kind.
func (n *node) each(m *vm, in any, out func(any) error) error {
	if n.one == nil {
		return n.many(m, in, out)
	}
	v, err := n.one(m, in)
	if err != nil || isNone(v) {
		return err
	}
	return out(v)
}

func constant(v any) node {
	return node{one: func(*vm, any) (any, error) { return v, nil }, constant: true, val: v}
}

func identity() node {
	return node{one: func(_ *vm, in any) (any, error) { return in, nil }, identity: true}
}

func variable(slot int) node {
	return node{one: func(m *vm, _ any) (any, error) { return m.slots[slot], nil }, slot: slot + 1}
}

func empty() node {
	return node{one: func(*vm, any) (any, error) { return none, nil }}
}

func pipe(l, r node) node {
	switch {
	case l.identity:
		return r
	case r.identity:
		return l
	case l.one != nil && r.constant && l.slot > 0:
		return r
	case l.members != nil && r.filter != nil:
		return filtered(l.members, r)
	case l.sum != nil && l.one != nil && r.filter != nil:
		return filteredSum(l, r)
	case l.one != nil && r.one != nil:
		l, r := l.one, r.one
		return node{one: func(m *vm, in any) (any, error) {
			v, err := l(m, in)
			if err != nil || isNone(v) {
				return v, err
			}
			return r(m, v)
		}}
	case l.one != nil && r.loop != nil:
		return r.loop.after(l.one)
	case l.loop != nil && r.one != nil:
		return l.loop.then(r.one)
	case l.one != nil:
		l, r := l.one, r.many
		return node{many: func(m *vm, in any, out func(any) error) error {
			v, err := l(m, in)
			if err != nil || isNone(v) {
				return err
			}
			return r(m, v, out)
		}}
	case r.one != nil:
		l, r := l.many, r.one
		return node{many: func(m *vm, in any, out func(any) error) error {
			return l(m, in, func(v any) error {
				w, err := r(m, v)
				if err != nil || isNone(w) {
					return err
				}
				return out(w)
			})
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		return l.many(m, in, func(v any) error { return r.many(m, v, out) })
	}}
}

func comma(l, r node) node {
	return node{parts: together(&l, &r), many: func(m *vm, in any, out func(any) error) error {
		if err := l.each(m, in, out); err != nil {
			return err
		}
		return r.each(m, in, out)
	}}
}

// together are the parts of two sides; nil where one of them has none.
func together(l, r *node) []func(m *vm, in any) (any, error) {
	a, b := l.alone(), r.alone()
	if a == nil || b == nil {
		return nil
	}
	return slices.Concat(a, b)
}

// alone are the parts of a comma, or the one; nil where there may be several values.
func (n *node) alone() []func(m *vm, in any) (any, error) {
	if n.one != nil {
		return []func(m *vm, in any) (any, error){n.one}
	}
	return n.parts
}

// alternative is l // r. An error of l is no reason for r.
func alternative(l, r node) node {
	if l.one != nil && r.one != nil {
		l, r := l.one, r.one
		return node{one: func(m *vm, in any) (any, error) {
			v, err := l(m, in)
			if err != nil || truthy(v) && !isNone(v) {
				return v, err
			}
			return r(m, in)
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		found := false
		err := l.each(m, in, func(v any) error {
			if !truthy(v) {
				return nil
			}
			found = true
			return out(v)
		})
		if err != nil || found {
			return err
		}
		return r.each(m, in, out)
	}}
}

func condition(cond, then, other node) node {
	if cond.one != nil && then.one != nil && other.one != nil {
		cond, then, other := cond.one, then.one, other.one
		return node{one: func(m *vm, in any) (any, error) {
			c, err := cond(m, in)
			if err != nil || isNone(c) {
				return c, err
			}
			if truthy(c) {
				return then(m, in)
			}
			return other(m, in)
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		return cond.each(m, in, func(c any) error {
			if truthy(c) {
				return then.each(m, in, out)
			}
			return other.each(m, in, out)
		})
	}}
}

// bind is l as $x | body, with $x in a slot.
func bind(l node, slot int, body node) node {
	if l.one != nil && body.one != nil {
		l, body := l.one, body.one
		return node{one: func(m *vm, in any) (any, error) {
			v, err := l(m, in)
			if err != nil || isNone(v) {
				return v, err
			}
			m.slots[slot] = v
			return body(m, in)
		}}
	}
	if l.one != nil && body.loop != nil {
		return body.loop.with(l.one, slot)
	}
	if l.loop != nil && body.one != nil {
		if n, ok := l.loop.bound(slot, body.one); ok {
			return n
		}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		return l.each(m, in, func(v any) error {
			m.slots[slot] = v
			return body.each(m, in, out)
		})
	}}
}

// try is try body catch handler; without a handler it is empty.
func try(body, handler node) node {
	if body.one != nil && handler.one != nil {
		body, handler := body.one, handler.one
		return node{one: func(m *vm, in any) (any, error) {
			v, err := body(m, in)
			if err == nil {
				return v, nil
			}
			c, ok := caught(err)
			if !ok {
				return nil, err
			}
			return handler(m, c)
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		down := false // the error is of what comes after the try
		err := body.each(m, in, func(v any) error {
			err := out(v)
			down = err != nil
			return err
		})
		if err == nil || down {
			return err
		}
		c, ok := caught(err)
		if !ok {
			return err
		}
		return handler.each(m, c, out)
	}}
}

// collect is [body].
func collect(body node) node {
	if body.one != nil {
		body := body.one
		return node{one: func(m *vm, in any) (any, error) {
			v, err := body(m, in)
			if err != nil {
				return nil, err
			}
			if isNone(v) {
				return []any{}, nil
			}
			list := m.list(1)
			list[0] = v
			return m.boxed(list), nil
		}}
	}
	if body.parts != nil {
		parts := body.parts
		return node{one: func(m *vm, in any) (any, error) {
			list := m.list(len(parts))[:0]
			for _, f := range parts {
				v, err := f(m, in)
				if err != nil {
					return nil, err
				}
				if !isNone(v) {
					list = append(list, v)
				}
			}
			return m.boxed(list), nil
		}}
	}
	if l := body.loop; l != nil {
		return node{one: func(m *vm, in any) (any, error) {
			base := len(m.args) // a step leaves nothing there
			err := l.run(m, in, func(v any) (bool, error) {
				m.args = append(m.args, v)
				return true, nil
			})
			list := m.list(len(m.args) - base)
			copy(list, m.args[base:])
			m.args = m.args[:base]
			return m.boxed(list), err
		}}
	}
	return node{one: func(m *vm, in any) (any, error) {
		list := []any{}
		err := body.many(m, in, func(v any) error {
			list = append(list, v)
			return m.tick()
		})
		return list, err
	}}
}

// first is the first value of body.
func first(body node) node {
	if body.one != nil {
		return body
	}
	if l := body.loop; l != nil {
		return node{one: func(m *vm, in any) (any, error) {
			got := none
			err := l.run(m, in, func(v any) (bool, error) {
				got = v
				return false, nil
			})
			return got, err
		}}
	}
	return node{one: func(m *vm, in any) (any, error) {
		got := none
		err := body.many(m, in, func(v any) error {
			got = v
			return errStop
		})
		if err == errStop { //nolint:errorlint // never wrapped
			err = nil
		}
		return got, err
	}}
}

// reduce is reduce source as (bound by put) (start; update).
func reduce(source, start, update node, put putter) node {
	run := func(m *vm, in, state any) (any, error) {
		if l := source.loop; l != nil && put.slot > 0 && update.one != nil {
			err := l.run(m, in, func(v any) (bool, error) {
				m.slots[put.slot-1] = v
				w, err := update.one(m, state)
				if err == nil && !isNone(w) {
					state = w
				}
				return true, err
			})
			return state, err
		}
		err := source.each(m, in, func(v any) error {
			if err := m.tick(); err != nil {
				return err
			}
			return put.do(m, v, func() error {
				if update.one != nil {
					w, err := update.one(m, state)
					if err == nil && !isNone(w) {
						state = w
					}
					return err
				}
				return update.many(m, state, func(w any) error { state = w; return nil })
			})
		})
		return state, err
	}
	if start.one != nil {
		return node{one: func(m *vm, in any) (any, error) {
			v, err := start.one(m, in)
			if err != nil || isNone(v) {
				return v, err
			}
			return run(m, in, v)
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		return start.many(m, in, func(v any) error {
			w, err := run(m, in, v)
			if err != nil {
				return err
			}
			return out(w)
		})
	}}
}

// foreach is foreach source as (bound by put) (start; update; extract).
func foreach(source, start, update, extract node, put putter) node {
	return node{many: func(m *vm, in any, out func(any) error) error {
		return start.each(m, in, func(state any) error {
			step := func() error {
				if update.one != nil {
					w, err := update.one(m, state)
					if err != nil || isNone(w) {
						return err
					}
					state = w
					return extract.each(m, w, out)
				}
				return update.each(m, state, func(w any) error {
					state = w
					return extract.each(m, w, out)
				})
			}
			return source.each(m, in, func(v any) error {
				if err := m.tick(); err != nil {
					return err
				}
				return put.do(m, v, step)
			})
		})
	}}
}

// putter binds the variables of a pattern to a value and goes on.
type putter struct {
	do   func(m *vm, v any, then func() error) error
	slot int // where the pattern is one variable, plus one
}
