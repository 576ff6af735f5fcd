package service

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// briefAnswer is an answer as it is written, byte for byte what net/http makes of it: but
// one of more than 2 KiB has a length, and what is informational is left out. It is used
// again from answer to answer.
type briefAnswer struct {
	header http.Header
	keys   []string
	status int
	last   bool // the connection ends with it
	dated  bool
	sized  bool
	typed  bool
	out    []byte // the head, from WriteHeader on, and in the end all
	body   []byte
}

// maxAnswerKept bounds what a connection keeps for its next answer, bytes.
const maxAnswerKept = 16 << 10

func (a *briefAnswer) begin() {
	clear(a.header)
	if cap(a.out) > maxAnswerKept || cap(a.body) > maxAnswerKept {
		a.out, a.body = nil, nil
	}
	*a = briefAnswer{header: a.header, keys: a.keys[:0], out: a.out[:0], body: a.body[:0]}
}

// Header implements http.ResponseWriter.
func (a *briefAnswer) Header() http.Header { return a.header }

// Write implements http.ResponseWriter.
func (a *briefAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if !a.bodied() {
		return 0, http.ErrBodyNotAllowed
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

// bodied says whether an answer of the status has a body (RFC 9110 §15).
func (a *briefAnswer) bodied() bool {
	return a.status != http.StatusNoContent && a.status != http.StatusNotModified
}

// WriteHeader implements http.ResponseWriter.
func (a *briefAnswer) WriteHeader(status int) {
	if a.status != 0 || status < http.StatusOK {
		return
	}
	a.status = status
	text := http.StatusText(status)
	if text == "" {
		text = "status code " + strconv.Itoa(status)
	}
	a.out = append(strconv.AppendInt(append(a.out, "HTTP/1.1 "...), int64(status), 10), ' ')
	a.out = append(append(a.out, text...), "\r\n"...)
	for key := range a.header {
		a.keys = append(a.keys, key)
	}
	slices.Sort(a.keys)
	for _, key := range a.keys {
		values := a.header[key]
		if len(values) == 0 || !a.notes(key, values[0]) {
			continue
		}
		for _, v := range values {
			a.line(key, v)
		}
	}
}

// notes takes note of a field that says what would else be added, and says whether it is
// written.
func (a *briefAnswer) notes(key, value string) bool {
	switch key {
	case "Date":
		a.dated = true
	case "Content-Length":
		a.sized = true
		return a.bodied()
	case "Content-Type":
		a.typed = true
		return a.status != http.StatusNotModified
	case "Content-Encoding":
		a.typed = a.typed || value != ""
	case "Connection":
		a.last = a.last || value == "close"
	case "Transfer-Encoding":
		return false
	}
	for i := range len(key) {
		if !tokenByte(key[i]) {
			return false
		}
	}
	return key != ""
}

func (a *briefAnswer) line(key, value string) {
	if strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, '\n') >= 0 {
		value = strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	}
	a.out = append(append(a.out, key...), ": "...)
	a.out = append(append(a.out, strings.Trim(value, " \t")...), "\r\n"...)
}

// end makes the answer whole; last says that no request is answered after it.
func (a *briefAnswer) end(date string, last bool) {
	a.WriteHeader(http.StatusOK)
	if !a.dated {
		a.line("Date", date)
	}
	if a.bodied() && !a.sized {
		a.out = append(a.out, "Content-Length: "...)
		a.out = append(strconv.AppendInt(a.out, int64(len(a.body)), 10), "\r\n"...)
	}
	if a.bodied() && !a.typed && len(a.body) > 0 {
		a.line("Content-Type", http.DetectContentType(a.body))
	}
	if last && !a.last {
		a.line("Connection", "close")
	}
	a.out = append(append(a.out, "\r\n"...), a.body...)
}
