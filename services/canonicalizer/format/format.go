// Package format turns the bytes of a message into trees that a mapping can walk.
// Each format has a folder of its own; the canonicalizer's table names them.
package format

import (
	"fmt"
	"iter"

	"github.com/stockweave/stockweave/pkg/policy"
)

// Limits of every format. A message is at most policy.MaxMessage bytes.
const (
	MaxDepth    = 64
	MaxSegments = 100_000 // X12, of one message
	MaxElements = 1_000   // X12, of one segment
	MaxRows     = 100_000 // CSV
	MaxColumns  = 256     // CSV
)

// Unit is a part of a message that stands or falls alone: a JSON document, an X12
// transaction set, a row of a table.
type Unit struct {
	// Tree holds nil, bool, string, json.Number, int, []any, map[string]any and *jq.Object
	// only.
	// It may be nil when Fault is set.
	Tree any
	// Where says which part it is, for people: "row 5".
	Where string
	// Fault, when set, rejects every line of the unit under its code; other units go
	// on.
	Fault *Fault
}

// Fault is why a unit cannot be trusted.
type Fault struct {
	Code   string // stable, snake_case
	Reason string // with the position
}

// Faultf makes a fault with a formatted reason.
func Faultf(code, reason string, args ...any) *Fault {
	return &Fault{Code: code, Reason: fmt.Sprintf(reason, args...)}
}

// Parse reads a body as a source writes it. It never fails and never panics: what
// is wrong comes as units with faults. The same body gives the same units.
type Parse func(body []byte, src *policy.Source) iter.Seq[Unit]
