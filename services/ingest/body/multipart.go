package body

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
)

// Faults of multipart/form-data.
var (
	ErrMultipart = errors.New("the body is no multipart/form-data of its boundary")
	ErrParts     = errors.New("there are more parts than allowed")
	ErrName      = errors.New("a part's name or file name is longer than 255 bytes")
	ErrNoPart    = errors.New("no part is a message")
	ErrTwice     = errors.New("the part that is the message stands there twice")
)

// maxName bounds the names of a part, bytes.
const maxName = 255

// Framing is what of a multipart body is not a message: boundaries and headers, bytes.
const Framing = 64 << 10

// Part is a message of a multipart body.
type Part struct {
	Name, Filename string
	ContentType    string // as stated; may be empty
	Body           []byte
}

// Limits of a multipart body.
type Limits struct {
	Parts int // that it has, messages or not
	Bytes int // of one message
}

// Parts reads multipart/form-data (RFC 7578) that is in memory: all parts with a file
// name, or the one that is named. Form fields beside them are read and dropped. It
// takes all or nothing; an error names the part, from 1.
func Parts(b []byte, boundary, named string, limits Limits) ([]Part, error) {
	if boundary == "" || len(boundary) > 70 { // RFC 2046 §5.1.1
		return nil, ErrMultipart
	}
	r := multipart.NewReader(bytes.NewReader(b), boundary)
	var out []Part
	for n := 1; ; n++ {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("part %d: %w: %w", n, ErrMultipart, err)
		}
		if n > limits.Parts {
			return nil, fmt.Errorf("%w: %d", ErrParts, limits.Parts)
		}
		it := Part{Name: p.FormName(), Filename: p.FileName(), ContentType: p.Header.Get("Content-Type")}
		if len(it.Name) > maxName || len(it.Filename) > maxName {
			return nil, fmt.Errorf("part %d: %w", n, ErrName)
		}
		if encoded(p.Header) {
			return nil, fmt.Errorf("part %d: %w: Content-Transfer-Encoding (RFC 7578 §4.7)", n, ErrMultipart)
		}
		wanted := it.Filename != ""
		if named != "" {
			wanted = it.Name == named
		}
		if !wanted {
			if _, err := io.Copy(io.Discard, p); err != nil {
				return nil, fmt.Errorf("part %d: %w: %w", n, ErrMultipart, err)
			}
			continue
		}
		if named != "" && len(out) > 0 {
			return nil, fmt.Errorf("part %d: %w", n, ErrTwice)
		}
		it.Body, err = io.ReadAll(io.LimitReader(p, int64(limits.Bytes)+1))
		if err != nil {
			return nil, fmt.Errorf("part %d: %w: %w", n, ErrMultipart, err)
		}
		if len(it.Body) > limits.Bytes {
			return nil, fmt.Errorf("part %d: %w", n, ErrTooLarge)
		}
		out = append(out, it)
	}
	if len(out) == 0 {
		return nil, ErrNoPart
	}
	return out, nil
}

// encoded says whether a part is not sent as it is.
func encoded(h textproto.MIMEHeader) bool {
	switch h.Get("Content-Transfer-Encoding") {
	case "", "binary", "8bit", "7bit":
		return false
	}
	return true
}
