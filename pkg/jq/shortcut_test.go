package jq

import (
	"context"
	"testing"

	"github.com/itchyny/gojq"
)

// TestShortcut: it is asked first, with the values of the call, and the definition
// where it does not go; of another definition of the name it is none.
func TestShortcut(t *testing.T) {
	lib, err := gojq.Parse("def f($a; $b): [$a, $b, .]; def g: f(1; 2);\n.")
	if err != nil {
		t.Fatal(err)
	}
	l := NewLibrary(lib.FuncDefs, nil, Shortcut{Name: "f", Args: 2, Call: func(in any, args []any) (any, bool) {
		if in == "no" || args[0] == "no" {
			return nil, false
		}
		return []any{"short", args[0], args[1], in}, true
	}}, Shortcut{Name: "missing", Args: 0})
	for _, c := range []struct{ program, want string }{
		{"f(1; 2)", `["short",1,2,7]`},
		{"g", `["short",1,2,7]`},
		{`f("no"; .)`, `["no",7,7]`},
		{`"no" | f(1; 2)`, `[1,2,"no"]`},
		{"[f(1, 2; 3)]", `[[1,3,7],[2,3,7]]`},
		{"[f(empty; 3)]", `[]`},
		{"try f(error(5); 3) catch .", `5`},
		{"def f($a; $b): 9; f(1; 2)", `9`},
		{`[1, "no"] | map(f(.; 0))`, `[["short",1,0,1],["no",0,"no"]]`},
	} {
		q, err := gojq.Parse(c.program)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Compile(q)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Run(context.Background(), 7, func(v any) error {
			if got, _ := gojq.Marshal(Plain(v)); string(got) != c.want {
				t.Errorf("%s gives %s, want %s", c.program, got, c.want)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", c.program, err)
		}
	}
}
