package canonicalizer

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Limits of a mapped line.
const (
	maxReason = 1000 // bytes of a reason in a dead letter
	maxList   = 256  // members of any list of a line
)

// fields reads an object of a mapping strictly: it remembers the first fault, and
// close reports keys that nobody asked for.
type fields struct {
	path  string
	m     map[string]any
	asked []string
	fault *string // shared with the objects inside
}

func newFields(v any) (*fields, string) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, "a line must be an object"
	}
	return &fields{m: m, fault: new(string)}, ""
}

func (f *fields) fail(key, format string, args ...any) {
	if *f.fault == "" {
		*f.fault = f.path + key + ": " + fmt.Sprintf(format, args...)
	}
}

func (f *fields) get(key string) any {
	if f.asked == nil {
		f.asked = make([]string, 0, max(4, len(f.m)+4)) // most of them are asked for
	}
	f.asked = append(f.asked, key)
	return f.m[key]
}

func (f *fields) has(key string) bool { return f.m[key] != nil }

// text is a string; a number or bool is its text, null is empty.
func (f *fields) text(key string) string {
	s, ok := asText(f.get(key))
	if !ok {
		f.fail(key, "must be a text")
	}
	return s
}

func asText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return strings.TrimSpace(v), true
	case json.Number:
		return v.String(), true
	case int:
		return strconv.Itoa(v), true
	case *big.Int:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

func (f *fields) flag(key string) bool {
	v := f.get(key)
	b, ok := v.(bool)
	if !ok && v != nil {
		f.fail(key, "must be true or false")
	}
	return b
}

func (f *fields) number(key string) int64 {
	s := f.text(key)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f.fail(key, "must be a whole number")
	}
	return n
}

// texts is a text or a list of texts.
func (f *fields) texts(key string) []string {
	v := f.get(key)
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, x := range list {
		s, ok := asText(x)
		if !ok {
			f.fail(key, "must be a text or a list of texts")
		}
		if s != "" {
			out = append(out, s)
		}
	}
	if len(out) > maxList {
		f.fail(key, "more than %d", maxList)
		return nil
	}
	return out
}

func (f *fields) object(key string) *fields {
	sub := &fields{path: f.path + key + ".", fault: f.fault}
	v := f.get(key)
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		f.fail(key, "must be an object")
	}
	sub.m = m
	return sub
}

func (f *fields) objects(key string) []*fields {
	v := f.get(key)
	list, ok := v.([]any)
	if !ok && v != nil {
		f.fail(key, "must be a list")
	}
	if len(list) > maxList {
		f.fail(key, "more than %d", maxList)
		return nil
	}
	out := make([]*fields, 0, len(list))
	for i, x := range list {
		m, ok := x.(map[string]any)
		if !ok {
			f.fail(key, "must be a list of objects")
			continue
		}
		out = append(out, &fields{path: fmt.Sprintf("%s%s[%d].", f.path, key, i), m: m, fault: f.fault})
	}
	return out
}

// close reports keys that are not part of the line: a misspelt one must not pass
// as absent.
func (f *fields) close() {
	first, found := "", false
	for k := range f.m {
		if !slices.Contains(f.asked, k) && (!found || k < first) {
			first, found = k, true
		}
	}
	if found {
		f.fail(first, "is no field of it")
	}
}

// shorten cuts a text to n bytes, at the edge of a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
