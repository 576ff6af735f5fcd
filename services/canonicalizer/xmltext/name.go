package xmltext

import (
	"unicode/utf8"
)

// rawName reads a name (XML 1.0 §2.3), colons included.
func (s *scanner) rawName() string {
	from := s.at
	for s.at < len(s.b) {
		c := s.b[s.at]
		if c < utf8.RuneSelf {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' ||
				s.at > from && (c >= '0' && c <= '9' || c == '-' || c == '.') {
				s.at++
				continue
			}
			break
		}
		r, n := utf8.DecodeRune(s.b[s.at:])
		if !nameStart(r) && (s.at == from || !nameLater(r)) {
			break
		}
		s.at += n
	}
	if s.at == from {
		if s.at >= len(s.b) {
			s.fail(s.at, "xml_syntax", "it ends where a name should be")
		} else {
			r, _ := utf8.DecodeRune(s.b[s.at:])
			s.fail(s.at, "xml_syntax", "%q where a name should be", r)
		}
		return ""
	}
	if s.at-from > 1000 {
		s.fail(from, "xml_syntax", "a name of %d bytes", s.at-from)
		return ""
	}
	return string(s.b[from:s.at])
}

func nameStart(r rune) bool {
	switch {
	case r < 0x80:
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
	case r < 0x300:
		return r >= 0xc0 && r != 0xd7 && r != 0xf7
	}
	return r >= 0x370 && r <= 0x1fff && r != 0x37e || r == 0x200c || r == 0x200d || r >= 0x2070 && r <= 0x218f ||
		r >= 0x2c00 && r <= 0x2fef || r >= 0x3001 && r <= 0xd7ff || r >= 0xf900 && r <= 0xfdcf ||
		r >= 0xfdf0 && r <= 0xfffd || r >= 0x10000 && r <= 0xeffff
}

func isName(s string) bool {
	for i, r := range s {
		if !nameStart(r) && (i == 0 || !nameLater(r) && (r < '0' || r > '9') && r != '-' && r != '.') {
			return false
		}
	}
	return s != ""
}

func nameLater(r rune) bool {
	return r == 0xb7 || r >= 0x300 && r <= 0x36f || r == 0x203f || r == 0x2040
}
