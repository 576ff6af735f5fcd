package inventory_test

import (
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func units(n int) Quantity { return Quantity(n) * One }

func at(onHand int, bs ...Bucket) Position {
	p := Position{States: [NumStates]Quantity{OnHand: units(onHand)}}
	for _, b := range bs {
		if b.Quantity < 0 {
			b.Quantity = -b.Quantity
			p.Reserved = append(p.Reserved, b)
		} else {
			p.Supply = append(p.Supply, b)
		}
	}
	return p
}

func due(d Day, n int) Bucket     { return Bucket{Due: d, Quantity: units(n)} }
func movable(d Day, n int) Bucket { return Bucket{Due: d, Movable: true, Quantity: units(n)} }

func TestATPByDate(t *testing.T) {
	const d0 = Day(20_000)
	full := at(20, due(d0+1, -3), due(d0+3, 10), due(d0+4, -15), due(d0+5, 1), due(d0+6, 3))
	late := at(17, due(d0+4, -15), due(d0+5, 1), due(d0+6, 3))
	for _, c := range []struct {
		name  string
		p     Position
		today Day
		want  []int
	}{
		{"projected through claims and supply", full, d0 + 1, []int{12, 12, 12, 12, 13, 16, 16}},
		{"without the supply, three days later", late, d0 + 4, []int{2, 3, 6, 6, 6, 6, 6}},
	} {
		for i, w := range c.want {
			if got := ATPOn(&c.p, c.today, c.today+Day(i), 30, 0); got != units(w) {
				t.Errorf("%s: on day %d: got %v, want %d", c.name, i, got, w)
			}
		}
	}
}

func TestATP(t *testing.T) {
	const today = Day(20_000)
	safety := func(p Position, n int) Position { p.SafetyStock = units(n); return p }
	for _, c := range []struct {
		name          string
		p             Position
		horizon, keep int
		want          int
	}{
		{"nothing known", at(0), 10, 0, 0},
		{"on hand less claims less safety (10, 5, 3)", safety(at(10, due(0, -5)), 3), 0, 0, 2},
		{"negative safety allows backorders (10, 10, -5)", safety(at(10, due(0, -10)), -5), 0, 0, 5},
		{"signed", at(2, due(today, -5)), 0, 0, -3},
		{"undated claim counts today", at(5, due(0, -2)), 0, 0, 3},
		{"overdue claim counts today", at(5, due(today-9, -2)), 0, 0, 3},
		{"claim beyond the horizon does not count", at(5, due(today+11, -2)), 10, 0, 5},
		{"claim on the last day of the horizon does", at(5, due(today+10, -2)), 10, 0, 3},
		{"undated supply never", at(5, due(0, 7)), 10, 99, 5},
		{"supply due today", at(5, due(today, 7)), 10, 0, 12},
		{"later supply does not raise today", at(5, due(today+1, 7)), 10, 0, 5},
		{"supply serves a later claim", at(0, due(today+2, -4), due(today+1, 4)), 10, 0, 0},
		{"supply after its claim does not", at(0, due(today+1, -4), due(today+2, 4)), 10, 0, -4},
		{"overdue supply within keep days", at(5, due(today-3, 7)), 10, 3, 12},
		{"overdue supply beyond keep days", at(5, due(today-4, 7)), 10, 3, 5},
	} {
		if got := ATP(&c.p, today, c.horizon, c.keep); got != units(c.want) {
			t.Errorf("%s: got %v, want %d", c.name, got, c.want)
		}
	}
}

func TestATPSaturates(t *testing.T) {
	p := Position{
		States:   [NumStates]Quantity{OnHand: MaxQuantity},
		Supply:   []Bucket{{Due: 5, Quantity: MaxQuantity}, {Due: 6, Quantity: MaxQuantity}},
		Reserved: []Bucket{{Due: 7, Quantity: 1}},
	}
	if got := ATP(&p, 10, 5, 30); got != MaxQuantity-1 {
		t.Errorf("got %v", got)
	}
}

func TestNetwork(t *testing.T) {
	const today = Day(20_000)
	short := func(p Position, safety int) Position { p.SafetyStock = units(safety); return p }
	for _, c := range []struct {
		name string
		ps   []Position
		want int
	}{
		{"none", nil, 0},
		{"claims that may move take from the other", []Position{at(0, movable(0, -3)), at(3)}, 0},
		{"claims that may not stay where they are", []Position{at(0, due(0, -3)), at(3)}, 3},
		{"negative stock takes nothing", []Position{at(-3), at(3)}, 3},
		{"safety stock takes nothing", []Position{short(at(2), 5), at(3)}, 3},
		{"the worst day counts", []Position{at(0, movable(today+1, -3), due(today+2, 3)), at(5)}, 2},
		{"supply in time serves the claim", []Position{at(0, movable(today+2, -3), due(today+1, 3)), at(5)}, 5},
		{"never below zero", []Position{at(0, movable(0, -9)), at(3)}, 0},
	} {
		if got := Network(c.ps, today, 30, 0); got != units(c.want) {
			t.Errorf("%s: got %v, want %d", c.name, got, c.want)
		}
	}
}

func TestKitATP(t *testing.T) {
	two := units(2)
	for _, c := range []struct {
		name string
		cs   []Component
		want int
	}{
		{"the scarcest part decides, signed", []Component{{units(8 - 14), two}, {units(4258 - 168), two}}, -3},
		{"half a kit is none", []Component{{units(3), two}}, 1},
		{"half a kit short is one short", []Component{{units(-3), two}}, -2},
		{"no parts", nil, 0},
		{"a part that takes nothing", []Component{{units(3), 0}}, 0},
	} {
		if got := KitATP(c.cs); got != units(c.want) {
			t.Errorf("%s: got %v, want %d", c.name, got, c.want)
		}
	}
}

func TestChannelRule(t *testing.T) {
	for _, c := range []struct {
		name  string
		group Quantity
		rule  ChannelRule
		want  Quantity
	}{
		{"all of it", units(97), ChannelRule{}, units(97)},
		{"below zero shows zero", units(-3), ChannelRule{}, 0},
		{"share", units(97), ChannelRule{Share: One / 2}, units(48)},
		{"share, then buffer", units(97), ChannelRule{Share: One / 2, Buffer: units(5)}, units(43)},
		{"buffer beyond it", units(4), ChannelRule{Buffer: units(5)}, 0},
		{"cap after buffer", units(97), ChannelRule{Buffer: units(5), Cap: units(10)}, units(10)},
		{"rounded down to packs after the cap", units(97), ChannelRule{Cap: units(20), Unit: units(6)}, units(18)},
		{"a fraction is not shown", 19_999, ChannelRule{}, One},
		{"by weight it is", 19_999, ChannelRule{Unit: 1}, 19_999},
		{"share of the largest quantity does not overflow", MaxQuantity, ChannelRule{Share: 9_999, Unit: 1}, 999_899_999_999_999_999},
	} {
		q := ask(Position{States: [NumStates]Quantity{OnHand: c.group}})
		q.Channel = &ChannelTerms{Name: "web", Rule: c.rule}
		if got := Promise(q); got.Quantity != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got.Quantity, c.want)
		}
	}
}
