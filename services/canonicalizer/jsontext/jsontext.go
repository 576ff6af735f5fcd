// Package jsontext reads JSON (RFC 8259) strictly, for the formats that are written
// in it. What readers disagree about is refused: repeated keys, invalid UTF-8, lone
// surrogates, NUL, comments, trailing commas, NaN, anything behind the document.
// Numbers stay the text they were written as.
package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Limits of a number: beyond them no quantity, time or id is meant, and computing
// with it costs more than its text.
const (
	maxDigits   = 128 // bytes of its text
	maxExponent = 400
)

// Read reads one document. Its fault codes are json_syntax, json_too_deep,
// json_too_large, json_duplicate_key, json_number, json_surrogate, json_nul,
// json_encoding and invalid_utf8; reasons have line, column and, inside the
// document, a JSON Pointer (RFC 6901).
func Read(body []byte) (any, *format.Fault) {
	body, fault := Text(body)
	if fault != nil {
		return nil, fault
	}
	return ReadLine(body, 1)
}

// Text takes off a byte order mark, which RFC 8259 §8.1 lets a reader ignore, and
// refuses UTF-16 and UTF-32 by name: by a mark, or by the NULs that a first ASCII
// character has in them.
func Text(body []byte) ([]byte, *format.Fault) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	head := body[:min(len(body), 2)]
	if bytes.Equal(head, []byte{0xff, 0xfe}) || bytes.Equal(head, []byte{0xfe, 0xff}) || bytes.IndexByte(head, 0) >= 0 {
		return nil, format.Faultf("json_encoding", "UTF-16 or UTF-32; JSON between systems is UTF-8")
	}
	return body, nil
}

// ReadLine reads a document, without a byte order mark, whose first line is line
// number firstLine of the message.
func ReadLine(body []byte, firstLine int) (any, *format.Fault) {
	p := parser{b: body}
	if at := format.InvalidUTF8(body); at >= 0 {
		p.fail(at, "invalid_utf8", "not UTF-8")
		return nil, p.placed(firstLine)
	}
	tree := p.value(0)
	if p.space(); p.fault == nil && p.at < len(p.b) {
		p.path = nil
		p.fail(p.at, "json_syntax", "something follows the document")
	}
	if p.fault != nil {
		return nil, p.placed(firstLine)
	}
	return tree, nil
}

// parser walks a document once. After the first fault nothing else is read.
type parser struct {
	b       []byte
	at      int
	path    []any // string or int: where it is
	budget  format.Budget
	scratch []byte
	keys    map[string]string // keys seen, so that a thousand rows share theirs
	fault   *format.Fault
	faultAt int
}

func (p *parser) fail(at int, code, reason string, args ...any) {
	if p.fault == nil {
		p.fault, p.faultAt = format.Faultf(code, reason, args...), at
	}
}

func (p *parser) placed(firstLine int) *format.Fault {
	place := format.Place(p.b, p.faultAt)
	if firstLine > 1 { // of lines of JSON, each of which is one line
		place = fmt.Sprintf("line %d column %d", firstLine, p.faultAt+1)
	}
	if len(p.path) > 0 {
		place += " at " + p.pointer()
	}
	p.fault.Reason = place + ": " + p.fault.Reason
	return p.fault
}

func (p *parser) pointer() string {
	var s strings.Builder
	for _, t := range p.path {
		s.WriteByte('/')
		switch t := t.(type) {
		case int:
			s.WriteString(strconv.Itoa(t))
		case string:
			s.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(fmt.Sprintf("%.60s", t)))
		}
		if s.Len() > 300 {
			return s.String() + "…"
		}
	}
	return s.String()
}

func (p *parser) space() {
	for p.at < len(p.b) {
		switch p.b[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek is the next byte that is no white space, 0 at the end.
func (p *parser) peek() byte {
	p.space()
	if p.at < len(p.b) {
		return p.b[p.at]
	}
	return 0
}

func (p *parser) unexpected(wanted string) {
	switch c := p.peek(); {
	case p.at >= len(p.b):
		p.fail(p.at, "json_syntax", "it ends where %s should be", wanted)
	case c == '/' || c == '#':
		p.fail(p.at, "json_syntax", "a comment; JSON has none")
	case c == '\'':
		p.fail(p.at, "json_syntax", "a single quote where %s should be", wanted)
	default:
		r, _ := utf8.DecodeRune(p.b[p.at:])
		p.fail(p.at, "json_syntax", "%q where %s should be", r, wanted)
	}
}

func (p *parser) value(depth int) any {
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if depth >= format.MaxDepth {
			p.fail(p.at, "json_too_deep", "deeper than %d", format.MaxDepth)
			return nil
		}
		p.at++
		if c == '{' {
			return p.object(depth + 1)
		}
		return p.array(depth + 1)
	case c == '"':
		s := p.text()
		if !p.budget.Text(len(s)) {
			p.tooLarge()
		}
		return string(s)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, w := range [...]struct {
		word  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		if bytes.HasPrefix(p.b[p.at:], []byte(w.word)) {
			p.at += len(w.word)
			return w.value
		}
	}
	for _, w := range [...]string{"NaN", "Infinity", "+"} {
		if bytes.HasPrefix(p.b[p.at:], []byte(w)) {
			p.fail(p.at, "json_number", "%s is no JSON number", w)
			return nil
		}
	}
	p.unexpected("a value")
	return nil
}

func (p *parser) tooLarge() {
	p.fail(p.at, "json_too_large", "more values than %d bytes of memory hold", format.MaxTree)
}

func (p *parser) array(depth int) any {
	list := []any{}
	if p.peek() == ']' {
		p.at++
		return list
	}
	for p.fault == nil {
		if !p.budget.Elem() {
			p.tooLarge()
			break
		}
		p.path = append(p.path, len(list))
		v := p.value(depth)
		if p.fault != nil {
			return nil
		}
		p.path = p.path[:len(p.path)-1]
		list = append(list, v)
		switch p.peek() {
		case ',':
			p.at++
			if p.peek() == ']' {
				p.fail(p.at, "json_syntax", "a comma behind the last element")
			}
		case ']':
			p.at++
			return list
		default:
			p.unexpected("a comma or ]")
		}
	}
	return nil
}

func (p *parser) object(depth int) any {
	object := map[string]any{}
	if p.peek() == '}' {
		p.at++
		if !p.budget.Elem() {
			p.tooLarge()
		}
		return object
	}
	if !p.budget.Object() {
		p.tooLarge()
	}
	for p.fault == nil {
		if p.peek() != '"' {
			p.unexpected("a key in double quotes")
			break
		}
		start := p.at
		key := p.key()
		if p.fault != nil {
			break
		}
		p.path = append(p.path, key)
		if _, twice := object[key]; twice {
			p.fail(start, "json_duplicate_key", "%.100q stands there twice", key)
			break
		}
		if p.peek() != ':' {
			p.unexpected("a colon")
			break
		}
		p.at++
		if len(object) >= 8 && !p.budget.Member() {
			p.tooLarge()
			break
		}
		v := p.value(depth)
		if p.fault != nil {
			return nil
		}
		p.path = p.path[:len(p.path)-1]
		object[key] = v
		switch p.peek() {
		case ',':
			p.at++
			if p.peek() == '}' {
				p.fail(p.at, "json_syntax", "a comma behind the last member")
			}
		case '}':
			p.at++
			return object
		default:
			p.unexpected("a comma or }")
		}
	}
	return nil
}

func (p *parser) key() string {
	b := p.text()
	if s, ok := p.keys[string(b)]; ok {
		return s
	}
	s := string(b)
	if !p.budget.Text(len(s)) {
		p.tooLarge()
	}
	if p.keys == nil {
		p.keys = map[string]string{}
	}
	if len(p.keys) < 256 {
		p.keys[s] = s
	}
	return s
}

// text reads a string; what it returns is good until the next one.
func (p *parser) text() []byte {
	p.at++
	start := p.at
	for p.at < len(p.b) {
		switch c := p.b[p.at]; {
		case c == '"':
			p.at++
			return p.b[start : p.at-1]
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			p.control(c)
			return nil
		default:
			p.at++
		}
	}
	p.fail(p.at, "json_syntax", "a string that does not end")
	return nil
}

func (p *parser) control(c byte) {
	if c == 0 {
		p.fail(p.at, "json_nul", "a NUL in a string")
		return
	}
	p.fail(p.at, "json_syntax", "control character %#x in a string", c)
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escaped(start int) []byte {
	out := append(p.scratch[:0], p.b[start:p.at]...)
	for p.at < len(p.b) {
		c := p.b[p.at]
		switch {
		case c == '"':
			p.at++
			p.scratch = out
			return out
		case c < ' ':
			p.control(c)
			return nil
		case c != '\\':
			out = append(out, c)
			p.at++
			continue
		}
		at := p.at
		if p.at+1 >= len(p.b) {
			break
		}
		if e := escapes[p.b[p.at+1]]; e != 0 {
			out = append(out, e)
			p.at += 2
			continue
		}
		r, ok := p.unit()
		if !ok {
			p.fail(at, "json_syntax", "an escape that JSON does not have")
			return nil
		}
		if utf16.IsSurrogate(r) {
			low, _ := p.unit()
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				p.fail(at, "json_surrogate", "a lone surrogate")
				return nil
			}
		}
		if r == 0 {
			p.fail(at, "json_nul", "a NUL in a string")
			return nil
		}
		out = utf8.AppendRune(out, r)
	}
	p.fail(len(p.b), "json_syntax", "a string that does not end")
	return nil
}

// unit reads \uXXXX.
func (p *parser) unit() (rune, bool) {
	if p.at+6 > len(p.b) || p.b[p.at] != '\\' || p.b[p.at+1] != 'u' {
		return utf8.RuneError, false
	}
	var r rune
	for _, c := range p.b[p.at+2 : p.at+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return utf8.RuneError, false
		}
		r = r<<4 | rune(c)
	}
	p.at += 6
	return r, true
}

// number reads a number (RFC 8259 §6) and keeps its text.
func (p *parser) number() any {
	start := p.at
	digits := func() bool {
		from := p.at
		for p.at < len(p.b) && p.b[p.at] >= '0' && p.b[p.at] <= '9' {
			p.at++
		}
		return p.at > from
	}
	next := func(set string) bool {
		if p.at < len(p.b) && strings.IndexByte(set, p.b[p.at]) >= 0 {
			p.at++
			return true
		}
		return false
	}
	next("-")
	whole := p.at
	ok := digits()
	if !ok && bytes.HasPrefix(p.b[p.at:], []byte("Infinity")) {
		p.fail(start, "json_number", "-Infinity is no JSON number")
		return nil
	}
	if ok && p.b[whole] == '0' && p.at > whole+1 {
		p.fail(start, "json_syntax", "a number with a leading zero")
		return nil
	}
	if next(".") {
		ok = digits() && ok
	}
	exponent := ""
	if next("eE") {
		next("+-")
		from := p.at
		ok = digits() && ok
		exponent = strings.TrimLeft(string(p.b[from:min(p.at, from+maxDigits)]), "0")
	}
	if !ok {
		p.unexpected("a digit")
		return nil
	}
	n, _ := strconv.Atoi("0" + exponent[:min(len(exponent), 4)])
	switch {
	case p.at-start > maxDigits:
		p.fail(start, "json_number", "a number of %d characters, more than %d", p.at-start, maxDigits)
		return nil
	case n > maxExponent:
		p.fail(start, "json_number", "the exponent of %.40s is beyond %d", p.b[start:p.at], maxExponent)
		return nil
	case !p.budget.Text(p.at - start):
		p.tooLarge()
		return nil
	}
	return json.Number(p.b[start:p.at])
}
