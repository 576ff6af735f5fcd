package inventory_test

import (
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// What comes back after its line is gone is there again.
func TestReversalsOutliveLines(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	start, _ := clock("09:00")
	ship := movedAt(1, Ship, 3, start)
	ship.Refs = []Ref{{Issuer: "shop", Type: "order", Number: "1001"}}
	if _, err := g.append(ship); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if _, err := g.append(movedAt(10+i, Receipt, 1, start+Instant(15+i)*days)); err != nil {
			t.Fatal(err)
		}
	}
	back := movedAt(20, Reversal, 3, start+20*days)
	back.Refs = ship.Refs
	back.Movement.Reverses, back.Movement.FromState = ship.ID, Customer
	if out, err := g.append(back); err != nil || out.Kind != Applied || len(out.Moves) != 1 {
		t.Errorf("it became %s %v with %v, %v", out.Kind, out.Codes, out.Moves, err)
	}
	if p, _ := g.ledger.Position("DC1"); p.States[OnHand] != units(4) || g.ledger.Outside(Customer) != 0 {
		t.Errorf("on hand %v, with customers %v", p.States[OnHand], g.ledger.Outside(Customer))
	}
}
