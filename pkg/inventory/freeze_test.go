package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func approvalAt(n int, kind ReleaseKind, id string, t Instant) Event {
	ev := movedAt(n, Receipt, 1, t)
	ev.ID, ev.Kind, ev.Movement, ev.Source = testID("approval", fmt.Sprint(n)), KindApproval, nil, "console"
	ev.Document = Document{Type: "approval", Number: fmt.Sprint(n)}
	ev.Approval = &Approval{Event: id, Release: kind, Author: "ann"}
	return ev
}

func reversalOf(n int, id string, t Instant) Event {
	ev := movedAt(n, Reversal, 1, t)
	ev.Movement.FromState, ev.Movement.ToState, ev.Movement.Reverses = OnHand, Supplier, id
	return ev
}

func requestAt(n int, action Action, id string, t Instant) Event {
	ev := movedAt(n, Receipt, 1, t)
	ev.ID, ev.Kind, ev.Movement, ev.Source = testID("request", fmt.Sprint(n)), KindReservation, nil, "api"
	ev.Document = Document{Type: "reservation", Number: id, Line: fmt.Sprint(n)}
	ev.Reservation = &Reservation{ID: id, Action: action, Partner: "web", ReplyTo: 1}
	if action == Try {
		ev.Reservation.ExpiresAt = t + 30_000
		ev.Reservation.Lines = []ReservationLine{{Line: "1", Location: "DC1", Quantity: One}}
	}
	return ev
}

// A frozen key counts its events and takes none; positions say so; requests are
// denied for good.
func TestFrozenKeyCountsItsEvents(t *testing.T) {
	for _, reload := range []bool{false, true} {
		g := newLog(t, scenarioKey, reload)
		g.policy.Limits.Parked = 1
		now, _ := clock("10:00")
		send := func(ev Event, want OutcomeKind, codes ...Code) Outcome {
			t.Helper()
			out, err := g.append(ev)
			if err != nil || out.Kind != want || !slices.Equal(out.Codes, codes) {
				t.Fatalf("%s %s: %s %v, %v; want %s %v", ev.Kind, ev.Document.Number, out.Kind, out.Codes, err, want, codes)
			}
			return out
		}
		send(movedAt(1, OpeningBalance, 10, now), Applied)
		send(requestAt(2, Try, "r0", now), Applied)
		send(reversalOf(3, "a", now+1), Parked, CodeUnknownReversal)
		version := g.ledger.Version()
		send(reversalOf(4, "b", now+2), Parked, CodeUnknownReversal, CodeFrozen, CodeParkedFull)
		if f := g.ledger.Frozen(); f != (Frozen{Since: now + 2, Offset: 3, Count: 1, Taken: 2, Last: 3, Code: CodeParkedFull}) {
			t.Fatalf("frozen %+v", f)
		}
		if p := g.positions()[0]; !p.Frozen || g.ledger.Version() != version+1 {
			t.Errorf("position %+v, version %d", p, g.ledger.Version())
		}
		send(movedAt(5, Receipt, 5, now+3), Parked, CodeFrozen)
		send(movedAt(5, Receipt, 5, now+3), Parked, CodeFrozen) // its id is not known yet
		tick := movedAt(6, Receipt, 1, now+60_000)
		tick.Kind, tick.Movement = KindTick, nil
		send(tick, Noted, CodeFrozen)
		denied := send(requestAt(7, Try, "r1", now+4), Denied, CodeFrozen)
		if a := denied.Answer; a == nil || a.Verdict != VerdictDenied || a.Code != CodeFrozen {
			t.Errorf("answered %+v", a)
		}
		send(requestAt(8, Confirm, "r0", now+5), Parked, CodeFrozen)
		if f := g.ledger.Frozen(); f.Count != 4 || g.ledger.Version() != version+1 || g.ledger.Clock() != now+2 {
			t.Errorf("frozen %+v, version %d, clock %d", f, g.ledger.Version(), g.ledger.Clock()-now)
		}
		send(approvalAt(9, ReleaseUnfreeze, "", now+hour), Denied, CodeEventsLeft) // its time brings none to the key
		send(approvalAt(10, ReleaseDrop, testID("wms", "reversal", "3"), now+7), Applied)
		if len(g.also) != 1 || g.also[0].Kind != Rejected || g.positions()[0].ParkedOut != 0 {
			t.Errorf("dropped while frozen: %+v", g.also)
		}
		// Copies bring the time they had, so the confirm finds its claim.
		copyOf := func(ev Event, original int64, want OutcomeKind, codes ...Code) {
			t.Helper()
			place := At{Lineage: 1, Offset: g.offset, Copy: true, Original: original}
			g.offset++
			out, err := g.ledger.Apply(&g.policy, &ev, place)
			if err != nil || out.Kind != want || !slices.Equal(out.Codes, codes) {
				t.Fatalf("copy of %d: %s %v, %v; want %s %v", original, out.Kind, out.Codes, err, want, codes)
			}
			if g.reload {
				g.reopen()
			}
		}
		copyOf(reversalOf(4, "b", now+2), 3, Parked, CodeUnknownReversal)
		copyOf(reversalOf(4, "b", now+2), 3, Duplicate) // the operator began again
		copyOf(movedAt(5, Receipt, 5, now+3), 4, Applied)
		send(movedAt(11, Receipt, 3, now+70_000), Parked, CodeFrozen) // arrives meanwhile
		copyOf(movedAt(5, Receipt, 5, now+3), 5, Duplicate)
		copyOf(requestAt(7, Try, "r1", now+4), 7, Duplicate)
		copyOf(requestAt(8, Confirm, "r0", now+5), 8, Applied)
		send(approvalAt(12, ReleaseUnfreeze, "", now+71_000), Denied, CodeEventsLeft)
		copyOf(movedAt(11, Receipt, 3, now+70_000), 14, Applied)
		send(approvalAt(13, ReleaseUnfreeze, "", now+72_000), Applied)
		if _, err := g.append(approvalAt(14, ReleaseDrop, "", now+72_000)); err == nil {
			t.Error("a key that takes events was unfrozen")
		}
		p := g.positions()[0]
		if g.ledger.Frozen() != (Frozen{}) || p.Frozen || p.States[OnHand] != 18*One || p.ParkedOut != One || len(p.Reserved) != 1 {
			t.Errorf("afterwards %+v, %+v", g.ledger.Frozen(), p)
		}
		copyOf(movedAt(11, Receipt, 3, now+70_000), 14, Duplicate) // late repeat of the operator's
	}
}

// A line, or a location, that has outgrown what a piece of state can be freezes the
// key, and what it had is untouched.
func TestOversizeFreezesTheKey(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	now, _ := clock("10:00")
	channel := func(n int) string { return fmt.Sprintf("%0255d", n) }
	for i := range 2000 {
		ev := lineAt(i, KindDemand, Ordered, 1, fmt.Sprint(i), now+Instant(i))
		ev.Demand.Channel = channel(i)
		out, err := g.append(ev)
		if err != nil {
			t.Fatal(err)
		}
		if out.Kind == Applied {
			continue
		}
		if !slices.Equal(out.Codes, []Code{CodeFrozen, CodeOversize}) || i < 400 {
			t.Fatalf("order %d: %s %v", i, out.Kind, out.Codes)
		}
		p := g.positions()[0]
		var reserved Quantity
		for _, b := range p.Reserved {
			reserved += b.Quantity
		}
		if !p.Frozen || reserved != units(i) {
			t.Errorf("%v are reserved after %d orders", reserved, i)
		}
		for _, piece := range g.mem.pieces {
			if w := piece.Weight(); w > MaxPieceBytes {
				t.Errorf("a piece %s takes %d bytes", piece.Kind, w)
			}
		}
		return
	}
	t.Fatal("the key never froze")
}

// A copy that is too much still is not taken, and nor is what stands behind it,
// whatever else is appended: a later release takes both, in their order.
func TestNothingPassesACopyThatIsTooMuch(t *testing.T) {
	for _, why := range []Code{CodeParkedFull, CodeOversize} {
		t.Run(string(why), func(t *testing.T) {
			g := newLog(t, scenarioKey, true)
			g.policy.Limits.Parked = 1
			now, _ := clock("10:00")
			send := func(ev Event, want OutcomeKind, codes ...Code) {
				t.Helper()
				if out, err := g.append(ev); err != nil || out.Kind != want || !slices.Equal(out.Codes, codes) {
					t.Fatalf("%s: %s %v, %v; want %s %v", ev.Document.Number, out.Kind, out.Codes, err, want, codes)
				}
			}
			// copyOf appends the copy of an event; no transaction holds what a poisoned one makes.
			copyOf := func(ev Event, original int64, poisoned bool, want OutcomeKind, codes ...Code) {
				t.Helper()
				place := At{Lineage: 1, Offset: g.offset, Copy: true, Original: original}
				g.offset++
				var out Outcome
				if poisoned {
					g.ledger.Freeze(&out, &g.policy, &ev, place, CodeOversize)
				} else if err := g.ledger.ApplyInto(&out, &g.policy, &ev, place); err != nil {
					t.Fatal(err)
				}
				if out.Kind != want || !slices.Equal(out.Codes, codes) {
					t.Fatalf("copy of %d: %s %v; want %s %v", original, out.Kind, out.Codes, want, codes)
				}
				g.reopen()
			}
			send(movedAt(1, OpeningBalance, 10, now), Applied)
			send(reversalOf(2, "a", now+1), Parked, CodeUnknownReversal)
			send(reversalOf(3, "b", now+2), Parked, CodeUnknownReversal, CodeFrozen, CodeParkedFull)
			send(movedAt(4, Receipt, 4, now+3), Parked, CodeFrozen)
			send(reversalOf(5, "c", now+4), Parked, CodeFrozen)
			send(movedAt(6, Receipt, 6, now+5), Parked, CodeFrozen)

			// The first itself is too much still.
			copyOf(reversalOf(3, "b", now+2), 2, false, Parked, CodeUnknownReversal, CodeFrozen, CodeParkedFull)
			copyOf(movedAt(4, Receipt, 4, now+3), 3, false, Parked, CodeFrozen, CodeBehind)
			if f := g.ledger.Frozen(); f.Count != 4 || f.Taken != 1 || f.Offset != 2 {
				t.Fatalf("nothing was taken, and yet %+v", f)
			}
			send(approvalAt(7, ReleaseDrop, testID("wms", "reversal", "2"), now+6), Applied)
			copyOf(reversalOf(3, "b", now+2), 2, false, Parked, CodeUnknownReversal)
			copyOf(movedAt(4, Receipt, 4, now+3), 3, false, Applied)

			// One behind others is.
			poisoned, codes := why == CodeOversize, []Code{CodeUnknownReversal, CodeFrozen, CodeParkedFull}
			if poisoned {
				codes = []Code{CodeFrozen, CodeOversize}
			}
			copyOf(reversalOf(5, "c", now+4), 4, poisoned, Parked, codes...)
			copyOf(movedAt(6, Receipt, 6, now+5), 5, false, Parked, CodeFrozen, CodeBehind)
			copyOf(movedAt(6, Receipt, 6, now+5), 5, true, Parked, CodeFrozen, CodeBehind)
			copyOf(movedAt(4, Receipt, 4, now+3), 3, false, Duplicate) // the operator began again
			copyOf(movedAt(4, Receipt, 4, now+3), 3, true, Duplicate)
			if f := g.ledger.Frozen(); f.Count != 2 || f.Taken != 3 || f.Offset != 4 || f.Code != why {
				t.Fatalf("frozen %+v", f)
			}
			send(approvalAt(8, ReleaseUnfreeze, "", now+7), Denied, CodeEventsLeft)
			send(approvalAt(9, ReleaseDrop, testID("wms", "reversal", "3"), now+8), Applied)
			copyOf(reversalOf(5, "c", now+4), 4, false, Parked, CodeUnknownReversal)
			copyOf(movedAt(6, Receipt, 6, now+5), 5, false, Applied)
			send(approvalAt(10, ReleaseUnfreeze, "", now+9), Applied)
			if p := g.positions()[0]; p.Frozen || p.States[OnHand] != 20*One || g.ledger.Frozen() != (Frozen{}) {
				t.Errorf("afterwards %+v, %+v", g.ledger.Frozen(), p)
			}
		})
	}
}

// What a key freezes on without counting it has no copy that must come first.
func TestKeyFrozenByWhatIsNotCounted(t *testing.T) {
	for _, kind := range []Kind{KindTick, KindReservation} {
		g := newLog(t, scenarioKey, true)
		now, _ := clock("10:00")
		if _, err := g.append(movedAt(1, OpeningBalance, 10, now)); err != nil {
			t.Fatal(err)
		}
		ev := requestAt(2, Try, "r1", now+1)
		if kind == KindTick {
			ev = movedAt(2, Receipt, 1, now+1)
			ev.Kind, ev.Movement = KindTick, nil
		}
		ev.Attributes = []Attribute{{Name: "lot", Value: "7"}}
		var out Outcome
		g.ledger.Freeze(&out, &g.policy, &ev, At{Lineage: 1, Offset: g.offset}, CodeDiverted)
		if want := map[Kind]OutcomeKind{KindTick: Parked, KindReservation: Denied}[kind]; out.Kind != want || out.Attributes != nil ||
			!slices.Equal(out.Codes, []Code{CodeFrozen, CodeDiverted}) || (out.Answer != nil) != (kind == KindReservation) {
			t.Errorf("%s: %+v", kind, out)
		}
		g.offset++
		g.reopen()
		late := movedAt(3, Receipt, 5, now+2)
		if out, err := g.append(late); err != nil || out.Kind != Parked {
			t.Fatal(out, err)
		}
		place := At{Lineage: 1, Offset: g.offset, Copy: true, Original: 2}
		g.offset++
		if out, err := g.ledger.Apply(&g.policy, &late, place); err != nil || out.Kind != Applied {
			t.Fatalf("%s: %+v, %v", kind, out, err)
		}
		g.reopen()
		if out, err := g.append(approvalAt(4, ReleaseUnfreeze, "", now+3)); err != nil || out.Kind != Applied {
			t.Fatalf("%s: %+v, %v", kind, out, err)
		}
	}
}

// A copy of an event that the key did not count, since what froze it could not be
// committed, does not stand for one that it did: the key goes on when the last is taken.
func TestACopyThatWasNotCounted(t *testing.T) {
	for _, reload := range []bool{false, true} {
		g := newLog(t, scenarioKey, reload)
		now, _ := clock("10:00")
		if _, err := g.append(movedAt(1, OpeningBalance, 10, now)); err != nil {
			t.Fatal(err)
		}
		evs := []Event{movedAt(2, Receipt, 1, now+1), movedAt(3, Receipt, 2, now+2), movedAt(4, Receipt, 4, now+3), movedAt(5, Receipt, 8, now+4)}
		var out Outcome
		g.ledger.Freeze(&out, &g.policy, &evs[0], At{Lineage: 1, Offset: g.offset}, CodeDiverted)
		g.offset += 2 // evs[1] went to the dead letters
		send := func(ev Event, want OutcomeKind, codes ...Code) {
			t.Helper()
			if out, err := g.append(ev); err != nil || out.Kind != want || !slices.Equal(out.Codes, codes) {
				t.Fatalf("%s: %s %v, %v; want %s %v", ev.Document.Number, out.Kind, out.Codes, err, want, codes)
			}
		}
		taken := func(ev Event, original int64) {
			t.Helper()
			if out, err := g.appendAt(ev, At{Lineage: 1, Offset: g.offset, Copy: true, Original: original}); err != nil || out.Kind != Applied {
				t.Fatalf("copy of %d: %s, %v", original, out.Kind, err)
			}
		}
		send(evs[2], Parked, CodeFrozen)
		taken(evs[0], 1)
		taken(evs[1], 2)
		late := g.offset
		send(evs[3], Parked, CodeFrozen)
		taken(evs[2], 3)
		send(approvalAt(6, ReleaseUnfreeze, "", now+5), Denied, CodeEventsLeft)
		taken(evs[3], late)
		send(approvalAt(7, ReleaseUnfreeze, "", now+6), Applied)
		if p := g.positions()[0]; p.Frozen || p.States[OnHand] != 25*One || g.ledger.Frozen() != (Frozen{}) {
			t.Errorf("afterwards %+v, %+v", g.ledger.Frozen(), p)
		}
	}
}

// A request that was answered before its key froze gets that answer again while it is
// frozen (EXACTLY-ONCE §5): what was granted is not taken back by being asked twice.
func TestRequestAskedAgainOfAFrozenKey(t *testing.T) {
	for _, reload := range []bool{false, true} {
		g := newLog(t, scenarioKey, reload)
		now, _ := clock("10:00")
		send := func(ev Event) Outcome {
			t.Helper()
			out, err := g.append(ev)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		send(movedAt(1, OpeningBalance, 10, now))
		first := send(requestAt(2, Try, "r0", now))
		ev := movedAt(3, Receipt, 1, now+1)
		var frozen Outcome
		g.ledger.Freeze(&frozen, &g.policy, &ev, At{Lineage: 1, Offset: g.offset}, CodeOversize)
		g.offset++
		if g.reload {
			g.reopen()
		}
		again := send(requestAt(2, Try, "r0", now))
		if again.Kind != Duplicate || again.Answer == nil || again.Answer.Verdict != Granted || again.Answer.Verdict != first.Answer.Verdict {
			t.Errorf("answered %+v, and asked again %s %v %+v", first.Answer, again.Kind, again.Codes, again.Answer)
		}
		other := requestAt(2, Try, "r0", now)
		other.Reservation.Lines[0].Quantity++ // of another content it is not that request
		if out := send(other); out.Kind == Duplicate || out.Answer == nil || out.Answer.Verdict != VerdictDenied {
			t.Errorf("another request under its id: %s %v %+v", out.Kind, out.Codes, out.Answer)
		}
	}
}

// A copy that is rejected was taken: when it comes again it is a repeat, and what is left
// stays left.
func TestARejectedCopyIsTakenOnce(t *testing.T) {
	for _, reload := range []bool{false, true} {
		g := newLog(t, scenarioKey, reload)
		g.policy.Limits.Parked = 1
		now, _ := clock("10:00")
		send := func(ev Event, want OutcomeKind) {
			t.Helper()
			if out, err := g.append(ev); err != nil || out.Kind != want {
				t.Fatalf("%s: %s %v, %v; want %s", ev.Document.Number, out.Kind, out.Codes, err, want)
			}
		}
		copyOf := func(ev Event, original int64) (Outcome, error) {
			place := At{Lineage: 1, Offset: g.offset, Copy: true, Original: original}
			g.offset++
			out, err := g.ledger.Apply(&g.policy, &ev, place)
			if g.reload {
				g.reopen()
			}
			return out, err
		}
		first := movedAt(1, OpeningBalance, 10, now)
		send(first, Applied)
		send(reversalOf(2, first.ID, now+1), Applied)
		waits, full := reversalOf(3, "a", now+2), reversalOf(4, "b", now+3)
		send(waits, Parked)
		send(full, Parked) // at 3, and freezes the key
		again, left := reversalOf(5, first.ID, now+4), movedAt(6, Receipt, 5, now+5)
		send(again, Parked) // at 4
		send(left, Parked)  // at 5
		send(approvalAt(7, ReleaseDrop, waits.ID, now+6), Applied)
		if out, err := copyOf(full, 3); err != nil || out.Kind != Parked {
			t.Fatalf("the first copy: %s, %v", out.Kind, err)
		}
		if out, err := copyOf(again, 4); err == nil {
			t.Fatalf("reversed twice: %s", out.Kind)
		}
		if out, err := copyOf(again, 4); err != nil || out.Kind != Duplicate {
			t.Errorf("the same copy again: %s, %v", out.Kind, err)
		}
		send(approvalAt(8, ReleaseUnfreeze, "", now+7), Denied)
		if out, err := copyOf(left, 5); err != nil || out.Kind != Applied {
			t.Fatalf("the last copy: %s, %v", out.Kind, err)
		}
		send(approvalAt(9, ReleaseUnfreeze, "", now+8), Applied)
		if p := g.positions()[0]; p.States[OnHand] != 14*One {
			t.Errorf("afterwards %v on hand", p.States[OnHand])
		}
	}
}

// What has waited leaves room for as much, whatever became of it.
func TestWhatWaitedLeavesRoom(t *testing.T) {
	for _, reload := range []bool{false, true} {
		g := newLog(t, scenarioKey, reload)
		g.policy.Limits.ParkedBytes = 4000
		now, _ := clock("10:00")
		n := 0
		park := func() (ids []string) {
			t.Helper()
			for {
				n++
				ev := reversalOf(n, fmt.Sprint("none-", n), now)
				out, err := g.append(ev)
				if err != nil || out.Kind != Parked {
					t.Fatalf("%s, %v", out.Kind, err)
				}
				if g.ledger.Frozen().Since != 0 {
					return ids
				}
				ids = append(ids, ev.ID)
			}
		}
		first := park()
		for round := range 3 {
			before := first
			if round > 0 {
				before = park()
			}
			if len(before) != len(first) || len(first) < 3 {
				t.Fatalf("after %d rounds there is room for %d, and was for %d", round, len(before), len(first))
			}
			for _, id := range append(before, "") {
				n++
				if out, err := g.append(approvalAt(n, ReleaseDrop, id, now)); err != nil || out.Kind != Applied {
					t.Fatalf("dropping %q: %s %v, %v", id, out.Kind, out.Codes, err)
				}
			}
		}
	}
}
