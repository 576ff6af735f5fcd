// Package ack writes the answer to a received EDIFACT interchange: a CONTRL
// (ISO 9735-4; D.3 for the syntax versions 1 to 3, 4.1 for version 4). It depends
// on its arguments alone: the same ones give the same bytes.
package ack

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stockweave/stockweave/services/canonicalizer/format/edifact"
)

// Options of an answer.
type Options struct {
	Control string    // of the answer's interchange (0020), at most 14 letters and digits
	At      time.Time // of the answer, written as it is, in its own zone
	// Notes are what was found inside the messages, beside what their envelopes say.
	Notes []Note
}

// Note is about one segment of a message.
type Note struct {
	Group, Message string    // references: 0048, empty without groups, and 0062
	At             int       // the segment's number in the message, UNH is 1
	Code           string    // syntax error (0085) of the segment; empty: it has errors in its elements
	Elements       []Element // errors in them
	Reject         bool      // the message; else it is acknowledged and told
}

// Element is about one element of a segment.
type Element struct {
	Number, Component int    // 0098, the tag is 1, and 0104 from 1, 0 where it does not apply
	Code              string // syntax error (0085)
}

// Actions (0083).
const (
	rejected     = "4" // this level and all lower ones
	acknowledged = "7" // this level, and the next lower one where it is not rejected explicitly
)

// what is what a fault of an envelope is called (0085) and where it stands (0013).
type what struct{ code, tag string }

var interchangeFaults = map[string]what{
	"edifact_control_number":     {"28", "UNZ"}, // references do not match
	"edifact_message_count":      {"29", "UNZ"}, // control count does not match
	"edifact_group_count":        {"29", "UNZ"},
	"edifact_truncated":          {"13", "UNZ"}, // missing
	"edifact_missing_unz":        {"13", "UNZ"},
	"edifact_empty":              {"32", "UNB"}, // lower level empty
	"edifact_missing_unh":        {"33", ""},    // invalid occurrence outside message
	"edifact_missing_ung":        {"30", ""},    // groups and messages mixed
	"edifact_missing_terminator": {"22", ""},    // invalid service character
}

var groupFaults = map[string]what{
	"edifact_control_number":     {"28", "UNE"},
	"edifact_message_count":      {"29", "UNE"},
	"edifact_missing_une":        {"13", "UNE"},
	"edifact_missing_unh":        {"33", ""},
	"edifact_missing_terminator": {"22", ""},
}

var messageFaults = map[string]what{
	"edifact_segment_count":  {"29", "UNT"},
	"edifact_control_number": {"28", "UNT"},
	"edifact_missing_unt":    {"13", "UNT"},
	"edifact_truncated":      {"13", "UNT"},
}

var segmentFaults = map[string]string{
	"edifact_elements":           "16", // too many constituents
	"edifact_components":         "16",
	"edifact_charset":            "21", // invalid character
	"edifact_missing_terminator": "22",
}

// Answer writes the CONTRL of an interchange, with its service characters, from
// its receiver to its sender. It is empty for an interchange of nothing but
// CONTRL, which is never answered. An error means that the arguments make no
// interchange.
//
// The interchange is acknowledged (7) where a message of it is whole, and its own
// error told beside; else it is rejected (4). Messages and groups are listed where
// they are rejected or something is told of them.
func Answer(in edifact.Interchange, o Options) ([]byte, error) {
	if o.Control == "" || len(o.Control) > 14 || strings.ContainsFunc(o.Control, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) {
		return nil, fmt.Errorf("acknowledging: %q is no interchange control reference", o.Control)
	}
	all := slices.Clone(in.Messages)
	for _, g := range in.Groups {
		all = append(all, g.Messages...)
	}
	w := writer{in: in}
	if len(all) > 0 && !slices.ContainsFunc(all, func(m edifact.Message) bool { return w.comp(at(m.UNH, 2), 1) != "CONTRL" }) {
		return nil, nil
	}
	if at(in.UNB, 2) == "" || at(in.UNB, 3) == "" {
		return nil, fmt.Errorf("acknowledging: UNB names no sender or no receiver")
	}
	for _, n := range []int{1, 2, 3, 5, 11} { // what is given back as it came
		if strings.ContainsFunc(at(in.UNB, n), w.stray) {
			return nil, fmt.Errorf("acknowledging: UNB element %d holds a control character", n)
		}
		if w.crowded(at(in.UNB, n)) {
			return nil, fmt.Errorf("acknowledging: UNB element %d has more than %d components", n, mostParts)
		}
	}
	if in.UNA {
		w.out.WriteString(in.Service.UNA())
	}
	date, contrl := o.At.Format("060102"), w.composite("CONTRL", "D", "3", "UN")
	if w.comp(at(in.UNB, 1), 2) >= "4" {
		date, contrl = o.At.Format("20060102"), w.composite("CONTRL", "4", "1", "UN")
	}
	w.segment("UNB", at(in.UNB, 1), at(in.UNB, 3), at(in.UNB, 2), w.composite(date, o.At.Format("1504")), o.Control,
		"", "", "", "", "", at(in.UNB, 11))
	from := w.n
	w.segment("UNH", "1", contrl)
	action := rejected
	if slices.ContainsFunc(all, func(m edifact.Message) bool { return len(m.Faults) == 0 }) {
		action = acknowledged
	}
	var told what
	for _, f := range in.Faults {
		told = cmp.Or(told, interchangeFaults[f.Code])
	}
	if action == rejected && told == (what{}) {
		told.code = "18" // unspecified: every message is rejected by itself
	}
	w.segment("UCI", at(in.UNB, 5), at(in.UNB, 2), at(in.UNB, 3), action, told.code, told.tag)
	for _, m := range in.Messages {
		w.message("", m, o.Notes)
	}
	for _, g := range in.Groups {
		w.group(g, o.Notes)
	}
	w.segment("UNT", strconv.Itoa(w.n-from+1), "1")
	w.segment("UNZ", "1", o.Control)
	return w.out.Bytes(), nil
}

// writer writes segments with the service characters of the interchange.
type writer struct {
	in  edifact.Interchange
	out bytes.Buffer
	n   int // segments written
}

// segment writes a segment, without empty elements at its end. Elements are as
// they stand in the body, or nothing that needs a release character.
func (w *writer) segment(e ...string) {
	for len(e) > 1 && e[len(e)-1] == "" {
		e = e[:len(e)-1]
	}
	w.out.WriteString(strings.Join(e, string([]byte{w.in.Service.Element})))
	w.out.WriteByte(w.in.Service.Terminator)
	w.n++
}

func (w *writer) composite(parts ...string) string {
	return strings.TrimRight(strings.Join(parts, string([]byte{w.in.Service.Component})), string([]byte{w.in.Service.Component}))
}

// stray tells a control character that is no service character: no level of ISO 9735
// has it, and a reader takes a line's end for a segment's. Level B's service
// characters are control characters themselves.
func (w *writer) stray(c rune) bool {
	s := w.in.Service
	return unicode.IsControl(c) && !slices.Contains([]rune{rune(s.Component), rune(s.Element), rune(s.Release), rune(s.Repetition)}, c)
}

// mostParts bounds the components of what is given back: no element of an envelope has more
// than eight, and one of many more nobody would read.
const mostParts = 50

func (w *writer) crowded(e string) bool {
	n := 0
	for i := range len(e) {
		if c := e[i]; c == w.in.Service.Component || c == w.in.Service.Repetition {
			n++
		}
	}
	return n >= mostParts
}

// clean is an element of a group or a message without stray characters, and nothing of one
// that is crowded: the others of the interchange are answered all the same.
func (w *writer) clean(e string) string {
	if w.crowded(e) {
		return ""
	}
	if !strings.ContainsFunc(e, w.stray) {
		return e
	}
	var b strings.Builder
	for len(e) > 0 {
		c, size := utf8.DecodeRuneInString(e) // a byte that is no UTF-8 stays as it is
		if !w.stray(c) {
			b.WriteString(e[:size])
		}
		e = e[size:]
	}
	return b.String()
}

// comp is component m of an element as it stands.
func (w *writer) comp(element string, m int) string {
	parts := strings.SplitN(element, string([]byte{w.in.Service.Component}), m+1)
	if m > len(parts) {
		return ""
	}
	return strings.TrimSpace(parts[m-1])
}

// group answers a group that is told of, or has a message that is.
func (w *writer) group(g edifact.Group, notes []Note) {
	var told what
	for _, f := range g.Faults {
		told = cmp.Or(told, groupFaults[f.Code])
	}
	if g.UNE == nil {
		told = cmp.Or(told, what{"13", "UNE"})
	}
	about := slices.ContainsFunc(g.Messages, func(m edifact.Message) bool { return len(m.Faults)+len(notesOf(at(g.UNG, 5), m, notes)) > 0 })
	if !about && told == (what{}) {
		return
	}
	action := acknowledged
	if !slices.ContainsFunc(g.Messages, func(m edifact.Message) bool { return len(m.Faults) == 0 }) {
		action = rejected
		told = cmp.Or(told, what{code: "18"})
	}
	w.segment("UCF", w.clean(at(g.UNG, 5)), w.clean(at(g.UNG, 2)), w.clean(at(g.UNG, 3)), action, told.code, told.tag)
	for _, m := range g.Messages {
		w.message(at(g.UNG, 5), m, notes)
	}
}

func notesOf(group string, m edifact.Message, notes []Note) []Note {
	return slices.DeleteFunc(slices.Clone(notes), func(n Note) bool { return n.Group != group || n.Message != at(m.UNH, 1) })
}

// message answers a message that something is told of.
func (w *writer) message(group string, m edifact.Message, notes []Note) {
	notes = notesOf(group, m, notes)
	if len(m.Faults)+len(notes) == 0 {
		return
	}
	action := acknowledged
	var told what
	for _, f := range m.Faults {
		action = rejected
		if f.At == 0 {
			told = cmp.Or(told, messageFaults[f.Code])
			continue
		}
		notes = append(notes, Note{At: f.At, Code: cmp.Or(segmentFaults[f.Code], "18")})
	}
	for _, n := range notes {
		if n.Reject {
			action = rejected
		}
	}
	w.segment("UCM", w.clean(at(m.UNH, 1)), w.clean(at(m.UNH, 2)), action, told.code, told.tag)
	for _, n := range notes {
		w.segment("UCS", strconv.Itoa(n.At), n.Code)
		for _, e := range n.Elements {
			where := strconv.Itoa(e.Number)
			if e.Component > 0 {
				where = w.composite(where, strconv.Itoa(e.Component))
			}
			w.segment("UCD", e.Code, where)
		}
	}
}

// at is an element by its number, empty where there is none.
func at(e []string, n int) string {
	if n < len(e) {
		return e[n]
	}
	return ""
}
