package inventory

import "slices"

// CountPolicy says how far the counts of a source are believed. Its zero value
// believes every count at once and takes stated times as they are.
type CountPolicy struct {
	Sources []CountSource // the first that names the source holds, else the first without a name
}

// CountSource is how far the counts of one source are believed.
type CountSource struct {
	Source Source // empty: every source without its own

	// Precision and Skew say how far its stated times, of counts and of movements,
	// may be off, in ms: the unit it states them in, and its clock. A movement and a
	// count closer than both their sources allow for are ambiguous.
	Precision, Skew Instant
	// Ambiguous is what an event near a count of the source is taken for; empty takes
	// the stated times as they are and flags it all the same. A source's own sequence
	// leaves nothing ambiguous.
	Ambiguous Ambiguity

	// AssumeAckAfter is for a source that reports available stock and never says
	// which orders it knows: it is taken to know an order from so many ms after.
	AssumeAckAfter Instant

	// Agreeing is how many snapshots in a row must find the same surplus before a
	// count whose as-of is only inferred from receipt raises on_hand; 0 and 1: none
	// is waited for. Lower it may at once.
	Agreeing int

	// Guard holds counts that change too much of one item.
	Guard CountGuard
	// ZeroShare is the share of a location's items, at scale 10^-4, that the end of a
	// full snapshot may set to zero without an approval; 0: any.
	ZeroShare Quantity
}

// MaxDoubt is the most that Precision and Skew of a source may be together.
const MaxDoubt = Instant(24 * 60 * 60 * 1000)

// Ambiguity is what an event is taken for that may have happened before or after
// a count.
type Ambiguity string

// The ways to take it.
const (
	Included Ambiguity = "included" // before the count: its number has it already
	Excluded Ambiguity = "excluded" // after the count
	HeldBack Ambiguity = "held"     // whichever comes second waits for an approval
)

// CountGuard limits what a count may change without an approval. Zero is no limit.
type CountGuard struct {
	Relative Quantity // of what the ledger had in the counted states, at scale 10^-4
	Absolute Quantity // sum of the differences
	Value    Quantity // of the differences, where a comparison knows what a unit is worth (ItemTerms)
	ZeroOuts bool     // hold a count that leaves nothing of an item that was there
}

// LinePolicy says what becomes of demand that is not what its origin said. The
// zero value keeps copies for what they are, and short picks as backorders.
type LinePolicy struct {
	// LinkWait is how long, in ms, demand from a source that is no origin waits for
	// its order; 0: it does not wait, and claims nothing.
	LinkWait Instant
	// Unlinked is what becomes of it then.
	Unlinked Unlinked
	// Short is what becomes of the claim on what a pick did not find.
	Short Shortage
}

// Unlinked is what becomes of demand whose origin never spoke.
type Unlinked string

// The ways to end its wait; empty parks.
const (
	UnlinkedClaims Unlinked = "claim" // it claims stock, until the origin speaks
	UnlinkedParks  Unlinked = "park"  // it stays aside for a person
)

// Shortage is what becomes of a claim that a pick found no stock for.
type Shortage string

// The ways to go on; empty is a backorder.
const (
	ShortBackorder Shortage = "backorder" // the claim stays where it is
	ShortResource  Shortage = "resource"  // it goes where there is stock
	ShortCancel    Shortage = "cancel"    // it ends
)

// Lane says whose goods on their way to a location are.
type Lane struct {
	Source   Source   // who advises them; empty: anybody
	Location Location // where they go; empty: anywhere
	// Title is where they become the entity's: at origin, their advice moves them
	// from the supplier into in_transit; at destination, and when empty, their
	// receipt brings them in.
	Title Title
	// Residual is how long after the advice what has not come is closed, in ms; it is
	// stated here for whoever closes it, by an adjustment with a reason.
	Residual Instant
}

// Title is where goods change hands.
type Title string

// The two of them.
const (
	TitleOrigin      Title = "origin"
	TitleDestination Title = "destination"
)

// of finds what holds for a source, or nil.
func (c *CountPolicy) of(s Source) *CountSource {
	var all *CountSource
	for i := range c.Sources {
		switch x := &c.Sources[i]; {
		case x.Source == s && s != "":
			return x
		case x.Source == "" && all == nil:
			all = x
		}
	}
	return all
}

// window is how far a source's times may be off.
func (c *CountPolicy) window(s Source) Instant {
	if x := c.of(s); x != nil && s != "" {
		return x.Precision + x.Skew
	}
	return 0
}

// widest is the largest distance at which anything is ambiguous.
func (c *CountPolicy) widest() Instant {
	var w Instant
	for i := range c.Sources {
		w = max(w, c.Sources[i].Precision+c.Sources[i].Skew)
	}
	return 2 * w
}

// order is the place of an event among its source's own, as far as counts ask
// for it.
func (c *CountPolicy) order(s Source, sequence int64) Order {
	if sequence == 0 && (len(c.Sources) == 0 || c.window(s) == 0) {
		return Order{}
	}
	return Order{Source: s, Sequence: sequence}
}

// titleAtOrigin says whether an advice moves goods into in_transit.
func (p *Policy) titleAtOrigin(s Source, l Location) bool {
	i := slices.IndexFunc(p.Lanes, func(n Lane) bool {
		return (n.Source == "" || n.Source == s) && (n.Location == "" || n.Location == l)
	})
	return i >= 0 && p.Lanes[i].Title == TitleOrigin
}
