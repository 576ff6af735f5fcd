// Package x12 reads ANSI ASC X12 interchanges (X12.5 control segments ISA to IEA,
// X12.6 syntax): any delimiters, several groups and transaction sets, checked
// envelopes.
package x12

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Parse is a format.Parse: each transaction set is a unit. Its tree is
//
//	{set, control, version, component,
//	 interchange: {sender_qualifier, sender, receiver_qualifier, receiver, date, time, control, test},
//	 group: {code, sender, receiver, date, time, control},
//	 segments: [{id, pos, e: [id, element 01, element 02, ...]}]}
//
// where segments are those between ST and SE, pos is the segment's number in the
// message from 1, and an empty element is null. A set whose own envelope is
// wrong carries x12_segment_count, x12_control_number, x12_missing_se,
// x12_truncated or x12_elements. A wrong envelope around sets that are whole
// comes as a unit of its own (x12_group_count, x12_control_number,
// x12_interchange_count, x12_truncated, x12_empty), and the sets go on. What is no
// interchange is x12_no_isa or x12_isa.
func Parse(body []byte, _ *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		s := scanner{rest: bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))}
		if fault := s.size(); fault != nil {
			yield(format.Unit{Where: "message", Fault: fault})
			return
		}
		for first := true; ; first = false {
			s.space()
			if len(s.rest) == 0 {
				if first {
					yield(format.Unit{Where: "message", Fault: format.Faultf("x12_no_isa", "empty")})
				}
				return
			}
			units, fault := s.interchange()
			for _, u := range units {
				if !yield(u) {
					return
				}
			}
			if fault != nil {
				// Where an interchange begins is not known any more: the rest is one fault.
				yield(format.Unit{Where: fmt.Sprintf("segment %d", s.pos+1), Fault: fault})
				return
			}
		}
	}
}

// scanner cuts segments off the front of a message.
type scanner struct {
	rest       []byte
	pos        int // of the segment cut last, from 1
	element    byte
	component  byte
	terminator byte
}

// segment is one segment; e[0] is its id.
type segment struct {
	pos int
	e   []string
}

func (g *segment) id() string { return g.e[0] }

// at is an element by its number in the standard, empty when it is not there.
func (g *segment) at(n int) string {
	if g == nil || n >= len(g.e) {
		return ""
	}
	return g.e[n]
}

// size refuses a message with too many segments before any of it comes out. The
// terminator of the first interchange is the measure; none is shorter than 2.
func (s *scanner) size() *format.Fault {
	probe := scanner{rest: bytes.TrimLeft(s.rest, " \t\r\n")}
	if _, fault := probe.isa(); fault != nil {
		return nil // reported where it is read
	}
	if n := bytes.Count(s.rest, []byte{probe.terminator}); n > format.MaxSegments {
		return format.Faultf("x12_segments", "%d segments, more than %d", n, format.MaxSegments)
	}
	return nil
}

// isa reads the interchange header, which fixes the delimiters: the fourth byte
// separates elements, ISA16 is the component separator, and the byte behind it
// ends segments (X12.5). It need not be 106 bytes long: some write it unpadded.
func (s *scanner) isa() (*segment, *format.Fault) {
	if len(s.rest) < 4 || string(s.rest[:3]) != "ISA" {
		return nil, format.Faultf("x12_no_isa", "an interchange begins with ISA, not %.20q", s.rest)
	}
	sep := s.rest[3]
	if alphanumeric(sep) || sep == ' ' {
		return nil, format.Faultf("x12_isa", "%q cannot separate elements", sep)
	}
	at, e := 0, make([]string, 0, 17)
	for range 16 {
		next := bytes.IndexByte(s.rest[at:min(len(s.rest), at+256)], sep)
		if next < 0 {
			return nil, format.Faultf("x12_truncated", "the ISA segment ends after %d elements", max(len(e)-1, 0))
		}
		e = append(e, strings.ToValidUTF8(strings.TrimSpace(string(s.rest[at:at+next])), "\ufffd"))
		at += next + 1
	}
	if at+2 > len(s.rest) {
		return nil, format.Faultf("x12_truncated", "the ISA segment ends before its terminator")
	}
	component, terminator := s.rest[at], s.rest[at+1]
	at += 2
	if terminator == '\r' && at < len(s.rest) && s.rest[at] == '\n' {
		terminator = '\n'
		at++
	}
	if terminator == sep || alphanumeric(terminator) || terminator == ' ' || component == sep || component == terminator {
		return nil, format.Faultf("x12_isa", "the delimiters %q, %q and %q cannot be told apart", sep, component, terminator)
	}
	s.element, s.component, s.terminator = sep, component, terminator
	s.rest = s.rest[at:]
	s.pos++
	return &segment{pos: s.pos, e: append(e, string([]byte{component}))}, nil
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// space skips what may stand between segments: line ends, indentation, and the
// fillers of old transfers.
func (s *scanner) space() { s.rest = bytes.TrimLeft(s.rest, " \t\r\n\x00\x1a") }

// next cuts the next segment off; nil at the end. The last one may lack its
// terminator: what depends on it is checked by counts and control numbers.
func (s *scanner) next() *segment {
	for {
		s.space()
		if len(s.rest) == 0 {
			return nil
		}
		end := bytes.IndexByte(s.rest, s.terminator)
		text := s.rest
		if end < 0 {
			s.rest = nil
		} else {
			text, s.rest = s.rest[:end], s.rest[end+1:]
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue // a doubled terminator
		}
		s.pos++
		g := &segment{pos: s.pos}
		// One more than allowed, so that too many are seen without splitting all.
		for _, f := range bytes.SplitN(text, []byte{s.element}, format.MaxElements+2) {
			g.e = append(g.e, strings.ToValidUTF8(string(bytes.TrimSpace(f)), "\ufffd"))
		}
		return g
	}
}

// peekISA says whether another interchange begins here.
func (s *scanner) peekISA() bool {
	s.space()
	return len(s.rest) > 3 && string(s.rest[:3]) == "ISA" && !alphanumeric(s.rest[3])
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
