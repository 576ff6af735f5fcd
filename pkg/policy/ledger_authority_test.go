package policy

import (
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stockweave/stockweave/pkg/inventory"
)

const authorityYAML = `version: 4
owners:
  - {entity: e, location: DC1, states: [damaged], facts: [balance, state_change], from: 2026-03-01T00:00:00Z, until: "2026-04-01T00:00:00+01:00", window: 48h, balance: [wms]}
  - {location: DC1, balance: [wms], moves: [wms, erp]}
authority:
  handovers:
    - {location: DC1, facts: [balance], at: 2026-03-15T12:00:00.5Z, window: 90m, from: erp, to: wms}
  modes:
    - {source: erp, location: DC1, facts: [demand, supply], mode: observe}
    - {mode: shadow}
  compare:
    - source: erp
      location: DC1
      states: [{state: on_hand, ledger: [on_hand, picked], after_claims: true}]
      lag: 15m
      packs: [6, "12"]
      items: [{entity: e, item: "007", value: 9.99, packs: [4]}]
      alert: {quantity: 5, percent: 2.5, value: 1000, snapshots: 3, dwell: 24h}
`

func authorityFiles(ledger string) fstest.MapFS {
	source := func(name string) string {
		return "name: " + name + "\nentity: e\nformat: json\nauth: {api_key_env: K}\nmapping_version: \"1\"\nmapping: \"[]\"\n"
	}
	return fstest.MapFS{
		"ownership/ledger.yaml": {Data: []byte(ledger)},
		"sources/wms.yaml":      {Data: []byte(source("wms"))},
		"sources/erp.yaml":      {Data: []byte(source("erp"))},
	}
}

// What the file says is what the ledger decides by, and its content comes back
// whole: a field lost on the way would decide otherwise far away.
func TestAuthorityIsReadAndCarried(t *testing.T) {
	set, err := LoadFS(authorityFiles(authorityYAML))
	if err != nil {
		t.Fatal(err)
	}
	const hour = inventory.Instant(3_600_000)
	day := func(n inventory.Instant) inventory.Instant { return (20_513 + n) * 24 * hour } // 2026-03-01 is day 20513
	want := inventory.AuthorityPolicy{
		Owners: []inventory.Owner{
			{
				Scope: inventory.Scope{
					Entity: "e", Location: "DC1", States: 1 << inventory.Damaged, Facts: inventory.FactBalance | inventory.FactStateChange,
				},
				From: day(0), Until: day(31) - hour, Window: 48 * hour, Balance: []inventory.Source{"wms"},
			},
			{Scope: inventory.Scope{Location: "DC1"}, Balance: []inventory.Source{"wms"}, Moves: []inventory.Source{"wms", "erp"}},
		},
		Handovers: []inventory.Handover{{
			Scope: inventory.Scope{Location: "DC1", Facts: inventory.FactBalance},
			At:    day(14) + 12*hour + 500, Window: 90 * 60_000, From: "erp", To: "wms",
		}},
		Modes: []inventory.ModeRule{
			{Source: "erp", Location: "DC1", Facts: inventory.FactDemand | inventory.FactSupply, Mode: inventory.ModeObserve},
			{Mode: inventory.ModeShadow},
		},
		Compare: []inventory.Comparison{{
			Source: "erp", Location: "DC1",
			States: []inventory.StateMap{{State: inventory.OnHand, Ledger: 1<<inventory.OnHand | 1<<inventory.Picked, AfterClaims: true}},
			Lag:    15 * 60_000, Packs: []inventory.Quantity{60_000, 120_000},
			Items: []inventory.ItemTerms{{Key: inventory.Key{Entity: "e", Item: "007"}, Value: 99_900, Packs: []inventory.Quantity{40_000}}},
			Alert: inventory.Alert{Quantity: 50_000, Percent: 25_000, Value: 10_000_000, Snapshots: 3, Dwell: 24 * hour},
		}},
	}
	if got := set.Ledger.Authority; !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v\nwant\n%+v", got, want)
	}
	back, err := DecodeLedger(set.LedgerContent)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Authority, want) {
		t.Errorf("carried as %s\n%+v\nwant\n%+v", set.LedgerContent, back.Authority, want)
	}
	again, hash, err := EncodeLedger(back)
	if err != nil || string(again) != string(set.LedgerContent) || hash != set.LedgerHash {
		t.Errorf("encoded again: %s, %v", again, err)
	}
	for _, bad := range []string{
		`{"version":1,"owners":[{"facts":["balances"]}]}`,
		`{"version":1,"owners":[{"states":["supplier"]}]}`,
		`{"version":1,"authority":{"modes":[{"mode":"dry"}]}}`,
		`{"version":1,"owners":[{"from":"yesterday"}]}`,
		`{"version":1,"owners":[{"window":"-1h"}]}`,
		`{"version":1,"owners":[{"colour":"red"}]}`,
	} {
		if _, err := DecodeLedger([]byte(bad)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

func TestFaultsOfAuthority(t *testing.T) {
	for name, c := range map[string]struct{ ledger, want string }{
		"unreachable":        {"owners:\n  - moves: [wms]\n  - {location: DC1, moves: [erp]}\n", "ownership/ledger.yaml:4:6: owners[1]: owners[0] stands before it and decides all of it: the most specific goes first (unreachable)"},
		"two balances":       {"owners:\n  - balance: [wms, erp]\n", "owners.0.balance"},
		"unknown fact":       {"owners:\n  - facts: [sales]\n", "owners.0.facts.0"},
		"a bad time":         {"owners:\n  - {from: 2026-03-01, moves: [wms]}\n", "2026-11-02T00:00:00Z"},
		"until before from":  {"owners:\n  - {from: 2026-03-02T00:00:00Z, until: 2026-03-01T00:00:00Z, moves: [wms]}\n", "owners[0].until: must be after from (out_of_range)"},
		"window alone":       {"owners:\n  - {window: 1h, moves: [wms]}\n", "owners[0].window: a window is counted from until (required)"},
		"handover to itself": {"authority:\n  handovers:\n    - {at: 2026-03-01T00:00:00Z, window: 1h, from: wms, to: wms}\n", "authority.handovers[0].to: is the same as from (conflicting)"},
		"unknown new owner":  {"authority:\n  handovers:\n    - {at: 2026-03-01T00:00:00Z, window: 1h, from: wms, to: wms2}\n", `authority.handovers[0].to: no file of sources is named "wms2" (unknown_source)`},
		"a mode for nothing": {"authority:\n  modes:\n    - {mode: observe}\n    - {location: DC1, mode: live}\n", "authority.modes[1]: modes[0] stands before it and decides all of it: the most specific goes first (unreachable)"},
		"silence":            {"authority:\n  silence: [{owner: wms, heartbeat: 1h, then: zero}]\n", "authority: additional properties 'silence' not allowed (bad_shape)"},
		"unknown mode":       {"authority:\n  modes: [{mode: dry}]\n", "authority.modes.0.mode"},
		"compared twice":     {"authority:\n  compare: [{source: erp}, {source: erp, location: DC1}]\n", "authority.compare[1]: compare[0] stands before it"},
		"a state twice":      {"authority:\n  compare: [{source: erp, states: [{state: picked, ledger: [picked]}, {state: picked, ledger: [on_hand]}]}]\n", "authority.compare[0].states[1]: picked stands there twice (duplicate)"},
		"no pack":            {"authority:\n  compare: [{source: erp, packs: [0]}]\n", "authority.compare[0].packs[0]: a pack is above zero (out_of_range)"},
		"per cent":           {"authority:\n  compare: [{source: erp, alert: {percent: 101}}]\n", "authority.compare[0].alert.percent: is from 0 to 100"},
	} {
		_, err := LoadFS(authorityFiles("version: 1\n" + c.ledger))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
