package road

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/simulate/road"
	"github.com/stockweave/stockweave/test/fold"
)

// at is a time of the scenario's day.
func at(clock string) time.Time {
	d, err := time.Parse("2006-01-02 15:04", "2026-11-23 "+clock)
	if err != nil {
		panic(err) // a slip in this file
	}
	return d
}

// story is what the scenario's messages mean, told by hand: what happened, each
// thing once, in no particular order.
func story() []fold.Fact {
	n := fold.Whole
	return []fold.Fact{
		{Kind: fold.Opening, Item: "SKU-1", Location: "DC1", Qty: n(100), At: at("06:00")},
		{Kind: fold.Opening, Item: "SKU-2", Location: "DC1", Qty: n(50), At: at("06:00")},
		{Kind: fold.Opening, Item: "SKU-1", Location: "DC2", Qty: n(20), At: at("06:00")},
		{Kind: fold.Order, Item: "SKU-1", Location: "DC1", Qty: n(3), Order: "1001", At: at("08:30")},
		{Kind: fold.Order, Item: "SKU-2", Location: "DC1", Qty: n(1), Order: "1001", At: at("08:30")},
		{Kind: fold.Receipt, Item: "SKU-2", Location: "DC1", Qty: n(4 * 6), At: at("09:00")}, // four cases of six
		{Kind: fold.Ship, Item: "SKU-1", Location: "DC1", Qty: n(3), Order: "1001", At: at("09:30")},
		{Kind: fold.Ship, Item: "SKU-2", Location: "DC1", Qty: n(1), Order: "1001", At: at("09:30")},
		{Kind: fold.Ship, Item: "SKU-1", Location: "DC1", Qty: n(2), Order: "1002", At: at("09:40")},
		{Kind: fold.Order, Item: "SKU-1", Location: "DC1", Qty: n(2), Order: "1002", At: at("08:45")},
		{Kind: fold.Order, Item: "SKU-1", Location: "DC1", Qty: n(5), Order: "1003", At: at("09:50")},
		{Kind: fold.Ship, Item: "SKU-1", Location: "DC1", Qty: n(1), Order: "1003", At: at("09:55")},
		{Kind: fold.Count, Item: "SKU-1", Location: "DC1", Qty: n(94), At: at("10:00")},
		{Kind: fold.Count, Item: "SKU-2", Location: "DC1", Qty: n(73), At: at("10:00")},
		{Kind: fold.Count, Item: "SKU-1", Location: "DC2", Qty: n(20), At: at("10:30")},
		{Kind: fold.Return, Item: "SKU-1", Location: "DC1", Qty: n(1), At: at("11:00")},
	}
}

// postings are the documents that the ERP must hold at the end, one a movement.
// The count finds one piece missing; the shipment of 09:55, told after it, explains
// the piece, and the count's own correction is taken back. All of it counts on the
// warehouse's own day of the movement, whenever it is posted.
func postings() []string {
	return []string{
		"shipment.in SKU-2 24 supplier → DC1/storage done 2026-11-23",
		"shipment.out SKU-1 3 DC1/storage → customer done 2026-11-23",
		"shipment.out SKU-2 1 DC1/storage → customer done 2026-11-23",
		"shipment.out SKU-1 2 DC1/storage → customer done 2026-11-23",
		"shipment.internal SKU-1 1 DC1/storage → lost_found done 2026-11-23",
		"shipment.out SKU-1 1 DC1/storage → customer done 2026-11-23",
		"move SKU-1 1 lost_found → DC1/storage done 2026-11-23",
		"shipment.out.return SKU-1 1 customer → DC1/returned done 2026-11-23",
	}
}

// safety is the one safety stock of the shipped policies.
func safety(p fold.Place) int64 {
	if p == (fold.Place{Item: "SKU-1", Location: "DC1"}) {
		return fold.Whole(5)
	}
	return 0
}

// sold is what a channel may show: a share of the ATP of its locations, less a
// buffer, at most a cap, in whole units.
func sold(atp int64, share int64, buffer, most, unit int64) int64 {
	q := max(0, atp*share/100-buffer)
	if most > 0 {
		q = min(q, most)
	}
	return q - q%unit
}

// figures are the quantities to be seen at every end, by a name of the place:
// "erp SKU-1 DC1/storage", "redis SKU-1 DC1 on_hand", "http SKU-1 atp" and so on.
type figures map[string]string

func expected(t *testing.T) figures {
	t.Helper()
	places, err := fold.Fold(story())
	if err != nil {
		t.Fatal(err)
	}
	f := figures{}
	atp := map[fold.Place]int64{}
	total := map[string]int64{}
	for p, x := range places {
		atp[p] = x.ATP(safety(p))
		total[p.Item] += atp[p]
		states := map[string]int64{
			"on_hand": x.OnHand, "picked": x.Picked, "in_transit": 0, "damaged": x.Damaged, "returned": x.Returned, "quarantine": x.Quarantine,
		}
		for state, q := range states {
			f[fmt.Sprintf("redis %s %s %s", p.Item, p.Location, state)] = fold.Text(q)
			f[fmt.Sprintf("http %s %s %s", p.Item, p.Location, state)] = fold.Text(q)
		}
		f[fmt.Sprintf("redis %s %s reserved", p.Item, p.Location)] = fold.Text(x.Reserved)
		f[fmt.Sprintf("http %s %s reserved", p.Item, p.Location)] = fold.Text(x.Reserved)
		f[fmt.Sprintf("http %s %s atp", p.Item, p.Location)] = fold.Text(atp[p])
	}
	for item, q := range total {
		f[fmt.Sprintf("http %s atp", item)] = fold.Text(q)
		f[fmt.Sprintf("channel webshop %s", item)] = fold.Text(sold(q, 100, fold.Whole(2), 0, fold.Whole(1)))
	}
	for item, listing := range map[string]string{"SKU-1": "MKT-0001", "SKU-2": "MKT-0002"} {
		q := sold(atp[fold.Place{Item: item, Location: "DC1"}], 50, 0, fold.Whole(60), fold.Whole(6))
		f["channel market "+listing] = fold.Text(q)
		for _, location := range []string{"DC1", "DC2"} {
			x := places[fold.Place{Item: item, Location: location}] // nothing was ever there: all zero
			f[fmt.Sprintf("erp %s %s/storage", item, location)] = fold.Text(x.OnHand)
			f[fmt.Sprintf("erp %s %s/picked", item, location)] = fold.Text(x.Picked)
			f[fmt.Sprintf("erp %s %s/damaged", item, location)] = fold.Text(x.Damaged)
			f[fmt.Sprintf("erp %s %s/returned", item, location)] = fold.Text(x.Returned)
			f[fmt.Sprintf("erp %s %s/quarantine", item, location)] = fold.Text(x.Quarantine)
		}
	}
	return f
}

// TestStoryIsTheScenario holds the figures that the scenario's own expected.json
// names, which the demo compares with, against those that the story folds to.
func TestStoryIsTheScenario(t *testing.T) {
	dir := filepath.Join("..", "..", "examples", "scenario")
	s, err := road.Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	named := figures{}
	for item, x := range s.Expected.ATP {
		named["http "+item+" atp"] = x.ATP
		for location, states := range x.Locations {
			for state, q := range states {
				named[fmt.Sprintf("http %s %s %s", item, location, state)] = q
			}
		}
	}
	for channel, listings := range s.Expected.Channels {
		for listing, q := range listings {
			named["channel "+channel+" "+listing] = q
		}
	}
	if len(named) < 10 {
		t.Fatalf("%s names %d figures", dir, len(named))
	}
	all := expected(t)
	for name, q := range named {
		if q != all[name] {
			t.Errorf("%s: the scenario expects %q, the story folds to %q", name, q, all[name])
		}
	}
}
