package inventory_test

import (
	"fmt"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// Touching a ledger, whatever it has, changes nothing of it.
func TestTouchChangesNothing(t *testing.T) {
	l := NewLedger(Key{Entity: "acme", Item: "A"}, newMemory(Key{Entity: "acme", Item: "A"}))
	l.Touch()
	for n := range 2 * MaxRecentIDs {
		ev := movement(n, Receipt, Location(fmt.Sprint("DC", n%9)), n+1)
		ev.Key = l.Key()
		if _, err := l.Apply(&Policy{}, &ev, At{Lineage: 1, Offset: int64(n)}); err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprintf("%+v", *l)
		l.Touch()
		if after := fmt.Sprintf("%+v", *l); after != before {
			t.Fatalf("%s\nwas\n%s", after, before)
		}
		if n%3 == 0 {
			l.ClearChanged()
			l.Touch()
		}
	}
}
