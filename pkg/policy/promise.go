package policy

import (
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Today tells the calendar day at a location, in its zone.
type Today func(inventory.Location) inventory.Day

// Days is the horizon to compute with.
func (p *ATPPolicy) Days() int {
	if p.Horizon == 0 {
		return DefaultHorizon
	}
	return p.Horizon
}

// At is what a location may promise today, signed.
func (p *ATPPolicy) At(pos *inventory.Position, today inventory.Day) inventory.Quantity {
	return inventory.ATP(pos, today, p.Days(), p.KeepDays)
}

// Network is what the positions of one item promise together, each on its own
// location's day (DOMAIN §8). It is never negative.
func (p *ATPPolicy) Network(ps []inventory.Position, today Today) inventory.Quantity {
	var sum, short inventory.Quantity
	for i := range ps {
		day := today(ps[i].Location)
		sum = addUp(sum, max(0, inventory.ATP(&ps[i], day, p.Days(), p.KeepDays)))
		short = addUp(short, inventory.Shortfall(&ps[i], day, p.Days(), p.KeepDays))
	}
	return inventory.NetworkOf(sum, short)
}

// addUp adds two amounts of zero or more, at most MaxQuantity.
func addUp(a, b inventory.Quantity) inventory.Quantity {
	s, err := a.Add(b)
	if err != nil {
		return inventory.MaxQuantity
	}
	return s
}

// Rule is the channel's part of a group's ATP.
func (c *Channel) Rule() inventory.ChannelRule {
	return inventory.ChannelRule{
		Share: inventory.Quantity(c.Share) * inventory.One / 100, Buffer: c.Buffer, Cap: c.Cap, Unit: c.Unit,
	}
}

// From is those of an item's positions that the channel sells from.
func (c *Channel) From(ps []inventory.Position) []inventory.Position {
	var group []inventory.Position
	for _, p := range ps {
		if slices.Contains(c.Locations, p.Location) {
			group = append(group, p)
		}
	}
	return group
}

// Promise is what the channel shows of an item: the ATP of its group, then its
// rule.
func (c *Channel) Promise(ps []inventory.Position, p *ATPPolicy, today Today) inventory.Quantity {
	return inventory.ChannelQuantity(p.Network(c.From(ps), today), c.Rule())
}
