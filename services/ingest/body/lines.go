package body

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/stockweave/stockweave/pkg/policy"
)

// ErrRow is a row, or a header with a row, that is larger than a message may be.
var ErrRow = errors.New("a row is larger than a message may be")

// Table says how a table has its rows, as encoding/csv reads it.
type Table struct {
	Delimiter, Comment byte // Comment 0: none
	Header             bool // the first row names the columns
}

// TableOf is how a source's files have their rows; nil where a row is a line.
func TableOf(src *policy.Source) *Table {
	if src.Format != policy.FormatCSV {
		return nil
	}
	t := &Table{Delimiter: ',', Header: len(src.CSV.Columns) == 0 && len(src.CSV.Records) == 0}
	if d := src.CSV.Delimiter; d != "" {
		t.Delimiter = d[0]
	}
	if c := src.CSV.Comment; c != "" {
		t.Comment = c[0]
	}
	return t
}

// Cutter cuts a file of lines into messages at the ends of rows. It holds one message
// and one read-ahead in memory, however long the file is.
type Cutter struct {
	r        *bufio.Reader
	table    *Table // nil: a row is a line
	maxBytes int
	maxRows  int

	header []byte
	ready  bool // the header has been read
	next   []byte
	line   int // lines read so far
	nextAt int // the first line of next
	err    error
}

// NewCutter cuts what r gives into messages of at most maxBytes bytes and maxRows rows,
// header not counted. table is nil for files whose rows are lines.
func NewCutter(r io.Reader, table *Table, maxBytes, maxRows int) *Cutter {
	return &Cutter{r: bufio.NewReaderSize(r, 32<<10), table: table, maxBytes: maxBytes, maxRows: maxRows}
}

// Chunk is a part of a file that is a message by itself.
type Chunk struct {
	Body []byte // with the header repeated
	Line int    // of its first row in the file, from 1
	Rows int
	Last bool
}

// Next returns the next chunk, in new memory, and io.EOF behind the last. Any other
// error is the reader's, or ErrRow with its line; what came before it stands.
func (c *Cutter) Next() (Chunk, error) {
	if !c.ready {
		c.ready = true
		if c.table != nil && c.table.Header {
			c.header, _ = c.row()
		} else {
			c.advance()
		}
		if c.header != nil {
			c.advance()
			// A table of nothing but its header is a message, too.
			if c.next == nil && errors.Is(c.err, io.EOF) {
				return Chunk{Body: c.header, Line: c.line, Last: true}, nil
			}
		}
	}
	if c.next == nil {
		return Chunk{}, c.err
	}
	out := Chunk{Body: bytes.Clone(c.header), Line: c.nextAt}
	for at := c.nextAt; c.next != nil && out.Rows < c.maxRows && len(out.Body)+c.nextAt-at+len(c.next) <= c.maxBytes; {
		// What was dropped between two rows stays as blank lines: so the rows of a chunk
		// have the distance they have in the file.
		for ; at < c.nextAt; at++ {
			out.Body = append(out.Body, '\n')
		}
		out.Body = append(out.Body, c.next...)
		at += bytes.Count(c.next, []byte{'\n'})
		out.Rows++
		c.advance()
	}
	if out.Rows == 0 {
		c.next, c.err = nil, fmt.Errorf("line %d: %w", c.nextAt, ErrRow)
		return Chunk{}, c.err
	}
	out.Last = c.next == nil && errors.Is(c.err, io.EOF)
	return out, nil
}

func (c *Cutter) advance() {
	c.next = nil
	if c.err == nil {
		c.next, c.nextAt = c.row()
	}
}

// row reads one row with its line end: blank lines and comments are dropped, and a row
// of a table may have line ends in quotes. It is nil at the end, or when c.err says why.
func (c *Cutter) row() ([]byte, int) {
	var row []byte
	at := c.line + 1
	q := quotes{table: c.table}
	for {
		piece, err := c.r.ReadSlice('\n')
		row = append(row, piece...)
		if len(row) > c.maxBytes {
			c.err = fmt.Errorf("line %d: %w", at, ErrRow)
			return nil, 0
		}
		if c.line == 0 && len(piece) == len(row) {
			piece = bytes.TrimPrefix(piece, []byte("\xef\xbb\xbf")) // no part of a field
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			q.read(piece)
			continue
		}
		if err != nil {
			c.err = err
			if !errors.Is(err, io.EOF) || c.blank(row) { // half a row is none
				return nil, 0
			}
			return row, at
		}
		c.line++
		q.read(piece)
		if q.inside {
			continue
		}
		if c.blank(row) || c.table != nil && c.table.Comment != 0 && row[0] == c.table.Comment {
			row, at, q = row[:0], c.line+1, quotes{table: c.table}
			continue
		}
		return row, at
	}
}

// blank says whether a line holds nothing; in a table blanks are a field.
func (c *Cutter) blank(b []byte) bool {
	if c.table == nil {
		return blank(b)
	}
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return len(bytes.TrimSuffix(b, []byte{'\r'})) == 0
}

func blank(b []byte) bool { return len(bytes.TrimSpace(b)) == 0 }

// quotes follows the quotes of a table as encoding/csv does: one opens at the begin of
// a field only, two within stand for one, and one before anything but a delimiter or
// the end of the line breaks its row there.
type quotes struct {
	table  *Table
	inside bool // of a quoted field

	state byte
	begun bool // the row has a byte already
}

// States outside of a quoted field.
const (
	fieldStart = iota
	inField
	afterQuote // of a quoted field: its end, or the first of two
	broken     // until the line ends
	inComment
)

func (q *quotes) read(b []byte) {
	if q.table == nil {
		return
	}
	begun := q.begun
	q.begun = true
	// Most lines have no quote at all.
	if !begun && bytes.IndexByte(b, '"') < 0 && bytes.HasSuffix(b, []byte{'\n'}) {
		return
	}
	for i, x := range b {
		switch {
		case q.inside:
			if x == '"' {
				q.inside, q.state = false, afterQuote
			}
		case x == '\n':
			q.state = fieldStart
		case q.state == broken || q.state == inComment:
		case i == 0 && !begun && q.table.Comment != 0 && x == q.table.Comment:
			q.state = inComment
		case x == q.table.Delimiter:
			q.state = fieldStart
		case x == '"' && (q.state == fieldStart || q.state == afterQuote):
			q.inside = true
		case q.state == afterQuote && x != '\r':
			q.state = broken
		case x == '"':
			q.state = broken
		case x == '\r' && q.state == afterQuote:
		default:
			q.state = inField
		}
	}
}

// Lines reads a body whose lines are messages of their own.
type Lines struct {
	r        *bufio.Reader
	maxBytes int
	n        int
}

// NewLines reads lines of at most maxBytes bytes, line ends not counted.
func NewLines(r io.Reader, maxBytes int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 32<<10), maxBytes: maxBytes}
}

// Next returns the next line that is not blank, in new memory, with its number from 1.
// A line that is too large is dropped to its end: ErrRow comes with its number, and
// the next line may be asked for. io.EOF is the end; any other error is the reader's,
// with the number of the line that is not whole.
func (l *Lines) Next() (line []byte, number int, err error) {
	for {
		l.n++
		var long bool
		line = nil
		for {
			piece, err := l.r.ReadSlice('\n')
			if long = long || len(line)+len(bytes.TrimRight(piece, "\r\n")) > l.maxBytes; !long {
				line = append(line, piece...)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0 && !long) {
				return nil, l.n, err
			}
			break
		}
		if long {
			return nil, l.n, ErrRow
		}
		if !blank(line) {
			return bytes.TrimRight(line, "\r\n"), l.n, nil
		}
	}
}
