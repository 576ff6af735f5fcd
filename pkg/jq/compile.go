package jq

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/itchyny/gojq"
)

// maxNodes bounds what one program becomes: functions are written into where they
// are called.
const maxNodes = 200_000

// smallDef is the number of terms up to which a function is written into where it is
// called even if it could be compiled once.
const smallDef = 40

// notCompiled says what of the language a program has that is left to gojq.
type notCompiled struct{ what string }

func (e *notCompiled) Error() string { return "not compiled: " + e.what }

func unable(format string, args ...any) error { return &notCompiled{fmt.Sprintf(format, args...)} }

// scope is a name and those around it: a definition, an argument that is an
// expression, or a variable.
type scope struct {
	up    *scope
	name  string
	arity int

	def *gojq.FuncDef
	arg *argument
	val *node
}

// argument is an expression given for a parameter, in the scope of the caller.
type argument struct {
	query *gojq.Query
	at    place
}

// place is where an expression stands: what names it sees, and which functions are
// being written out around it.
type place struct {
	scope *scope
	calls *calls
}

type calls struct {
	up  *calls
	def *gojq.FuncDef
}

func (p place) with(name string, n node) place {
	p.scope = &scope{up: p.scope, name: name, val: &n}
	return p
}

type compiler struct {
	asks      *asks
	functions map[string]Function
	shared    map[*gojq.FuncDef]proc // those compiled once: of the library
	procs     map[*gojq.FuncDef]proc // and of the program
	shortcuts map[*gojq.FuncDef]Shortcut
	words     map[string]string // keys of objects, see word
	slots     int
	sites     int    // where programs look up members, see vm.member
	used      []span // slots of functions compiled once that are called
	nodes     int
}

// span is slots, up to one that is not of it.
type span struct{ from, to int }

// use notes slots that are written to.
func (c *compiler) use(spans []span) {
	for _, s := range spans {
		if !slices.Contains(c.used, s) {
			c.used = append(c.used, s)
		}
	}
}

func arity(name string, n int) string { return name + "/" + strconv.Itoa(n) }

func (c *compiler) program(q *gojq.Query, lib *scope) (node, error) {
	if len(q.Imports) > 0 || q.Meta != nil {
		return node{}, unable("modules")
	}
	c.nodes = 0
	return c.query(q, place{scope: lib})
}

func (c *compiler) slot() int { c.slots++; return c.slots - 1 }

func (p place) define(defs []*gojq.FuncDef) place {
	for _, d := range defs {
		p.scope = &scope{up: p.scope, name: d.Name, arity: len(d.Args), def: d}
	}
	return p
}

func (c *compiler) query(q *gojq.Query, p place) (node, error) {
	if c.nodes++; c.nodes > maxNodes {
		return node{}, unable("a program this large")
	}
	p = p.define(q.FuncDefs)
	if q.Term != nil {
		return c.term(q.Term, p)
	}
	if q.Left == nil || q.Right == nil {
		return node{}, unable("an expression that is missing")
	}
	switch q.Op {
	case gojq.OpPipe:
		if len(q.Patterns) > 0 {
			return c.bind(q, p, c.query)
		}
		return c.both(q, p, pipe)
	case gojq.OpComma:
		return c.both(q, p, comma)
	case gojq.OpAlt:
		return c.both(q, p, alternative)
	case gojq.OpAnd, gojq.OpOr:
		return c.both(q, p, func(l, r node) node { return logical(q.Op, l, r) })
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv,
		gojq.OpUpdateMod, gojq.OpUpdateAlt:
		return c.update(q, p)
	case gojq.OpAdd, gojq.OpSub, gojq.OpMul, gojq.OpDiv, gojq.OpMod, gojq.OpEq, gojq.OpNe, gojq.OpGt, gojq.OpLt, gojq.OpGe, gojq.OpLe:
		return c.both(q, p, func(l, r node) node { return c.binary(q.Op, l, r) })
	}
	return node{}, unable("operator %d", q.Op)
}

func (c *compiler) both(q *gojq.Query, p place, make func(l, r node) node) (node, error) {
	l, err := c.query(q.Left, p)
	if err != nil {
		return node{}, err
	}
	r, err := c.query(q.Right, p)
	if err != nil {
		return node{}, err
	}
	return make(l, r), nil
}

func logical(op gojq.Operator, l, r node) node {
	yes, no := constant(true), constant(false)
	if op == gojq.OpOr {
		return condition(l, yes, condition(r, yes, no))
	}
	return condition(l, condition(r, yes, no), no)
}

func (c *compiler) bind(q *gojq.Query, p place, body func(*gojq.Query, place) (node, error)) (node, error) {
	source, err := c.query(q.Left, p)
	if err != nil {
		return node{}, err
	}
	if len(q.Patterns) > 1 {
		return node{}, unable("alternatives of patterns")
	}
	pattern := q.Patterns[0]
	if pattern.Name != "" {
		if source.constant || source.slot > 0 {
			return body(q.Right, p.with(pattern.Name, source))
		}
		slot := c.slot()
		then, err := body(q.Right, p.with(pattern.Name, variable(slot)))
		return bind(source, slot, then), err
	}
	put, p, err := c.pattern(pattern, p)
	if err != nil {
		return node{}, err
	}
	then, err := body(q.Right, p)
	return node{many: func(m *vm, in any, out func(any) error) error {
		return source.each(m, in, func(v any) error {
			return put.do(m, v, func() error { return then.each(m, in, out) })
		})
	}}, err
}

func (c *compiler) pattern(t *gojq.Pattern, p place) (putter, place, error) {
	switch {
	case t.Name != "":
		slot := c.slot()
		return putter{slot: slot + 1, do: func(m *vm, v any, then func() error) error {
			m.slots[slot] = v
			return then()
		}}, p.with(t.Name, variable(slot)), nil
	case len(t.Array) > 0:
		var puts []putter
		for _, e := range t.Array {
			put, in, err := c.pattern(e, p)
			if err != nil {
				return putter{}, p, err
			}
			puts, p = append(puts, put), in
		}
		at := make([]func(any) (any, error), len(puts))
		for i := range at {
			at[i] = c.asks.place(i)
		}
		return putAll(puts, at), p, nil
	case len(t.Object) > 0:
		var puts []putter
		var at []func(any) (any, error)
		for _, kv := range t.Object {
			key, name := kv.Key, ""
			switch {
			case kv.KeyString != nil && kv.KeyString.Queries == nil && kv.KeyString.Str != "":
				key = kv.KeyString.Str
			case key != "" && key[0] == '$':
				key, name = key[1:], key
			case key == "":
				return putter{}, p, unable("computed keys of patterns")
			}
			for _, sub := range []*gojq.Pattern{{Name: name}, kv.Val} {
				if sub == nil || sub == kv.Val && kv.Val == nil || sub != kv.Val && name == "" {
					continue
				}
				put, in, err := c.pattern(sub, p)
				if err != nil {
					return putter{}, p, err
				}
				puts, p = append(puts, put), in
				at = append(at, c.asks.member(key))
			}
		}
		return putAll(puts, at), p, nil
	}
	return putter{}, p, unable("pattern %v", t)
}

func putAll(puts []putter, at []func(any) (any, error)) putter {
	return putter{do: func(m *vm, v any, then func() error) error {
		return putFrom(m, puts, at, v, then)
	}}
}

func putFrom(m *vm, puts []putter, at []func(any) (any, error), v any, then func() error) error {
	if len(puts) == 0 {
		return then()
	}
	w, err := at[0](v)
	if err != nil {
		return err
	}
	return puts[0].do(m, w, func() error { return putFrom(m, puts[1:], at[1:], v, then) })
}

// call compiles a call of a function or a variable, by whatever compiles bodies: to
// values or to paths.
func (c *compiler) call(f *gojq.Func, p place) (node, error) {
	s, local := p.find(f.Name, len(f.Args))
	switch {
	case local && s.val != nil:
		return *s.val, nil
	case local && s.arg != nil:
		return c.query(s.arg.query, s.arg.at)
	case local:
		if s.def == nil {
			return node{}, unable("%s, an argument, as an expression", s.name)
		}
		return c.define(s, f.Args, p)
	}
	return c.builtin(f, p)
}

func (p place) find(name string, args int) (*scope, bool) {
	for s := p.scope; s != nil; s = s.up {
		if s.name == name && s.arity == args && (args == 0 || s.def != nil) {
			return s, true
		}
	}
	return nil, false
}

func (p place) calling(d *gojq.FuncDef) bool {
	for s := p.calls; s != nil; s = s.up {
		if s.def == d {
			return true
		}
	}
	return false
}

// define compiles a call of a definition.
func (c *compiler) define(s *scope, args []*gojq.Query, p place) (node, error) {
	n, err := c.defined(s, args, p)
	short, ok := c.shortcuts[s.def]
	if err != nil || !ok {
		return n, err
	}
	given := make([]node, len(args))
	for i, q := range args {
		if given[i], err = c.query(q, p); err != nil || given[i].one == nil {
			return n, err
		}
	}
	return shortened(short, given, n), nil
}

// shortened is a shortcut, and the call of its definition where it does not go.
// Arguments are computed again then: they are the same.
func shortened(s Shortcut, args []node, whole node) node {
	try := func(m *vm, in any) (v any, ok bool) {
		base := len(m.args)
		defer func() { m.args = m.args[:base] }()
		for i := range args {
			v, err := args[i].one(m, in)
			if err != nil || isNone(v) {
				return nil, false
			}
			m.args = append(m.args, v)
		}
		return s.Call(in, m.args[base:])
	}
	if whole.one != nil {
		return node{one: func(m *vm, in any) (any, error) {
			if v, ok := try(m, in); ok {
				return v, nil
			}
			return whole.one(m, in)
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		if v, ok := try(m, in); ok {
			return out(v)
		}
		return whole.many(m, in, out)
	}}
}

// defined is the call of a definition as it stands.
func (c *compiler) defined(s *scope, args []*gojq.Query, p place) (node, error) {
	if p.calling(s.def) {
		return node{}, unable("%s, which calls itself", arity(s.name, s.arity))
	}
	body := place{scope: s, calls: &calls{up: p.calls, def: s.def}}
	values, slots := []node{}, []int{} // of $parameters that are computed at the call
	n, own, once := c.proc(s)
	for i, param := range s.def.Args {
		if param[0] != '$' {
			body.scope = &scope{up: body.scope, name: param, arg: &argument{args[i], p}}
			continue
		}
		v, err := c.query(args[i], p)
		if err != nil {
			return node{}, err
		}
		if !once && (v.constant || v.slot > 0) {
			body.scope = &scope{up: body.scope, name: param[1:], arg: &argument{args[i], p}}
			body = body.with(param, v)
			continue
		}
		slot := c.slot()
		values, slots = append(values, v), append(slots, slot)
		body.scope = &scope{up: body.scope, name: param[1:], arg: &argument{args[i], p}}
		body = body.with(param, variable(slot))
	}
	if once {
		return callWith(values, own, n), nil
	}
	n, err := c.query(s.def.Body, body)
	return callWith(values, slots, n), err
}

// onceOnly says whether a definition is compiled once, for all calls: it is of the
// outermost level, has no parameters that are expressions, and is not small.
func (c *compiler) onceOnly(s *scope) bool {
	for _, a := range s.def.Args {
		if a[0] != '$' {
			return false
		}
	}
	for u := s.up; u != nil; u = u.up {
		if u.def == nil {
			return false
		}
	}
	return len(s.def.Args) == 0 || terms(s.def.Body, smallDef) >= smallDef
}

// proc is the body of a definition compiled once, and the slots of its parameters.
// Its slots are its own: it gives one value and calls itself nowhere, so it is never
// entered twice. False for those that are written into each call.
func (c *compiler) proc(s *scope) (node, []int, bool) {
	if !c.onceOnly(s) {
		return node{}, nil, false
	}
	p, done := c.shared[s.def]
	if !done {
		p, done = c.procs[s.def]
	}
	if !done {
		p = proc{first: c.slots}
		c.slots += len(s.def.Args)
		body := place{scope: s, calls: &calls{def: s.def}}
		for i, param := range s.def.Args {
			// Its argument as an expression is another one at each call.
			body.scope = &scope{up: body.scope, name: param[1:]}
			body = body.with(param, variable(p.first+i))
		}
		before, around := c.nodes, c.used
		c.used = nil
		n, err := c.query(s.def.Body, body)
		if c.nodes = before + 1; err == nil && n.one != nil {
			p.node = n
		}
		p.used = append(c.used, span{p.first, c.slots})
		c.used = around
		c.procs[s.def] = p
	}
	c.use(p.used)
	own := make([]int, len(s.def.Args))
	for i := range own {
		own[i] = p.first + i
	}
	return p.node, own, p.node.one != nil
}

// proc is a definition that is compiled once; without a node it could not be.
type proc struct {
	node  node
	first int // slot of its first parameter
	used  []span
}

// callWith computes arguments, the first one slowest, and runs the body for each
// combination. They are set when all are known: computing one may call the same
// function.
func callWith(values []node, slots []int, body node) node {
	single := body.one != nil
	for _, v := range values {
		single = single && v.one != nil
	}
	switch {
	case len(values) == 0:
		return body
	case len(values) == 1:
		return bind(values[0], slots[0], body)
	case single && len(values) <= 8:
		slots = slices.Clone(slots)
		return node{one: func(m *vm, in any) (any, error) {
			var vs [8]any
			for i := range values {
				v, err := values[i].one(m, in)
				if err != nil || isNone(v) {
					return v, err
				}
				vs[i] = v
			}
			for i, slot := range slots {
				m.slots[slot] = vs[i]
			}
			return body.one(m, in)
		}}
	}
	return node{many: func(m *vm, in any, out func(any) error) error {
		return product(m, in, values, nil, func(vs []any) error {
			for i, slot := range slots {
				m.slots[slot] = vs[i]
			}
			return body.each(m, in, out)
		})
	}}
}

// product gives every combination of values, the first one slowest.
func product(m *vm, in any, values []node, done []any, out func([]any) error) error {
	if len(done) == len(values) {
		return out(done)
	}
	return values[len(done)].each(m, in, func(v any) error {
		return product(m, in, values, append(slices.Clip(done), v), out)
	})
}
