package canonicalizer

import (
	"fmt"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/standard/x12"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// x12Functions are what a mapping may call on the sets of X12.
func x12Functions() []jq.Function {
	return []jq.Function{
		{Name: x12Mapping, Min: 0, Max: 0, Call: x12Lines},
		{Name: "x12_ids", Min: 3, Max: 3, Call: x12IDs},
		{Name: "x12_when", Min: 3, Max: 3, Call: x12When},
	}
}

// x12Mapping is the mapping of the standard. A source that has no other is read without
// any jq, see run.standard.
const x12Mapping = "x12_lines"

// x12_lines are the lines of a set, of the input of a mapping.
func x12Lines(in any, _ []any) any {
	var m x12.Memory
	lines, err := x12.Lines(&m, in)
	if err != nil {
		return err
	}
	out := make([]any, len(lines))
	for i := range lines {
		out[i] = lines[i].Value()
	}
	return out
}

// isX12 says whether a program is the mapping of the standard and nothing else.
func isX12(q *gojq.Query) bool {
	t := q.Term
	return t != nil && q.Left == nil && q.Right == nil && len(q.FuncDefs) == 0 && len(q.Patterns) == 0 &&
		t.Type == gojq.TermTypeFunc && t.Func.Name == x12Mapping && len(t.Func.Args) == 0 && len(t.SuffixList) == 0
}

// x12_ids($upc; $pairs; $lot) reads the item of a W07 or W12, see x12.WarehouseItem:
// {ids, lot, flags}. $upc is the number of the UPC case code element, $pairs those of the
// qualifiers of (qualifier, id) pairs, $lot that of the warehouse lot number.
func x12IDs(v any, args []any) any {
	e, ok := jq.Field(v, "e").([]any)
	if !ok {
		return fmt.Errorf("x12_ids: wants a segment, not %s", jq.TypeOf(v))
	}
	upc, ok1 := gojq.ToInt(args[0])
	list, ok2 := args[1].([]any)
	lotAt, ok3 := gojq.ToInt(args[2])
	if !ok1 || !ok2 || !ok3 || upc < 1 || upc > 1000 {
		return fmt.Errorf("x12_ids: wants (number; array; number)")
	}
	pairs := make([]int, len(list))
	for i, p := range list {
		pairs[i], _ = gojq.ToInt(p)
	}
	s := x12set.Segment{E: make([]string, len(e))}
	for i, x := range e {
		s.E[i], _ = x.(string)
	}
	ids := []any{}
	lot, words := x12.WarehouseItem(&s, upc, pairs, lotAt, func(qualifier, id string) {
		ids = append(ids, jq.NewObject(jq.Member{Key: "type", Value: qualifier}, jq.Member{Key: "value", Value: id}))
	})
	flags := make([]any, len(words))
	for i, w := range words {
		flags[i] = w
	}
	return jq.NewObject(jq.Member{Key: "flags", Value: flags}, jq.Member{Key: "ids", Value: ids}, jq.Member{Key: "lot", Value: orNull(lot)})
}

// x12_when($date; $time; $code) joins X12 date (373), time (337) and time code
// (623) elements to the text of a time, see x12.When; null without a date.
func x12When(_ any, args []any) any {
	date, _ := args[0].(string)
	clock, _ := args[1].(string)
	code, _ := args[2].(string)
	return orNull(x12.When(date, clock, code))
}
