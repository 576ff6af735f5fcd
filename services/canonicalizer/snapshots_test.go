package canonicalizer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// complete is the warehouse's count file, each of which lists all there is.
func complete(t *testing.T) (*sourceProgram, *masters) {
	t.Helper()
	all, m := world(t)
	p := *all["wms-count"]
	src := *p.src
	src.Balance = &policy.Balance{Basis: inventory.Physical, Covers: []inventory.Account{inventory.OnHand}, Complete: true}
	p.src = &src
	return &p, m
}

const countHeader = "count_id,location,sku,quantity,as_of\n"

// The end of a full snapshot is said where nothing is in doubt, once a location.
func TestEndsOfFullSnapshots(t *testing.T) {
	const at = "2026-11-02T10:00:00Z"
	for _, tc := range []struct {
		name, rows string
		ends       []string // locations
		open       []string // what is said of those that have none
	}{
		{"two locations", "C,DC1,SKU-1,5," + at + "\nC,DC1,SKU-2,4," + at + "\nC,DC2,SKU-3,1," + at + "\n", []string{"DC1 2", "DC2 1"}, nil},
		{"a line is rejected", "C,DC1,SKU-1,5," + at + "\nC,DC1,SKU-2,x," + at + "\n", nil, []string{"1 are rejected and 0 parked"}},
		{"the last line is parked", "C,DC1,SKU-1,5," + at + "\nC,DC1,GHOST,1," + at + "\n", nil, []string{"0 are rejected and 1 parked"}},
		{"several times", "C,DC1,SKU-1,5," + at + "\nC,DC1,SKU-2,4,2026-11-02T10:00:01Z\n", nil, []string{"different times"}},
		{"no time", "C,DC1,SKU-1,5,\n", nil, []string{"nothing states its time"}},
		{"two documents", "C,DC1,SKU-1,5," + at + "\nD,DC1,SKU-2,4," + at + "\n", nil, []string{"in 2 snapshots", "in 2 snapshots"}},
		{"nothing", "", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, m := complete(t)
			res := read(t, p, m, countHeader+tc.rows)
			var ends []string
			for _, e := range res.Ends {
				ends = append(ends, string(e.Location)+" "+string(rune('0'+e.Lines)))
				if e.ID != "count/C" || e.Source != "wms-count" || e.Entity != "acme" || e.AsOf != sampleTime-2*3_600_000 ||
					e.Basis != inventory.Physical || !slices.Equal(e.Covers, []inventory.Account{inventory.OnHand}) || e.Validate() != nil {
					t.Errorf("end %+v", e)
				}
			}
			if !slices.Equal(ends, tc.ends) || len(res.Open) != len(tc.open) {
				t.Fatalf("ends %v and %+v, want %v and %v", ends, res.Open, tc.ends, tc.open)
			}
			for i, why := range tc.open {
				if d := res.Open[i]; d.Code != codeSnapshotOpen || !strings.Contains(d.Reason, why) || d.ID == "" || d.Line != 0 {
					t.Errorf("letter %+v, want %q", d, why)
				}
			}
			for i := range res.Events {
				if c := res.Events[i].Count; !c.Complete || !strings.HasPrefix(c.Snapshot, "count/") {
					t.Errorf("line %+v", c)
				}
			}
		})
	}
}

// A source that does not say so lists some of a location, and a mapping may name its
// snapshots.
func TestSnapshotsAsMapped(t *testing.T) {
	all, m := world(t)
	if res := read(t, all["wms-count"], m, countHeader+"C,DC1,SKU-1,5,2026-11-02T10:00:00Z\n"); len(res.Ends)+len(res.Open) > 0 || res.Events[0].Count.Snapshot != "" {
		t.Errorf("a partial count ends %+v", res.Ends)
	}
	p := *all["wms-count"]
	src := *p.src
	src.Mapping = strings.Replace(src.Mapping, "count: {sequence: $r.sequence}", `count: {complete: true, snapshot: "\($r.count_id) of \($r.location)"}`, 1)
	var err error
	if p.mapping, err = compile(&src); err != nil {
		t.Fatal(err)
	}
	res := read(t, &p, m, countHeader+"C,DC1,SKU-1,5,2026-11-02T10:00:00Z\n")
	if len(res.Ends) != 1 || res.Ends[0].ID != "C of DC1" || res.Events[0].Count.Snapshot != "C of DC1" {
		t.Errorf("ends %+v of %+v", res.Ends, res.Events)
	}
	long := read(t, &p, m, countHeader+strings.Repeat("C", 250)+",DC1,SKU-1,5,2026-11-02T10:00:00Z\n")
	if !slices.Equal(codes(&long), []string{"too_long"}) {
		t.Errorf("%v", codes(&long))
	}
}

// A mapping numbers the parts of a snapshot in several messages, and each has an end of
// its own.
func TestPartsOfSnapshots(t *testing.T) {
	all, m := world(t)
	ids := map[string]bool{}
	for _, tc := range []struct {
		says        string
		part, parts int32
		fault       string
	}{
		{"part: 1", 1, 0, ""},
		{"part: 2, parts: 3", 2, 3, ""},
		{"part: 3, last: true", 3, 3, ""},
		{"part: 2, parts: 3, last: true", 0, 0, "bad_parts"},
		{"parts: 3", 0, 0, "bad_parts"},
		{"part: 4, parts: 3", 0, 0, "bad_parts"},
		{"part: -1", 0, 0, "bad_parts"},
		{"part: 4294967297", 0, 0, "bad_parts"},
		{"last: true", 0, 0, "bad_parts"},
	} {
		p := *all["wms-count"]
		src := *p.src
		src.Mapping = strings.Replace(src.Mapping, "count: {sequence: $r.sequence}", `count: {complete: true, snapshot: "S", `+tc.says+`}`, 1)
		var err error
		if p.mapping, err = compile(&src); err != nil {
			t.Fatal(err)
		}
		res := read(t, &p, m, countHeader+"C,DC1,SKU-1,5,2026-11-02T10:00:00Z\n")
		if tc.fault != "" {
			if !slices.Equal(codes(&res), []string{tc.fault}) || len(res.Ends) > 0 {
				t.Errorf("%s: %v", tc.says, codes(&res))
			}
			continue
		}
		if len(res.Ends) != 1 || res.Ends[0].Part != tc.part || res.Ends[0].Parts != tc.parts || res.Events[0].Count.Part != tc.part {
			t.Fatalf("%s: %+v of %+v", tc.says, res.Ends, res.Events)
		}
		w := writer{codecs: event.TestCodecs()}
		recs, err := w.ends(&res, &event.RawMessage{ID: "r"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		var ev inventory.Event
		if err := w.codecs.DecodeEvent(recs[0].Value, &ev); err != nil || ev.Validate() != nil {
			t.Fatal(err, ev.Validate())
		}
		ids[ev.ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d ids of the ends of three parts", len(ids))
	}
	p := *all["wms-count"]
	src := *p.src
	src.Mapping = strings.Replace(src.Mapping, "count: {sequence: $r.sequence}", `count: {part: 1}`, 1)
	var err error
	if p.mapping, err = compile(&src); err != nil {
		t.Fatal(err)
	}
	if res := read(t, &p, m, countHeader+"C,DC1,SKU-1,5,2026-11-02T10:00:00Z\n"); !slices.Equal(codes(&res), []string{"bad_parts"}) {
		t.Errorf("a part of no full snapshot: %v", codes(&res))
	}
}

// The end of a snapshot stands in every partition behind all of its lines, and before
// the receipt.
func TestEndsFollowTheirLines(t *testing.T) {
	p, m := complete(t)
	var log []*stream.Record
	down := true
	h := &handler{
		codecs: event.TestCodecs(), sources: map[inventory.Source]*sourceProgram{"wms-count": p}, masters: m, partitions: 3,
		chunk:     maxChunk,
		lines:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "l"}, []string{"source", "became"}),
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "s"}, []string{"source", "became"}),
		produce: func(_ context.Context, recs ...*stream.Record) error {
			log = append(log, recs...)
			return nil
		},
	}
	lost := errors.New("no broker")
	h.toPartition = func(_ context.Context, recs ...*stream.Record) error {
		if down {
			return lost
		}
		log = append(log, recs...)
		return nil
	}
	raw := &event.RawMessage{ID: "r", Source: "wms-count", ReceivedAt: sampleTime, Body: []byte(countHeader + "C,DC1,SKU-1,5,2026-11-02T10:00:00Z\nC,DC1,SKU-2,4,2026-11-02T10:00:00Z\n")}
	value, err := h.codecs.AppendRaw(nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	rec := &stream.Record{Topic: event.TopicRaw, Key: []byte("wms-count|"), Value: value}
	if out, err := h.batch(t.Context(), []*stream.Record{rec}); !errors.Is(err, lost) || out != nil || len(log) != 2 {
		t.Fatalf("%d receipts and %v behind %d records", len(out), err, len(log))
	}
	down = false
	ids := map[string]bool{}
	for range 2 { // the same message again says the same
		log = nil
		out, err := h.batch(t.Context(), []*stream.Record{rec})
		if err != nil || len(out) != 1 || len(log) != 5 {
			t.Fatalf("%d receipts behind %d records: %v", len(out), len(log), err)
		}
		for i, r := range log {
			var ev inventory.Event
			if err := h.codecs.DecodeEvent(r.Value, &ev); err != nil {
				t.Fatal(err)
			}
			ids[ev.ID] = true
			if i < 2 {
				continue // the lines
			}
			if string(r.Key) != event.ControlKey || r.Partition != int32(i-2) || ev.Kind != inventory.KindControl || ev.Control.Snapshot == nil ||
				ev.Control.Snapshot.ID != "count/C" || ev.Control.Snapshot.Lines != 2 || ev.Validate() != nil {
				t.Errorf("record %d: %s to %d, %+v", i, r.Key, r.Partition, ev)
			}
		}
	}
	if len(ids) != 5 {
		t.Errorf("%d ids of 5 records", len(ids))
	}
}

// The service as built knows how many partitions there are.
func TestEndsReachEveryPartition(t *testing.T) {
	k := newKafka(t)
	set := load(t, shipped)
	src := *set.Sources["wms-count"]
	src.Balance = &policy.Balance{Basis: inventory.Physical, Covers: []inventory.Account{inventory.OnHand}, Complete: true}
	set.Sources["wms-count"] = &src
	defer k.startWith(t, set)()
	k.send(t, "master-items", "r1", sample(t, "master-items.csv"))
	k.send(t, "master-locations", "r2", sample(t, "master-locations.csv"))
	k.await(t, event.TopicReceipts, 2)
	k.send(t, "wms-count", "r3", []byte(countHeader+"C,DC1,SKU-1,5,2026-11-02T10:00:00Z\n"))
	k.await(t, event.TopicReceipts, 3)
	ends := map[int32]int{}
	for _, rec := range k.await(t, event.TopicEvents, 3) {
		if string(rec.Key) == event.ControlKey {
			ends[rec.Partition]++
		}
	}
	if len(ends) != 2 || ends[0] != 1 || ends[1] != 1 {
		t.Errorf("ends by partition: %v", ends)
	}
}
