package xmltext

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// attrValue reads = and a value in quotes, normalized (XML 1.0 §3.3.3).
func (s *scanner) attrValue() string {
	s.space()
	if s.fault != nil || !s.has("=") {
		s.fail(s.at, "xml_syntax", "an attribute without =")
		return ""
	}
	s.at++
	s.space()
	if !s.has(`"`) && !s.has("'") {
		s.fail(s.at, "xml_syntax", "an attribute without quotes")
		return ""
	}
	quote := s.b[s.at]
	s.at++
	var out []byte
	for s.at < len(s.b) && s.fault == nil {
		switch c := s.b[s.at]; {
		case c == quote:
			s.at++
			return string(out)
		case c == '<':
			s.fail(s.at, "xml_syntax", "< in an attribute")
		case c == '&':
			out = s.reference(out)
		case c == '\r' && s.at+1 < len(s.b) && s.b[s.at+1] == '\n':
			s.at++
		case isSpace(c):
			out = append(out, ' ')
			s.at++
		default:
			out = s.char(out)
		}
	}
	s.fail(s.at, "xml_syntax", "an attribute that does not end")
	return ""
}

// charData reads text up to the next markup.
func (s *scanner) charData(out []byte) []byte {
	for s.at < len(s.b) && s.fault == nil {
		switch c := s.b[s.at]; {
		case c == '<':
			return out
		case c == '&':
			out = s.reference(out)
		case c == '\r':
			out = s.lineEnd(out)
		case c == ']' && s.has("]]>"):
			s.fail(s.at, "xml_syntax", "]]> in text")
		default:
			out = s.char(out)
		}
	}
	return out
}

func (s *scanner) cdata(out []byte) []byte {
	at := s.at
	s.at += len("<![CDATA[")
	for s.at < len(s.b) && s.fault == nil {
		switch c := s.b[s.at]; {
		case c == ']' && s.has("]]>"):
			s.at += 3
			return out
		case c == '\r':
			out = s.lineEnd(out)
		default:
			out = s.char(out)
		}
	}
	s.fail(at, "xml_syntax", "a CDATA section that does not end")
	return out
}

// lineEnd makes \r\n and \r a \n (XML 1.0 §2.11).
func (s *scanner) lineEnd(out []byte) []byte {
	s.at++
	if s.at < len(s.b) && s.b[s.at] == '\n' {
		s.at++
	}
	return append(out, '\n')
}

func (s *scanner) char(out []byte) []byte {
	if c := s.b[s.at]; c >= ' ' && c < utf8.RuneSelf {
		s.at++
		return append(out, c)
	}
	r, n := utf8.DecodeRune(s.b[s.at:])
	if !isChar(r) {
		s.fail(s.at, "xml_char", "character %#x", r)
		return out
	}
	s.at += n
	return utf8.AppendRune(out, r)
}

// chars checks text that is not kept.
func (s *scanner) chars(at int, b []byte) {
	if i := bytes.IndexFunc(b, func(r rune) bool { return !isChar(r) }); i >= 0 {
		s.fail(at+i, "xml_char", "a character that XML does not have")
	}
}

// isChar is production 2 of XML 1.0.
func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}

// reference reads a character reference or one of the five entities of XML itself.
func (s *scanner) reference(out []byte) []byte {
	at := s.at
	end := bytes.IndexByte(s.b[at:min(len(s.b), at+80)], ';')
	if end < 0 {
		s.fail(at, "xml_syntax", "an & that begins no reference")
		return out
	}
	name := string(s.b[at+1 : at+end])
	s.at += end + 1
	switch name {
	case "lt":
		return append(out, '<')
	case "gt":
		return append(out, '>')
	case "amp":
		return append(out, '&')
	case "apos":
		return append(out, '\'')
	case "quot":
		return append(out, '"')
	}
	digits, base := strings.TrimPrefix(name, "#"), 10
	if digits == name {
		if !isName(name) {
			s.fail(at, "xml_syntax", "an & that begins no reference")
		} else {
			s.fail(at, "xml_entity", "entity &%.60s; is not one of XML's own five", name)
		}
		return out
	}
	if strings.HasPrefix(digits, "x") {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || strings.ContainsAny(digits, "_+") || n > utf8.MaxRune || !isChar(rune(n)) {
		s.fail(at, "xml_char", "&%.60s; is no character of XML", name)
		return out
	}
	return utf8.AppendRune(out, rune(n))
}
