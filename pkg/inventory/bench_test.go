package inventory_test

import (
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// BenchmarkApply measures an event on a key that knows about ten others: every
// ledger takes ten events and is then put away.
func BenchmarkApply(b *testing.B) {
	const n = 10
	run := func(b *testing.B, evs []Event) {
		b.Helper()
		b.ReportAllocs()
		m := newMemory(scenarioKey)
		p := Policy{}
		for i := 0; i < b.N; {
			l := NewLedger(scenarioKey, m)
			for j := range evs {
				if done, err := l.Noop(1, int64(j), evs[j].ID); done || err != nil {
					b.Fatal(done, err)
				}
				if _, err := l.Apply(&p, &evs[j], At{Lineage: 1, Offset: int64(j)}); err != nil {
					b.Fatal(err)
				}
				i++
			}
		}
	}
	many := func(at func(i int) Event) (evs []Event) {
		for i := range n {
			evs = append(evs, at(i))
		}
		return evs
	}
	types := []MovementType{OpeningBalance, Receipt, Ship, Damage, Pick}
	b.Run("movement", func(b *testing.B) {
		run(b, many(func(i int) Event {
			return movement(i, types[i%len(types)], []Location{"DC1", "DC2", "DC3", "DC4"}[i%4], 1)
		}))
	})
	b.Run("order-and-shipment", func(b *testing.B) {
		run(b, many(func(i int) Event {
			ev := movement(i, Ship, "DC1", 1)
			ev.Refs = []Ref{{Issuer: "shop", Type: "order", Number: string(rune('a' + i/2))}}
			if i%2 == 0 {
				ev.Kind, ev.Movement = KindDemand, nil
				ev.Demand = &Demand{Stage: Ordered, Location: "DC1", Quantity: One, Channel: "web"}
			}
			return ev
		}))
	})
	b.Run("movement-and-count", func(b *testing.B) {
		run(b, many(func(i int) Event {
			ev := movement(i, Ship, "DC1", 1)
			if i%2 == 0 {
				ev.Kind, ev.Movement = KindCount, nil
				ev.Count = &Count{
					Location: "DC1", Basis: Sellable, Covers: []Account{OnHand}, AsOf: ev.OccurredAt,
					AsOfBasis: BasisDocument, Balances: []StateBalance{{OnHand, 5 * One}},
				}
			}
			return ev
		}))
	})
	b.Run("duplicate", func(b *testing.B) {
		run(b, many(func(int) Event { return movement(1, Receipt, "DC1", 1) }))
	})
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
