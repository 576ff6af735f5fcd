package inventory

import "slices"

// Policy is what the ledger decides by. A worker obeys only the version its log
// names; version 0 is the zero value: everybody owns everything, and every
// source's order is demand.
type Policy struct {
	Version int64
	// Origins are the sources whose orders create demand; empty means all.
	Origins []Source
	// Authority: see policy_authority.go.
	Authority AuthorityPolicy
	// Counts, Lines and Lanes: see policy_count.go.
	Counts CountPolicy
	Lines  LinePolicy
	Lanes  []Lane // the first that matches holds
	// Limits: see policy_limit.go.
	Limits LimitPolicy
	// Reservations: see policy_reservation.go.
	Reservations ReservationPolicy
}

// IsOrigin says whether the source's orders create demand.
func (p *Policy) IsOrigin(s Source) bool { return holds(p.Origins, s) }

// holds says whether the list names the source; an empty list names everybody.
func holds(list []Source, s Source) bool {
	return len(list) == 0 || slices.Contains(list, s)
}
