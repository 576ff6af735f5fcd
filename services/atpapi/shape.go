package atpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

const (
	maxFields = 64
	maxMaxAge = int64(24 * time.Hour / time.Millisecond)
)

// shape is how an answer is wanted.
type shape struct {
	fields selection // nil: all
	maxAge int64     // ms; 0: any
}

// shapeOf reads the fields and the age that are asked for. Its problem points into a
// body.
func shapeOf(fields []string, maxAge *int64) (shape, *problem) {
	var s shape
	if maxAge != nil {
		if s.maxAge = *maxAge; s.maxAge < 1 || s.maxAge > maxMaxAge {
			p := badRequest("bad_parameter", "max_age_ms must be between 1 and %d", maxMaxAge)
			p.pointer = "/max_age_ms"
			return shape{}, p
		}
	}
	if len(fields) > maxFields {
		p := badRequest("bad_parameter", "at most %d fields", maxFields)
		p.pointer = "/fields"
		return shape{}, p
	}
	for i, f := range fields {
		if s.fields == nil {
			s.fields = selection{}
		}
		if !s.fields.add(f, reflect.TypeFor[answer]()) {
			p := badRequest("unknown_field", "%.64q is no field of an answer", f)
			p.pointer = "/fields/" + strconv.Itoa(i)
			return shape{}, p
		}
	}
	return s, nil
}

// fresh refuses an answer that is too old.
func (s *shape) fresh(f *freshness) *problem {
	if s.maxAge == 0 || f.AgeMS <= s.maxAge {
		return nil
	}
	return &problem{
		status: http.StatusServiceUnavailable, code: "stale", title: "Older than asked for",
		detail: fmt.Sprintf("the answer is %d ms old", f.AgeMS),
	}
}

// selection is the fields wanted of an object; of a field that has none, all of it.
type selection map[string]selection

// add adds a path, such as locations.atp, of an object of a type. It is false when
// there is no such field.
func (s selection) add(path string, of reflect.Type) bool {
	name, rest, more := strings.Cut(path, ".")
	var next reflect.Type
	switch of.Kind() { //nolint:exhaustive // answers have no others
	case reflect.Struct:
		for f := range of.Fields() {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name && tag != "" {
				next = f.Type
			}
		}
	case reflect.Map: // of any names
		next = of.Elem()
	}
	if next == nil || name == "" {
		return false
	}
	for next.Kind() == reflect.Pointer || next.Kind() == reflect.Slice {
		next = next.Elem()
	}
	sub, already := s[name]
	switch {
	case !more:
		s[name] = nil
		return true
	case already && sub == nil: // all of it is wanted
		return selection{}.add(rest, next)
	case !already:
		sub = selection{}
		s[name] = sub
	}
	return sub.add(rest, next)
}

// of is what is selected of an answer.
func (s selection) of(a *answer) (any, error) {
	if s == nil {
		return a, nil
	}
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("selecting of the answer: %w", err)
	}
	return s.take(v), nil
}

func (s selection) take(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if s == nil {
			return v
		}
		out := make(map[string]any, len(s))
		for name, sub := range s {
			if got, ok := v[name]; ok {
				out[name] = sub.take(got)
			}
		}
		return out
	case []any:
		for i := range v {
			v[i] = s.take(v[i])
		}
	}
	return v
}
