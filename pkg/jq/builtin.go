package jq

import (
	"slices"

	"github.com/itchyny/gojq"
)

// builtin compiles a call of a function that the program does not define.
func (c *compiler) builtin(f *gojq.Func, p place) (node, error) {
	key := arity(f.Name, len(f.Args))
	if key == "empty/0" {
		return empty(), nil
	}
	if key == "IN/1" {
		if list, ok := constants(f.Args[0]); ok {
			return oneOf(list), nil
		}
	}
	args := make([]node, len(f.Args))
	for i, q := range f.Args {
		if key == "del/1" || key == "map_values/1" {
			break // its argument is a path, or what updates one
		}
		var err error
		if args[i], err = c.query(q, p); err != nil {
			return node{}, err
		}
	}
	if n, ok, err := c.expression(key, f, args, p); ok || err != nil {
		return n, err
	}
	if n, ok := c.value(key, args); ok {
		return n, nil
	}
	if fn, ok := c.functions[key]; ok {
		return c.custom(fn, args), nil
	}
	return c.asked(key, f.Name, args)
}

// expression compiles functions whose arguments are expressions.
func (c *compiler) expression(key string, f *gojq.Func, args []node, p place) (node, bool, error) {
	var n node
	switch key {
	case "not/0":
		n = condition(identity(), constant(false), constant(true))
	case "map/1":
		n = collect(pipe(c.iterate(), args[0]))
	case "select/1":
		n = condition(args[0], identity(), empty())
	case "recurse/0":
		n = recurse(pipe(try(c.iterate(), empty()), identity()))
	case "recurse/1":
		n = recurse(args[0])
	case "first/1":
		n = first(args[0])
	case "last/1":
		n = last(args[0])
	case "isempty/1":
		n = isEmpty(args[0], true)
	case "any/0":
		n = isEmpty(pipe(c.iterate(), condition(identity(), identity(), empty())), false)
	case "any/1":
		n = isEmpty(pipe(c.iterate(), condition(args[0], identity(), empty())), false)
	case "any/2":
		n = isEmpty(pipe(args[0], condition(args[1], identity(), empty())), false)
	case "all/0":
		n = isEmpty(pipe(c.iterate(), condition(identity(), empty(), identity())), true)
	case "all/1":
		n = isEmpty(pipe(c.iterate(), condition(args[0], empty(), identity())), true)
	case "all/2":
		n = isEmpty(pipe(args[0], condition(args[1], empty(), identity())), true)
	case "IN/1":
		n = isEmpty(pipe(pair(identity(), args[0], sameAs), condition(identity(), identity(), empty())), false)
	case "IN/2":
		n = isEmpty(pipe(pair(args[1], args[0], sameAs), condition(identity(), identity(), empty())), false)
	case "add/1":
		n = pipe(collect(args[0]), node{one: c.asks.sum})
	case "sort_by/1", "group_by/1", "unique_by/1", "min_by/1", "max_by/1":
		by, err := c.asks.function("_"+f.Name+"($a)", 1)
		if err != nil {
			return n, false, err
		}
		n = pair(collect(pipe(c.iterate(), collect(args[0]))), identity(), func(keys, in any) (any, error) { return by(in, keys) })
	case "with_entries/1":
		if n, ok := c.filter(f.Args[0], p); ok {
			return n, true, nil
		}
		n = pipe(pipe(lift(c.asks.toEntries), collect(pipe(c.iterate(), args[0]))), lift(c.asks.fromEntries))
	case "until/2", "while/2":
		if args[0].one == nil || args[1].one == nil {
			return n, false, unable("%s of several values", key)
		}
		if key == "until/2" {
			n = until(args[0], args[1])
		} else {
			n = while(args[0], args[1])
		}
	case "range/1":
		n = c.numbers([]node{constant(0), args[0], constant(1)})
	case "range/2":
		n = c.numbers([]node{args[0], args[1], constant(1)})
	case "range/3", "_range/3":
		n = c.numbers(args)
	case "limit/2":
		most, ok := args[0].val.(int)
		if !args[0].constant || !ok || most < 1 {
			return n, false, unable("limit of a computed number")
		}
		n = limit(args[1], most)
	case "del/1":
		n, err := c.delete(f.Args[0], p)
		return n, true, err
	case "map_values/1":
		each := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{{Iter: true}}}}
		n, err := c.modify(each, f.Args[0], p)
		return n, true, err
	case "sub/2", "gsub/2":
		n, err := c.replace(args[0], args[1], key == "gsub/2")
		return n, true, err
	default:
		return n, false, nil
	}
	return n, true, nil
}

func sameAs(r, l any) (any, error) { return equal(l, r), nil }

// oneOf is IN of texts.
func oneOf(list []any) node {
	set := make(map[string]bool, len(list))
	for _, v := range list {
		s, _ := v.(string)
		set[s] = true
	}
	return lift(func(in any) (any, error) {
		s, ok := in.(string)
		return ok && set[s], nil
	})
}

// iterate is .[].
func (c *compiler) iterate() node {
	l := &loop{asks: c.asks, list: func(_ *vm, in any) (list, at any, err error) { return in, in, nil }}
	return l.node()
}

func recurse(f node) node {
	var down func(m *vm, in any, out func(any) error) error
	down = func(m *vm, in any, out func(any) error) error {
		if err := m.tick(); err != nil {
			return err
		}
		if err := out(in); err != nil {
			return err
		}
		return f.each(m, in, func(v any) error { return down(m, v, out) })
	}
	return node{many: down}
}

func last(f node) node {
	if f.one != nil {
		return f
	}
	return node{one: func(m *vm, in any) (any, error) {
		got := none
		err := f.many(m, in, func(v any) error { got = v; return nil })
		return got, err
	}}
}

// isEmpty says whether f gives nothing; want is the answer then.
func isEmpty(f node, want bool) node {
	f = first(f)
	return node{one: func(m *vm, in any) (any, error) {
		v, err := f.one(m, in)
		return isNone(v) == want, err
	}}
}

func until(cond, next node) node {
	return node{one: func(m *vm, in any) (any, error) {
		for v := in; ; {
			if err := m.tick(); err != nil {
				return nil, err
			}
			c, err := cond.one(m, v)
			if err != nil || isNone(c) {
				return c, err
			}
			if truthy(c) {
				return v, nil
			}
			if v, err = next.one(m, v); err != nil || isNone(v) {
				return v, err
			}
		}
	}}
}

func while(cond, update node) node {
	return node{many: func(m *vm, in any, out func(any) error) error {
		for v := in; ; {
			if err := m.tick(); err != nil {
				return err
			}
			c, err := cond.one(m, v)
			if err != nil || isNone(c) || !truthy(c) {
				return err
			}
			if err := out(v); err != nil {
				return err
			}
			if v, err = update.one(m, v); err != nil || isNone(v) {
				return err
			}
		}
	}}
}

func limit(f node, most int) node {
	return node{many: func(m *vm, in any, out func(any) error) error {
		n, down := 0, false
		err := f.each(m, in, func(v any) error {
			if err := out(v); err != nil {
				down = true
				return err
			}
			if n++; n == most {
				return errStop
			}
			return nil
		})
		if err == errStop && !down { //nolint:errorlint // never wrapped
			return nil
		}
		return err
	}}
}

// numbers is range($from; $upto; $by).
func (c *compiler) numbers(args []node) node {
	return node{many: func(m *vm, in any, out func(any) error) error {
		return product(m, in, args, nil, func(vs []any) error {
			from, ok1 := vs[0].(int)
			upto, ok2 := vs[1].(int)
			by, ok3 := vs[2].(int)
			counted := func(v any) error {
				if err := m.tick(); err != nil {
					return err
				}
				return out(v)
			}
			if !ok1 || !ok2 || !ok3 || by != 1 || upto > 1<<40 || from < -1<<40 {
				return c.asks.all("range($a; $b; $c)", nil, slices.Clone(vs), counted)
			}
			for i := from; i < upto; i++ {
				if err := counted(i); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}
