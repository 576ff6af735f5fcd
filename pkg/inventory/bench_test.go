package inventory_test

import (
	"math"
	"runtime"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// applied are the histories whose events are measured on a key that knows about ten
// others: every ledger takes ten events and is then put away. most is what an event
// may allocate, on average.
func applied() []struct {
	name  string
	most  heap
	event func(i int) Event
} {
	types := []MovementType{OpeningBalance, Receipt, Ship, Damage, Pick}
	return []struct {
		name  string
		most  heap
		event func(i int) Event
	}{
		{"movement", heap{bytes: 610, objects: 4}, func(i int) Event {
			return movement(i, types[i%len(types)], []Location{"DC1", "DC2", "DC3", "DC4"}[i%4], 1)
		}},
		{"order-and-shipment", heap{bytes: 1620, objects: 33}, func(i int) Event {
			ev := movement(i, Ship, "DC1", 1)
			ev.Refs = []Ref{{Issuer: "shop", Type: "order", Number: string(rune('a' + i/2))}}
			if i%2 == 0 {
				ev.Kind, ev.Movement = KindDemand, nil
				ev.Demand = &Demand{Stage: Ordered, Location: "DC1", Quantity: One, Channel: "web"}
			}
			return ev
		}},
		{"movement-and-count", heap{bytes: 510, objects: 4}, func(i int) Event {
			ev := movement(i, Ship, "DC1", 1)
			if i%2 == 0 {
				ev.Kind, ev.Movement = KindCount, nil
				ev.Count = &Count{
					Location: "DC1", Basis: Sellable, Covers: []Account{OnHand}, AsOf: ev.OccurredAt,
					AsOfBasis: BasisDocument, Balances: []StateBalance{{OnHand, 5 * One}},
				}
			}
			return ev
		}},
		{"duplicate", heap{bytes: 175, objects: 0}, func(int) Event { return movement(1, Receipt, "DC1", 1) }},
	}
}

// heap is what an event allocates.
type heap struct{ bytes, objects uint64 }

// applyTen applies ten events to a new ledger.
func applyTen(tb testing.TB, m *memory, p *Policy, evs *[10]Event) {
	tb.Helper()
	l := NewLedger(scenarioKey, m)
	for j := range evs {
		if done, err := l.Noop(1, int64(j), evs[j].ID); done || err != nil {
			tb.Fatal(done, err)
		}
		if _, err := l.Apply(p, &evs[j], At{Lineage: 1, Offset: int64(j)}); err != nil {
			tb.Fatal(err)
		}
	}
}

func tenOf(event func(i int) Event) (evs [10]Event) {
	for i := range evs {
		evs[i] = event(i)
	}
	return evs
}

// BenchmarkApply measures an event.
func BenchmarkApply(b *testing.B) {
	for _, of := range applied() {
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			m, p, evs := newMemory(scenarioKey), &Policy{}, tenOf(of.event)
			for i := 0; i < b.N; i += len(evs) {
				applyTen(b, m, p, &evs)
			}
		})
	}
}

// What an event allocates stays what it is: the ledger's hot path. Of several tries the
// least counts, since whatever else runs in the process allocates, too.
func TestApplyAllocatesLittle(t *testing.T) {
	const tries, ledgers = 20, 20
	for _, of := range applied() {
		t.Run(of.name, func(t *testing.T) {
			m, p, evs := newMemory(scenarioKey), &Policy{}, tenOf(of.event)
			applyTen(t, m, p, &evs)
			least := heap{math.MaxUint64, math.MaxUint64}
			for range tries {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range ledgers {
					applyTen(t, m, p, &evs)
				}
				runtime.ReadMemStats(&after)
				n := uint64(ledgers * len(evs))
				least.bytes = min(least.bytes, (after.TotalAlloc-before.TotalAlloc)/n)
				least.objects = min(least.objects, (after.Mallocs-before.Mallocs)/n)
			}
			if least.bytes > of.most.bytes || least.objects > of.most.objects {
				t.Errorf("an event allocates %+v, more than %+v", least, of.most)
			}
		})
	}
}

func BenchmarkContentHash(b *testing.B) {
	ev := sample()
	b.ReportAllocs()
	for b.Loop() {
		ContentHash(&ev)
	}
}

func BenchmarkATP(b *testing.B) {
	p := at(20, due(1, -3), due(3, 10), due(4, -15), due(5, 1), due(6, 3))
	b.ReportAllocs()
	for b.Loop() {
		ATP(&p, 1, 30, 0)
	}
}
