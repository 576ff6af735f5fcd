package ingest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/policy"
)

// What a process remembers of Idempotency-Keys. What must hold without memory rests
// on the ids of messages: see try.id.
const (
	keysKept  = 24 * time.Hour
	mostKeys  = 50_000
	maxAnswer = 4 << 10 // bytes; longer answers are worked out again
)

// try is one attempt at something that may have been tried before. A nil one has no
// Idempotency-Key.
type try struct {
	window     *idempotent.Window
	scope, key string
	over       bool

	// Of content that is read as it comes: what is left of it, and the digest of what
	// was read.
	rest io.Reader
	sum  hash.Hash
}

// again looks whether a request was here before, once it is known who sends it and
// what: then answer is what was said. Else the caller goes on, and says what came of
// it by done or, in any case at the end, by end.
func (p *porter) again(r *http.Request, v *visit, body []byte) (t *try, answer *idempotent.Answer, err error) {
	return p.ask(r, v, []byte("whole"), body)
}

// againStream is again for content that is not in memory: the caller goes on with the
// one it is given. Whether it is what came before is known when all of it was read:
// goOn is called while that takes its time. An error of reading is the content's.
func (p *porter) againStream(r *http.Request, v *visit, content io.Reader, goOn func()) (t *try, all io.Reader, answer *idempotent.Answer, err error) {
	sum := sha256.New()
	all = io.TeeReader(content, sum)
	t, answer, err = p.ask(r, v, []byte("stream"), nil)
	if t != nil {
		t.rest, t.sum = all, sum
	}
	if answer == nil {
		return t, all, nil, err
	}
	if err := drain(all, goOn); err != nil {
		return nil, nil, nil, err
	}
	if [sha256.Size]byte(sum.Sum(nil)) != answer.Content {
		return nil, nil, nil, keyReused()
	}
	return nil, nil, answer, nil
}

// drain reads to the end.
func drain(r io.Reader, goOn func()) error {
	for {
		_, err := io.CopyN(io.Discard, r, 1<<20)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err //nolint:wrapcheck // the caller says what is wrong with the content
		}
		goOn()
	}
}

func keyReused() *problem {
	return newProblem(http.StatusUnprocessableEntity, "idempotency_key_reused", "the Idempotency-Key was used for another request")
}

func (p *porter) ask(r *http.Request, v *visit, sort, body []byte) (t *try, answer *idempotent.Answer, err error) {
	key, err := idempotent.Key(r.Header)
	if err != nil {
		return nil, nil, newProblem(http.StatusBadRequest, "bad_idempotency_key", err.Error())
	}
	if key == "" {
		if v.door.src.Door.IdempotencyKey == policy.IdempotencyRequired {
			return nil, nil, newProblem(http.StatusBadRequest, "idempotency_key_required", "the source sends an Idempotency-Key with each request")
		}
		return nil, nil, nil
	}
	t = &try{window: p.window, scope: string(v.door.src.Name) + "\x00" + v.principal, key: key}
	parts := [][]byte{sort, []byte(r.URL.Path), []byte(r.Header.Get("Content-Type")), []byte(r.Header.Get("X-Filename")), body}
	for _, h := range v.door.src.Headers { // the mapping sees them
		parts = append(parts, []byte(r.Header.Get(h)))
	}
	found, a := p.window.Begin(t.scope, t.key, idempotent.Fingerprint(parts...))
	switch found {
	case idempotent.New:
	case idempotent.Again:
		return nil, &a, nil
	case idempotent.UnderWay:
		p := newProblem(http.StatusConflict, "idempotency_key_in_use", "the first request with this Idempotency-Key has no answer yet")
		p.retryAfter = 1
		return nil, nil, p
	case idempotent.Other:
		return nil, nil, keyReused()
	}
	return t, nil, nil
}

// id is the id of a message of the request, from 0: a UUID version 8 (RFC 9562 §5.8)
// in 32 hex digits that follows from source, principal, key, number and body. So
// every process gives the same message the same id, at any time, whatever it
// remembers; another body under the same key is another message. Without a key it is
// the one given. An id that is signed goes before a key, which anybody could change.
func (t *try) id(number int, body []byte, other string) string {
	if t == nil {
		return other
	}
	return idempotent.ID([]byte("stockweave raw message"), []byte(t.scope), []byte(t.key), []byte(strconv.Itoa(number)), body)
}

// dedupeKey is what the message carries of the key, where its source names no header
// of its own.
func (t *try) dedupeKey(other string) string {
	if t == nil || other != "" {
		return other
	}
	return t.key
}

// done remembers an answer.
func (t *try) done(a idempotent.Answer) {
	if t == nil {
		return
	}
	if t.sum != nil {
		if drain(t.rest, func() {}) != nil {
			return // it never came whole, and may come again
		}
		a.Content = [sha256.Size]byte(t.sum.Sum(nil))
	}
	t.over = true
	t.window.Done(t.scope, t.key, a)
}

// end forgets an attempt that came to nothing, so that it may be made again.
func (t *try) end() {
	if t != nil && !t.over {
		t.window.Failed(t.scope, t.key)
	}
}

// answer is an answer in JSON, and remembers it.
func (t *try) answer(status int, v any) (*idempotent.Answer, error) {
	a, err := answer(status, v)
	if err != nil {
		return nil, err
	}
	t.done(a)
	return &a, nil
}

func answer(status int, v any) (idempotent.Answer, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return idempotent.Answer{}, fmt.Errorf("encoding an answer: %w", err)
	}
	return idempotent.Answer{Status: status, Type: echo.MIMEApplicationJSON, Body: append(b, '\n')}, nil
}
