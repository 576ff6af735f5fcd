package inventory_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func movement(n int, typ MovementType, l Location, q int) Event {
	at, _ := clock("10:00")
	ev := Event{
		Kind: KindMovement, Key: scenarioKey, Source: "wms", Document: Document{Type: string(typ), Number: fmt.Sprint(n)},
		OccurredAt: at + Instant(n), OccurredBasis: BasisDocument, RecordedAt: at + Instant(n),
		Movement: &Movement{Type: typ, Location: l, Quantity: units(q)},
	}
	ev.ID = testID("wms", string(typ), fmt.Sprint(n))
	return ev
}

func TestFence(t *testing.T) {
	m := newMemory(scenarioKey)
	l := NewLedger(scenarioKey, m)
	a, b := movement(1, Receipt, "DC1", 5), movement(2, Receipt, "DC1", 5)
	if done, err := l.Noop(1, 0, a.ID); done || err != nil {
		t.Errorf("nothing applied yet: %v, %v", done, err)
	}
	if _, err := l.Apply(&Policy{}, &a, At{Lineage: 2, Offset: 7}); err != nil {
		t.Fatal(err)
	}
	if f := l.Fence(); f != (Fence{Lineage: 2, Offset: 7, IDHash: HashID(a.ID)}) {
		t.Errorf("fence is %+v", f)
	}
	m.store(t, l)
	for _, restored := range []*Ledger{l, NewLedger(scenarioKey, m)} {
		for _, c := range []struct {
			name            string
			lineage, offset int64
			id              string
			noop            bool
			err             error
		}{
			{"below the fence", 2, 6, b.ID, true, nil},
			{"at the fence, the same event", 2, 7, a.ID, true, nil},
			{"at the fence, another event", 2, 7, b.ID, false, ErrFence},
			{"above the fence", 2, 8, b.ID, false, nil},
			{"an older lineage", 1, 100, b.ID, false, ErrFence},
			{"a newer lineage starts at any offset", 3, 0, b.ID, false, nil},
		} {
			if done, err := restored.Noop(c.lineage, c.offset, c.id); done != c.noop || !errors.Is(err, c.err) {
				t.Errorf("%s: noop %v, %v", c.name, done, err)
			}
		}
	}
}

// Replaying the log from any cut is harmless.
func TestReplayFromAnyCut(t *testing.T) {
	evs := []Event{
		movement(1, OpeningBalance, "DC1", 100), movement(2, Ship, "DC1", 3),
		movement(3, Damage, "DC1", 2), movement(3, Damage, "DC1", 2), movement(4, Receipt, "DC2", 9),
	}
	g := newLog(t, scenarioKey, true)
	for _, ev := range evs {
		if _, err := g.append(ev); err != nil {
			t.Fatal(err)
		}
	}
	want, version := g.positions(), g.ledger.Version()
	for cut := range evs {
		for i, ev := range evs[cut:] {
			if done, err := g.ledger.Noop(1, int64(cut+i), ev.ID); err != nil || !done {
				t.Fatalf("offset %d: noop %v, %v", cut+i, done, err)
			}
		}
	}
	if !reflect.DeepEqual(want, g.positions()) || version != g.ledger.Version() {
		t.Error("the position changed")
	}
}

func TestEveryEventMovesTheFenceAndOnlyFactsTheVersion(t *testing.T) {
	g := newLog(t, scenarioKey, false)
	g.policy.Authority.Owners = []Owner{{Moves: []Source{"wms"}}}
	foreign := movement(2, Ship, "DC1", 1)
	foreign.Source = "erp"
	for i, c := range []struct {
		ev      Event
		version int64
		kind    OutcomeKind
	}{
		{movement(1, OpeningBalance, "DC1", 100), 1, Applied},
		{movement(1, OpeningBalance, "DC1", 100), 1, Duplicate},
		{movement(1, OpeningBalance, "DC1", 101), 1, Conflict},
		{foreign, 1, Noted},
		{movement(3, Ship, "DC1", 3), 2, Applied},
	} {
		out, err := g.append(c.ev)
		if err != nil {
			t.Fatal(err)
		}
		if out.Kind != c.kind || out.Version != c.version {
			t.Errorf("event %d: %s, version %d", i, out.Kind, out.Version)
		}
		if f := g.ledger.Fence(); f.Offset != int64(i) || f.IDHash != HashID(c.ev.ID) {
			t.Errorf("event %d: fence %+v", i, f)
		}
		if out.Offset != int64(i) || out.Lineage != 1 || out.EventID != c.ev.ID {
			t.Errorf("event %d: outcome says %+v", i, out)
		}
	}
}

func TestClockNeverFalls(t *testing.T) {
	g := newLog(t, scenarioKey, false)
	late, early := movement(9, Receipt, "DC1", 1), movement(1, Receipt, "DC1", 1)
	for _, ev := range []Event{late, early} {
		if _, err := g.append(ev); err != nil {
			t.Fatal(err)
		}
	}
	if c := g.ledger.Clock(); c != late.RecordedAt {
		t.Errorf("clock is %d", c)
	}
}

// An event that is refused leaves no trace: the same pieces, the same fence.
func TestFaultLeavesTheLedgerUnchanged(t *testing.T) {
	big := movement(2, Receipt, "DC1", 1)
	big.Movement.Quantity = MaxQuantity
	bigger := movement(3, Receipt, "DC1", 1)
	bigger.Movement.Quantity = MaxQuantity
	ref := []Ref{{Issuer: "buyer", Type: "purchase_order", Number: "1"}}
	bigLine := bigger
	bigLine.Refs = ref
	elsewhere := bigger
	elsewhere.Movement = &Movement{Type: Receipt, Location: "DC2", Quantity: MaxQuantity} // supplier overflows
	demand := bigger
	demand.Kind, demand.Movement, demand.Refs = KindDemand, nil, ref
	demand.Demand = &Demand{Stage: Ordered, Location: "DC1", Quantity: MaxQuantity}
	count := bigger
	count.Kind, count.Movement = KindCount, nil
	count.Count = &Count{
		Location: "DC1", Basis: Sellable, Covers: []Account{OnHand}, AsOf: bigger.OccurredAt, AsOfBasis: BasisDocument,
		Balances: []StateBalance{{OnHand, -MaxQuantity}},
	}
	control := bigger
	control.Kind, control.Movement, control.Control = KindControl, nil, &Control{}
	foreign := movement(4, Receipt, "DC1", 1)
	foreign.Key.Item = "other"

	g := newLog(t, scenarioKey, false)
	small := movement(1, Receipt, "DC1", 1)
	small.Movement.Quantity, small.Refs = 1, ref
	order := demand
	order.ID, order.Document.Number = testID("order"), "first"
	for _, ev := range []Event{small, order} {
		if _, err := g.append(ev); err != nil {
			t.Fatal(err)
		}
	}
	g.mem.store(t, g.ledger)
	small2 := movement(5, Adjust, "DC1", -1)
	small2.Movement.Quantity, small2.Movement.Reason = -1, "found"
	for _, c := range []struct {
		ev   Event
		code Code
	}{
		{big, FaultOverflow},
		{bigLine, FaultOverflow},
		{elsewhere, FaultOverflow},
		{demand, FaultOverflow},
		{count, FaultOverflow},
		{control, FaultKind},
		{foreign, FaultNoKey},
	} {
		fence := g.ledger.Fence()
		_, err := g.append(c.ev)
		var f *Fault
		if !errors.As(err, &f) || f.Code != c.code {
			t.Errorf("%s: want %s, got %v", c.ev.Kind, c.code, err)
		}
		if g.ledger.Fence() != fence {
			t.Errorf("%s moved the fence", c.code)
		}
		g.ledger.Changed(func(p Piece) { t.Errorf("%s changed %s %v", c.code, p.Kind, p.N) })
		if ps := g.ledger.ChangedPositions(); ps != nil {
			t.Errorf("%s changed positions %v", c.code, ps)
		}
	}
	// It is still usable, and what was refused may come again.
	if out, err := g.append(small2); err != nil || out.Kind != Applied {
		t.Errorf("afterwards: %v, %v", out.Kind, err)
	}
	count.Count.Balances[0].Quantity = 0
	if out, err := g.append(count); err != nil || out.Kind != Applied {
		t.Errorf("afterwards: %v, %v", out.Kind, err)
	}
}

func TestChangedPositions(t *testing.T) {
	g := newLog(t, scenarioKey, false)
	a := movement(1, OpeningBalance, "DC2", 10)
	b := movement(2, TransferOut, "DC2", 4)
	b.Movement.ToLocation = "DC1"
	c := movement(3, Ship, "DC2", 1)
	for _, ev := range []Event{a, b, c} {
		if _, err := g.append(ev); err != nil {
			t.Fatal(err)
		}
	}
	ps := g.ledger.ChangedPositions()
	if len(ps) != 2 || ps[0].Location != "DC1" || ps[1].Location != "DC2" {
		t.Fatalf("positions: %+v", ps)
	}
	for i, want := range []Position{
		{States: [NumStates]Quantity{InTransit: units(4)}, EventID: b.ID, RecordedAt: b.RecordedAt, Offset: 1, Part: 1},
		{States: [NumStates]Quantity{OnHand: units(5)}, EventID: c.ID, RecordedAt: c.RecordedAt, Offset: 2, Part: 2},
	} {
		want.Key, want.Location, want.Parts, want.Version, want.Lineage = scenarioKey, ps[i].Location, 2, 3, 1
		want.Previous = NoPrevious // several events of one commit are one change
		if !reflect.DeepEqual(ps[i], want) {
			t.Errorf("part %d: got %+v, want %+v", i+1, ps[i], want)
		}
	}
	g.ledger.ClearChanged()
	if ps := g.ledger.ChangedPositions(); ps != nil {
		t.Errorf("after ClearChanged: %+v", ps)
	}
}

// Ids and journal entries beyond the head go to segments, which are full and
// immutable but for the last, and both are found again after a restore.
func TestSegments(t *testing.T) {
	const n = 1_500
	g := newLog(t, scenarioKey, true)
	full := map[string]Piece{}
	var evs []Event
	for i := range n {
		evs = append(evs, movement(i, Receipt, "DC1", 1))
		if _, err := g.append(evs[i]); err != nil {
			t.Fatal(err)
		}
		for k, p := range g.mem.pieces {
			size := len(p.IDs) + len(p.Journal)
			if size > SegmentSize {
				t.Fatalf("segment %s holds %d", k, size)
			}
			if old, ok := full[k]; ok {
				if !reflect.DeepEqual(old, p) {
					t.Fatalf("full segment %s changed", k)
				}
			} else if size == SegmentSize {
				full[k] = p
			}
		}
	}
	if len(full) != 2*(n/SegmentSize) {
		t.Errorf("%d full segments", len(full))
	}
	head := g.mem.Head()
	if len(head.IDs) > MaxRecentIDs || len(head.Journal) > MaxRecentEntries {
		t.Errorf("head holds %d ids and %d entries", len(head.IDs), len(head.Journal))
	}
	for _, i := range []int{0, 255, 256, 700, n - 1} {
		out, err := g.append(evs[i])
		if err != nil || out.Kind != Duplicate {
			t.Errorf("event %d sent again: %s, %v", i, out.Kind, err)
		}
	}
	count := movement(n, Receipt, "DC1", 1)
	count.Kind, count.Movement = KindCount, nil
	count.Count = &Count{
		Location: "DC1", Basis: Sellable, Covers: []Account{OnHand}, AsOfBasis: BasisDocument,
		AsOf: evs[99].OccurredAt, Balances: []StateBalance{{OnHand, units(90)}}, // 100 had come by then
	}
	if _, err := g.append(count); err != nil {
		t.Fatal(err)
	}
	if p, _ := g.ledger.Position("DC1"); p.States[OnHand] != units(n-10) {
		t.Errorf("on hand %v after a count of long ago", p.States[OnHand])
	}
	late := movement(n+1, Ship, "DC1", 5)
	late.OccurredAt = evs[50].OccurredAt
	if out, err := g.append(late); err != nil || !out.Late {
		t.Errorf("late %v, %v", out.Late, err)
	}
	if p, _ := g.ledger.Position("DC1"); p.States[OnHand] != units(n-10) {
		t.Errorf("on hand %v after a late movement", p.States[OnHand])
	}
}

// Locations beyond the head's share stand in pieces of their own and behave alike.
func TestManyLocations(t *testing.T) {
	const n = 200
	kept, restored := newLog(t, scenarioKey, false), newLog(t, scenarioKey, true)
	r := rand.New(rand.NewPCG(1, 2))
	name := func(i int) Location { return Location(fmt.Sprintf("S%03d", i)) }
	order := r.Perm(n)
	for i := range 3 * n {
		ev := movement(i, Receipt, name(order[i%n]), 1)
		if i >= n {
			ev.Movement.Type, ev.Movement.ToLocation = TransferOut, name(order[(i+7)%n])
		}
		for _, g := range []*log{kept, restored} {
			if _, err := g.append(ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	safety := movement(3*n, Receipt, "", 1)
	safety.Kind, safety.Movement, safety.Setting = KindSetting, nil, &Setting{SafetyStock: units(2)}
	for _, g := range []*log{kept, restored} {
		if g == kept {
			g.mem.store(t, g.ledger)
		}
		if _, err := g.append(safety); err != nil {
			t.Fatal(err)
		}
	}
	if ps := kept.ledger.ChangedPositions(); len(ps) != n || !slices.IsSortedFunc(ps, func(a, b Position) int {
		return strings.Compare(string(a.Location), string(b.Location))
	}) {
		t.Errorf("%d locations changed by the item's safety stock", len(ps))
	}
	h := restored.mem.Head()
	if len(h.Locations) != MaxHeadLocations || len(h.Split) != n-MaxHeadLocations {
		t.Errorf("head holds %d locations and names %d", len(h.Locations), len(h.Split))
	}
	if a, b := kept.positions(), restored.positions(); len(a) != n || !reflect.DeepEqual(a, b) {
		t.Errorf("%d and %d positions, different ones", len(a), len(b))
	}
}

func TestValidate(t *testing.T) {
	long := strings.Repeat("x", 256)
	valid := func() Event { return movement(1, Receipt, "DC1", 1) }
	count := func() Event {
		ev := valid()
		ev.Kind, ev.Movement = KindCount, nil
		ev.Count = &Count{
			Location: "DC1", Basis: Physical, Includes: []Account{Picked}, Covers: []Account{OnHand},
			Balances: []StateBalance{{OnHand, 1}}, AsOf: 1, AsOfBasis: BasisFile,
		}
		return ev
	}
	demand := func() Event {
		ev := valid()
		ev.Kind, ev.Movement = KindDemand, nil
		ev.Demand = &Demand{Stage: Ordered, Location: "DC1", Quantity: 1}
		ev.Refs = []Ref{{Type: "order", Number: "1"}}
		return ev
	}
	for _, c := range []struct {
		name  string
		base  func() Event
		spoil func(*Event)
		code  Code
		field string
	}{
		{"valid movement", valid, func(*Event) {}, "", ""},
		{"valid count", count, func(*Event) {}, "", ""},
		{"valid demand", demand, func(*Event) {}, "", ""},
		{"no id", valid, func(e *Event) { e.ID = "" }, FaultNoID, "id"},
		{"long id", valid, func(e *Event) { e.ID = long }, FaultTooLong, "id"},
		{"no source", valid, func(e *Event) { e.Source = "" }, FaultNoSource, "source"},
		{"no item", valid, func(e *Event) { e.Key.Item = "" }, FaultNoKey, "key"},
		{"no entity", valid, func(e *Event) { e.Key.Entity = "" }, FaultNoKey, "key"},
		{"long item", valid, func(e *Event) { e.Key.Item = Item(long) }, FaultTooLong, "key"},
		{"unknown kind", valid, func(e *Event) { e.Kind = "rumour" }, FaultKind, "kind"},
		{"other body", valid, func(e *Event) { e.Kind = KindCount }, FaultBody, "kind"},
		{"two bodies", valid, func(e *Event) { e.Setting = &Setting{} }, FaultBody, "kind"},
		{"no time", valid, func(e *Event) { e.OccurredAt = 0 }, FaultNoTime, "occurred_at"},
		{"time before 1970", valid, func(e *Event) { e.OccurredAt = -1 }, FaultTime, "occurred_at"},
		{"time after 9999", valid, func(e *Event) { e.OccurredAt = 1 << 60 }, FaultTime, "occurred_at"},
		{"unknown time basis", valid, func(e *Event) { e.OccurredBasis = "guess" }, FaultTimeBasis, "occurred_basis"},
		{"ref without number", valid, func(e *Event) { e.Refs = []Ref{{Type: "order"}} }, FaultRef, "refs"},
		{"many refs", valid, func(e *Event) { e.Refs = make([]Ref, 17) }, FaultTooMany, "refs"},
		{"many attributes", valid, func(e *Event) { e.Attributes = make([]Attribute, 65) }, FaultTooMany, "attributes"},
		{"location of a stranger", valid, func(e *Event) { e.Movement.Location = Location(long) }, FaultTooLong, "movement.location"},
		{"to_location of a receipt", valid, func(e *Event) { e.Movement.ToLocation = "DC2" }, FaultNoLocation, "movement.to_location"},
		{"quantity beyond", valid, func(e *Event) { e.Movement.Quantity = MaxQuantity + 1 }, FaultQuantity, "movement.quantity"},
		{"state beyond", valid, func(e *Event) { e.Movement.ToState = NumAccounts }, FaultState, "movement.to_state"},
		{"count without basis", count, func(e *Event) { e.Count.Basis = "" }, FaultBasis, "count.basis"},
		{"count without covers", count, func(e *Event) { e.Count.Covers = nil }, FaultCovers, "count.covers"},
		{"count covers an outside account", count, func(e *Event) { e.Count.Covers = []Account{Supplier} }, FaultCovers, "count.covers"},
		{"count includes on_hand", count, func(e *Event) { e.Count.Includes = []Account{OnHand} }, FaultIncludes, "count.includes"},
		{"sellable count includes", count, func(e *Event) { e.Count.Basis = Sellable }, FaultIncludes, "count.includes"},
		{"balance not covered", count, func(e *Event) { e.Count.Balances[0].State = Picked }, FaultBalances, "count.balances"},
		{"balance twice", count, func(e *Event) {
			e.Count.Balances = append(e.Count.Balances, e.Count.Balances[0])
		}, FaultBalances, "count.balances"},
		{"no balance", count, func(e *Event) { e.Count.Balances = nil }, FaultBalances, "count.balances"},
		{"no as-of", count, func(e *Event) { e.Count.AsOf = 0 }, FaultNoTime, "count.as_of"},
		{"demand without refs", demand, func(e *Event) { e.Refs = nil }, FaultNoRefs, "refs"},
		{"demand below zero", demand, func(e *Event) { e.Demand.Quantity = -1 }, FaultQuantity, "demand.quantity"},
		{"demand of a supply stage", demand, func(e *Event) { e.Demand.Stage = Closed }, FaultStage, "demand.stage"},
		{"demand with a long location", demand, func(e *Event) { e.Demand.Location = Location(strings.Repeat("x", 256)) }, FaultTooLong, "demand.location"},
		{"due after 9999", demand, func(e *Event) { e.Demand.Due = 1 << 30 }, FaultTime, "demand.due"},
	} {
		ev := c.base()
		c.spoil(&ev)
		err := ev.Validate()
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var f *Fault
		if !errors.As(err, &f) || f.Code != c.code || f.Field != c.field {
			t.Errorf("%s: want %s at %s, got %v", c.name, c.code, c.field, err)
		}
		if f != nil && !strings.Contains(f.Error(), string(c.code)) {
			t.Errorf("%s: message %q", c.name, f.Error())
		}
	}
}

func TestAccounts(t *testing.T) {
	for a := range Account(NumAccounts) {
		if got, err := ParseAccount(a.String()); err != nil || got != a {
			t.Errorf("%v: %v, %v", a, got, err)
		}
	}
	if _, err := ParseAccount("reserved"); !errors.Is(err, ErrAccount) {
		t.Errorf("reserved is a claim, not an account: %v", err)
	}
	if s := Account(NumAccounts).String(); s != "unknown" {
		t.Errorf("beyond the last: %q", s)
	}
}

// A position's ledger time is the key clock's: it does not fall when the log's clock
// does, as when another broker leads the partition.
func TestPositionTimeNeverFalls(t *testing.T) {
	m := newMemory(scenarioKey)
	l := NewLedger(scenarioKey, m)
	for i, recorded := range []Instant{2_000, 1_990} {
		ev := movement(i, Receipt, "DC1", 1)
		ev.RecordedAt = recorded
		if _, err := l.Apply(&Policy{}, &ev, At{Lineage: 1, Offset: int64(i)}); err != nil {
			t.Fatal(err)
		}
		if got := l.ChangedPositions()[0].RecordedAt; got != 2_000 {
			t.Errorf("recorded at %d, the position says %d", recorded, got)
		}
		m.store(t, l)
	}
}
