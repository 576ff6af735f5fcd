package atpapi

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// pool has things that are used again. What is put into it is as a new one, but for room.
// It is safe for concurrent use.
type pool[T any] struct{ of sync.Pool }

func (p *pool[T]) get() *T {
	if o, ok := p.of.Get().(*T); ok {
		return o
	}
	return new(T)
}

func (p *pool[T]) put(o *T) { p.of.Put(o) }

// maxReused bounds a buffer that is used again, bytes.
const maxReused = 1 << 20

// buffers are used again from answer to answer.
type buffers struct{ pool pool[[]byte] }

// get is an empty one.
func (b *buffers) get() *[]byte { return b.pool.get() }

func (b *buffers) put(p *[]byte) {
	if *p = (*p)[:0]; cap(*p) <= maxReused {
		b.pool.put(p)
	}
}

// send answers with an answer that is named, as fresh as it is.
func (a *api) send(c echo.Context, ans *answer, f *freshness) error {
	p := a.buffers.get()
	defer a.buffers.put(p)
	*p = append(ans.append(*p, f), '\n') // as an encoder ends it
	h := c.Response().Header()
	h[echo.HeaderContentType] = a.fixed.json
	if len(*p) > chunked {
		h.Set(echo.HeaderContentLength, strconv.Itoa(len(*p))) // compressed, it is taken away again
	}
	_, err := c.Response().Write(*p)
	return err //nolint:wrapcheck // whoever asked is gone
}

// chunked is the longest answer to which net/http adds a length, bytes.
const chunked = 2048

// fixed are values of headers that most answers have. Nobody changes them.
type fixed struct{ json, noCache, vary []string }

func fixedHeaders() fixed {
	return fixed{json: []string{echo.MIMEApplicationJSON}, noCache: []string{"no-cache"}, vary: []string{echo.HeaderAcceptEncoding}}
}

// appendString adds a text as encoding/json does.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, err := json.Marshal(s)
			if err != nil { // a string is always written
				return append(b, `""`...)
			}
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// tag names the answer by its version and by all that it says but its freshness, so
// that whatever changes it, a policy, midnight, an override's end or an owner's
// silence, changes its name. What it encodes for that is not encoded again.
func (a *answer) tag() (string, error) {
	if a.etag != nil {
		return a.etag[0], nil
	}
	bare := untagged(*a)
	bare.Freshness = freshness{}
	b, err := json.Marshal(&bare)
	if err != nil {
		return "", fmt.Errorf("encoding the answer: %w", err)
	}
	a.body = b
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	a.etag = []string{fmt.Sprintf(`W/"%d-%016x"`, a.Version, h.Sum64())}
	return a.etag[0], nil
}

// untagged is an answer that is encoded whole.
type untagged answer

// MarshalJSON adds the freshness to what the answer was named by, if it was.
func (a *answer) MarshalJSON() ([]byte, error) {
	if a.body == nil {
		return json.Marshal((*untagged)(a)) //nolint:wrapcheck // who encodes says so
	}
	return a.append(make([]byte, 0, len(a.body)+freshnessRoom), &a.Freshness), nil
}

// append adds the answer, which is named, encoded, to b, as fresh as it is.
func (a *answer) append(b []byte, f *freshness) []byte {
	b = append(append(b, a.body[:len(a.body)-1]...), `,"freshness":`...)
	return append(f.append(b), '}')
}

// instant writes a time to the millisecond, as RFC 3339 has it; zero is nothing.
func instant(t inventory.Instant) string {
	if t == 0 {
		return ""
	}
	at := time.UnixMilli(int64(t)).UTC()
	year, month, day := at.Date()
	if year < 0 || year > 9999 {
		return at.Format("2006-01-02T15:04:05.000Z07:00")
	}
	var b [len("0000-00-00T00:00:00.000Z")]byte
	copy(b[:], "0000-00-00T00:00:00.000Z")
	digits := func(end, n int) {
		for ; n > 0; n /= 10 {
			end--
			b[end] = byte('0' + n%10) //nolint:gosec // a digit
		}
	}
	digits(4, year)
	digits(7, int(month))
	digits(10, day)
	digits(13, at.Hour())
	digits(16, at.Minute())
	digits(19, at.Second())
	digits(23, at.Nanosecond()/int(time.Millisecond))
	return string(b[:])
}
