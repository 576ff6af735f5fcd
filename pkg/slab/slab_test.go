package slab_test

import (
	"bytes"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/stockweave/stockweave/pkg/slab"
)

// TestOf: values are zero when they are taken, stand apart, and are good until they are
// forgotten; what is kept then is zero and bounded.
func TestOf(t *testing.T) {
	var s slab.Of[int]
	for range 3 {
		var taken [][]int
		for n := range 300 {
			v := s.Take(n)
			if len(v) != n || cap(v) != n {
				t.Fatalf("%d of %d values", len(v), n)
			}
			for i := range v {
				if v[i] != 0 {
					t.Fatalf("value %d of %d is %d", i, n, v[i])
				}
				v[i] = n
			}
			taken = append(taken, v)
		}
		*s.New() = -1
		for n, v := range taken {
			for i := range v {
				if v[i] != n {
					t.Fatalf("value %d of %d became %d", i, n, v[i])
				}
			}
		}
		s.Forget()
		if s.Room() == 0 || s.Room() > 8192 {
			t.Fatalf("%d values are kept", s.Room())
		}
	}
	s.Take(100_000)[99_999] = 1
	s.Forget()
	if s.Room() != 0 {
		t.Errorf("%d values are kept", s.Room())
	}
	for _, n := range []int{5, 3, 0} { // as many as were ever written are zero again
		v := s.Take(n)
		for i := range v {
			v[i] = i + 1
		}
		s.Again()
	}
	if v := s.Take(5); v[4] != 5 {
		t.Errorf("what is used again is %v", v)
	}
	s.Again()
	s.Forget()
	if v := s.Take(8); slices.ContainsFunc(v, func(n int) bool { return n != 0 }) {
		t.Errorf("what is forgotten is %v", v)
	}
	s.Forget()
	if allocs := testing.AllocsPerRun(100, func() { s.Take(7); s.New(); s.Forget() }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestBoxes: a value in an any is the value, and the any that it is without; it stands where
// New says; the memory comes again.
func TestBoxes(t *testing.T) {
	var texts slab.Boxes[string]
	var lists slab.Boxes[[]any]
	var numbers slab.Boxes[int]
	for range 3 {
		var made []any
		for i := range 300 {
			made = append(made, texts.Any(strconv.Itoa(i)), numbers.Any(i), lists.Any([]any{i, nil}))
		}
		runtime.GC() // looks at what they point to
		for i := range 300 {
			if made[3*i] != any(strconv.Itoa(i)) || made[3*i+1] != any(i) || !reflect.DeepEqual(made[3*i+2], any([]any{i, nil})) {
				t.Fatalf("%d became %v", i, made[3*i:3*i+3])
			}
		}
		texts.Forget()
		lists.Forget()
		numbers.Again()
	}
	v, at := texts.New()
	for _, s := range []string{"a", "", "b"} {
		if *at = s; v != any(s) {
			t.Errorf("%q is %v", s, v)
		}
	}
	texts.Again()
	text := strconv.Itoa(1000)
	if allocs := testing.AllocsPerRun(100, func() { v = texts.Any(text); texts.Again() }); allocs != 0 || v != any("1000") {
		t.Errorf("%v allocations for %v", allocs, v)
	}
}

func TestTexts(t *testing.T) {
	var texts slab.Texts
	var made []string
	for i := range 5000 {
		b := strconv.AppendInt([]byte("text "), int64(i), 10)
		made = append(made, texts.Of(b))
		clear(b)
	}
	for i, s := range made {
		if s != "text "+strconv.Itoa(i) {
			t.Fatalf("text %d became %q", i, s)
		}
	}
	if long := bytes.Repeat([]byte("x"), 10_000); texts.Of(long) != string(long) || texts.Of(nil) != "" {
		t.Error("a long text, or an empty one, is another one")
	}
}
