package policy

import (
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/inventory"
)

func TestLimitPolicyIsCarriedWhole(t *testing.T) {
	set, err := reservations(t, `version: 3
limits:
  window: 240h
  ids: 200000
  exact: 48h
  journal_entries: 2048
  horizon: 96h
  supply_lines: 100
  parked_events: 50
  parked_bytes: 65536
`, "horizon: 3\n")
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeLedger(set.LedgerContent)
	if err != nil {
		t.Fatal(err)
	}
	const hour = inventory.Instant(3_600_000)
	want := inventory.LimitPolicy{
		Window: 240 * hour, IDs: 200_000, Exact: 48 * hour, Entries: 2048, Horizon: 96 * hour,
		SupplyLines: 100, Parked: 50, ParkedBytes: 65_536,
	}
	if back.Limits != want {
		t.Errorf("%+v", back.Limits)
	}
	if again, _, err := EncodeLedger(back); err != nil || string(again) != string(set.LedgerContent) {
		t.Errorf("written again it is %s, %v", again, err)
	}
}

func TestLimitPolicyFaults(t *testing.T) {
	for name, c := range map[string]struct{ ledger, want string }{
		"few ids":              {"version: 1\nlimits: {ids: 99999}\n", "limits"},
		"short window":         {"version: 1\nlimits:\n  window: 10m\n", "ownership/ledger.yaml:3:3: limits.window: shorter than an hour"},
		"short exact":          {"version: 1\nlimits:\n  exact: 10s\n", "limits.exact: shorter"},
		"short horizon":        {"version: 1\nlimits:\n  exact: 72h\n  horizon: 48h\n", "limits.horizon: shorter"},
		"short of the default": {"version: 1\nlimits:\n  horizon: 2h\n", "limits.horizon: shorter"},
		"beyond the default":   {"version: 1\nlimits:\n  exact: 480h\n", "limits.horizon: shorter"},
		"too many":             {"version: 1\nlimits: {parked_events: 1001}\n", "limits"},
		"no duration":          {"version: 1\nlimits: {window: long}\n", "is no duration"},
		"unknown":              {"version: 1\nlimits: {weight: 1}\n", "weight"},
	} {
		if _, err := reservations(t, c.ledger, "horizon: 3\n"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
