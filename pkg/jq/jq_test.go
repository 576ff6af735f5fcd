package jq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"
)

const library = `
def reject($code; $reason): error({code: $code, reason: $reason});
def tonumber: as_number;
def big_one: [.[]? | select(type == "object") | .a, .b, .c, .d, .e, .f, .g, .h, .i, .j, .k, .l, .m, .n, .o, .p, .q, .r, .s, .t, .u] | length;
def pairs_of($x; $y): [[$x, $y], [$y, $x], ($x | tojson), ($y | tojson), [., $x, $y, [$x, [$y, [$x, $y]]], ($x, $y | type), ($x | not), ($y | not)], [$x], [$y], [$x, $x], [$y, $y], [[$x], [$y], [$x, $y]], [[[$x]], [[$y]], [[$y, $x]]], [$x, $y, $x, $y]];
def each(rows; f): [foreach rows as $row (0; . + 1; {row: $row, index: .} | . as $in | try f catch {error: ., at: $in.index})];
def filled: with_entries(select(.value != null and .value != "" and .value != []));
`

func testLibrary(t testing.TB) *Library {
	t.Helper()
	q, err := gojq.Parse(library + ".")
	if err != nil {
		t.Fatal(err)
	}
	return NewLibrary(q.FuncDefs, []Function{
		{Name: "as_number", Call: func(in any, _ []any) any {
			s, ok := in.(string)
			if !ok {
				return fmt.Errorf("no number: %v", in)
			}
			return json.Number(s)
		}},
		{Name: "three", Min: 1, Max: 3, Call: func(in any, args []any) any {
			return append([]any{in}, args...)
		}},
	})
}

var errMany = errors.New("enough values for a test")

func outcome(ctx context.Context, p *Program, in any) string {
	var b strings.Builder
	n := 0
	err := p.Run(ctx, in, func(v any) error {
		text, _ := gojq.Marshal(Plain(v)) // never fails
		b.Write(text)
		b.WriteByte('\n')
		if n++; n > 1000 {
			return errMany
		}
		return nil
	})
	if err != nil {
		fmt.Fprintf(&b, "error %T: %v", err, err)
	}
	return b.String()
}

// same runs a program both ways; compiled says whether there was anything to compare.
func same(t testing.TB, l *Library, program string, inputs []any) (compiled bool) {
	t.Helper()
	q, err := gojq.Parse(program)
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	text := q.String()
	p, err := l.Compile(q)
	ref, refErr := l.Interpret(q)
	if (err == nil) != (refErr == nil) || err != nil && err.Error() != refErr.Error() {
		t.Fatalf("%s: compiled %v, gojq %v", program, err, refErr)
	}
	if q.String() != text {
		t.Errorf("%s: the program was changed to %s", text, q)
	}
	if err != nil || p.Interpreted() != "" {
		return false
	}
	lent := p.Runner()
	defer lent.End()
	for _, in := range inputs {
		before, _ := gojq.Marshal(in) // never fails
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		want, got := outcome(ctx, ref, in), outcome(ctx, p, in)
		late := ctx.Err() != nil
		cancel()
		if late {
			continue
		}
		if got != want {
			t.Fatalf("%s of %s:\n%.2000s\nwant\n%.2000s", program, before, got, want)
		}
		if after, _ := gojq.Marshal(in); string(after) != string(before) {
			t.Fatalf("%s changed its input %s to %s", program, before, after)
		}
		listed := objects(in)
		if got := outcome(t.Context(), p, listed); got != want {
			t.Fatalf("%s of %s, its objects as lists:\n%.2000s\nwant\n%.2000s", program, before, got, want)
		}
		if after, _ := gojq.Marshal(Plain(listed)); string(after) != string(before) {
			t.Fatalf("%s changed its input %s, its objects as lists, to %s", program, before, after)
		}
		if want, got := outcomeOfOne(p.One, listed), outcomeOfOne(lent.One, listed); got != want {
			t.Fatalf("%s of %s in lent memory:\n%.2000s\nwant\n%.2000s", program, before, got, want)
		}
		if after, _ := gojq.Marshal(Plain(listed)); string(after) != string(before) {
			t.Fatalf("%s changed its input %s in lent memory to %s", program, before, after)
		}
	}
	return true
}

func outcomeOfOne(one func(context.Context, time.Duration, any) (any, int, error), in any) string {
	v, given, err := one(context.Background(), 2*time.Second, in)
	if err != nil {
		return fmt.Sprintf("error %T: %v", err, err)
	}
	text, _ := gojq.Marshal(Plain(v)) // never fails
	return fmt.Sprintf("%d: %s", given, text)
}

// objects is a value with each map as an Object.
func objects(v any) any {
	switch v := v.(type) {
	case map[string]any:
		members, _ := Members(v)
		for i := range members {
			members[i].Value = objects(members[i].Value)
		}
		return NewObject(members...)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = objects(v[i])
		}
		return list
	}
	return v
}

func parsed(t testing.TB, texts ...string) []any {
	t.Helper()
	var out []any
	for _, s := range texts {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		out = append(out, v)
	}
	return out
}

var inputTexts = []string{
	`null`, `true`, `0`, `-3`, `2.50`, `12345678901234567890123`, `9007199254740993`, `"text"`, `""`, `"é-日本 a,b,,c"`, `[]`, `{}`,
	`[1,2,3]`, `["b","a",null,"a"]`, `[[1,2],[3],[]]`, `[{"a":1,"b":"x"},{"a":null},{"b":2}]`, `[{"key":"k","value":1},{"name":"n"}]`,
	`{"a":{"b":{"c":[1,2,{"d":null}]}},"x":"y"}`, `{"a":[3,1,2],"b":"","c":[],"d":null,"e":false}`, `{"a":[{"k":1},{"k":2}],"id":"N1","e":["N1","ST",null,"92","DC1"]}`,
	`["say \"a\\b\"","<&>","\u0001\u007f",{"k\"":"v"},{"k":"v","n":[true,-7,null]}]`,
	`[{"id":"N1","e":["N1","ST"]},{"id":"LIN","e":["LIN","1","SK","S"]},{"id":"QTY","e":["QTY","33","7"]}]`,
}

// TestSame runs programs of the whole subset over values of every type.
func TestSame(t *testing.T) {
	l := testLibrary(t)
	inputs := parsed(t, inputTexts...)
	inputs = append(inputs, 7, 2.5, []any{1, 2.5, json.Number("3")})
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			if !same(t, l, program, inputs) {
				t.Error("not compiled")
			}
		})
	}
}

// TestInterpreted: what is not compiled runs in gojq as a whole, and says so.
func TestInterpreted(t *testing.T) {
	l := testLibrary(t)
	for program, want := range map[string]string{
		`def f: if . == null then 1 else f end; f`: "f/0, which calls itself",
		`label $out | 1, break $out`:               "Label",
		`. as [$a] ?// $a | $a`:                    "alternatives of patterns",
		`[paths]`:                                  "paths/0",
		`@base64 "a\(.)"`:                          "format @base64",
		`try (1 = 2) catch .`:                      "a path of gojq.TermTypeNumber",
		`.[1:2] = [1]`:                             "a path with a slice",
		`reduce .[]? as $x (0; .) | now`:           "now/0",
	} {
		q, err := gojq.Parse(program)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Compile(q)
		if err != nil {
			t.Errorf("%s: %v", program, err)
			continue
		}
		if p.Interpreted() != want {
			t.Errorf("%s: interpreted because of %q, want %q", program, p.Interpreted(), want)
		}
		if err := p.Run(t.Context(), nil, func(any) error { return nil }); err != nil {
			t.Errorf("%s: %v", program, err)
		}
	}
	for _, program := range []string{``, ` `, `def f: 1;`} {
		q, err := gojq.Parse(program)
		if err != nil {
			continue
		}
		if _, err := l.Compile(q); err == nil {
			t.Errorf("%q is a program", program)
		}
	}
	q, _ := gojq.Parse(`nosuch(1)`) // it parses
	if _, err := l.Compile(q); err == nil || !strings.Contains(err.Error(), "nosuch/1") {
		t.Errorf("an unknown function: %v", err)
	}
}

// TestEnds: a run ends with its context, with its caller's error, and leaves nothing
// behind for the next one.
func TestEnds(t *testing.T) {
	l := testLibrary(t)
	for _, program := range []string{
		`last(range(1; 1e12))`, `0 | until(false; . + 1)`, `reduce range(1; 1e12) as $x (0; . + $x)`, `first(range(1e12) | select(. < 0))`,
		`try last(range(1e12)) catch 1`, `[0 | while(true; . + 1)] | length`,
	} {
		q, err := gojq.Parse(program)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Compile(q)
		if err != nil || p.Interpreted() != "" {
			t.Fatalf("%s: %v %s", program, err, p.Interpreted())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err = p.Run(ctx, nil, func(any) error { return nil })
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s ends with %v", program, err)
		}
	}
	q, _ := gojq.Parse(`1, try (2, 3) catch 9, 4`) // it parses
	p, err := l.Compile(q)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var got []any
		err := p.Run(t.Context(), nil, func(v any) error {
			if got = append(got, v); v == 2 {
				return errMany
			}
			return nil
		})
		if !errors.Is(err, errMany) || len(got) != 2 {
			t.Errorf("%v, %v: a caller's error is no error of the program, which nothing catches", got, err)
		}
	}
}

// TestNothingIsKept: a run leaves nothing of its values in the memory that the next one
// takes, no clock, and no more of that memory than it may.
func TestNothingIsKept(t *testing.T) {
	l := testLibrary(t)
	for _, program := range []string{
		`. as $x | [$x]`, `big_one`, `pairs_of(.; 1) | length`, `three(.; 1; .)`, `def own($x): [$x]; own(.)`, `{a: ., b: 1, c: null} | filled`,
		`{a: .} + {b: .} + {c: .} + {d: .}`, `{a: .} + {b: ., c: null} | filled`, `[., .] | add`, `[range(5000) | {"k\(.)": .}] | add | length`,
		`reduce range(3000) as $x (.; .) | length`, `. as $x | error("x")`,
	} {
		q, err := gojq.Parse(program)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Compile(q)
		if err != nil || p.Interpreted() != "" {
			t.Fatalf("%s: %v %s", program, err, p.Interpreted())
		}
		m := p.vm()
		err = p.run(t.Context(), m, time.Hour, func(m *vm) error {
			return p.node.each(m, map[string]any{"some": "thing"}, func(any) error { return nil })
		})
		p.forget(m)
		if fails := strings.Contains(program, "error"); fails != (err != nil) {
			t.Errorf("%s: %v", program, err)
		}
		if m.ctx != nil || m.cancel != nil {
			t.Errorf("%s keeps its clock", program)
		}
		for _, v := range append(m.slots, m.args[:cap(m.args)]...) {
			if v != nil {
				t.Errorf("%s keeps %v", program, v)
			}
		}
		for _, members := range [][]Member{m.members, m.merged[0], m.merged[1]} {
			if len(members) > 0 || cap(members) > mostKept {
				t.Errorf("%s keeps %d of %d members", program, len(members), cap(members))
			}
			for _, x := range members[:cap(members)] {
				if x.Key != "" || x.Value != nil {
					t.Errorf("%s keeps %v", program, x)
				}
			}
		}
	}
}

// TestOne: a program of one value, compiled or not, has that long; a second value is
// counted and not waited for.
func TestOne(t *testing.T) {
	l := testLibrary(t)
	for _, c := range []struct {
		program string
		given   int
		value   any
	}{
		{`. + 1`, 1, 8}, {`empty`, 0, nil}, {`., error("no")`, 0, nil}, {`(1, 2, last(range(1e12)))`, 2, 1}, {`select(. == 7)`, 1, 7}, {`.[]?`, 0, nil},
	} {
		q, err := gojq.Parse(c.program)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err1 := l.Compile(q)
		ref, err2 := l.Interpret(q)
		if err := errors.Join(err1, err2); err != nil || compiled.Interpreted() != "" {
			t.Fatal(err, compiled.Interpreted())
		}
		for _, p := range []*Program{compiled, ref} {
			v, given, err := p.One(t.Context(), time.Minute, 7)
			if fails := strings.Contains(c.program, "error"); fails != (err != nil) || !fails && (given != c.given || v != c.value) {
				t.Errorf("%s: %v, %d values, %v", c.program, v, given, err)
			}
		}
	}
	q, _ := gojq.Parse(`last(range(1; 1e12))`) // it parses
	compiled, err1 := l.Compile(q)
	ref, err2 := l.Interpret(q)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Program{compiled, ref} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, _, err := p.One(ctx, 20*time.Millisecond, nil); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			t.Errorf("it ends with %v, its context with %v", err, ctx.Err())
		}
		cancel()
	}
}

// FuzzSame holds programs and inputs of any kind against gojq.
func FuzzSame(f *testing.F) {
	for i, p := range programs {
		f.Add(p, inputTexts[i%len(inputTexts)])
	}
	l := testLibrary(f)
	f.Fuzz(func(t *testing.T, program, input string) {
		if len(program) > 400 || len(input) > 400 || longNumber(program) || longNumber(input) {
			t.Skip("what takes long takes long in both")
		}
		d := json.NewDecoder(strings.NewReader(input))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			t.Skip("no JSON")
		}
		if q, err := gojq.Parse(program); err != nil || len(q.Imports) > 0 {
			t.Skip("no program")
		}
		same(t, l, program, []any{v})
	})
}

// longNumber says whether a text has a number that loops, or repeats, for long.
func longNumber(s string) bool {
	run := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' || s[i] == 'e' && run > 0 || s[i] == 'E' && run > 0 {
			if run++; run > 3 || s[i] > '9' {
				return true
			}
		} else if s[i] != '.' {
			run = 0
		}
	}
	return false
}
