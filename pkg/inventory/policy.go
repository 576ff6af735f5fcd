package inventory

import "slices"

// Policy is what decides ownership. A worker obeys only the version its log
// names; version 0 is the zero value: everybody owns everything, and every
// source's order is demand.
type Policy struct {
	Version int64
	// Origins are the sources whose orders create demand; empty means all.
	Origins []Source
	// Owners are tried in order; the first whose Location matches decides.
	Owners []Owner
}

// Owner says who owns which fact at a location.
type Owner struct {
	Location Location // empty: any
	Balance  []Source // whose counts set the ledger; empty means all
	Moves    []Source // whose movements post; empty means all
}

// IsOrigin says whether the source's orders create demand.
func (p *Policy) IsOrigin(s Source) bool { return holds(p.Origins, s) }

// OwnsBalance says whether the source's counts set the ledger at a location.
func (p *Policy) OwnsBalance(s Source, l Location) bool {
	o := p.owner(l)
	return o == nil || holds(o.Balance, s)
}

// OwnsMoves says whether the source's movements post at a location.
func (p *Policy) OwnsMoves(s Source, l Location) bool {
	o := p.owner(l)
	return o == nil || holds(o.Moves, s)
}

func (p *Policy) owner(l Location) *Owner {
	for i := range p.Owners {
		if o := &p.Owners[i]; o.Location == "" || o.Location == l {
			return o
		}
	}
	return nil
}

// holds says whether the list names the source; an empty list names everybody.
func holds(list []Source, s Source) bool {
	return len(list) == 0 || slices.Contains(list, s)
}
