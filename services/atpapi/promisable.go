package atpapi

import (
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
)

// promisable says from which day on a quantity may be promised.
type promisable struct {
	Quantity string `json:"quantity"`
	On       string `json:"on,omitempty"` // empty: on no day within the horizon, as things stand
}

// promisable finds the first day, from that asked for on, on which the whole quantity
// asked for may be promised. What is promised is the least of what is projected from
// that day on (DOMAIN §8), so it rises on days on which supply is due and on no other.
func (r *reader) promisable(w *wanted, f *facts) *promisable {
	first := w.on
	if first == 0 {
		first = r.days(w, f)[0]
	}
	days := []inventory.Day{first}
	for _, ps := range f.of { // in any order: they are sorted
		for i := range ps {
			for j := range ps[i].Supply {
				if d := ps[i].Supply[j].Due; d > first && d <= first+maxAhead {
					days = append(days, d)
				}
			}
		}
	}
	slices.Sort(days)
	out := &promisable{Quantity: w.quantity.String()}
	for _, d := range slices.Compact(days) {
		on := *w
		on.on = d
		if r.promise(&on, f, w.channel).Quantity >= w.quantity {
			out.On = place.Date(d)
			break
		}
	}
	return out
}
