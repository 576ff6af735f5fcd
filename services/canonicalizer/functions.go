package canonicalizer

import (
	"fmt"
	"slices"

	"github.com/stockweave/stockweave/pkg/jq"
)

// functions are what a mapping may call beside jq's own and the prelude.
func functions() []jq.Function {
	return slices.Concat([]jq.Function{
		{Name: "loops", Min: 1, Max: 1, Call: loops},
	}, x12Functions(), ediFunctions(), xmlFunctions(), textFunctions(), cdcFunctions())
}

// loops($ids) cuts an array of segments before each segment with one of the ids:
// [segments before the first, loop, loop, ...].
func loops(v any, args []any) any {
	segments, ok := v.([]any)
	if !ok {
		return fmt.Errorf("loops: wants an array of segments, not %s", jq.TypeOf(v))
	}
	starts := map[string]bool{}
	switch a := args[0].(type) {
	case string:
		starts[a] = true
	case []any:
		for _, s := range a {
			if id, ok := s.(string); ok {
				starts[id] = true
			}
		}
	}
	out, from := []any{}, 0
	for i, s := range segments {
		if !jq.IsObject(s) {
			return fmt.Errorf("loops: element %d is no segment", i)
		}
		if id, _ := jq.Field(s, "id").(string); starts[id] {
			out = append(out, segments[from:i:i])
			from = i
		}
	}
	return append(out, segments[from:len(segments):len(segments)])
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
