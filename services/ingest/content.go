package ingest

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/body"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// shape is how a body has its messages.
type shape int

const (
	oneMessage shape = iota
	multipartForm
	lineBatch // a message a line, each with an answer
	lineFile  // a file of lines, which may be more than a message
)

// media is what a request says of its content.
type media struct {
	shape    shape
	boundary string // of multipartForm
}

// batchTypes are the media types of NDJSON; none is registered.
func batchTypes() []string {
	return []string{"application/x-ndjson", "application/ndjson", "application/jsonl"}
}

// media reads the Content-Type, once it is known who sends.
func (d *door) media(h http.Header) (media, error) {
	single := media{}
	if d.src.HTTP.MaxFileBytes > 0 {
		single.shape = lineFile
	}
	ct := h.Get("Content-Type")
	if ct == "" {
		return single, nil
	}
	typ, params, err := mime.ParseMediaType(ct)
	switch {
	case err == nil && typ == "multipart/form-data" && (len(d.src.ContentTypes) == 0 || slices.Contains(d.types, typ)):
		return media{shape: multipartForm, boundary: params["boundary"]}, nil
	case err == nil && d.src.HTTP.Batch && slices.Contains(batchTypes(), typ):
		single.shape = lineBatch
	case err != nil || !slices.Contains(d.types, typ):
		return single, d.otherType()
	}
	return single, d.charset(params)
}

func (d *door) otherType() error {
	return newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "the source sends "+strings.Join(d.types, ", "))
}

// charset checks that of a media type, where it states one.
func (d *door) charset(params map[string]string) error {
	if set := params["charset"]; set != "" && !charsetOK(d.src, set) {
		return newProblem(http.StatusUnsupportedMediaType, "unsupported_charset", "the source does not send in this charset")
	}
	return nil
}

// limit is the largest message of the source, bytes.
func (d *door) limit() int { return pull.Limit(d.src) }

// batchRoom is the largest batch that streams, bytes.
const batchRoom = 16 << 20

// room is the largest body of the source, bytes, without its Content-Encoding.
func (d *door) room(m media) int64 {
	n := int64(d.limit())
	switch {
	case m.shape == multipartForm:
		n += body.Framing
	case m.shape == lineBatch && d.wholeFirst(): // it is in memory
		n = max(n, policy.MaxMessage)
	case m.shape == lineBatch:
		n = batchRoom
	case d.src.HTTP.MaxFileBytes > n:
		n = d.src.HTTP.MaxFileBytes
	}
	return n
}

// readWire reads a body as it came.
func readWire(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(int(limit))
	}
	in, err := body.NewReader(r.Body, "", limit, 0)
	if err != nil {
		return nil, unreadable(err, limit)
	}
	return readAll(in, r.ContentLength, limit)
}

// mostStated is how much memory is taken on a sender's word, bytes.
const mostStated = 64 << 10

// readAll reads content of which the sender states the length; below 0 it does not.
func readAll(r io.Reader, stated, limit int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(stated, 0), mostStated)) + bytes.MinRead)
	if _, err := b.ReadFrom(r); err != nil {
		return nil, unreadable(err, limit)
	}
	return b.Bytes(), nil
}

// unreadable is the answer to a body that cannot be read.
func unreadable(err error, limit int64) error {
	status := func(code int, name string) error { return newProblem(code, name, err.Error()) }
	switch {
	case errors.Is(err, body.ErrShort):
		return newProblem(http.StatusBadRequest, "incomplete_body", "the body ended before its time")
	case errors.Is(err, body.ErrRatio):
		return newProblem(http.StatusRequestEntityTooLarge, "compressed_too_much", "the body becomes more than "+itoa(policy.MaxRatio)+" times its length")
	case errors.Is(err, body.ErrRow):
		return status(http.StatusRequestEntityTooLarge, "row_too_large")
	case errors.Is(err, body.ErrTooLarge):
		return tooLarge(int(limit))
	case errors.Is(err, body.ErrParts):
		return status(http.StatusRequestEntityTooLarge, "too_many_parts")
	case errors.Is(err, body.ErrEncoding):
		return newProblem(http.StatusUnsupportedMediaType, "unsupported_encoding", "send the body as it is, or in gzip")
	case errors.Is(err, body.ErrCorrupt):
		return newProblem(http.StatusBadRequest, "bad_encoding", "the gzip body is damaged")
	case errors.Is(err, body.ErrNoPart), errors.Is(err, body.ErrTwice), errors.Is(err, body.ErrName), errors.Is(err, body.ErrMultipart):
		return status(http.StatusBadRequest, "bad_multipart")
	}
	return err
}

func empty(b []byte) bool { return len(bytes.TrimSpace(b)) == 0 }

func noMessage() *problem {
	return newProblem(http.StatusBadRequest, "empty_body", "there is no message")
}
