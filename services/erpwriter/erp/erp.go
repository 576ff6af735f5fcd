// Package erp defines what the ERP writer asks of an ERP adapter: look up, create
// and finish one document. Every call may fail after it has taken effect, so an
// adapter reports what it saw and the poster looks again before it repeats.
package erp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Request is one document to post, in the ERP's own place codes.
type Request struct {
	// Ref is the posting's id, 32 hex digits: our reference, the same at every
	// attempt, so that the document is recognised.
	Ref    string
	Entity inventory.Entity
	Type   inventory.MovementType
	Lines  []Line
	// Business is the number of the document the fact came in, for people and for
	// the look-up of what somebody else has posted; empty when it has none.
	Business     string
	BusinessType string
	// Dates are local calendar days, 2006-01-02.
	DocumentDate string
	PostingDate  string
	Reason       string
	Description  string
}

// Line moves a quantity between two places. Places are the ERP's own codes, items
// are Stockweave's. Quantity is positive, at scale 10^-4, in the base unit.
type Line struct {
	Item     inventory.Item
	From, To string
	Quantity inventory.Quantity
	Unit     string
}

// State is how far a document has come.
type State string

// The states of a document. Stock has moved only when it is Done.
const (
	Open      State = "open"
	Done      State = "done"
	Cancelled State = "cancelled"
)

// Document is a document as the ERP holds it.
type Document struct {
	Handle string // the adapter's way to name it; opaque
	Number string // what people see
	State  State
	Lines  []Line
}

// ERP is one ERP system. Methods are safe for concurrent use. Each honours its
// context and returns an *Error, or a plain error when it cannot tell what
// happened; both may come after the call took effect.
type ERP interface {
	// Find looks a document up by our reference, whatever its state.
	Find(ctx context.Context, ref string) (Document, bool, error)
	// FindBusiness returns the documents that carry no reference of ours and move
	// the request's items, in whatever quantity, the same way under the same
	// business number: what a person or another system has entered. An ERP without
	// business numbers returns none.
	FindBusiness(ctx context.Context, r Request) ([]Document, error)
	// Adopt puts our reference on a document that FindBusiness returned, so that
	// no second request takes it for its own. ErrExists when it has one already.
	Adopt(ctx context.Context, d Document, ref string) error
	// Create enters the document without moving stock, where the ERP knows such a
	// state. ErrExists when our reference is taken: look it up.
	Create(ctx context.Context, r Request) (Document, error)
	// Finish moves the stock of an open document and returns it Done. On a
	// document that is done already it changes nothing.
	Finish(ctx context.Context, d Document) (Document, error)
}

// ErrExists is what Create and Adopt return when the reference is taken.
var ErrExists = errors.New("erp: the reference exists already")

// Fate is what an error means for its document.
type Fate int

// The fates. A plain error has the fate Unknown.
const (
	// Unknown: it may have happened or not; look up, then try again. Also every
	// outage. Without limit: an ERP that is down costs time, never a document.
	Unknown Fate = iota
	// Blocked: refused now, may be taken later (a locked record, a fault inside
	// the ERP); tried again a limited number of times.
	Blocked
	// Permanent: refused for good; a person must look.
	Permanent
)

// Error is a refusal of an ERP.
type Error struct {
	Fate       Fate
	Code       string // stable, snake_case
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Code, e.Err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Refuse makes a permanent error.
func Refuse(code, format string, args ...any) error {
	return &Error{Fate: Permanent, Code: code, Err: fmt.Errorf(format, args...)}
}

// Block makes an error that is tried again a limited number of times.
func Block(code, format string, args ...any) error {
	return &Error{Fate: Blocked, Code: code, Err: fmt.Errorf(format, args...)}
}

// Outage makes an error that says nothing about the document.
func Outage(code string, after time.Duration, err error) error {
	return &Error{Fate: Unknown, Code: code, RetryAfter: after, Err: err}
}

// Codes that adapters and the poster share.
const (
	CodeRefused        = "erp_refused"         // the ERP's own business rules
	CodeUnknownItem    = "erp_unknown_item"    // no such item there
	CodeUnknownPlace   = "erp_unknown_place"   // no such location there
	CodeUnsupported    = "erp_unsupported"     // no document of that ERP moves between these places
	CodeCancelled      = "erp_cancelled"       // found by our reference, cancelled by somebody
	CodeConflict       = "erp_ref_conflict"    // found by our reference, with other content
	CodeBusinessDiffer = "erp_business_differ" // found by the business reference, with other content
	CodeFault          = "erp_fault"           // an error inside the ERP
	CodeUnreachable    = "erp_unreachable"     // no answer, or none that is an answer
	CodeDenied         = "erp_access_denied"   // key or rights are missing
	CodeThrottled      = "erp_throttled"       // too many requests
	CodeTooLarge       = "erp_answer_too_large"
)

// SameGoods reports whether two sets of lines say the same items and quantities.
// Places are left out: the same goods receipt may go through another bin.
func SameGoods(a, b []Line) bool {
	return slices.EqualFunc(a, b, func(x, y Line) bool {
		return x.Item == y.Item && x.Quantity == y.Quantity
	})
}
