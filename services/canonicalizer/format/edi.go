package format

import (
	"strings"

	"github.com/stockweave/stockweave/pkg/jq"
)

// What the two segment formats, X12 and EDIFACT, share.

// Flag is something odd in a message that does not make it untrue. Trees carry
// flags as {code, pos}, pos the segment.
func Flag(code string, pos int) map[string]any { return map[string]any{"code": code, "pos": pos} }

// Segment is a segment in a tree: its id, its number in the message, and its elements.
func Segment(id any, pos int, e any) any {
	return jq.NewObject(jq.Member{Key: "e", Value: e}, jq.Member{Key: "id", Value: id}, jq.Member{Key: "pos", Value: pos})
}

// Values makes the values of a tree with few allocations: segments are many and
// small, and most of their elements are the same short codes. The zero value is
// ready. It is not safe for concurrent use.
type Values struct {
	short [256]any
	free  []any
}

// Text is a string as a value, nil when empty.
func (v *Values) Text(s string) any {
	if s == "" {
		return nil
	}
	if len(s) > 4 {
		return s
	}
	h := uint8(len(s))
	for i := range len(s) {
		h = h*31 + s[i]
	}
	if old, ok := v.short[h].(string); ok && old == s {
		return v.short[h]
	}
	v.short[h] = s
	return v.short[h]
}

// List is a list of n empty values; more is how many the caller may still want.
func (v *Values) List(n, more int) []any {
	if len(v.free) < n {
		v.free = make([]any, max(n, min(more, 2048)))
	}
	list := v.free[:n:n]
	v.free = v.free[n:]
	return list
}

// Blank says whether c may stand between segments: line ends, indentation, and the
// fillers of old transfers.
func Blank(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0 || c == 0x1a
}

// SkipBlank cuts what stands between segments off the front.
func SkipBlank(s string) string {
	for i := range len(s) {
		if !Blank(s[i]) {
			return s[i:]
		}
	}
	return ""
}

// Trim cuts white space off both ends.
func Trim(s string) string {
	if s == "" || s[0] > ' ' && s[0] < 0x80 && s[len(s)-1] > ' ' && s[len(s)-1] < 0x80 {
		return s
	}
	return strings.TrimSpace(s)
}

// Alphanumeric says whether c is an ASCII letter or digit: no delimiter.
func Alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// minWrap is the shortest line that Unwrap takes for a wrapped one.
const minWrap = 60

// Unwrap takes the line ends out of a message that was cut into lines of one
// length, as mainframes do, wherever its segments end. Where line ends end
// segments the lines differ in length.
func Unwrap(s string) string {
	width := strings.IndexByte(s, '\n')
	if width < minWrap {
		return s
	}
	lines := 0
	for rest := s; rest != ""; lines++ {
		n := strings.IndexByte(rest, '\n')
		if n < 0 {
			n = len(rest)
		}
		if n > width || n < width && SkipBlank(rest[n:]) != "" {
			return s
		}
		rest = rest[min(n+1, len(rest)):]
	}
	if lines < 3 {
		return s
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(s)
}

// TornAt finds where a segment lost its terminator: a line end inside it with what
// looks like the next segment behind, a tag and then a separator. It gives where
// the first ends and the next begins, or -1.
func TornAt(segment, separator string) (end, next int) {
	for from := 0; ; {
		n := strings.IndexByte(segment[from:], '\n')
		if n < 0 {
			return -1, -1
		}
		end = from + n
		rest := SkipBlank(segment[end:])
		tag := 0
		for tag < len(rest) && tag < 4 && ('A' <= rest[tag] && rest[tag] <= 'Z' || tag > 0 && '0' <= rest[tag] && rest[tag] <= '9') {
			tag++
		}
		if (tag == 2 || tag == 3) && strings.HasPrefix(rest[tag:], separator) {
			return end, len(segment) - len(rest)
		}
		if rest == "" {
			return -1, -1
		}
		from = len(segment) - len(rest)
	}
}
