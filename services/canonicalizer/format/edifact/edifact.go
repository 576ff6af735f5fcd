// Package edifact reads UN/EDIFACT interchanges (ISO 9735 parts 1 and 2, syntax
// versions 1 to 4): service string advice, release character, repetitions,
// groups, several messages and interchanges, checked envelopes.
package edifact

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Limits of a message, beside those of the formats.
const (
	maxInterchanges = 10_000
	maxMessages     = 25_000
	maxComponents   = 100 // of an element, and repetitions of one
)

// Parse is a format.Parse: each message (UNH to UNT) is a unit. Its tree is
//
//	{set, control, decimal, pos,
//	 version: {version, release, agency, association},
//	 interchange: {syntax, syntax_version, sender, sender_qualifier, receiver, receiver_qualifier, date, time, control,
//	               application, ack_requested, agreement, test, flags},
//	 group: {code, sender, sender_qualifier, receiver, receiver_qualifier, date, time, control} or null,
//	 segments: [{id, pos, e: [id, element, element, ...]}]}
//
// where set is the message type, segments are those between UNH and UNT, and pos is
// the segment's number in the body from 1 (UNA is none). An element is null when
// it is empty, text when it has one component, a list of texts and nulls when it
// has several, and a list of such lists when it is repeated (syntax 4). Release
// characters are resolved. decimal is the mark that UNA declares, null where it
// declares none (no UNA, and syntax 4).
//
// Text is UTF-8: where the body is not, it is decoded from the character set that
// UNB names. Flags of an interchange, [{code, pos}], are syntax_version_missing,
// non_ascii (UNOA or UNOB with other characters), utf8 (UTF-8 where UNB names a
// set of one byte), control_text (equal as numbers only).
//
// A message whose own envelope is wrong carries edifact_segment_count,
// edifact_control_number, edifact_missing_unt, edifact_truncated,
// edifact_elements, edifact_components, edifact_charset, or
// edifact_missing_terminator where a line end and a segment's tag stand inside a
// segment: it is read as two. Segments outside any message are one fault up to the
// next, edifact_missing_unh. A wrong envelope around messages that are whole is a
// unit of its own: edifact_message_count, edifact_group_count,
// edifact_control_number, edifact_missing_une, edifact_missing_ung,
// edifact_missing_unz, edifact_truncated, edifact_missing_terminator,
// edifact_empty. What is no interchange is edifact_no_unb, edifact_una or
// edifact_truncated; reading goes on at the next UNA or UNB. A body with too many
// segments, messages or interchanges, or in UTF-16, is refused whole:
// edifact_segments, edifact_messages, edifact_interchanges, edifact_charset.
func Parse(body []byte, _ *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		s, fault := newScanner(body)
		if fault == nil {
			fault = s.size()
		}
		if fault != nil {
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

// Service are the service characters of an interchange; a zero is one that is not
// used.
type Service struct{ Component, Element, Decimal, Release, Repetition, Terminator byte }

// levelA are those of every character set but UNOB as ISO 9735 has it.
var levelA = Service{':', '+', 0, '?', 0, '\''}

// levelB are those of UNOB where they do not print: IS1, IS3 and IS4.
var levelB = Service{0x1f, 0x1d, 0, 0, 0, 0x1c}

// UNA is the service string advice for a service, as one would write it.
func (c Service) UNA() string {
	or := func(b, none byte) byte {
		if b == 0 {
			return none
		}
		return b
	}
	return "UNA" + string([]byte{c.Component, c.Element, or(c.Decimal, '.'), or(c.Release, ' '), or(c.Repetition, ' '), c.Terminator})
}

// scanner cuts segments off the front of a body.
type scanner struct {
	text      string
	utf8      bool // the body is UTF-8
	ascii     bool // and has no more than ASCII
	at        int
	end       int // of the segment at at: its terminator, cached
	pos       int
	torn      int // pos of the segment that lost its terminator last
	raw       string
	recording bool // for Read: envelopes, no units

	service Service
	una     bool // UNA stood in front
	set     *charmap.Charmap
	noSet   *format.Fault // the first segment that none can read
	values  format.Values
	parts   []string // components of an element, used again by the next
}

func newScanner(body []byte) (*scanner, *format.Fault) {
	if bytes.HasPrefix(body, []byte{0xff, 0xfe}) || bytes.HasPrefix(body, []byte{0xfe, 0xff}) {
		return nil, format.Faultf("edifact_charset", "UTF-16; UTF-8 and the sets UNOA to UNOL are read")
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	text := format.Unwrap(string(body))
	return &scanner{text: text, utf8: utf8.ValidString(text), ascii: ascii(text), end: -1}, nil
}

// read calls each for every interchange and bad for what is none, until one of
// them is false.
func (s *scanner) read(each func(*reader) bool, bad func(pos int, fault *format.Fault) bool) {
	for first := true; ; first = false {
		s.blank()
		if s.at == len(s.text) {
			if first {
				bad(0, format.Faultf("edifact_no_unb", "empty"))
			}
			return
		}
		fault := s.header()
		if fault == nil {
			if !each(s.interchange()) {
				return
			}
			continue
		}
		pos := s.pos + 1
		skipped := s.resync()
		if s.at < len(s.text) {
			fault.Reason += fmt.Sprintf("; %d bytes on, the next interchange is read", skipped)
		}
		if !bad(pos, fault) {
			return
		}
	}
}

// resync goes to the next header, or to the end, and says how far that was.
func (s *scanner) resync() int {
	from := s.at
	for {
		n := strings.Index(s.text[min(s.at+1, len(s.text)):], "UN")
		if n < 0 {
			s.at = len(s.text)
			return s.at - from
		}
		s.at += 1 + n
		probe := scanner{text: s.text, at: s.at}
		if begins(s.text[s.at:]) && probe.header() == nil {
			return s.at - from
		}
	}
}

// size refuses a body with too many segments or interchanges before any of it
// comes out.
func (s *scanner) size() *format.Fault {
	if len(s.text) < 5*maxInterchanges {
		return nil // the shortest that can have too many, of interchanges as short as "UNB+'"
	}
	probe := scanner{text: s.text, end: -1}
	interchanges, messages := 0, 0
	for {
		probe.blank()
		if probe.header() != nil {
			probe.resync()
		} else {
			interchanges++
			probe.cut() // UNB
			for !probe.peekHeader() {
				if !probe.cut() || probe.pos > format.MaxSegments {
					break
				}
				if strings.HasPrefix(probe.raw, "UNH") && (len(probe.raw) == 3 || !format.Alphanumeric(probe.raw[3])) {
					messages++
				}
			}
		}
		switch {
		case probe.pos > format.MaxSegments:
			return format.Faultf("edifact_segments", "more than %d segments", format.MaxSegments)
		case messages > maxMessages:
			return format.Faultf("edifact_messages", "more than %d messages", maxMessages)
		case interchanges > maxInterchanges:
			return format.Faultf("edifact_interchanges", "more than %d interchanges", maxInterchanges)
		case probe.at == len(s.text):
			return nil
		}
	}
}

// header reads the service string advice, if there is one, and goes to UNB.
func (s *scanner) header() *format.Fault {
	rest := s.text[s.at:]
	una := strings.HasPrefix(rest, "UNA")
	c := levelA
	if una {
		if len(rest) < 9 {
			return format.Faultf("edifact_truncated", "UNA ends after %d characters", len(rest)-3)
		}
		c = Service{rest[3], rest[4], rest[5], rest[6], rest[7], rest[8]}
		next := 9
		if c.Terminator == '\r' && strings.HasPrefix(rest[9:], "\n") {
			c.Terminator = '\n'
			next++
		}
		if c.Release == ' ' {
			c.Release = 0
		}
		if c.Repetition == ' ' {
			c.Repetition = 0
		}
		if !c.distinct() {
			return format.Faultf("edifact_una", "the service characters %q cannot be told apart", rest[3:9])
		}
		rest = format.SkipBlank(rest[next:])
	} else if strings.HasPrefix(rest, "UNB\x1d") {
		c = levelB
	}
	if !strings.HasPrefix(rest, "UNB"+string([]byte{c.Element})) {
		return format.Faultf("edifact_no_unb", "an interchange begins with UNB and %q, not %.20q", c.Element, rest)
	}
	s.at = len(s.text) - len(rest)
	s.end, s.service, s.una, s.set, s.noSet = -1, c, una, nil, nil
	return nil
}

// begins says whether a text may begin with a header; header knows for sure.
func begins(rest string) bool {
	return strings.HasPrefix(rest, "UNB+") || strings.HasPrefix(rest, "UNB\x1d") ||
		len(rest) > 9 && rest[:3] == "UNA" && strings.HasPrefix(format.SkipBlank(rest[9:]), "UNB"+rest[4:5])
}

func (c Service) distinct() bool {
	used := []byte{c.Component, c.Element, c.Terminator}
	if c.Release != 0 {
		used = append(used, c.Release)
	}
	for i, b := range used {
		if format.Alphanumeric(b) || b == ' ' || b >= utf8.RuneSelf || bytes.IndexByte(used[:i], b) >= 0 {
			return false
		}
	}
	return true
}

func (s *scanner) blank() {
	for s.at < len(s.text) && format.Blank(s.text[s.at]) {
		s.at++
	}
}

// peekHeader says whether another interchange begins here.
func (s *scanner) peekHeader() bool {
	s.blank()
	rest := s.text[s.at:]
	return len(rest) >= 9 && rest[:3] == "UNA" && strings.HasPrefix(format.SkipBlank(rest[9:]), "UNB") ||
		len(rest) > 3 && rest[:3] == "UNB" && !format.Alphanumeric(rest[3])
}

// cut takes the next segment into s.raw; false at the end. The last one may lack
// its terminator: what depends on it is checked by counts and references.
func (s *scanner) cut() bool {
	for {
		s.blank()
		if s.at == len(s.text) {
			return false
		}
		if s.end < s.at {
			s.end = s.terminator()
		}
		text := s.text[s.at:s.end]
		torn, next := -1, -1
		if s.service.Terminator != '\n' {
			torn, next = format.TornAt(text, string([]byte{s.service.Element}))
		}
		if torn >= 0 {
			text = text[:torn]
			s.at += next
			s.torn = s.pos + 1
		} else {
			s.at = min(s.end+1, len(s.text))
		}
		if text != "" { // else a doubled terminator
			s.pos++
			s.raw = text
			return true
		}
	}
}

// terminator is where the segment at s.at ends. A released terminator is data; so
// is a release character that is released.
func (s *scanner) terminator() int {
	from := s.at
	for {
		n := strings.IndexByte(s.text[from:], s.service.Terminator)
		if n < 0 {
			return len(s.text)
		}
		end := from + n
		releases := 0
		for s.service.Release != 0 && end-releases > s.at && s.text[end-releases-1] == s.service.Release {
			releases++
		}
		if releases%2 == 0 {
			return end
		}
		from = end + 1
	}
}

// segment is a segment kept: its tag and its elements, each as Parse says.
type segment struct {
	pos int
	id  string
	e   []any
}

// comp is component m of element n, both from 1, of the first repetition.
func (g *segment) comp(n, m int) string {
	if g == nil || n >= len(g.e) {
		return ""
	}
	v := g.e[n]
	if list, ok := v.([]any); ok {
		if len(list) > 0 {
			if first, repeated := list[0].([]any); repeated {
				list = first
			}
		}
		if m > len(list) {
			return ""
		}
		v, m = list[m-1], 1
	}
	text, _ := v.(string)
	if m != 1 {
		return ""
	}
	return text
}

// parse splits the segment cut last. The fault says what was cut short.
func (s *scanner) parse() (segment, *format.Fault) {
	g := segment{pos: s.pos}
	text, fault := s.decode(s.raw)
	text = format.Trim(strings.TrimRight(text, "\r\n"))
	// A line end inside data is a wrapped line, not data (ISO 9735-1, annex A).
	if strings.IndexByte(text, '\n') >= 0 {
		text = strings.NewReplacer("\r", "", "\n", "").Replace(text)
	}
	c := &s.service
	released := c.Release != 0 && strings.IndexByte(text, c.Release) >= 0
	n := min(strings.Count(text, string([]byte{c.Element}))+1, format.MaxElements+1)
	g.e = s.values.List(n, (len(s.text)-s.at)/4)
	for i := range n {
		var part string
		var more bool
		part, text, more = s.until(text, c.Element, released)
		var f *format.Fault
		if g.e[i], f = s.element(part, released); f != nil && fault == nil {
			fault = f
		}
		if !more {
			g.e = g.e[:i+1] // a released separator separates nothing
			break
		}
		if i == n-1 && fault == nil {
			fault = format.Faultf("edifact_elements", "segment %d %.10q has more than %d elements", s.pos, s.raw, format.MaxElements)
		}
	}
	g.id = g.comp(0, 1)
	return g, fault
}

// until cuts a text at the next separator that is not released.
func (s *scanner) until(text string, sep byte, released bool) (part, rest string, more bool) {
	if !released {
		n := strings.IndexByte(text, sep)
		if n < 0 {
			return text, "", false
		}
		return text[:n], text[n+1:], true
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case s.service.Release:
			i++
		case sep:
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

// element is the value of an element.
func (s *scanner) element(text string, released bool) (any, *format.Fault) {
	if text == "" {
		return nil, nil
	}
	c := &s.service
	if c.Repetition == 0 || strings.IndexByte(text, c.Repetition) < 0 {
		return s.composite(text, released, false)
	}
	var list []any
	var noComponent any = []any{nil}
	for {
		part, rest, more := s.until(text, c.Repetition, released)
		if list == nil && !more {
			return s.composite(part, released, false)
		}
		v := noComponent
		var fault *format.Fault
		if part != "" {
			v, fault = s.composite(part, released, true)
		}
		list = append(list, v)
		switch {
		case fault != nil:
			return list, fault
		case !more:
			return list, nil
		case len(list) == maxComponents:
			return list, format.Faultf("edifact_components", "segment %d has an element with more than %d repetitions", s.pos, maxComponents)
		}
		text = rest
	}
}

// composite is the value of one repetition; a list even of one component where the
// element is repeated.
func (s *scanner) composite(text string, released, list bool) (any, *format.Fault) {
	c := &s.service
	parts := s.parts[:0]
	for more := true; more; {
		var part string
		part, text, more = s.until(text, c.Component, released)
		parts = append(parts, s.plain(part, released))
		if len(parts) == maxComponents && more {
			s.parts = parts
			return nil, format.Faultf("edifact_components", "segment %d has an element with more than %d components", s.pos, maxComponents)
		}
	}
	s.parts = parts
	if len(parts) == 1 && !list {
		return s.values.Text(parts[0]), nil
	}
	out := s.values.List(len(parts), (len(s.text)-s.at)/4)
	for i, p := range parts {
		out[i] = s.values.Text(p)
	}
	return out, nil
}

// plain takes the release characters out of a component.
func (s *scanner) plain(text string, released bool) string {
	if !released || strings.IndexByte(text, s.service.Release) < 0 {
		return format.Trim(text)
	}
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == s.service.Release && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return format.Trim(b.String())
}

// sets are the character sets of UNB's syntax identifier (0001) with one byte a
// character, ISO 9735-1 annex A and UN/EDIFACT's list 0001. ISO 8859-1 goes for
// UNOA and UNOB, which allow ASCII only.
func charset(syntax string) *charmap.Charmap {
	switch syntax {
	case "UNOA", "UNOB", "UNOC":
		return charmap.ISO8859_1
	case "UNOD":
		return charmap.ISO8859_2
	case "UNOE":
		return charmap.ISO8859_5
	case "UNOF":
		return charmap.ISO8859_7
	case "UNOG":
		return charmap.ISO8859_3
	case "UNOH":
		return charmap.ISO8859_4
	case "UNOI":
		return charmap.ISO8859_6
	case "UNOJ":
		return charmap.ISO8859_8
	case "UNOK":
		return charmap.ISO8859_9
	case "UNOL":
		return charmap.ISO8859_15
	}
	return nil
}

// decode makes a segment UTF-8.
func (s *scanner) decode(text string) (string, *format.Fault) {
	if s.utf8 || utf8.ValidString(text) && s.set == nil || ascii(text) {
		return text, nil
	}
	if s.set == nil {
		if s.noSet == nil {
			s.noSet = format.Faultf("edifact_charset", "segment %d is no UTF-8, and UNB names no set to read it by", s.pos)
		}
		return strings.ToValidUTF8(text, "\ufffd"), s.noSet
	}
	var b strings.Builder
	b.Grow(len(text) + len(text)/8)
	for i := range len(text) { // by bytes
		b.WriteRune(s.set.DecodeByte(text[i]))
	}
	return b.String(), nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
