package jq

import (
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/itchyny/gojq"
)

// TestRunner: what a run gives is good until the next one, which takes its memory; what a
// program that fails was about is left alone; the memory kept is bounded and empty.
func TestRunner(t *testing.T) {
	l := testLibrary(t)
	compiled := func(text string) *Program {
		t.Helper()
		q, err := gojq.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Compile(q)
		if err != nil || p.Interpreted() != "" {
			t.Fatal(err, p.Interpreted())
		}
		return p
	}
	shown := func(v any) string { return fmt.Sprint(Plain(v)) }

	p := compiled(`[{a: "\(.)/", b: (if . == "2" then [., .] else [.] end)}]`)
	r := p.Runner()
	one := func(in any) any {
		t.Helper()
		v, given, err := r.One(t.Context(), time.Minute, in)
		if err != nil || given != 1 {
			t.Fatal(given, err)
		}
		return v
	}
	first := one("1")
	if shown(first) != "[map[a:1/ b:[1]]]" {
		t.Errorf("it gives %s", shown(first))
	}
	if allocs := testing.AllocsPerRun(100, func() { first = one("1") }); allocs > 0 {
		t.Errorf("a run in lent memory makes %.0f allocations", allocs)
	}
	lines, _ := first.([]any)
	text, inner := Field(lines[0], "a"), Field(lines[0], "b")
	own, _, err := p.One(t.Context(), time.Minute, "1")
	if second := one("2"); err != nil || shown(second) != "[map[a:2/ b:[2 2]]]" || shown(first) == "[map[a:1/ b:[1]]]" || shown(own) != "[map[a:1/ b:[1]]]" {
		t.Errorf("the second run gives %s, the first value is %s then, one of its own %s", shown(second), shown(first), shown(own))
	}

	if text != "2/" || shown(inner) != "[2 2]" {
		t.Errorf("memory of a text and a list of the first run has %v and %s then, not those of the second", text, shown(inner))
	}

	r = compiled(`if .bad then error({code: "c", of: [.]}) else [{a: .}] end`).Runner()
	_, _, failed := r.One(t.Context(), time.Minute, map[string]any{"bad": true})
	for range 10 {
		if _, _, err := r.One(t.Context(), time.Minute, map[string]any{"other": 7}); err != nil {
			t.Fatal(err)
		}
	}
	if v, ok := errors.AsType[gojq.ValueError](failed); !ok || shown(v.Value()) != "map[code:c of:[map[bad:true]]]" {
		t.Errorf("the error became %v", failed)
	}

	// Keys are one text in all of a program.
	v, _, err := compiled(`[{a: ., b: 1}, {b: ., a: 2}]`).One(t.Context(), time.Minute, 7)
	list, _ := v.([]any)
	if len(list) != 2 || err != nil {
		t.Fatal(v, err)
	}
	one1, _ := Members(list[0])
	one2, _ := Members(list[1])
	for i := range one1 {
		if k, l := one1[i].Key, one2[i].Key; k != l || unsafe.StringData(k) != unsafe.StringData(l) {
			t.Errorf("%s and %s are two texts", k, l)
		}
	}

	r = compiled(`[range(50000) | {a: .}] | length`).Runner()
	if v, _, err := r.One(t.Context(), time.Minute, nil); err != nil || v != 50_000 {
		t.Fatal(v, err)
	}
	m := r.m
	r.End()
	r.End()
	if n := m.room.members.Room() + m.room.objects.Room() + m.room.values.Room(); m.room.lent || n == 0 || n > 3*8192 {
		t.Errorf("%d members, objects and values are kept, lent %v", n, m.room.lent)
	}
	for _, x := range m.room.members.Take(m.room.members.Room()) {
		if x.Key != "" || x.Value != nil {
			t.Fatalf("%v is kept", x)
		}
	}
}
