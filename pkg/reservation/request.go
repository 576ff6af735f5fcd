// Package reservation sets stock of several items aside for one request: all of it or
// nothing, though every item is decided on its own (EXACTLY-ONCE §7). Machine says what
// to append and what to answer, and is pure; Client plays it against the log.
package reservation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// docType is the document type of the events of a request.
const docType = "reservation"

// The steps of a run. All but release are actions of the ledger's, too.
const (
	stepTry     = "try"
	stepRelease = "release" // a try without lines: it gives back, and leaves no tombstone
	stepAgain   = "again"   // a try, the second time
	stepConfirm = "confirm"
	stepCancel  = "cancel"
)

// MaxItems are the items of one request at most: each names all the others.
const MaxItems = 64

// ErrRequest is a request that cannot be put to the ledger.
var ErrRequest = errors.New("reservation: bad request")

// Request asks to set stock of one or several items aside, all or none.
type Request struct {
	ID      string // see ID; a request that comes again is the same reservation
	Run     string // unique: no run takes for its own what another one was answered
	Partner string // who asks: limits are per partner
	Source  inventory.Source
	Lines   []Line
	// Hold is when what was granted lapses by itself; 0: it is kept until it is served
	// or cancelled. It is log time.
	Hold    inventory.Instant
	Partial bool  // of one item alone: grant what fits
	ReplyTo int32 // partition of the answers' topic
}

// Line is a line of a request.
type Line struct {
	Key inventory.Key
	inventory.ReservationLine
}

// Terms are the times of a request, in milliseconds.
type Terms struct {
	TTL    inventory.Instant // of a try: what is not confirmed lapses
	Margin inventory.Instant // before it, in which nothing is granted any more: more than clocks differ
	Again  inventory.Instant // between two attempts to append
}

// DefaultTerms hold where nothing else is said.
func DefaultTerms() Terms { return Terms{TTL: 30_000, Margin: 5_000, Again: 200} }

// Jitter is the pause before a contended request is tried once more, 5 to 20 ms, for a
// random fraction in [0, 1).
func Jitter(fraction float64) inventory.Instant { return 5 + inventory.Instant(16*fraction) }

// ID names a request, and its reservation, by who asks and the key under which they
// may ask again: 32 hex digits.
func ID(partner, idempotencyKey string) string {
	return event.EventID(inventory.Source(partner), inventory.Document{Type: docType, Number: idempotencyKey})
}

// Status is how a request stands.
type Status uint8

// The statuses. All but Pending are final.
const (
	Pending   Status = iota // not answered yet
	Granted                 // every item
	Denied                  // an item does not fit
	Contended               // an item fits but for what others may yet give up: ask again soon, as a new request
	Cancelled               // called off, or not answered in time; whatever was granted is given back
)

func (s Status) String() string {
	return [...]string{"pending", "granted", "denied", "contended", "cancelled"}[min(s, Cancelled)]
}

// CodeUnanswered is why a request is cancelled that was not answered in time.
const CodeUnanswered inventory.Code = "unanswered"

// CodeCalledOff is why a request is cancelled that its caller called off.
const CodeCalledOff inventory.Code = "called_off"

// Reply is the answer to a request.
type Reply struct {
	Status    Status
	Lines     []ReplyLine   // what was granted, by key, then as asked
	Key       inventory.Key // the item that says no
	Code      inventory.Code
	Available inventory.Quantity // of that item, when it does not fit
}

// ReplyLine is what a line was granted at a location.
type ReplyLine struct {
	Key inventory.Key
	inventory.AnswerLine
}

// item is what a request asks of one key.
type item struct {
	key   inventory.Key
	lines []inventory.ReservationLine

	tried, granted bool // in this attempt
	told           []inventory.AnswerLine
	open           int  // tries without an answer
	holds          bool // something, as far as one knows
}

// items are the request's lines by key, in the order of the keys.
func (r *Request) items() ([]item, error) {
	var all []item
	for _, l := range r.Lines {
		if l.Key.Entity == "" || l.Key.Item == "" || l.Quantity <= 0 {
			return nil, fmt.Errorf("%w: a line needs an entity, an item and a quantity above 0", ErrRequest)
		}
		i, found := slices.BinarySearchFunc(all, l.Key, func(it item, k inventory.Key) int { return compare(it.key, k) })
		if !found {
			all = slices.Insert(all, i, item{key: l.Key})
		}
		all[i].lines = append(all[i].lines, l.ReservationLine)
	}
	switch {
	case r.ID == "" || r.Run == "":
		return nil, fmt.Errorf("%w: it needs an id, and a name of the run", ErrRequest)
	case len(all) == 0 || len(all) > MaxItems:
		return nil, fmt.Errorf("%w: %d items, not 1 to %d", ErrRequest, len(all), MaxItems)
	case r.Partial && len(all) > 1:
		return nil, fmt.Errorf("%w: in part only one item can be granted", ErrRequest)
	}
	return all, nil
}

func compare(a, b inventory.Key) int {
	return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.Item, b.Item))
}

// keys are those of items; none of one alone.
func keys(items []item) []inventory.Key {
	if len(items) == 1 {
		return nil
	}
	ks := make([]inventory.Key, len(items))
	for i := range items {
		ks[i] = items[i].key
	}
	return ks
}

// event is one of the request's events, about the item that is n-th by key. step names
// it within the run: it has one id, so that it may be appended again.
func (r *Request) event(now inventory.Instant, step string, n int, k inventory.Key, body inventory.Reservation) *inventory.Event {
	body.ID, body.Partner, body.ReplyTo = r.ID, r.Partner, r.ReplyTo
	ev := &inventory.Event{
		Kind: inventory.KindReservation, Key: k, Source: r.Source,
		Document: inventory.Document{
			Type: docType, Number: r.ID, Revision: r.Run, Line: step + "/" + strconv.Itoa(n+1),
		},
		OccurredAt: now, OccurredBasis: inventory.BasisReceipt, ReceivedAt: now, Reservation: &body,
	}
	ev.ID = event.EventID(ev.Source, ev.Document)
	return ev
}

// Cancels are the events that give back all that a request may have been granted, and
// see to it that nothing is granted to it for a while.
func Cancels(r Request, now inventory.Instant) ([]*inventory.Event, error) {
	items, err := r.items()
	if err != nil {
		return nil, err
	}
	evs := make([]*inventory.Event, len(items))
	for i := range items {
		body := inventory.Reservation{Action: inventory.Cancel, Siblings: keys(items)}
		evs[i] = r.event(now, stepCancel, i, items[i].key, body)
	}
	return evs, nil
}
