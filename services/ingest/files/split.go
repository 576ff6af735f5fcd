package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/body"
)

// part is a piece of a file that is a message by itself.
type part struct {
	body []byte
	line int // of its first row, from 1; 0 where the file has no rows
	rows int
	last bool
}

// splitter cuts a file; io.EOF comes behind the last part. The same file, cut by the
// same limits, gives the same parts. It holds one part and a read-ahead in memory.
type splitter interface{ next() (part, error) }

// cut is where a file is cut. It is kept with the progress of a file: what is gone on
// with is cut as it was begun.
type cut struct {
	Bytes int `json:"bytes"`
	Rows  int `json:"rows"`
}

// errMessage is a message that is larger than one may be, where it cannot be cut.
var errMessage = errors.New("a message is larger than one may be")

func splitterOf(src *policy.Source, r io.Reader, c cut) splitter {
	switch {
	case src.Format == policy.FormatX12 && !src.X12.Bare, src.Format == policy.FormatEDIFACT:
		return &interchanges{r: bufio.NewReaderSize(r, 64<<10), most: c.Bytes, x12: src.Format == policy.FormatX12}
	case src.Format == policy.FormatIDoc:
		br := bufio.NewReaderSize(r, 64<<10)
		b, err := br.Peek(512)
		if err != nil && !errors.Is(err, io.EOF) {
			return &idocs{err: err}
		}
		if !bytes.HasPrefix(bytes.TrimLeft(b, byteMark+" \t\r\n"), []byte("<")) && src.Encoding != policy.UTF16 {
			return &idocs{r: br, most: c.Bytes}
		}
		return &whole{r: br, most: c.Bytes, why: "IDocs in XML or UTF-16 are not cut"}
	case src.WholeOnly() == "":
		return &rows{body.NewCutter(r, body.TableOf(src), c.Bytes, c.Rows)}
	}
	return &whole{r: r, most: c.Bytes, why: src.WholeOnly()}
}

// rows are files that are cut at the ends of rows.
type rows struct{ c *body.Cutter }

func (s *rows) next() (part, error) {
	c, err := s.c.Next()
	if err != nil {
		return part{}, err //nolint:wrapcheck // it names the line
	}
	return part{body: c.Body, line: c.Line, rows: c.Rows, last: c.Last}, nil
}

// whole is a file that is one message.
type whole struct {
	r    io.Reader
	most int
	why  string // it is not cut
	done bool
}

func (s *whole) next() (part, error) {
	if s.done {
		return part{}, io.EOF
	}
	s.done = true
	b, err := io.ReadAll(io.LimitReader(s.r, int64(s.most)+1))
	if err != nil {
		return part{}, fmt.Errorf("reading file: %w", err)
	}
	if len(b) > s.most {
		return part{}, fmt.Errorf("%w: more than %d bytes, and %s", errMessage, s.most, s.why)
	}
	return part{body: b, last: true}, nil
}

// interchanges cuts X12 at ISA..IEA (X12.5) and EDIFACT at UNA/UNB..UNZ (ISO 9735-1
// §8), with the delimiters each states. What does not begin as one goes on whole, for
// the canonicalizer to say what is wrong with it.
type interchanges struct {
	r    *bufio.Reader
	most int
	x12  bool
	at   int64 // bytes read
}

const (
	spaces   = " \t\r\n\x00\x1a" // and ends of files of old
	byteMark = "\ufeff"
	blanks   = spaces + byteMark
)

func (s *interchanges) next() (part, error) {
	if err := s.skip(); err != nil {
		return part{}, err
	}
	begin := s.at
	end, err := s.delimiters()
	if err != nil {
		return part{}, err
	}
	var buf []byte
	for {
		from := len(buf)
		buf, err = s.segment(buf, end)
		if len(buf) > s.most {
			return part{}, fmt.Errorf("byte %d: %w: an interchange of more than %d bytes", begin+1, errMessage, s.most)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return part{}, err
		}
		if err != nil || end.last(buf[from:]) {
			break
		}
	}
	out := part{body: buf}
	switch err := s.skip(); {
	case errors.Is(err, io.EOF):
		out.last = true
	case err != nil:
		return part{}, err
	}
	return out, nil
}

// skip reads what stands between interchanges.
func (s *interchanges) skip() error {
	for {
		head, err := s.r.Peek(1)
		if err != nil {
			return err //nolint:wrapcheck // io.EOF, or the reader's
		}
		n := 1
		if head[0] == byteMark[0] { // whole, or it is a character of something else
			n = len(byteMark)
			if head, err = s.r.Peek(n); err != nil && !errors.Is(err, io.EOF) {
				return err //nolint:wrapcheck // the reader's
			}
			if string(head) != byteMark {
				return nil
			}
		} else if strings.IndexByte(spaces, head[0]) < 0 {
			return nil
		}
		n, err = s.r.Discard(n)
		s.at += int64(n)
		if err != nil {
			return err //nolint:wrapcheck // the reader's
		}
	}
}

// ending is how segments end.
type ending struct {
	terminator, release byte // release 0: none
	trailer             string
}

// last says whether a segment ends the interchange.
func (e *ending) last(segment []byte) bool {
	return e.trailer != "" && bytes.HasPrefix(bytes.TrimLeft(segment, blanks), []byte(e.trailer))
}

// delimiters of the interchange that begins here; without a trailer where none does.
func (s *interchanges) delimiters() (*ending, error) {
	head, err := s.r.Peek(256)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err //nolint:wrapcheck // the reader's
	}
	if !s.x12 {
		switch {
		case bytes.HasPrefix(head, []byte("UNA")) && len(head) >= 9:
			e := &ending{terminator: head[8], release: head[6], trailer: "UNZ" + string(head[4])}
			if e.release == ' ' { // none is used (ISO 9735-1 Annex)
				e.release = 0
			}
			return e, nil
		case bytes.HasPrefix(head, []byte("UNB")):
			return &ending{terminator: '\'', release: '?', trailer: "UNZ+"}, nil
		}
		return &ending{}, nil
	}
	if len(head) < 4 || !bytes.HasPrefix(head, []byte("ISA")) {
		return &ending{}, nil
	}
	// The terminator is behind ISA16, of one character: the 16th separator tells where
	// it stands, also where fields have not the length they should.
	n := 0
	for i := 3; i+2 < len(head); i++ {
		if head[i] == head[3] {
			if n++; n == 16 {
				return &ending{terminator: head[i+2], trailer: "IEA" + string(head[3])}, nil
			}
		}
	}
	return &ending{}, nil
}

// segment appends one segment with its terminator, or what is left where there is none.
func (s *interchanges) segment(buf []byte, e *ending) ([]byte, error) {
	from := len(buf)
	for {
		var piece []byte
		var err error
		if e.trailer == "" {
			piece, err = s.r.ReadSlice('\n') // any bound will do: it goes on to the end
		} else {
			piece, err = s.r.ReadSlice(e.terminator)
		}
		buf = append(buf, piece...)
		s.at += int64(len(piece))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if len(buf) > s.most {
				return buf, nil
			}
		case err != nil:
			return buf, err //nolint:wrapcheck // io.EOF, or the reader's
		case e.release == 0 || !released(buf[from:], e.release):
			return buf, nil
		case len(buf) > s.most:
			return buf, nil
		}
	}
}

// released says whether the last character is data: behind an odd number of release
// characters.
func released(b []byte, release byte) bool {
	n := 0
	for i := len(b) - 2; i >= 0 && b[i] == release; i-- {
		n++
	}
	return n%2 == 1
}

// idocs cuts flat IDocs at their control records, several small ones to a part. A file
// without line ends is one message.
type idocs struct {
	r    *bufio.Reader
	most int
	buf  []byte
	here int // where the last IDoc of buf begins
	n    int // IDocs in buf
	line int // of the first record of buf, from 1
	read int // lines
	end  bool
	err  error
}

// Parts of IDocs end with the one that passes either.
const (
	idocBytes = 64 << 10
	idocCount = 100
)

func (s *idocs) next() (part, error) {
	if s.err != nil {
		return part{}, s.err
	}
	for !s.end {
		line, err := s.r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) && len(s.buf)+len(line) <= s.most {
			s.buf = append(s.buf, line...)
			line, err = s.r.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return part{}, err //nolint:wrapcheck // the reader's
		}
		s.end = errors.Is(err, io.EOF)
		var out part
		if begins := bytes.HasPrefix(bytes.TrimLeft(line, byteMark), []byte("EDI_DC")); begins {
			if len(s.buf) >= idocBytes || s.n >= idocCount {
				out = s.flush(len(s.buf))
			}
			s.here, s.n = len(s.buf), s.n+1
		}
		if s.line == 0 {
			s.line = s.read + 1
		}
		s.buf = append(s.buf, line...)
		s.read++
		if len(s.buf) > s.most {
			if s.here == 0 {
				s.err = fmt.Errorf("line %d: %w: an IDoc of more than %d bytes", s.line, errMessage, s.most)
				if out.body == nil {
					return part{}, s.err
				}
				return out, nil
			}
			out = s.flush(s.here) // none was flushed: here would be 0
		}
		if out.body != nil {
			return out, nil
		}
	}
	if len(bytes.Trim(s.buf, blanks)) == 0 {
		return part{}, io.EOF
	}
	out := s.flush(len(s.buf))
	out.last = true
	return out, nil
}

// flush is the part up to n; what is behind stays.
func (s *idocs) flush(n int) part {
	out := part{body: bytes.Clone(s.buf[:n]), line: s.line}
	s.line += bytes.Count(out.body, []byte("\n"))
	s.buf = append(s.buf[:0], s.buf[n:]...)
	s.here, s.n = 0, 0
	if len(s.buf) > 0 {
		s.n = 1
	}
	return out
}
