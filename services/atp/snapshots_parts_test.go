//go:build synctests

package atp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

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
			ends, err := c.parts(context.Background(), e)
			if err != nil {
				t.Fatal(err)
			}
			var got []int32
			for i := range ends {
				got = append(got, ends[i].Part)
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
