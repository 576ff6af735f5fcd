//go:build synctests

package atp

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// part ends a part of the snapshot at a location.
func (w *snapWorld) part(place inventory.Location, part, parts int32, change func(*inventory.SnapshotEnd)) {
	w.t.Helper()
	end := snapEnd()
	end.Location, end.Part, end.Parts = place, part, parts
	if change != nil {
		change(&end)
	}
	w.control(inventory.Control{Snapshot: &end})
}

// A full snapshot in several messages is closed when all of its parts have ended, at
// every location that any of them lists, in whatever order they come and however often;
// before that nothing is zero.
func TestFullSnapshotInParts(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		stop := w.serve()
		one, two := map[inventory.Key]inventory.Quantity{}, map[inventory.Key]inventory.Quantity{}
		for n := range 12 {
			k := snapKey(n)
			w.tell(moved(k, inventory.Receipt, snapBefore, "DC1", 5*inventory.One), moved(k, inventory.Receipt, snapBefore, "DC2", 7*inventory.One))
			one[k], two[k] = 5*inventory.One, 7*inventory.One
		}
		tell := func(n int, place inventory.Location) {
			line := snapLine(snapKey(n), 4*inventory.One)
			line.Count.Location, line.Count.Part = place, 1
			w.tell(line)
		}
		tell(0, "DC1")
		one[snapKey(0)] = 4 * inventory.One
		w.part("DC1", 1, 0, nil)
		w.rest()
		w.wantOnHand("DC1", one)
		tell(1, "DC2")
		two[snapKey(1)] = 4 * inventory.One
		w.part("DC2", 3, 3, nil) // it knows that it is the last
		w.part("DC1", 1, 0, nil)
		w.rest()
		w.wantOnHand("DC1", one)
		w.wantOnHand("DC2", two)
		w.part("DC1", 2, 0, func(e *inventory.SnapshotEnd) { e.Author = "ann" }) // no word stands for a part
		w.rest()
		w.wantOnHand("DC1", one)
		if ls := w.letters(); len(ls) != int(w.parts) || ls[0].Code != codeSnapshotOpen || !strings.Contains(ls[0].Reason, "not ended: 2") {
			t.Errorf("dead letters %+v", ls)
		}
		stop()
		defer w.serve()()
		tell(2, "DC1")
		w.part("DC1", 2, 0, nil)
		w.rest()
		for n := range 12 {
			switch k := snapKey(n); n {
			case 0, 2:
				one[k], two[k] = 4*inventory.One, 0
			case 1:
				one[k], two[k] = 0, 4*inventory.One
			default:
				one[k], two[k] = 0, 0
			}
		}
		w.wantOnHand("DC1", one)
		w.wantOnHand("DC2", two)
		if n := len(w.zeroes()); n != 10+11 {
			t.Errorf("%d zero counts", n)
		}
		w.part("DC1", 2, 0, nil)
		w.rest()
		if n := len(w.letters()); n != int(w.parts) {
			t.Errorf("%d dead letters", n)
		}
	})
}

// Parts that do not fit each other are no snapshot, and a person is told.
func TestFullSnapshotInPartsThatDiffer(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		defer w.serve()()
		k := snapKey(1)
		w.tell(moved(k, inventory.Receipt, snapBefore, "DC1", 5*inventory.One))
		w.part("DC1", 1, 2, nil)
		w.part("DC1", 2, 2, func(e *inventory.SnapshotEnd) { e.AsOf++ })
		w.rest()
		w.wantOnHand("DC1", map[inventory.Key]inventory.Quantity{k: 5 * inventory.One})
		ls := w.letters()
		if len(ls) != int(w.parts) || ls[0].Code != codeSnapshotOpen || !strings.Contains(ls[0].Reason, "different times") {
			t.Errorf("dead letters %+v", ls)
		}
	})
}

// The parts of a snapshot are read from the log once, and then only what came behind;
// where the reader is set back, and for another snapshot, from the log's start again.
func TestPartsAreReadOnce(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		c := &closing{codecs: w.codecs, reads: w.reads, read: map[int32]*partsRead{}}
		put := func(id string, part int32) *ending {
			e := &ending{SnapshotEnded: event.SnapshotEnded{End: snapEnd(), Lineage: 1}, rec: &stream.Record{Topic: event.TopicSnapshots}}
			e.End.ID, e.End.Part = id, part
			value, err := w.codecs.AppendSnapshot(nil, &e.SnapshotEnded)
			if err != nil {
				t.Fatal(err)
			}
			e.rec.Value = value
			if err := w.number.Produce(context.Background(), e.rec); err != nil {
				t.Fatal(err)
			}
			return e
		}
		want := func(e *ending, parts ...int32) {
			t.Helper()
			kept, err := c.parts(context.Background(), e)
			if err != nil {
				t.Fatal(err)
			}
			var got []int32
			for n := range int32(10) {
				if kept.parts.Ended(n) {
					got = append(got, n)
				}
			}
			if !slices.Equal(got, parts) {
				t.Errorf("parts %v, want %v", got, parts)
			}
		}
		put("S1", 1)
		put("S2", 1)
		want(put("S1", 2), 1, 2)
		three := put("S1", 3)
		four := put("S1", 4)
		if err := w.c.DeleteRecords(event.TopicSnapshots, 0, three.rec.Offset); err != nil {
			t.Fatal(err)
		}
		want(four, 1, 2, 3, 4) // of which the log has two
		want(four, 3, 4)       // set back
		want(put("S2", 2), 2)
		want(put("S1", 5), 3, 4, 5)
		for n := range maxPartsOf {
			want(put(fmt.Sprint("other ", n), 1), 1)
		}
		if n := len(c.read[0].of); n > maxPartsOf {
			t.Errorf("parts of %d snapshots are kept", n)
		}
	})
}

// A snapshot of which a part does not come is told of until the part has come, or until a
// later snapshot of its source is whole at each of its locations.
func TestSnapshotsThatWaitForParts(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		defer w.serve()()
		now := NewWaiting(w.reads, w.codecs)
		want := func(ids ...string) (all []WaitingSnapshot) {
			t.Helper()
			w.rest()
			var got []string
			for _, x := range []*Waiting{now, NewWaiting(w.reads, w.codecs)} { // one that goes on, one that is new
				var err error
				if all, err = x.Look(context.Background(), time.UnixMilli(int64(snapBefore))); err != nil {
					t.Fatal(err)
				}
				got = got[:0]
				for _, s := range all {
					got = append(got, s.ID)
				}
				if !slices.Equal(got, ids) {
					t.Errorf("%v wait, want %v", got, ids)
				}
			}
			return all
		}
		of := func(id string, later inventory.Instant) func(*inventory.SnapshotEnd) {
			return func(e *inventory.SnapshotEnd) { e.ID, e.AsOf = id, e.AsOf+later }
		}
		want()
		w.part("DC1", 1, 0, of("A", 0))
		w.part("DC2", 3, 4, of("A", 0))
		if s := want("A"); !slices.Equal(s[0].Missing, []int32{2, 4}) || s[0].Ended != 2 || s[0].Partitions != int(w.parts) ||
			!slices.Equal(s[0].Locations, []inventory.Location{"DC1", "DC2"}) || s[0].Since == 0 {
			t.Errorf("%+v", s)
		}
		w.part("DC1", 1, 2, of("B", 1))
		want("A", "B")
		w.part("DC1", 2, 2, of("B", 1)) // whole, and later, at one of the two
		want("A")
		w.part("DC1", 2, 2, of("B", 1))
		want("A")
		w.part("DC2", 0, 0, of("C", 2))
		want()
		w.part("DC1", 1, 2, of("D", 3))
		want("D")
		w.part("DC1", 2, 2, of("D", 3))
		want()
		w.part("DC1", 1, 2, of("E", 4))
		w.part("DC1", 2, 2, of("E", 5)) // can never be one: it has its dead letter
		want()
		w.part("DC1", 1, 2, of("F", 6))
		want("F")
		for _, x := range []*Waiting{now, NewWaiting(w.reads, w.codecs)} { // its time is over
			if all, err := x.Look(context.Background(), time.Now().Add(time.Hour)); err != nil || len(all) != 0 {
				t.Errorf("%v %v", all, err)
			}
		}
	})
}

// What waited in an earlier life of the log waits no more once the same is told anew.
func TestWhatWaitedInAnEarlierLife(t *testing.T) {
	w := NewWaiting(nil, nil)
	for p, lineage := range []int64{2, 1} {
		x := event.SnapshotEnded{End: snapEnd(), Lineage: lineage}
		x.End.Part = int32(2 - p)
		w.of[int32(p)] = &partsRead{of: map[partsOf]*partsKept{}}
		w.of[int32(p)].take(&x)
	}
	if all := w.waiting(); len(all) != 1 || all[0].Partitions != 1 || !slices.Equal(all[0].Missing, []int32{1, 3}) {
		t.Errorf("%+v", all)
	}
}

// The gauges say how many wait, and since when the longest does.
func TestWhatWaitsIsShown(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		c := &closing{codecs: w.codecs, reads: w.reads, waiting: newWaitingGauges(), now: time.Now, log: slog.New(slog.DiscardHandler)}
		c.waiting.show([]WaitingSnapshot{{ID: "A", Since: 5000}, {ID: "B", Since: 7000}})
		if n, since := testutil.ToFloat64(c.waiting.number), testutil.ToFloat64(c.waiting.since); n != 2 || since != 5 {
			t.Errorf("%v wait since %v", n, since)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); c.watch(ctx) }()
		time.Sleep(waitingLook + time.Second)
		stop()
		<-done
		if n, since := testutil.ToFloat64(c.waiting.number), testutil.ToFloat64(c.waiting.since); n != 0 || since != 0 {
			t.Errorf("%v wait since %v", n, since)
		}
	})
}

// A ledger that runs shows what waits.
func TestWhatWaitsIsShownByTheService(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		cfg := DefaultConfig()
		cfg.Kafka, cfg.Codecs = w.kafka("0"), w.codecs
		reg := prometheus.NewRegistry()
		cfg.Kafka.Metrics = reg
		defer serve(t, cfg)()
		w.part("DC1", 1, 2, nil)
		time.Sleep(2 * waitingLook)
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]float64{}
		for _, f := range families {
			if strings.Contains(f.GetName(), "snapshots_waiting") {
				shown[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		if shown["stockweave_atp_full_snapshots_waiting"] != 1 || shown["stockweave_atp_full_snapshots_waiting_since_seconds"] == 0 {
			t.Errorf("%v", shown)
		}
	})
}
