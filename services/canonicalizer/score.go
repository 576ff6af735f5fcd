package canonicalizer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Score is how well the sources read a folder of documents whose facts are known.
type Score struct {
	Kinds map[string]Tally `json:"kinds"`
	Gated Tally            `json:"gated"` // of the documents whose facts are certain

	Documents []Scored `json:"-"` // in the order of the manifest
}

// Tally counts the facts of documents.
type Tally struct {
	Documents int `json:"documents,omitempty"`
	Facts     int `json:"facts"`  // that the manifest expects
	Found     int `json:"found"`  // of them
	Missed    int `json:"missed"` // of them
	Wrong     int `json:"wrong"`  // facts read that the manifest does not have
}

func (t *Tally) add(s *Scored) {
	t.Documents++
	t.Facts += s.Facts
	t.Found += s.Facts - len(s.Missed)
	t.Missed += len(s.Missed)
	t.Wrong += len(s.Wrong)
}

// Scored is what became of one document.
type Scored struct {
	File, Kind string
	Source     string // that read it; empty when none would
	Gated      bool
	Facts      int
	Missed     []string
	Wrong      []string
	Parked     []string // why parts of it gave no fact
	Quiet      bool     // neither a fact nor a reason: dropped
}

// maxManifest bounds a line of a manifest, bytes.
const maxManifest = 1 << 20

// ScoreFolder reads every document that the folder's manifest.tsv lists and compares
// the facts with the expected ones. Its columns are file, repository, path, licence,
// kind, quirks and expected, a JSON object. choose picks the source that reads a
// document of a kind; nil when there is none.
func ScoreFolder(ctx context.Context, dir string, choose func(kind string) *policy.Source) (*Score, error) {
	b, err := os.ReadFile(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	out := &Score{Kinds: map[string]Tally{}}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxManifest)
	for n := 0; lines.Scan(); n++ {
		cols := strings.Split(lines.Text(), "\t")
		if n == 0 || len(cols) < 7 {
			continue
		}
		var want expected
		d := json.NewDecoder(strings.NewReader(cols[6]))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			return nil, fmt.Errorf("manifest line %d: expected: %w", n+1, err)
		}
		if !filepath.IsLocal(cols[0]) {
			return nil, fmt.Errorf("manifest line %d: %q is outside of the folder", n+1, cols[0])
		}
		body, err := os.ReadFile(filepath.Join(dir, cols[0]))
		if err != nil {
			return nil, fmt.Errorf("reading a document: %w", err)
		}
		s, err := scoreOne(ctx, choose(cols[4]), body, &want)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", cols[0], err)
		}
		s.File, s.Kind = cols[0], cols[4]
		t := out.Kinds[s.Kind]
		t.add(&s)
		out.Kinds[s.Kind] = t
		if s.Gated {
			out.Gated.add(&s)
		}
		out.Documents = append(out.Documents, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	return out, nil
}

// expected is the manifest's word on a document. Its rows are [item or shipment,
// location, status, quantity, unit, time]; what is missing at the end is unknown, and
// null is not stated.
type expected struct {
	F            [][]any             `json:"f"`
	Opt          [][]any             `json:"opt"` // neither required nor wrong
	IDs          map[string][]string `json:"ids"` // other names of an item
	Times        []int               `json:"times"`
	LocRole      string              `json:"loc_role"`
	LocAlt       []any               `json:"loc_alt"`
	StateAlt     []string            `json:"state_alt"`
	Sign         string              `json:"sign"`
	QuarantineOK bool                `json:"quarantine_ok"`
	Sampled      bool                `json:"sampled"`
	Gate         bool                `json:"gate"`
	GateNoLoc    bool                `json:"gate_noloc"`
}

func scoreOne(ctx context.Context, src *policy.Source, body []byte, want *expected) (Scored, error) {
	s := Scored{Gated: want.Gate || want.GateNoLoc, Facts: len(want.F)}
	var facts []Fact
	if src != nil {
		s.Source = string(src.Name)
		read, problems, err := Facts(ctx, src, body)
		if err != nil {
			return Scored{}, err
		}
		for _, p := range problems {
			s.Parked = append(s.Parked, p.Code+": "+p.Reason)
		}
		facts = read
	} else {
		s.Parked = append(s.Parked, codeNoSource+": no source or standard reads documents of this kind")
	}
	s.Quiet = len(facts) == 0 && len(s.Parked) == 0
	left := slices.Clone(facts)
	for _, row := range want.F {
		i := slices.IndexFunc(left, func(f Fact) bool { return want.says(row, &f) })
		if i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		if want.QuarantineOK && len(s.Parked) > 0 {
			continue // flagged and put aside is as right
		}
		s.Missed = append(s.Missed, text(row))
	}
	again := len(want.Times) == 2 // the same facts stand in it several times
	for i := range left {
		f := &left[i]
		known := func(row []any) bool { return want.says(row, f) }
		switch {
		case f.Fault != "", f.Kind == kindItem, f.Kind == kindLocation: // put aside, or no fact of stock
		case slices.ContainsFunc(want.Opt, known), again && slices.ContainsFunc(want.F, known):
		default:
			s.Wrong = append(s.Wrong, f.text())
		}
	}
	return s, nil
}

// says reports whether a fact is the row.
func (x *expected) says(row []any, f *Fact) bool {
	return x.named(row, f) && x.located(row, f) && x.status(row, f) && x.quantity(row, f) && x.unit(row, f) && timed(row, f)
}

func (x *expected) named(row []any, f *Fact) bool {
	item, _ := cellOf(row, 0).(string)
	names := append([]string{item}, x.IDs[item]...)
	for _, id := range f.IDs {
		for _, n := range names {
			if n == id.Value || strings.EqualFold(n, id.Type+":"+id.Value) {
				return true
			}
			// A parcel's number is written behind its carrier: FedEx:1234.
			if _, number, ok := strings.Cut(n, ":"); ok && id.Type == "tracking" && number == id.Value {
				return true
			}
		}
	}
	return item == "" && len(f.IDs) == 0
}

// located compares the place unless the manifest says that it is uncertain. Where it
// names the role of its place, another party of the document is no error.
func (x *expected) located(row []any, f *Fact) bool {
	if x.GateNoLoc && !x.Gate || len(row) < 2 {
		return true
	}
	for _, want := range append([]any{row[1]}, x.LocAlt...) {
		place, ok := want.(string)
		switch {
		case !ok && len(f.Locations) == 0, ok && slices.ContainsFunc(f.Locations, func(l string) bool { return samePlace(l, place) }):
			return true
		case ok && slices.ContainsFunc(f.Attributes, func(a inventory.Attribute) bool { return samePlace(a.Value, place) }):
			return true
		}
	}
	return row[1] == nil && x.LocRole == "" && len(f.Locations) == 0 || row[1] == nil && x.LocRole != ""
}

// samePlace compares places by their words: a city, a region and a code are written in
// many ways.
func samePlace(a, b string) bool {
	words := func(s string) string {
		return strings.ToUpper(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' }), " "))
	}
	return words(a) == words(b)
}

// status compares the word, of carriers the code that stands first.
func (x *expected) status(row []any, f *Fact) bool {
	want, _ := cellOf(row, 2).(string)
	allowed := []string{want}
	allowed = append(allowed, x.StateAlt...)
	for _, a := range allowed {
		if strings.EqualFold(a, f.Status) {
			return true
		}
		if code, _, more := strings.Cut(a, " "); more && code == f.Status {
			return true
		}
	}
	return false
}

func (x *expected) quantity(row []any, f *Fact) bool {
	want := fmt.Sprint(cellOf(row, 3))
	if cellOf(row, 3) == nil {
		return true
	}
	a, okA := new(big.Rat).SetString(want)
	b, okB := new(big.Rat).SetString(f.Quantity)
	if !okA || !okB {
		return false
	}
	if x.Sign == "derived" || f.Kind == inventory.KindMovement {
		// The sign of a movement is in its type or its status (consumed), or in the
		// quantity of what is only adjusted.
		if x.Sign == "derived" || b.Sign() >= 0 && inventory.MovementType(f.Type) != inventory.Adjust || f.Status != "adjusted" {
			a.Abs(a)
			b.Abs(b)
		}
	}
	return a.Cmp(b) == 0
}

func (x *expected) unit(row []any, f *Fact) bool {
	want, ok := cellOf(row, 4).(string)
	return !ok || want == f.Unit
}

// timed compares times as far as the row states one: as written, or as an instant.
func timed(row []any, f *Fact) bool {
	want, ok := cellOf(row, 5).(string)
	if !ok {
		return true
	}
	want = strings.TrimSuffix(strings.TrimSuffix(want, " local"), "Z")
	if i := strings.LastIndexByte(want, ' '); i > 0 && zoneCode(want[i+1:]) {
		want = want[:i] // the time of the place: 16:25 PT
	}
	if f.OccurredAt == "" {
		return false
	}
	a, err := wall(want)
	if err != nil {
		return false
	}
	stated := time.Nanosecond // what the row states it to
	switch {
	case len(want) <= len(time.DateOnly):
		stated = 24 * time.Hour
	case strings.Count(want, ":") == 1:
		stated = time.Minute
	}
	for _, t := range walls(f.OccurredAt) {
		if t.Truncate(stated).Equal(a) {
			return true
		}
	}
	return false
}

// zoneCode says whether a text is a code of a time zone such as PT or EST.
func zoneCode(s string) bool {
	return len(s) >= 2 && len(s) <= 4 && strings.IndexFunc(s, func(c rune) bool { return c < 'A' || c > 'Z' }) < 0
}

var errWall = errors.New("not a time")

// wall reads a time without its zone.
func wall(s string) (time.Time, error) {
	for _, layout := range slices.Concat(localLayouts, dateLayouts, []string{"2006-01-02T15:04:05.999999999", "January 2, 2006 3:04 pm"}) {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	for _, layout := range zonedLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errWall
}

// walls are a time as its place reads it and as UTC does: both are right.
func walls(s string) []time.Time {
	for _, layout := range zonedLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			_, offset := t.Zone()
			return []time.Time{t.UTC(), t.UTC().Add(time.Duration(offset) * time.Second)}
		}
	}
	if t, err := wall(s); err == nil {
		return []time.Time{t}
	}
	return nil
}

func cellOf(row []any, i int) any {
	if i < len(row) {
		return row[i]
	}
	return nil
}

func text(row []any) string {
	b, err := json.Marshal(row)
	if err != nil {
		return fmt.Sprint(row)
	}
	return string(b)
}

func (f *Fact) text() string {
	ids := make([]string, len(f.IDs))
	for i, id := range f.IDs {
		ids[i] = id.Type + ":" + id.Value
	}
	return fmt.Sprintf("%s %s %s %s %s at %s, %s %s", strings.Join(ids, " "), f.Status, f.Quantity, f.Unit, f.OccurredAt,
		strings.Join(f.Locations, "/"), f.Kind, f.Document.Number)
}
