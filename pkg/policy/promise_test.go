package policy

import (
	"testing"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// TestPromise follows one item from positions to what a channel shows.
func TestPromise(t *testing.T) {
	const one = inventory.One
	at := func(l inventory.Location, onHand inventory.Quantity, reserved ...inventory.Bucket) inventory.Position {
		p := inventory.Position{Location: l, Reserved: reserved}
		p.States[inventory.OnHand] = onHand
		return p
	}
	claim := func(q inventory.Quantity, due inventory.Day, movable bool) inventory.Bucket {
		return inventory.Bucket{Due: due, Movable: movable, Quantity: q}
	}
	const monday = inventory.Day(20_000)
	tests := map[string]struct {
		ps      []inventory.Position
		channel Channel
		today   map[inventory.Location]inventory.Day
		want    inventory.Quantity
	}{
		"all of the group": {
			ps:      []inventory.Position{at("A", 7*one), at("B", 5*one), at("C", 90*one)},
			channel: Channel{Locations: []inventory.Location{"A", "B"}}, want: 12 * one,
		},
		"share, buffer, unit": {
			ps:      []inventory.Position{at("A", 21*one)},
			channel: Channel{Locations: []inventory.Location{"A"}, Share: 50, Buffer: one, Unit: 2 * one}, want: 8 * one,
		},
		"a third": {
			ps:      []inventory.Position{at("A", 100*one)},
			channel: Channel{Locations: []inventory.Location{"A"}, Share: 33, Unit: 1}, want: 33 * one,
		},
		"cap":               {ps: []inventory.Position{at("A", 21*one)}, channel: Channel{Locations: []inventory.Location{"A"}, Cap: 5 * one}, want: 5 * one},
		"never below zero":  {ps: []inventory.Position{at("A", -3*one)}, channel: Channel{Locations: []inventory.Location{"A"}}, want: 0},
		"nothing there":     {channel: Channel{Locations: []inventory.Location{"A"}}, want: 0},
		"a movable claim":   {ps: []inventory.Position{at("A", 0, claim(3*one, 0, true)), at("B", 3*one)}, channel: Channel{Locations: []inventory.Location{"A", "B"}}, want: 0},
		"an immovable one":  {ps: []inventory.Position{at("A", 0, claim(3*one, 0, false)), at("B", 3*one)}, channel: Channel{Locations: []inventory.Location{"A", "B"}}, want: 3 * one},
		"beyond any number": {ps: []inventory.Position{at("A", inventory.MaxQuantity), at("B", inventory.MaxQuantity)}, channel: Channel{Locations: []inventory.Location{"A", "B"}, Unit: 1}, want: inventory.MaxQuantity},
		"each location has its own day": {
			// Due on Wednesday, with a horizon of one day: at A it is Tuesday already.
			ps:      []inventory.Position{at("A", 5*one, claim(2*one, monday+2, false)), at("B", 5*one, claim(2*one, monday+2, false))},
			channel: Channel{Locations: []inventory.Location{"A", "B"}}, today: map[inventory.Location]inventory.Day{"A": monday + 1}, want: 8 * one,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			today := func(l inventory.Location) inventory.Day {
				if d, ok := tt.today[l]; ok {
					return d
				}
				return monday
			}
			p := ATPPolicy{Horizon: 1}
			if got := tt.channel.Promise(tt.ps, &p, today); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if (&ATPPolicy{}).Days() != DefaultHorizon {
		t.Error("no horizon is not the default")
	}
}
