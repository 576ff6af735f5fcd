// Package doors has what the doors to ATP share that speak another system's dialect.
//
// A door is a pure translation: a request of the dialect to questions of the reader or
// to a reservation, and the answers to the dialect's shapes. It reads no store, decides
// nothing and adds nothing up: each quantity it says is one that GET /v1/atp says for
// the same question. Access, rates, versions and idempotency stay where they are.
package doors

import (
	"fmt"
	"net/http"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Ask is one question: what may be promised of an item, at a location or of a group, today
// or on a day. It is what GET /v1/atp/{item} asks with the parameters of these names.
type Ask struct {
	Key      inventory.Key
	Location inventory.Location // empty: none is named
	Group    string             // empty: none is named
	On       inventory.Day      // zero: today
	Quantity inventory.Quantity // from which day on may it be promised? zero: that is not asked
}

// Names of quantities in an answer, beside those of the states.
const (
	ATP         = "atp"
	Reserved    = "reserved"
	Supply      = "supply"
	SafetyStock = "safety_stock"
)

// Known says whether there is a quantity of a name: one of the above or a state's.
func Known(name string) bool {
	switch name {
	case ATP, Reserved, Supply, SafetyStock:
		return true
	}
	a, err := inventory.ParseAccount(name)
	return err == nil && a.IsState()
}

// Told is the answer to an Ask.
type Told struct {
	// Quantities are plain decimals in the base unit, as GET /v1/atp writes them, by
	// name. ATP is always there; the others are of one location, and not there of a kit.
	Quantities map[string]string
	// From is the first day (2006-01-02) from which the quantity asked about may be
	// promised; empty: on no day, or that was not asked.
	From string
	// Fault is why there is no answer.
	Fault *Fault
}

// Codes of what is not there, of which a dialect says nothing at all.
const (
	unknownItem     = "unknown_item"
	unknownLocation = "unknown_location"
)

// Missing says that nothing is recorded of what was asked about, so that a dialect
// whose answers list what there is leaves it out.
func (t *Told) Missing() bool {
	return t.Fault != nil && (t.Fault.Code == unknownItem || t.Fault.Code == unknownLocation)
}

// Hold is a reservation of one item at one location, whole or not at all.
type Hold struct {
	Name     string // by which the caller knows the request: the same name is the same request
	Key      inventory.Key
	Location inventory.Location
	Quantity string // decimal, above 0, in the base unit
	Seconds  *int64 // until it lapses; nil: as configured
}

// Held is what came of a Hold.
type Held struct {
	ID       string // by which it is given back; empty: there is nothing
	Quantity string // decimal: what is held
	Fault    *Fault // why nothing is, or why that is not known yet
}

// Fault is why something is not answered or not done, by a code that is stable.
type Fault struct {
	Status int // of HTTP
	Code   string
	Detail string
}

func (f *Fault) Error() string { return f.Code + ": " + f.Detail }

// Bad is a fault of a request.
func Bad(code, format string, args ...any) *Fault {
	return &Fault{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// MaxName bounds a name in a request, bytes.
const MaxName = 255

// Number is a quantity of a request, as the text of a JSON number, above zero.
func Number(text, what string) (inventory.Quantity, *Fault) {
	q, err := inventory.ParseQuantity(text)
	if err != nil || q <= 0 {
		return 0, Bad("bad_quantity", "%s: a number above 0 such as 12.5, in the item's base unit", what)
	}
	return q, nil
}
