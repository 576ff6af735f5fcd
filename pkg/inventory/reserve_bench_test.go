package inventory_test

import (
	"fmt"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// BenchmarkReserve measures a request on an item with thousands of open claims: it
// costs what the request costs, not what is open.
func BenchmarkReserve(b *testing.B) {
	const open = 10_000
	now := Instant(1000 * 60_000)
	at := int64(0)
	apply := func(b *testing.B, l *Ledger, ev Event) Outcome {
		b.Helper()
		ev.RecordedAt, ev.OccurredAt = now, now
		out, err := l.Apply(&Policy{}, &ev, At{Lineage: 1, Offset: at})
		if at++; err != nil {
			b.Fatal(err)
		}
		return out
	}
	id := func(n int) string { return fmt.Sprintf("%032x", n) }
	full := func(b *testing.B) *Ledger {
		b.Helper()
		l := NewLedger(scenarioKey, newMemory(scenarioKey))
		apply(b, l, reserveOp{kind: opReceipt, located: 1, quantity: open}.event(1<<30, now))
		for n := range open {
			op := reserveOp{kind: opTry, ttl: 600, lines: []reserveLine{{quantity: 1, located: 1}}}
			ev := op.event(n, now)
			ev.Reservation.ID = id(n)
			if apply(b, l, ev).Answer.Verdict != Granted {
				b.Fatal("not granted")
			}
		}
		return l
	}
	b.Run("contended", func(b *testing.B) {
		l := full(b)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			ev := reserveOp{kind: opTry, ttl: 1, lines: []reserveLine{{quantity: 1, located: 1}}}.event(open+n, now)
			if ev.Reservation.ID = id(open + n); apply(b, l, ev).Answer.Verdict != Contended {
				b.Fatal("not contended")
			}
		}
	})
	b.Run("confirm", func(b *testing.B) {
		l := full(b)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			ev := reserveOp{kind: opConfirm}.event(open+n, now)
			if ev.Reservation.ID = id(n % open); apply(b, l, ev).Answer.Verdict != Confirmed {
				b.Fatal("not confirmed")
			}
		}
	})
	b.Run("all-lapse-at-once", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			l := full(b)
			ev := reserveOp{kind: opTick}.event(1<<29, now)
			ev.RecordedAt = now + 1<<36
			b.StartTimer()
			if _, err := l.Apply(&Policy{}, &ev, At{Lineage: 1, Offset: at}); err != nil || l.Book().Lines != 0 {
				b.Fatal(err, l.Book())
			}
			at++
		}
	})
}
