package canonicalizer

import (
	"errors"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

func TestShippedClaims(t *testing.T) {
	if err := CheckClaims(load(t, shipped)); err != nil {
		t.Error(err)
	}
}

// claimed is a source with one sample, of one line.
func claimed(t *testing.T, line, more string) []error {
	t.Helper()
	files := map[string]string{
		"sources/x.yaml": "name: x\nentity: acme\nformat: json\nauth: {api_key_env: KEY}\ndefault_location: DC1\nmapping_version: \"1\"\n" + more +
			"mapping: |\n  [{ids: [{type: \"sku\", value: \"A\"}], quantity: 1} + " + line + "]\nsamples:\n  - {file: x.json, expected: x.expected.json}\n",
		"sources/x.json": "{}",
	}
	src := draftOf(t, files)
	b, err := NewBench(&policy.Set{})
	if err != nil {
		t.Fatal(err)
	}
	return b.Claims(t.Context(), src)
}

// A source that cannot say what the ledger must know is refused, unless it states that
// there is none.
func TestClaims(t *testing.T) {
	const (
		count    = `{kind: "count", document: {type: "c", number: "1"}, count: {}}`
		timed    = `{kind: "count", document: {type: "c", number: "1"}, occurred_at: "2026-11-02", count: {}}`
		balance  = "balance: {basis: physical, covers: [on_hand]}\n"
		demand   = `{kind: "demand", document: {type: "o", number: "1"}, demand: {stage: "ordered"}}`
		movement = `{kind: "movement", document: {type: "r", number: "1"}, movement: {type: "receipt"}}`
	)
	for _, tc := range []struct{ name, line, more, want string }{
		{"a count of what?", timed, "", CodeNoBasis},
		{"a count of when?", count, balance, CodeNoAsOf},
		{"a count with a time", timed, balance, ""},
		{"a count of a known age", count, balance + "as_of: {delay: 5m}\n", ""},
		{"a count of an age nobody knows", count, balance + "without: {as_of: its export states no time at all}\n", ""},
		{"an order of nobody's", demand, "", CodeNoRefs},
		{"an order with its number", strings.Replace(demand, "demand: {", `refs: [{type: "order", number: "1"}], demand: {`, 1), "", ""},
		{"an order without, as stated", demand, "without: {refs: a forecast belongs to no order}\n", ""},
		{"a receipt that is never corrected?", movement, "", CodeNoRevision},
		{"a receipt with a revision", strings.Replace(movement, `number: "1"`, `number: "1", revision: "2"`, 1), "", ""},
		{"a receipt with a purpose", strings.Replace(movement, "movement:", `attributes: {purpose: "original"}, movement:`, 1), "", ""},
		{"a receipt that is never corrected, as stated", movement, "without: {revision: a scanner sends each but once}\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var codes []string
			for _, err := range claimed(t, tc.line, tc.more) {
				f, ok := errors.AsType[*policy.Fault](err)
				if !ok {
					t.Fatal(err)
				}
				codes = append(codes, f.Code)
			}
			if got := strings.Join(codes, " "); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
