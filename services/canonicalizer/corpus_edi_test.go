package canonicalizer

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

// signs are the faults and flags of which one says what a mark of the manifest
// (dq) says of an envelope.
var signs = map[string][]string{
	"SE_COUNT":                   {"x12_segment_count", "x12_missing_terminator"}, // a segment read as two counts as two
	"COUNT GE":                   {"x12_group_count"},
	"COUNT IEA":                  {"x12_interchange_count"},
	"CTRL_MISMATCH":              {"x12_control_number", "control_text"},
	"ISA_NOT_106":                {"isa_not_106"},
	"NON_ASCII_IN_ISA":           {"isa_non_ascii"},
	"MISSING_TERMINATOR":         {"x12_missing_terminator", "run_together"},
	"NO_ENVELOPE":                {"x12_no_isa"},
	"HL_PARENT_MISSING":          {"parent_missing"},
	"UNT_COUNT":                  {"edifact_segment_count"},
	"UNZ_COUNT":                  {"edifact_message_count"},
	"BAD_SEGMENT":                {"edifact_missing_unh"},
	"UNT_WITHOUT_UNH":            {"edifact_missing_unh"},
	"UNB_SYNTAX_VERSION_MISSING": {"syntax_version_missing"},
}

// TestCorpusEnvelopes parses every X12 and EDIFACT message of the corpus: none
// becomes nothing, every mark of its envelope is raised, and nothing is faulted
// that is not marked.
func TestCorpusEnvelopes(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(corpus, "manifest.tsv"))
	if err != nil {
		t.Skipf("SKIPPED: the corpus of real messages is not here: %v", err)
	}
	seen := map[string]int{}
	for row := range strings.SplitSeq(string(b), "\n") {
		cols := strings.Split(row, "\t")
		name, _, _ := strings.Cut(cols[0], "/")
		if len(cols) < 7 || name != policy.FormatX12 && name != policy.FormatEDIFACT {
			continue
		}
		seen[name]++
		t.Run(cols[0], func(t *testing.T) {
			var want expectation
			if err := json.Unmarshal([]byte(cols[6]), &want); err != nil {
				t.Fatal(err)
			}
			body, err := os.ReadFile(filepath.Join(corpus, cols[0]))
			if err != nil {
				t.Fatal(err)
			}
			raised, faults, trees := readEnvelopes(t, name, body)
			if trees == 0 {
				t.Error("no tree")
			}
			allowed := map[string]bool{}
			for _, mark := range want.DQ {
				for prefix, codes := range signs {
					if !strings.HasPrefix(mark, prefix) {
						continue
					}
					if !slices.ContainsFunc(codes, func(c string) bool { return raised[c] }) {
						t.Errorf("%s is not raised: %v", mark, slices.Sorted(maps.Keys(raised)))
					}
					for _, c := range codes {
						allowed[c] = true
					}
				}
			}
			for _, code := range faults {
				if !allowed[code] {
					t.Errorf("%s, which the manifest does not mark", code)
				}
			}
		})
	}
	if seen[policy.FormatX12] == 0 || seen[policy.FormatEDIFACT] == 0 {
		t.Fatalf("the manifest lists %v", seen)
	}
}

// readEnvelopes parses a body and gives the codes of its faults and flags, those of faults
// alone, and how many units have a tree.
func readEnvelopes(t *testing.T, name string, body []byte) (raised map[string]bool, faults []string, trees int) {
	t.Helper()
	parse, ok := formatOf(name)
	if !ok {
		t.Fatalf("no format %s", name)
	}
	raised = map[string]bool{}
	flag := func(v any) {
		m, _ := v.(map[string]any)
		list, _ := m["flags"].([]any)
		for _, f := range list {
			if f, ok := f.(map[string]any); ok {
				raised[f["code"].(string)] = true
			}
		}
	}
	for u := range parse(body, &policy.Source{Format: name}) {
		if u.Fault != nil {
			faults = append(faults, u.Fault.Code)
			raised[u.Fault.Code] = true
		}
		tree, ok := jq.Plain(u.Tree).(map[string]any)
		if !ok {
			if u.Fault == nil {
				t.Error("a unit with neither tree nor fault")
			}
			continue
		}
		trees++
		flag(tree)
		flag(tree["interchange"])
		segments, _ := tree["segments"].([]any)
		if len(segments) == 0 {
			t.Error("a set without segments")
		}
		loops, ok := hierarchy("hl", "HL", segments).([]any)
		if !ok {
			t.Errorf("hl: %v", loops)
		}
		for _, l := range loops {
			for _, f := range jq.Field(l, "flags").([]any) {
				raised[f.(string)] = true
			}
		}
	}
	return raised, faults, trees
}

// TestCorpusTerminators reads two messages of one shipment that differ in their
// envelopes alone: their sets are the same.
func TestCorpusTerminators(t *testing.T) {
	one, err := os.ReadFile(filepath.Join(corpus, "x12/856/x12parser-ORD__856_edi1Source.txt"))
	if err != nil {
		t.Skipf("SKIPPED: the corpus of real messages is not here: %v", err)
	}
	two, err := os.ReadFile(filepath.Join(corpus, "x12/856/x12-types-004060_856.edi"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := texts(t, one), texts(t, two)
	if a == "" || a != b {
		t.Errorf("%s\nand\n%s", a, b)
	}
}

// texts are the segments of the sets of a message.
func texts(t *testing.T, body []byte) string {
	t.Helper()
	parse, _ := formatOf(policy.FormatX12)
	var out []any
	for u := range parse(body, &policy.Source{}) {
		tree, ok := jq.Plain(u.Tree).(map[string]any)
		if !ok {
			t.Fatalf("%+v", u.Fault)
		}
		for _, s := range tree["segments"].([]any) {
			out = append(out, s.(map[string]any)["e"])
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
