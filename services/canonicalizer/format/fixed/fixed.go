// Package fixed reads files of fixed width: records of columns by position, of one
// type or several, as the source's policy says.
package fixed

import (
	"fmt"
	"iter"
	"strings"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Parse is a format.Parse: each record is a unit whose tree is {column: text or
// null, ..., "row": number of its line, "type"}, with "head" and "rows" by the roles
// of the types; see format.Assembler. Positions count characters. What a short
// record does not reach is not there.
//
// Its fault codes are fixed_encoding and fixed_rows for the whole file,
// fixed_record_type, fixed_length, fixed_nul, fixed_part and invalid_utf8 for a
// record.
func Parse(body []byte, src *policy.Source) iter.Seq[format.Unit] { return Part(body, src, 1) }

// Part is Parse of a part of a file, whose first record is in line first of the file,
// from 1.
func Part(body []byte, src *policy.Source, first int) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		text, err := format.Decode(body, src.Encoding)
		if err != nil {
			yield(format.Unit{Where: "file", Fault: format.Faultf("fixed_encoding", "%v", err)})
			return
		}
		types := make(map[string]int, len(src.Fixed.Records))
		for i, r := range src.Fixed.Records {
			types[r.Type] = i
		}
		list, fault := records(string(text), src.Fixed.Length)
		if fault != nil {
			yield(format.Unit{Where: "file", Fault: fault})
			return
		}
		var a format.Assembler
		n := first - 1
		for text := range list {
			n++
			if strings.TrimSpace(text) == "" {
				continue
			}
			if !a.Add(row(&src.Fixed, types, n, text), "fixed_part", yield) {
				return
			}
		}
		a.Flush(yield)
	}
}

// records cuts a file at its line ends, or by the length of its records.
func records(text string, length int) (iter.Seq[string], *format.Fault) {
	if length == 0 {
		if n := strings.Count(text, "\n"); n > format.MaxRows {
			return nil, format.Faultf("fixed_rows", "%d lines, more than %d", n, format.MaxRows)
		}
		return func(yield func(string) bool) {
			for line := range strings.SplitSeq(text, "\n") {
				// A form feed begins pages, Ctrl-Z ends files of old.
				if line = strings.Trim(line, "\r\f\x1a"); !yield(line) {
					return
				}
			}
		}, nil
	}
	text = strings.TrimRight(text, "\r\n\x1a")
	all := []rune(text)
	if len(all)/length > format.MaxRows {
		return nil, format.Faultf("fixed_rows", "more than %d records", format.MaxRows)
	}
	return func(yield func(string) bool) {
		for len(all) > 0 {
			n := min(length, len(all))
			if !yield(string(all[:n])) {
				return
			}
			all = all[n:]
		}
	}, nil
}

func row(f *policy.Fixed, types map[string]int, n int, text string) (r format.Row) {
	r = format.Row{Where: fmt.Sprintf("row %d", n)}
	members := []jq.Member{{Key: "row", Value: n}}
	defer func() { r.Tree = jq.Ordered(members) }()
	fail := func(code, reason string, args ...any) {
		if r.Fault == nil {
			r.Fault = format.Faultf(code, r.Where+": "+reason, args...)
		}
	}
	if clean := strings.ToValidUTF8(text, "\ufffd"); clean != text {
		fail("invalid_utf8", "not UTF-8")
		text = clean
	}
	chars := []rune(text)
	typ := ""
	if f.Type.Width > 0 {
		typ = strings.TrimSpace(cut(chars, f.Type.From, f.Type.Width))
		members = append(members, jq.Member{Key: "type", Value: orNull(typ)})
	}
	i, ok := types[typ]
	if !ok {
		r.Role = format.RoleUnknown
		fail("fixed_record_type", "%.40q is no record type of the source", typ)
		return r
	}
	rec := &f.Records[i]
	r.Type, r.Role, r.Rank = typ, rec.Role, i
	if strings.IndexByte(text, 0) >= 0 {
		fail("fixed_nul", "a NUL")
	}
	if f.Length > 0 && len(chars) < f.Length {
		fail("fixed_length", "%d characters, a record has %d", len(chars), f.Length)
	}
	for _, c := range rec.Columns {
		if c.From > len(chars) {
			continue // null to a mapping, too
		}
		s := cut(chars, c.From, c.Width)
		switch c.Trim {
		case "", "both":
			s = strings.TrimSpace(s)
		case "left":
			s = strings.TrimLeft(s, " \t")
		case "right":
			s = strings.TrimRight(s, " \t")
		}
		members = append(members, jq.Member{Key: c.Name, Value: orNull(s)})
	}
	return r
}

// cut is a part of a record, from 1; width 0 is to its end.
func cut(chars []rune, from, width int) string {
	from = min(from-1, len(chars))
	if width == 0 {
		width = len(chars)
	}
	return string(chars[from:min(from+width, len(chars))])
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
