// Package fold is the expected answer: a small model of stock, written apart from
// the product and importing none of it, that turns a scenario's facts into final
// figures. It looks at all facts at once, sorted by their own time, so nothing in
// it can depend on the order in which they arrived.
package fold

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The kinds of fact. Quantities are not negative, but for Adjust.
const (
	Opening = "opening" // the initial balance of a place
	Receipt = "receipt" // goods received from a supplier, into Into
	Order   = "order"   // a customer's order line, as its origin states it
	Cancel  = "cancel"  // part of an order line taken back
	Pick    = "pick"    // off the shelf for an order
	Ship    = "ship"    // gone to the customer
	Count   = "count"   // what lay on the shelf at a time: absolute
	Return  = "return"  // received back from a customer, not decided upon
	Dispose = "dispose" // what was returned goes into Into
	Adjust  = "adjust"  // a movement by hand, signed
)

// The states into which goods can be put.
const (
	OnHand     = "on_hand"
	Damaged    = "damaged"
	Quarantine = "quarantine"
)

// A Fact is one thing that happened, told once or many times.
type Fact struct {
	// ID names the fact: facts of one ID are one fact, as its highest Revision
	// tells it. An empty ID is a fact of its own.
	ID       string
	Revision int

	Kind     string
	Item     string
	Location string
	Qty      int64  // in ten-thousandths of the base unit
	Order    string // the business reference of Order, Cancel, Pick and Ship
	Into     string // the state of Receipt and Dispose; on_hand when empty
	At       time.Time
}

// A Place is an item at a location.
type Place struct{ Item, Location string }

// Figures are what a place ends with, in ten-thousandths of the base unit.
type Figures struct {
	OnHand, Picked, Damaged, Quarantine, Returned int64
	Reserved                                      int64 // open claims on on_hand
}

// ATP is what may be promised today when nothing is due to arrive.
func (f Figures) ATP(safety int64) int64 { return max(0, f.OnHand-f.Reserved-safety) }

// Whole is n base units as a quantity.
func Whole(n int64) int64 { return n * scale }

const scale = 10_000

// Text writes a quantity as the shortest decimal: 12, -0.5.
func Text(q int64) string {
	sign := ""
	if q < 0 {
		sign, q = "-", -q
	}
	s := fmt.Sprintf("%s%d.%04d", sign, q/scale, q%scale)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// line is an order line: one order, one item, whatever the location.
type line struct{ order, item string }

// stage is how far a line has come at one location, in cumulatives.
type stage struct{ ordered, cancelled, picked, shipped int64 }

func (s stage) out() int64 { return max(s.picked, s.shipped) }

// Fold returns the figures of every place that a fact names. A fact that makes no
// sense is an error.
func Fold(facts []Fact) (map[Place]Figures, error) {
	facts = once(facts)
	// A count speaks last about its own instant.
	slices.SortStableFunc(facts, func(a, b Fact) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(late(a), late(b)))
	})
	places := map[Place]*Figures{}
	lines := map[line]map[string]*stage{}
	for _, f := range facts {
		at := Place{f.Item, f.Location}
		if places[at] == nil {
			places[at] = &Figures{}
		}
		p := places[at]
		if f.Qty < 0 && f.Kind != Adjust {
			return nil, fmt.Errorf("%s of %v: negative quantity %s", f.Kind, at, Text(f.Qty))
		}
		switch f.Kind {
		case Opening, Adjust:
			p.OnHand += f.Qty
		case Receipt, Dispose:
			if err := p.put(f.Into, f.Qty); err != nil {
				return nil, fmt.Errorf("%s of %v: %w", f.Kind, at, err)
			}
			if f.Kind == Dispose {
				p.Returned -= f.Qty
			}
		case Return:
			p.Returned += f.Qty
		case Count:
			p.OnHand = f.Qty
		case Order, Cancel, Pick, Ship:
			l := line{f.Order, f.Item}
			if lines[l] == nil {
				lines[l] = map[string]*stage{}
			}
			if lines[l][f.Location] == nil {
				lines[l][f.Location] = &stage{}
			}
			s := lines[l][f.Location]
			before := s.out()
			switch f.Kind {
			case Order:
				s.ordered += f.Qty
			case Cancel:
				s.cancelled += f.Qty
			case Pick:
				s.picked += f.Qty
			case Ship:
				s.shipped += f.Qty
			}
			p.OnHand -= s.out() - before // leaves the shelf once, by pick or by shipment
		default:
			return nil, fmt.Errorf("unknown kind of fact %q", f.Kind)
		}
	}
	for l, byLocation := range lines {
		for location, open := range claims(byLocation) {
			p := places[Place{l.item, location}]
			p.Reserved += open
			s := byLocation[location]
			p.Picked += max(0, s.picked-s.shipped)
		}
	}
	result := make(map[Place]Figures, len(places))
	for at, p := range places {
		result[at] = *p
	}
	return result, nil
}

func (f *Figures) put(into string, qty int64) error {
	switch into {
	case "", OnHand:
		f.OnHand += qty
	case Damaged:
		f.Damaged += qty
	case Quarantine:
		f.Quarantine += qty
	default:
		return fmt.Errorf("unknown state %q", into)
	}
	return nil
}

// once keeps one fact an ID.
func once(facts []Fact) []Fact {
	var kept []Fact
	index := map[string]int{}
	for _, f := range facts {
		i, seen := index[f.ID]
		switch {
		case f.ID == "" || !seen:
			index[f.ID] = len(kept)
			kept = append(kept, f)
		case f.Revision > kept[i].Revision:
			kept[i] = f
		}
	}
	return kept
}

func late(f Fact) int {
	if f.Kind == Count {
		return 1
	}
	return 0
}

// claims are a line's open claims by location. What one location sent beyond its own
// claim is taken from the line's claims elsewhere, in the order of their names.
func claims(byLocation map[string]*stage) map[string]int64 {
	open := map[string]int64{}
	var excess int64
	for location, s := range byLocation {
		rest := s.ordered - s.cancelled - s.out()
		open[location] = max(0, rest)
		excess += max(0, -rest)
	}
	var names []string
	for location := range open {
		names = append(names, location)
	}
	slices.Sort(names)
	for _, location := range names {
		taken := min(excess, open[location])
		open[location] -= taken
		excess -= taken
	}
	return open
}
