package policy

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/inventory"
)

const countingYAML = `version: 4
counts:
  - source: wms
    precision: 1m
    skew: 30s
    ambiguous: held
    assume_ack_after: 15m
    agreeing: 3
    guard: {relative: 0.5, absolute: 1000, value: 2500.5, zero_outs: true}
    zero_share: 0.2
  - {skew: 10s, ambiguous: included}
lines: {link_wait: 45m, unlinked: claim, short: resource}
lanes:
  - {source: erp, location: DC1, title: origin, residual: 720h}
  - {title: destination}
`

// What the file says of counts, lines and lanes is what the ledger decides by, and
// its content comes back whole.
func TestCountingIsReadAndCarried(t *testing.T) {
	set, err := LoadFS(authorityFiles(countingYAML))
	if err != nil {
		t.Fatal(err)
	}
	const minute = inventory.Instant(60_000)
	want := inventory.Policy{
		Version: 4,
		Counts: inventory.CountPolicy{Sources: []inventory.CountSource{
			{
				Source: "wms", Precision: minute, Skew: minute / 2, Ambiguous: inventory.HeldBack,
				AssumeAckAfter: 15 * minute, Agreeing: 3, ZeroShare: inventory.One / 5,
				Guard: inventory.CountGuard{Relative: inventory.One / 2, Absolute: 1000 * inventory.One, Value: 25_005_000, ZeroOuts: true},
			},
			{Skew: minute / 6, Ambiguous: inventory.Included},
		}},
		Lines: inventory.LinePolicy{LinkWait: 45 * minute, Unlinked: inventory.UnlinkedClaims, Short: inventory.ShortResource},
		Lanes: []inventory.Lane{
			{Source: "erp", Location: "DC1", Title: inventory.TitleOrigin, Residual: 720 * 60 * minute},
			{Title: inventory.TitleDestination},
		},
	}
	if got := counting(&set.Ledger); !reflect.DeepEqual(got, want) {
		t.Errorf("read as\n%+v\nwant\n%+v", got, want)
	}
	back, err := DecodeLedger(set.LedgerContent)
	if err != nil || !reflect.DeepEqual(counting(&back), want) {
		t.Errorf("came back as\n%+v, %v", back, err)
	}
}

// counting is the part of a policy that these tests are about.
func counting(p *inventory.Policy) inventory.Policy {
	return inventory.Policy{Version: p.Version, Counts: p.Counts, Lines: p.Lines, Lanes: p.Lanes}
}

// A field that a later hand adds to the policy and forgets to carry would decide
// otherwise far away.
func TestEveryFieldOfCountingIsCarried(t *testing.T) {
	filled := inventory.Policy{
		Counts: inventory.CountPolicy{Sources: make([]inventory.CountSource, 1)},
		Lanes:  make([]inventory.Lane, 1),
	}
	for _, v := range []reflect.Value{
		reflect.ValueOf(&filled.Counts.Sources[0]).Elem(), reflect.ValueOf(&filled.Lines).Elem(), reflect.ValueOf(&filled.Lanes[0]).Elem(),
	} {
		fillFields(v)
	}
	content, _, err := EncodeLedger(filled)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeLedger(content)
	if err != nil || !reflect.DeepEqual(counting(&back), filled) {
		t.Errorf("sent\n%+v\ncame back as\n%+v, %v", filled, back, err)
	}
}

func fillFields(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() { //nolint:exhaustive // the others have no place in a policy of counts
		case reflect.Struct:
			fillFields(f)
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		default:
			f.SetInt(int64(i + 1))
		}
	}
}

func TestFaultsOfCounting(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"unknown source", "counts:\n  - {source: nobody}", `counts[0].source: no file of sources is named "nobody" (unknown_source)`},
		{"same source twice", "counts:\n  - {source: wms}\n  - {source: wms, skew: 1s}", "counts[1]: counts[0] stands before it and decides all of it (unreachable)"},
		{"nothing to be ambiguous", "counts:\n  - {source: wms, ambiguous: held}", "counts[0].ambiguous: nothing is ambiguous without precision or skew (required)"},
		{"too much doubt", "counts:\n  - {source: wms, precision: 20h, skew: 5h}", "counts[0].precision: with skew, is at most 24h0m0s (out_of_range)"},
		{"share above all", "counts:\n  - {source: wms, zero_share: 1.5}", "counts[0].zero_share: is from 0 to 1 (out_of_range)"},
		{"limit below zero", "counts:\n  - {source: wms, guard: {absolute: -1}}", "counts[0].guard.absolute: is from 0 to 99999999999999.9999 (out_of_range)"},
		{"unknown mode", "counts:\n  - {source: wms, skew: 1s, ambiguous: maybe}", "counts.0.ambiguous"},
		{"too many snapshots", "counts:\n  - {source: wms, agreeing: 17}", "counts.0.agreeing"},
		{"no duration", "counts:\n  - {source: wms, skew: soon}", `"soon" is no duration`},
		{"unlinked without a wait", "lines: {unlinked: claim}", "lines.unlinked: is decided after link_wait (required)"},
		{"unknown shortage", "lines: {short: ignore}", "lines.short"},
		{"lane without title", "lanes:\n  - {location: DC1}", "title"},
		{"lane of nobody", "lanes:\n  - {source: nobody, title: origin}", `lanes[0].source: no file of sources is named "nobody" (unknown_source)`},
		{"lane never reached", "lanes:\n  - {title: origin}\n  - {location: DC1, title: destination}", "lanes[1]: lanes[0] stands before it and decides all of it (unreachable)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := LoadFS(authorityFiles("version: 1\n" + c.yaml + "\n"))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ownership/ledger.yaml:") {
				t.Errorf("got %v, want %s with its position", err, c.want)
			}
		})
	}
}
