// Package csv reads tables: RFC 4180 with a header row, another delimiter where
// the source says so.
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
// fields are null. Its fault codes are csv_header, csv_encoding and csv_rows for
// the whole table, csv_ragged, csv_quote and invalid_utf8 for a row.
func Parse(body []byte, src *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		body, fault := decode(body)
		if fault != nil {
			yield(format.Unit{Where: "table", Fault: fault})
			return
		}
		r := csv.NewReader(bytes.NewReader(body))
		r.FieldsPerRecord = -1 // counted here, so that one ragged row does not end the table
		r.Comma = ','
		if d := src.CSV.Delimiter; d != "" {
			r.Comma, _ = utf8.DecodeRuneInString(d)
		}
		if c := src.CSV.Comment; c != "" {
			r.Comment, _ = utf8.DecodeRuneInString(c)
		}
		columns, fault := header(r, src.CSV.Header)
		if fault != nil {
			yield(format.Unit{Where: "header", Fault: fault})
			return
		}
		for {
			u, ok := row(r, columns)
			if !ok || !yield(u) {
				return
			}
		}
	}
}

func decode(body []byte) ([]byte, *format.Fault) {
	if bytes.HasPrefix(body, []byte{0xff, 0xfe}) || bytes.HasPrefix(body, []byte{0xfe, 0xff}) {
		return nil, format.Faultf("csv_encoding", "UTF-16; only UTF-8 is read")
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
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

// row reads one row; false at the end of the table.
func row(r *csv.Reader, columns []string) (format.Unit, bool) {
	fields, err := r.Read()
	if errors.Is(err, io.EOF) {
		return format.Unit{}, false
	}
	if err != nil {
		line := 0
		if p, ok := errors.AsType[*csv.ParseError](err); ok {
			line = p.StartLine
		}
		return format.Unit{Where: fmt.Sprintf("row %d", line), Fault: format.Faultf("csv_quote", "row %d: %v", line, err)}, true
	}
	line, _ := r.FieldPos(0)
	u := format.Unit{Where: fmt.Sprintf("row %d", line)}
	tree := map[string]any{"row": line}
	for i, f := range fields[:min(len(fields), len(columns))] {
		if !utf8.ValidString(f) {
			u.Fault = format.Faultf("invalid_utf8", "row %d column %s: not UTF-8", line, columns[i])
			f = strings.ToValidUTF8(f, "\ufffd")
		}
		if f = strings.TrimSpace(f); f != "" {
			tree[columns[i]] = f
		} else {
			tree[columns[i]] = nil
		}
	}
	if len(fields) != len(columns) {
		u.Fault = format.Faultf("csv_ragged", "row %d: %d fields, the header has %d", line, len(fields), len(columns))
	}
	u.Tree = tree
	return u, true
}
