package atpapi

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"
)

// maxReused bounds a buffer that is used again, bytes.
const maxReused = 1 << 20

// buffers are used again from answer to answer.
type buffers struct{ pool sync.Pool }

// get is an empty one.
func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		*p = (*p)[:0]
		return p
	}
	return new([]byte)
}

func (b *buffers) put(p *[]byte) {
	if cap(*p) <= maxReused {
		b.pool.Put(p)
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
