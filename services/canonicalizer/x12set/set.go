// Package x12set is a transaction set of X12 as its parser gives it and its standard reads
// it.
package x12set

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Segment is a segment of a set.
type Segment struct {
	Pos int      // its number in the message, from 1
	E   []string // its id, and its elements by their numbers; empty where there is none
}

// ID is the segment's id; empty of one that is nil or empty.
func (s *Segment) ID() string { return s.El(0) }

// El is an element by its number in the standard, empty where there is none; nil has
// none.
func (s *Segment) El(n int) string {
	if s == nil || uint(n) >= uint(len(s.E)) { //nolint:gosec // below 0 is none, too
		return ""
	}
	return s.E[n]
}

// Set is a transaction set between its ST and SE, with what its envelopes say. It is
// the tree of its unit, as a jq.Lazy: values are made of it when a program asks for them.
// It is never changed.
type Set struct {
	ID, Control string // ST01, ST02
	Version     string // GS08
	Component   string // the delimiter of composites
	Pos         int    // of ST in the message
	Segments    []Segment
	Flags       []any          // as in the tree
	Interchange map[string]any // as in the tree
	Group       map[string]any
}

// Value is the tree, see the parser.
func (c *Set) Value() any {
	tree := map[string]any{}
	for _, key := range []string{"set", "control", "version", "component", "pos", "interchange", "group", "segments"} {
		tree[key] = c.Field(key)
	}
	if len(c.Flags) > 0 {
		tree["flags"] = c.Flags
	}
	return tree
}

// Field is a member of the tree, nil where it has none of the name.
func (c *Set) Field(key string) any {
	switch key {
	case "set":
		return c.ID
	case "control":
		return c.Control
	case "version":
		return c.Version
	case "component":
		return c.Component
	case "pos":
		return c.Pos
	case "interchange":
		return c.Interchange
	case "group":
		return c.Group
	case "segments":
		return c.segments()
	case "flags":
		if len(c.Flags) > 0 {
			return c.Flags
		}
	}
	return nil
}

func (c *Set) segments() []any {
	var values format.Values
	n := 0
	for i := range c.Segments {
		n += len(c.Segments[i].E)
	}
	segments := make([]any, len(c.Segments))
	for i := range c.Segments {
		s := &c.Segments[i]
		e := values.List(len(s.E), n)
		n -= len(s.E)
		for k, v := range s.E {
			e[k] = values.Text(v)
		}
		segments[i] = format.Segment(e[0], s.Pos, e)
	}
	return segments
}

// Of reads a tree that a program has made or changed: what it says nothing of is
// empty. The error names what is no set.
func Of(tree any) (*Set, error) {
	if c, ok := tree.(*Set); ok {
		return c, nil
	}
	c := &Set{
		ID: text(jq.Field(tree, "set")), Control: text(jq.Field(tree, "control")), Version: text(jq.Field(tree, "version")),
		Component: text(jq.Field(tree, "component")),
	}
	c.Pos, _ = gojq.ToInt(jq.Field(tree, "pos"))
	c.Flags, _ = jq.Field(tree, "flags").([]any)
	c.Interchange, _ = jq.Plain(jq.Field(tree, "interchange")).(map[string]any)
	c.Group, _ = jq.Plain(jq.Field(tree, "group")).(map[string]any)
	list, ok := jq.Field(tree, "segments").([]any)
	if !ok {
		return nil, fmt.Errorf("the segments of a set are an array, not %s", jq.TypeOf(jq.Field(tree, "segments")))
	}
	c.Segments = make([]Segment, len(list))
	for i, v := range list {
		id, e := jq.Field(v, "id"), jq.Field(v, "e")
		_, isText := id.(string)
		elements, isList := e.([]any)
		if !isText && id != nil || !isList && e != nil || !jq.IsObject(v) {
			return nil, fmt.Errorf("segment %d of a set is {id, pos, e}, id a text and e an array", i)
		}
		s := &c.Segments[i]
		s.Pos, _ = gojq.ToInt(jq.Field(v, "pos"))
		s.E = make([]string, max(1, len(elements)))
		for k, x := range elements {
			s.E[k] = text(x)
		}
		s.E[0] = text(id)
	}
	return c, nil
}

// text is a value as an element states it: a number by its digits, anything else that is
// no text as none.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case nil, bool, []any, map[string]any, *jq.Object:
		return ""
	case json.Number:
		return v.String()
	}
	b, err := gojq.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
