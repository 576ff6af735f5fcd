package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// finish holds the sums against state and positions (Invariant 3), and puts the
// locations in order.
func (r *reader) finish() {
	for l := range r.state { // in any order: sorted below
		if r.wanted(l) {
			r.place(l)
		}
	}
	for _, p := range r.at { // the same
		r.item.Locations = append(r.item.Locations, *p)
	}
	slices.SortFunc(r.item.Locations, func(a, b Location) int { return strings.Compare(string(a.Location), string(b.Location)) })
	for i := range r.item.Locations {
		p := &r.item.Locations[i]
		r.check(p)
		if !r.cfg.When.Now() { // what was claimed and expected then is not kept
			p.Claims, p.Supply, p.Position = nil, nil, inventory.Position{}
		}
	}
}

func (r *reader) check(p *Location) {
	st := r.state[p.Location]
	if st == nil {
		st = &inventory.LocationState{Location: p.Location}
	}
	differ := func(what string, told, stands inventory.Quantity, where string) {
		if told != stands {
			r.item.Differences = append(r.item.Differences,
				fmt.Sprintf("%s: %s adds up to %s, the %s says %s", p.Location, what, told, where, stands))
		}
	}
	if !r.whole {
		p.rebase(&st.States)
	}
	balance := plus(p.Balance(), p.later)
	for a := range inventory.Account(inventory.NumStates) {
		differ(a.String(), balance[a], st.States[a], "state")
		differ(a.String(), balance[a], p.Position.States[a], "position")
	}
	var claims, supply inventory.Quantity
	for i := range p.Claims {
		claims += p.Claims[i].Quantity
	}
	for i := range p.Supply {
		if p.Supply[i].Due != 0 { // undated supply counts nowhere
			supply += p.Supply[i].Quantity
		}
	}
	differ("claims", claims, sum(st.Reserved()), "state")
	differ("claims", claims, sum(p.Position.Reserved), "position")
	differ("supply", supply, sum(st.Supply()), "state")
	differ("supply", supply, sum(p.Position.Supply), "position")
	// A position has the version of its commit, which other locations may have moved on.
	if v := p.Position.Version; v < st.Version || v > r.item.Version {
		r.item.Differences = append(r.item.Differences,
			fmt.Sprintf("%s: the state has version %d, the item %d, the position %d", p.Location, st.Version, r.item.Version, v))
	}
}

// rebase lets the contributions begin at what is not told, so that they end at what
// stands.
func (l *Location) rebase(stands *States) {
	l.Before = minus(*stands, plus(l.Balance(), l.later))
	l.Skipped = plus(l.Skipped, l.Before)
	for i := range l.Contributions {
		l.Contributions[i].Balance = plus(l.Contributions[i].Balance, l.Before)
	}
}

func sum(bs []inventory.Bucket) (q inventory.Quantity) {
	for i := range bs {
		q += bs[i].Quantity
	}
	return q
}
