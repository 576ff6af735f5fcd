// Package idempotent remembers what requests with an Idempotency-Key were answered
// (draft-ietf-httpapi-idempotency-key-header-07), in bounded memory of one process
// and by a clock that is handed in. It is a courtesy to whoever asks again soon: what
// has to hold when another process is asked, or this one has started again, must rest
// on identities derived from the key.
package idempotent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Header is the name of the field.
const Header = "Idempotency-Key"

// MaxKey bounds a key, characters.
const MaxKey = 255

// What is wrong with a key.
var (
	ErrMalformed = errors.New("the Idempotency-Key is no string of 1 to 255 visible characters")
	ErrSeveral   = errors.New("there are several Idempotency-Keys")
)

// Key reads the key of a request, empty where there is none. By the draft it is a
// string of RFC 9651 §3.3.3, in quotes; without quotes it is taken as well, since
// most senders leave them out, and means the same.
func Key(h http.Header) (string, error) {
	values := h.Values(Header)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", ErrSeveral
	}
	v := trim(values[0])
	if v == "" || v[0] != '"' {
		return plain(v)
	}
	var out []byte
	for i := 1; i < len(v); i++ {
		switch c := v[i]; c {
		case '"':
			// Parameters may follow, and say nothing (RFC 9651 §4.2.3).
			if rest := v[i+1:]; rest != "" && rest[0] != ';' {
				return "", ErrMalformed
			}
			return plain(string(out))
		case '\\':
			if i++; i == len(v) || v[i] != '"' && v[i] != '\\' {
				return "", ErrMalformed
			}
			out = append(out, v[i])
		default:
			out = append(out, c)
		}
	}
	return "", ErrMalformed // it does not end
}

func plain(s string) (string, error) {
	if s == "" || len(s) > MaxKey {
		return "", ErrMalformed
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", ErrMalformed
		}
	}
	return s, nil
}

func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// Fingerprint tells one request from another under the same key, by all that makes
// it what it is.
func Fingerprint(parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		for i := range 8 {
			n[i] = byte(uint64(len(p)) >> (8 * i))
		}
		h.Write(n[:])
		h.Write(p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// ID is a UUID version 8 (RFC 9562 §5.8) in 32 hex digits: a function of its parts, by
// their Fingerprint.
func ID(parts ...[]byte) string {
	sum := Fingerprint(parts...)
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return hex.EncodeToString(sum[:16])
}

// Found is what is known of a key.
type Found int

// What is known.
const (
	New      Found = iota // nobody has asked with it: the caller goes on, and calls Done or Failed
	Again                 // it was answered: the answer is returned
	UnderWay              // the first request with it has no answer yet
	Other                 // it was used for another request
)

// Answer is what is said again.
type Answer struct {
	Status int
	Type   string // content type
	Body   []byte
	// Content is for the caller: the digest of a request that was not in memory when
	// it asked, which it has to compare by itself.
	Content [sha256.Size]byte
}

// entry is one key.
type entry struct {
	print  [sha256.Size]byte
	until  time.Time
	done   bool
	answer Answer
	next   string // the key answered after it
}

// Window remembers keys. It is safe for concurrent use.
type Window struct {
	now  func() time.Time
	keep time.Duration
	most int

	mu          sync.Mutex
	entries     map[string]*entry
	first, last string // in the order they were answered
	maxBody     int
	pending     int // entries not answered yet
}

// NewWindow remembers answers for so long, and at most so many keys; the oldest go
// first. Answers of more than maxBody bytes are not remembered.
func NewWindow(keep time.Duration, most, maxBody int, now func() time.Time) *Window {
	return &Window{now: now, keep: keep, most: max(1, most), maxBody: maxBody, entries: map[string]*entry{}}
}

// Begin asks for a key within its scope, such as a partner's name.
func (w *Window) Begin(scope, key string, print [sha256.Size]byte) (Found, Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expire()
	name := scope + "\x00" + key
	e := w.entries[name]
	switch {
	case e == nil:
		w.entries[name] = &entry{print: print}
		w.pending++
		return New, Answer{}
	case e.print != print:
		return Other, Answer{}
	case !e.done:
		return UnderWay, Answer{}
	}
	return Again, e.answer
}

// Done remembers the answer of a request that Begin called new.
func (w *Window) Done(scope, key string, a Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := scope + "\x00" + key
	e := w.entries[name]
	if e == nil || e.done {
		return
	}
	w.pending--
	if len(a.Body) > w.maxBody {
		delete(w.entries, name)
		return
	}
	e.done, e.answer, e.until = true, a, w.now().Add(w.keep)
	if w.last == "" {
		w.first = name
	} else {
		w.entries[w.last].next = name
	}
	w.last = name
	for len(w.entries)-w.pending > w.most {
		w.drop()
	}
}

// Failed forgets a request that was not carried out: with the same key it may be
// tried again.
func (w *Window) Failed(scope, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := scope + "\x00" + key
	if e := w.entries[name]; e != nil && !e.done {
		delete(w.entries, name)
		w.pending--
	}
}

// Len is how many keys are remembered.
func (w *Window) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries)
}

func (w *Window) expire() {
	now := w.now()
	for w.first != "" && !now.Before(w.entries[w.first].until) {
		w.drop()
	}
}

// drop forgets the key answered first.
func (w *Window) drop() {
	name := w.first
	w.first = w.entries[name].next
	if w.first == "" {
		w.last = ""
	}
	delete(w.entries, name)
}
