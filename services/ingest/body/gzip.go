// Package body reads what a request carries: compressed, in parts, in lines. All of it
// streams and is bounded, whatever the sender states; nothing here does I/O of its own.
package body

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Faults of a body. Those of a place say which in their text.
var (
	ErrTooLarge = errors.New("the body is larger than allowed")
	ErrRatio    = errors.New("the body is compressed more than text can be")
	ErrEncoding = errors.New("the Content-Encoding is not one of gzip and identity")
	ErrCorrupt  = errors.New("the compressed body is damaged")
	ErrShort    = errors.New("the body ended before its time")
)

// ratioFrom is how many bytes a compressed body may become before its ratio counts:
// small ones may well repeat themselves.
const ratioFrom = 64 << 10

// NewReader undoes a Content-Encoding (RFC 9110 §8.4). It fails with ErrTooLarge past
// limit bytes, and with ErrRatio past ratio times what was read so far: what a bomb
// would become is never made.
func NewReader(r io.Reader, contentEncoding string, limit int64, ratio int) (io.Reader, error) {
	switch strings.ToLower(strings.TrimSpace(contentEncoding)) {
	case "", "identity":
		return &limited{r: short{r}, limit: limit}, nil
	case "gzip", "x-gzip":
	default:
		return nil, ErrEncoding // a second encoding over the first too
	}
	in := &counted{r: short{r}}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, damaged(err)
	}
	return &limited{r: z, limit: limit, in: in, ratio: int64(ratio)}, nil
}

// limited ends what is larger than it may be.
type limited struct {
	r     io.Reader
	n     int64
	limit int64
	in    *counted // of a compressed body
	ratio int64
}

func (l *limited) Read(p []byte) (int, error) {
	if room := l.limit - l.n + 1; int64(len(p)) > room {
		p = p[:room] // one byte more than allowed tells an exact fit from too much
	}
	n, err := l.r.Read(p)
	l.n += int64(n)
	if l.n > l.limit {
		return 0, ErrTooLarge
	}
	if l.in != nil {
		if l.n > ratioFrom && l.n/l.ratio > l.in.n {
			return 0, ErrRatio
		}
		err = damaged(err)
	}
	return n, err
}

// damaged tells a body that did not arrive from one that is wrong.
func damaged(err error) error {
	switch {
	case err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.Is(err, ErrShort):
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// counted counts what was taken from a reader.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err //nolint:wrapcheck // passed on
}

// short calls every error of a connection ErrShort.
type short struct{ r io.Reader }

func (s short) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's own
		err = fmt.Errorf("%w: %w", ErrShort, err)
	}
	return n, err
}
