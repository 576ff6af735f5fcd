// Package channel is what a shop, marketplace or webhook receiver looks like to
// the publisher. Each adapter is one sub-folder and one line in the service's
// table; all pass the suite of channeltest.
package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Mark orders the offers of one listing: by item version, then policy version,
// then local day, each of which only grows. An offer computed later from the same
// facts under another policy or on another day has a greater mark.
type Mark struct {
	Version       int64
	PolicyVersion int64
	Day           string // 2006-01-02
}

// Compare is negative when m comes before o, zero when they are the same offer.
func (m Mark) Compare(o Mark) int {
	return cmp.Or(cmp.Compare(m.Version, o.Version), cmp.Compare(m.PolicyVersion, o.PolicyVersion), strings.Compare(m.Day, o.Day))
}

// Offer is one value for one listing.
type Offer struct {
	Channel  string
	Key      inventory.Key
	Listing  string
	Quantity inventory.Quantity // 0 or more
	Mark     Mark
	// At is when it was computed: an override that begins or ends, and the second
	// location's midnight, make another offer of the same mark.
	At inventory.Instant
}

// Value is what a channel shows. A channel that keeps no marks leaves Mark zero.
type Value struct {
	Quantity inventory.Quantity
	Mark     Mark
}

// CompareAndSet is the condition under which an offer may be set. A channel that
// keeps marks compares the offer's own and refuses what is older; one that can
// only compare quantities sets when it still shows Current.
type CompareAndSet struct {
	// Current is what the publisher last read or set there, nil when it does not
	// know.
	Current *Value
}

// Channel sets and reads listings. Both calls are bounded in time by their
// adapter, and both are safe for concurrent use.
//
// Publish is idempotent: the same offer again is the same call again, recognisable
// by the receiver. It returns nil when the channel accepted the offer, which is
// not yet proof that it shows it (Invariant 7): only Read is. ErrStale means a
// newer offer stands. *Refusal is for good, *Throttled asks to come back later,
// and after any other error nobody knows: read back before deciding.
//
// Read returns what the channel shows now; ErrUnknownListing when it shows nothing
// under that name, ErrNoReadBack when it cannot be asked at all.
type Channel interface {
	Publish(ctx context.Context, o Offer, expect CompareAndSet) error
	Read(ctx context.Context, listing string) (Value, error)
}

// What a caller branches on.
var (
	ErrStale          = errors.New("channel: a newer offer stands")
	ErrUnknownListing = errors.New("channel: unknown listing")
	ErrNoReadBack     = errors.New("channel: cannot be read back")
)

// Refusal is the channel's no, which repeating does not change.
type Refusal struct {
	Code   string // stable, snake_case
	Reason string // bounded, for people
}

func (r *Refusal) Error() string { return "channel refused: " + r.Code + ": " + r.Reason }

// Throttled asks to come back after a while.
type Throttled struct{ After time.Duration }

func (t *Throttled) Error() string { return fmt.Sprintf("channel: come back after %s", t.After) }

// Settings are what an adapter is made of: from the configuration, with secrets
// resolved.
type Settings struct {
	Name string // of the channel
	// URL is where offers go: the API's base, or the webhook's endpoint.
	URL string
	// ReadURL, where the adapter takes one, answers with what is shown; {listing}
	// stands for the escaped listing. Empty: no read-back.
	ReadURL string
	// Key authenticates API calls; Secrets sign webhooks, the first is the current
	// one, others are still accepted by receivers that have not rotated.
	Key     string
	Secrets []string
	Timeout time.Duration // of one call
	// AllowPrivate lets calls go to loopback, private and other non-public
	// addresses.
	AllowPrivate bool
	Now          func() time.Time
}

// New makes a channel; it does no I/O.
type New func(Settings) (Channel, error)
