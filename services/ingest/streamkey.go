package ingest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
)

// streamKey is what identifies the document within its source, so that messages of
// one document keep their order. A body that cannot be read up to there has none: then
// the source as a whole is one stream, and the canonicalizer says what is wrong, as it
// does of what is damaged behind the key, or has the key twice: the first holds.
func streamKey(src *policy.Source, body []byte) string {
	if src.StreamKey == "" {
		return ""
	}
	p := pointed{b: bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))}
	// RFC 6901: ~1 is /, ~0 is ~, in that order.
	for token := range strings.SplitSeq(src.StreamKey[1:], "/") {
		if !p.enter(strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")) {
			return ""
		}
	}
	return kept(p.scalar())
}

// pointed walks JSON to a value and reads no more of it than it must. It keeps nothing
// and does not nest: any body costs its length.
type pointed struct {
	b  []byte
	at int
}

// peek is the next byte that is no white space (RFC 8259 §2), 0 at the end.
func (p *pointed) peek() byte {
	for ; p.at < len(p.b); p.at++ {
		switch p.b[p.at] {
		case ' ', '\t', '\n', '\r':
		default:
			return p.b[p.at]
		}
	}
	return 0
}

// take steps over a byte that must come next.
func (p *pointed) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

// enter goes to the member or the element that a token names.
func (p *pointed) enter(token string) bool {
	switch p.peek() {
	case '{':
		for p.at++; p.peek() == '"'; p.at++ {
			key := p.text()
			if key == nil || !p.take(':') {
				return false
			}
			if named(key, token) {
				return true
			}
			if p.skip(); p.peek() != ',' {
				return false
			}
		}
	case '[':
		n, err := strconv.Atoi(token)
		if err != nil || n < 0 {
			return false
		}
		p.at++
		for ; n > 0; n-- {
			if p.skip(); !p.take(',') {
				return false
			}
		}
		return p.peek() != ']'
	}
	return false
}

func named(key []byte, token string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key[1:len(key)-1]) == token
	}
	var s string
	return json.Unmarshal(key, &s) == nil && s == token
}

// text steps over a text and gives it with its quotes, nil where it does not end.
func (p *pointed) text() []byte {
	from := p.at
	for p.at++; ; p.at += 2 { // behind a backslash and what it escapes
		n := bytes.IndexAny(p.b[min(p.at, len(p.b)):], "\"\\")
		if n < 0 {
			p.at = len(p.b)
			return nil
		}
		if p.at += n; p.b[p.at] == '"' {
			p.at++
			return p.b[from:p.at]
		}
	}
}

// skip steps over a value, whatever is in it.
func (p *pointed) skip() {
	for depth := 0; ; {
		switch p.peek() {
		case 0:
			return
		case '"':
			p.text()
		case '{', '[':
			depth++
			p.at++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return
			}
			p.at++
		case ',', ':':
			if depth == 0 {
				return
			}
			p.at++
			continue
		default:
			p.bare()
		}
		if depth == 0 {
			return
		}
	}
}

// bare steps over a number or a word.
func (p *pointed) bare() []byte {
	from := p.at
	for p.at < len(p.b) && !strings.ContainsRune(" \t\n\r,:{}[]\"", rune(p.b[p.at])) {
		p.at++
	}
	return p.b[from:p.at]
}

// scalar is the text or the number that stands here; empty where it is neither.
func (p *pointed) scalar() string {
	switch c := p.peek(); {
	case c == '"':
		var s string
		if json.Unmarshal(p.text(), &s) != nil {
			return ""
		}
		return s
	case c == '-' || '0' <= c && c <= '9':
		n := p.bare()
		if !json.Valid(n) {
			return ""
		}
		return string(n)
	}
	return ""
}

// traceParent is the sender's W3C trace context (Trace Context, version 00), empty
// when it is none.
func traceParent(h http.Header) string {
	t := h.Get("traceparent")
	if len(t) != 55 || t[2] != '-' || t[35] != '-' || t[52] != '-' {
		return ""
	}
	for i := range len(t) {
		if c := t[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return t
}
