// Package csv reads tables: RFC 4180 with a header row; another delimiter, another
// encoding, columns named by the source, or rows of several types where it says so.
package csv

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/slab"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Parse is a format.Parse: each row is a unit whose tree is {column: text, ...,
// "row": number of its line}. Column names are trimmed and in lower case; empty
// fields are null. Of a table with record types the tree has also "type", "head"
// and "rows", see format.Assembler.
//
// Its fault codes are csv_header, csv_encoding and csv_rows for the whole table,
// csv_ragged, csv_quote, csv_nul, csv_record_type, csv_part and invalid_utf8 for a
// row.
func Parse(body []byte, src *policy.Source) iter.Seq[format.Unit] { return Part(body, src, 0) }

// Part is Parse of a part of a file, whose first row is in line first of the file, from
// 1; rows are numbered as in the file then.
func Part(body []byte, src *policy.Source, first int) iter.Seq[format.Unit] {
	return rows(body, src, first, false)
}

// Lent is Part for those who have done with a unit before they ask for the next: its tree
// stands where the one before stood.
func Lent(body []byte, src *policy.Source, first int) iter.Seq[format.Unit] {
	return rows(body, src, first, true)
}

func rows(body []byte, src *policy.Source, first int, lent bool) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		body, fault := decode(body, src.Encoding)
		if fault != nil {
			yield(format.Unit{Where: "table", Fault: fault})
			return
		}
		t := table{
			r:   &reader{text: string(body), comma: character(src.CSV.Delimiter, ","), comment: character(src.CSV.Comment, "")},
			csv: &src.CSV, said: "the source",
		}
		t.sound = utf8.ValidString(t.r.text) && strings.IndexByte(t.r.text, 0) < 0
		columns := src.CSV.Columns
		switch {
		case len(src.CSV.Records) > 0:
			t.types = make(map[string]int, len(src.CSV.Records))
			for i, rec := range src.CSV.Records {
				t.types[rec.Type] = i
				t.shapes = append(t.shapes, shapeOf(rec.Columns, "type"))
			}
		case len(columns) == 0:
			t.said = "the header"
			if columns, fault = header(t.r, src.CSV.Header); fault != nil {
				yield(format.Unit{Where: "header", Fault: fault})
				return
			}
			fallthrough
		default:
			t.shapes = []*shape{shapeOf(columns)}
			if lent { // of rows of several types heads are kept, and parts
				t.shapes[0].lent = t.shapes[0].lend()
			}
		}
		if first > 0 {
			t.before = first - 1 - bytes.Count(body[:t.r.at], []byte("\n"))
		}
		var a format.Assembler
		for {
			r, ok := t.row()
			if !ok {
				a.Flush(yield)
				return
			}
			if !a.Add(r, "csv_part", yield) {
				return
			}
		}
	}
}

func decode(body []byte, encoding string) ([]byte, *format.Fault) {
	body, err := format.Decode(body, encoding)
	if err != nil {
		return nil, format.Faultf("csv_encoding", "%v", err)
	}
	// Counted before the first row comes out: a table too long is refused whole.
	if n := bytes.Count(body, []byte("\n")); n > format.MaxRows {
		return nil, format.Faultf("csv_rows", "%d lines, more than %d", n, format.MaxRows)
	}
	return body, nil
}

func header(r *reader, required []string) ([]string, *format.Fault) {
	fields, _, err := r.read()
	if errors.Is(err, io.EOF) {
		return nil, format.Faultf("csv_header", "no header row")
	}
	if err != nil {
		return nil, format.Faultf("csv_header", "row 1: %v", err)
	}
	if len(fields) > format.MaxColumns {
		return nil, format.Faultf("csv_header", "%d columns, more than %d", len(fields), format.MaxColumns)
	}
	columns := make([]string, len(fields))
	for i, f := range fields {
		name := strings.ToLower(strings.TrimSpace(f))
		switch {
		case !utf8.ValidString(name):
			return nil, format.Faultf("csv_header", "column %d: not UTF-8", i+1)
		case name == "":
			return nil, format.Faultf("csv_header", "column %d has no name", i+1)
		case slices.Contains(columns[:i], name):
			return nil, format.Faultf("csv_header", "column %.100q stands there twice", name)
		}
		columns[i] = name
	}
	var missing []string
	for _, want := range required {
		if !slices.Contains(columns, strings.ToLower(want)) {
			missing = append(missing, want)
		}
	}
	if len(missing) > 0 {
		return nil, format.Faultf("csv_header", "columns missing: %s", strings.Join(missing, ", "))
	}
	return columns, nil
}

// table is a table on its way.
type table struct {
	r      *reader
	csv    *policy.CSV
	types  map[string]int // index of a record type; nil: the rows are of one
	shapes []*shape       // of the types, or the one
	said   string         // who says how many columns there are
	before int            // lines of the file that are not in the body
	sound  bool           // all of it is UTF-8 without a NUL

	objects jq.Objects
	texts   slab.Texts
}

// shape is what rows of a type have in common: the keys of their trees in order, where
// each column stands among them, and the values of the row before, most of which come
// again; of lent rows, their tree.
type shape struct {
	columns []string
	members []jq.Member
	at      []int // of the columns
	row     int   // of the line's number
	last    []any
	lent    *lent
}

// lent is a tree that all rows have, one after the other: a value of it is whatever is
// written where it stands.
type lent struct {
	tree    *jq.Object
	members []jq.Member
	fields  []any // of the columns
	texts   []*string
	number  any
	line    *int
}

// lend is a tree of the shape for all rows.
func (s *shape) lend() *lent {
	var objects jq.Objects
	var texts slab.Boxes[string]
	var numbers slab.Boxes[int]
	l := &lent{fields: make([]any, len(s.columns)), texts: make([]*string, len(s.columns))}
	l.tree, l.members = objects.Copy(s.members)
	for i := range l.fields {
		l.fields[i], l.texts[i] = texts.New()
	}
	l.number, l.line = numbers.New()
	return l
}

// shapeOf is the shape of rows with columns, and others.
func shapeOf(columns []string, more ...string) *shape {
	s := &shape{columns: columns, last: make([]any, len(columns))}
	var members []jq.Member
	for _, k := range slices.Concat(columns, more, []string{"row"}) {
		members = append(members, jq.Member{Key: k})
	}
	s.members, _ = jq.Members(jq.Ordered(members))
	for _, c := range columns {
		i, _ := jq.Find(s.members, c)
		s.at = append(s.at, i)
	}
	s.row, _ = jq.Find(s.members, "row")
	return s
}

// row reads one row; false at the end of the table.
func (t *table) row() (format.Row, bool) {
	fields, line, err := t.r.read()
	if errors.Is(err, io.EOF) {
		return format.Row{}, false
	}
	if err != nil {
		line := 0
		if p, ok := errors.AsType[*csv.ParseError](err); ok {
			line = p.StartLine + t.before
			p.StartLine, p.Line = line, p.Line+t.before
		}
		where := t.where(line)
		return format.Row{Where: where, Role: format.RoleUnknown, Fault: format.Faultf("csv_quote", "%s: %v", where, err)}, true
	}
	line += t.before
	r := format.Row{Where: t.where(line)}
	if t.types == nil {
		t.tree(&r, t.shapes[0], line, fields)
		return r, true
	}
	at, typ := max(t.csv.Type, 1)-1, ""
	if at < len(fields) {
		typ = strings.TrimSpace(fields[at])
	}
	i, ok := t.types[typ]
	if !ok {
		r.Role, r.Tree = format.RoleUnknown, jq.NewObject(jq.Member{Key: "row", Value: line})
		r.Fault = format.Faultf("csv_record_type", "%s: %.40q is no record type of the source", r.Where, typ)
		return r, true
	}
	r.Type, r.Role, r.Rank = typ, t.csv.Records[i].Role, i
	t.tree(&r, t.shapes[i], line, fields)
	return r, true
}

func (t *table) where(line int) string {
	var room [24]byte
	return t.texts.Of(strconv.AppendInt(append(room[:0], "row "...), int64(line), 10))
}

// absent stands, on the way, for a column that a row has not.
type absent struct{}

// begin is the tree of a row before anything is in it.
func (t *table) begin(s *shape) (*jq.Object, []jq.Member) {
	if s.lent != nil {
		return s.lent.tree, s.lent.members
	}
	return t.objects.Copy(s.members)
}

// value is the value of a column that has a text.
func (s *shape) value(i int, text string) any {
	if s.lent == nil {
		return text
	}
	*s.lent.texts[i] = text
	return s.lent.fields[i]
}

// number is the value that a line's number has.
func (s *shape) number(line int) any {
	if s.lent == nil {
		return line
	}
	*s.lent.line = line
	return s.lent.number
}

// tree makes the tree of a row of a known shape, and finds what is wrong with it.
func (t *table) tree(r *format.Row, s *shape, line int, fields []string) {
	tree, members := t.begin(s)
	short := len(fields) < len(s.columns)
	if short {
		for _, i := range s.at[len(fields):] {
			members[i].Value = absent{}
		}
	}
	members[s.row].Value = s.number(line)
	if t.types != nil {
		at, _ := jq.Find(members, "type")
		members[at].Value = r.Type
	}
	for i, f := range fields[:min(len(fields), len(s.columns))] {
		if old, ok := s.last[i].(string); ok && old == f {
			members[s.at[i]].Value = s.last[i]
			continue
		}
		sound := t.sound || t.check(r, f, s.columns[i])
		if !sound {
			f = strings.ToValidUTF8(f, "\ufffd")
		}
		trimmed := format.Trim(f)
		if trimmed == "" {
			members[s.at[i]].Value = nil // also of a column named row
			continue
		}
		v := s.value(i, trimmed)
		members[s.at[i]].Value = v
		if s.lent == nil && sound && len(trimmed) == len(f) {
			s.last[i] = v
		}
	}
	if short {
		tree = jq.NewObject(slices.DeleteFunc(slices.Clone(members), func(m jq.Member) bool { return m.Value == any(absent{}) })...)
	}
	r.Tree = tree
	if r.Role != policy.SkipRecord && len(fields) != len(s.columns) {
		r.Fault = format.Faultf("csv_ragged", "%s: %d fields, %s has %d", r.Where, len(fields), t.said, len(s.columns))
	}
}

// check finds what is wrong with a field; false where there is something.
func (t *table) check(r *format.Row, f, column string) (sound bool) {
	sound = true
	if !utf8.ValidString(f) {
		r.Fault = format.Faultf("invalid_utf8", "%s column %s: not UTF-8", r.Where, column)
		sound = false
	}
	if strings.IndexByte(f, 0) >= 0 {
		r.Fault = format.Faultf("csv_nul", "%s column %s: a NUL", r.Where, column)
		sound = false
	}
	return sound
}
