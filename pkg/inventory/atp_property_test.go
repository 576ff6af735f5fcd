package inventory_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// drawPosition draws facts around atpToday: overdue, undated and far ones too, and
// fractions.
func drawPosition(t *rapid.T, l Location) Position {
	quantity := func(label string, from, to int) Quantity {
		return Quantity(rapid.IntRange(from, to).Draw(t, label)) * One / 2
	}
	day := func(label string) Day {
		if rapid.IntRange(0, 4).Draw(t, label+" undated") == 0 {
			return 0
		}
		return atpToday + Day(rapid.IntRange(-6, 12).Draw(t, label))
	}
	p := Position{Location: l}
	p.States[OnHand] = quantity("on hand", -10, 40)
	p.States[InTransit] = quantity("in transit", -10, 40)
	p.SafetyStock = quantity("safety", 0, 8)
	p.ParkedOut = quantity("parked", 0, 4)
	for range rapid.IntRange(0, 4).Draw(t, "claims") {
		p.Reserved = append(p.Reserved, Bucket{
			Due: day("claim"), Quantity: quantity("claimed", 1, 14), Movable: rapid.Bool().Draw(t, "movable"),
			Channel: rapid.SampledFrom([]string{"", "web", "market"}).Draw(t, "channel"),
		})
	}
	for range rapid.IntRange(0, 4).Draw(t, "supplies") {
		p.Supply = append(p.Supply, Bucket{Due: day("supply"), Quantity: quantity("supplied", 1, 14)})
	}
	byDue := func(a, b Bucket) int { return cmp.Compare(a.Due, b.Due) }
	slices.SortStableFunc(p.Reserved, byDue)
	slices.SortStableFunc(p.Supply, byDue)
	return p
}

func drawQuestion(t *rapid.T) *Question {
	var ps []Position
	for i := range rapid.IntRange(1, 3).Draw(t, "locations") {
		ps = append(ps, drawPosition(t, Location(fmt.Sprintf("DC%d", i))))
	}
	q := ask(ps...)
	q.Terms = Terms{Horizon: rapid.IntRange(0, 14).Draw(t, "horizon"), KeepDays: rapid.IntRange(0, 7).Draw(t, "keep")}
	q.Day = atpToday + Day(rapid.IntRange(0, 14).Draw(t, "day"))
	if rapid.Bool().Draw(t, "kit") {
		for i := range rapid.IntRange(1, 3).Draw(t, "parts") {
			q.Kit = append(q.Kit, Part{
				Key:       Key{Entity: "acme", Item: Item(fmt.Sprintf("PART-%d", i))},
				Positions: []Position{drawPosition(t, "DC0"), drawPosition(t, "DC1")},
				PerKit:    Quantity(rapid.IntRange(1, 6).Draw(t, "per kit")) * One / 2,
			})
		}
	}
	if rapid.Bool().Draw(t, "to a channel") {
		n := func(label string, to int) Quantity {
			return Quantity(rapid.IntRange(0, to).Draw(t, label)) * One / 2
		}
		q.Channel = &ChannelTerms{
			Name:  "web",
			Gross: rapid.Bool().Draw(t, "gross"),
			Rule:  ChannelRule{Share: n("share", 2), Buffer: n("buffer", 4), Cap: n("cap", 20), Unit: n("unit", 6)},
		}
		if rapid.Bool().Draw(t, "fenced") {
			name := rapid.SampledFrom([]string{"web", "market"}).Draw(t, "fence of")
			q.Channel.Fences = []RingFence{{Channel: name, Quantity: n("fence", 20), Used: n("used", 10)}}
		}
		q.Channel.Safety = []SafetyRule{{Velocity: n("from velocity", 4), Quantity: n("kept", 4), Days: rapid.IntRange(0, 3).Draw(t, "days")}}
		q.Velocity = n("velocity", 6)
	}
	if rapid.IntRange(0, 3).Draw(t, "overridden") == 0 {
		q.Overrides = []Override{{
			Kind:     rapid.SampledFrom([]OverrideKind{StopSell, SetQuantity}).Draw(t, "override"),
			Location: rapid.SampledFrom([]Location{"", "DC0"}).Draw(t, "override at"),
			Quantity: Quantity(rapid.IntRange(0, 10).Draw(t, "override to")) * One, Author: "ana",
		}}
	}
	return q
}

// byDay is the page's sentence, a day at a time: the projection on each day, the
// least of those from day on; and the largest shortfall of movable claims.
func byDay(p *Position, today, day Day, horizon, keep int) (atp, short Quantity) {
	atp = MaxQuantity
	for d := day; d <= max(day, today+Day(horizon)); d++ {
		free, movable := p.States[OnHand]-p.SafetyStock-p.ParkedOut, max(0, p.States[OnHand]-p.ParkedOut)
		for _, b := range p.Reserved {
			if max(today, b.Due) <= d {
				free -= b.Quantity
				if b.Movable {
					movable -= b.Quantity
				}
			}
		}
		for _, b := range p.Supply {
			if b.Due != 0 && b.Due >= today-Day(keep) && b.Due <= d {
				free += b.Quantity
				movable += b.Quantity
			}
		}
		atp, short = min(atp, free), max(short, -movable)
	}
	return atp, short
}

// The numbers are those of the definition.
func TestATPIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		q.Kit, q.Channel, q.Overrides = nil, nil, nil
		got := Promise(q)
		var give, lack Quantity
		for i := range q.Positions {
			atp, short := byDay(&q.Positions[i], atpToday, q.Day, q.Terms.Horizon, q.Terms.KeepDays)
			if l := got.Locations[i]; l.ATP != atp || l.Short != short {
				t.Fatalf("at %s: got %v short %v, want %v short %v", l.Location, l.ATP, l.Short, atp, short)
			}
			give, lack = give+max(0, atp), lack+short
		}
		if want := max(0, give-lack); got.Quantity != want {
			t.Fatalf("network is %v, want %v", got.Quantity, want)
		}
	})
}

// Nothing negative and no part of a unit is seen outside; a group's number is that
// of a group: zero or more, and no more than all locations give.
func TestPromiseOutside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		got := Promise(q)
		if got.Quantity < 0 || got.Quantity > max(0, got.Signed) {
			t.Fatalf("%v shown of %v", got.Quantity, got.Signed)
		}
		if q.Channel != nil {
			unit := cmp.Or(q.Channel.Rule.Unit, One)
			if got.Quantity%unit != 0 {
				t.Fatalf("%v in units of %v", got.Quantity, unit)
			}
		}
		if len(q.Kit) > 0 && got.Group%One != 0 {
			t.Fatalf("%v kits", got.Group)
		}
		if got.Override != nil {
			return
		}
		var own Quantity
		if q.Channel != nil && q.Channel.Gross {
			own = OpenOrders(q.Positions, "web")
		}
		// What the channel shows after subtracting its own orders.
		if shown := max(0, got.Quantity-own); shown > max(0, got.Group) {
			t.Fatalf("%v shown of a group's %v", shown, got.Group)
		}
		var give Quantity
		for _, l := range got.Locations {
			give += max(0, l.ATP)
		}
		if len(q.Kit) == 0 && got.Group > give {
			t.Fatalf("a group of %v gives %v", give, got.Group)
		}
	})
}

// More supply or stock never lowers a promise, and a later day never does within the
// horizon.
func TestPromiseIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		before := Promise(q)
		more := *q
		more.Positions = slices.Clone(q.Positions)
		more.Kit = slices.Clone(q.Kit)
		target := more.Positions
		if len(more.Kit) > 0 {
			part := &more.Kit[rapid.IntRange(0, len(more.Kit)-1).Draw(t, "part")]
			part.Positions = slices.Clone(part.Positions)
			target = part.Positions
		}
		p := &target[rapid.IntRange(0, len(target)-1).Draw(t, "at")]
		add := Quantity(rapid.IntRange(1, 20).Draw(t, "more")) * One / 2
		if rapid.Bool().Draw(t, "on hand") {
			p.States[OnHand] += add
		} else {
			p.Supply = append(slices.Clone(p.Supply), Bucket{Due: atpToday + Day(rapid.IntRange(-6, 12).Draw(t, "due")), Quantity: add})
			slices.SortStableFunc(p.Supply, func(a, b Bucket) int { return cmp.Compare(a.Due, b.Due) })
		}
		if after := Promise(&more); after.Quantity < before.Quantity || after.Signed < before.Signed || after.Group < before.Group {
			t.Fatalf("more lowers it: %+v, then %+v", before, after)
		}
		later := *q
		later.Terms.Horizon = 14
		early := Promise(&later)
		later.Day = min(later.Day+Day(rapid.IntRange(0, 5).Draw(t, "later")), atpToday+14)
		if got := Promise(&later); got.Quantity < early.Quantity {
			t.Fatalf("on day %d it is less: %+v, then %+v", later.Day-atpToday, early, got)
		}
	})
}

// The channels of a group together show no more than there is, as long as their
// shares are no more than the whole.
func TestChannelsShareNoMoreThanThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(label string, to int) Quantity { return Quantity(rapid.IntRange(0, to).Draw(t, label)) * One }
		fences := []RingFence{
			{Channel: "market", Quantity: n("market", 30), Used: n("market used", 10)},
			{Channel: "b2b", Quantity: n("b2b", 30), Used: n("b2b used", 10)},
		}
		part := rapid.IntRange(1, 9_999).Draw(t, "share")
		q := ask(at(rapid.IntRange(-5, 80).Draw(t, "on hand")))
		var sum Quantity
		for _, c := range []ChannelTerms{
			{Name: "market"},
			{Name: "b2b"},
			{Name: "web", Rule: ChannelRule{Share: Quantity(part)}},
			{Name: "app", Rule: ChannelRule{Share: One - Quantity(part)}},
		} {
			c.Fences, c.Rule.Unit = fences, 1
			q.Channel = &c
			sum += Promise(q).Quantity
		}
		if group := Promise(q).Group; sum > max(0, group) {
			t.Fatalf("%v shown of %v", sum, group)
		}
	})
}

func drawPegs(t *rapid.T) (onHand Quantity, claims []PegClaim, supply []PegSupply) {
	for i := range rapid.IntRange(0, 6).Draw(t, "claims") {
		claims = append(claims, PegClaim{
			Line: fmt.Sprintf("L%d", i), Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
			Due: atpToday + Day(rapid.IntRange(-2, 6).Draw(t, "due")), GrantedAt: Instant(rapid.IntRange(0, 3).Draw(t, "granted")),
			Quantity: units(rapid.IntRange(1, 6).Draw(t, "claimed")),
		})
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "supplies") {
		d := Day(0)
		if rapid.IntRange(0, 5).Draw(t, "dated") > 0 {
			d = atpToday + Day(rapid.IntRange(-4, 8).Draw(t, "comes"))
		}
		supply = append(supply, PegSupply{Line: fmt.Sprintf("P%d", i), Due: d, Quantity: units(rapid.IntRange(1, 6).Draw(t, "supplied"))})
	}
	return units(rapid.IntRange(-3, 15).Draw(t, "on hand")), claims, supply
}

// The pegs of every claim sum to it and those of every supply to no more than it;
// order of arrival decides nothing; a line is at risk exactly when it is not served
// in time; and lines are at risk exactly when the projection falls below zero.
func TestPegging(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		onHand, claims, supply := drawPegs(t)
		const keep = 2
		got := PegClaims(onHand, claims, supply, atpToday, keep)

		claimed, bad, used := map[string]Quantity{}, map[string]Quantity{}, map[string]Quantity{}
		for _, p := range got.Pegs {
			if p.Quantity <= 0 {
				t.Fatalf("an empty peg: %+v", p)
			}
			claimed[p.Line] += p.Quantity
			if p.Late || p.From == FromNothing {
				bad[p.Line] += p.Quantity
			}
			used[string(p.From)+p.Supply] += p.Quantity
		}
		for _, c := range claims {
			if claimed[c.Line] != c.Quantity {
				t.Fatalf("%s claims %v and is pegged %v", c.Line, c.Quantity, claimed[c.Line])
			}
		}
		if len(claimed) != len(claims) {
			t.Fatalf("pegs of lines that claim nothing: %v", claimed)
		}
		if used[string(FromOnHand)] > max(0, onHand) {
			t.Fatalf("%v pegged to %v on hand", used[string(FromOnHand)], onHand)
		}
		for _, s := range supply {
			u := used[string(FromSupply)+s.Line]
			if u > s.Quantity || u > 0 && (s.Due == 0 || s.Due < atpToday-keep) {
				t.Fatalf("%v pegged to %+v", u, s)
			}
		}
		for _, r := range got.AtRisk {
			if r.Late+r.Short != bad[r.Line] || bad[r.Line] == 0 {
				t.Fatalf("%+v, but %v not served in time", r, bad[r.Line])
			}
			delete(bad, r.Line)
		}
		if len(bad) > 0 {
			t.Fatalf("not named: %v", bad)
		}

		p := Position{States: [NumStates]Quantity{OnHand: onHand}}
		for _, c := range claims {
			p.Reserved = append(p.Reserved, Bucket{Due: c.Due, Quantity: c.Quantity})
		}
		for _, s := range supply {
			p.Supply = append(p.Supply, Bucket{Due: s.Due, Quantity: s.Quantity})
		}
		byDue := func(a, b Bucket) int { return cmp.Compare(a.Due, b.Due) }
		slices.SortFunc(p.Reserved, byDue)
		slices.SortFunc(p.Supply, byDue)
		if atp := ATP(&p, atpToday, 30, keep); onHand >= 0 && (atp < 0) != (len(got.AtRisk) > 0) {
			t.Fatalf("ATP is %v, at risk are %+v", atp, got.AtRisk)
		}

		claims = rapid.Permutation(claims).Draw(t, "other order")
		supply = rapid.Permutation(supply).Draw(t, "other order of supply")
		again := PegClaims(onHand, claims, supply, atpToday, keep)
		if !slices.Equal(got.Pegs, again.Pegs) || !slices.Equal(got.AtRisk, again.AtRisk) {
			t.Fatalf("another order pegs otherwise: %+v, then %+v", got, again)
		}
	})
}

// Who comes first is not put at risk by who comes after.
func TestPegPriorityProtects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		onHand, claims, supply := drawPegs(t)
		for i := range claims {
			claims[i].Priority++
		}
		first := PegClaim{Line: "first", Due: atpToday + Day(rapid.IntRange(0, 6).Draw(t, "first due")), Quantity: units(4)}
		alone := PegClaims(onHand, []PegClaim{first}, supply, atpToday, 2)
		among := PegClaims(onHand, append(claims, first), supply, atpToday, 2)
		for i, p := range alone.Pegs {
			if among.Pegs[i] != p {
				t.Fatalf("alone %+v, among others %+v", alone.Pegs, among.Pegs)
			}
		}
	})
}
