package inventory

import "slices"

// AuthorityPolicy says which source owns which fact where. The zero value: every
// source owns everything, everything is live, and no view is compared.
type AuthorityPolicy struct {
	// Owners are tried in their order; the first that matches decides, so the most
	// specific stands first. Where none matches, every source has authority.
	Owners    []Owner
	Handovers []Handover
	Modes     []ModeRule   // the first that matches decides; none: live
	Compare   []Comparison // the first that matches a system's view; none: nothing is compared
}

// Facts is a set of kinds of fact, to which authority is given one by one.
type Facts uint8

// The kinds of fact. A movement is of the kind of its leg: what leaves a location
// is an issue there, what enters one a receipt; an adjustment or an opening balance
// is neither.
const (
	FactBalance Facts = 1 << iota
	FactReceipt
	FactIssue
	FactStateChange
	FactAdjustment
	FactDemand
	FactSupply

	// StockFacts are those of balances and movements.
	StockFacts = FactBalance | FactReceipt | FactIssue | FactStateChange | FactAdjustment
)

// factNames are the names of the kinds of fact, in the order of their bits.
var factNames = [...]string{"balance", "receipt", "issue", "state_change", "adjustment", "demand", "supply"}

// ParseFact is the kind of fact of a name; false when there is none.
func ParseFact(name string) (Facts, bool) {
	i := slices.Index(factNames[:], name)
	return 1 << max(i, 0), i >= 0
}

// Names are the names of the kinds in the set.
func (f Facts) Names() []string {
	var out []string
	for i, n := range factNames {
		if f&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// Scope is the part of the facts that a rule is about. What is zero or empty does
// not narrow it.
type Scope struct {
	Entity   Entity
	Location Location
	States   uint8 // bit n: Account n
	Facts    Facts // none: balances and movements, not demand and supply
}

// Owner gives one balance authority and the authorised writers of everything else.
type Owner struct {
	Scope
	From, Until Instant  // business time, [From, Until); zero: without end
	Window      Instant  // after Until, how long facts of before are still taken; zero: always
	Balance     []Source // whose counts set the ledger; empty means all
	Moves       []Source // whose movements post, and whose demand and supply counts; empty means all
}

// Handover passes what From owned to To: facts of before At are From's, and those
// from At on are To's, whatever the owners' lists say of the two. Facts of before
// At that are recorded after At + Window are noted only.
type Handover struct {
	Scope
	At, Window Instant
	From, To   Source
}

// Mode is how far a flow has come in a migration.
type Mode uint8

// The modes of a flow: a source's facts of a kind at a location.
const (
	ModeLive    Mode = iota // decided and posted
	ModeShadow              // decided, and the outcome says what would move; nothing is posted
	ModeObserve             // only its claimed view is kept
)

// ModeRule sets the mode of flows. Empty parts match everything; Facts of zero are
// all kinds, demand and supply too.
type ModeRule struct {
	Source   Source
	Location Location
	Facts    Facts
	Mode     Mode
}

// Comparison says how a system's claimed view is held against the ledger.
type Comparison struct {
	Source   Source
	Location Location // empty: any
	// States say which states of the ledger make up what the system calls a state. A
	// state that is not listed is compared with itself, and a physical on_hand with
	// what its number includes.
	States []StateMap
	// Lag is how far the system may be behind, or ahead of, the time it states:
	// events within it are taken as in flight.
	Lag   Instant
	Packs []Quantity // pack sizes looked for in a difference; none: 6, 10, 12, 24
	Items []ItemTerms
	Alert Alert
}

// StateMap is one state of a system as the ledger sees it.
type StateMap struct {
	State       Account
	Ledger      uint8 // states summed up, bit n: Account n
	AfterClaims bool  // less the open claims
}

// ItemTerms are what a comparison knows of one item.
type ItemTerms struct {
	Key   Key
	Value Quantity   // of one base unit; zero: unknown
	Packs []Quantity // none: those of the comparison
}

// Alert says from when on an unexplained difference is alerted: any of the first
// three that is set is reached, over Snapshots and Dwell. None set: never.
type Alert struct {
	Quantity  Quantity // at least so much
	Percent   Quantity // at least so many per cent of what the ledger holds
	Value     Quantity // at least worth so much, where the item's value is known
	Snapshots int32    // consecutive snapshots that disagree; one when zero
	Dwell     Instant  // as-of time since the first of them
}

// Limits of values in the policy, which keep sums within range.
const (
	MaxUnitValue = 10_000_000_000 * One
	MaxPercent   = 100 * One
)
