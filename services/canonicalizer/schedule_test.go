package canonicalizer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// planned is the shipped sources, one of them scheduled.
func planned(t *testing.T, name inventory.Source, windows ...policy.Window) map[inventory.Source]*sourceProgram {
	t.Helper()
	all, _ := world(t)
	src := *all[name].src
	src.LatencyClass, src.Windows, src.Zone = policy.LatencyScheduled, windows, time.UTC
	all[name] = programOf(t, &src)
	return all
}

// A message waits for its window, is seen to wait, and holds up nobody else's.
func TestWaitsForItsWindow(t *testing.T) {
	all := planned(t, "wms-count", policy.Window{From: "22:00", Until: "23:00"})
	_, m := world(t)
	synctest.Test(t, func(t *testing.T) {
		k := &lane{log: map[string][]*stream.Record{}, dies: -1}
		h := k.acknowledger(all, m)
		s := newSchedules(&Config{Group: "c"}, service.Env{Now: time.Now}, h)
		s.add("wms-count", nil)
		record := func(source inventory.Source, id, body string, offset int64) *stream.Record {
			value, err := h.codecs.AppendRawBulk(nil, &event.RawMessage{ID: id, Source: source, Body: []byte(body), ReceivedAt: inventory.Instant(time.Now().UnixMilli())})
			if err != nil {
				t.Fatal(err)
			}
			return &stream.Record{Topic: event.TopicRawBulk, Key: []byte(event.StreamKey(source, "")), Value: value, Offset: offset}
		}
		recs := []*stream.Record{
			record("wms", "r1", isa+set945("0002", "1002", "SKU-1", 4)+"GE*1*1~IEA*1*1~", 0),
			record("wms-count", "r2", "count_id,sku,quantity\nC,SKU-1,1\n", 1),
		}
		h.leaves = s.scheduled
		if out, err := h.lane(t.Context(), recs); err != nil || len(out) != 1 || len(k.log[event.TopicEvents]) != 1 {
			t.Fatalf("the bulk class: %d receipts, %d events, %v", len(out), len(k.log[event.TopicEvents]), err)
		}
		h.leaves = nil
		reg := prometheus.NewRegistry()
		reg.MustRegister(s)
		shown := func() map[string]float64 {
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			out := map[string]float64{}
			for _, f := range families {
				out[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
			}
			return out
		}
		// The bubble's clock begins at midnight of 1 January 2000.
		type result struct {
			receipts int
			err      error
		}
		done := make(chan result, 1)
		work := func(ctx context.Context, stop <-chan struct{}) {
			out, err := s.all[0].batch(stop)(ctx, recs)
			done <- result{len(out), err}
		}
		stop := make(chan struct{})
		go work(t.Context(), stop)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := shown(); got["stockweave_canonicalizer_scheduled_oldest_seconds"] != 3600 || got["stockweave_canonicalizer_scheduled_opens_seconds"] != 21*3600 {
			t.Errorf("shows %v", got)
		}
		close(stop) // the process ends before the window opens
		if r := <-done; !errors.Is(r.err, errStopping) || r.receipts != 0 {
			t.Errorf("%+v", r)
		}
		go work(t.Context(), make(chan struct{}))
		time.Sleep(20*time.Hour + 59*time.Minute)
		synctest.Wait()
		if len(done) != 0 {
			t.Error("worked on a minute before the window")
		}
		if r := <-done; r.err != nil || r.receipts != 1 || len(k.log[event.TopicEvents]) != 2 {
			t.Errorf("%+v, %d events", r, len(k.log[event.TopicEvents]))
		}
		if at := time.Now().UTC(); at.Hour() != 22 || at.Minute() != 0 {
			t.Errorf("worked on at %s", at)
		}
		if got := shown(); got["stockweave_canonicalizer_scheduled_opens_seconds"] != 0 {
			t.Errorf("shows %v when nothing waits", got)
		}
	})
}

// On Kafka: a source that becomes scheduled begins where the bulk class stands, and what
// waits when it is scheduled no more is worked on.
func TestScheduledOnKafka(t *testing.T) {
	k := newKafka(t)
	adm, err := stream.NewAdmin(k.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	send := func(source inventory.Source, id, body string) {
		value, err := k.codecs.AppendRawBulk(nil, &event.RawMessage{ID: id, Source: source, Body: []byte(body), ReceivedAt: sampleTime})
		if err == nil {
			err = k.prod.Produce(t.Context(), &stream.Record{Topic: event.TopicRawBulk, Key: []byte(event.StreamKey(source, "")), Value: value})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	receipts := func(n int) map[string]int {
		out := map[string]int{}
		for _, rec := range k.await(t, event.TopicReceipts, n) {
			var r event.Receipt
			if err := k.codecs.DecodeReceipt(rec.Value, &r); err != nil {
				t.Fatal(err)
			}
			out[r.RawID]++
		}
		return out
	}
	body := "item,base_unit\nX,EA\n"
	stop := k.start(t)
	send("master-items", "b1", body)
	receipts(1)
	stop()

	set := load(t, shipped)
	src := *set.Sources["master-items"]
	closed := time.Now().UTC().Add(3 * time.Hour).Format("15:04")
	src.LatencyClass, src.Zone = policy.LatencyScheduled, time.UTC
	src.Windows = []policy.Window{{From: closed, Until: time.Now().UTC().Add(4 * time.Hour).Format("15:04")}}
	set.Sources["master-items"] = &src
	stop = k.startWith(t, set)
	send("master-items", "s1", body)
	for n := range 4 { // one in each partition at least
		send(inventory.Source("gone"+string(rune('a'+n))), "g"+string(rune('a'+n)), "x")
	}
	if got := receipts(5); got["s1"] != 0 || got["b1"] != 1 {
		t.Errorf("outside its window: %v", got)
	}
	stop()
	groups, err := adm.Groups(t.Context(), "canonicalizer-scheduled-")
	if err != nil || len(groups) != 1 {
		t.Fatalf("groups %v, %v", groups, err)
	}

	stop = k.start(t) // it is scheduled no more
	defer stop()
	if got := receipts(6); got["s1"] != 1 || got["b1"] != 1 {
		t.Errorf("scheduled no more: %v", got)
	}
}
