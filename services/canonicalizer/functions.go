package canonicalizer

import (
	"fmt"
	"slices"
	"time"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
)

// functions are what a mapping may call beside jq's own and the prelude.
func functions() []jq.Function {
	return slices.Concat([]jq.Function{
		{Name: "loops", Min: 1, Max: 1, Call: loops},
		{Name: "x12_ids", Min: 3, Max: 3, Call: x12IDs},
		{Name: "x12_when", Min: 3, Max: 3, Call: x12When},
	}, ediFunctions(), xmlFunctions(), textFunctions(), cdcFunctions())
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

// Product id qualifiers, X12 data element 235, that x12_ids knows to be one.
var (
	numericQualifiers = map[string]bool{"UP": true, "UA": true, "UI": true, "UK": true, "EN": true, "UC": true, "UD": true, "UE": true}
	itemQualifiers    = map[string]bool{
		"VN": true, "VA": true, "VC": true, "VP": true, "IN": true, "BP": true, "CB": true, "PI": true,
		"SK": true, "MG": true, "MF": true, "PN": true,
	}
)

// x12_ids($upc; $pairs; $lot) reads the item of a W07 or W12: {ids, lot, flags}.
// $upc is the number of the UPC case code element, $pairs those of the qualifiers
// of (qualifier, id) pairs, $lot that of the warehouse lot number.
//
// Some senders write each id before its qualifier, beginning at the UPC case
// code. Where that reading is certain (a GTIN qualifier in front of what is no
// number, and a bare qualifier behind it) the pairs are put right and the flag
// qualifier_order says so; the bare qualifier is then no lot.
func x12IDs(v any, args []any) any {
	e, ok := jq.Field(v, "e").([]any)
	if !ok {
		return fmt.Errorf("x12_ids: wants a segment, not %s", jq.TypeOf(v))
	}
	at := func(n int) string {
		if n < 0 || n >= len(e) {
			return ""
		}
		s, _ := e[n].(string)
		return s
	}
	upc, ok1 := gojq.ToInt(args[0])
	pairs, ok2 := args[1].([]any)
	lot, ok3 := gojq.ToInt(args[2])
	if !ok1 || !ok2 || !ok3 || upc < 1 || upc > 1000 {
		return fmt.Errorf("x12_ids: wants (number; array; number)")
	}
	ids, flags, lotText := []any{}, []any{}, at(lot)
	id := func(typ, value string) {
		ids = append(ids, jq.NewObject(jq.Member{Key: "type", Value: typ}, jq.Member{Key: "value", Value: value}))
	}
	read := func() any {
		return jq.NewObject(jq.Member{Key: "flags", Value: flags}, jq.Member{Key: "ids", Value: ids}, jq.Member{Key: "lot", Value: orNull(lotText)})
	}

	if numericQualifiers[at(upc+1)] && digits(at(upc)) && at(upc+2) != "" && !digits(at(upc+2)) &&
		itemQualifiers[at(upc+3)] && (upc+3 == lot || at(upc+4) == "") {
		id(at(upc+1), at(upc))
		id(at(upc+3), at(upc+2))
		flags = append(flags, "qualifier_order")
		if upc+3 == lot {
			lotText = ""
		}
		return read()
	}
	for _, p := range pairs {
		n, _ := gojq.ToInt(p)
		switch q, val := at(n), at(n+1); {
		case q != "" && val != "":
			id(q, val)
		case q != "" || val != "":
			flags = append(flags, "qualifier_without_id")
		}
	}
	if u := at(upc); u != "" {
		id("UPC_CASE", u)
	}
	return read()
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Offsets of X12 time codes, data element 623, that are the same all year.
var timeCodes = map[string]string{
	"UT": "Z", "GM": "Z", "Z": "Z", "ES": "-05:00", "ED": "-04:00", "CS": "-06:00", "CD": "-05:00",
	"MS": "-07:00", "MD": "-06:00", "PS": "-08:00", "PD": "-07:00", "AS": "-09:00", "AD": "-08:00",
	"HS": "-10:00", "HT": "-10:00", "HD": "-09:00", "TS": "-04:00", "TD": "-03:00", "NS": "-03:30", "ND": "-02:30",
}

// x12_when($date; $time; $code) joins X12 date (373), time (337) and time code
// (623) elements to the text of a time; a date alone when there is no time, null
// without a date. What is no date comes out as it is, so that the line names it.
func x12When(_ any, args []any) any {
	date, _ := args[0].(string)
	clock, _ := args[1].(string)
	code, _ := args[2].(string)
	if date == "" {
		return nil
	}
	layout := "20060102"
	if len(date) == 6 {
		layout = "060102"
	}
	day, err := time.Parse(layout, date)
	if err != nil {
		return date
	}
	out := day.Format(time.DateOnly)
	if clock == "" {
		return out
	}
	// HHMM, HHMMSS, HHMMSSD or HHMMSSDD.
	if n := len(clock); !digits(clock) || n < 4 || n == 5 || n > 8 {
		return date + "T" + clock
	}
	out += "T" + clock[:2] + ":" + clock[2:4]
	if len(clock) >= 6 {
		out += ":" + clock[4:6]
	} else {
		out += ":00"
	}
	if len(clock) > 6 {
		out += "." + clock[6:]
	}
	at, err := time.Parse("2006-01-02T15:04:05", out)
	if err != nil {
		return out
	}
	return out + x12Offset(code, at)
}
