// Package ack writes the answer to a received X12 interchange: the functional
// acknowledgement 997 (X12.20) or the implementation acknowledgement 999
// (X12.56/005010X231), and the interchange acknowledgement TA1 (X12.56). It
// depends on its arguments alone: the same ones give the same bytes.
package ack

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/stockweave/stockweave/services/canonicalizer/format/x12"
)

// Which acknowledgement answers a group.
const (
	Functional     = "997"
	Implementation = "999"
)

// Options of an answer.
type Options struct {
	Kind    string    // Functional when empty
	Control int       // of the answer's interchange (ISA13), 1 to 999999999
	Group   int       // of its first group (GS06); the next ones follow
	At      time.Time // of the answer, written as it is, in its own zone
	// Notes are what was found inside the sets, beside what their envelopes say.
	Notes []Note
	// Duplicate refuses the interchange as a whole: its control number was used before.
	// Its groups are not looked at, so none is answered.
	Duplicate bool
}

// Note is about one segment of a set.
type Note struct {
	Group, Set string // control numbers: GS06 and ST02
	Segment    string // its id
	At         int    // its number in the set, ST is 1
	Loop       string // id of its loop (447); may be empty
	// Code is a segment syntax error code (720, in a 999 620), 8 when empty: it has
	// errors in its elements.
	Code     string
	Elements []Element
	Reject   bool // the set as a whole; else it is accepted with errors
}

// Element is about one element of a segment.
type Element struct {
	Number, Component, Repetition int    // from 1; the last two 0 where they do not apply
	Reference                     string // of the data element (725); may be empty
	Code                          string // of the error: 723, in a 999 621
	Value                         string // a copy of what is wrong; may be empty
}

// Answer writes the acknowledgement of an interchange, with its delimiters, from
// its receiver to its sender. It is empty where there is nothing to answer: no
// group but acknowledgements, which are never acknowledged, and neither a fault of
// the envelope nor a request for a TA1 (ISA14). An error means that the arguments
// make no interchange.
func Answer(in x12.Interchange, o Options) ([]byte, error) {
	kind := cmp.Or(o.Kind, Functional)
	groups := slices.DeleteFunc(slices.Clone(in.Groups), func(g x12.Group) bool { return at(g.GS, 1) == "FA" })
	switch {
	case in.ISA == nil:
		return nil, fmt.Errorf("acknowledging: no ISA names who to answer")
	case kind != Functional && kind != Implementation:
		return nil, fmt.Errorf("acknowledging: %q is no acknowledgement", kind)
	case o.Control < 1 || o.Control > 999_999_999 || o.Group < 1 || o.Group+len(groups)-1 > 999_999_999:
		return nil, fmt.Errorf("acknowledging: control numbers %d and %d are beyond 9 digits", o.Control, o.Group)
	}
	ta1 := interchangeStatus(in)
	if o.Duplicate {
		groups, ta1 = nil, []string{"R", "025"} // duplicate interchange control number (X12 I18)
	}
	if len(groups) == 0 && ta1 == nil {
		return nil, nil
	}
	w := &writer{in: in}
	component := in.Component
	for _, c := range []string{">", ":", "<"} {
		if component == "" && c != in.Element && c != in.Terminator {
			component = c // ISA16 was left out
		}
	}
	isa := in.ISA
	w.raw("ISA", "00", pad("", 10), "00", pad("", 10), pad(at(isa, 7), 2), pad(at(isa, 8), 15), pad(at(isa, 5), 2), pad(at(isa, 6), 15),
		o.At.Format("060102"), o.At.Format("1504"), pad(cmp.Or(at(isa, 11), "U"), 1), cmp.Or(at(isa, 12), "00401"),
		fmt.Sprintf("%09d", o.Control), "0", pad(cmp.Or(at(isa, 15), "P"), 1), component)
	if ta1 != nil {
		w.segment(append([]string{"TA1", at(isa, 13), at(isa, 9), at(isa, 10)}, ta1...)...)
	}
	for i, g := range groups {
		w.group(kind, g, o, o.Group+i)
	}
	w.segment("IEA", strconv.Itoa(len(groups)), fmt.Sprintf("%09d", o.Control))
	if in.Recoded {
		text, err := charmap.Windows1252.NewEncoder().String(w.out.String())
		if err != nil {
			return nil, fmt.Errorf("acknowledging in windows-1252: %w", err)
		}
		return []byte(text), nil
	}
	return []byte(w.out.String()), nil
}

// interchangeStatus is TA104 and TA105 (X12 I17 and I18), nil where no TA1 is due.
func interchangeStatus(in x12.Interchange) []string {
	note := ""
	for _, f := range in.Faults {
		code := map[string]string{
			"x12_control_number":    "001", // the numbers of header and trailer differ
			"x12_interchange_count": "021", // invalid number of groups
			"x12_truncated":         "023", // premature end
			"x12_missing_iea":       "023",
			"x12_empty":             "024", // invalid content
		}[f.Code]
		note = cmp.Or(note, code, "022") // invalid control structure
	}
	accepted := slices.ContainsFunc(in.Groups, func(g x12.Group) bool {
		return slices.ContainsFunc(g.Sets, func(s x12.Set) bool { return len(s.Faults) == 0 })
	})
	switch {
	case note == "" && at(in.ISA, 14) != "1":
		return nil
	case note == "":
		return []string{"A", "000"}
	case accepted:
		return []string{"E", note}
	}
	return []string{"R", note}
}

// writer writes segments with the delimiters of the interchange.
type writer struct {
	in  x12.Interchange
	out strings.Builder
	n   int // segments written
}

// segment writes a segment, without empty elements at its end. What would be a
// delimiter inside an element is left out.
func (w *writer) segment(e ...string) {
	for i, v := range e {
		e[i] = w.plain(v)
	}
	for len(e) > 1 && e[len(e)-1] == "" {
		e = e[:len(e)-1]
	}
	w.raw(e...)
}

func (w *writer) raw(e ...string) {
	w.out.WriteString(strings.Join(e, w.in.Element) + w.in.Terminator)
	w.n++
}

func (w *writer) plain(v string) string {
	for _, d := range []string{w.in.Element, w.in.Terminator, w.in.Component, w.in.Repetition} {
		if d != "" {
			v = strings.ReplaceAll(v, d, "")
		}
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' {
			return -1
		}
		return c
	}, v)
}

// group answers a group: one acknowledgement in a group of its own.
func (w *writer) group(kind string, g x12.Group, o Options, control int) {
	version := at(g.GS, 8)
	if len(version) < 6 || !digits(version[:6]) {
		version = "004010"
	}
	version = version[:6]
	date := o.At.Format("20060102")
	if version < "004010" {
		date = date[2:]
	}
	st := []string{"ST", kind, "0001"}
	ak1 := []string{"AK1", at(g.GS, 1), at(g.GS, 6)}
	if kind == Implementation {
		version = "005010X231A1"
		date = o.At.Format("20060102")
		st = append(st, version)
		ak1 = append(ak1, at(g.GS, 8))
	}
	w.segment("GS", "FA", at(g.GS, 3), at(g.GS, 2), date, o.At.Format("1504"), strconv.Itoa(control), "X", version)
	from := w.n
	w.segment(st...)
	w.segment(ak1...)
	accepted, errors := 0, len(g.Faults) > 0
	for _, s := range g.Sets {
		notes := slices.DeleteFunc(slices.Clone(o.Notes), func(n Note) bool { return n.Group != at(g.GS, 6) || n.Set != at(s.ST, 2) })
		status := w.set(kind, s, notes)
		if status != "R" {
			accepted++
		}
		errors = errors || status != "A"
	}
	status := "A"
	switch {
	case accepted == 0:
		status = "R"
	case accepted < len(g.Sets):
		status = "P"
	case errors:
		status = "E"
	}
	included := at(g.GE, 1)
	if included == "" || len(included) > 6 || !digits(included) {
		included = strconv.Itoa(len(g.Sets))
	}
	ak9 := []string{"AK9", status, included, strconv.Itoa(len(g.Sets)), strconv.Itoa(accepted)}
	w.segment(append(ak9, groupCodes(g)...)...)
	w.segment("SE", strconv.Itoa(w.n-from+1), "0001")
	w.segment("GE", "1", strconv.Itoa(control))
}

// groupCodes are AK905 to AK909 (X12 716).
func groupCodes(g x12.Group) []string {
	var out []string
	for _, f := range g.Faults {
		code := map[string]string{"x12_missing_ge": "3", "x12_control_number": "4", "x12_group_count": "5"}[f.Code]
		if code != "" && !slices.Contains(out, code) && len(out) < 5 {
			out = append(out, code)
		}
	}
	if g.GE == nil && !slices.Contains(out, "3") {
		out = append(out, "3")
	}
	return out
}

// set answers a set and gives its status: A, E (accepted with errors) or R.
func (w *writer) set(kind string, s x12.Set, notes []Note) string {
	ak2 := []string{"AK2", at(s.ST, 1), at(s.ST, 2)}
	if kind == Implementation {
		ak2 = append(ak2, at(s.ST, 3))
	}
	w.segment(ak2...)
	status := "A"
	var codes []string
	add := func(code string) {
		if !slices.Contains(codes, code) && len(codes) < 5 {
			codes = append(codes, code)
		}
	}
	for _, f := range s.Faults {
		status = "R"
		if f.At > 0 {
			n := Note{Segment: f.Segment, At: f.At}
			if f.Code == "x12_elements" {
				n.Elements = []Element{{Number: 1001, Code: "3"}} // too many
			}
			notes = append(notes, n)
			continue
		}
		// X12 718, in a 999 618.
		switch f.Code {
		case "x12_missing_se", "x12_truncated":
			add("2")
		case "x12_control_number":
			add("3")
		case "x12_segment_count":
			add("4")
		}
	}
	for _, n := range notes {
		w.note(kind, n)
		add("5") // segments in error
		if n.Reject {
			status = "R"
		} else if status == "A" {
			status = "E"
		}
	}
	if at(s.ST, 1) == "" {
		add("6")
		status = "R"
	}
	if at(s.ST, 2) == "" {
		add("7")
		status = "R"
	}
	w.segment(append([]string{tag(kind, "5"), status}, codes...)...)
	return status
}

func tag(kind, n string) string {
	if kind == Implementation {
		return "IK" + n
	}
	return "AK" + n
}

func (w *writer) note(kind string, n Note) {
	w.segment(tag(kind, "3"), n.Segment, strconv.Itoa(n.At), n.Loop, cmp.Or(n.Code, "8"))
	for _, e := range n.Elements {
		where := strconv.Itoa(e.Number)
		if e.Component > 0 || e.Repetition > 0 { // C030
			parts := []string{where, "", ""}
			if e.Component > 0 {
				parts[1] = strconv.Itoa(e.Component)
			}
			if e.Repetition > 0 {
				parts[2] = strconv.Itoa(e.Repetition)
			}
			where = strings.TrimRight(strings.Join(parts, "\x00"), "\x00")
		}
		value := w.plain(e.Value)
		if utf8.RuneCountInString(value) > 99 {
			value = string([]rune(value)[:99])
		}
		// The position keeps its component separator.
		v := []string{tag(kind, "4"), strings.ReplaceAll(where, "\x00", w.in.Component), w.plain(e.Reference), w.plain(e.Code), value}
		for len(v) > 1 && v[len(v)-1] == "" {
			v = v[:len(v)-1]
		}
		w.raw(v...)
	}
}

// at is an element by its number, empty where there is none.
func at(e []string, n int) string {
	if n < len(e) {
		return e[n]
	}
	return ""
}

// pad makes a text exactly n characters long.
func pad(s string, n int) string {
	c := utf8.RuneCountInString(s)
	if c > n {
		return string([]rune(s)[:n])
	}
	return s + strings.Repeat(" ", n-c)
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
