package canonicalizer

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// ediFunctions are what a mapping may call on the segments of X12 and EDIFACT.
func ediFunctions() []jq.Function {
	return []jq.Function{
		{Name: "comp", Min: 2, Max: 3, Call: comp},
		{Name: "reps", Min: 1, Max: 2, Call: reps},
		{Name: "qseg", Min: 2, Max: 2, Call: qseg},
		{Name: "qsegs", Min: 2, Max: 2, Call: qsegs},
		{Name: "parties", Min: 0, Max: 0, Call: parties},
		{Name: "hl", Min: 0, Max: 0, Call: func(v any, _ []any) any { return hierarchy("hl", "HL", v) }},
		{Name: "cps", Min: 0, Max: 0, Call: func(v any, _ []any) any { return hierarchy("cps", "CPS", v) }},
		{Name: "edifact_when", Min: 1, Max: 2, Call: edifactWhen},
		{Name: "edifact_period", Min: 2, Max: 2, Call: edifactPeriod},
		{Name: "edifact_number", Min: 1, Max: 1, Call: edifactNumber},
	}
}

// element is element n of a segment, nil where there is none.
func element(name string, v, n any) (any, error) {
	if v == nil {
		return nil, nil
	}
	e, ok := jq.Field(v, "e").([]any)
	i, number := gojq.ToInt(n)
	if !ok || !number || i < 0 {
		return nil, fmt.Errorf("%s: wants a segment and the number of an element, not %s and %v", name, jq.TypeOf(v), n)
	}
	if i >= len(e) {
		return nil, nil
	}
	return e[i], nil
}

// first is the first repetition of an EDIFACT element.
func first(v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		if _, repeated := list[0].([]any); repeated {
			return list[0]
		}
	}
	return v
}

// part is component m, from 1, of an element's value, nil where there is none.
func part(v any, m int) any {
	if list, ok := first(v).([]any); ok {
		if m >= 1 && m <= len(list) {
			return list[m-1]
		}
		return nil
	}
	if m == 1 {
		return v
	}
	return nil
}

// comp(n; m) is component m of element n of a segment, both from 1, of the first
// repetition; null where there is none. comp(sep; n; m) is the same for X12, whose
// elements are not cut: sep is the tree's component.
func comp(v any, args []any) any {
	sep := ""
	if len(args) == 3 {
		sep, _ = args[0].(string)
		args = args[1:]
	}
	value, err := element("comp", v, args[0])
	m, ok := gojq.ToInt(args[1])
	switch text, isText := value.(string); {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("comp: %v is no number of a component", args[1])
	case isText && sep != "" && m >= 1:
		parts := strings.SplitN(text, sep, m+1)
		if m > len(parts) || parts[m-1] == "" {
			return nil
		}
		return parts[m-1]
	}
	return part(value, m)
}

// reps(n) are the repetitions of element n of a segment, each text or the list of
// its components; reps(sep; n) is the same for X12, sep the interchange's
// repetition.
func reps(v any, args []any) any {
	sep, n := "", args[0]
	if len(args) == 2 {
		sep, _ = args[0].(string)
		n = args[1]
	}
	value, err := element("reps", v, n)
	if err != nil {
		return err
	}
	out := []any{}
	switch x := value.(type) {
	case nil:
	case string:
		if sep == "" {
			return append(out, x)
		}
		for p := range strings.SplitSeq(x, sep) {
			out = append(out, orNull(p))
		}
	case []any:
		if len(x) == 0 {
			break
		}
		if _, repeated := x[0].([]any); !repeated {
			return append(out, x)
		}
		for _, r := range x {
			if list, ok := r.([]any); ok && len(list) == 1 {
				r = list[0]
			}
			out = append(out, r)
		}
	}
	return out
}

// qseg(id; q) is the first segment with the id whose first element is q, or begins
// with q where it is composite; null where there is none.
func qseg(v any, args []any) any {
	return qualified("qseg", v, args, func(any) bool { return true })
}

// qsegs(id; q) are all of them.
func qsegs(v any, args []any) any {
	out := []any{}
	if err, bad := qualified("qsegs", v, args, func(g any) bool {
		out = append(out, g)
		return false
	}).(error); bad {
		return err
	}
	return out
}

// qualified calls stop for the segments asked for and gives the one that stops it.
func qualified(name string, v any, args []any, stop func(any) bool) any {
	segments, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s: wants an array of segments, not %s", name, jq.TypeOf(v))
	}
	for i, s := range segments {
		if !jq.IsObject(s) {
			return fmt.Errorf("%s: element %d is no segment", name, i)
		}
		if jq.Field(s, "id") != args[0] {
			continue
		}
		e, _ := jq.Field(s, "e").([]any)
		if len(e) > 1 && part(e[1], 1) == args[1] && stop(s) {
			return s
		}
	}
	return nil
}

// of a party's loop: the segments that may follow N1 and NAD.
var (
	n1Loop  = map[string]bool{"N2": true, "N3": true, "N4": true, "PER": true, "REF": true, "G61": true, "NM1": true}
	nadLoop = map[string]bool{"LOC": true, "FII": true, "RFF": true, "CTA": true, "COM": true, "DOC": true}
)

// parties are the N1 and NAD loops of an array of segments: {qualifier, id,
// id_qualifier, name, segments} each, segments with N1 or NAD in front.
func parties(v any, _ []any) any {
	segments, ok := v.([]any)
	if !ok {
		return fmt.Errorf("parties: wants an array of segments, not %s", jq.TypeOf(v))
	}
	out := []any{}
	for i := 0; i < len(segments); i++ {
		id, _ := jq.Field(segments[i], "id").(string)
		if id != "N1" && id != "NAD" {
			continue
		}
		follow := n1Loop
		if id == "NAD" {
			follow = nadLoop
		}
		end := i + 1
		for ; end < len(segments); end++ {
			if id, _ := jq.Field(segments[end], "id").(string); !follow[id] {
				break
			}
		}
		e, _ := jq.Field(segments[i], "e").([]any)
		at := func(n, m int) any {
			if n >= len(e) {
				return nil
			}
			return part(e[n], m)
		}
		p := map[string]any{"qualifier": at(1, 1), "segments": segments[i:end:end]}
		if id == "N1" { // X12: entity, name, code qualifier, code
			p["name"], p["id_qualifier"], p["id"] = at(2, 1), at(3, 1), at(4, 1)
		} else { // EDIFACT: 3035, C082, C058, C080
			p["id"], p["id_qualifier"] = at(2, 1), at(2, 3)
			if p["name"] = at(4, 1); p["name"] == nil {
				p["name"] = at(3, 1)
			}
		}
		out = append(out, p)
		i = end - 1
	}
	return out
}

// hierarchy reads HL (X12) or CPS (EDIFACT) loops: [{number, level, parent, up,
// children, segments, flags}]. parent is the index of the loop above, null at the
// top; up are the indexes of all loops above, the nearest first; segments are its
// own, up to the next HL or CPS. Number, parent and level are the first three
// elements of both.
//
// An HL that names no parent is below what its level (735) tells, see
// format.Hierarchy; a CPS without one is at the top: level is what its packaging is
// (7075), no depth.
func hierarchy(name, id string, v any) any {
	segments, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s: wants an array of segments, not %s", name, jq.TypeOf(v))
	}
	var loops []format.Loop
	var begins []int
	for i, s := range segments {
		if jq.Field(s, "id") != id {
			continue
		}
		e, _ := jq.Field(s, "e").([]any)
		at := func(n int) string {
			if n >= len(e) {
				return ""
			}
			s, _ := part(e[n], 1).(string)
			return s
		}
		loops, begins = append(loops, format.Loop{Number: at(1), Parent: at(2), Level: at(3)}), append(begins, i)
	}
	if err := format.Hierarchy(loops, id == "HL"); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	children := make([][]any, len(loops))
	for i := range loops {
		if above := loops[i].Above; above >= 0 {
			children[above] = append(children[above], i)
		}
	}
	begins = append(begins, len(segments))
	list := make([]any, len(loops))
	for i, l := range loops {
		var parent any
		flags, up := []any{}, []any{}
		if l.Above >= 0 {
			parent = l.Above
		}
		for _, above := range format.Up(loops, i) {
			up = append(up, above)
		}
		if l.Flag != "" {
			flags = append(flags, l.Flag)
		}
		list[i] = jq.NewObject(
			jq.Member{Key: "children", Value: append([]any{}, children[i]...)}, jq.Member{Key: "flags", Value: flags}, jq.Member{Key: "level", Value: orNull(l.Level)},
			jq.Member{Key: "number", Value: orNull(l.Number)}, jq.Member{Key: "parent", Value: parent}, jq.Member{Key: "segments", Value: segments[begins[i]:begins[i+1]:begins[i+1]]},
			jq.Member{Key: "up", Value: up},
		)
	}
	return list
}

// thousands is a number whose mark may as well divide thousands.
var thousands = regexp.MustCompile(`^[-+]?[1-9][0-9]{0,2}[.,][0-9]{3}$`)

// Layouts of time.Parse for UN/EDIFACT's list 2379 (date or time or period format
// code). A zone (ZZZ) is read apart.
var edifactLayouts = map[string]string{
	"2": "020106", "3": "010206", "4": "02012006", "5": "020120061504", "10": "20060102T1504",
	"101": "060102", "102": "20060102", "105": "06002",
	"201": "0601021504", "202": "060102150405", "203": "200601021504", "204": "20060102150405",
	"205": "200601021504-0700", "208": "20060102150405-0700",
	"301": "0601021504", "302": "060102150405", "303": "200601021504", "304": "20060102150405",
}

// Zones of ZZZ. Others are the source's own.
var edifactZones = map[string]string{
	"UTC": "Z", "GMT": "Z", "UCT": "Z", "Z": "Z", "WET": "Z", "CET": "+01:00", "MEZ": "+01:00", "EET": "+02:00", "BST": "+01:00",
	"EST": "-05:00", "EDT": "-04:00", "CDT": "-05:00", "MST": "-07:00", "MDT": "-06:00", "PST": "-08:00", "PDT": "-07:00", "JST": "+09:00",
}

// edifact_when(value; format) is the text of a time from 2380 and 2379, a date
// where the format is of one; of a period it is the beginning. What does not fit
// its format comes out as it is, so that the line names it. edifact_when(q) is
// that of the first DTM of an array of segments with qualifier q, null without.
func edifactWhen(v any, args []any) any {
	if len(args) == 1 {
		dtm := qualified("edifact_when", v, []any{"DTM", args[0]}, func(any) bool { return true })
		if err, bad := dtm.(error); bad || dtm == nil {
			return orError(err)
		}
		e, _ := jq.Field(dtm, "e").([]any)
		args = []any{part(e[1], 2), part(e[1], 3)}
	}
	value, _ := args[0].(string)
	code, _ := args[1].(string)
	if value == "" {
		return nil
	}
	if from, _, ok := edifactRange(value, code); ok {
		return from
	}
	return edifactPoint(value, code)
}

func orError(err error) any {
	if err == nil {
		return nil
	}
	return err
}

func edifactPoint(value, code string) string {
	layout, ok := edifactLayouts[code]
	if !ok {
		return value
	}
	digits, zone := value, ""
	if strings.HasPrefix(code, "30") {
		if len(value) < len(layout) {
			return value
		}
		digits = value[:len(layout)]
		zone = edifactZone(strings.TrimSpace(value[len(layout):]))
	}
	at, err := time.Parse(layout, digits)
	if err != nil {
		return value
	}
	switch {
	case code == "205" || code == "208":
		return at.Format(time.RFC3339)
	case !strings.Contains(layout, "15"):
		return at.Format(time.DateOnly)
	}
	return at.Format("2006-01-02T15:04:05") + zone
}

// edifactZone reads ZZZ: a name, or hours from UTC with a sign.
func edifactZone(s string) string {
	if z, ok := edifactZones[strings.ToUpper(s)]; ok {
		return z
	}
	if len(s) == 3 && (s[0] == '+' || s[0] == '-') && digits(s[1:]) {
		return s + ":00"
	}
	return ""
}

// edifactRange reads a period of days: its first day or moment and its last.
func edifactRange(value, code string) (from, to string, ok bool) {
	halves := map[string]string{"713": "201", "717": "101", "718": "102", "719": "203"}
	if half, both := halves[code]; both {
		value = strings.Replace(value, "-", "", 1) // some write the hyphen of the list
		n := len(edifactLayouts[half])
		if len(value) != 2*n {
			return "", "", false
		}
		from, to = edifactPoint(value[:n], half), edifactPoint(value[n:], half)
		return from, to, from != value[:n] && to != value[n:]
	}
	var first, last time.Time
	var err error
	switch code {
	case "602":
		first, err = time.Parse("2006", value)
		last = first.AddDate(1, 0, -1)
	case "609", "610":
		first, err = time.Parse(map[string]string{"609": "0601", "610": "200601"}[code], value)
		last = first.AddDate(0, 1, -1)
	case "616":
		if len(value) != 6 || !digits(value) {
			return "", "", false
		}
		// 4 January is in week 1 (ISO 8601).
		first, err = time.Parse("20060102", value[:4]+"0104")
		week := int(value[4]-'0')*10 + int(value[5]-'0')
		first = first.AddDate(0, 0, -(int(first.Weekday())+6)%7+7*(week-1))
		last = first.AddDate(0, 0, 6)
		if year, _ := first.ISOWeek(); err == nil && fmt.Sprintf("%04d", year) != value[:4] { // a week the year does not have
			return "", "", false
		}
	default:
		return "", "", false
	}
	return first.Format(time.DateOnly), last.Format(time.DateOnly), err == nil
}

// edifact_period(value; format) is {from, to}, both included: of a period its ends,
// of a moment the moment twice. What does not fit its format is both as it is.
func edifactPeriod(_ any, args []any) any {
	value, _ := args[0].(string)
	code, _ := args[1].(string)
	if value == "" {
		return nil
	}
	from, to, ok := edifactRange(value, code)
	if !ok {
		from = edifactPoint(value, code)
		to = from
	}
	return map[string]any{"from": from, "to": to}
}

// edifact_number(mark) is a number with a decimal point. ISO 9735 takes a comma and
// a point for the decimal mark and has no thousands. Where UNA declares one (the tree's
// decimal), a number with the other that may be one with thousands is an error, and so
// is one with two marks.
func edifactNumber(v any, args []any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	mark, _ := args[0].(string)
	if strings.Count(text, ",")+strings.Count(text, ".") > 1 {
		return fmt.Errorf("edifact_number: %.64q has more than one decimal mark", text)
	}
	other := map[string]string{",": ".", ".": ","}[mark]
	if other != "" && strings.Contains(text, other) && thousands.MatchString(text) {
		return fmt.Errorf("edifact_number: %.64q, and the interchange declares %q the decimal mark", text, mark)
	}
	return strings.Replace(text, ",", ".", 1)
}
