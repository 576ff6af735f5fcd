package inventory_test

import (
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// FuzzApply throws arbitrary events at a ledger: it never panics, the accounts sum
// to zero, a refused event changes nothing, and a replay is a duplicate.
func FuzzApply(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte("any text at all will do to begin with, will it not?"))
	for seed := range 100 {
		in := make([]byte, 2500)
		for i := range in {
			in[i] = byte(mix(i, seed) >> 24)
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		next := func() byte {
			if len(in) == 0 {
				return 0
			}
			b := in[0]
			in = in[1:]
			return b
		}
		types := []MovementType{
			Receipt, Pick, Unpick, Ship, TransferOut, TransferIn, ReturnReceipt, Disposition, Damage,
			Hold, Release, ScrapStock, ReturnToVendor, Adjust, OpeningBalance, Reversal, ShortPick, CountDifference, "",
		}
		quantities := []Quantity{0, 1, -1, One, 5 * One, -3 * One, MaxQuantity, -MaxQuantity, MaxQuantity + 1, -1 << 63, 1<<63 - 1}
		times := []Instant{0, 1, 1000, 2000, 3000, 4000, -1, 1<<63 - 1, -1 << 63}
		places := []Location{"A", "B", "C", "D"}
		sources := []Source{"a", "b", "a", "b", "a", "b", "a", ""}
		stages := []Stage{Ordered, Cancelled, Allocated, Expected, Closed, StagePicked, ""}
		refTypes := []string{"order", "reservation", "purchase_order", "asn", "transfer", ""}
		g := newLog(t, scenarioKey, next()%2 == 0)
		if next()%2 == 0 {
			g.policy.Limits = LimitPolicy{Parked: 2, SupplyLines: 2, IDs: 1, Window: 1, Exact: 1, Entries: 1, Horizon: 1}
		}
		fuzzCounting(&g.policy, next)
		var ids []string
		var played []fuzzed
		for n := 0; len(in) > 0 && n < 200; n++ {
			odd := func() bool { return next()%32 == 0 } // most events should be good ones
			quantity := func() Quantity {
				if odd() {
					return quantities[int(next())%len(quantities)]
				}
				return Quantity(next()%7+1) * One
			}
			place := func() Location {
				if odd() {
					return ""
				}
				return places[int(next())%len(places)]
			}
			instant := func() Instant {
				if odd() {
					return times[int(next())%len(times)]
				}
				return Instant(next())*30 + 1
			}
			state := func() Account {
				if odd() {
					return Account(next() % 16)
				}
				return Account(next() % NumStates)
			}
			ev := Event{
				ID: testID(string([]byte{next() % 128})), Key: scenarioKey, Source: sources[int(next())%len(sources)],
				OccurredAt: instant(), OccurredBasis: BasisDocument, RecordedAt: 3000,
				Document: Document{Number: string([]byte{next() % 4}), Revision: string([]byte{'0' + next()%3})},
			}
			for range next() % 3 {
				ev.Refs = append(ev.Refs, Ref{Type: refTypes[int(next())%len(refTypes)], Number: string([]byte{'1' + next()%3})})
			}
			switch next() % 9 {
			default:
				fuzzOther(&ev, next, ids)
			case 0, 1:
				ev.Kind = KindMovement
				ev.Movement = &Movement{
					Type: types[int(next())%len(types)], Location: place(), FromState: state(), ToState: state(),
					Quantity: quantity(), Reason: "r", Sequence: int64(next() % 4),
				}
				if next()%2 == 0 {
					ev.Movement.ToLocation = place()
				}
				if next()%4 == 0 {
					ev.Movement.Type, ev.Movement.Reverses = Reversal, testID(string([]byte{next() % 128}))
				}
			case 2:
				ev.Kind = KindCount
				ev.Count = &Count{
					Location: place(), Basis: []Basis{Physical, Sellable, Available, ""}[next()%4],
					Covers: []Account{OnHand, Picked, Damaged}, AsOf: instant(), AsOfBasis: BasisReceipt,
					Sequence: int64(next() % 4),
				}
				for range next() % 4 {
					ev.Count.Balances = append(ev.Count.Balances, StateBalance{state(), quantity()})
				}
				for range next() % 3 {
					ev.Count.Includes = append(ev.Count.Includes, state())
				}
			case 3:
				ev.Kind = KindDemand
				ev.Demand = &Demand{Stage: stages[int(next())%len(stages)], Location: place(), Quantity: quantity(), Due: Day(next()), Movable: next()%2 == 0}
			case 4:
				ev.Kind = KindSupply
				ev.Supply = &Supply{Stage: stages[int(next())%len(stages)], Location: place(), Quantity: quantity(), Due: Day(next())}
			case 5:
				ev.Kind = KindSetting
				ev.Setting = &Setting{Location: place(), SafetyStock: quantity()}
			case 6, 7:
				ev.Kind = KindReservation
				ev.Reservation = &Reservation{
					ID: string([]byte{'1' + next()%3}), Action: []Action{Try, Try, Confirm, Cancel, ""}[next()%5],
					Partner: string([]byte{'p' + next()%2}), Partial: next()%2 == 0, ExpiresAt: instant(), ReplyTo: int32(next()),
				}
				for i := range next() % 4 {
					ev.Reservation.Lines = append(ev.Reservation.Lines, ReservationLine{
						Line: string([]byte{'a' + i}), Location: place(), Quantity: quantity(), Due: Day(next()), Priority: next(),
					})
				}
			case 8:
				ev.Kind = KindTick
			}
			before := g.positions()
			fence := g.ledger.Fence()
			frozen := g.ledger.Frozen()
			where := At{Lineage: 1, Offset: g.offset}
			if frozen.Since != 0 && next()%2 == 0 { // of the first that is missed, or of any
				where.Copy, where.Original = true, max(frozen.Offset, frozen.Taken)+int64(next()%3)
			}
			out, err := g.appendAt(ev, where)
			played = append(played, fuzzed{ev, where})
			if err != nil && where.Copy {
				continue
			}
			if err != nil {
				if a, b := describe(before), describe(g.positions()); a != b || fence != g.ledger.Fence() {
					t.Fatalf("refused with %v, and yet:\n%s\nbecame\n%s", err, a, b)
				}
				continue
			}
			ids = append(ids, ev.ID)
			after := describe(g.positions())
			played = append(played, fuzzed{ev, At{Lineage: 1, Offset: g.offset}})
			if frozen := g.ledger.Frozen().Since != 0; frozen {
				if out, err = g.append(ev); err != nil || describe(g.positions()) != after {
					if ev.Kind != KindApproval {
						t.Fatalf("frozen, and yet %s, %v", out.Kind, err)
					}
				}
			} else if again, err := g.append(ev); err != nil || again.Kind != Duplicate && again.Kind != Conflict {
				t.Fatalf("sent again: %s, %v", again.Kind, err)
			} else if got := describe(g.positions()); got != after {
				t.Fatalf("sent again, %s became %s", after, got)
			}
			for _, m := range out.Moves {
				if m.Quantity <= 0 || m.From == m.To {
					t.Fatalf("move %+v", m)
				}
			}
			for _, p := range g.positions() {
				for _, bs := range [][]Bucket{p.Reserved, p.Supply} {
					for _, b := range bs {
						if b.Quantity <= 0 {
							t.Fatalf("bucket %+v at %s", b, p.Location)
						}
					}
				}
				ATP(&p, 100, 30, 5)
				Shortfall(&p, 100, 30, 5)
			}
		}
		fuzzReplay(t, g, played)
	})
}
