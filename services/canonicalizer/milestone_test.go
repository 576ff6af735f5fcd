package canonicalizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// tracker is a source whose messages are lists of lines as they are.
func tracker() *policy.Source {
	return &policy.Source{
		Name: "tracker", Entity: "acme", Format: policy.FormatJSON, Mapping: ".tree", MappingVersion: "7", File: "tracker", Zone: time.UTC,
	}
}

func programOf(t *testing.T, src *policy.Source) *sourceProgram {
	t.Helper()
	p, err := program(src)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// scan is a message of one milestone, with more fields than every one has or others.
func scan(t *testing.T, fields string) string {
	t.Helper()
	line := map[string]json.RawMessage{}
	for _, text := range []string{`{"kind": "milestone", "status": "in transit", "document": {"type": "scan", "number": "N|1", "revision": "r", "line": "3"},
		"occurred_at": "2026-11-01T08:00:00Z", "milestone": {"about": "shipments"}}`, "{" + fields + "}"} {
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal([]any{line})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestMilestone: what a line that is no event becomes, by what it names.
func TestMilestone(t *testing.T) {
	_, m := world(t)
	bare := renderedMilestone{
		About: "shipments", Status: "in transit", OccurredAt: "2026-11-01T08:00:00Z", Basis: "document", Document: "scan/N|1/r/3",
	}
	for _, tc := range []struct {
		name, more string
		want       func(x *renderedMilestone)
		parked     string
		code       string
	}{
		{"nothing more", ``, func(*renderedMilestone) {}, "", ""},
		{"an item", `"ids": [{"type": "sku", "value": "SKU-1"}], "quantity": 2, "unit": "CA", "location": "WH02"`, func(x *renderedMilestone) {
			x.Item, x.IDs, x.Location, x.Quantity, x.Unit = "SKU-1", []string{"sku:SKU-1"}, "DC2", "24", "EA"
		}, "", ""},
		{"an item without a quantity", `"ids": [{"type": "UP", "value": "100000000014"}], "unit": "??"`, func(x *renderedMilestone) {
			x.Item, x.IDs = "SKU-1", []string{"UP:100000000014"}
		}, "", ""},
		{"none of an item", `"ids": [{"type": "sku", "value": "SKU-1"}], "quantity": "0"`, func(x *renderedMilestone) {
			x.Item, x.IDs, x.Quantity, x.Unit = "SKU-1", []string{"sku:SKU-1"}, "0", "EA"
		}, "", ""},
		{"a parcel", `"ids": [{"type": "tracking", "value": "1Z9"}, {"type": "BOL", "value": "B1"}, {"type": "shipment", "value": "S1"}], "quantity": "2.5", "unit": "KG"`, func(x *renderedMilestone) {
			x.IDs, x.Quantity, x.Unit = []string{"tracking:1Z9", "BOL:B1", "shipment:S1"}, "2.5", "KG"
		}, "", ""},
		{"numbers of everything else", `"ids": [{"type": "sscc", "value": "1"}, {"type": "order", "value": "2"}, {"type": "control", "value": "3"}]`, func(x *renderedMilestone) {
			x.IDs = []string{"sscc:1", "order:2", "control:3"}
		}, "", ""},
		{"a parcel of an item", `"ids": [{"type": "sscc", "value": "340"}, {"type": "sku", "value": "SKU-2"}]`, func(x *renderedMilestone) {
			x.Item, x.IDs = "SKU-2", []string{"sscc:340", "sku:SKU-2"}
		}, "", ""},
		{"a parcel somewhere", `"ids": [{"type": "tracking", "value": "1Z9"}], "location": ["MEMPHIS", "TN"], "attributes": {"a": "1", "z": "2"}`, func(x *renderedMilestone) {
			x.IDs, x.Attributes = []string{"tracking:1Z9"}, map[string]string{"a": "1", "location": "MEMPHIS", "z": "2"}
		}, "", ""},
		{"a parcel at ours", `"ids": [{"type": "tracking", "value": "1Z9"}], "location": "CENTRAL"`, func(x *renderedMilestone) {
			x.IDs, x.Location = []string{"tracking:1Z9"}, "DC1"
		}, "", ""},
		{"references and a day", `"refs": [{"type": "order", "number": "9"}], "milestone": {"about": "returns", "due": "2026-11-09"}`, func(x *renderedMilestone) {
			x.About, x.Due, x.Refs = "returns", "2026-11-09", []string{"tracker/order/9/"}
		}, "", ""},

		{"an unknown item", `"ids": [{"type": "tracking", "value": "1Z9"}, {"type": "sku", "value": "GHOST"}]`, nil, "item:sku:GHOST", ""},
		{"an item nowhere", `"ids": [{"type": "sku", "value": "SKU-1"}], "location": "MARS"`, nil, "location:MARS", ""},
		{"two items", `"ids": [{"type": "sku", "value": "SKU-1"}, {"type": "sku", "value": "SKU-2"}]`, nil, "", "item_conflict"},
		{"an unknown unit", `"ids": [{"type": "sku", "value": "SKU-1"}], "quantity": 1, "unit": "XX"`, nil, "unit:SKU-1:XX", ""},
		{"half of what is whole", `"ids": [{"type": "sku", "value": "SKU-1"}], "quantity": "0.5"`, nil, "", "fraction_of_indivisible"},
		{"no number", `"quantity": "few"`, nil, "", "bad_quantity"},
		{"no number of an unknown item", `"ids": [{"type": "sku", "value": "GHOST"}], "quantity": "few"`, nil, "", "bad_quantity"},
		{"no day", `"milestone": {"about": "orders", "due": "soon"}`, nil, "", "bad_time"},
		{"no time", `"occurred_at": "soon"`, nil, "", "bad_time"},
		{"no status", `"status": null`, nil, "", "bad_mapping"},
		{"about anything", `"milestone": {"about": "invoices"}`, nil, "", "bad_mapping"},
		{"too long a status", `"status": "` + strings.Repeat("x", 256) + `"`, nil, "", "too_long"},
		{"too long a number", `"document": {"type": "scan", "number": "` + strings.Repeat("x", 256) + `"}`, nil, "", "too_long"},
		{"half a reference", `"refs": [{"type": "order"}]`, nil, "", "bad_ref"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, programOf(t, tracker()), m, scan(t, tc.more))
			if got := strings.Join(codes(&res), " "); got != tc.code {
				t.Fatalf("codes %q, want %q: %+v", got, tc.code, res.Rejected)
			}
			var parked string
			for _, p := range res.Parked {
				parked = p.Missing
			}
			if parked != tc.parked {
				t.Fatalf("parked for %q, want %q", parked, tc.parked)
			}
			if tc.want == nil {
				if len(res.Milestones) > 0 {
					t.Errorf("and a milestone: %+v", res.Milestones)
				}
				return
			}
			want := bare
			tc.want(&want)
			if len(res.Milestones) != 1 {
				t.Fatalf("%d milestones", len(res.Milestones))
			}
			if got := renderMilestone(&res.Milestones[0]); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if b, err := render(&res); err != nil || !bytes.Contains(b, []byte(`"document": "scan/N|1/r/3"`)) {
				t.Errorf("a sample of it is rendered as %s, %v", b, err)
			}
		})
	}
}

// Milestones of one message keep what they name, whatever the lines behind them do.
func TestMilestonesOfOneMessage(t *testing.T) {
	_, m := world(t)
	var lines []json.RawMessage
	for i := range 3 {
		var one []json.RawMessage
		if err := json.Unmarshal([]byte(scan(t, fmt.Sprintf(`"ids": [{"type": "tracking", "value": "T%d"}]`, i))), &one); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, one...)
	}
	body, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	res, err := canonicalize(t.Context(), programOf(t, tracker()), &event.RawMessage{ID: "a", Source: "tracker", Body: body, ReceivedAt: sampleTime}, m)
	if err != nil || len(res.Milestones) != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	for i := range res.Milestones {
		if ids := res.Milestones[i].Identifiers; len(ids) != 1 || ids[0].Value != fmt.Sprintf("T%d", i) {
			t.Errorf("milestone %d has %v", i, ids)
		}
	}
}

// The same message again gives the same bytes; a second delivery the same but for
// where and when it was received.
func TestSameMilestoneAgain(t *testing.T) {
	_, m := world(t)
	p := programOf(t, tracker())
	write := func(id string, at inventory.Instant) (*event.Milestone, *stream.Record) {
		raw := &event.RawMessage{ID: id, Source: "tracker", Body: []byte(scan(t, `"quantity": 1`)), ReceivedAt: at}
		res, err := canonicalize(t.Context(), p, raw, m)
		if err != nil || len(res.Milestones) != 1 {
			t.Fatalf("%+v, %v", res, err)
		}
		w := writer{codecs: event.TestCodecs(), input: inputRecord(raw), at: at}
		if err := w.records(&res); err != nil || len(w.out) != 1 {
			t.Fatalf("%d records, %v", len(w.out), err)
		}
		return &res.Milestones[0], w.out[0]
	}
	first, rec := write("a", sampleTime)
	_, again := write("a", sampleTime)
	if !bytes.Equal(rec.Value, again.Value) || !bytes.Equal(rec.Key, again.Key) {
		t.Error("the same message again gives another record")
	}
	second, later := write("b", sampleTime+1)
	if second.ID != first.ID || second.ID != event.EventID("tracker", first.Document) || !bytes.Equal(rec.Key, later.Key) {
		t.Errorf("ids %s and %s, keys %s and %s", first.ID, second.ID, rec.Key, later.Key)
	}
	same := *second
	same.ReceivedAt, same.Trace.RawID = first.ReceivedAt, first.Trace.RawID
	value, err := event.TestCodecs().AppendMilestone(nil, &same)
	if err != nil || !bytes.Equal(value, rec.Value) {
		t.Errorf("a second delivery differs by more than its receipt: %+v, %+v, %v", first, second, err)
	}
}

// What a ledger line says of its status goes on as an attribute.
func TestStatusOfAnEvent(t *testing.T) {
	_, m := world(t)
	line := `"kind": "supply", "milestone": null, "supply": {"stage": "ordered"}, "ids": [{"type": "sku", "value": "SKU-1"}], "location": "DC1", "quantity": 1,
		"refs": [{"type": "purchase_order", "number": "9"}]`
	for more, want := range map[string][]inventory.Attribute{
		``:                                       {{Name: "status", Value: "in transit"}},
		`, "status": null`:                       nil,
		`, "attributes": {"a": "1", "z": "2"}`:   {{Name: "a", Value: "1"}, {Name: "status", Value: "in transit"}, {Name: "z", Value: "2"}},
		`, "attributes": {"status": "accepted"}`: {{Name: "status", Value: "accepted"}},
	} {
		res := read(t, programOf(t, tracker()), m, strings.Replace(scan(t, line+more), `"milestone":null,`, "", 1))
		if len(res.Events) != 1 || !slices.Equal(res.Events[0].Attributes, want) {
			t.Errorf("%s: %+v %+v, want %v", more, res.Events, res.Rejected, want)
		}
	}
}

// Milestones on Kafka: each on the topic of what it is about, under its document, with
// the receipt behind; beside lines of every other sort each line is in one place.
func TestMilestonesOnKafka(t *testing.T) {
	k := newKafka(t)
	set := load(t, shipped)
	set.Sources["tracker"] = tracker()
	defer k.startWith(t, set)()
	k.send(t, "master-items", "m1", sample(t, "master-items.csv"))
	k.send(t, "master-locations", "m2", sample(t, "master-locations.csv"))
	k.await(t, event.TopicReceipts, 2)
	var lines []string
	for _, fields := range []string{
		``, `"milestone": {"about": "orders"}, "ids": [{"type": "sku", "value": "SKU-1"}]`, `"milestone": {"about": "returns"}`,
		`"ids": [{"type": "sku", "value": "GHOST"}]`, `"quantity": "few"`,
	} {
		lines = append(lines, strings.Trim(scan(t, fields), "[]"))
	}
	k.send(t, "tracker", "r1", []byte("["+strings.Join(lines, ",")+"]"))
	receipts := k.await(t, event.TopicReceipts, 3)
	var receipt event.Receipt
	if err := k.codecs.DecodeReceipt(receipts[2].Value, &receipt); err != nil {
		t.Fatal(err)
	}
	if got := [5]int32{receipt.Lines, receipt.Milestones, receipt.Parked, receipt.Rejected, int32(len(receipt.EventIDs))}; got != [5]int32{5, 3, 1, 1, 0} || !receipt.Adds() {
		t.Errorf("receipt %+v", receipt)
	}
	for topic, about := range map[string]string{event.TopicOrders: "orders", event.TopicShipments: "shipments", event.TopicReturns: "returns"} {
		recs := k.await(t, topic, 1)
		var m event.Milestone
		if err := k.codecs.DecodeMilestone(recs[0].Value, &m); err != nil {
			t.Fatal(err)
		}
		headers := map[string]string{}
		for _, h := range recs[0].Headers {
			headers[h.Key] = string(h.Value)
		}
		if len(recs) != 1 || m.About != about || m.Status != "in transit" || m.Trace.RawID != "r1" || m.Trace.MappingVersion != "7" ||
			string(recs[0].Key) != "acme|scan|"+inventory.Escape("N|1") || headers["ce_type"] != "milestone" || headers["ce_id"] != m.ID || headers["traceparent"] == "" {
			t.Errorf("%s: %d records, key %q, headers %v, %+v", topic, len(recs), recs[0].Key, headers, m)
		}
	}
	k.await(t, event.TopicParked, 1)
	if k.count(event.TopicEvents) != 0 {
		t.Errorf("%d events of milestones", k.count(event.TopicEvents))
	}
}

func TestMilestonesAreCounted(t *testing.T) {
	_, m := world(t)
	h := &handler{
		codecs: event.TestCodecs(), sources: map[inventory.Source]*sourceProgram{"tracker": programOf(t, tracker())}, masters: m,
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "l"}, []string{"source", "became"}),
	}
	value, err := h.codecs.AppendRaw(nil, &event.RawMessage{ID: "r", Source: "tracker", Body: []byte(scan(t, ``)), ReceivedAt: sampleTime})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := h.message(t.Context(), &stream.Record{Topic: event.TopicRaw, Value: value}, nil); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(h.lines)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	got := map[string]float64{}
	for _, metric := range families[0].GetMetric() {
		got[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
	}
	if got["milestone"] != 1 || got["event"] != 0 {
		t.Errorf("%v", got)
	}
}
