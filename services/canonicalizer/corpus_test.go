package canonicalizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// corpus is a collection of real messages that stands beside the repository and is
// no part of it.
const corpus = "../../../shared/corpus"

// expectation is the last column of the corpus's manifest.
type expectation struct {
	Doc          any                 `json:"doc"`
	When         string              `json:"when"`
	F            [][]any             `json:"f"` // item, location, state, quantity, unit, time
	Opt          [][]any             `json:"opt"`
	IDs          map[string][]string `json:"ids"`
	LocAlt       []any               `json:"loc_alt"`
	LocRole      string              `json:"loc_role"`
	DQ           []string            `json:"dq"`
	Lot          string              `json:"lot"`
	Order        string              `json:"order"`
	Tracking     string              `json:"tracking"`
	Gate         bool                `json:"gate"`
	GateNoloc    bool                `json:"gate_noloc"`
	QuarantineOK bool                `json:"quarantine_ok"`
}

// TestCorpusX12 reads every 944 and 945 of the corpus by the warehouse's mapping and
// by the standard's. The rows marked as certain must come out, with their lots,
// tracking numbers and orders; the others are printed.
func TestCorpusX12(t *testing.T) {
	t.Run("warehouse", func(t *testing.T) { readCorpusX12(t, load(t, shipped).Sources["wms"]) })
	t.Run("standard", func(t *testing.T) { readCorpusX12(t, standardX12()) })
}

func readCorpusX12(t *testing.T, src *policy.Source) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpus, "manifest.tsv"))
	if err != nil {
		t.Skipf("SKIPPED: the corpus of real messages is not here: %v", err)
	}
	seen := 0
	for row := range strings.SplitSeq(string(b), "\n") {
		cols := strings.Split(row, "\t")
		if len(cols) < 7 || !strings.HasPrefix(cols[0], "x12/944/") && !strings.HasPrefix(cols[0], "x12/945/") {
			continue
		}
		seen++
		t.Run(strings.TrimPrefix(cols[0], "x12/"), func(t *testing.T) {
			var want expectation
			if err := json.Unmarshal([]byte(cols[6]), &want); err != nil {
				t.Fatal(err)
			}
			body, err := os.ReadFile(filepath.Join(corpus, cols[0]))
			if err != nil {
				t.Fatal(err)
			}
			facts, problems, err := Facts(t.Context(), src, body)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				t.Logf("flagged: %s: %s", p.Code, p.Reason)
			}
			complain := t.Errorf
			if !want.Gate && !want.GateNoloc {
				complain = t.Logf
			}
			checkFacts(facts, &want, complain)
			if slices.ContainsFunc(want.DQ, func(s string) bool { return strings.HasPrefix(s, "SE_COUNT") }) &&
				!slices.ContainsFunc(problems, func(p Problem) bool { return p.Code == "x12_segment_count" }) {
				t.Error("the wrong segment count is not flagged")
			}
			if slices.ContainsFunc(want.DQ, func(s string) bool { return strings.HasPrefix(s, "CTRL_MISMATCH") }) &&
				!slices.ContainsFunc(problems, func(p Problem) bool { return p.Code == "x12_control_number" }) {
				t.Error("the control number mismatch is not flagged")
			}
			if slices.Contains(want.DQ, "QUALIFIER_ORDER") {
				for _, f := range facts {
					if attribute(&f, "flags") != "qualifier_order" || attribute(&f, "lot") != "" {
						t.Errorf("attributes %v: want the flag qualifier_order and no lot", f.Attributes)
					}
				}
			}
		})
	}
	if seen == 0 {
		t.Fatal("the manifest lists no 944 or 945")
	}
}

func attribute(f *Fact, name string) string {
	for _, a := range f.Attributes {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

func checkFacts(facts []Fact, want *expectation, complain func(string, ...any)) {
	left := slices.Clone(facts)
	for _, row := range want.F {
		i := slices.IndexFunc(left, func(f Fact) bool { return matches(&f, row, want) })
		if i < 0 {
			complain("no fact for %v among %+v", row, left)
			continue
		}
		f := &left[i]
		if want.Lot != "" && attribute(f, "lot") != want.Lot {
			complain("lot %q, want %q", attribute(f, "lot"), want.Lot)
		}
		if want.Tracking != "" && attribute(f, "tracking") != want.Tracking {
			complain("tracking %q, want %q", attribute(f, "tracking"), want.Tracking)
		}
		if want.Order != "" && !slices.ContainsFunc(f.Refs, func(r inventory.Ref) bool { return r.Number == want.Order }) {
			complain("refs %v, want order %s", f.Refs, want.Order)
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, f := range left {
		if !slices.ContainsFunc(want.Opt, func(row []any) bool { return matches(&f, row, want) }) {
			complain("a fact nobody stated: %+v", f)
		}
	}
}

func matches(f *Fact, row []any, want *expectation) bool {
	item := row[0].(string)
	names := append([]string{item}, want.IDs[item]...)
	named := slices.ContainsFunc(f.IDs, func(id event.Identifier) bool { return slices.Contains(names, id.Type+":"+id.Value) })
	state := map[string]string{"receipt": "received", "ship": "shipped"}[f.Type]
	var quantity string
	switch q := row[3].(type) {
	case float64:
		quantity = inventory.Quantity(q * float64(inventory.One)).String()
	case string:
		quantity = q
	}
	unit, _ := cell(row, 4).(string)
	return named && state == row[2] && f.Quantity == quantity && f.Unit == unit && located(f, row, want) &&
		(want.When == "" || strings.HasPrefix(f.OccurredAt, want.When))
}

func located(f *Fact, row []any, want *expectation) bool {
	if !want.Gate && want.GateNoloc || want.LocRole == "ship_to" {
		return true // the location is another party's
	}
	for _, allowed := range append([]any{row[1]}, want.LocAlt...) {
		if l, ok := allowed.(string); ok && slices.Contains(f.Locations, l) || !ok && len(f.Locations) == 0 {
			return true
		}
	}
	return false
}

func cell(row []any, i int) any {
	if i < len(row) {
		return row[i]
	}
	return nil
}
