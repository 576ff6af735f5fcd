package canonicalizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

var errDead = errors.New("the process is dead")

// lane is the topics of parked lines in memory, with one partition each: what outlives
// a process. dies is the number of appends after which the process does.
type lane struct {
	log  map[string][]*stream.Record
	dies int
	done int // records of raw.retry that are committed
}

func (k *lane) produce(_ context.Context, recs ...*stream.Record) error {
	if k.dies == 0 {
		return errDead
	}
	k.dies--
	for _, rec := range recs {
		rec.Offset = int64(len(k.log[rec.Topic]))
		k.log[rec.Topic] = append(k.log[rec.Topic], rec)
	}
	return nil
}

// process is one life of the service, as far as it runs parked lines.
type process struct {
	h *handler
	u *unparker
}

func (k *lane) start(t *testing.T, sources map[inventory.Source]*sourceProgram, m *masters, now func() time.Time) *process {
	t.Helper()
	counter := func(name string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, []string{"source", "became"})
	}
	h := &handler{
		codecs: event.TestCodecs(), sources: sources, masters: m, chunk: 2, parkedParts: 1, produce: k.produce,
		lines: counter("l"), retries: counter("r"), snapshots: counter("s"), waits: newWaits(100),
	}
	m.came = h.waits.came
	u := &unparker{
		h: h, waits: h.waits, produce: k.produce, each: 10, now: now,
		read: func(_ context.Context, _ int32, from, until int64, f func(*stream.Record) error) error {
			for _, rec := range k.log[event.TopicParked][from:until] {
				if err := f(rec); err != nil {
					return err
				}
			}
			return nil
		},
		whole: func(_ context.Context, _ int32, f func(*stream.Record) error) error {
			for _, rec := range k.log[event.TopicParked] {
				if err := f(rec); err != nil {
					return err
				}
			}
			return nil
		},
	}
	p := &process{h, u}
	p.follow(t, k, 0)
	return p
}

// follow reads canonicalizer.parked from an offset.
func (p *process) follow(t *testing.T, k *lane, from int) {
	t.Helper()
	for _, rec := range k.log[event.TopicParked][from:] {
		if err := p.u.apply(rec); err != nil {
			t.Fatal(err)
		}
	}
}

// step looks once and runs what is on raw.retry.
func (p *process) step(t *testing.T, k *lane) error {
	t.Helper()
	if err := p.u.check(t.Context(), event.TopicRetry, 0); err != nil {
		return err
	}
	recs := k.log[event.TopicRetry][k.done:]
	if len(recs) == 0 {
		return nil
	}
	parked := len(k.log[event.TopicParked])
	tombs, err := p.h.retry(t.Context(), recs)
	if err != nil {
		return err
	}
	if err := k.produce(t.Context(), tombs...); err != nil {
		return err
	}
	k.done += len(recs)
	p.follow(t, k, parked)
	return nil
}

func (k *lane) raw(t *testing.T, p *process, raw *event.RawMessage) {
	t.Helper()
	value, err := p.h.codecs.AppendRaw(nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	parked := len(k.log[event.TopicParked])
	receipts, err := p.h.batch(t.Context(), []*stream.Record{{Topic: event.TopicRaw, Key: []byte(event.StreamKey(raw.Source, raw.StreamKey)), Value: value}})
	if err == nil {
		err = k.produce(t.Context(), receipts...)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.follow(t, k, parked)
}

// stands are the lines that wait, by the topic alone.
func (k *lane) stands() map[string]bool {
	out := map[string]bool{}
	for _, rec := range k.log[event.TopicParked] {
		if out[string(rec.Key)] = true; rec.Value == nil {
			delete(out, string(rec.Key))
		}
	}
	return out
}

func newItem(e inventory.Entity, item inventory.Item, version int64, units ...event.UnitOf) *event.MasterItem {
	return &event.MasterItem{
		Key: inventory.Key{Entity: e, Item: item}, BaseUnit: "EA", Version: version, Units: units,
		Identifiers: []event.Identifier{{Type: "gtin", Value: "4006381333931"}},
	}
}

// A line that misses an item, then its unit, runs again each time something comes, and
// becomes one event and one receipt, whenever its process dies (Invariant 2).
func TestParkedLineRunsAgain(t *testing.T) {
	for dies := range 14 {
		t.Run(fmt.Sprint(dies), func(t *testing.T) {
			all, m := world(t)
			now := time.UnixMilli(int64(sampleTime))
			clock := func() time.Time { return now }
			k := &lane{log: map[string][]*stream.Record{}, dies: -1}
			p := k.start(t, all, m, clock)
			k.raw(t, p, &event.RawMessage{
				ID: "r1", Source: "wms-count", ReceivedAt: sampleTime,
				Body: []byte("count_id,sku,quantity,unit,as_of\nC,SKU-1,3,,2026-11-02T10:00:00Z\nC,GHOST,5,PAL,2026-11-02T10:00:00Z\n"),
			})
			if n := len(k.stands()); n != 1 || len(k.log[event.TopicEvents]) != 1 {
				t.Fatalf("%d lines wait and %d events", n, len(k.log[event.TopicEvents]))
			}
			for range 3 { // nothing has come
				if err := p.step(t, k); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(k.log[event.TopicRetry]); n != 0 {
				t.Fatalf("%d lines ran while nothing came", n)
			}
			entity := all["wms-count"].src.Entity
			k.dies = dies
			master := func(version int64, units ...event.UnitOf) {
				m.putItem(newItem(entity, "GHOST", version, units...))
			}
			for life, came := range []func(){
				func() { master(1) }, func() { master(2, event.UnitOf{Unit: "PAL", Factor: 40 * inventory.One}) },
			} {
				came()
				for range 4 {
					if err := p.step(t, k); errors.Is(err, errDead) {
						k.dies = -1
						p = k.start(t, all, m, clock) // the next life, with the topics it has
					} else if err != nil {
						t.Fatalf("life %d: %v", life, err)
					}
				}
			}
			if left := k.stands(); len(left) != 0 {
				t.Errorf("%v still wait", left)
			}
			ids, receipts := map[string]int{}, 0
			for _, rec := range k.log[event.TopicEvents] {
				var ev inventory.Event
				if err := p.h.codecs.DecodeEvent(rec.Value, &ev); err != nil {
					t.Fatal(err)
				}
				ids[ev.ID]++
				if ev.Key.Item == "GHOST" && (ev.Count.Balances[0].Quantity != 200*inventory.One || ev.Trace.RawLine != 2 || ev.Trace.RawID != "r1" || ev.Trace.MasterVersion != 2) {
					t.Errorf("%+v", ev)
				}
			}
			for _, rec := range k.log[event.TopicReceipts] {
				var r event.Receipt
				if err := p.h.codecs.DecodeReceipt(rec.Value, &r); err != nil || !r.Adds() {
					t.Fatalf("%+v, %v", r, err)
				}
				if r.Line == 2 && len(r.EventIDs) == 1 && ids[r.EventIDs[0]] > 0 {
					receipts++
				}
			}
			if len(ids) != 2 || receipts == 0 {
				t.Errorf("events %v, %d receipts of the line", ids, receipts)
			}
		})
	}
}

// Any of the names a line states is what it waits for, whatever it is parked under.
func TestAnyNameWakes(t *testing.T) {
	all, m := world(t)
	k := &lane{log: map[string][]*stream.Record{}, dies: -1}
	p := k.start(t, all, m, time.Now)
	k.raw(t, p, &event.RawMessage{ID: "r1", Source: "wms", ReceivedAt: sampleTime, Body: []byte(
		isa + "ST*945*0001~W06*N*1001*20261102*S1~W12*CC*1*1*0*EA*4006381333931*VN*X-9~SE*4*0001~GE*1*1~IEA*1*1~")})
	if n := len(k.stands()); n != 1 {
		t.Fatalf("%d lines wait: %v", n, k.log[event.TopicDeadCanonicalizer])
	}
	other := newItem("elsewhere", "B", 1)
	m.putItem(other)
	if err := p.step(t, k); err != nil || len(k.log[event.TopicRetry]) != 0 {
		t.Fatalf("another entity's item ran %d lines, %v", len(k.log[event.TopicRetry]), err)
	}
	m.putItem(newItem(all["wms"].src.Entity, "B", 1))
	if err := p.step(t, k); err != nil || len(k.stands()) != 0 || len(k.log[event.TopicEvents]) != 1 {
		t.Errorf("%v wait, %d events, %v", k.stands(), len(k.log[event.TopicEvents]), err)
	}
}

// A load of master data makes many lines ready: they go in the order of their messages
// and lines, so many at a look.
func TestManyGoInOrderAndByAndBy(t *testing.T) {
	all, m := world(t)
	now := time.UnixMilli(int64(sampleTime))
	k := &lane{log: map[string][]*stream.Record{}, dies: -1}
	p := k.start(t, all, m, func() time.Time { return now })
	for _, id := range []string{"r3", "r1", "r2"} {
		body := "count_id,sku,quantity\n"
		for i := range 20 {
			body += fmt.Sprintf("%s,GHOST,%d\n", id, i)
		}
		k.raw(t, p, &event.RawMessage{ID: id, Source: "wms-count", ReceivedAt: sampleTime, Body: []byte(body)})
	}
	m.putItem(newItem(all["wms-count"].src.Entity, "GHOST", 1))
	var at []string
	for range 7 {
		before := len(k.log[event.TopicRetry])
		if err := p.step(t, k); err != nil {
			t.Fatal(err)
		}
		if n := len(k.log[event.TopicRetry]) - before; n > 10 {
			t.Errorf("%d lines at once", n)
		}
	}
	for _, rec := range k.log[event.TopicRetry] {
		var line event.ParkedLine
		if err := p.h.codecs.DecodeParked(rec.Value, &line); err != nil {
			t.Fatal(err)
		}
		at = append(at, fmt.Sprintf("%s %02d", line.RawID, line.Line))
	}
	if len(at) != 60 || !slices.IsSorted(at) {
		t.Errorf("%d lines: %v", len(at), at)
	}
}

// One that was sent and still stands is sent again, later and later: what was sent may
// be lost with its retention.
func TestSentAgain(t *testing.T) {
	all, m := world(t)
	now := time.UnixMilli(int64(sampleTime))
	k := &lane{log: map[string][]*stream.Record{}, dies: -1}
	p := k.start(t, all, m, func() time.Time { return now })
	k.raw(t, p, &event.RawMessage{ID: "r1", Source: "wms-count", ReceivedAt: sampleTime, Body: []byte("count_id,sku,quantity\nC,GHOST,1\n")})
	m.putItem(newItem(all["wms-count"].src.Entity, "GHOST", 1))
	var sent []time.Duration
	began := now
	for now.Sub(began) < 20*time.Minute {
		before := len(k.log[event.TopicRetry])
		if err := p.u.check(t.Context(), event.TopicRetry, 0); err != nil {
			t.Fatal(err)
		}
		if len(k.log[event.TopicRetry]) > before {
			sent = append(sent, now.Sub(began))
		}
		now = now.Add(10 * time.Second)
	}
	want := []time.Duration{0, time.Minute, 3 * time.Minute, 7 * time.Minute, 15 * time.Minute}
	if !slices.Equal(sent, want) {
		t.Errorf("sent at %v, want %v", sent, want)
	}
	if err := p.step(t, k); err != nil || len(k.stands()) != 0 || len(k.log[event.TopicEvents]) != 5 {
		t.Errorf("%v wait, %d events, %v", k.stands(), len(k.log[event.TopicEvents]), err)
	}
	ids := map[string]bool{}
	for _, rec := range k.log[event.TopicEvents] {
		var ev inventory.Event
		if err := p.h.codecs.DecodeEvent(rec.Value, &ev); err != nil {
			t.Fatal(err)
		}
		ids[ev.ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("%d ids of one line", len(ids))
	}
	k.done = 0 // all of it once more, in a life that has read the tombstone
	again := k.start(t, all, m, func() time.Time { return now })
	events := len(k.log[event.TopicEvents])
	if err := again.step(t, k); err != nil || len(k.log[event.TopicEvents]) != events {
		t.Errorf("a line that waits no more gave %d events, %v", len(k.log[event.TopicEvents])-events, err)
	}
}

// What a person drops is a dead letter with the reason, and does not run any more.
func TestDropped(t *testing.T) {
	all, m := world(t)
	k := &lane{log: map[string][]*stream.Record{}, dies: -1}
	p := k.start(t, all, m, time.Now)
	k.raw(t, p, &event.RawMessage{ID: "r1", Source: "wms-count", ReceivedAt: sampleTime, Body: []byte("count_id,sku,quantity\nC,GHOST,1\n")})
	rec := k.log[event.TopicParked][0]
	var line event.ParkedLine
	if err := p.h.codecs.DecodeParked(rec.Value, &line); err != nil {
		t.Fatal(err)
	}
	line.Action, line.Author, line.Note = event.RetryDrop, "ann", "a test order"
	drop, err := RetryRecord(p.h.codecs, rec, &line)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.produce(t.Context(), drop, drop); err != nil {
		t.Fatal(err)
	}
	if err := p.step(t, k); err != nil || len(k.stands()) != 0 {
		t.Fatalf("%v wait, %v", k.stands(), err)
	}
	var d event.DeadLetter
	letters := k.log[event.TopicDeadCanonicalizer]
	if err := p.h.codecs.DecodeDeadLetter(letters[0].Value, &d); err != nil || d.Code != codeDropped || d.ID != line.ID || d.Line != 1 ||
		!strings.HasPrefix(d.Reason, "ann: a test order") {
		t.Errorf("%+v, %v", d, err)
	}
	m.putItem(newItem(all["wms-count"].src.Entity, "GHOST", 1))
	if err := p.step(t, k); err != nil || len(k.log[event.TopicEvents]) != 0 {
		t.Errorf("a dropped line ran: %v", err)
	}
}

// Beyond the limit lines stay on the topic and are found there.
func TestBeyondTheLimit(t *testing.T) {
	all, m := world(t)
	now := time.UnixMilli(int64(sampleTime))
	k := &lane{log: map[string][]*stream.Record{}, dies: -1}
	p := k.start(t, all, m, func() time.Time { return now })
	p.h.waits.most = 3
	for i := range 8 {
		k.raw(t, p, &event.RawMessage{ID: fmt.Sprint("r", i), Source: "wms-count", ReceivedAt: sampleTime, Body: fmt.Appendf(nil, "count_id,sku,quantity\nC%d,GHOST,1\n", i)})
	}
	if by, beyond := p.h.waits.standing(); by["unknown_item"].lines != 3 || beyond != 5 {
		t.Fatalf("%v held, %d beyond", by, beyond)
	}
	c := newWaitsCollector(p.h.waits, func() time.Time { return now.Add(90 * time.Second) })
	reg := prometheus.NewRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]float64{}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			shown[f.GetName()+" "+x.GetLabel()[0].GetValue()] = x.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"stockweave_canonicalizer_parked_lines beyond_limit": 5, "stockweave_canonicalizer_parked_lines unknown_item": 3,
		"stockweave_canonicalizer_parked_oldest_seconds unknown_item": 90,
	}
	if !maps.Equal(shown, want) {
		t.Errorf("shows %v", shown)
	}
	m.putItem(newItem(all["wms-count"].src.Entity, "GHOST", 1))
	for range 6 {
		if err := p.step(t, k); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	if left := k.stands(); len(left) != 0 {
		t.Errorf("%v still wait", left)
	}
	if by, beyond := p.h.waits.standing(); len(by) != 0 || beyond != 0 || len(p.h.waits.byRef) != 0 {
		t.Errorf("%v held, %d beyond, %d names", by, beyond, len(p.h.waits.byRef))
	}
}

// What is known of lines that wait no more is bounded, however many there are.
func TestClosedLinesAreBounded(t *testing.T) {
	w := newWaits(10)
	for i := range maxClosed + 3 {
		w.close(strconv.Itoa(i), 0)
	}
	if len(w.closed) != maxClosed || len(w.closedOrder) != maxClosed || w.isClosed("2") || !w.isClosed("3") || !w.isClosed(strconv.Itoa(maxClosed+2)) {
		t.Errorf("%d known, %d in order", len(w.closed), len(w.closedOrder))
	}
}

// A rate of so many lines a second is kept by looks that are a tenth of one apart.
func TestRetryRate(t *testing.T) {
	for rate, want := range map[int]int{10: 1, 19: 1, 200: 20, 100_000: 10_000} {
		if n := eachLook(rate); n != want {
			t.Errorf("%d a second are %d a look, want %d", rate, n, want)
		}
	}
}

// Partitions are looked at beside each other, and each by its own time.
func TestLooksBesideEachOther(t *testing.T) {
	w, now := newWaits(2), time.UnixMilli(int64(sampleTime))
	w.put(&waitingLine{key: "a"}, false)
	w.put(&waitingLine{key: "b"}, false) // full
	beyond := func(partition int32) {
		w.put(&waitingLine{key: fmt.Sprint("c", partition), partition: partition}, false)
	}
	var all sync.WaitGroup
	for partition := range int32(4) {
		beyond(partition)
		all.Go(func() {
			if !w.rescan(partition, now) {
				t.Errorf("partition %d is not looked at", partition)
			}
		})
	}
	all.Wait()
	if w.rescan(0, now.Add(rescanEvery)) {
		t.Error("looked for lines of which there are none")
	}
	beyond(0)
	if w.rescan(0, now.Add(rescanEvery-1)) || !w.rescan(0, now.Add(rescanEvery)) {
		t.Error("the pause between two looks is another one")
	}
}

// A line keeps its numbers, and so its ids, through the time it waits.
func TestPlain(t *testing.T) {
	v := map[string]any{"a": 1e21, "b": []any{0.0000001, new(big.Int).Lsh(big.NewInt(1), 80), json.Number("1.50"), 7, "x", true, nil}}
	was, _ := asText(v["a"])
	b, err := json.Marshal(plain(v))
	if err != nil || was != "1000000000000000000000" || string(b) != `{"a":1000000000000000000000,"b":[0.0000001,1208925819614629174706176,1.50,7,"x",true,null]}` {
		t.Errorf("%s, %v", b, err)
	}
	if !reflect.DeepEqual(plain("x"), "x") {
		t.Error("a text is another one")
	}
}

// A line too long to be kept is rejected at once: it could never run again.
func TestTooLongToWait(t *testing.T) {
	all, m := world(t)
	res := read(t, all["wms-count"], m, "count_id,sku,quantity\nC,"+strings.Repeat("G", maxKept)+",1\n")
	if !slices.Equal(codes(&res), []string{"unknown_item"}) || len(res.Parked) != 0 {
		t.Errorf("%v and %d parked", codes(&res), len(res.Parked))
	}
}
