package policy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Encodings of a source's text. UTF-8 is also what empty means.
const (
	UTF8        = "utf-8"
	ASCII       = "us-ascii"
	Latin1      = "iso-8859-1"
	Windows1252 = "windows-1252"
	UTF16       = "utf-16" // with a byte order mark
)

// Encodings is all of them.
func Encodings() []string { return []string{UTF8, ASCII, Latin1, Windows1252, UTF16} }

// Roles of a record type in a table or a file of fixed width.
const (
	RowRecord   = ""      // a unit of its own
	HeadRecord  = "head"  // no unit: its fields go with the records behind it
	BeginRecord = "begin" // begins a unit, which the parts behind it belong to
	PartRecord  = "part"  // of the unit begun before it
	SkipRecord  = "skip"  // says nothing: trailers, totals
)

// Record is a record type of a table: rows whose field number CSV.Type is Type.
type Record struct {
	Type    string   `yaml:"type"`
	Role    string   `yaml:"role"`
	Columns []string `yaml:"columns"` // names of its fields, from the first
}

// XML says how a source writes XML.
type XML struct {
	// Unit is the path of the element that is a unit, "/Orders/Order", by local
	// names, * for any; empty: the document is one.
	Unit string `yaml:"unit"`
	// Doctype is what becomes of a document type declaration: refuse (also when
	// empty), or ignore, which skips one that only names an external DTD. It is
	// never fetched, and one that declares anything is refused in any case.
	Doctype string `yaml:"doctype"`
}

// What becomes of a document type declaration.
const (
	DoctypeRefuse = "refuse"
	DoctypeIgnore = "ignore"
)

// Fixed says how a source writes records of fixed width.
type Fixed struct {
	// Length of a record in characters where no line ends divide them; 0: a line is
	// a record.
	Length int `yaml:"length"`
	// Type is where a record says its type; without it there is one type.
	Type    Span          `yaml:"type"`
	Records []FixedRecord `yaml:"records"`
}

// Span is a part of a record, in characters from 1.
type Span struct {
	From  int `yaml:"from"`
	Width int `yaml:"width"`
}

// FixedRecord is a record type of a file of fixed width.
type FixedRecord struct {
	Type    string        `yaml:"type"`
	Role    string        `yaml:"role"`
	Columns []FixedColumn `yaml:"columns"`
}

// FixedColumn is a named part of a record.
type FixedColumn struct {
	Name  string `yaml:"name"`
	From  int    `yaml:"from"`
	Width int    `yaml:"width"` // 0: to the end of the record
	Trim  string `yaml:"trim"`  // of blanks: both (also when empty), left, right or none
}

// IDoc says how a source writes flat IDocs.
type IDoc struct {
	// Dictionary names a CSV file, relative to the source's own, with the columns
	// segment, field, offset (from 0 in the data of the segment) and length, in
	// characters. Segments it does not have keep their data as one text, SDATA.
	Dictionary string `yaml:"dictionary"`
	// Fields are those of the dictionary, by segment, after Load.
	Fields map[string][]IDocField `yaml:"-"`
}

// IDocField is a field of a segment.
type IDocField struct {
	Name           string
	Offset, Length int // characters; the first is 0
}

// idocData is the length of a segment's data (SAP's SDATA), characters.
const idocData = 1000

// ReadIDocDictionary reads a dictionary; see IDoc.
func ReadIDocDictionary(r io.Reader) (map[string][]IDocField, error) {
	in := csv.NewReader(r)
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("reading the header of the dictionary: %w", err)
	}
	var at [4]int
	for i, name := range [...]string{"segment", "field", "offset", "length"} {
		if at[i] = slices.IndexFunc(header, func(s string) bool {
			return strings.EqualFold(strings.TrimSpace(strings.TrimPrefix(s, "\ufeff")), name)
		}); at[i] < 0 {
			return nil, fmt.Errorf("the dictionary has no column %q", name)
		}
	}
	out := map[string][]IDocField{}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the dictionary: %w", err)
		}
		line, _ := in.FieldPos(0)
		offset, err1 := strconv.Atoi(strings.TrimSpace(row[at[2]]))
		length, err2 := strconv.Atoi(strings.TrimSpace(row[at[3]]))
		f := IDocField{strings.TrimSpace(row[at[1]]), offset, length}
		segment := strings.TrimSpace(row[at[0]])
		if err1 != nil || err2 != nil || offset < 0 || length < 1 || offset > idocData-length || segment == "" || f.Name == "" {
			return nil, fmt.Errorf("line %d of the dictionary: wants a segment, a field, an offset from 0 and a length within %d", line, idocData)
		}
		if slices.ContainsFunc(out[segment], func(o IDocField) bool { return o.Name == f.Name }) {
			return nil, fmt.Errorf("line %d of the dictionary: %s has %s already", line, segment, f.Name)
		}
		out[segment] = append(out[segment], f)
	}
}

// validateFormat reports the faults of the options of formats.
func (s *Source) validateFormat() []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &Fault{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if s.Encoding != "" && !slices.Contains(Encodings(), s.Encoding) {
		bad("encoding", "must be one of %s", strings.Join(Encodings(), ", "))
	} else if s.Encoding != "" && s.Encoding != UTF8 && !slices.Contains([]string{FormatCSV, FormatFixed, FormatXML, FormatIDoc}, s.Format) {
		bad("encoding", "the %s format is not read in %s", s.Format, s.Encoding)
	}
	if d := s.XML.Doctype; d != "" && d != DoctypeRefuse && d != DoctypeIgnore {
		bad("xml.doctype", "must be refuse or ignore")
	}
	if u := s.XML.Unit; u != "" && (!strings.HasPrefix(u, "/") || slices.Contains(strings.Split(u, "/")[1:], "")) {
		bad("xml.unit", "a path of names, /Orders/Order")
	}
	c := &s.CSV
	if len(c.Columns) > 0 && (len(c.Records) > 0 || len(c.Header) > 0) || len(c.Records) > 0 && len(c.Header) > 0 {
		bad("csv", "only one of header, columns and records")
	}
	if len(c.Columns) > 0 {
		errs = append(errs, names("csv.columns", c.Columns)...)
	}
	if c.Type < 0 || c.Type > 0 && len(c.Records) == 0 {
		bad("csv.type", "the number of a field, where there are records")
	}
	types := map[string]bool{}
	for i, r := range c.Records {
		at := fmt.Sprintf("csv.records[%d]", i)
		errs = append(errs, role(at, r.Type, r.Role, types, true)...)
		errs = append(errs, names(at+".columns", r.Columns)...)
	}
	return append(errs, s.Fixed.validate(s.Format)...)
}

func (f *Fixed) validate(format string) []error {
	var errs []error
	bad := func(field, reason string) { errs = append(errs, &Fault{Field: field, Reason: reason}) }
	if format == FormatFixed && len(f.Records) == 0 {
		bad("fixed.records", "required for the fixed format")
	}
	if f.Length < 0 {
		bad("fixed.length", "must not be negative")
	}
	typed := f.Type != (Span{})
	if typed && (f.Type.From < 1 || f.Type.Width < 1) {
		bad("fixed.type", "from and width, both from 1")
	}
	if !typed && len(f.Records) > 1 {
		bad("fixed.type", "several record types, and nothing tells them apart")
	}
	types := map[string]bool{}
	for i, r := range f.Records {
		at := fmt.Sprintf("fixed.records[%d]", i)
		errs = append(errs, role(at, r.Type, r.Role, types, typed)...)
		var list []string
		for j, c := range r.Columns {
			list = append(list, c.Name)
			if c.From < 1 || c.Width < 0 {
				bad(fmt.Sprintf("%s.columns[%d]", at, j), "from is at least 1, width 0 (to the end) or more")
			}
			if c.Trim != "" && !slices.Contains([]string{"both", "left", "right", "none"}, c.Trim) {
				bad(fmt.Sprintf("%s.columns[%d].trim", at, j), "must be both, left, right or none")
			}
		}
		errs = append(errs, names(at+".columns", list)...)
	}
	return errs
}

func role(at, typ, role string, seen map[string]bool, typed bool) []error {
	var errs []error
	if typed && typ == "" {
		errs = append(errs, &Fault{Field: at + ".type", Reason: "required"})
	}
	if seen[typ] {
		errs = append(errs, &Fault{Field: at + ".type", Reason: fmt.Sprintf("%q stands there twice", typ)})
	}
	seen[typ] = true
	if !slices.Contains([]string{RowRecord, HeadRecord, BeginRecord, PartRecord, SkipRecord}, role) {
		errs = append(errs, &Fault{Field: at + ".role", Reason: "must be head, begin, part or skip, or absent"})
	}
	return errs
}

// reserved are names that the tree of a row has for itself.
var reserved = []string{"row", "type", "head", "rows"}

func names(at string, list []string) []error {
	var errs []error
	for i, n := range list {
		switch {
		case n != strings.ToLower(strings.TrimSpace(n)) || n == "":
			errs = append(errs, &Fault{Field: fmt.Sprintf("%s[%d]", at, i), Reason: "a name in lower case"})
		case slices.Contains(reserved, n):
			errs = append(errs, &Fault{Field: fmt.Sprintf("%s[%d]", at, i), Reason: n + " is a name of the row itself"})
		case slices.Contains(list[:i], n):
			errs = append(errs, &Fault{Field: fmt.Sprintf("%s[%d]", at, i), Reason: fmt.Sprintf("%q stands there twice", n)})
		}
	}
	return errs
}
