package inventory_test

import (
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

const atpToday = Day(20_000)

func onDay(d Day) func(Location) Day { return func(Location) Day { return d } }

func ask(ps ...Position) *Question {
	return &Question{
		Key:       Key{Entity: "acme", Item: "SKU-1"},
		Positions: ps, Today: onDay(atpToday), Now: 1_000, Terms: Terms{Horizon: 30},
	}
}

func in(l Location, p Position) Position      { p.Location = l; return p }
func safety(n int, p Position) Position       { p.SafetyStock = units(n); return p }
func forChannel(name string, b Bucket) Bucket { b.Channel = name; return b }

func promised(t *testing.T, q *Question, want int) {
	t.Helper()
	if got := Promise(q); got.Quantity != units(want) {
		t.Errorf("quantity is %v, want %d: %+v", got.Quantity, want, got)
	}
}

func signed(t *testing.T, q *Question, want int) {
	t.Helper()
	if got := Promise(q); got.Signed != units(want) || got.Quantity != units(max(0, want)) {
		t.Errorf("%v signed and %v shown, want %d: %+v", got.Signed, got.Quantity, want, got)
	}
}

func TestPromiseByDate(t *testing.T) {
	const d0 = atpToday
	for _, c := range []struct {
		name  string
		p     Position
		today Day
		want  []int
	}{
		{
			"projected through claims and supply",
			at(20, due(d0+1, -3), due(d0+3, 10), due(d0+4, -15), due(d0+5, 1), due(d0+6, 3)), d0 + 1,
			[]int{12, 12, 12, 12, 13, 16, 16},
		},
		{
			"without the supply, three days later",
			at(17, due(d0+4, -15), due(d0+5, 1), due(d0+6, 3)), d0 + 4,
			[]int{2, 3, 6, 6, 6, 6, 6},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, w := range c.want {
				q := ask(c.p)
				q.Today, q.Day = onDay(c.today), c.today+Day(i)
				signed(t, q, w)
			}
		})
	}

	t.Run("a day in the past is today", func(t *testing.T) {
		q := ask(at(5, due(d0+1, -2)))
		q.Day = d0 - 3
		signed(t, q, 3)
	})
	t.Run("what falls due after the horizon and before the day counts", func(t *testing.T) {
		q := ask(at(5, due(d0+10, -2)))
		q.Terms.Horizon = 3
		signed(t, q, 5)
		q.Day = d0 + 11
		signed(t, q, 3)
	})
	t.Run("days are the location's", func(t *testing.T) {
		q := ask(in("EAST", at(0, due(d0+1, 4))), in("WEST", at(0, due(d0+1, 7))))
		q.Today = func(l Location) Day {
			if l == "EAST" {
				return d0 + 1
			}
			return d0
		}
		signed(t, q, 4)
		if got := Promise(q).Locations; got[0].Today != d0+1 || got[1].Today != d0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("without a day every claim is due and no supply comes", func(t *testing.T) {
		q := ask(at(5, due(d0+300, -2), due(d0-1, 9), due(d0+1, 9)))
		q.Today, q.Terms.KeepDays = nil, 1_000_000_000
		signed(t, q, 3)
	})
}

// The numbers of Vendure's documentation: saleable = stock on hand − allocated −
// out-of-stock threshold, where a threshold below zero allows backorders.
func TestPromiseSaleable(t *testing.T) {
	for _, c := range []struct{ onHand, allocated, threshold, want int }{
		{10, 0, 0, 10},
		{10, 0, 3, 7},
		{10, 5, 0, 5},
		{10, 5, 3, 2},
		{10, 10, 0, 0},
		{10, 10, -5, 5},
	} {
		signed(t, ask(safety(c.threshold, at(c.onHand, movable(0, -c.allocated)))), c.want)
	}
	// One location has nobody to take from: what is oversold counts once.
	signed(t, ask(safety(-5, at(10, movable(0, -12)))), 3)
}

func TestPromiseSupply(t *testing.T) {
	const d0 = atpToday
	for _, c := range []struct {
		name string
		p    Position
		keep int
		want int
	}{
		{"undated never", at(5, due(0, 7)), 1_000_000, 5},
		{"overdue and kept", at(5, due(d0-3, 7)), 3, 12},
		{"overdue and kept no more", at(5, due(d0-4, 7)), 3, 5},
		{"due today, nothing kept", at(5, due(d0, 7)), 0, 12},
		{"days below zero keep nothing", at(5, due(d0, 7)), -1, 12},
		{"in transit is no supply", Position{States: [NumStates]Quantity{OnHand: units(5), InTransit: units(7)}}, 0, 5},
		{"claim overdue", at(5, due(d0-9, -2)), 0, 3},
		{"claim undated", at(5, due(0, -2)), 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := ask(c.p)
			q.Terms.KeepDays = c.keep
			signed(t, q, c.want)
		})
	}
	t.Run("what waits in parked events is not there", func(t *testing.T) {
		p := at(5, due(0, -1))
		p.ParkedOut = units(2)
		signed(t, ask(p), 2)
	})
	t.Run("by location", func(t *testing.T) {
		q := ask(in("DC1", at(5, due(d0, 7))), in("DC2", at(5, due(d0-2, 7))), in("DC3", at(5, due(d0-2, 7))))
		q.Terms.KeepDays = 3
		q.Terms.At = map[Location]SupplyTerms{"DC1": {None: true, KeepDays: 9}, "DC2": {KeepDays: 1}}
		signed(t, q, 5+5+12)
	})
	t.Run("none of it serves a movable claim either", func(t *testing.T) {
		q := ask(in("DC1", at(0, movable(0, -3), due(d0, 7))), in("DC2", at(5)))
		q.Terms.At = map[Location]SupplyTerms{"DC1": {None: true}}
		signed(t, q, 2)
	})
}

func TestPromiseGroup(t *testing.T) {
	const d0 = atpToday
	for _, c := range []struct {
		name string
		ps   []Position
		day  Day
		want int
	}{
		{"nothing", nil, 0, 0},
		{"movable claims take from the other", []Position{at(0, movable(0, -3)), at(3)}, 0, 0},
		{"negative stock takes nothing", []Position{at(-3), at(3)}, 0, 3},
		{"safety stock takes nothing", []Position{safety(5, at(2)), at(3)}, 0, 3},
		{"claims that stay take nothing", []Position{at(0, due(0, -3)), at(3)}, 0, 3},
		{"the worst day counts", []Position{at(0, movable(d0+1, -3), due(d0+2, 3)), at(5)}, 0, 2},
		{"but not one before the day asked for", []Position{at(0, movable(d0+1, -3), due(d0+2, 3)), at(5)}, d0 + 2, 5},
		{"one location lacks, signed", []Position{at(0, due(0, -3))}, 0, -3},
		{"all lack together, signed", []Position{at(0, due(0, -3)), at(0, due(0, -4))}, 0, -7},
		{"more claims may move than there is", []Position{at(0, movable(0, -9)), at(3)}, 0, -6},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := ask(c.ps...)
			q.Day = c.day
			signed(t, q, c.want)
		})
	}
	t.Run("only its locations", func(t *testing.T) {
		q := ask(in("DC1", at(4)), in("DC2", at(5)), in("DC3", at(6, movable(0, -60))))
		q.Group = []Location{"DC2", "DC1"}
		signed(t, q, 9)
		if got := Promise(q).Locations; len(got) != 2 || got[0].Location != "DC1" || got[0].ATP != units(4) {
			t.Errorf("%+v", got)
		}
	})
}

func TestPromiseKit(t *testing.T) {
	kit := func(as ...Position) *Question {
		q := ask()
		for i := range as {
			q.Kit = append(q.Kit, Part{
				Key:       Key{Entity: "acme", Item: Item('A' + rune(i))},
				Positions: as[i : i+1], PerKit: units(2),
			})
		}
		return q
	}
	t.Run("the scarcest decides, signed", func(t *testing.T) {
		signed(t, kit(at(8, due(0, -14)), at(4258, due(0, -168))), -3)
		signed(t, kit(at(8, movable(0, -14)), at(4258, due(0, -168))), -3)
	})
	t.Run("half a kit is none", func(t *testing.T) { signed(t, kit(at(7), at(9)), 3) })
	t.Run("half a kit short is one short", func(t *testing.T) { signed(t, kit(at(0, due(0, -3)), at(9)), -2) })
	t.Run("by date", func(t *testing.T) {
		q := kit(at(2, due(atpToday+2, 4)), at(100))
		signed(t, q, 1)
		q.Day = atpToday + 2
		signed(t, q, 3)
	})
	t.Run("by group", func(t *testing.T) {
		q := ask()
		q.Group = []Location{"DC1"}
		q.Kit = []Part{{PerKit: One, Positions: []Position{in("DC1", at(3)), in("DC2", at(9))}}}
		signed(t, q, 3)
	})
	t.Run("to a channel", func(t *testing.T) {
		q := kit(at(40), at(90))
		q.Channel = &ChannelTerms{Name: "web", Rule: ChannelRule{Buffer: units(3), Unit: units(5)}}
		promised(t, q, 15)
		q.Channel.Gross = true
		q.Positions = []Position{at(0, forChannel("web", due(0, -5)))}
		promised(t, q, 20)
	})
}
