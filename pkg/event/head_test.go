package event

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

// A head encoded in parts is the head encoded whole, whatever has changed of it and
// whatever was remembered of another one.
func TestHeadInParts(t *testing.T) {
	c := testCodecs(t)
	rng := rand.New(rand.NewPCG(3, 9))
	seen := func() inv.Seen { return inv.Seen{ID: rng.Uint64(), Content: rng.Uint32()} }
	entry := func() inv.Entry {
		e := inv.Entry{At: inv.Instant(rng.Int64N(1 << 40)), Location: "DC1", State: inv.Picked, Delta: inv.Quantity(rng.Int64N(1 << 30))}
		if rng.IntN(4) == 0 {
			e.Order = &inv.Order{Source: "wms", Sequence: rng.Int64N(1 << 20)}
		}
		return e
	}
	copied, beside := 0, 0
	for range 60 {
		h := &inv.Head{Fence: inv.Fence{Lineage: 1}}
		var memo HeadMemo
		var prev []byte
		for step := range 80 {
			same := inv.Same{Locations: ^uint64(0), IDs: len(h.IDs), Journal: len(h.Journal)}
			h.Fence.Offset, h.Version = rng.Int64N(1<<40), h.Version+rng.Int64N(2)
			switch rng.IntN(12) {
			case 0:
				for range min(1+rng.IntN(3), inv.MaxHeadLocations-len(h.Locations)) {
					i := rng.IntN(len(h.Locations) + 1)
					h.Locations = slices.Insert(h.Locations, i, inv.LocationState{Location: inv.Location(fmt.Sprint("L", step)), Version: rng.Int64N(1 << 40)})
					below := uint64(1)<<i - 1
					same.Locations = same.Locations&below | same.Locations&^below<<1&^(1<<i)
					same.Added = same.Added&below | same.Added&^below<<1 | 1<<i
				}
			case 1:
				if n := len(h.Locations); n > 0 {
					i := rng.IntN(n)
					h.Locations, same.Locations = slices.Delete(h.Locations, i, i+1), 0
				}
			case 2:
				h.IDs, same.IDs = h.IDs[len(h.IDs)/2:], 0
			case 3:
				h.Journal, same.Journal = h.Journal[len(h.Journal)/2:], 0
			case 4: // all is said to have changed
				same = inv.Same{}
			case 5: // the value was written by another
				prev = make([]byte, len(prev)+1)
			case 6: // some more by another list
				h.Split = append(h.Split, inv.Location(fmt.Sprint("S", step)))
			}
			for range rng.IntN(3) {
				h.IDs = append(h.IDs, seen())
			}
			for range rng.IntN(3) {
				h.Journal = append(h.Journal, entry())
			}
			for i := range h.Locations {
				if rng.IntN(8) == 0 {
					l := &h.Locations[i]
					l.States[rng.IntN(int(inv.NumStates))] = inv.Quantity(rng.Int64N(1 << rng.IntN(50)))
					var m inv.LocationMore
					if l.More != nil {
						m = *l.More
					}
					m.LastCount = &inv.CountMark{AsOf: 1, Source: "wms"}
					l.More = &m
					same.Locations &^= 1 << i
				}
			}
			piece := inv.Piece{Kind: inv.PieceHead, Head: h}
			want, err := c.AppendState(nil, &piece)
			if err != nil {
				t.Fatal(err)
			}
			dst := make([]byte, rng.IntN(3), 4<<10) // in place, behind what stands there
			if rng.IntN(2) == 0 {
				dst = nil
			}
			before, known := len(dst), len(prev) == int(memo.size)
			got, err := c.AppendHead(dst, &piece, same, &memo, prev)
			if err != nil || string(got[before:]) != string(want) {
				t.Fatalf("step %d, same %+v:\n% x\nwant\n% x\n%v", step, same, got[before:], want, err)
			}
			if known && same.Locations != 0 {
				copied++
				beside += bits.OnesCount64(same.Added)
			}
			prev = want
		}
	}
	if copied == 0 || beside == 0 {
		t.Errorf("%d heads were copied from, and %d locations added to them", copied, beside)
	}
}
