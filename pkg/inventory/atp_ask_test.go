package inventory_test

import . "github.com/stockweave/stockweave/pkg/inventory"

// askAll is a Promise of an item from all its locations, where it is the same day.
func askAll(ps []Position, today, day Day, horizon, keepDays int) Promised {
	return Promise(&Question{
		Positions: ps, Day: day, Today: func(Location) Day { return today },
		Terms: Terms{Horizon: horizon, KeepDays: keepDays},
	})
}

// ATP is what one location can promise today, signed.
func ATP(p *Position, today Day, horizon, keepDays int) Quantity {
	return ATPOn(p, today, today, horizon, keepDays)
}

// ATPOn is ATP for a delivery on day.
func ATPOn(p *Position, today, day Day, horizon, keepDays int) Quantity {
	return askAll([]Position{*p}, today, day, horizon, keepDays).Signed
}

// Shortfall is what the movable claims of one location will take from others.
func Shortfall(p *Position, today Day, horizon, keepDays int) Quantity {
	return askAll([]Position{*p}, today, today, horizon, keepDays).Locations[0].Short
}

// Network is what all locations can promise together.
func Network(ps []Position, today Day, horizon, keepDays int) Quantity {
	return askAll(ps, today, today, horizon, keepDays).Quantity
}
