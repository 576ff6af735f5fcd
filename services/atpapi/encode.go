package atpapi

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"
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

// send answers with JSON that f appends.
func (a *api) send(c echo.Context, f func(b []byte) []byte) error {
	p := a.buffers.get()
	defer a.buffers.put(p)
	*p = append(f(*p), '\n') // as an encoder ends it
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, *p)
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
