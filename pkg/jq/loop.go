package jq

// loop is an expression that goes through one array or object and makes at most one
// value of each element, as .[] | f does, and $x[] as $y | f. Most generators are of
// this kind; as loops they run without a function made for each stage of each run.
type loop struct {
	asks *asks
	// list is what is gone through, none for nothing, and the input for step.
	list   func(m *vm, in any) (list, at any, err error)
	step   func(m *vm, at, elem any) (any, error) // nil: the element itself
	usesAt bool                                   // step looks at its input, not at the element alone
}

// node is an expression of the loop.
func (l *loop) node() node {
	return node{loop: l, many: func(m *vm, in any, out func(any) error) error {
		return l.run(m, in, func(v any) (bool, error) { return true, out(v) })
	}}
}

// run gives the values to out until it wants no more.
func (l *loop) run(m *vm, in any, out func(any) (goOn bool, err error)) error {
	list, at, err := l.list(m, in)
	if err != nil || isNone(list) {
		return err
	}
	if elems, ok := list.([]any); ok {
		for _, e := range elems {
			if goOn, err := l.one(m, at, e, out); err != nil || !goOn {
				return err
			}
		}
		return nil
	}
	members, ok := Members(list)
	if !ok {
		_, err := l.asks.do(".[]", list)
		return err
	}
	for i := range members {
		if goOn, err := l.one(m, at, members[i].Value, out); err != nil || !goOn {
			return err
		}
	}
	return nil
}

// one is a step.
func (l *loop) one(m *vm, at, e any, out func(any) (goOn bool, err error)) (goOn bool, err error) {
	if err := m.tick(); err != nil {
		return false, err
	}
	if l.step == nil {
		return out(e)
	}
	v, err := l.step(m, at, e)
	if err != nil || isNone(v) {
		return true, err
	}
	return out(v)
}

// after is f | the loop.
func (l *loop) after(f func(m *vm, in any) (any, error)) node {
	c := *l
	c.list = func(m *vm, in any) (list, at any, err error) {
		v, err := f(m, in)
		if err != nil || isNone(v) {
			return v, nil, err
		}
		return l.list(m, v)
	}
	return c.node()
}

// then is the loop | f.
func (l *loop) then(f func(m *vm, in any) (any, error)) node {
	c := *l
	if l.step == nil {
		c.step = func(m *vm, _, e any) (any, error) { return f(m, e) }
		return c.node()
	}
	c.step = func(m *vm, at, e any) (any, error) {
		v, err := l.step(m, at, e)
		if err != nil || isNone(v) {
			return v, err
		}
		return f(m, v)
	}
	return c.node()
}

// with is f as $x | the loop, with $x in a slot.
func (l *loop) with(f func(m *vm, in any) (any, error), slot int) node {
	c := *l
	c.list = func(m *vm, in any) (list, at any, err error) {
		v, err := f(m, in)
		if err != nil || isNone(v) {
			return v, nil, err
		}
		m.slots[slot] = v
		return l.list(m, in)
	}
	return c.node()
}

// bound is the loop as $x | body, with $x in a slot; false where both look at an input.
func (l *loop) bound(slot int, body func(m *vm, in any) (any, error)) (node, bool) {
	if l.usesAt {
		return node{}, false
	}
	c := *l
	c.usesAt = true
	c.list = func(m *vm, in any) (list, at any, err error) {
		list, _, err = l.list(m, in)
		return list, in, err
	}
	c.step = func(m *vm, at, e any) (any, error) {
		v := e
		if l.step != nil {
			var err error
			if v, err = l.step(m, nil, e); err != nil || isNone(v) {
				return v, err
			}
		}
		m.slots[slot] = v
		return body(m, at)
	}
	return c.node(), true
}
