package canonicalizer

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Limits of a mapped line.
const (
	maxReason = 1000 // bytes of a reason in a dead letter
	maxList   = 256  // members of any list of a line
)

// fields reads an object of a mapping strictly: it remembers the first fault, and
// close reports keys that nobody asked for. Its memory is kept from line to line.
type fields struct {
	members []jq.Member
	layout  *layout // nil: of no members
	asked   uint64  // a bit for each word
	reading *reading

	// Where the object stands: under a key of another one, of a list the nth.
	up  *fields
	key word
	nth int // -1: of no list

	in *fields // the object in it that is read
}

// reading is what the objects of a line share: the first fault, and the layouts of the
// objects before, by the word they stand under.
type reading struct {
	line    fields
	fault   string
	layouts [numWords + 1]layouts // the last are of the line itself
}

// of reads a line.
func (r *reading) of(members []jq.Member) *fields {
	r.fault, r.line.reading = "", r
	r.line.read(members, numWords, -1)
	return &r.line
}

// inner reads an object in this one, where the one before was read.
func (f *fields) inner(members []jq.Member, key word, nth int) *fields {
	if f.in == nil {
		f.in = &fields{reading: f.reading, up: f}
	}
	f.in.read(members, key, nth)
	return f.in
}

func (f *fields) read(members []jq.Member, key word, nth int) {
	f.members, f.key, f.nth = members, key, nth
	f.layout, f.asked = nil, 0
	switch {
	case len(members) == 0:
	case len(members) > int(numWords): // it has others, and is refused
		f.layout = layoutOf(members)
	default:
		f.layout = f.reading.layouts[key].of(members)
	}
}

func (f *fields) path() string {
	switch {
	case f.up == nil:
		return ""
	case f.nth >= 0:
		return fmt.Sprintf("%s%s[%d].", f.up.path(), words[f.key], f.nth)
	}
	return f.up.path() + words[f.key] + "."
}

func (f *fields) fail(key, text string, args ...any) {
	if f.reading.fault == "" {
		f.reading.fault = f.path() + key + ": " + fmt.Sprintf(text, args...)
	}
}

func (f *fields) wrong(w word, text string, args ...any) { f.fail(words[w], text, args...) }

func (f *fields) get(w word) any {
	f.asked |= 1 << w
	if f.layout == nil {
		return nil
	}
	if i := f.layout.at[w]; i != nowhere {
		return f.members[i].Value
	}
	return nil
}

func (f *fields) has(w word) bool {
	if f.layout == nil {
		return false
	}
	i := f.layout.at[w]
	return i != nowhere && f.members[i].Value != nil
}

// text is a string; a number is its text, null is empty.
func (f *fields) text(w word) string {
	v := f.get(w)
	if v == nil {
		return ""
	}
	if s, ok := v.(string); ok {
		return format.Trim(s)
	}
	s, ok := asText(v)
	if !ok {
		f.wrong(w, "must be a text")
	}
	return s
}

func asText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return format.Trim(v), true
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

func (f *fields) flag(w word) bool {
	v := f.get(w)
	b, ok := v.(bool)
	if !ok && v != nil {
		f.wrong(w, "must be true or false")
	}
	return b
}

func (f *fields) number(w word) int64 {
	s := f.text(w)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f.wrong(w, "must be a whole number")
	}
	return n
}

// texts is a text or a list of texts, behind those of out.
func (f *fields) texts(w word, out []string) []string {
	v := f.get(w)
	list, ok := v.([]any)
	if !ok {
		one := [1]any{v}
		list = one[:]
	}
	for _, x := range list {
		s, ok := asText(x)
		if !ok {
			f.wrong(w, "must be a text or a list of texts")
		}
		if s != "" {
			out = append(out, s)
		}
	}
	if len(out) > maxList {
		f.wrong(w, "more than %d", maxList)
		return nil
	}
	return out
}

func (f *fields) object(w word) *fields { return f.inner(f.membersOf(w), w, -1) }

func (f *fields) membersOf(w word) []jq.Member {
	v := f.get(w)
	members, ok := jq.Members(v)
	if !ok && v != nil {
		f.wrong(w, "must be an object")
	}
	return members
}

// list is a list of objects, which element reads.
func (f *fields) list(w word) []any {
	v := f.get(w)
	list, ok := v.([]any)
	if !ok && v != nil {
		f.wrong(w, "must be a list")
	}
	if len(list) > maxList {
		f.wrong(w, "more than %d", maxList)
		return nil
	}
	for _, x := range list {
		if !jq.IsObject(x) {
			f.wrong(w, "must be a list of objects")
		}
	}
	return list
}

// element is the nth of a list, which is empty where it is no object.
func (f *fields) element(w word, nth int, v any) *fields {
	members, _ := jq.Members(v)
	return f.inner(members, w, nth)
}

// close reports keys that are not part of the line: a misspelt one must not pass
// as absent.
func (f *fields) close() {
	if f.layout == nil || f.layout.has&^f.asked == 0 && f.layout.all {
		return
	}
	for i, w := range f.layout.words {
		if w == noWord || f.asked&(1<<w) == 0 {
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
