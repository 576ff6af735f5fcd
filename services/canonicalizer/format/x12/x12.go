// Package x12 reads ANSI ASC X12 interchanges (X12.5 control segments ISA to IEA,
// X12.6 syntax): any delimiters, several interchanges, groups and transaction
// sets, checked envelopes.
package x12

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Limits of a message, beside those of the formats.
const (
	maxInterchanges = 10_000
	maxSets         = 50_000
)

// Parse is a format.Parse: each transaction set is a unit. Its tree, an *x12set.Set until
// its value is asked for, is
//
//	{set, control, version, component,
//	 interchange: {sender_qualifier, sender, receiver_qualifier, receiver, date, time, control, test,
//	               version, repetition, ack_requested, flags},
//	 group: {code, sender, receiver, date, time, control},
//	 segments: [{id, pos, e: [id, element 01, element 02, ...]}],
//	 flags}
//
// where segments are those between ST and SE, pos is the segment's number in the
// message from 1, and an empty element is null. An element is text as it stands:
// component is the delimiter that divides it where it is composite, and
// interchange.repetition (null before 00402) the one that repeats it.
//
// Flags, [{code, pos}], are what is odd and harms nothing: of an interchange
// isa_not_106 (elements of ISA without their fixed width), isa_non_ascii,
// not_utf8 (read as windows-1252), control_text (equal as numbers only), no_isa;
// of a set run_together (an element that ends as a segment begins: a terminator
// may be missing). A tree without flags has no such key.
//
// A set whose own envelope is wrong carries x12_segment_count,
// x12_control_number, x12_missing_se, x12_truncated, x12_elements, or
// x12_missing_terminator where a line end and a segment's id stand inside a
// segment: it is read as two. A wrong envelope around sets that are whole comes as
// a unit of its own (x12_group_count, x12_control_number, x12_interchange_count,
// x12_truncated, x12_empty, x12_missing_terminator), and the sets go on. What is
// no interchange is x12_no_isa, x12_isa or x12_truncated; reading goes on at the
// next ISA. A message with too many segments, sets or interchanges is refused
// whole: x12_segments, x12_sets, x12_interchanges.
//
// A group or a set without ISA has no declared delimiters. They are told by the
// first segment, the component separator is taken to be ">", and its sets carry
// x12_no_isa unless the source says that it sends them so (x12.bare).
func Parse(body []byte, src *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		s := newScanner(body)
		s.allowBare = src.X12.Bare
		if fault := s.size(); fault != nil {
			yield(format.Unit{Where: "message", Fault: fault})
			return
		}
		s.read(func(r *reader) bool {
			for _, u := range r.units {
				if !yield(u) {
					return false
				}
			}
			return true
		}, func(pos int, fault *format.Fault) bool {
			where := "message"
			if pos > 0 {
				where = fmt.Sprintf("segment %d", pos)
			}
			return yield(format.Unit{Where: where, Fault: fault})
		})
	}
}

// scanner cuts segments off the front of a message.
type scanner struct {
	text      string
	at        int // where the next segment begins
	end       int // of the segment there: its terminator, cached
	pos       int // of the segment cut last, from 1
	torn      int // pos of the segment that lost its terminator last
	recoded   bool
	allowBare bool
	recording bool // for Read: envelopes, no units

	element, component, terminator string
	repetition                     string // empty: none

	fields []string // of the segment cut last
	free   []string // memory for the elements of segments
	usual  int      // segments of the set before
}

// mostUsual bounds the room that a set is given because of the one before it.
const mostUsual = 1024

// list is a list of n texts, whose memory many share.
func (s *scanner) list(n int) []string {
	if len(s.free) < n {
		s.free = make([]string, max(n, min((len(s.text)-s.at)/4, 2048)))
	}
	list := s.free[:n:n]
	s.free = s.free[n:]
	return list
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// segment is a segment kept; e[0] is its id.
type segment struct {
	pos int
	e   []string
}

// at is an element by its number in the standard, empty when it is not there.
func (g *segment) at(n int) string {
	if g == nil || n >= len(g.e) {
		return ""
	}
	return g.e[n]
}

func newScanner(body []byte) *scanner {
	s := &scanner{end: -1}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(body) {
		// X12 names no character set; what is no UTF-8 is this one in practice.
		if text, err := format.Decode(body, policy.Windows1252); err == nil {
			body, s.recoded = text, true
		}
	}
	s.text = format.Unwrap(string(body))
	return s
}

// read calls each for every interchange and bad for what is none, until one of
// them is false.
func (s *scanner) read(each func(*reader) bool, bad func(pos int, fault *format.Fault) bool) {
	for first := true; ; first = false {
		s.blank()
		if s.at == len(s.text) {
			if first {
				bad(0, format.Faultf("x12_no_isa", "empty"))
			}
			return
		}
		r, fault := s.interchange()
		if r != nil && !each(r) {
			return
		}
		if fault == nil {
			continue
		}
		pos := s.pos + 1
		skipped := s.resync()
		if s.at < len(s.text) {
			fault.Reason += fmt.Sprintf("; %d bytes on, the next ISA is read", skipped)
		}
		if !bad(pos, fault) {
			return
		}
	}
}

// resync goes to the next thing that is surely an interchange header, or to the
// end, and says how far that was.
func (s *scanner) resync() int {
	from := s.at
	for {
		n := strings.Index(s.text[min(s.at+1, len(s.text)):], "ISA")
		if n < 0 {
			s.at = len(s.text)
			return s.at - from
		}
		s.at += 1 + n
		// What looks like one by chance is told by the version and the usage.
		rest := s.text[s.at:]
		at, n := elements(rest)
		if n < 16 {
			continue
		}
		sep := len(first(rest[3:]))
		if version := rest[at[12] : at[13]-sep]; len(version) != 5 || !digits(version) || at[16]-at[15] != 1+sep {
			continue
		}
		probe := scanner{text: s.text, at: s.at}
		if _, fault := probe.isa(); fault == nil {
			return s.at - from
		}
	}
}

// size refuses a message with too many segments or interchanges before any of it
// comes out.
func (s *scanner) size() *format.Fault {
	if len(s.text) < 3*maxSets || s.few() {
		return nil // the shortest that can have too many, of sets as short as "ST~"
	}
	probe := scanner{text: s.text, end: -1}
	interchanges, sets := 0, 0
	for {
		probe.blank()
		if _, fault := probe.header(); fault != nil {
			probe.resync()
		} else {
			interchanges++
			for !probe.peekISA() {
				text, ok := probe.cut()
				if !ok || probe.pos > format.MaxSegments {
					break
				}
				if strings.HasPrefix(text, "ST") && (len(text) == 2 || !format.Alphanumeric(text[2])) {
					sets++
				}
			}
		}
		switch {
		case probe.pos > format.MaxSegments:
			return format.Faultf("x12_segments", "more than %d segments", format.MaxSegments)
		case sets > maxSets:
			return format.Faultf("x12_sets", "more than %d sets", maxSets)
		case interchanges > maxInterchanges:
			return format.Faultf("x12_interchanges", "more than %d interchanges", maxInterchanges)
		case probe.at == len(s.text):
			return nil
		}
	}
}

// few says that a message of one interchange has too few ends of segments for too many
// of anything: its terminators, and line ends, behind which a torn segment goes on.
func (s *scanner) few() bool {
	probe := scanner{text: s.text, end: -1}
	probe.blank()
	isa, fault := probe.header()
	if others := strings.Count(s.text, "ISA"); fault != nil || others > 1 || isa == nil && others > 0 {
		return false
	}
	ends := strings.Count(s.text, probe.terminator)
	if probe.terminator != "\n" {
		ends += strings.Count(s.text, "\n")
	}
	return ends < min(format.MaxSegments, maxSets)
}

// header reads what tells the delimiters: ISA, or the first segment of what has
// none. That one is not cut off, and the segment is nil.
func (s *scanner) header() (*segment, *format.Fault) {
	rest := s.text[s.at:]
	switch {
	case bareTag(rest, "GS"):
		return nil, s.bare(rest, 8)
	case bareTag(rest, "ST"):
		return nil, s.bare(rest, 2)
	}
	return s.isa()
}

// isa reads the interchange header, which fixes the delimiters: the fourth
// character separates elements, ISA16 is the component separator, and the
// character behind it ends segments (X12.5). It need not be 106 characters long:
// some write it unpadded.
func (s *scanner) isa() (*segment, *format.Fault) {
	rest := s.text[s.at:]
	if len(rest) < 4 || rest[:3] != "ISA" {
		return nil, format.Faultf("x12_no_isa", "an interchange begins with ISA, not %.20q", rest)
	}
	sep := first(rest[3:])
	if format.Alphanumeric(sep[0]) || sep == " " {
		return nil, format.Faultf("x12_isa", "%q cannot separate elements", sep)
	}
	begin, n := elements(rest)
	if n < 16 {
		return nil, format.Faultf("x12_truncated", "the ISA segment ends after %d elements", max(n-1, 0))
	}
	e := make([]string, 16, 17)
	for i := range e {
		e[i] = rest[begin[i] : begin[i+1]-len(sep)]
	}
	at := begin[16]
	component := first(rest[at:])
	terminator, size := terminator(rest[min(at+len(component), len(rest)):])
	if component == "" || terminator == "" {
		return nil, format.Faultf("x12_truncated", "the ISA segment ends before its terminator")
	}
	at += len(component) + size
	if behind := rest[at-size:]; strings.HasPrefix(behind, "GS"+sep) || strings.HasPrefix(behind, "TA1"+sep) {
		at -= size
		component, terminator = "", component // ISA16 is left out
	}
	if terminator == "\n" && component != "" && component != "\n" {
		// Left out with line ends behind segments: what looks like it ends every line.
		line, _, _ := strings.Cut(format.SkipBlank(rest[at:]), "\n")
		if strings.HasSuffix(format.Trim(line), component) && strings.HasPrefix(line, "GS"+sep) {
			component, terminator = "", component
		}
	}
	if terminator == sep || terminator == " " || terminator == "\t" || format.Alphanumeric(terminator[0]) || component == sep || component == terminator {
		return nil, format.Faultf("x12_isa", "the delimiters %q, %q and %q cannot be told apart", sep, component, terminator)
	}
	if strings.Contains(rest[:begin[16]], terminator) {
		return nil, format.Faultf("x12_isa", "the terminator %q stands inside ISA: it is damaged", terminator)
	}
	if component != "" && (format.Alphanumeric(component[0]) || format.Blank(component[0])) {
		component = "" // filling: it separates nothing
	}
	s.element, s.component, s.terminator, s.repetition = sep, component, terminator, ""
	if r := e[11]; len(e[12]) == 5 && e[12] >= "00402" && r != "" && r == first(r) && !format.Alphanumeric(r[0]) && r != " " {
		s.repetition = r
	}
	s.at, s.end = s.at+at, -1
	s.pos++
	return &segment{pos: s.pos, e: append(e, component)}, nil
}

// elements is where each element of an ISA segment begins, and how many have a
// separator behind them.
func elements(rest string) (begin [17]int, n int) {
	if len(rest) < 4 {
		return begin, 0
	}
	sep := first(rest[3:])
	for n < 16 {
		next := strings.Index(rest[begin[n]:min(len(rest), begin[n]+256)], sep)
		if next < 0 {
			break
		}
		begin[n+1] = begin[n] + next + len(sep)
		n++
	}
	return begin, n
}

// first is the first character of a text.
func first(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// terminator is the character that ends segments, at the end of the first one, and
// how much of the text to skip. Blanks before it are filling; a line end is the
// terminator where there is nothing else.
func terminator(s string) (string, int) {
	n := 0
	for n < len(s) && (s[n] == ' ' || s[n] == '\t') {
		n++
	}
	if strings.HasPrefix(s[n:], "\r\n") {
		return "\n", n + 2
	}
	c := first(s[n:])
	return c, n + len(c)
}

// bareTag says whether a text begins with a segment that cannot be anything else.
func bareTag(s, tag string) bool {
	return len(s) > len(tag) && strings.HasPrefix(s, tag) && !format.Alphanumeric(s[len(tag)]) && !format.Blank(s[len(tag)])
}

// bare finds the delimiters of a segment of n elements, the last of which is
// letters and digits; one more of the same kind may follow (ST03).
func (s *scanner) bare(rest string, n int) *format.Fault {
	sep := first(rest[2:])
	at := 2
	for range n {
		next := strings.Index(rest[at:min(len(rest), at+256)], sep)
		if next < 0 {
			return format.Faultf("x12_no_isa", "an interchange begins with ISA, not %.20q", rest)
		}
		at += next + len(sep)
	}
	word := func() {
		for at < len(rest) && (format.Alphanumeric(rest[at]) || rest[at] == '-' || rest[at] == '.') {
			at++
		}
	}
	if word(); n == 2 && strings.HasPrefix(rest[at:], sep) {
		at += len(sep)
		word()
	}
	terminator, _ := terminator(rest[at:])
	if terminator == "" || terminator == sep || terminator == " " || format.Alphanumeric(terminator[0]) {
		return format.Faultf("x12_no_isa", "no ISA, and %.40q does not tell the delimiters", rest)
	}
	s.element, s.component, s.terminator, s.repetition, s.end = sep, ">", terminator, "", -1
	return nil
}

// blank skips what may stand between segments.
func (s *scanner) blank() {
	for s.at < len(s.text) && format.Blank(s.text[s.at]) {
		s.at++
	}
}

// cut takes the next segment off; false at the end. The last one may lack its
// terminator: what depends on it is checked by counts and control numbers.
func (s *scanner) cut() (string, bool) {
	for {
		s.blank()
		if s.at == len(s.text) {
			return "", false
		}
		if s.end < s.at {
			if s.end = index(s.text[s.at:], s.terminator); s.end < 0 {
				s.end = len(s.text)
			} else {
				s.end += s.at
			}
		}
		text := s.text[s.at:s.end]
		if torn, next := s.tear(text); torn >= 0 {
			text = text[:torn]
			s.at += next
			s.torn = s.pos + 1
		} else {
			s.at = min(s.end+len(s.terminator), len(s.text))
		}
		if text != "" { // else a doubled terminator
			s.pos++
			return text, true
		}
	}
}

func (s *scanner) tear(text string) (end, next int) {
	if s.terminator == "\n" {
		return -1, -1
	}
	return format.TornAt(text, s.element)
}

// next cuts a segment and splits it into s.fields; false at the end.
func (s *scanner) next() bool {
	text, ok := s.cut()
	if !ok {
		return false
	}
	f := s.fields[:0]
	// One more than allowed, so that too many are seen without splitting all.
	for len(f) < format.MaxElements+1 {
		n := index(text, s.element)
		if n < 0 {
			break
		}
		f = append(f, format.Trim(text[:n]))
		text = text[n+len(s.element):]
	}
	s.fields = append(f, format.Trim(text))
	return true
}

// index is strings.Index of a delimiter, which most often is one byte.
func index(s, delimiter string) int {
	if len(delimiter) == 1 {
		return strings.IndexByte(s, delimiter[0])
	}
	return strings.Index(s, delimiter)
}

// keep is the segment cut last, to stay.
func (s *scanner) keep() *segment {
	return &segment{pos: s.pos, e: append([]string(nil), s.fields...)}
}

// peekISA says whether another interchange begins here.
func (s *scanner) peekISA() bool {
	s.blank()
	rest := s.text[s.at:]
	return len(rest) > 3 && rest[:3] == "ISA" && !format.Alphanumeric(rest[3])
}

// number reads a count or control number; they are compared without leading
// zeros, which some write and some do not.
func number(s string) string {
	if t := strings.TrimLeft(s, "0"); t != "" {
		return t
	}
	return "0"
}

func sameCount(stated string, n int) bool {
	v, err := strconv.Atoi(stated)
	return err == nil && v == n
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }
