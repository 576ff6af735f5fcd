package service

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// head is a request's head as plain as most are: HTTP/1.1 (RFC 9112), lines that end in CR
// LF, one Host, printable ASCII, no line folded. What is not so is not understood, right or
// wrong, and is for net/http to say.
type head struct {
	method, target, host []byte

	size    int   // bytes, the empty line included
	content int64 // bytes of the body that follow; -1: that is not understood
	plain   bool  // it says nothing of the connection or a body, and all its fields are known

	fields [maxFields]field
	n      int
}

// field is a line of the head.
type field struct {
	name  string // canonical
	value []byte
}

// maxFields bounds the fields of a head that is understood.
const maxFields = 24

// read reads the head that text begins with, and says whether it is whole and understood.
// Its pieces are of text.
func (h *head) read(text []byte) bool {
	*h = head{plain: true}
	line, rest, ok := bytes.Cut(text, []byte("\r\n"))
	if !ok || !h.request(line) {
		return false
	}
	for {
		if line, rest, ok = bytes.Cut(rest, []byte("\r\n")); !ok {
			return false
		}
		if len(line) == 0 {
			h.size = len(text) - len(rest)
			return h.host != nil
		}
		if !h.field(line) {
			return false
		}
	}
}

// request reads the first line.
func (h *head) request(line []byte) (ok bool) {
	if line, ok = bytes.CutSuffix(line, []byte(" HTTP/1.1")); !ok {
		return false
	}
	h.method, h.target, ok = bytes.Cut(line, []byte(" "))
	if !ok || !all(h.method, upper) || len(h.target) == 0 || h.target[0] != '/' {
		return false
	}
	return all(h.target, graphic)
}

func (h *head) field(line []byte) bool {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || !all(name, tokenByte) {
		return false
	}
	value = bytes.Trim(value, " \t")
	if !all(value, valueByte) {
		return false
	}
	switch key := textproto.CanonicalMIMEHeaderKey(string(name)); key {
	case "Host":
		if h.host != nil || len(value) == 0 || !all(value, hostByte) {
			return false
		}
		h.host = value
	case "Content-Length":
		if h.content != 0 || len(value) > 9 || !h.length(value) {
			h.content = -1
		}
		h.plain = false
	case "Transfer-Encoding":
		h.content, h.plain = -1, false
	case "Connection":
		h.plain = h.plain && strings.EqualFold(string(value), "keep-alive")
		return h.keep(key, value)
	case "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Forwarded", "If-None-Match", "Traceparent", "Tracestate",
		"User-Agent", "Via", "X-Api-Key", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id":
		return h.keep(key, value)
	default:
		h.plain = false
	}
	return true
}

func (h *head) keep(name string, value []byte) bool {
	if h.n == len(h.fields) {
		return false
	}
	h.fields[h.n] = field{name, value}
	h.n++
	return true
}

func (h *head) length(digits []byte) bool {
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
		h.content = h.content*10 + int64(c-'0')
	}
	return len(digits) > 0
}

// header is the fields as net/http has them.
func (h *head) header() http.Header {
	out := make(http.Header, h.n)
	for _, f := range h.fields[:h.n] {
		out[f.name] = append(out[f.name], string(f.value))
	}
	return out
}

// locate reads a target as net/http does; false where that is not as simple as it looks.
func locate(target string, into *url.URL) bool {
	path, query, _ := strings.Cut(target, "?")
	for i := range len(path) {
		if !pathByte(path[i]) {
			return false
		}
	}
	if query == "" && len(path) < len(target) {
		return false
	}
	*into = url.URL{Path: path, RawQuery: query}
	return true
}

func all(text []byte, is func(byte) bool) bool {
	for _, c := range text {
		if !is(c) {
			return false
		}
	}
	return true
}

func upper(c byte) bool   { return 'A' <= c && c <= 'Z' }
func letter(c byte) bool  { return 'a' <= c && c <= 'z' || upper(c) || '0' <= c && c <= '9' }
func graphic(c byte) bool { return '!' <= c && c <= '~' }
func tokenByte(c byte) bool {
	return letter(c) || c == '-' || strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0
}
func valueByte(c byte) bool { return ' ' <= c && c <= '~' || c == '\t' }
func hostByte(c byte) bool {
	return letter(c) || c == '-' || c == '.' || c == ':' || c == '[' || c == ']' || c == '_'
}

func pathByte(c byte) bool {
	return letter(c) || c == '-' || c == '/' || c == '.' || c == '_' || c == '~'
}
