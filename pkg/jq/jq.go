// Package jq runs programs of the jq language fast. gojq parses them and is what the
// language means; this package compiles its syntax tree to Go closures, once, with
// variables in numbered slots and functions written into where they are called.
//
// What it does not compile (recursive functions, labels, alternatives of patterns,
// paths of anything but fields, elements and conditions, modules) runs in gojq as a
// whole program, and Interpreted says why. What a program gives is the same either
// way: the values, their order, errors and the texts of errors. Whatever is not a
// common case of an operator or a function is asked of gojq itself at run time.
//
// Values are gojq's: nil, bool, int, float64, *big.Int, json.Number, string, []any
// and map[string]any; and *Object, which stands for a map, in inputs, in what functions
// are given, and in results. They are never changed in place, and results share parts
// with the input and with each other.
package jq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/itchyny/gojq"
)

// Function is a function written in Go. Call has the input and the arguments, which
// it must not keep, and gives the value or an error.
type Function struct {
	Name     string
	Min, Max int // arguments
	Call     func(in any, args []any) any
}

// Shortcut is a definition of a library written again in Go, for the inputs it has
// most: Call gives what the definition gives, or false, and then the definition is
// asked. The definition stays what gojq runs, and what the shortcut means.
type Shortcut struct {
	Name string
	Args int // its parameters, all of them values
	Call func(in any, args []any) (any, bool)
}

// Library is functions that programs share, compiled once. It is safe for concurrent
// use.
type Library struct {
	defs    []*gojq.FuncDef
	options []gojq.CompilerOption
	asks    asks
	c       compiler // of the definitions; programs go on from a copy
	scope   *scope
}

// NewLibrary makes a library of definitions, later ones over earlier ones, and
// functions, over which definitions go. A shortcut is of the last definition of its
// name; one that has none is left out.
func NewLibrary(defs []*gojq.FuncDef, functions []Function, shortcuts ...Shortcut) *Library {
	l := &Library{defs: defs}
	l.c = compiler{asks: &l.asks, functions: map[string]Function{}, shared: map[*gojq.FuncDef]proc{}, shortcuts: map[*gojq.FuncDef]Shortcut{}, words: map[string]string{}}
	for _, s := range shortcuts {
		for _, d := range slices.Backward(defs) {
			if d.Name == s.Name && len(d.Args) == s.Args {
				l.c.shortcuts[d] = s
				break
			}
		}
	}
	l.c.procs = l.c.shared
	for _, f := range functions {
		l.options = append(l.options, gojq.WithFunction(f.Name, f.Min, f.Max, func(in any, args []any) any { return Plain(f.Call(in, args)) }))
		for n := f.Min; n <= f.Max; n++ {
			l.c.functions[arity(f.Name, n)] = f
		}
	}
	for _, d := range defs {
		l.scope = &scope{up: l.scope, name: d.Name, arity: len(d.Args), def: d}
		if l.c.onceOnly(l.scope) {
			// What cannot be compiled is told of the program that calls it.
			l.c.nodes = 0
			l.c.proc(l.scope)
		}
	}
	return l
}

// Program is a compiled program. It is safe for concurrent use.
type Program struct {
	node  node
	slots int
	sites int
	used  []span // of the slots
	pool  sync.Pool

	code   *gojq.Code // set when it is interpreted
	reason string
}

// Compile compiles a parsed program. What gojq refuses is refused with gojq's error;
// the program is not changed.
func (l *Library) Compile(program *gojq.Query) (*Program, error) {
	c := l.c
	c.procs, c.used, c.words = map[*gojq.FuncDef]proc{}, nil, maps.Clone(l.c.words)
	n, err := c.program(program, l.scope)
	var no *notCompiled
	if err != nil && !errors.As(err, &no) {
		return nil, err
	}
	if err == nil {
		return &Program{node: n, slots: c.slots, sites: c.sites, used: append(c.used, span{l.c.slots, c.slots})}, nil
	}
	p, err := l.Interpret(program)
	if err != nil {
		return nil, err
	}
	p.reason = no.what
	return p, nil
}

// Interpret makes a program that gojq runs: the reference for Compile.
func (l *Library) Interpret(program *gojq.Query) (*Program, error) {
	q := *program
	q.FuncDefs = slices.Concat(l.defs, program.FuncDefs)
	code, err := gojq.Compile(&q, l.options...)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return &Program{code: code, reason: "as asked"}, nil
}

// Interpreted is why gojq runs the program, empty when it is compiled.
func (p *Program) Interpreted() string { return p.reason }

// Run gives the values of a program for an input to out, one by one. It ends with
// the error of the program, of out, or of ctx.
func (p *Program) Run(ctx context.Context, in any, out func(any) error) error {
	if p.code != nil {
		return p.interpret(ctx, in, out)
	}
	m := p.vm()
	err := p.run(ctx, m, 0, func(m *vm) error { return p.node.each(m, in, out) })
	p.forget(m)
	p.pool.Put(m)
	return err
}

// One is Run of a program that should give one value, for at most a time: given is how
// many there are, 2 for more than one. Longer than that is context.DeadlineExceeded.
func (p *Program) One(ctx context.Context, most time.Duration, in any) (v any, given int, err error) {
	m := p.vm()
	v, given, err = p.one(ctx, m, most, in)
	p.forget(m)
	p.pool.Put(m)
	return v, given, err
}

// one is One in the memory of a run.
func (p *Program) one(ctx context.Context, m *vm, most time.Duration, in any) (v any, given int, err error) {
	if p.code != nil || p.node.one == nil {
		return p.first(ctx, m, most, in)
	}
	err = p.run(ctx, m, most, func(m *vm) (err error) {
		v, err = p.node.one(m, in)
		return err
	})
	if err != nil || isNone(v) {
		return nil, 0, err
	}
	return v, 1, nil
}

// first is one of a program that may give several values, or is interpreted.
func (p *Program) first(ctx context.Context, m *vm, most time.Duration, in any) (v any, given int, err error) {
	out := func(w any) error {
		if given++; given > 1 {
			return errStop
		}
		v = w
		return nil
	}
	if p.code != nil {
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		err = p.interpret(ctx, in, out)
	} else {
		err = p.run(ctx, m, most, func(m *vm) error { return p.node.each(m, in, out) })
	}
	if err == errStop { //nolint:errorlint // never wrapped
		err = nil
	}
	return v, given, err
}

func (p *Program) interpret(ctx context.Context, in any, out func(any) error) error {
	return drain(p.code.RunWithContext(ctx, Plain(in)), out)
}

// vm is the memory of a run.
func (p *Program) vm() *vm {
	if m, ok := p.pool.Get().(*vm); ok {
		return m
	}
	return &vm{slots: make([]any, p.slots), found: make([]uint8, p.sites)}
}

// run does it with the memory of a run, for at most a time if that is set.
func (p *Program) run(ctx context.Context, m *vm, most time.Duration, do func(m *vm) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.ctx, m.most, m.ticks = ctx, most, 0
	m.args, m.members = m.args[:0], m.members[:0] // a run that failed may have left some
	err := do(m)
	if m.cancel != nil {
		m.cancel()
		m.cancel = nil
	}
	m.ctx = nil
	if a, ok := errors.AsType[*aborted](err); ok {
		return a.err
	}
	return err
}

// forget clears the memory of a run.
func (p *Program) forget(m *vm) {
	for _, s := range p.used {
		clear(m.slots[s.from:s.to])
	}
	if cap(m.args) > mostKept {
		m.args = nil
	}
	clear(m.args[:cap(m.args)])
	m.args = m.args[:0]
	m.members = forgotten(m.members)
	m.merged = [2][]Member{forgotten(m.merged[0]), forgotten(m.merged[1])}
	m.room.forget()
}

// vm is a run.
type vm struct {
	ctx context.Context //nolint:containedctx // a run's own, no longer than it
	// most is how long it may take, 0: as long as ctx lets it. It counts from the first look
	// at the clock: most runs take none.
	most    time.Duration
	cancel  context.CancelFunc
	slots   []any       // of variables
	args    []any       // of functions being called
	members []Member    // of objects being made
	merged  [2][]Member // see sum
	ticks   int
	found   []uint8 // where each site found its member last
	room    memory
}

// mostKept members of a buffer are kept for the next run.
const mostKept = 4096

// forgotten is an empty buffer without what stood in it.
func forgotten(members []Member) []Member {
	if cap(members) > mostKept {
		return nil // to clear it would cost the runs after this one more than another
	}
	clear(members[:cap(members)])
	return members[:0]
}

// checkEvery is after how many steps of loops a run looks at the clock.
const checkEvery = 1024

// tick counts a step of a loop.
func (m *vm) tick() error {
	if m.ticks++; m.ticks%checkEvery != 0 {
		return nil
	}
	if m.most > 0 && m.cancel == nil {
		m.ctx, m.cancel = context.WithTimeout(m.ctx, m.most)
	}
	if err := m.ctx.Err(); err != nil {
		return &aborted{err}
	}
	return nil
}

// aborted is the end of the run's context; no try catches it.
type aborted struct{ err error }

func (e *aborted) Error() string { return e.err.Error() }
func (e *aborted) Unwrap() error { return e.err }

// errStop ends a generator whose caller has what it wanted. It never comes further.
var errStop = errors.New("jq: enough")

// caught is what a try sees of an error; false when it sees none.
func caught(err error) (any, bool) {
	switch e := err.(type) { //nolint:errorlint // as gojq: an error is caught as itself
	case *aborted, *gojq.HaltError:
		return nil, false
	case gojq.ValueError:
		return e.Value(), true
	}
	if err == errStop { //nolint:errorlint // never wrapped
		return nil, false
	}
	return err.Error(), true
}
