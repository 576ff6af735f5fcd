package explain

import (
	"errors"
	"fmt"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// When is a time in the past. AsOf leaves out what happened after it, by the
// business time of each move; KnownAt what the ledger recorded after it, by the clock of
// the key, the latest ledger time of its outcomes so far: what a frozen key takes at its
// release counts from the last event that came before it. A zero one leaves out nothing;
// both together are what was held at KnownAt to have stood at AsOf.
type When struct{ AsOf, KnownAt inventory.Instant }

// Now says whether nothing is left out.
func (m When) Now() bool { return m == When{} }

func (m When) known(clock inventory.Instant) bool { return m.KnownAt == 0 || clock <= m.KnownAt }

func (m When) happened(mv *inventory.Move) bool { return m.AsOf == 0 || mv.At <= m.AsOf }

// Of outcomes written before a past time by more than this, none is after the time.
const (
	// What is recorded later is written later: clocks of brokers and ledgers may be so far
	// apart.
	clocksApart = inventory.Skew
	// A time beyond receipt by more than its source's skew is clamped.
	statedAhead = inventory.MaxDoubt + clocksApart
)

// since is from which time on outcomes may have been written that the time leaves
// out.
func (m When) since() inventory.Instant {
	switch {
	case m.AsOf == 0:
		return m.KnownAt - clocksApart
	case m.KnownAt == 0:
		return m.AsOf - statedAhead
	}
	return min(m.AsOf-statedAhead, m.KnownAt-clocksApart)
}

// after is the first time, asked for as this one is, that a log tells of which begins at
// another.
func (m When) after(begins inventory.Instant) inventory.Instant {
	if m.AsOf != 0 {
		return begins + statedAhead + 1
	}
	return begins + clocksApart + 1
}

// Errors of an item that cannot be explained, or not as of a past time.
var (
	// ErrUnknown is of an item that has no state.
	ErrUnknown = errors.New("explain: the ledger has no such item")
	// ErrTooMuch is of what would cost more reading than the budget allows.
	ErrTooMuch = errors.New("explain: more would have to be read than is allowed")
	// ErrUnreadable is of a record that cannot be decoded.
	ErrUnreadable = errors.New("explain: a record cannot be read")
)

// ForgottenError says that what happened since a past time is not all in the log any more.
type ForgottenError struct{ Earliest inventory.Instant } // time that can be told

func (e *ForgottenError) Error() string {
	return "explain: the log tells from " + text(e.Earliest) + " on"
}

func unreadable(what string, offset int64, err error) error {
	return fmt.Errorf("%w: %s at offset %d: %w", ErrUnreadable, what, offset, err)
}
