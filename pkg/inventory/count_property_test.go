package inventory_test

import (
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// countPolicy draws a policy under which the order of the log decides nothing: what
// is ambiguous is included, excluded or taken as stated, and no claim is placed anew.
func countPolicy(t *rapid.T) Policy {
	p := Policy{}
	modes := []Ambiguity{"", Included, Excluded}
	for _, s := range []Source{"3pl", "erp", "wms"} {
		if !rapid.Bool().Draw(t, "declared") {
			continue
		}
		c := CountSource{Source: s, Ambiguous: modes[rapid.IntRange(0, 2).Draw(t, "ambiguous")]}
		c.Precision = Instant(rapid.IntRange(0, 4).Draw(t, "precision")) * 60_000
		c.Skew = Instant(rapid.IntRange(0, 2).Draw(t, "skew")) * 60_000
		if rapid.IntRange(0, 2).Draw(t, "assume") == 0 {
			c.AssumeAckAfter = Instant(rapid.IntRange(1, 10).Draw(t, "assume_ack_after")) * 60_000
		}
		p.Counts.Sources = append(p.Counts.Sources, c)
	}
	p.Lines.Short = []Shortage{"", ShortBackorder, ShortCancel}[rapid.IntRange(0, 2).Draw(t, "short")]
	if rapid.Bool().Draw(t, "title at origin") {
		p.Lanes = []Lane{{Title: TitleOrigin}}
	}
	if rapid.Bool().Draw(t, "one origin") {
		p.Origins = []Source{"3pl"}
	}
	return p
}

// countHistory draws events around counts. A source's counts follow each other in
// its sequence as they do in time, and no two counts are of one moment; everything
// else of sequence and time is free, and contradicts itself at will.
func countHistory(t *rapid.T) []Event {
	locations := []Location{"DC1", "DC2"}
	sources := []Source{"3pl", "erp", "wms"}
	day, _ := clock("00:00")
	n := rapid.IntRange(1, 12).Draw(t, "events")
	evs := make([]Event, 0, n)
	for i := range n {
		pick := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(t, label) }
		location := locations[pick("location", len(locations))]
		q := Quantity(pick("quantity", 5)+1) * One
		ev := Event{
			Key: scenarioKey, Source: sources[pick("source", len(sources))], OccurredBasis: BasisDocument,
			OccurredAt: day + Instant(pick("minute", 20))*60_000,
		}
		order := Ref{Issuer: "shop", Type: "order", Number: strconv.Itoa(pick("order", 2))}
		sequence := func() int64 {
			if pick("sequenced", 2) == 0 {
				return 0
			}
			return int64(pick("sequence", 20)*100 + 1)
		}
		move := func(m Movement) {
			m.Location, m.Quantity, m.Sequence = location, q, sequence()
			ev.Kind, ev.Movement = KindMovement, &m
		}
		switch pick("kind", 10) {
		case 0, 1, 2:
			minute := pick("minute", 20)
			c := &Count{
				Location: location, Basis: []Basis{Physical, Sellable, Available}[pick("basis", 3)], Covers: []Account{OnHand},
				Balances: []StateBalance{{OnHand, q * 3}}, AsOf: day + Instant(minute)*60_000 + Instant(i) + 1, AsOfBasis: BasisDocument,
			}
			if c.Basis == Physical && pick("includes", 2) == 0 {
				c.Includes = []Account{Picked}
			}
			if pick("quarantine", 4) == 0 {
				c.Covers = append(c.Covers, Quarantine)
				c.Balances = append(c.Balances, StateBalance{Quarantine, q})
			}
			if pick("sequenced", 2) == 0 {
				c.Sequence = int64(minute*100 + i + 1)
			}
			ev.Kind, ev.Count, ev.OccurredAt = KindCount, c, c.AsOf
		case 3:
			move(Movement{Type: []MovementType{Damage, Hold, ShortPick, ReturnReceipt}[pick("type", 4)]})
		case 4, 5:
			ev.Refs = []Ref{order}
			m := Movement{Type: []MovementType{Pick, Ship, Unpick, ShortPick}[pick("type", 4)]}
			if m.Type == Ship && pick("out of", 3) == 0 {
				m.FromState = Damaged
			}
			move(m)
		case 6, 7:
			ev.Kind, ev.Refs = KindDemand, []Ref{order}
			ev.Demand = &Demand{Stage: []Stage{Ordered, Allocated, Cancelled}[pick("stage", 3)], Location: location, Quantity: q}
		case 8:
			ev.Refs = []Ref{{Issuer: "buyer", Type: "purchase_order", Number: "1"}}
			move(Movement{Type: Receipt})
		case 9:
			ev.Kind, ev.Refs = KindSupply, []Ref{{Issuer: "buyer", Type: "purchase_order", Number: "1"}}
			ev.Supply = &Supply{Stage: []Stage{Ordered, Expected}[pick("stage", 2)], Location: location, Quantity: q, Due: scenarioDay + 1}
		}
		ev.Document = Document{Type: documentType(&ev), Number: strconv.Itoa(pick("document", n)), Revision: strconv.Itoa(i)}
		ev.ID = testID(string(ev.Source), ev.Document.Type, ev.Document.Number, ev.Document.Revision)
		evs = append(evs, ev)
	}
	return evs
}

// Whatever sequences, windows, acknowledgements, short picks and advices there are,
// any permutation of a history, with any of it sent twice, gives the same positions
// and the same balances outside.
func TestCountsAreRightInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := countPolicy(rt)
		evs := countHistory(rt)
		again := rapid.SliceOfN(rapid.IntRange(0, len(evs)-1), 0, 3).Draw(rt, "again")
		other := slices.Clone(evs)
		for _, i := range again {
			other = append(other, evs[i])
		}
		other = rapid.Permutation(other).Draw(rt, "order")

		a, b := replay(t, policy, evs, false), replay(t, policy, other, true)
		if x, y := describe(a.positions()), describe(b.positions()); x != y {
			rt.Fatalf("policy %+v\nin order:\n%s\npermuted:\n%s\n%s", policy, x, y, tell(evs, other))
		}
		if x, y := outsides(a.ledger), outsides(b.ledger); x != y {
			rt.Fatalf("policy %+v\noutside accounts: %v in order, %v permuted\n%s", policy, x, y, tell(evs, other))
		}
	})
}

// holding draws a policy that holds: guards, agreeing snapshots, ambiguous events,
// copies without their order.
func holding(t *rapid.T, p *Policy) {
	for i := range p.Counts.Sources {
		c := &p.Counts.Sources[i]
		c.Guard.Absolute = Quantity(rapid.IntRange(0, 4).Draw(t, "absolute")) * One
		c.Guard.ZeroOuts = rapid.Bool().Draw(t, "zero_outs")
		c.Agreeing = rapid.IntRange(0, 3).Draw(t, "agreeing")
		if rapid.IntRange(0, 2).Draw(t, "held") == 0 {
			c.Ambiguous = HeldBack
		}
	}
	p.Lines.LinkWait = Instant(rapid.IntRange(0, 3).Draw(t, "link_wait")) * 60_000
	p.Lines.Unlinked = []Unlinked{UnlinkedClaims, UnlinkedParks}[rapid.IntRange(0, 1).Draw(t, "unlinked")]
}

// Whatever is held, every event has one outcome that is final, at most one that says
// it waits before it, and a ledger restored after every event is the same as one
// that is kept, byte for byte.
func TestWhatIsHeldHasOneEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := countPolicy(rt)
		holding(rt, &policy)
		evs := countHistory(rt)
		for i := range evs {
			if c := evs[i].Count; c != nil && rapid.Bool().Draw(rt, "inferred") {
				c.AsOfBasis = BasisReceipt
			}
		}
		for i := range rapid.IntRange(0, 4).Draw(rt, "approvals") {
			at, _ := clock("12:00")
			a := Approval{Event: evs[rapid.IntRange(0, len(evs)-1).Draw(rt, "of")].ID, Author: "ann", Release: ReleaseApply}
			if rapid.Bool().Draw(rt, "drop") {
				a.Release = ReleaseDrop
			}
			evs = append(evs, Event{
				ID: testID("approval", strconv.Itoa(i)), Kind: KindApproval, Key: scenarioKey, Source: "console",
				OccurredAt: at, OccurredBasis: BasisDocument, Approval: &a,
			})
		}
		evs = rapid.Permutation(evs).Draw(rt, "order")
		start, _ := clock("13:00")
		var ends [2]map[string]int
		var logs [2]*log
		for n := range logs {
			g := newLog(t, scenarioKey, n == 1)
			g.policy = policy
			logs[n], ends[n] = g, map[string]int{}
			for i := range evs {
				ev := evs[i]
				ev.RecordedAt = start + Instant(i)*20_000
				out, err := g.append(ev)
				if err == nil && out.Kind != Parked {
					ends[n][ev.ID]++
				}
				for _, o := range g.also {
					ends[n][o.EventID]++
				}
				for id, times := range ends[n] {
					if times > 1 {
						rt.Fatalf("%s came to an end %d times\n%s", id, times, tell(evs))
					}
				}
			}
		}
		for id, times := range ends[0] {
			if ends[1][id] != times {
				rt.Fatalf("%s came to an end in one of the two only\n%s", id, tell(evs))
			}
		}
		kept, restored := logs[0], logs[1]
		kept.mem.store(t, kept.ledger)
		for k, p := range kept.mem.pieces {
			if normal(p) != normal(restored.mem.pieces[k]) {
				rt.Fatalf("piece %s:\nkept     %+v\nrestored %+v\n%s", k, normal(p), normal(restored.mem.pieces[k]), tell(evs))
			}
		}
		if len(kept.mem.pieces) != len(restored.mem.pieces) {
			rt.Fatalf("%d pieces kept, %d restored\n%s", len(kept.mem.pieces), len(restored.mem.pieces), tell(evs))
		}
	})
}

// A held count that is approved at last gives what it would have given in its turn.
func TestApprovedCountsAreRightInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := countPolicy(rt)
		policy.Counts.Sources = append(policy.Counts.Sources, CountSource{})
		guarded := policy
		guarded.Counts.Sources = slices.Clone(policy.Counts.Sources)
		for i := range guarded.Counts.Sources {
			guarded.Counts.Sources[i].Guard.Absolute = Quantity(rapid.IntRange(0, 4).Draw(rt, "absolute")) * One
		}
		evs := countHistory(rt)
		for i := range evs {
			if c := evs[i].Count; c != nil { // of different states a later count cannot take an older one's place
				c.Covers, c.Balances = c.Covers[:1], c.Balances[:1]
				// Nor does what one outdated wait on, once that is corrected away.
				d := &evs[i].Document
				d.Number = "alone " + strconv.Itoa(i)
				evs[i].ID = testID(string(evs[i].Source), d.Type, d.Number, d.Revision)
			}
		}
		other := rapid.Permutation(evs).Draw(rt, "order")
		a, b := replay(t, policy, evs, false), newLog(t, scenarioKey, true)
		b.policy = guarded
		var held []string
		for i := range other {
			out, err := b.append(other[i])
			if err != nil {
				rt.Fatal(err)
			}
			if out.Kind == Parked {
				held = append(held, other[i].ID)
			}
		}
		at, _ := clock("12:00")
		for _, id := range held {
			// A later one may have taken its place.
			_, _ = b.append(Event{
				ID: testID("approval", id), Kind: KindApproval, Key: scenarioKey, Source: "console",
				OccurredAt: at, OccurredBasis: BasisDocument, Approval: &Approval{Event: id, Author: "ann", Release: ReleaseApply},
			})
		}
		if x, y := describe(a.positions()), describe(b.positions()); x != y {
			rt.Fatalf("policy %+v\nin order:\n%s\nheld and approved:\n%s\n%s", guarded, x, y, tell(evs, other))
		}
	})
}

// fuzzCounting makes a policy of counts, lines and lanes out of bytes; of four bytes
// in five it is the zero one.
func fuzzCounting(p *Policy, next func() byte) {
	if next()%5 != 0 {
		return
	}
	p.Origins = []Source{"a"}
	p.Counts.Sources = []CountSource{
		{
			Source: "a", Precision: Instant(next()) * 8, Ambiguous: []Ambiguity{"", Included, Excluded, HeldBack}[next()%4],
			Guard: CountGuard{Relative: Quantity(next()%3) * One, Absolute: Quantity(next()%3) * 10 * One, ZeroOuts: next()%4 == 0},
		},
		{Skew: Instant(next()), AssumeAckAfter: Instant(next()%2) * 500, Agreeing: int(next() % 4)},
	}
	p.Lines = LinePolicy{
		LinkWait: Instant(next()%2) * 500, Unlinked: []Unlinked{UnlinkedClaims, UnlinkedParks}[next()%2],
		Short: []Shortage{ShortBackorder, ShortResource, ShortCancel}[next()%3],
	}
	p.Lanes = []Lane{{Location: "A", Title: TitleOrigin}}
}
