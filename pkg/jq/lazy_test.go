package jq

import (
	"reflect"
	"testing"
)

// later is an object that is made when it is asked for.
type later struct{ made *int }

func (l later) Value() any {
	*l.made++
	return NewObject(Member{"a", 1}, Member{"b", []any{NewObject()}})
}

func (l later) Field(key string) any {
	if key == "a" {
		return 1
	}
	return nil
}

// TestLazy: what is lazy is the object to Go, and is made only where all of it is wanted.
func TestLazy(t *testing.T) {
	made := 0
	l := later{&made}
	if Field(l, "a") != 1 || Field(l, "c") != nil || made != 0 {
		t.Errorf("a is %v, c %v, made %d times", Field(l, "a"), Field(l, "c"), made)
	}
	want := map[string]any{"a": 1, "b": []any{map[string]any{}}}
	if got := Plain([]any{1, map[string]any{"l": l}, NewObject(Member{"l", l})}); !reflect.DeepEqual(got, []any{1, map[string]any{"l": want}, map[string]any{"l": want}}) {
		t.Errorf("%v", got)
	}
	if _, ok := Value(l).(*Object); !ok || Value(7) != 7 || made != 3 {
		t.Errorf("%v, made %d times", Value(l), made)
	}
}
