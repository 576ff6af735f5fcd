package jq

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// Object is an object as a list of members in the order of their keys: what programs
// make, and parsers of many small objects give. Beside a map it is one allocation, is
// gone through in order, and is merged as lists are. It is never changed.
//
// It stands for the map of the same members wherever a value may be one: gojq, which
// knows maps alone, is given those (Plain).
type Object struct{ members []Member }

// Member is a key of an object and its value.
type Member struct {
	Key   string
	Value any
}

// NewObject makes an object of members in the order of their keys, each once.
func NewObject(members ...Member) *Object { return objectOf(members) }

// Get is the value of a member; false where there is none.
func (o *Object) Get(key string) (any, bool) {
	if i := Index(o.members, key); i >= 0 {
		return o.members[i].Value, true
	}
	return nil, false
}

// Lazy is an object that is made when it is asked for: Go code that knows its type has no
// need of it. Field and Plain take it for the object; a program must be given Value.
type Lazy interface {
	Value() any
	Field(key string) any // as of Value
}

// Value is the object that v is, if it is lazy, or v itself.
func Value(v any) any {
	if l, ok := v.(Lazy); ok {
		return l.Value()
	}
	return v
}

// Index is where a key stands among members in their order, -1 where it does not.
func Index(members []Member, key string) int {
	if len(members) > 16 {
		if i, ok := Find(members, key); ok {
			return i
		}
		return -1
	}
	for i := range members {
		if members[i].Key == key {
			return i
		}
	}
	return -1
}

// MarshalJSON writes it as encoding/json writes a map.
func (o *Object) MarshalJSON() ([]byte, error) { return json.Marshal(Plain(o)) } //nolint:wrapcheck // it is the object's own

// String prints it as a map prints.
func (o *Object) String() string { return fmt.Sprint(Plain(o)) }

// IsObject says whether a value is an object of either form.
func IsObject(v any) bool {
	switch v.(type) {
	case map[string]any, *Object:
		return true
	}
	return false
}

// Field is a member of an object of either form; nil where there is none, or v is no
// object.
func Field(v any, key string) any {
	w, _, _ := field(v, key)
	return w
}

// field is Field; has says whether there is such a member, is whether v is an object.
func field(v any, key string) (w any, has, is bool) {
	switch o := v.(type) {
	case *Object:
		w, has = o.Get(key)
		return w, has, true
	case map[string]any:
		w, has = o[key]
		return w, has, true
	case Lazy:
		w = o.Field(key)
		return w, w != nil, true
	}
	return nil, false, false
}

// Find is where a key stands among members in their order, or would.
func Find(members []Member, key string) (int, bool) {
	from, to := 0, len(members)
	for from < to {
		mid := int(uint(from+to) >> 1) //nolint:gosec // lengths are small
		if members[mid].Key < key {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return from, from < len(members) && members[from].Key == key
}

// sized makes an object with room for n members, in one allocation where it can.
func sized(n int) *Object {
	switch {
	case n <= 1:
		return beside(func(room *[1]Member) []Member { return room[:0] })
	case n <= 2:
		return beside(func(room *[2]Member) []Member { return room[:0] })
	case n <= 4:
		return beside(func(room *[4]Member) []Member { return room[:0] })
	case n <= 6:
		return beside(func(room *[6]Member) []Member { return room[:0] })
	case n <= 8:
		return beside(func(room *[8]Member) []Member { return room[:0] })
	case n <= 12:
		return beside(func(room *[12]Member) []Member { return room[:0] })
	case n <= 16:
		return beside(func(room *[16]Member) []Member { return room[:0] })
	}
	return &Object{make([]Member, 0, n)}
}

// beside makes an object and the room of its members in one piece.
func beside[Room any](of func(*Room) []Member) *Object {
	o := &struct {
		Object
		room Room
	}{}
	o.members = of(&o.room)
	return &o.Object
}

// objectOf is an object of a copy of members.
func objectOf(members []Member) *Object {
	o := sized(len(members))
	o.members = append(o.members, members...)
	return o
}

// Members are those of an object of either form, in the order of their keys; false where
// it is none. They must not be changed.
func Members(v any) ([]Member, bool) {
	switch o := v.(type) {
	case *Object:
		return o.members, true
	case map[string]any:
		members := make([]Member, 0, len(o))
		for k, v := range o {
			members = append(members, Member{k, v})
		}
		slices.SortFunc(members, byKey)
		return members, true
	}
	return nil, false
}

func byKey(a, b Member) int { return strings.Compare(a.Key, b.Key) }

// Ordered makes an object of members in any order; of a key that stands there twice the
// last one holds. They are its own then.
func Ordered(members []Member) *Object { return &Object{ordered(members)} }

func ordered(members []Member) []Member {
	slices.SortStableFunc(members, byKey)
	n := 0
	for i := range members {
		if i+1 < len(members) && members[i].Key == members[i+1].Key {
			continue
		}
		members[n] = members[i]
		n++
	}
	clear(members[n:])
	return members[:n]
}

// appendMerged appends the members of two objects, those of the right one where both
// have a key.
func appendMerged(to, l, r []Member) []Member {
	for len(l) > 0 && len(r) > 0 {
		switch c := strings.Compare(l[0].Key, r[0].Key); {
		case c < 0:
			to, l = append(to, l[0]), l[1:]
		case c > 0:
			to, r = append(to, r[0]), r[1:]
		default:
			to, l, r = append(to, r[0]), l[1:], r[1:]
		}
	}
	return append(append(to, l...), r...)
}

// With is the object with a member changed, or one more.
func (o *Object) With(key string, v any) *Object {
	at, had := Find(o.members, key)
	if had {
		c := objectOf(o.members)
		c.members[at].Value = v
		return c
	}
	c := sized(len(o.members) + 1)
	c.members = append(append(append(c.members, o.members[:at]...), Member{key, v}), o.members[at:]...)
	return c
}

// Replace changes a member that there is, in place: for whoever made the object, where
// nobody has it or what was made of it any more.
func (o *Object) Replace(key string, v any) {
	if i := Index(o.members, key); i >= 0 {
		o.members[i].Value = v
	}
}

// without is an object less one of its members.
func (o *Object) without(key string) *Object {
	at, had := Find(o.members, key)
	if !had {
		return o
	}
	c := sized(len(o.members) - 1)
	c.members = append(append(c.members, o.members[:at]...), o.members[at+1:]...)
	return c
}

// sum is the sum of objects, the last one first, in a buffer of the run that holds until
// the next; false where one is neither an object nor null, or there is no object.
func (m *vm) sum(vs []any) ([]Member, bool) {
	out, objects := m.merged[0][:0], false
	many := len(vs) > fewSummed
	for _, v := range slices.Backward(vs) {
		if v == nil {
			continue
		}
		members, ok := Members(v)
		if !ok {
			return nil, false
		}
		objects = true
		switch {
		case len(members) == 0:
		case many:
			m.merged[0] = append(out, members...)
			out = m.merged[0]
		default:
			m.merged[1] = appendMerged(m.merged[1][:0], out, members)
			m.merged[0], m.merged[1] = m.merged[1], m.merged[0]
			out = m.merged[0]
		}
	}
	if many {
		out = ordered(out)
	}
	return out, objects
}

// fewSummed objects are merged one after the other, which is fast and grows with their
// number times their size; more are put in order together.
const fewSummed = 8

// Plain is a value with maps for objects, at any depth: the value itself where there
// are none.
func Plain(v any) any {
	v, _ = plain(v)
	return v
}

func plain(v any) (_ any, changed bool) {
	switch v := v.(type) {
	case *Object:
		m := make(map[string]any, len(v.members))
		for i := range v.members {
			m[v.members[i].Key] = Plain(v.members[i].Value)
		}
		return m, true
	case []any:
		list := v
		for i := range v {
			w, other := plain(v[i])
			if !other {
				continue
			}
			if !changed {
				list, changed = slices.Clone(v), true
			}
			list[i] = w
		}
		return list, changed
	case Lazy:
		return Plain(v.Value()), true
	case map[string]any:
		m := v
		for k, x := range v {
			w, other := plain(x)
			if !other {
				continue
			}
			if !changed {
				m, changed = maps.Clone(v), true
			}
			m[k] = w
		}
		return m, changed
	}
	return v, false
}

// plainAll is Plain of arguments.
func plainAll(args []any) []any {
	list, _ := Plain(args).([]any)
	return list
}

// TypeOf is gojq.TypeOf, of objects of either form.
func TypeOf(v any) string {
	if _, ok := v.(*Object); ok {
		return "object"
	}
	return gojq.TypeOf(v)
}
