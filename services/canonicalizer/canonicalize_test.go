package canonicalizer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// world is the shipped policies and the master data their samples define.
func world(t *testing.T) (map[inventory.Source]*sourceProgram, *masters) {
	t.Helper()
	set := load(t, shipped)
	all, err := programs(set)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sampleMasters(set, all)
	if err != nil {
		t.Fatal(err)
	}
	return all, m
}

func read(t *testing.T, p *sourceProgram, m *masters, body string) Result {
	t.Helper()
	raw := &event.RawMessage{ID: strings.Repeat("a", 32), Source: p.src.Name, Body: []byte(body), ReceivedAt: sampleTime}
	res, err := canonicalize(t.Context(), p, raw, m)
	if err != nil {
		t.Fatal(err)
	}
	checkWhole(t, &res)
	return res
}

// checkWhole holds Invariant 2 against a result: each line once, and the receipt
// says where.
func checkWhole(t *testing.T, r *Result) {
	t.Helper()
	n := len(r.Events) + len(r.Items) + len(r.Locations) + len(r.Milestones) + len(r.Parked) + len(r.Rejected)
	if int(r.Receipt.Lines) != n {
		t.Errorf("the receipt says %d lines, there are %d", r.Receipt.Lines, n)
	}
	if len(r.Receipt.EventIDs) != len(r.Events) || int(r.Receipt.Rejected) != len(r.Rejected) || int(r.Receipt.Parked) != len(r.Parked) ||
		int(r.Receipt.Masters) != len(r.Items)+len(r.Locations) || int(r.Receipt.Milestones) != len(r.Milestones) || !r.Receipt.Adds() {
		t.Errorf("receipt %+v", r.Receipt)
	}
	lines := map[int32]bool{}
	for _, e := range r.Events {
		lines[e.Trace.RawLine] = true
	}
	for _, m := range r.Milestones {
		lines[m.Trace.RawLine] = true
	}
	for _, d := range r.Rejected {
		lines[d.Line] = true
		if d.ID == "" || d.Code == "" || d.Reason == "" || d.RawID == "" {
			t.Errorf("dead letter %+v", d)
		}
	}
	for _, p := range r.Parked {
		lines[p.Line] = true
	}
	if len(lines)+len(r.Items)+len(r.Locations) != n {
		t.Errorf("lines %v do not tell %d apart", slices.Sorted(maps.Keys(lines)), n)
	}
}

func codes(r *Result) []string {
	var out []string
	for _, d := range r.Rejected {
		out = append(out, d.Code)
	}
	return out
}

const isa = "ISA*00*          *00*          *ZZ*W              *ZZ*A              *261102*1015*U*00401*000000001*0*P*>~GS*SW*W*A*20261102*1015*1*X*004010~"

func set945(control, order, item string, count int) string {
	return fmt.Sprintf("ST*945*%s~W06*N*%s*20261102*S%s~W12*CC*1*1*0*EA**SK*%s~SE*%d*%s~", control, order, order, item, count, control)
}

// TestBadInput: each fault its own code, and the good lines of the same message go
// on.
func TestBadInput(t *testing.T) {
	all, m := world(t)
	good := set945("0002", "1002", "SKU-1", 4)
	for _, tc := range []struct {
		name   string
		source inventory.Source
		body   string
		codes  []string
		events int
		parked string
	}{
		{"truncated in a set", "wms", isa + good + "ST*945*0003~W06*N*1003*20261102*S3~W12*CC*1*1*0*EA**SK*SK", []string{"x12_truncated"}, 1, ""},
		{"truncated between sets", "wms", isa + good, []string{"x12_truncated"}, 1, ""},
		{"truncated in the ISA", "wms", isa[:60], []string{"x12_truncated"}, 0, ""},
		{"wrong segment count", "wms", isa + set945("0001", "1001", "SKU-1", 7) + good + "GE*2*1~IEA*1*1~", []string{"x12_segment_count"}, 1, ""},
		{"SE of another set", "wms", isa + strings.Replace(set945("0001", "1001", "SKU-1", 4), "SE*4*0001", "SE*4*0009", 1) + good + "GE*2*1~IEA*1*1~", []string{"x12_control_number"}, 1, ""},
		{"set without SE", "wms", isa + "ST*945*0001~W06*N*1001*20261102*S1~W12*CC*1*1*0*EA**SK*SKU-1~" + good + "GE*2*1~IEA*1*1~", []string{"x12_missing_se"}, 1, ""},
		{"wrong group count", "wms", isa + good + "GE*5*1~IEA*1*1~", []string{"x12_group_count"}, 1, ""},
		{"wrong interchange count", "wms", isa + good + "GE*1*1~IEA*3*1~", []string{"x12_interchange_count"}, 1, ""},
		{"wrong interchange number", "wms", isa + good + "GE*1*1~IEA*1*8~", []string{"x12_control_number"}, 1, ""},
		{"no X12 at all", "wms", "hello", []string{"x12_no_isa"}, 0, ""},
		{"another set", "wms", isa + "ST*997*0001~AK1*SW*1~SE*3*0001~" + good + "GE*2*1~IEA*1*1~", []string{"unsupported_set"}, 1, ""},
		{"unknown item", "wms", isa + set945("0001", "1001", "GHOST", 4) + good + "GE*2*1~IEA*1*1~", nil, 1, "item:SK:GHOST"},

		{"bad number", "wms-count", "count_id,sku,quantity\nC,SKU-1,1e3\nC,SKU-2,5\n", []string{"bad_quantity"}, 1, ""},
		{"no number", "wms-count", "count_id,sku,quantity\nC,SKU-1,\nC,SKU-2,5\n", []string{"bad_balances"}, 1, ""},
		{"overflow", "wms-count", "count_id,sku,quantity\nC,SKU-1,123456789012345\nC,SKU-2,5\n", []string{"quantity_overflow"}, 1, ""},
		{"overflow by the unit", "wms-count", "count_id,sku,quantity,unit\nC,SKU-1,99999999999999,CA\nC,SKU-2,5,\n", []string{"quantity_overflow"}, 1, ""},
		{"five decimals", "wms-count", "count_id,sku,quantity\nC,SKU-3,1.00001\nC,SKU-2,5\n", []string{"bad_quantity"}, 1, ""},
		{"unknown unit", "wms-count", "count_id,sku,quantity,unit\nC,SKU-1,1,XX\nC,SKU-2,5,\n", nil, 1, "unit:SKU-1:XX"},
		{"half of what is whole", "wms-count", "count_id,sku,quantity\nC,SKU-1,0.5\nC,SKU-2,5\n", []string{"fraction_of_indivisible"}, 1, ""},
		{"ragged row", "wms-count", "count_id,sku,quantity\nC,SKU-1\nC,SKU-2,5\n", []string{"csv_ragged"}, 1, ""},
		{"quote in a field", "wms-count", "count_id,sku,quantity\nC,SK\"U-1,1\nC,SKU-2,5\n", []string{"csv_quote"}, 1, ""},
		{"not UTF-8", "wms-count", "count_id,sku,quantity\nC,\xff,1\nC,SKU-2,5\n", []string{"invalid_utf8"}, 1, ""},
		{"missing column", "wms-count", "count_id,sku\nC,SKU-1\n", []string{"csv_header"}, 0, ""},
		{"bad time", "wms-count", "count_id,sku,quantity,as_of\nC,SKU-1,1,yesterday\nC,SKU-2,5,\n", []string{"bad_time"}, 1, ""},
		{"no document", "wms-count", "count_id,sku,quantity\n,SKU-1,1\nC,SKU-2,5\n", []string{"bad_mapping"}, 1, ""},
		{"unknown location", "wms-count", "count_id,sku,quantity,location\nC,SKU-1,1,MARS\nC,SKU-2,5,\n", nil, 1, "location:MARS"},
		{"unknown state", "opening", "sku,quantity,state\nSKU-1,1,lost\nSKU-2,1,\n", []string{"bad_state"}, 1, ""},

		{"broken JSON", "shop", `{"id":`, []string{"json_syntax"}, 0, ""},
		{"two documents", "shop", `{} {}`, []string{"json_syntax"}, 0, ""},
		{"repeated key", "shop", `{"id":1,"id":2}`, []string{"json_duplicate_key"}, 0, ""},
		{"too deep", "shop", strings.Repeat("[", 80) + strings.Repeat("]", 80), []string{"json_too_deep"}, 0, ""},
		{"not an order", "shop", `[1]`, []string{"mapping_error"}, 0, ""},
		{"no lines", "shop", `{"id":1}`, []string{"no_lines"}, 0, ""},
		{"one line broken", "shop", `{"id":1,"created_at":"2026-11-02T10:00:00Z","line_items":[7,{"sku":"SKU-1","quantity":2}]}`, []string{"mapping_error"}, 1, ""},
		{"negative order", "shop", `{"id":1,"created_at":"2026-11-02T10:00:00Z","line_items":[{"sku":"SKU-1","quantity":-2},{"sku":"SKU-1","quantity":2}]}`, []string{"bad_quantity"}, 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, all[tc.source], m, tc.body)
			if !slices.Equal(codes(&res), tc.codes) || len(res.Events) != tc.events {
				t.Errorf("codes %v and %d events, want %v and %d: %+v", codes(&res), len(res.Events), tc.codes, tc.events, res.Rejected)
			}
			if tc.parked != "" && (len(res.Parked) != 1 || res.Parked[0].Missing != tc.parked) {
				t.Errorf("parked %+v, want %s", res.Parked, tc.parked)
			}
		})
	}
}

// A faulty set's lines keep their event ids, so that the audit can join them.
func TestRejectedLineHasItsEventID(t *testing.T) {
	all, m := world(t)
	res := read(t, all["wms"], m, isa+set945("0001", "1001", "SKU-1", 7)+"GE*1*1~IEA*1*1~")
	want := event.EventID("wms", inventory.Document{Type: "945", Number: "S1001", Line: "1"})
	if len(res.Rejected) != 1 || res.Rejected[0].ID != want {
		t.Errorf("%+v, want id %s", res.Rejected, want)
	}
}

// The same message again, whenever it comes and however it is wrapped, gives the
// same event ids and contents.
func TestSameEventsAgain(t *testing.T) {
	all, m := world(t)
	p := all["wms"]
	first := read(t, p, m, isa+set945("0001", "1001", "SKU-1", 4)+"GE*1*1~IEA*1*1~")
	raw := &event.RawMessage{
		ID: strings.Repeat("b", 32), Source: "wms", ReceivedAt: sampleTime + 3_600_000,
		Body: []byte(strings.ReplaceAll(isa, "1015", "2200") + set945("0077", "1001", "SKU-1", 4) + "GE*1*1~IEA*1*1~"),
	}
	second, err := canonicalize(t.Context(), p, raw, m)
	if err != nil {
		t.Fatal(err)
	}
	a, b := &first.Events[0], &second.Events[0]
	if a.ID != b.ID || inventory.ContentHash(a) != inventory.ContentHash(b) {
		t.Errorf("%s %d against %s %d", a.ID, inventory.ContentHash(a), b.ID, inventory.ContentHash(b))
	}
}

func TestCountNeedsADeclaration(t *testing.T) {
	all, m := world(t)
	p := *all["wms-count"]
	src := *p.src
	src.Balance = nil
	p.src = &src
	res := read(t, &p, m, "count_id,sku,quantity\nC,SKU-1,5\n")
	if !slices.Equal(codes(&res), []string{"balance_undeclared"}) {
		t.Errorf("%v", codes(&res))
	}
}

func TestDecimalComma(t *testing.T) {
	all, m := world(t)
	p := *all["wms-count"]
	src := *p.src
	src.CSV = policy.CSV{Delimiter: ";", Decimal: ","}
	p.src = &src
	res := read(t, &p, m, "count_id;sku;quantity\nC;SKU-3;1,5\nD;SKU-3;1.5\n")
	if len(res.Events) != 1 || res.Events[0].Count.Balances[0].Quantity != 15_000 || !slices.Equal(codes(&res), []string{"bad_quantity"}) {
		t.Errorf("%+v %v", res.Events, codes(&res))
	}
}

func TestReceiptGoesWhereTheLocationSays(t *testing.T) {
	all, m := world(t)
	body := isa + "ST*944*0001~W17*F*20261102*R1*P1~N1*WH**91*RET~W07*1*EA**SK*SKU-1~SE*5*0001~GE*1*1~IEA*1*1~"
	res := read(t, all["wms"], m, body)
	if len(res.Events) != 1 || res.Events[0].Movement.ToState != inventory.Quarantine {
		t.Errorf("%+v %+v", res.Events, res.Rejected)
	}
}

func TestTooManyLines(t *testing.T) {
	all, m := world(t)
	p := *all["wms-count"]
	src := *p.src
	src.Limits.MaxLines = 2
	p.src = &src
	res := read(t, &p, m, "count_id,sku,quantity\nC,SKU-1,1\nC,SKU-2,1\nC,SKU-3,1\n")
	if !slices.Equal(codes(&res), []string{"too_many_lines"}) || len(res.Events) != 0 {
		t.Errorf("%v, %d events", codes(&res), len(res.Events))
	}
}

func TestMasterVersionGrows(t *testing.T) {
	all, _ := world(t)
	m := newMasters()
	p := all["master-items"]
	put := func(rows string) []int64 {
		res := read(t, p, m, "item,base_unit,units\n"+rows)
		var versions []int64
		for i := range res.Items {
			m.putItem(&res.Items[i])
			versions = append(versions, res.Items[i].Version)
		}
		return versions
	}
	for _, tc := range []struct {
		rows string
		want []int64
	}{
		{"A,EA,\n", []int64{1}},
		{"A,EA,\n", []int64{1}}, // nothing new
		{"A,EA,CA=6\n", []int64{2}},
		{"A,EA,CA=8\nA,EA,CA=9\n", []int64{3, 4}},
	} {
		if got := put(tc.rows); !slices.Equal(got, tc.want) {
			t.Errorf("%q: versions %v, want %v", tc.rows, got, tc.want)
		}
	}
	m.putItem(&event.MasterItem{Key: inventory.Key{Entity: "acme", Item: "A"}, Version: 2})
	if v := m.items[inventory.Key{Entity: "acme", Item: "A"}].Version; v != 4 {
		t.Errorf("an older record took version %d over 4", v)
	}
}

// What no topic would take is refused here, not by the log for ever.
func TestMasterDataIsBounded(t *testing.T) {
	all, m := world(t)
	long := strings.Repeat("x", 300)
	res := read(t, all["master-items"], m, "item,base_unit,gtin,description,units\n"+long+",EA,,,\nA,EA,"+long+",,\nA,EA,,,"+long+"=1\nA,EA,,"+long+long+long+long+",\n")
	if !slices.Equal(codes(&res), []string{"too_long", "too_long", "bad_unit"}) || len(res.Items) != 1 || len(res.Items[0].Description) > 1030 {
		t.Errorf("%v, items %+v", codes(&res), res.Items)
	}
	res = read(t, all["master-locations"], m, "location,aliases\nL,"+long+"\n")
	if !slices.Equal(codes(&res), []string{"too_long"}) {
		t.Errorf("%v", codes(&res))
	}
}

func TestIdentity(t *testing.T) {
	src := &policy.Source{Entity: "acme", IDTypes: map[string][]string{"VN": {"vendor", "sku"}}}
	m := newMasters()
	item := func(name string, ids ...event.Identifier) {
		m.putItem(&event.MasterItem{Key: inventory.Key{Entity: "acme", Item: inventory.Item(name)}, BaseUnit: "EA", Version: 1, Identifiers: ids})
	}
	item("A", event.Identifier{Type: "gtin", Value: "00012345678905"}, event.Identifier{Type: "vendor", Value: "V1", Owner: "x"})
	item("B", event.Identifier{Type: "vendor", Value: "V1", Owner: "y"}, event.Identifier{Type: "gtin", Value: "4006381333931"})
	for _, tc := range []struct {
		name string
		ids  []event.Identifier
		want inventory.Item
		code string
	}{
		{"UPC and GTIN-14 are one number", []event.Identifier{{Type: "UP", Value: "012345678905"}}, "A", ""},
		{"EAN and GTIN-14 are one number", []event.Identifier{{Type: "UK", Value: "04006381333931"}}, "B", ""},
		{"one of two is known", []event.Identifier{{Type: "SK", Value: "?"}, {Type: "EN", Value: "4006381333931"}}, "B", ""},
		{"an owner tells two apart", []event.Identifier{{Type: "vendor", Value: "V1", Owner: "y"}}, "B", ""},
		{"without an owner they are one too many", []event.Identifier{{Type: "vendor", Value: "V1"}}, "", "item_ambiguous"},
		{"two ids, two items", []event.Identifier{{Type: "sku", Value: "A"}, {Type: "sku", Value: "B"}}, "", "item_conflict"},
		{"the source's own meaning", []event.Identifier{{Type: "VN", Value: "A"}}, "A", ""},
		{"nobody", []event.Identifier{{Type: "sku", Value: "C"}}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, fault := m.item(src, tc.ids)
			if (fault == nil) != (tc.code == "") || fault != nil && fault.code != tc.code {
				t.Fatalf("fault %v, want %q", fault, tc.code)
			}
			if (got == nil) != (tc.want == "") || got != nil && got.Key.Item != tc.want {
				t.Errorf("item %+v, want %q", got, tc.want)
			}
		})
	}
	item("A") // its numbers are gone
	if got, _ := m.item(src, []event.Identifier{{Type: "UP", Value: "012345678905"}}); got != nil {
		t.Errorf("a number that was taken away still names %s", got.Key.Item)
	}
}
