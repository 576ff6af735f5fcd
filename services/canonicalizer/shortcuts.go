package canonicalizer

import (
	"strconv"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/jq"
)

// shortcuts are definitions of the library written again in Go: those that a mapping
// calls for each line. Each goes for what the parsers give, and leaves the rest to its
// definition, which says what it means.
func shortcuts() []jq.Shortcut {
	return []jq.Shortcut{
		{Name: "seg", Args: 1, Call: segShort},
		{Name: "seg", Args: 2, Call: segShort},
		{Name: "segs", Args: 1, Call: segsShort},
		{Name: "apart", Args: 0, Call: apartShort},
	}
}

// segmentOf is a segment with an id and a list of elements, as the parsers of EDI give
// it.
type segmentOf struct {
	v  any
	id string
	e  []any
}

// segmentsOf goes through the segments of a list; false where a member is none.
func segmentsOf(v any, each func(segmentOf) (goOn bool)) bool {
	list, ok := v.([]any)
	if !ok {
		return false
	}
	for _, x := range list {
		id, ok1 := jq.Field(x, "id").(string)
		e, ok2 := jq.Field(x, "e").([]any)
		if !ok1 || !ok2 {
			return false
		}
		if !each(segmentOf{x, id, e}) {
			return true
		}
	}
	return true
}

// el is element n, nil where there is none.
func (s segmentOf) el(n int) any {
	if n < len(s.e) {
		return s.e[n]
	}
	return nil
}

// is says whether element n is the text t.
func (s segmentOf) is(n int, t string) bool {
	x, ok := s.el(n).(string)
	return ok && x == t
}

func segShort(in any, args []any) (any, bool) {
	var want [2]string
	for i, a := range args {
		t, ok := a.(string)
		if !ok {
			return nil, false
		}
		want[i] = t
	}
	var found any
	ok := segmentsOf(in, func(s segmentOf) bool {
		if s.id == want[0] && (len(args) == 1 || s.is(1, want[1])) {
			found = s.v
		}
		return found == nil
	})
	return found, ok
}

func segsShort(in any, args []any) (any, bool) {
	id, isText := args[0].(string)
	out := []any{}
	ok := segmentsOf(in, func(s segmentOf) bool {
		if s.id == id {
			out = append(out, s.v)
		}
		return true
	})
	return out, ok && isText
}

// apartShort is apart of lines whose documents differ: they stay as they are.
func apartShort(in any, _ []any) (any, bool) {
	lines, ok := in.([]any)
	if !ok {
		return nil, false
	}
	if len(lines) < 2 {
		for _, l := range lines {
			if !jq.IsObject(l) {
				return nil, false
			}
		}
		return in, true
	}
	seen := make(map[string]bool, len(lines))
	var key []byte
	for _, l := range lines {
		if !jq.IsObject(l) {
			return nil, false
		}
		document := jq.Field(l, "document")
		if document == nil {
			continue
		}
		members, ok := jq.Members(document)
		if !ok {
			return nil, false
		}
		key = key[:0]
		for _, m := range members {
			if t, _ := m.Value.(string); !utf8.ValidString(m.Key) || !utf8.ValidString(t) {
				return nil, false // as JSON they may be the same
			}
			key = strconv.AppendInt(key, int64(len(m.Key)), 10)
			key = append(append(key, ':'), m.Key...)
			switch v := m.Value.(type) {
			case nil:
				key = append(key, 'n')
			case string:
				key = strconv.AppendInt(append(key, 's'), int64(len(v)), 10)
				key = append(append(key, ':'), v...)
			default: // numbers may be written in several ways
				return nil, false
			}
		}
		if seen[string(key)] {
			return nil, false
		}
		seen[string(key)] = true
	}
	return in, true
}
