package canonicalizer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
)

// shortInput makes inputs of shortcuts from the words that decide in them.
type shortInput struct{ *rand.Rand }

func (r shortInput) pick(of ...string) string { return of[r.IntN(len(of))] }

// element is one of a segment; seldom one that no parser gives.
func (r shortInput) element() any {
	switch r.IntN(40) {
	case 0:
		return []any{7, true, map[string]any{"x": "y"}, []any{"A", "B"}, 0.5}[r.IntN(5)]
	case 1, 2, 3, 4, 5, 6, 7, 8, 9:
		return nil
	}
	return r.pick("UP", "VN", "LT", "SN", "PO", "B8", "SL", "ST", "WH", "N9Q", "CP", "GM", "002", "371", "2I", "EA", "up",
		"", " ", " VN ", "\u00a0VN", "1", "0", "SKU-1", "012345678905", "261102", "20261102", "20", "1405", "ES", "DT", "DK1", "é1", "[")
}

func (r shortInput) elements(id string) []any {
	e := []any{id}
	for range r.IntN(9) {
		e = append(e, r.element())
	}
	return e
}

func (r shortInput) segment(ids ...string) any {
	if ids == nil {
		ids = []string{"N1", "DTM", "REF", "N9", "L11", "MAN", "LIN", "QTY", "SDQ", "SLN"}
	}
	id := r.pick(ids...)
	e := r.elements(id)
	if id == "DTM" && r.IntN(2) == 0 { // with a century, or a format
		e = []any{id, r.pick("002", "371"), r.pick("261102", "20261102", ""), nil, nil, r.pick("19", "20", "DT", "x"), r.pick("", "202611021405")}
	}
	return r.segmentOf(id, e)
}

// segmentOf is a segment in either form.
func (r shortInput) segmentOf(id string, e []any) any {
	pos := r.IntN(9)
	if r.IntN(2) == 0 {
		return map[string]any{"id": id, "pos": pos, "e": e}
	}
	return jq.NewObject(jq.Member{Key: "e", Value: e}, jq.Member{Key: "id", Value: id}, jq.Member{Key: "pos", Value: pos})
}

// segments are of a few kinds, or of all.
func (r shortInput) segments() any {
	kinds := [][]string{nil, {"N1", "N1", "QTY"}, {"DTM"}, {"REF", "N9", "L11"}, {"MAN"}}[r.IntN(5)]
	list := []any{}
	for range r.IntN(7) {
		list = append(list, r.segment(kinds...))
	}
	if r.IntN(30) == 0 {
		list = append(list, "no segment")
	}
	return list
}

func (r shortInput) lines() any {
	list := []any{}
	for range r.IntN(5) {
		l := map[string]any{"quantity": r.IntN(9)}
		if r.IntN(8) > 0 {
			d := map[string]any{"number": r.pick("1", "2", "1:2"), "line": r.pick("1", "2", "3", "4")}
			if r.IntN(3) == 0 {
				d["revision"] = r.element()
			}
			l["document"] = d
		}
		list = append(list, l)
	}
	return list
}

// TestShortcutsMeanTheirDefinitions: each shortcut gives what gojq makes of its
// definition, goes for most of what it is given, and none is without a test.
func TestShortcutsMeanTheirDefinitions(t *testing.T) {
	r := shortInput{rand.New(rand.NewPCG(3, 4))}
	id := func() any { return r.pick("N1", "DTM", "REF", "XX") }
	list := func(v any) []any { return []any{v} }
	makes := map[string]func() (in any, args []any){
		"seg/1":   func() (any, []any) { return r.segments(), list(id()) },
		"seg/2":   func() (any, []any) { return r.segments(), []any{id(), r.element()} },
		"segs/1":  func() (any, []any) { return r.segments(), list(id()) },
		"apart/0": func() (any, []any) { return r.lines(), nil },
	}
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shortcuts() {
		name := fmt.Sprintf("%s/%d", s.Name, s.Args)
		inputs := makes[name]
		if inputs == nil {
			t.Errorf("%s: a shortcut without inputs here", name)
			continue
		}
		delete(makes, name)
		call := s.Name
		for i := range s.Args {
			call += []string{"(", "; "}[min(i, 1)] + fmt.Sprintf("$a[%d]", i)
		}
		call += strings.Repeat(")", min(s.Args, 1))
		q, err := gojq.Parse(".a as $a | .in | " + call)
		if err != nil {
			t.Fatal(err)
		}
		short, err := lib.Compile(q)
		if err != nil || short.Interpreted() != "" {
			t.Fatalf("%s: %v %s", name, err, short.Interpreted())
		}
		meant, err := lib.Interpret(q)
		if err != nil {
			t.Fatal(err)
		}
		const tries = 1500
		went := 0
		for range tries {
			in, args := inputs()
			v := map[string]any{"in": in, "a": append([]any{}, args...)}
			if _, ok := s.Call(in, args); ok {
				went++
			}
			if want, got := outcome(meant, v), outcome(short, v); got != want {
				text, _ := gojq.Marshal(jq.Plain(v))
				t.Fatalf("%s of %s gives\n%s\nbut is defined as\n%s", name, text, got, want)
			}
		}
		if went < tries/4 {
			t.Errorf("%s goes for %d of %d inputs", name, went, tries)
		}
	}
	for name := range makes {
		t.Errorf("%s is no shortcut any more", name)
	}
}
