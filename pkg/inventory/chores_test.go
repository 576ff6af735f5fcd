package inventory_test

import (
	"fmt"
	"reflect"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// What an event leaves to be tidied is tidied with it, also when it was let go by
// another one or met a frozen key: a ledger that is read from its pieces before every
// event, as after a restart, has the same head as one that is kept (Invariant 8).
func TestChoresAreDoneWithTheEventThatCausesThem(t *testing.T) {
	start, _ := clock("00:00")
	limits := LimitPolicy{IDs: 300, Window: hour, Parked: 1}
	minute := func(i int) Instant { return start + Instant(i)*60_000 }
	for name, events := range map[string]func() []Event{
		"let go by another": func() (evs []Event) {
			for i := range 1000 {
				rec := movedAt(i, Receipt, 1, minute(i))
				rev := reversalOf(100_000+i, rec.ID, minute(i))
				rev.ID = testID("reversal", fmt.Sprint(i))
				evs = append(evs, rev, rec)
			}
			return evs
		},
		"of a frozen key": func() (evs []Event) {
			evs = append(evs, movedAt(1, Receipt, 1, start), reversalOf(10, "x", start), reversalOf(11, "y", start))
			for i := range 1200 {
				evs = append(evs, requestAt(1000+i, Try, fmt.Sprint("r", i), minute(i)))
			}
			return append(evs, approvalAt(1, ReleaseDrop, "", minute(1200)), movedAt(5000, Receipt, 1, minute(1200)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			kept, restored := newLog(t, scenarioKey, false), newLog(t, scenarioKey, true)
			kept.policy.Limits, restored.policy.Limits = limits, limits
			forgot := false
			for i, ev := range events() {
				for _, g := range []*log{kept, restored} {
					if _, err := g.append(ev); err != nil {
						t.Fatal(err)
					}
				}
				a, b := kept.head(), restored.head()
				if !reflect.DeepEqual(*a, *b) {
					t.Fatalf("event %d: the head of the ledger kept is\n%+v\nof the one restored\n%+v", i, *a, *b)
				}
				forgot = forgot || a.Window.From > 0
			}
			if !forgot {
				t.Error("no id was ever forgotten")
			}
		})
	}
}
