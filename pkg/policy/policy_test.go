package policy

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/policies"
)

const source = `name: wms
entity: acme
format: csv
auth: {api_key_env: WMS_KEY}
mapping_version: "1"
mapping: "[]"
`

func folder(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func TestShippedPolicies(t *testing.T) {
	set, err := LoadFS(policies.Examples)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Sources) < 8 || len(set.Channels) == 0 || len(set.ERPs) == 0 || set.Ledger.Version < 1 || set.LedgerHash == "" {
		t.Errorf("%d sources, %d channels, %d ERPs, ledger %+v", len(set.Sources), len(set.Channels), len(set.ERPs), set.Ledger)
	}
}

// TestFaults: every fault of every file, each with its place.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"unknown key", map[string]string{"sources/a.yaml": source + "colour: blue\n"}, []string{`sources/a.yaml:1:1: additional properties 'colour' not allowed`}},
		{"key twice", map[string]string{"sources/a.yaml": source + "name: x\n"}, []string{`sources/a.yaml:7:1: mapping key "name" already defined at [1:1]`}},
		{"no YAML", map[string]string{"sources/a.yaml": "a: [1"}, []string{"sources/a.yaml:1:"}},
		{"empty", map[string]string{"sources/a.yaml": "# nothing\n"}, []string{"sources/a.yaml:1:1: empty"}},
		{"two documents", map[string]string{"sources/a.yaml": source + "---\n" + source}, []string{"one document a file"}},
		{"anchor", map[string]string{"sources/a.yaml": strings.Replace(source, "acme", "&x acme", 1)}, []string{"sources/a.yaml:2:", "anchor is not allowed here"}},
		{"missing fields", map[string]string{"sources/a.yaml": "name: a\nentity: acme\n"}, []string{"missing properties", "'format'"}},
		{"a wrong enum at its line", map[string]string{"sources/a.yaml": strings.Replace(source, "csv", "morse", 1)}, []string{"sources/a.yaml:3:1: format: value must be one of"}},
		{"nested, at its line", map[string]string{"sources/a.yaml": source + "balance:\n  basis: physical\n  covers: [on_hand, shelf]\n"}, []string{"sources/a.yaml:9:", "balance.covers.1: value must be one of"}},
		{"too large", map[string]string{"sources/a.yaml": source + "limits: {max_bytes: 2000000}\n"}, []string{"sources/a.yaml:7:10: limits.max_bytes: maximum"}},
		{"a key in clear", map[string]string{"sources/a.yaml": strings.Replace(source, "api_key_env: WMS_KEY", "api_keys: [secret]", 1)}, []string{"sources/a.yaml:4:", "auth.api_keys.0"}},
		{"nobody need sign", map[string]string{"sources/a.yaml": strings.Replace(source, "api_key_env: WMS_KEY", "", 1)}, []string{"auth: an API key or a signature is required"}},
		{"header with a secret", map[string]string{"sources/a.yaml": source + "headers: [Authorization]\n"}, []string{"headers[0]: Authorization carries a secret"}},
		{"zone", map[string]string{"sources/a.yaml": source + "time_zone: Mars/Base\n"}, []string{`sources/a.yaml:7:1: time_zone: "Mars/Base" is no IANA time zone`}},
		{"includes of a sellable number", map[string]string{"sources/a.yaml": source + "balance: {basis: sellable, covers: [on_hand], includes: [picked]}\n"}, []string{"balance.includes: only a physical number includes other states"}},
		{"no mapping", map[string]string{"sources/a.yaml": strings.Replace(source, `mapping: "[]"`, "", 1)}, []string{"mapping: mapping or mapping_file is required"}},
		{"two mappings", map[string]string{"sources/a.yaml": source + "mapping_file: m.jq\n"}, []string{"mapping_file: mapping is given as well"}},
		{"mapping that is not there", map[string]string{"sources/a.yaml": strings.Replace(source, `mapping: "[]"`, "mapping_file: ../../etc/passwd", 1)}, []string{"mapping_file: reading: open"}},
		{"sample that is not there", map[string]string{"sources/a.yaml": source + "samples: [{file: a, expected: b}]\n"}, []string{"samples[0]: a is not there", "samples[0]: b is not there"}},
		{"name twice", map[string]string{"sources/a.yaml": source, "sources/b.yaml": source}, []string{"sources/b.yaml:1:1: name: sources/a.yaml has it already"}},
		{"decimal comma and comma", map[string]string{"sources/a.yaml": source + "csv: {decimal: \",\"}\n"}, []string{"csv.decimal: the delimiter is a comma already"}},
		{"all files, all faults", map[string]string{"sources/a.yaml": "x: 1\n", "erp/b.yaml": "name: B!\ntype: sap\n"}, []string{"sources/a.yaml", "erp/b.yaml:1:1: name:", "erp/b.yaml:2:1: type:"}},

		{"unknown source of the ledger", map[string]string{"sources/a.yaml": source, "ownership/ledger.yaml": "version: 1\norigins: [shop]\nowners:\n  - location: DC1\n    moves: [wms, wmz]\n"}, []string{`ownership/ledger.yaml:2:11: origins[0]: no file of sources is named "shop"`, `owners[0].moves[1]: no file of sources is named "wmz"`}},
		{"version", map[string]string{"ownership/ledger.yaml": "version: 0\n"}, []string{"version: minimum"}},
		{"two ledgers", map[string]string{"ownership/a.yaml": "version: 1\n", "ownership/b.yaml": "version: 2\n"}, []string{"ownership/b.yaml: ownership/a.yaml has the ledger policy already"}},

		{"safety stock twice", map[string]string{"atp/a.yaml": "safety_stock:\n  - {entity: e, item: i, quantity: 1}\n  - {entity: e, item: i, quantity: 2}\n"}, []string{"atp/a.yaml:3:", "safety_stock[1]: stands there twice"}},
		{"no quantity", map[string]string{"atp/a.yaml": "safety_stock:\n  - {entity: e, item: i, quantity: many}\n"}, []string{"atp/a.yaml:2:", "safety_stock.0.quantity: 'many' does not match pattern"}},
		{"horizon twice", map[string]string{"atp/a.yaml": "horizon: 3\n", "atp/b.yaml": "horizon: 4\n"}, []string{"atp/b.yaml:1:1: horizon: another file has it already"}},

		{"group nobody has", map[string]string{"channels/a.yaml": "name: a\ntype: simulated\nentity: e\ngroup: g\n"}, []string{`channels/a.yaml:4:1: group: no file of atp has a group "g"`}},
		{"webhook without secret", map[string]string{"channels/a.yaml": "name: a\ntype: webhook\nentity: e\nlocations: [L]\nurl: http://u:p@h/\n"}, []string{"secret_env: required", "url: credentials belong in the environment"}},
		{"tryton without key", map[string]string{"erp/a.yaml": "name: a\ntype: tryton\nurl: ftp://x\n"}, []string{"key_env: required", "database: required", "url: an absolute http or https URL"}},
		{"outside account at a location", map[string]string{"erp/a.yaml": "name: a\ntype: simulated\nplaces:\n  - {account: supplier, location: L, code: S}\n"}, []string{"erp/a.yaml:4:", "places[0]: supplier is outside"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, err := LoadFS(folder(tc.files))
			if err == nil || set != nil {
				t.Fatal("accepted")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
			for _, e := range flatten(err) {
				if f, ok := errors.AsType[*Fault](e); !ok || f.File == "" {
					t.Errorf("%v has no file", e)
				}
			}
		})
	}
}

func TestMissingFolder(t *testing.T) {
	if _, err := Load("no/such/folder"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestEverythingIsRead(t *testing.T) {
	set, err := LoadFS(folder(map[string]string{
		"sources/a.yaml": source + `time_zone: America/New_York
as_of: {delay: 90s, date: noon}
balance: {basis: physical, includes: [picked], covers: [on_hand, damaged]}
csv: {delimiter: ";", decimal: ",", header: [a, b]}
unit_aliases: {EACH: EA}
id_types: {VN: [vendor, sku]}
`,
		"ownership/ledger.yaml": "version: 3\norigins: [wms]\nowners: [{location: DC1, balance: [wms], moves: [wms]}, {}]\n",
		"atp/a.yaml":            "horizon: 14\nkeep_days: 2\ngroups: {web: [DC1, DC2]}\nsafety_stock:\n  - {entity: e, item: \"007\", location: DC1, quantity: 2.5}\n  - {entity: e, item: X, quantity: \"3\"}\n",
		"channels/b.yaml":       "name: b\ntype: simulated\nentity: e\ngroup: web\nbuffer: 1.5\nlistings: {X: \"12345\"}\nitems: [X]\n",
		"channels/a.yaml":       "name: a\ntype: webhook\nentity: e\nlocations: [DC1]\nshare: 40\ncap: 10\nunit: 6\nurl_env: A_URL\nsecret_env: A_SECRET\n",
		"erp/a.yaml": "name: a\ntype: simulated\ntime_zone: UTC\nposts:\n  - {location: DC2, poster: external}\n  - {entity: e, types: [receipt, ship]}\n" +
			"places:\n  - {location: DC1, account: on_hand, code: MAIN}\n  - {account: on_hand, code: \"W-{location}\"}\n  - {account: supplier, code: SUP}\nunits: {EA: Unit}\nthrottle: {per_second: 2.5, concurrent: 3}\n",
		"erp/README.md": "not a policy",
	}))
	if err != nil {
		t.Fatal(err)
	}
	s := set.Source("wms")
	if s.Zone.String() != "America/New_York" || s.AsOf.Delay.Seconds() != 90 || s.AsOf.Date != DateNoon || s.CSV.Decimal != "," ||
		!slices.Equal(s.Balance.Includes, []inventory.Account{inventory.Picked}) || !slices.Equal(s.Balance.Covers, []inventory.Account{inventory.OnHand, inventory.Damaged}) ||
		s.UnitAliases["EACH"] != "EA" || !slices.Equal(s.IDTypes["VN"], []string{"vendor", "sku"}) || s.File != "sources/a.yaml" {
		t.Errorf("source %+v", s)
	}
	if set.Ledger.Version != 3 || !set.Ledger.IsOrigin("wms") || set.Ledger.IsOrigin("x") || set.Ledger.May("x", "e", "DC1", inventory.OnHand, inventory.FactIssue, 1) || !set.Ledger.May("x", "e", "DC2", inventory.OnHand, inventory.FactIssue, 1) {
		t.Errorf("ledger %+v", set.Ledger)
	}
	a := set.ATP
	if a.Horizon != 14 || a.KeepDays != 2 || len(a.SafetyStock) != 2 || a.SafetyStock[0].Item != "007" || a.SafetyStock[0].Quantity != 25_000 || a.SafetyStock[1].Quantity != 30_000 {
		t.Errorf("ATP %+v", a)
	}
	if len(set.Channels) != 2 || set.Channels[0].Name != "a" {
		t.Fatalf("channels %+v", set.Channels)
	}
	one, two := set.Channels[0], set.Channels[1]
	if one.Share != 40 || one.Unit != 6*inventory.One || one.Cap != 10*inventory.One || two.Share != 100 || two.Unit != inventory.One || two.Buffer != 15_000 ||
		!slices.Equal(two.Locations, []inventory.Location{"DC1", "DC2"}) {
		t.Errorf("channels %+v", set.Channels)
	}
	if two.Listing("X") != "12345" || two.Listing("Y") != "Y" || !two.Sells(inventory.Key{Entity: "e", Item: "X"}) ||
		two.Sells(inventory.Key{Entity: "e", Item: "Y"}) || one.Sells(inventory.Key{Entity: "f", Item: "Y"}) || !one.Sells(inventory.Key{Entity: "e", Item: "Y"}) {
		t.Errorf("what channel b sells")
	}
	e := &set.ERPs[0]
	for place, want := range map[inventory.Place]string{
		{Location: "DC1", Account: inventory.OnHand}: "MAIN", {Location: "DC2", Account: inventory.OnHand}: "W-DC2",
		{Account: inventory.Supplier}: "SUP", {Account: inventory.Scrap}: "",
	} {
		if got, ok := e.Place(place); got != want || ok != (want != "") {
			t.Errorf("%+v = %q, want %q", place, got, want)
		}
	}
	if e.Posted("e", "DC2", inventory.Receipt) || !e.Posted("e", "DC1", inventory.Ship) || e.Posted("e", "DC1", inventory.ScrapStock) || e.Posted("f", "DC1", inventory.Ship) {
		t.Error("who posts")
	}
	if e.Unit("EA") != "Unit" || e.Unit("CA") != "CA" || e.Throttle.PerSecond != 2.5 || e.Throttle.Concurrent != 3 {
		t.Errorf("ERP %+v", e)
	}
}

// The ledger's content is what workers far away decide by: the same policy must
// give the same bytes, and come back whole.
func TestLedgerContent(t *testing.T) {
	p := inventory.Policy{Version: 7, Origins: []inventory.Source{"shop"}}
	p.Authority.Owners = []inventory.Owner{
		{Scope: inventory.Scope{Location: "DC1"}, Balance: []inventory.Source{"c"}, Moves: []inventory.Source{"a", "b"}}, {},
	}
	content, hash, err := EncodeLedger(p)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"version":7,"origins":["shop"],"owners":[{"location":"DC1","balance":["c"],"moves":["a","b"]},{}]}`; string(content) != want {
		t.Errorf("%s, want %s", content, want)
	}
	back, err := DecodeLedger(content)
	if err != nil {
		t.Fatal(err)
	}
	again, hash2, err := EncodeLedger(back)
	if err != nil || string(again) != string(content) || hash != hash2 {
		t.Errorf("%s %s, %v", again, hash2, err)
	}
	if _, err := DecodeLedger([]byte(`{"version":7,"origin":["shop"]}`)); err == nil {
		t.Error("a policy with a field nobody knows decides nothing")
	}
}

// A schema and its struct list the same fields: what one takes the other reads.
func TestSchemasFitStructs(t *testing.T) {
	for _, name := range schemaNames {
		b, err := policies.Schemas.ReadFile("schema/" + name + ".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		root, err := parse(b) // JSON is YAML
		if err != nil {
			t.Fatal(err)
		}
		into := map[string]any{"source": &Source{}, "ledger": &ledgerFile{}, "atp": &ATPPolicy{}, "channel": &Channel{}, "erp": &ERP{}, "access": &Principal{}, "issuer": &TokenIssuer{}}[name]
		for _, field := range slices.Sorted(maps.Keys(root.fields["properties"].fields)) {
			if err := decode([]byte(field+": null\n"), into); err != nil {
				t.Errorf("%s: %s is in the schema only: %v", name, field, err)
			}
		}
	}
}
