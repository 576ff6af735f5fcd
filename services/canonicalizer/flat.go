package canonicalizer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Why a flat file cannot be read by what is in it alone.
const (
	codeNoLayout = "no_layout" // nothing in it says what its columns are
	codeNoSource = "no_source" // nobody reads documents of its kind
)

// flatRows are the rows a table is judged by.
const flatRows = 50

// flatSource reads tables by the usual words for their columns, see standard/flat.jq.
func flatSource() *policy.Source {
	return &policy.Source{
		Name: "standard", Entity: "standard", Format: policy.FormatCSV, Mapping: "flat_lines", MappingVersion: "1", File: flatFile, Zone: time.UTC,
	}
}

// flatFile marks the source that judges each table by itself.
const flatFile = "standard/flat"

var (
	decimalComma = regexp.MustCompile(`^[+-]?[0-9.]*[0-9],[0-9]+$`)
	decimalPoint = regexp.MustCompile(`^[+-]?[0-9,]*[0-9]\.[0-9]+$`)
	// Groups of three, each behind the same mark: more than one are thousands, and one
	// may be a fraction as well.
	commaGroups = regexp.MustCompile(`^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+$`)
	pointGroups = regexp.MustCompile(`^[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+$`)
	// A name has a letter; a code of a type of row is short.
	letter  = regexp.MustCompile(`\pL`)
	rowType = regexp.MustCompile(`^[A-Z0-9]{1,6}$`)
)

// flatOf is the source of one table: its delimiter and decimal mark as its rows have
// them. The fault says why nothing can tell its columns: a layout must be declared, by
// csv.columns, csv.records or fixed.
func flatOf(src *policy.Source, body []byte) (*policy.Source, *format.Fault) {
	encoding := src.Encoding
	if encoding == "" {
		encoding = encodingOf(body)
	}
	text, err := format.Decode(body, encoding)
	if err != nil {
		return nil, format.Faultf("csv_encoding", "%v", err)
	}
	comma := delimiterOf(text)
	rows := firstRows(text, comma)
	switch {
	case len(rows) == 0:
		return nil, format.Faultf("csv_header", "no header row")
	case len(rows[0]) < 2:
		return nil, format.Faultf(codeNoLayout, "nothing divides its columns: the layout of a file of fixed width, or of tagged lines, must be declared")
	case recordTypes(rows):
		return nil, format.Faultf(codeNoLayout, "its rows are of several types, told by their first field (%s): csv.records must declare them", strings.Join(typesOfRows(rows), ", "))
	case !headed(rows):
		return nil, format.Faultf(codeNoLayout, "its first row names no columns: csv.columns must declare them")
	}
	out := *src
	out.CSV.Delimiter, out.Encoding = string(comma), encoding
	out.Defaults = map[string]string{"decimal": decimalMark(rows[1:], comma)}
	return &out, nil
}

// encodingOf is what a table is written in: as its mark says, else UTF-8; what is none
// and has no mark is what spreadsheets write in western Europe and America.
func encodingOf(body []byte) string {
	switch {
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}), bytes.HasPrefix(body, []byte{0xfe, 0xff}):
		return policy.UTF16
	case utf8.Valid(body):
		return policy.UTF8
	}
	return policy.Windows1252
}

// delimiterOf is the character that divides the rows into the most equal fields.
func delimiterOf(text []byte) rune {
	best, most := ',', 0
	for _, c := range ",;\t|" {
		rows := firstRows(text, c)
		fewest := 0
		for i, r := range rows {
			if i == 0 || len(r) < fewest {
				fewest = len(r)
			}
		}
		if fewest > most {
			best, most = c, fewest
		}
	}
	return best
}

// firstRows are the first rows as a delimiter divides them, without empty ones.
func firstRows(text []byte, comma rune) [][]string {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = comma, -1, true
	var out [][]string
	for len(out) < flatRows {
		row, err := r.Read()
		if errors.Is(err, io.EOF) || err != nil {
			return out
		}
		if len(row) > 1 || strings.TrimSpace(row[0]) != "" {
			out = append(out, row)
		}
	}
	return out
}

// recordTypes says whether rows begin with the code of their type: short ones, at
// least two of them, of which one comes again, with as many fields each time.
func recordTypes(rows [][]string) bool {
	fields := map[string]int{}
	widths := map[int]bool{}
	for _, r := range rows {
		if !rowType.MatchString(r[0]) {
			return false
		}
		if n, known := fields[r[0]]; known && n != len(r) {
			return false
		}
		fields[r[0]] = len(r)
		widths[len(r)] = true
	}
	return len(fields) > 1 && len(widths) > 1 && len(fields) < len(rows)
}

func typesOfRows(rows [][]string) []string {
	var out []string
	for _, r := range rows {
		if !slices.Contains(out, r[0]) {
			out = append(out, r[0])
		}
	}
	return out[:min(len(out), 10)]
}

// headed says whether the first row names columns: each cell is a word, none comes
// twice, and none is a number.
func headed(rows [][]string) bool {
	seen := map[string]bool{}
	for _, c := range rows[0] {
		c = strings.ToLower(strings.TrimSpace(c))
		if c == "" || seen[c] || !letter.MatchString(c) || !utf8.ValidString(c) {
			return false
		}
		seen[c] = true
	}
	return true
}

// decimalMark is that of the numbers of a table; empty where each that has a mark may be
// one with thousands as well. Where commas divide the columns they are no decimal mark.
func decimalMark(rows [][]string, comma rune) string {
	commas, points, either := 0, 0, 0
	for _, r := range rows {
		for _, c := range r {
			c = strings.TrimSpace(c)
			switch {
			case commaGroups.MatchString(c) && (comma == ',' || strings.Count(c, ",") > 1), comma == ',' && pointGroups.MatchString(c):
				points++
			case pointGroups.MatchString(c) && strings.Count(c, ".") > 1:
				commas++
			case commaGroups.MatchString(c), pointGroups.MatchString(c):
				either++
			case comma != ',' && decimalComma.MatchString(c):
				commas++
			case decimalPoint.MatchString(c):
				points++
			}
		}
	}
	switch {
	case commas > 0 && points == 0:
		return ","
	case points > 0 || either == 0:
		return "."
	}
	return ""
}
