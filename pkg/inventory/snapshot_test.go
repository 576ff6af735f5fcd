package inventory_test

import (
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func snapshotEnd() *SnapshotEnd {
	at, _ := clock("10:00")
	return &SnapshotEnd{
		Source: "wms", ID: "S1", Entity: "acme", Location: "DC1", AsOf: at, Basis: Sellable,
		Covers: []Account{OnHand, Damaged}, Lines: 7,
	}
}

// after is a ledger that took the events of a scenario's lines.
func after(t *testing.T, policy Policy, lines ...string) *log {
	t.Helper()
	g := newLog(t, scenarioKey, true)
	g.policy = policy
	docs := map[string]string{}
	for i, line := range lines {
		ev, err := parseEvent(strings.Fields(line), i, docs)
		if err != nil {
			t.Fatal(err)
		}
		if ev.RecordedAt == 0 {
			ev.RecordedAt, _ = clock("20:00")
		}
		if _, err := g.append(*ev); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return g
}

func TestSnapshotZero(t *testing.T) {
	guarded := Policy{Counts: CountPolicy{Sources: []CountSource{{Guard: CountGuard{Absolute: 10 * One}}}}}
	noted := Policy{Authority: AuthorityPolicy{Owners: []Owner{{Balance: []Source{"erp"}}}}}
	for _, c := range []struct {
		name   string
		policy Policy
		lines  []string
		end    func(*SnapshotEnd)
		want   bool
	}{
		{name: "not listed", lines: []string{"opening DC1 5"}, want: true},
		{name: "listed", lines: []string{"opening DC1 5", "count DC1 5 as of 10:00 snapshot S1"}},
		{name: "listed at a time of its own", lines: []string{"opening DC1 5", "count DC1 5 as of 09:58 snapshot S1"}},
		{name: "listed, and counted again since", lines: []string{
			"opening DC1 5", "count DC1 5 as of 10:00 snapshot S1", "count DC1 4 damaged 1 as of 11:00",
		}},
		{name: "listed, and only its damaged goods counted since", lines: []string{
			"opening DC1 5", "count DC1 5 as of 10:00 snapshot S1", "count DC1 - damaged 1 as of 11:00 by erp",
		}},
		{name: "listed without a state it covers, and counted again since", lines: []string{
			"opening DC1 5", "damage wms - 1 at DC1", "count DC1 4 as of 10:00 snapshot S1", "count DC1 4 as of 11:00 by erp",
		}},
		{name: "listed by the snapshot before", lines: []string{"opening DC1 5", "count DC1 5 as of 08:00 snapshot S0"}, want: true},
		{name: "counted later", lines: []string{"opening DC1 5", "count DC1 4 damaged 0 as of 11:00"}},
		{name: "in part counted later", lines: []string{
			"opening DC1 5", "damage wms - 1 at DC1", "count DC1 4 as of 11:00",
		}, want: true},
		{name: "nothing there", lines: []string{"opening DC1 5", "ship wms - 5 from DC1 at 09:30"}},
		{name: "nothing there by then", lines: []string{"receipt wms - 5 at DC1 at 10:30"}},
		{name: "something there by then", lines: []string{"opening DC1 5", "ship wms - 5 from DC1 at 10:30"}, want: true},
		{name: "nothing of what it covers", lines: []string{"opening DC1 5", "hold wms - 5 at DC1 at 09:30"}},
		{name: "location not known", lines: []string{"opening DC2 5"}},
		{name: "of another entity", lines: []string{"opening DC1 5"}, end: func(e *SnapshotEnd) { e.Entity = "other" }},
		{name: "its line is held", policy: guarded, lines: []string{"opening DC1 50", "count DC1 5 as of 10:00 snapshot S1"}},
		{name: "a line of the snapshot before is held", policy: guarded, lines: []string{
			"opening DC1 50", "count DC1 5 as of 09:00 snapshot S0",
		}, want: true},
		{name: "its line was noted", policy: noted, lines: []string{"count DC1 5 as of 10:00 snapshot S1"}},
		{name: "its view is an older one", policy: noted, lines: []string{"count DC1 5 as of 09:00 snapshot S0"}, want: true},
		{name: "its view says nothing is there", policy: noted, lines: []string{"count DC1 0 as of 09:00 snapshot S0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := after(t, c.policy, c.lines...)
			end := snapshotEnd()
			if c.end != nil {
				c.end(end)
			}
			ev, ok := g.ledger.SnapshotZero(end)
			if ok != c.want {
				t.Fatalf("needs a zero: %v", ok)
			}
			if again, _ := g.ledger.SnapshotZero(end); again.ID != ev.ID {
				t.Errorf("another id the second time: %s, %s", ev.ID, again.ID)
			}
			if !ok {
				return
			}
			if err := ev.Validate(); err != nil {
				t.Fatal(err)
			}
			ev.RecordedAt, _ = clock("20:01")
			if _, err := g.append(ev); err != nil {
				t.Fatal(err)
			}
			if _, more := g.ledger.SnapshotZero(end); more {
				t.Error("needed once more after it was applied")
			}
		})
	}
}

// The zero counts as of the snapshot: what came since stays.
func TestSnapshotZeroIsAsOf(t *testing.T) {
	g := after(t, Policy{}, "opening DC1 5", "damage wms - 1 at DC1", "hold wms - 1 at DC1", "receipt wms - 3 at DC1 at 10:30")
	ev, ok := g.ledger.SnapshotZero(snapshotEnd())
	if !ok {
		t.Fatal("none needed")
	}
	const id = "b1d0f501e0fc51f200df8ecff456b8be" // event.EventID of source and document
	if ev.ID != id || ev.Document != (Document{Type: SnapshotZeroType, Number: "S1", Line: "acme|shirt|DC1"}) {
		t.Errorf("id %s of %+v", ev.ID, ev.Document)
	}
	ev.RecordedAt, _ = clock("20:01")
	if ev.OccurredAt != ev.Count.AsOf || ev.Count.AsOf != snapshotEnd().AsOf {
		t.Errorf("occurred at %d, as of %d", ev.OccurredAt, ev.Count.AsOf)
	}
	if out, err := g.append(ev); err != nil || out.Kind != Applied {
		t.Fatal(out.Kind, err)
	}
	p, _ := g.ledger.Position("DC1")
	if want := [NumStates]Quantity{OnHand: 3 * One, Quarantine: One}; p.States != want {
		t.Errorf("states %v", p.States)
	}
}

// Names of any length make a document that is valid.
func TestSnapshotZeroOfLongNames(t *testing.T) {
	key := Key{Entity: "acme", Item: Item(strings.Repeat("x", 255))}
	g := newLog(t, key, true)
	at, _ := clock("09:00")
	if _, err := g.append(Event{
		ID: "1", Kind: KindMovement, Key: key, Source: "wms", OccurredAt: at, OccurredBasis: BasisDocument, RecordedAt: at,
		Movement: &Movement{Type: Receipt, Location: "DC1", Quantity: One},
	}); err != nil {
		t.Fatal(err)
	}
	ev, ok := g.ledger.SnapshotZero(snapshotEnd())
	if !ok {
		t.Fatal("none needed")
	}
	if err := ev.Validate(); err != nil {
		t.Error(err)
	}
}

// What a snapshot means for an item is told apart, so that a guard can count: what it
// lists, what it does not, and what is not known.
func TestSnapshotStanding(t *testing.T) {
	noted := Policy{Authority: AuthorityPolicy{Owners: []Owner{{Balance: []Source{"erp"}}}}}
	guarded := Policy{Counts: CountPolicy{Sources: []CountSource{{Guard: CountGuard{Absolute: 10 * One}}}}}
	for _, c := range []struct {
		name   string
		policy Policy
		lines  []string
		want   SnapshotStanding
	}{
		{"listed", Policy{}, []string{"opening DC1 5", "count DC1 5 as of 10:00 snapshot S1"}, SnapshotListed},
		{"another source's snapshot of the same name", Policy{}, []string{"opening DC1 5", "count DC1 5 as of 09:58 by erp snapshot S1"}, SnapshotUnlisted},
		{"held", guarded, []string{"opening DC1 50", "count DC1 5 as of 10:00 snapshot S1"}, SnapshotListed},
		{"noted", noted, []string{"count DC1 5 as of 10:00 snapshot S1"}, SnapshotListed},
		{"a later view", noted, []string{"count DC1 5 as of 11:00 snapshot S2"}, SnapshotApart},
		{"not listed", Policy{}, []string{"opening DC1 5"}, SnapshotUnlisted},
		{"elsewhere", Policy{}, []string{"opening DC2 5"}, SnapshotApart},
		{"nothing there", Policy{}, []string{"receipt wms - 5 at DC1 at 10:30"}, SnapshotApart},
	} {
		g := after(t, c.policy, c.lines...)
		if got := g.ledger.SnapshotStanding(snapshotEnd()); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		if _, zero := g.ledger.SnapshotZero(snapshotEnd()); zero != (c.want == SnapshotUnlisted) {
			t.Errorf("%s: a zero is needed: %v", c.name, zero)
		}
	}
}

// The item of a frozen key may be listed by what it has not taken yet.
func TestSnapshotStandingOfAFrozenKey(t *testing.T) {
	g := after(t, Policy{Limits: LimitPolicy{Parked: 1}}, "opening DC1 5")
	for _, id := range []string{"a", "b", "c"} { // each waits for what it reverses
		at, _ := clock("09:00")
		if _, err := g.append(Event{
			ID: id, Kind: KindMovement, Key: scenarioKey, Source: "wms", OccurredAt: at, OccurredBasis: BasisDocument, RecordedAt: at,
			Document: Document{Type: "x", Number: id}, Refs: nil,
			Movement: &Movement{Type: Reversal, Location: "DC1", ToState: Supplier, Quantity: One, Reverses: "not known " + id},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if g.ledger.Frozen().Since == 0 {
		t.Fatal("the key is not frozen")
	}
	if s := g.ledger.SnapshotStanding(snapshotEnd()); s != SnapshotUnknown {
		t.Errorf("standing %d", s)
	}
}

// An end that is told when the journal has forgotten its time takes nothing away of
// what came since.
func TestSnapshotStandingBeyondTheJournal(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	g.policy.Limits = LimitPolicy{Exact: hour, Horizon: 2 * hour}
	end := snapshotEnd()
	for i := range 3000 {
		if _, err := g.append(movedAt(i, Receipt, 1, end.AsOf+Instant(i+1)*60_000)); err != nil {
			t.Fatal(err)
		}
		if i == 100 {
			if s := g.ledger.SnapshotStanding(end); s != SnapshotApart {
				t.Errorf("while the journal reaches back: %d", s)
			}
		}
	}
	if howFar(g.state("DC1")).Gone == 0 {
		t.Fatal("the journal reaches back")
	}
	if s := g.ledger.SnapshotStanding(end); s != SnapshotUnknown {
		t.Errorf("standing %d", s)
	}
	if _, zero := g.ledger.SnapshotZero(end); zero {
		t.Error("what came later is taken away")
	}
}

func TestZeroesTooMany(t *testing.T) {
	p := CountPolicy{Sources: []CountSource{{Source: "wms", ZeroShare: One / 5}}}
	for _, c := range []struct {
		source         Source
		listed, zeroed int64
		want           bool
	}{
		{"wms", 80, 20, false},
		{"wms", 79, 21, true},
		{"wms", 0, 1, true},
		{"wms", 100, 0, false},
		{"erp", 0, 100, false},
		{"wms", 4_000_000_000, 1_000_000_000, false},
		{"wms", 4_000_000_000, 1_000_000_001, true},
	} {
		if got := p.ZeroesTooMany(c.source, c.listed, c.zeroed); got != c.want {
			t.Errorf("%s: %d listed, %d to zero: holds %v", c.source, c.listed, c.zeroed, got)
		}
	}
}

// A line whose id came before with another content is not taken; its item is listed
// all the same.
func TestSnapshotLineInConflict(t *testing.T) {
	g := after(t, Policy{}, "opening DC1 5", "count DC1 4 as of 09:00 by erp")
	end := snapshotEnd()
	at, _ := clock("20:00")
	line := func(id string, asOf Instant, q Quantity) Event {
		return Event{
			ID: id, Kind: KindCount, Key: scenarioKey, Source: "wms", Document: Document{Type: "stock", Number: "S1", Line: "1"},
			OccurredAt: asOf, OccurredBasis: BasisDocument, RecordedAt: at,
			Count: &Count{
				Location: "DC1", Basis: Sellable, Covers: []Account{OnHand, Damaged}, AsOf: asOf, AsOfBasis: BasisDocument,
				Complete: true, Snapshot: "S1", Balances: []StateBalance{{State: OnHand, Quantity: q}},
			},
		}
	}
	first, _ := clock("08:30")
	if _, err := g.append(line("line", first, 5*One)); err != nil {
		t.Fatal(err)
	}
	out, err := g.append(line("line", end.AsOf, 4*One))
	if err != nil || out.Kind != Conflict {
		t.Fatal(out.Kind, err)
	}
	if s := g.ledger.SnapshotStanding(end); s != SnapshotListed {
		t.Errorf("standing %d, want it listed", s)
	}
}

// A line that waited and that a person has given up lists its item all the same.
func TestSnapshotLineThatWasDropped(t *testing.T) {
	guarded := Policy{Counts: CountPolicy{Sources: []CountSource{{Guard: CountGuard{Absolute: 10 * One}}}}}
	g := after(t, guarded, "opening DC1 50", "count DC1 5 as of 10:00 snapshot S1")
	end := snapshotEnd()
	if s := g.ledger.SnapshotStanding(end); s != SnapshotListed {
		t.Fatalf("held: standing %d", s)
	}
	var held string
	for _, k := range g.mem.pieces {
		if k.Kept != nil {
			held = k.Kept.Event.ID
		}
	}
	at, _ := clock("20:00")
	out, err := g.append(Event{
		ID: "drop", Kind: KindApproval, Key: scenarioKey, Source: "operator", Document: Document{Type: "approval", Number: "1"},
		OccurredAt: at, OccurredBasis: BasisReceipt, RecordedAt: at, Approval: &Approval{Event: held, Release: ReleaseDrop, Author: "ann"},
	})
	if err != nil || out.Kind != Applied || len(g.also) != 1 {
		t.Fatal(out, err)
	}
	if s := g.ledger.SnapshotStanding(end); s != SnapshotListed {
		t.Errorf("dropped: standing %d, want it listed", s)
	}
}

// A line that is rejected outright says nothing of the quantity, but its item is listed.
func TestARejectedLineIsListed(t *testing.T) {
	for _, reload := range []bool{false, true} {
		for name, spoil := range map[string]func(*Event){
			"what it finds is out of range": func(ev *Event) { ev.Count.Balances[0].Quantity = -MaxQuantity },
			"it states nothing valid":       func(ev *Event) { ev.Count.Basis = "guessed" },
		} {
			g := newLog(t, scenarioKey, reload)
			if _, err := g.append(movement(-1, Receipt, "DC1", 5)); err != nil {
				t.Fatal(err)
			}
			if s := g.ledger.SnapshotStanding(snapshotEnd()); s != SnapshotUnlisted {
				t.Fatalf("%s: standing %d before its line", name, s)
			}
			end := snapshotEnd()
			line := movement(2, Receipt, "DC1", 1)
			line.Kind, line.Movement, line.Source = KindCount, nil, end.Source
			line.Count = &Count{
				Location: "DC1", Basis: Sellable, Covers: []Account{OnHand}, AsOf: end.AsOf, AsOfBasis: BasisDocument,
				Complete: true, Snapshot: end.ID, Balances: []StateBalance{{OnHand, One}},
			}
			spoil(&line)
			for range 2 {
				if _, err := g.append(line); err == nil {
					t.Fatalf("%s: taken", name)
				}
			}
			if s := g.ledger.SnapshotStanding(end); s != SnapshotListed {
				t.Errorf("%s: standing %d, reload %v", name, s, reload)
			}
			if p, _ := g.ledger.Position("DC1"); p.States[OnHand] != units(5) {
				t.Errorf("%s: states %v", name, p.States)
			}
		}
	}
}
