package inventory_test

import (
	"slices"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func TestPromiseToChannel(t *testing.T) {
	fences := []RingFence{{Channel: "market", Quantity: units(20)}, {Channel: "b2b", Quantity: units(30), Used: units(10)}}
	half := ChannelRule{Share: One / 2}
	for _, c := range []struct {
		name  string
		p     Position
		c     ChannelTerms
		class string
		speed int
		want  int
	}{
		{"all of it", at(97), ChannelTerms{Name: "web"}, "", 0, 97},
		{"its share", at(97), ChannelTerms{Name: "web", Rule: half}, "", 0, 48},
		{"a share of what is not set aside", at(97), ChannelTerms{Name: "web", Rule: half, Fences: fences}, "", 0, 28},
		{"what is set aside for it, no share", at(97), ChannelTerms{Name: "market", Rule: half, Fences: fences}, "", 0, 20},
		{"less what it has used", at(97), ChannelTerms{Name: "b2b", Fences: fences}, "", 0, 20},
		{"as far as there is", at(12), ChannelTerms{Name: "market", Fences: fences}, "", 0, 12},
		{"after those before it", at(25), ChannelTerms{Name: "b2b", Fences: fences}, "", 0, 5},
		{"nothing left to share", at(25), ChannelTerms{Name: "web", Fences: fences}, "", 0, 0},
		{
			"all used", at(97),
			ChannelTerms{Name: "x", Fences: []RingFence{{Channel: "x", Quantity: units(5), Used: units(9)}}},
			"", 0, 0,
		},
		{"safety by class", at(97), ChannelTerms{Name: "web", Safety: []SafetyRule{{Class: "B", Quantity: units(1)}, {Class: "A", Quantity: units(7)}}}, "A", 0, 90},
		{"safety by velocity", at(97), ChannelTerms{Name: "web", Safety: []SafetyRule{
			{Class: "A", Velocity: units(10), Quantity: units(1), Days: 2}, {Quantity: units(5)},
		}}, "A", 12, 72},
		{"too slow for the first rule", at(97), ChannelTerms{Name: "web", Safety: []SafetyRule{
			{Class: "A", Velocity: units(10), Days: 2}, {Quantity: units(5)},
		}}, "A", 9, 92},
		{"no rule for it", at(97), ChannelTerms{Name: "web", Safety: []SafetyRule{{Class: "A", Quantity: units(5)}}}, "C", 0, 97},
		{
			"every step in its order", at(120),
			ChannelTerms{
				Name: "web", Fences: fences, Safety: []SafetyRule{{Quantity: units(4), Days: 2}},
				Rule: ChannelRule{Share: One / 2, Buffer: units(6), Cap: units(17), Unit: units(6)},
			},
			// 120 − 40 set aside, half: 40; − 4 − 2×3: 30; − 6: 24; at most 17; by six: 12
			"", 3, 12,
		},
		{
			"share before safety and buffer", at(100),
			ChannelTerms{Name: "web", Safety: []SafetyRule{{Quantity: units(10)}}, Rule: ChannelRule{Share: One / 2, Buffer: units(4)}},
			"", 0, 36,
		},
		{"below zero shows zero", at(0, due(0, -3)), ChannelTerms{Name: "web"}, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := ask(c.p)
			q.Channel, q.Class, q.Velocity = &c.c, c.class, units(c.speed)
			promised(t, q, c.want)
		})
	}

	t.Run("the steps are told", func(t *testing.T) {
		q := ask(at(120, forChannel("web", due(0, -20))))
		q.Channel = &ChannelTerms{
			Name: "web", Gross: true, Safety: []SafetyRule{{Quantity: units(10)}},
			Rule: ChannelRule{Share: One / 2, Buffer: units(6), Cap: units(31), Unit: units(6)},
		}
		want := ChannelSteps{
			Allotted: units(50), Safe: units(40), Buffered: units(34), Capped: units(31), Gross: units(51), Shown: units(48),
		}
		if got := Promise(q); got.Channel != want || got.Group != units(100) || got.Quantity != units(48) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a velocity beyond measure keeps everything", func(t *testing.T) {
		q := ask(at(97))
		q.Velocity = 1 << 40
		q.Channel = &ChannelTerms{Name: "web", Safety: []SafetyRule{{Days: 1 << 24}}} // 2^64 is 0 again
		promised(t, q, 0)
	})
}

func TestPromiseGross(t *testing.T) {
	web := func(n int) Bucket { return forChannel("web", due(0, -n)) }
	gross := func(ps ...Position) *Question {
		q := ask(ps...)
		q.Channel = &ChannelTerms{Name: "web", Gross: true}
		return q
	}
	t.Run("its own open orders, nobody else's", func(t *testing.T) {
		promised(t, gross(at(10, web(3), forChannel("market", due(0, -2)))), 8)
	})
	t.Run("also beyond the horizon", func(t *testing.T) {
		promised(t, gross(at(10, forChannel("web", due(atpToday+300, -4)))), 14)
	})
	t.Run("also at locations it does not sell from now", func(t *testing.T) {
		q := gross(in("DC1", at(10)), in("DC2", at(5, web(4))))
		q.Group = []Location{"DC1"}
		promised(t, q, 14)
	})
	t.Run("net does not", func(t *testing.T) {
		q := gross(at(10, web(3)))
		q.Channel.Gross = false
		promised(t, q, 7)
	})
	t.Run("a deficit stays one", func(t *testing.T) {
		// 2 on hand for 5 ordered: losing one of the orders leaves nothing to sell.
		promised(t, gross(at(2, web(5))), 2)
	})
	t.Run("a deficit is not shared", func(t *testing.T) {
		q := gross(at(2, web(6)))
		q.Channel.Rule.Share = One / 2
		q.Channel.Fences = []RingFence{{Channel: "market", Quantity: One}}
		promised(t, q, 2)
	})
	t.Run("after the cap", func(t *testing.T) {
		q := gross(at(100, web(5)))
		q.Channel.Rule.Cap = units(10)
		promised(t, q, 15)
	})
}

func TestOverrides(t *testing.T) {
	stop := Override{Kind: StopSell, Item: "SKU-1", Author: "ana", MadeAt: 10}
	set := Override{Kind: SetQuantity, Item: "SKU-1", Quantity: units(7), From: 500, Until: 2_000, Author: "ben", MadeAt: 20}
	with := func(o Override, f func(*Override)) Override { f(&o); return o }
	question := func(os ...Override) *Question {
		q := ask(in("DC1", at(40)), in("DC2", at(50, forChannel("web", due(0, -5)))))
		q.Overrides = os
		return q
	}
	for _, c := range []struct {
		name    string
		os      []Override
		channel *ChannelTerms
		want    int
		author  string
	}{
		{"none", nil, nil, 85, ""},
		{"stop", []Override{stop}, nil, 0, "ana"},
		{"set", []Override{set}, nil, 7, "ben"},
		{"stop before set, though older", []Override{set, stop}, nil, 0, "ana"},
		{"the one made last", []Override{set, with(set, func(o *Override) { o.Quantity, o.MadeAt, o.Author = units(9), 21, "cy" })}, nil, 9, "cy"},
		{"of two at once, the lower", []Override{set, with(set, func(o *Override) { o.Quantity, o.Author = units(3), "cy" })}, nil, 3, "cy"},
		{"another item's", []Override{with(stop, func(o *Override) { o.Item = "SKU-2" })}, nil, 85, ""},
		{"another entity's", []Override{with(stop, func(o *Override) { o.Entity = "other" })}, nil, 85, ""},
		{"any item", []Override{with(stop, func(o *Override) { o.Item = "" })}, nil, 0, "ana"},
		{"another channel's", []Override{with(stop, func(o *Override) { o.Channel = "market" })}, &ChannelTerms{Name: "web"}, 85, ""},
		{"a channel's, when none asks", []Override{with(stop, func(o *Override) { o.Channel = "web" })}, nil, 85, ""},
		{"the channel's", []Override{with(stop, func(o *Override) { o.Channel = "web" })}, &ChannelTerms{Name: "web"}, 0, "ana"},
		{"before share, buffer and cap", []Override{set}, &ChannelTerms{Name: "web", Rule: ChannelRule{Share: 1, Buffer: units(3), Cap: One}}, 7, "ben"},
		{"in units the channel sells", []Override{set}, &ChannelTerms{Name: "web", Rule: ChannelRule{Unit: units(6)}}, 6, "ben"},
		{"gross of what the channel subtracts", []Override{set}, &ChannelTerms{Name: "web", Gross: true}, 12, "ben"},
		{"a stop adds nothing back", []Override{stop}, &ChannelTerms{Name: "web", Gross: true}, 0, "ana"},
		{"not yet", []Override{with(set, func(o *Override) { o.From = 1_001 })}, nil, 85, ""},
		{"from now", []Override{with(set, func(o *Override) { o.From = 1_000 })}, nil, 7, "ben"},
		{"until now", []Override{with(set, func(o *Override) { o.Until = 1_000 })}, nil, 85, ""},
		{"a moment left", []Override{with(set, func(o *Override) { o.Until = 1_001 })}, nil, 7, "ben"},
		{"a location's stop leaves the others", []Override{with(stop, func(o *Override) { o.Location = "DC1" })}, nil, 45, ""},
		{"a location's set", []Override{with(set, func(o *Override) { o.Location = "DC1" })}, nil, 52, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := question(c.os...)
			q.Channel = c.channel
			for range 2 {
				got := Promise(q)
				author := ""
				if got.Override != nil {
					author = got.Override.Author
				}
				if got.Quantity != units(c.want) || author != c.author {
					t.Errorf("got %v by %q, want %d by %q", got.Quantity, author, c.want, c.author)
				}
				if c.author == "ana" && got.Signed != 0 {
					t.Errorf("stopped, yet %v inside", got.Signed)
				}
				if got.Override != nil && got.Group != units(85) {
					t.Errorf("what would have been is lost: %v", got.Group)
				}
				slices.Reverse(q.Overrides)
			}
		})
	}

	t.Run("a location's author is told", func(t *testing.T) {
		got := Promise(question(with(stop, func(o *Override) { o.Location = "DC1" }))).Locations
		if got[0].Override == nil || got[0].Override.Author != "ana" || got[1].Override != nil {
			t.Errorf("%+v", got)
		}
	})
	t.Run("what movable claims take stays", func(t *testing.T) {
		q := ask(in("DC1", at(0, movable(0, -3))), in("DC2", at(5)))
		q.Overrides = []Override{with(stop, func(o *Override) { o.Location = "DC1" })}
		promised(t, q, 2)
	})
	t.Run("a stop hides no deficit", func(t *testing.T) {
		q := ask(at(0, due(0, -3)))
		q.Overrides = []Override{stop}
		signed(t, q, -3)
	})
	t.Run("a stopped component stops its kits", func(t *testing.T) {
		q := ask()
		q.Key.Item = "KIT"
		q.Kit = []Part{
			{Key: Key{Entity: "acme", Item: "SKU-1"}, PerKit: One, Positions: []Position{in("DC1", at(9))}},
			{Key: Key{Entity: "acme", Item: "SKU-2"}, PerKit: One, Positions: []Position{in("DC1", at(8))}},
		}
		promised(t, q, 8)
		q.Overrides = []Override{stop}
		promised(t, q, 0)
		q.Overrides = []Override{set}
		promised(t, q, 7)
		q.Channel = &ChannelTerms{Name: "web"}
		q.Overrides = []Override{with(stop, func(o *Override) { o.Channel = "web" })}
		promised(t, q, 8)
	})
}

func TestOverrideFault(t *testing.T) {
	good := Override{Kind: SetQuantity, Quantity: One, From: 5, Until: 9, Author: "ana"}
	for _, c := range []struct {
		change func(*Override)
		want   Code
	}{
		{func(*Override) {}, ""},
		{func(o *Override) { o.Kind, o.Quantity, o.Until = StopSell, 0, 0 }, ""},
		{func(o *Override) { o.Kind = "" }, FaultOverrideKind},
		{func(o *Override) { o.Author = " " }, FaultNoAuthor},
		{func(o *Override) { o.Quantity = -1 }, FaultQuantity},
		{func(o *Override) { o.Quantity = MaxQuantity + 1 }, FaultQuantity},
		{func(o *Override) { o.Kind = StopSell }, FaultQuantity},
		{func(o *Override) { o.Until = 5 }, FaultTime},
		{func(o *Override) { o.From = -1 }, FaultTime},
		{func(o *Override) { o.Until = 0 }, FaultNoEnd},
	} {
		o := good
		c.change(&o)
		var got Code
		if f := o.Fault(); f != nil {
			got = f.Code
		}
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", o, got, c.want)
		}
	}
}
