package csv

import (
	"encoding/csv"
	"io"
	"strings"
	"unicode/utf8"
)

// reader reads records as encoding/csv does, with its errors, of a text that is whole:
// the fields are parts of it, and nothing is copied but what has quotes inside.
type reader struct {
	text    string
	at      int    // of the next line
	line    int    // of the text, from 1: the one read last
	comma   string // one character
	comment string // one character; empty: none

	fields []string // of the record read last
}

// next cuts off the next line, without its end; false where there is none. An end is
// a line feed, with or without a carriage return.
func (r *reader) next() (line string, ok bool) {
	if r.at == len(r.text) {
		return "", false
	}
	rest := r.text[r.at:]
	end := strings.IndexByte(rest, '\n')
	r.line++
	if end < 0 {
		r.at = len(r.text)
		return strings.TrimSuffix(rest, "\r"), true
	}
	r.at += end + 1
	return strings.TrimSuffix(rest[:end], "\r"), true
}

// read gives the fields of the next record, which are good until the one after it, and
// the line it begins in; io.EOF at the end. What is wrong with a record is a
// csv.ParseError; the next one is read all the same.
func (r *reader) read() (fields []string, at int, err error) {
	var line string
	for {
		var ok bool
		if line, ok = r.next(); !ok {
			return nil, 0, io.EOF
		}
		if line != "" && (r.comment == "" || !strings.HasPrefix(line, r.comment)) {
			break
		}
	}
	at = r.line
	r.fields = r.fields[:0]
	if strings.IndexByte(line, '"') < 0 {
		for {
			n := strings.Index(line, r.comma)
			if n < 0 {
				r.fields = append(r.fields, line)
				return r.fields, at, nil
			}
			r.fields = append(r.fields, line[:n])
			line = line[n+len(r.comma):]
		}
	}
	return r.fields, at, r.quoted(line)
}

// quoted reads the fields of a record with quotes (RFC 4180, 2.5 to 2.7). Columns in
// errors are of bytes, from 1.
func (r *reader) quoted(line string) error {
	first, column := r.line, 1
	bad := func(line, column int, err error) error {
		return &csv.ParseError{StartLine: first, Line: line, Column: column, Err: err}
	}
	for {
		if !strings.HasPrefix(line, `"`) {
			field, rest, more := strings.Cut(line, r.comma)
			if n := strings.IndexByte(field, '"'); n >= 0 {
				return bad(r.line, column+n, csv.ErrBareQuote)
			}
			r.fields = append(r.fields, field)
			if !more {
				return nil
			}
			column += len(field) + len(r.comma)
			line = rest
			continue
		}
		line, column = line[1:], column+1
		var field strings.Builder
		for {
			n := strings.IndexByte(line, '"')
			if n < 0 { // it goes on in the next line
				field.WriteString(line)
				column += len(line)
				if r.text[r.at-1] == '\n' {
					field.WriteByte('\n')
					column++
				}
				before := r.line
				next, ok := r.next()
				if !ok || next == "" && r.text[r.at-1] != '\n' {
					return bad(before, column, csv.ErrQuote)
				}
				line, column = next, 1
				continue
			}
			field.WriteString(line[:n])
			line, column = line[n+1:], column+n+1
			switch {
			case strings.HasPrefix(line, `"`):
				field.WriteByte('"')
				line, column = line[1:], column+1
				continue
			case strings.HasPrefix(line, r.comma):
				line, column = line[len(r.comma):], column+len(r.comma)
			case line == "":
				r.fields = append(r.fields, field.String())
				return nil
			default:
				return bad(r.line, column-1, csv.ErrQuote)
			}
			break
		}
		r.fields = append(r.fields, field.String())
	}
}

// character is the first one of a text, or the other.
func character(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}
