package policy

import (
	"fmt"
	"time"
)

// AskShipments makes what to ask for of the shipments that Stockweave knows of: the
// tracking numbers in the milestones of shipments.events, from the first one of a number
// until one says that it has come.
type AskShipments struct {
	// Carriers are the names in the attribute carrier of the milestones that are meant,
	// in any case of letters.
	Carriers []string `yaml:"carriers"`
	// Done are the statuses with which a shipment is over, in any case of letters and up
	// to a / in them; DefaultDone when empty.
	Done []string `yaml:"done"`
	// For is how long a number is asked for that is not over; DefaultAskFor when 0.
	For time.Duration `yaml:"for"`
}

// DefaultAskFor is how long a shipment may be under way.
const DefaultAskFor = 45 * 24 * time.Hour

const maxAskFor = 180 * 24 * time.Hour

// DefaultDone are statuses with which a shipment is over. D1 is X12's (214, AT7-01).
func DefaultDone() []string {
	return []string{"delivered", "returned", "return_to_sender", "returned_to_sender", "cancelled", "canceled", "d1"}
}

// Defaults is a with what it leaves open.
func (a AskShipments) Defaults() AskShipments {
	if len(a.Done) == 0 {
		a.Done = DefaultDone()
	}
	if a.For == 0 {
		a.For = DefaultAskFor
	}
	return a
}

func (a *PullAsk) validate(at string, fs *faults) {
	n := 0
	for _, is := range []bool{len(a.List) > 0, a.File != "", a.Shipments != nil} {
		if is {
			n++
		}
	}
	if n != 1 {
		fs.add(CodeConflicting, at, "one of list, file and shipments is required")
	}
	s := a.Shipments
	if s == nil {
		return
	}
	if len(s.Carriers) == 0 {
		fs.add(CodeRequired, at+".shipments.carriers", "required: others' numbers are not asked for")
	}
	for field, all := range map[string][]string{"carriers": s.Carriers, "done": s.Done} {
		for i, text := range all {
			if text == "" {
				fs.add(CodeRequired, fmt.Sprintf("%s.shipments.%s[%d]", at, field, i), "required")
			}
		}
	}
	if s.For < 0 || s.For > maxAskFor {
		fs.add(CodeOutOfRange, at+".shipments.for", "must be between 0 and %s", maxAskFor)
	}
}
