package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/stockweave/stockweave/pkg/policy"
)

// Decode turns a body in an encoding of policy.Encodings into UTF-8 without a byte
// order mark; empty is UTF-8. A mark at the beginning goes before the encoding
// asked for. UTF-8 is not checked: where a bad byte stands decides how much of the
// message it costs. The error says what is wrong.
func Decode(body []byte, encoding string) ([]byte, error) {
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return body[3:], nil
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}):
		if encoding == policy.UTF16 {
			return fromUTF16(body[2:], binary.LittleEndian)
		}
		return nil, fmt.Errorf("UTF-16, which the source does not say")
	case bytes.HasPrefix(body, []byte{0xfe, 0xff}):
		if encoding == policy.UTF16 {
			return fromUTF16(body[2:], binary.BigEndian)
		}
		return nil, fmt.Errorf("UTF-16, which the source does not say")
	}
	switch encoding {
	case "", policy.UTF8:
		return body, nil
	case policy.ASCII:
		if i := bytes.IndexFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }); i >= 0 {
			return nil, fmt.Errorf("byte %d is not ASCII", i)
		}
		return body, nil
	case policy.Latin1:
		return from8Bit(body, charmap.ISO8859_1), nil
	case policy.Windows1252:
		return from8Bit(body, charmap.Windows1252), nil
	case policy.UTF16:
		return nil, fmt.Errorf("UTF-16 without a byte order mark")
	}
	return nil, fmt.Errorf("encoding %.40q is not read", encoding)
}

func from8Bit(body []byte, set *charmap.Charmap) []byte {
	out := make([]byte, 0, len(body)+len(body)/8)
	for _, b := range body {
		out = utf8.AppendRune(out, set.DecodeByte(b))
	}
	return out
}

// fromUTF16 decodes strictly: a lone surrogate is an error (RFC 2781).
func fromUTF16(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%2 != 0 {
		return nil, fmt.Errorf("UTF-16 with an odd number of bytes")
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i += 2 {
		r := rune(order.Uint16(b[i:]))
		if utf16.IsSurrogate(r) {
			low := utf8.RuneError
			if i+3 < len(b) {
				low = rune(order.Uint16(b[i+2:]))
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return nil, fmt.Errorf("byte %d: a lone surrogate", i+2)
			}
			i += 2
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}

// InvalidUTF8 is the offset of the first byte that is not UTF-8, or -1.
func InvalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// Place names a byte offset as people count: line and column (of bytes) from 1.
func Place(body []byte, at int) string {
	at = min(max(at, 0), len(body))
	line := bytes.Count(body[:at], []byte("\n")) + 1
	column := at - bytes.LastIndexByte(body[:at], '\n')
	return fmt.Sprintf("line %d column %d", line, column)
}
