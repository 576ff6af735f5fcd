// Package csv reads tables: RFC 4180 with a header row; another delimiter, another
// encoding, columns named by the source, or rows of several types where it says so.
package csv

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/policy"
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
	return func(yield func(format.Unit) bool) {
		body, fault := decode(body, src.Encoding)
		if fault != nil {
			yield(format.Unit{Where: "table", Fault: fault})
			return
		}
		t := table{r: csv.NewReader(bytes.NewReader(body)), csv: &src.CSV, said: "the source"}
		t.r.FieldsPerRecord = -1 // counted here, so that one ragged row does not end the table
		t.r.Comma = ','
		if d := src.CSV.Delimiter; d != "" {
			t.r.Comma, _ = utf8.DecodeRuneInString(d)
		}
		if c := src.CSV.Comment; c != "" {
			t.r.Comment, _ = utf8.DecodeRuneInString(c)
		}
		switch t.columns = src.CSV.Columns; {
		case len(src.CSV.Records) > 0:
			t.types = make(map[string]int, len(src.CSV.Records))
			for i, rec := range src.CSV.Records {
				t.types[rec.Type] = i
			}
		case len(t.columns) == 0:
			t.said = "the header"
			if t.columns, fault = header(t.r, src.CSV.Header); fault != nil {
				yield(format.Unit{Where: "header", Fault: fault})
				return
			}
		}
		if first > 0 {
			t.before = first - 1 - bytes.Count(body[:t.r.InputOffset()], []byte("\n"))
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

func header(r *csv.Reader, required []string) ([]string, *format.Fault) {
	fields, err := r.Read()
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

// table is a table on its way: its columns, or the index of each record type.
type table struct {
	r       *csv.Reader
	csv     *policy.CSV
	columns []string
	types   map[string]int
	said    string // who says how many columns there are
	before  int    // lines of the file that are not in the body
}

// row reads one row; false at the end of the table.
func (t *table) row() (format.Row, bool) {
	fields, err := t.r.Read()
	if errors.Is(err, io.EOF) {
		return format.Row{}, false
	}
	if err != nil {
		line := 0
		if p, ok := errors.AsType[*csv.ParseError](err); ok {
			line = p.StartLine + t.before
			p.StartLine, p.Line = line, p.Line+t.before
		}
		where := fmt.Sprintf("row %d", line)
		return format.Row{Where: where, Role: format.RoleUnknown, Fault: format.Faultf("csv_quote", "%s: %v", where, err)}, true
	}
	line, _ := t.r.FieldPos(0)
	line += t.before
	r := format.Row{Where: fmt.Sprintf("row %d", line), Tree: map[string]any{"row": line}}
	columns, known := t.columns, true
	if t.types != nil {
		columns, known = t.typed(&r, fields)
	}
	for i, f := range fields[:min(len(fields), len(columns))] {
		if !utf8.ValidString(f) {
			r.Fault = format.Faultf("invalid_utf8", "%s column %s: not UTF-8", r.Where, columns[i])
			f = strings.ToValidUTF8(f, "\ufffd")
		}
		if strings.IndexByte(f, 0) >= 0 {
			r.Fault = format.Faultf("csv_nul", "%s column %s: a NUL", r.Where, columns[i])
		}
		if f = strings.TrimSpace(f); f != "" {
			r.Tree[columns[i]] = f
		} else {
			r.Tree[columns[i]] = nil
		}
	}
	if known && r.Role != policy.SkipRecord && len(fields) != len(columns) {
		r.Fault = format.Faultf("csv_ragged", "%s: %d fields, %s has %d", r.Where, len(fields), t.said, len(columns))
	}
	return r, true
}

// typed finds the type of a row and its columns; false where there is none.
func (t *table) typed(r *format.Row, fields []string) ([]string, bool) {
	at, typ := max(t.csv.Type, 1)-1, ""
	if at < len(fields) {
		typ = strings.TrimSpace(fields[at])
	}
	i, ok := t.types[typ]
	if !ok {
		r.Role = format.RoleUnknown
		r.Fault = format.Faultf("csv_record_type", "%s: %.40q is no record type of the source", r.Where, typ)
		return nil, false
	}
	rec := &t.csv.Records[i]
	r.Type, r.Role, r.Rank, r.Tree["type"] = typ, rec.Role, i, typ
	return rec.Columns, true
}
