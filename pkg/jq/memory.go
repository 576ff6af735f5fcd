package jq

import (
	"context"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/slab"
)

// Runner runs a program again and again in the same memory: a value is good until the
// next run, whose objects and lists stand where its own stood. It is not safe for
// concurrent use.
type Runner struct {
	p *Program
	m *vm // nil before the first run
}

// Runner is a runner of the program.
func (p *Program) Runner() *Runner { return &Runner{p: p} }

// One is Program.One, but what it gives is good until the next One or End.
func (r *Runner) One(ctx context.Context, most time.Duration, in any) (v any, given int, err error) {
	if r.p.code != nil {
		return r.p.One(ctx, most, in)
	}
	if r.m == nil {
		r.m = r.p.vm()
		r.m.room.lent = true
	}
	r.m.room.again()
	if v, given, err = r.p.one(ctx, r.m, most, in); err != nil {
		r.m.room = memory{lent: true} // the error may speak of what stands there
	}
	return v, given, err
}

// End gives the memory back; what the last run gave is no longer good.
func (r *Runner) End() {
	if r.m == nil {
		return
	}
	r.p.forget(r.m)
	r.m.room.lent = false
	r.p.pool.Put(r.m)
	r.m = nil
}

// memory is what the objects and lists of a lent run are made in; of any other run they
// are on their own.
type memory struct {
	lent    bool
	objects slab.Of[Object]
	members slab.Of[Member]
	values  slab.Of[any]
	lists   slab.Boxes[[]any]
	strings slab.Boxes[string]
	texts   slab.Texts
	text    []byte // one on its way
}

// again lets the next run have the memory of the one before.
func (r *memory) again() {
	r.objects.Again()
	r.members.Again()
	r.values.Again()
	r.lists.Again()
	r.strings.Again()
}

func (r *memory) forget() {
	r.objects.Forget()
	r.members.Forget()
	r.values.Forget()
	r.lists.Forget()
	r.strings.Forget()
	r.texts = slab.Texts{}
}

// object is an empty object with room for n members.
func (m *vm) object(n int) *Object {
	if !m.room.lent {
		return sized(n)
	}
	o := m.room.objects.New()
	o.members = m.room.members.Take(n)[:0]
	return o
}

// objectOf is an object of a copy of members.
func (m *vm) objectOf(members []Member) *Object {
	o := m.object(len(members))
	o.members = append(o.members, members...)
	return o
}

// list is a list of n values, for the caller to write.
func (m *vm) list(n int) []any {
	if !m.room.lent || n == 0 {
		return make([]any, n)
	}
	return m.room.values.Take(n)
}

// boxed is a list of the run as a value.
func (m *vm) boxed(list []any) any {
	if !m.room.lent {
		return list
	}
	return m.room.lists.Any(list)
}

// joined is the text of texts, the last one first.
func (m *vm) joined(backward []any) any {
	text := m.room.text[:0]
	for _, v := range slices.Backward(backward) {
		s, _ := v.(string)
		text = append(text, s...)
	}
	if cap(text) <= mostKept {
		m.room.text = text
	}
	if !m.room.lent {
		return string(text)
	}
	return m.room.strings.Any(m.room.texts.Of(text))
}

// Objects makes many objects in few pieces of memory. The zero value is ready; it is not
// safe for concurrent use.
type Objects struct {
	objects slab.Of[Object]
	members slab.Of[Member]
}

// Copy is an object of a copy of members, which are in the order of their keys, each
// once. The copy is to be changed only before anybody has the object.
func (os *Objects) Copy(members []Member) (*Object, []Member) {
	o := os.objects.New()
	o.members = os.members.Take(len(members))
	copy(o.members, members)
	return o, o.members
}
