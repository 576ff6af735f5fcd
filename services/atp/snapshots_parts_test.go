//go:build synctests

package atp

import (
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/inventory"
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
