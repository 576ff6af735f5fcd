package policy

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// ItemName is an item under a number of the partner's, or of one both know: a GTIN, a
// UPC, the vendor's or the customer's own number.
type ItemName struct {
	Type  string         `yaml:"type"`  // as in a line's ids: gtin, upc, vendor, customer, VN, ...
	Value string         `yaml:"value"` // as the partner writes it
	Item  inventory.Item `yaml:"item"`  // its code in the item master
}

// Statement says that a partner's messages truly have none of something that check
// asks for, and why.
type Statement struct {
	Refs     string `yaml:"refs"`     // on demand and supply
	Revision string `yaml:"revision"` // nor a purpose: its documents are never corrected, or not told apart
	AsOf     string `yaml:"as_of"`    // counts state no time, and nobody knows how old they are
}

// Limits of what a source says of items and units.
const (
	maxItemNames = 20_000
	maxAliases   = 1_000
	maxName      = 255 // bytes of an identifier or a code
	minWhy       = 10  // bytes of a reason that says something
)

// validateNames reports what is wrong with the cross-reference and the statements.
func (s *Source) validateNames() []error {
	var fs faults
	if len(s.Items) > maxItemNames {
		fs.add(CodeOutOfRange, "items", "%d, more than %d", len(s.Items), maxItemNames)
	}
	seen := make(map[[2]string]inventory.Item, len(s.Items))
	for i, n := range s.Items {
		field := fmt.Sprintf("items[%d]", i)
		for _, v := range []string{n.Type, n.Value, string(n.Item)} {
			if v == "" || len(v) > maxName {
				fs.add(CodeRequired, field, "type, value and item are needed, of at most %d bytes", maxName)
				break
			}
		}
		key := [2]string{strings.ToLower(n.Type), n.Value}
		if other, twice := seen[key]; twice && other != n.Item {
			fs.add(CodeConflicting, field, "%s %q means %s already", n.Type, n.Value, other)
		}
		seen[key] = n.Item
	}
	if types, ok := s.IDTypes["sku"]; ok && len(s.Items) > 0 && !slices.Contains(types, "sku") {
		fs.add(CodeConflicting, "id_types.sku", "items give codes of the item master, of type sku, and here sku means something else")
	}
	if len(s.UnitAliases) > maxAliases {
		fs.add(CodeOutOfRange, "unit_aliases", "%d, more than %d", len(s.UnitAliases), maxAliases)
	}
	for _, x := range []struct{ field, why string }{{"refs", s.Without.Refs}, {"revision", s.Without.Revision}, {"as_of", s.Without.AsOf}} {
		if x.why != "" && len(strings.TrimSpace(x.why)) < minWhy {
			fs.add(CodeOutOfRange, "without."+x.field, "say why, in at least %d characters", minWhy)
		}
	}
	return fs
}

// names reads the tables beside the source's file into Items and UnitAliases.
func (l *loader) names(s *Source) {
	if s.ItemsFile != "" {
		rows, err := l.table(s, s.ItemsFile, "type", "value", "item")
		if err != nil {
			l.fault(s.File, "items_file", "%v", err)
		}
		for _, r := range rows {
			s.Items = append(s.Items, ItemName{Type: r[0], Value: r[1], Item: inventory.Item(r[2])})
		}
	}
	if s.UnitAliasesFile != "" {
		rows, err := l.table(s, s.UnitAliasesFile, "alias", "unit")
		if err != nil {
			l.fault(s.File, "unit_aliases_file", "%v", err)
		}
		for _, r := range rows {
			if s.UnitAliases == nil {
				s.UnitAliases = map[string]string{}
			}
			if other, twice := s.UnitAliases[r[0]]; twice && other != r[1] {
				l.coded(s.File, CodeConflicting, "unit_aliases_file", "%q means %s already", r[0], other)
			}
			s.UnitAliases[r[0]] = r[1]
		}
	}
}

// table reads a CSV file (RFC 4180, UTF-8) whose first row names at least the columns;
// rows that begin with # are skipped. A fault says its line.
func (l *loader) table(s *Source, name string, columns ...string) ([][]string, error) {
	b, err := l.bytes(beside(s.File, name))
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))
	r.Comment, r.TrimLeadingSpace = '#', true
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: reading the header: %w", name, err)
	}
	at := make([]int, len(columns))
	for i, c := range columns {
		at[i] = slices.IndexFunc(head, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), c) })
		if at[i] < 0 {
			return nil, fmt.Errorf("%s: line 1: no column %s", name, c)
		}
	}
	var rows [][]string
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(rows) == maxItemNames {
			return nil, fmt.Errorf("%s: more than %d rows", name, maxItemNames)
		}
		row := make([]string, len(at))
		for i, n := range at {
			if row[i] = strings.TrimSpace(rec[n]); row[i] == "" {
				line, _ := r.FieldPos(n)
				return nil, fmt.Errorf("%s: line %d: no %s", name, line, columns[i])
			}
		}
		rows = append(rows, row)
	}
}
