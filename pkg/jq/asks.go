package jq

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/itchyny/gojq"
)

// asks are questions to gojq: what an operator or a function gives for values. They
// are compiled once. The zero value is ready; it is safe for concurrent use.
type asks struct{ codes sync.Map }

// ask is a question: of an input and arguments, its one value.
type ask func(in any, args ...any) (any, error)

// code compiles a text with the variables $a, $b, $c.
func (a *asks) code(text string, args int) (*gojq.Code, error) {
	if code, ok := a.codes.Load(text); ok {
		return code.(*gojq.Code), nil //nolint:forcetypeassert // nothing else is stored
	}
	q, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", text, err)
	}
	code, err := gojq.Compile(q, gojq.WithVariables([]string{"$a", "$b", "$c"}[:args]))
	if err != nil {
		return nil, unable("%s: %v", text, err)
	}
	a.codes.Store(text, code)
	return code, nil
}

// function is a question of up to three arguments.
func (a *asks) function(text string, args int) (ask, error) {
	code, err := a.code(text, args)
	if err != nil {
		return nil, err
	}
	return func(in any, args ...any) (any, error) {
		v, ok := code.Run(Plain(in), plainAll(args)...).Next()
		if !ok {
			return none, nil
		}
		if err, bad := v.(error); bad {
			return nil, err
		}
		return v, nil
	}, nil
}

// do asks at once: for what is rare.
func (a *asks) do(text string, in any, args ...any) (any, error) {
	f, err := a.function(text, len(args))
	if err != nil {
		return nil, err
	}
	return f(in, args...)
}

// all gives every value.
func (a *asks) all(text string, in any, args []any, out func(any) error) error {
	code, err := a.code(text, len(args))
	if err != nil {
		return err
	}
	return drain(code.Run(Plain(in), plainAll(args)...), out)
}

// drain gives what gojq gives to out, until there is an error.
func drain(iter gojq.Iter, out func(any) error) error {
	for {
		v, ok := iter.Next()
		if !ok {
			return nil
		}
		if err, bad := v.(error); bad {
			return err
		}
		if err := out(v); err != nil {
			return err
		}
	}
}

// constant is a number as gojq reads it.
func (a *asks) constant(text string) (any, error) {
	if n, err := strconv.Atoi(text); err == nil && text != "-0" {
		return n, nil
	}
	return a.do(text, nil)
}

func (a *asks) member(key string) func(any) (any, error) {
	return func(in any) (any, error) {
		if v, _, is := field(in, key); is || in == nil {
			return v, nil
		}
		return a.do(".[$a]", in, key)
	}
}

func (a *asks) element(i int) func(any) (any, error) {
	return func(in any) (any, error) {
		switch v := in.(type) {
		case []any:
			return elementOf(v, i), nil
		case nil:
			return nil, nil //nolint:nilnil // null
		}
		return a.do(".[$a]", in, i)
	}
}

// elementOf is an element, from the end where i is less than 0; null where there is none.
func elementOf(list []any, i int) any {
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return nil
	}
	return list[i]
}

// place is an element of a pattern, which only an array has.
func (a *asks) place(i int) func(any) (any, error) {
	element := a.element(i)
	return func(in any) (any, error) {
		switch in.(type) {
		case nil, []any:
			return element(in)
		}
		return a.do(". as [$x] | $x", in)
	}
}

func (a *asks) index(key, of any) (any, error) {
	switch k := key.(type) {
	case string:
		if v, _, is := field(of, k); is || of == nil {
			return v, nil
		}
	case int:
		if list, ok := of.([]any); ok {
			return elementOf(list, k), nil
		}
	}
	return a.do(".[$a]", of, key)
}

func (a *asks) slice(of, from, to any) (any, error) {
	start, ok1 := bound(from, 0)
	end, ok2 := bound(to, int(^uint(0)>>1))
	if ok1 && ok2 {
		switch v := of.(type) {
		case []any:
			s := clamp(start, 0, len(v))
			return v[s:clamp(end, s, len(v))], nil
		case string:
			if isASCII(v) {
				s := clamp(start, 0, len(v))
				return v[s:clamp(end, s, len(v))], nil
			}
		}
	}
	return a.do(".[$a:$b]", of, from, to)
}

func bound(v any, absent int) (int, bool) {
	if v == nil {
		return absent, true
	}
	n, ok := v.(int)
	return n, ok
}

func clamp(i, least, length int) int {
	if i < 0 {
		i += length
	}
	return min(max(i, least), max(length, least))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func tostring(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	}
	return tojson(v)
}

func tojson(v any) string {
	var room [256]byte
	if b, ok := appendJSON(room[:0], v); ok {
		return string(b)
	}
	b, _ := gojq.Marshal(Plain(v)) // never fails
	return string(b)
}

// appendJSON writes a value as gojq does; false where it has numbers but int, or texts
// with more than plain characters.
func appendJSON(b []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), true
	case bool:
		return strconv.AppendBool(b, v), true
	case int:
		return strconv.AppendInt(b, int64(v), 10), true
	case string:
		return appendText(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = appendJSON(b, e); !ok {
				return b, false
			}
		}
		return append(b, ']'), true
	case *Object:
		b = append(b, '{')
		for i := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = appendText(b, v.members[i].Key); !ok {
				return b, false
			}
			if b, ok = appendJSON(append(b, ':'), v.members[i].Value); !ok {
				return b, false
			}
		}
		return append(b, '}'), true
	}
	return b, false
}

func appendText(b []byte, s string) ([]byte, bool) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return b, false
		}
	}
	return append(append(append(b, '"'), s...), '"'), true
}

// equal is ==, which orders numbers by what they are.
func equal(l, r any) bool {
	switch l := l.(type) {
	case nil:
		return r == nil
	case string:
		s, ok := r.(string)
		return ok && l == s
	case int:
		if n, ok := r.(int); ok {
			return l == n
		}
	case bool:
		b, ok := r.(bool)
		return ok && l == b
	case []any:
		list, ok := r.([]any)
		return ok && slices.EqualFunc(l, list, equal)
	case *Object:
		if o, ok := r.(*Object); ok {
			return slices.EqualFunc(l.members, o.members, func(a, b Member) bool { return a.Key == b.Key && equal(a.Value, b.Value) })
		}
	}
	return gojq.Compare(Plain(l), Plain(r)) == 0
}

func compare(l, r any) int {
	if a, ok := l.(string); ok {
		if b, ok := r.(string); ok {
			return strings.Compare(a, b)
		}
	}
	return gojq.Compare(Plain(l), Plain(r))
}

// add is +.
func (a *asks) add(l, r any) (any, error) {
	switch l := l.(type) {
	case nil:
		if _, isNumber := r.(json.Number); !isNumber {
			return r, nil
		}
	case string:
		if s, ok := r.(string); ok {
			return l + s, nil
		}
	case int:
		if n, ok := r.(int); ok {
			if sum := l + n; (sum >= l) == (n >= 0) {
				return sum, nil
			}
		}
	case []any:
		if list, ok := r.([]any); ok {
			if len(l) == 0 {
				return list, nil
			}
			if len(list) == 0 {
				return l, nil
			}
			return slices.Concat(l, list), nil
		}
	case map[string]any, *Object:
		if o, ok := merged(l, r); ok {
			return o, nil
		}
	}
	switch r.(type) {
	case nil:
		switch l.(type) {
		case string, []any, map[string]any, *Object, int, bool, float64, *big.Int:
			return l, nil
		}
	}
	return a.do("$a + $b", nil, l, r)
}

// addAll is +, of several from the last to the first.
func (a *asks) addAll(m *vm, vs []any) (any, error) {
	if members, ok := m.sum(vs); ok {
		return m.objectOf(members), nil
	}
	sum := vs[len(vs)-1]
	for i := len(vs) - 2; i >= 0; i-- {
		var err error
		if sum, err = a.add(sum, vs[i]); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// merged is the sum of two objects; false where one is none.
func merged(l, r any) (any, bool) {
	a, ok1 := Members(l)
	b, ok2 := Members(r)
	switch {
	case !ok1 || !ok2:
		return nil, false
	case len(a) == 0:
		return r, true
	case len(b) == 0:
		return l, true
	}
	o := sized(len(a) + len(b))
	o.members = appendMerged(o.members, a, b)
	return o, true
}
