package inventory_test

import (
	"strconv"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// setLimit reads "limit NAME N".
func setLimit(t *testing.T, p *LimitPolicy, name, number string) {
	t.Helper()
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		t.Fatalf("limit %s %s", name, number)
	}
	switch name {
	case "supply_lines":
		p.SupplyLines = int32(n)
	case "parked":
		p.Parked = int32(n)
	default:
		t.Fatalf("limit %s", name)
	}
}
