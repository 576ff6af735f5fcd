package inventory

import (
	"cmp"
	"strings"
)

// OverrideKind is what a person decided.
type OverrideKind string

// The kinds of override.
const (
	StopSell    OverrideKind = "stop_sell"    // promise nothing
	SetQuantity OverrideKind = "set_quantity" // promise this much
)

// Override is a number that a person put in the place of the computed one. An empty
// part of its scope means any. One that names a location decides what that location
// gives to a group; any other decides the answer as a whole. One that names no
// channel also holds for kits the item is a component of.
type Override struct {
	Kind     OverrideKind
	Entity   Entity
	Item     Item
	Location Location
	Channel  string
	Quantity Quantity // SetQuantity only: zero or more
	From     Instant  // zero: always
	Until    Instant  // not included; zero: until it is taken back, StopSell only
	Author   string   // who answers for it
	Reason   string
	MadeAt   Instant
}

// Codes of faults of an override.
const (
	FaultOverrideKind Code = "bad_override_kind"
	FaultNoAuthor     Code = "no_author"
	FaultNoEnd        Code = "no_end"
)

// Fault is what is wrong with the override, nil if nothing is. Nobody's override,
// and a set quantity without an end, are refused where policies are loaded; Promise
// takes what it is given.
func (o *Override) Fault() *Fault {
	switch {
	case o.Kind != StopSell && o.Kind != SetQuantity:
		return fault(FaultOverrideKind, "kind", "stop_sell or set_quantity")
	case strings.TrimSpace(o.Author) == "":
		return fault(FaultNoAuthor, "author", "somebody must answer for it")
	case o.Quantity < 0 || o.Quantity > MaxQuantity || o.Kind == StopSell && o.Quantity != 0:
		return fault(FaultQuantity, "quantity", "zero or more, and none for stop_sell")
	case o.From < 0 || o.Until < 0 || o.Until != 0 && o.Until <= o.From:
		return fault(FaultTime, "until", "must be after from")
	case o.Kind == SetQuantity && o.Until == 0:
		return fault(FaultNoEnd, "until", "a set quantity needs an end")
	}
	return nil
}

// scope is what an override is looked for; location empty is the whole.
type scope struct {
	key      Key
	channel  string
	location Location
}

func (o *Override) applies(s scope, now Instant) bool {
	return o.Location == s.location &&
		(o.Entity == "" || o.Entity == s.key.Entity) &&
		(o.Item == "" || o.Item == s.key.Item) &&
		(o.Channel == "" || o.Channel == s.channel) &&
		now >= o.From && (o.Until == 0 || now < o.Until)
}

// deciding is the override that decides: a stop before a set quantity, then the one
// made last, then the lower. Their order in the list decides nothing.
func deciding(os []Override, s scope, now Instant) *Override {
	var best *Override
	for i := range os {
		if o := &os[i]; o.applies(s, now) && (best == nil || o.before(best)) {
			best = o
		}
	}
	return best
}

func (o *Override) before(b *Override) bool {
	return cmp.Or(
		cmp.Compare(flag(o.Kind != StopSell), flag(b.Kind != StopSell)),
		cmp.Compare(b.MadeAt, o.MadeAt),
		cmp.Compare(o.Quantity, b.Quantity),
		strings.Compare(o.Author, b.Author),
		strings.Compare(o.Reason, b.Reason),
	) < 0
}

// over is the number in whose place the override puts its own. What is lacking
// stays lacking when selling stops.
func (o *Override) over(q Quantity) Quantity {
	switch {
	case o == nil:
		return q
	case o.Kind == StopSell:
		return min(0, q)
	}
	return max(0, o.Quantity)
}
