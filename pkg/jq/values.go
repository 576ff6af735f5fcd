package jq

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// value compiles functions of values. What is not a common case is asked.
func (c *compiler) value(key string, args []node) (node, bool) {
	one := func(text string, f func(in any) (any, bool)) (node, bool) {
		return lift(func(in any) (any, error) {
			if v, ok := f(in); ok {
				return v, nil
			}
			return c.asks.do(text, in)
		}), true
	}
	ofType := func(keep func(typ string) bool) (node, bool) {
		return lift(func(in any) (any, error) {
			if keep(TypeOf(in)) {
				return in, nil
			}
			return none, nil
		}), true
	}
	switch key {
	case "length/0":
		return one("length", length)
	case "type/0":
		return lift(func(in any) (any, error) { return TypeOf(in), nil }), true
	case "tostring/0":
		return lift(func(in any) (any, error) { return tostring(in), nil }), true
	case "tojson/0":
		return lift(func(in any) (any, error) { return tojson(in), nil }), true
	case "add/0":
		return node{one: c.asks.sum}, true
	case "to_entries/0":
		return lift(c.asks.toEntries), true
	case "from_entries/0":
		return lift(c.asks.fromEntries), true
	case "first/0":
		return lift(c.asks.element(0)), true
	case "last/0":
		return lift(c.asks.element(-1)), true
	case "arrays/0":
		return ofType(func(t string) bool { return t == "array" })
	case "objects/0":
		return ofType(func(t string) bool { return t == "object" })
	case "iterables/0":
		return ofType(func(t string) bool { return t == "array" || t == "object" })
	case "booleans/0":
		return ofType(func(t string) bool { return t == "boolean" })
	case "numbers/0":
		return ofType(func(t string) bool { return t == "number" })
	case "strings/0":
		return ofType(func(t string) bool { return t == "string" })
	case "nulls/0":
		return ofType(func(t string) bool { return t == "null" })
	case "values/0":
		return ofType(func(t string) bool { return t != "null" })
	case "scalars/0":
		return ofType(func(t string) bool { return t != "array" && t != "object" })
	case "trim/0":
		return one("trim", onText(strings.TrimSpace))
	case "ascii_downcase/0":
		return one("ascii_downcase", onText(func(s string) string { return shifted(s, 'A', 'Z', 'a'-'A') }))
	case "ascii_upcase/0":
		return one("ascii_upcase", onText(func(s string) string { return shifted(s, 'a', 'z', 'A'-'a') }))
	case "keys/0":
		return one("keys", func(in any) (any, bool) {
			members, ok := Members(in)
			if !ok {
				return nil, false
			}
			list := make([]any, len(members))
			for i := range members {
				list[i] = members[i].Key
			}
			return list, true
		})
	case "reverse/0":
		return one("reverse", func(in any) (any, bool) {
			list, ok := in.([]any)
			if !ok {
				return nil, false
			}
			list = append([]any{}, list...)
			slices.Reverse(list)
			return list, true
		})
	case "test/1":
		return c.test(args[0]), true
	case "capture/1":
		if re := expression(args[0]); re != nil {
			return c.capture(re, args[0].val), true
		}
	}
	return c.value1(key, args)
}

// value1 compiles functions of an input and one value.
func (c *compiler) value1(key string, args []node) (node, bool) {
	texts := func(text string, f func(s, t string) any) (node, bool) {
		return pair(args[0], identity(), func(arg, in any) (any, error) {
			if s, ok := in.(string); ok {
				if t, ok := arg.(string); ok {
					return f(s, t), nil
				}
			}
			return c.asks.do(text, in, arg)
		}), true
	}
	switch key {
	case "startswith/1":
		return texts("startswith($a)", func(s, t string) any { return strings.HasPrefix(s, t) })
	case "endswith/1":
		return texts("endswith($a)", func(s, t string) any { return strings.HasSuffix(s, t) })
	case "ltrimstr/1":
		return texts("ltrimstr($a)", func(s, t string) any { return strings.TrimPrefix(s, t) })
	case "rtrimstr/1":
		return texts("rtrimstr($a)", func(s, t string) any { return strings.TrimSuffix(s, t) })
	case "split/1":
		return texts("split($a)", func(s, t string) any {
			list := []any{}
			if s != "" {
				for part := range strings.SplitSeq(s, t) {
					list = append(list, part)
				}
			}
			return list
		})
	case "join/1":
		return pair(args[0], identity(), func(sep, in any) (any, error) {
			if s, ok := joined(in, sep); ok {
				return s, nil
			}
			return c.asks.do("join($a)", in, sep)
		}), true
	case "has/1":
		return pair(args[0], identity(), func(key, in any) (any, error) {
			if k, ok := key.(string); ok {
				if _, has, is := field(in, k); is {
					return has, nil
				}
			}
			return c.asks.do("has($a)", in, key)
		}), true
	}
	return node{}, false
}

func length(in any) (any, bool) {
	switch v := in.(type) {
	case nil:
		return 0, true
	case string:
		return utf8.RuneCountInString(v), true
	case []any:
		return len(v), true
	case map[string]any:
		return len(v), true
	case *Object:
		return len(v.members), true
	}
	return nil, false
}

func onText(f func(string) string) func(any) (any, bool) {
	return func(in any) (any, bool) {
		s, ok := in.(string)
		if !ok {
			return nil, false
		}
		return f(s), true
	}
}

func shifted(s string, from, to, by rune) string {
	return strings.Map(func(r rune) rune {
		if from <= r && r <= to {
			return r + by
		}
		return r
	}, s)
}

func joined(in, sep any) (string, bool) {
	list, ok1 := in.([]any)
	t, ok2 := sep.(string)
	if !ok1 || !ok2 {
		return "", false
	}
	var b strings.Builder
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return "", false
		}
		if i > 0 {
			b.WriteString(t)
		}
		b.WriteString(s)
	}
	return b.String(), true
}

// sum is add.
func (a *asks) sum(m *vm, in any) (any, error) {
	if list, ok := in.([]any); ok {
		backward := append(m.args, list...) //nolint:gocritic // behind the arguments, for as long as this takes
		slices.Reverse(backward[len(m.args):])
		members, ok := m.sum(backward[len(m.args):])
		clear(backward[len(m.args):])
		if ok {
			return m.objectOf(members), nil
		}
		if !slices.ContainsFunc(list, func(v any) bool { return v != nil }) {
			return nil, nil //nolint:nilnil // null
		}
	}
	return a.do("add", in)
}

func (a *asks) toEntries(in any) (any, error) {
	if v, ok := in.([]any); ok {
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = entry(i, e)
		}
		return list, nil
	}
	members, ok := Members(in)
	if !ok {
		return a.do("to_entries", in)
	}
	list := make([]any, len(members))
	for i, x := range members {
		list[i] = entry(x.Key, x.Value)
	}
	return list, nil
}

func entry(key, value any) *Object {
	return NewObject(Member{"key", key}, Member{"value", value})
}

func (a *asks) fromEntries(in any) (any, error) {
	list, ok := in.([]any)
	if !ok {
		return a.do("from_entries", in)
	}
	members := make([]Member, 0, len(list))
	for _, e := range list {
		k, ok := Field(e, "key").(string)
		v, has, _ := field(e, "value")
		if !ok || !has {
			return a.do("from_entries", in)
		}
		members = append(members, Member{k, v})
	}
	return Ordered(members), nil
}

// custom calls a function of the library. Its last argument is computed first, and
// slowest.
func (c *compiler) custom(f Function, args []node) node {
	back := make([]node, len(args))
	for i, n := range args {
		back[len(args)-1-i] = n
	}
	return c.strict(back, func(_ *vm, in any, vs []any) (any, error) {
		slices.Reverse(vs)
		v := f.Call(in, vs)
		if err, bad := v.(error); bad {
			return nil, err
		}
		return v, nil
	})
}

// asked are functions of values that gojq is asked for: their name and arguments,
// "*" where they may give several values or none.
func (c *compiler) asked(key, name string, args []node) (node, error) {
	var several bool
	switch key {
	case "utf8bytelength/0", "explode/0", "implode/0", "tonumber/0", "toboolean/0", "fromjson/0", "flatten/0", "flatten/1", "min/0", "max/0",
		"sort/0", "unique/0", "floor/0", "round/0", "ceil/0", "trunc/0", "fabs/0", "sqrt/0", "abs/0", "transpose/0", "ltrim/0", "rtrim/0",
		"mktime/0", "gmtime/0", "todate/0", "fromdate/0", "todateiso8601/0", "fromdateiso8601/0", "infinite/0", "nan/0", "isnan/0", "isinfinite/0",
		"isfinite/0", "isnormal/0", "contains/1", "inside/1", "indices/1", "index/1", "rindex/1", "trimstr/1", "strftime/1", "strptime/1",
		"getpath/1", "delpaths/1", "bsearch/1", "error/0", "error/1", "format/1", "test/2", "split/2", "setpath/2", "pow/2", "ltrimstr/1", "has/1":
	case "match/1", "match/2", "scan/1", "scan/2", "splits/1", "splits/2", "capture/1", "capture/2":
		several = true
	default:
		return node{}, unable("%s", key)
	}
	text := name
	if len(args) > 0 {
		text += "(" + strings.Join([]string{"$a", "$b", "$c"}[:len(args)], "; ") + ")"
	}
	if several {
		if _, err := c.asks.code(text, len(args)); err != nil {
			return node{}, err
		}
		return node{many: func(m *vm, in any, out func(any) error) error {
			return product(m, in, args, nil, func(vs []any) error { return c.asks.all(text, in, slices.Clone(vs), out) })
		}}, nil
	}
	f, err := c.asks.function(text, len(args))
	if err != nil {
		return node{}, err
	}
	back := slices.Clone(args) // functions of Go compute the last one first
	if key != "test/2" && key != "split/2" {
		slices.Reverse(back)
	}
	return c.strict(back, func(_ *vm, in any, vs []any) (any, error) {
		vs = slices.Clone(vs)
		if key != "test/2" && key != "split/2" {
			slices.Reverse(vs)
		}
		return f(in, vs...)
	}), nil
}
