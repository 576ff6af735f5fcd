package inventory

import (
	"strconv"
	"testing"
)

// nothing has no pieces stored.
type nothing struct{ Pieces }

func (nothing) Head() *Head { return nil }

// A busy item's head takes memory for what it may hold and no more.
func TestHeadHasRoomForItsLimits(t *testing.T) {
	l := NewLedger(Key{Entity: "acme", Item: "shirt"}, nothing{})
	l.create("DC1")
	for i := range 20 * MaxRecentEntries {
		l.remember(Seen{ID: HashID(strconv.Itoa(i))})
		l.enter(Entry{At: Instant(i), Location: "DC1", Delta: One})
		if n := len(l.head.IDs); n > MaxRecentIDs || cap(l.head.IDs) > MaxRecentIDs {
			t.Fatalf("%d ids in room for %d", n, cap(l.head.IDs))
		}
		if n := len(l.head.Journal); n > MaxRecentEntries || cap(l.head.Journal) > MaxRecentEntries*5/4 { // of the size that the allocator has
			t.Fatalf("%d entries in room for %d", n, cap(l.head.Journal))
		}
	}
	if got := l.head.Locations[0].journalCount() + int64(len(l.head.Journal)); got != 20*MaxRecentEntries {
		t.Errorf("%d entries are kept", got)
	}
	if got := l.head.IDCount + int64(len(l.head.IDs)); got != 20*MaxRecentIDs {
		t.Errorf("%d ids are kept", got)
	}
}
