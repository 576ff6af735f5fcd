package atpapi

import (
	"fmt"
	"net/url"
	"testing"

	"pgregory.net/rapid"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy/promisetest"
)

// TestPromisable: the day named is the first of those on which asking for that day
// gives the quantity.
func TestPromisable(t *testing.T) {
	w := newWeb(t)
	w.flog.put(t, w.codecs, 1, nil)
	w.run(t, 100)
	version := int64(1)
	rapid.Check(t, func(rt *rapid.T) {
		c := promisetest.Draw(rt)
		version++
		w.promiseBy(t, c.ATP, c.Channels...)
		if _, err := w.batch(t.Context(), w.flog.put(t, w.codecs, version, c.Positions)); err != nil {
			rt.Fatal(err)
		}
		quantity := inventory.Quantity(rapid.Int64Range(1, 40).Draw(rt, "quantity")) * inventory.One
		group := "?group=" + url.QueryEscape(promisetest.Group)
		got := w.asks(t, c.Key.Item, group+"&quantity="+quantity.String()).Promisable
		if got == nil || got.Quantity != quantity.String() {
			rt.Fatalf("promisable %+v", got)
		}
		const look = 60 // days: nothing drawn is due later
		first := w.reader.days(&wanted{query: query{key: c.Key}, promises: w.reader.policies.Get(), now: w.now}, &facts{of: map[inventory.Key][]inventory.Position{c.Key: c.Positions}})[0]
		want := ""
		for d := first; d < first+look; d++ {
			atp, err := inventory.ParseQuantity(w.asks(t, c.Key.Item, fmt.Sprintf("%s&on=%s", group, place.Date(d))).ATP)
			if err != nil {
				rt.Fatal(err)
			}
			if atp >= quantity {
				want = place.Date(d)
				break
			}
		}
		if got.On != want {
			rt.Fatalf("%s may be promised on %q, day by day on %q", quantity, got.On, want)
		}
	})
}
