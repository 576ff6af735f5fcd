package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// told writes steps as "name@location +amount = value".
func told(steps []Step) []string {
	var out []string
	for _, s := range steps {
		text := string(s.Name)
		if s.Location != "" {
			text += "@" + string(s.Location)
		}
		if s.Day != 0 {
			text += fmt.Sprintf(" d%d", s.Day-atpToday)
		}
		out = append(out, fmt.Sprintf("%s %s = %s", text, s.Amount, s.Value))
	}
	return out
}

func TestExplain(t *testing.T) {
	same := func(t *testing.T, q *Question, want ...string) {
		t.Helper()
		if got := told(Explain(q)); !slices.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
	}
	t.Run("a group, to a channel", func(t *testing.T) {
		dc1 := in("DC1", safety(2, at(20, due(atpToday+1, -3), due(atpToday+3, 10), due(atpToday+4, -15))))
		dc1.ParkedOut = One
		q := ask(dc1, in("DC2", at(0, movable(0, -4))))
		q.Channel = &ChannelTerms{Name: "web", Rule: ChannelRule{Share: One / 2, Buffer: One, Unit: units(2)}}
		same(t, q,
			"on_hand@DC1 20 = 20", "safety_stock@DC1 -2 = 18", "parked@DC1 -1 = 17",
			"claims@DC1 d1 -3 = 14", "supply@DC1 d3 10 = 24", "claims@DC1 d4 -15 = 9", "least@DC1 d4 0 = 9",
			"on_hand@DC2 0 = 0", "claims@DC2 d0 -4 = -4", "least@DC2 d0 0 = -4",
			"location@DC1 9 = 9", "location@DC2 0 = 9", "movable@DC2 -4 = 5",
			"share -2.5 = 2.5", "buffer -1 = 1.5", "shown -1.5 = 0")
	})
	t.Run("a kit below zero", func(t *testing.T) {
		q := ask()
		q.Kit = []Part{
			{Key: Key{Entity: "acme", Item: "A"}, PerKit: units(2), Positions: []Position{in("DC1", at(8, due(0, -14)))}},
			{Key: Key{Entity: "acme", Item: "B"}, PerKit: units(2), Positions: []Position{in("DC1", at(4258, due(0, -168)))}},
		}
		same(t, q,
			"on_hand@DC1 8 = 8", "claims@DC1 d0 -14 = -6", "least@DC1 d0 0 = -6", "location@DC1 -6 = -6", "part 3 = -3",
			"on_hand@DC1 4258 = 4258", "claims@DC1 d0 -168 = 4090", "least@DC1 d0 0 = 4090", "location@DC1 4090 = 4090", "part -2045 = 2045",
			"kit -3 = -3", "shown 3 = 0")
	})
	t.Run("stopped", func(t *testing.T) {
		q := ask(in("DC1", at(5)))
		q.Overrides = []Override{{Kind: StopSell, Author: "ana"}}
		same(t, q, "on_hand@DC1 5 = 5", "least@DC1 d0 0 = 5", "location@DC1 5 = 5", "override -5 = 0", "shown 0 = 0")
		if steps := Explain(q); steps[3].Override == nil || steps[3].Override.Author != "ana" {
			t.Errorf("nobody answers for it: %+v", steps[3])
		}
	})
}

// Every value is the one before it and the step's amount; the last is the promise.
func TestExplainAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		steps, p := Explain(q), Promise(q)
		var value Quantity
		for _, s := range steps {
			if s.Start {
				value = 0
			}
			if value += s.Amount; value != s.Value {
				t.Fatalf("%+v after %v of %q", s, value-s.Amount, told(steps))
			}
			for _, l := range p.Locations {
				if s.Name == StepLeast && s.Location == l.Location && l.Override == nil && s.Value != l.ATP {
					t.Fatalf("%s is explained as %v, promised as %v", l.Location, s.Value, l.ATP)
				}
			}
		}
		if value != p.Quantity {
			t.Fatalf("explained as %v, promised as %v: %q", value, p.Quantity, told(steps))
		}
	})
}
