package scaffold

import (
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
)

// Table is how a table is written, and its first rows.
type Table struct {
	Delimiter string
	Decimal   string
	Header    bool     // the first row names the columns
	Columns   []string // as a mapping sees them
	Spans     []Span   // of fixed width
	Rows      [][]string
}

// Span is a column of fixed width: characters from 1.
type Span struct{ From, Width int }

// Limits of what is looked at.
const (
	maxRows    = 200
	maxColumns = 256
)

var (
	decimalComma = regexp.MustCompile(`^[-+]?([0-9]+|[0-9]{1,3}([. '][0-9]{3})+),[0-9]+$`)
	decimalPoint = regexp.MustCompile(`^[-+]?([0-9]+|[0-9]{1,3}([,'][0-9]{3})+)\.[0-9]+$`)
	number       = regexp.MustCompile(`^[-+]?[0-9]+([.,][0-9]+)?$`)
)

func (g *Guess) table(text, filename string) error {
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("%w: it is no text", ErrUnknown)
	}
	delimiter, rows := delimited(text)
	if delimiter == "" {
		if g.fixed(text) {
			return nil
		}
		return fmt.Errorf("%w: neither EDI, IDoc, XML or JSON, nor rows that a delimiter or their length divides (%s)", ErrUnknown, filename)
	}
	g.Format = policy.FormatCSV
	t := &g.Table
	t.Delimiter, t.Decimal = delimiter, decimalOf(rows, delimiter)
	t.Header = looksLikeHeader(rows)
	if t.Header {
		for _, c := range rows[0] {
			t.Columns = append(t.Columns, strings.ToLower(strings.TrimSpace(c)))
		}
		t.Rows = rows[1:]
		return nil
	}
	for i := range rows[0] {
		t.Columns = append(t.Columns, fmt.Sprintf("c%d", i+1))
	}
	t.Rows = rows
	g.Notes = append(g.Notes, "the table seems to have no header row: give csv.columns the names of its columns")
	return nil
}

// delimited finds the character that divides all rows into as many fields; none when
// no character does.
func delimited(text string) (delimiter string, rows [][]string) {
	for _, d := range []string{";", "\t", "|", ","} {
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.LazyQuotes, r.FieldsPerRecord = rune(d[0]), true, 0
		var got [][]string
		for len(got) < maxRows {
			rec, err := r.Read()
			if err != nil {
				if len(got) > 0 && strings.Contains(err.Error(), "EOF") {
					break
				}
				got = nil
				break
			}
			got = append(got, rec)
		}
		if len(got) > 0 && len(got[0]) > 1 && len(got[0]) <= maxColumns && (rows == nil || len(got[0]) > len(rows[0])) {
			delimiter, rows = d, got
		}
	}
	return delimiter, rows
}

func decimalOf(rows [][]string, delimiter string) string {
	commas, points := 0, 0
	for _, r := range rows {
		for _, c := range r {
			switch c = strings.TrimSpace(c); {
			case decimalComma.MatchString(c):
				commas++
			case decimalPoint.MatchString(c):
				points++
			}
		}
	}
	if commas > points && delimiter != "," {
		return ","
	}
	return ""
}

// looksLikeHeader: the first row has names alone, each once, and some row behind it
// numbers.
func looksLikeHeader(rows [][]string) bool {
	seen := map[string]bool{}
	for _, c := range rows[0] {
		c = strings.ToLower(strings.TrimSpace(c))
		if c == "" || seen[c] || number.MatchString(c) || isDate(c) {
			return false
		}
		seen[c] = true
	}
	if len(rows) == 1 {
		return true
	}
	return slices.ContainsFunc(rows[1:], func(r []string) bool {
		return slices.ContainsFunc(r, func(c string) bool { c = strings.TrimSpace(c); return number.MatchString(c) || isDate(c) })
	})
}

// fixed takes rows of one length, whose columns begin where every row has a blank
// before them.
func (g *Guess) fixed(text string) bool {
	var rows [][]rune
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		if l == "" {
			continue
		}
		if rows = append(rows, []rune(l)); len(rows) == maxRows {
			break
		}
	}
	if len(rows) < 2 {
		return false
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r))
	}
	at := func(r []rune, i int) rune {
		if i < len(r) {
			return r[i]
		}
		return ' '
	}
	starts := []int{0}
	for i := 1; i < width; i++ {
		gap := !slices.ContainsFunc(rows, func(r []rune) bool { return at(r, i-1) != ' ' })
		begins := slices.ContainsFunc(rows, func(r []rune) bool { return at(r, i) != ' ' })
		if gap && begins {
			starts = append(starts, i)
		}
	}
	if len(starts) < 2 || len(starts) > maxColumns {
		return false
	}
	g.Format = policy.FormatFixed
	t := &g.Table
	for n, from := range starts {
		to := width
		if n+1 < len(starts) {
			to = starts[n+1]
		}
		t.Spans = append(t.Spans, Span{From: from + 1, Width: to - from})
		t.Columns = append(t.Columns, fmt.Sprintf("c%d", n+1))
	}
	for _, r := range rows {
		var cells []string
		for _, s := range t.Spans {
			var b strings.Builder
			for i := range s.Width {
				b.WriteRune(at(r, s.From-1+i))
			}
			cells = append(cells, strings.TrimSpace(b.String()))
		}
		t.Rows = append(t.Rows, cells)
	}
	g.Notes = append(g.Notes, "columns begin where every row has a blank before: columns that touch are one, so compare fixed.records with the partner's description and name them")
	return true
}
