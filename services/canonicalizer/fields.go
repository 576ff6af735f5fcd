package canonicalizer

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/jq"
)

// Limits of a mapped line.
const (
	maxReason = 1000 // bytes of a reason in a dead letter
	maxList   = 256  // members of any list of a line
)

// fields reads an object of a mapping strictly: it remembers the first fault, and
// close reports keys that nobody asked for.
type fields struct {
	members []jq.Member
	// asked has a bit for each of the first 64 members. Among so many there is always
	// one that is no field, if there are more.
	asked uint64
	fault *string // shared with the objects inside

	// Where the object stands: under a key of another one, of a list the nth.
	up  *fields
	key string
	nth int // -1: of no list
}

func newFields(v any, fault *string) (fields, string) {
	members, ok := jq.Members(v)
	if !ok {
		return fields{}, "a line must be an object"
	}
	return fields{members: members, fault: fault}, ""
}

func (f *fields) path() string {
	switch {
	case f.up == nil:
		return ""
	case f.nth >= 0:
		return fmt.Sprintf("%s%s[%d].", f.up.path(), f.key, f.nth)
	}
	return f.up.path() + f.key + "."
}

func (f *fields) fail(key, format string, args ...any) {
	if *f.fault == "" {
		*f.fault = f.path() + key + ": " + fmt.Sprintf(format, args...)
	}
}

func (f *fields) get(key string) any {
	i := jq.Index(f.members, key)
	if i < 0 {
		return nil
	}
	f.asked |= 1 << i // no bit where there is none for it
	return f.members[i].Value
}

func (f *fields) has(key string) bool {
	i := jq.Index(f.members, key)
	return i >= 0 && f.members[i].Value != nil
}

// text is a string; a number is its text, null is empty.
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

// texts is a text or a list of texts, behind those of out.
func (f *fields) texts(key string, out []string) []string {
	v := f.get(key)
	list, ok := v.([]any)
	if !ok {
		one := [1]any{v}
		list = one[:]
	}
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

func (f *fields) object(key string) fields {
	sub := fields{up: f, key: key, nth: -1, fault: f.fault}
	v := f.get(key)
	members, ok := jq.Members(v)
	if !ok && v != nil {
		f.fail(key, "must be an object")
	}
	sub.members = members
	return sub
}

// list is a list of objects, which element reads.
func (f *fields) list(key string) []any {
	v := f.get(key)
	list, ok := v.([]any)
	if !ok && v != nil {
		f.fail(key, "must be a list")
	}
	if len(list) > maxList {
		f.fail(key, "more than %d", maxList)
		return nil
	}
	for _, x := range list {
		if !jq.IsObject(x) {
			f.fail(key, "must be a list of objects")
		}
	}
	return list
}

// element is the nth of a list, which is empty where it is no object.
func (f *fields) element(key string, nth int, v any) fields {
	members, _ := jq.Members(v)
	return fields{up: f, key: key, nth: nth, fault: f.fault, members: members}
}

// close reports keys that are not part of the line: a misspelt one must not pass
// as absent.
func (f *fields) close() {
	for i := range min(len(f.members), 64) {
		if f.asked&(1<<i) == 0 {
			f.fail(f.members[i].Key, "is no field of it")
			return
		}
	}
}

// shorten cuts a text to n bytes, at the edge of a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
