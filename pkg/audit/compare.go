package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// compare holds each item's state against the fold, and its positions against its
// state.
func (p *part) compare() {
	for _, it := range p.items {
		p.report.Positions += len(it.positions)
		p.compareState(it)
	}
}

// checker reports faults of one item's state or positions. Their event is the last
// one that had to do with the place.
type checker struct {
	p    *part
	it   *item
	head inventory.Head
	at   []inventory.LocationState
}

func (c *checker) fault(invariant int, check, location, seen, want, got string) {
	offset := c.it.offset
	if i := slices.IndexFunc(c.it.places, func(p place) bool { return p.location == location }); i >= 0 && c.it.places[i].offset >= 0 {
		offset = c.it.places[i].offset
	}
	if check == FenceDiffers || offset < 0 && c.it.head.value != nil {
		offset = max(offset, c.head.Fence.Offset)
	}
	c.p.find(c.it, Finding{
		Invariant: invariant, Check: check, Offset: offset, Location: location, Seen: seen, Expected: want, Found: got,
	})
}

func (c *checker) seen(kind string, at int64) string {
	return fmt.Sprintf("%s %s|%s partition %d offset %d", event.TopicState, c.it.key, kind, c.p.id, at)
}

func (p *part) compareState(it *item) {
	c := &checker{p: p, it: it}
	if it.head.value == nil {
		if it.offset >= 0 {
			c.fault(3, StateMissing, "", event.TopicState, "a head of the item", "none")
		}
		for i := range it.positions {
			if st := &it.positions[i]; st.value != nil {
				c.fault(3, PositionDiffers, st.location, c.seenPosition(st), "no position of an item without state", "one")
			}
		}
		return
	}
	if !c.decode() {
		return
	}
	seen := c.seen(inventory.PieceHead, it.head.at)
	if p.whole {
		c.fence(seen)
		c.quantities(seen)
	}
	var sum inventory.Quantity
	for i := range c.at {
		for _, q := range c.at[i].States {
			sum += q
		}
	}
	for _, q := range c.head.Outside {
		sum += q
	}
	if sum != 0 { // Invariant 3
		c.fault(3, StateSum, "", seen, "a sum of 0 over all accounts", sum.String())
	}
	c.lines()
	c.positions()
}

// decode reads the pieces into one list of locations.
func (c *checker) decode() bool {
	var x inventory.Piece
	read := func(kind string, p *piece) bool {
		err := c.p.a.cfg.Codecs.DecodeState([]byte(c.it.key+"|"+kind), p.value, &x)
		if err != nil {
			c.fault(3, UnreadableRecord, "", c.seen(kind, p.at), "a piece of the state", err.Error())
		}
		return err == nil
	}
	if !read(inventory.PieceHead, &c.it.head) || x.Head == nil {
		return false
	}
	c.head = *x.Head
	c.at = c.head.Locations
	split := 0
	for kind, p := range c.it.more {
		if !strings.HasPrefix(kind, inventory.PieceLocation+"|") {
			continue
		}
		if !read(kind, p) {
			return false
		}
		if x.Location != nil {
			split++
			c.at = append(c.at, *x.Location)
		}
	}
	if split != len(c.head.Split) {
		c.fault(3, StateMissing, "", c.seen(inventory.PieceHead, c.it.head.at),
			fmt.Sprintf("%d pieces of the locations beyond the head", len(c.head.Split)), fmt.Sprint(split))
		return false
	}
	slices.SortFunc(c.at, func(a, b inventory.LocationState) int { return strings.Compare(string(a.Location), string(b.Location)) })
	return true
}

// fence holds what the head says of the log against the fold of it.
func (c *checker) fence(seen string) {
	it, h := c.it, &c.head
	switch {
	case h.Fence.Offset != it.offset:
		c.fault(8, FenceDiffers, "", seen, fmt.Sprintf("applied through offset %d", it.offset), fmt.Sprintf("offset %d", h.Fence.Offset))
	case it.offset >= 0 && h.Fence.IDHash != it.id:
		c.fault(8, FenceDiffers, "", seen, fmt.Sprintf("the fence of event id hash %016x", it.id), fmt.Sprintf("%016x", h.Fence.IDHash))
	case h.Version != it.version:
		c.fault(5, StateDiffers, "", seen, fmt.Sprintf("version %d", it.version), fmt.Sprintf("version %d", h.Version))
	case h.Clock != it.clock && !it.froze:
		c.fault(8, StateDiffers, "", seen, fmt.Sprintf("key clock %d", it.clock), fmt.Sprintf("%d", h.Clock))
	}
}

// quantities holds states and outside accounts against the fold (Invariant 3).
func (c *checker) quantities(seen string) {
	folded := func(name string) (states, bool) {
		i, ok := slices.BinarySearchFunc(c.it.places, name, func(p place, n string) int { return strings.Compare(p.location, n) })
		if !ok {
			return states{}, false
		}
		return c.it.places[i].states, true
	}
	for i := range c.at {
		st := &c.at[i]
		want, _ := folded(string(st.Location))
		for a := range want {
			if want[a] != st.States[a] {
				c.fault(3, StateDiffers, string(st.Location), seen, say(a, want[a]), say(a, st.States[a]))
				return
			}
		}
		if st.Version > c.head.Version {
			c.fault(5, StateDiffers, string(st.Location), seen, fmt.Sprintf("a version of at most %d, the item's", c.head.Version), fmt.Sprint(st.Version))
		}
	}
	for i := range c.it.places {
		name := c.it.places[i].location
		if !slices.ContainsFunc(c.at, func(s inventory.LocationState) bool { return string(s.Location) == name }) {
			c.fault(3, StateMissing, name, seen, "the location, since the log moved quantity there", "no such location")
			return
		}
	}
	for a, want := range c.it.outside {
		if got := c.head.Outside[a]; got != want {
			c.fault(3, StateDiffers, "", seen, say(a+inventory.NumStates, want), say(a+inventory.NumStates, got))
			return
		}
	}
}

func say(account int, q inventory.Quantity) string {
	return inventory.Account(account).String() + " " + q.String() //nolint:gosec // below NumAccounts
}

// lines holds the claims and the dated supply of all lines against what the
// locations say of them, and looks for shortages that no outcome named
// (Invariant 4).
func (c *checker) lines() {
	claims, supply := map[inventory.Location][]inventory.Bucket{}, map[inventory.Location][]inventory.Bucket{}
	var x inventory.Piece
	for kind, p := range c.it.more {
		if strings.HasPrefix(kind, inventory.PieceLocation+"|") {
			continue
		}
		if err := c.p.a.cfg.Codecs.DecodeState([]byte(c.it.key+"|"+kind), p.value, &x); err != nil {
			c.fault(4, UnreadableRecord, "", c.seen(kind, p.at), "a line", err.Error())
			return
		}
		if ln := x.Line; ln != nil {
			for _, cl := range ln.Claims {
				claims[cl.Location] = append(claims[cl.Location], inventory.Bucket{Due: ln.Due, Channel: ln.Channel, Movable: ln.Movable, Quantity: cl.Quantity})
			}
		}
		if ln := x.Supply; ln != nil {
			for _, o := range ln.Open {
				if o.Due != 0 {
					supply[o.Location] = append(supply[o.Location], inventory.Bucket{Due: o.Due, Quantity: o.Quantity})
				}
			}
		}
	}
	seen := c.seen(inventory.PieceHead, c.it.head.at)
	for i := range c.at {
		st := &c.at[i]
		if want := gather(claims[st.Location]); !slices.Equal(want, gather(st.Reserved())) {
			c.fault(4, Claims, string(st.Location), seen, "reserved as its lines claim: "+fmt.Sprint(want), fmt.Sprint(st.Reserved()))
		}
		if want := gather(supply[st.Location]); !slices.Equal(want, gather(st.Supply())) {
			c.fault(4, Supply, string(st.Location), seen, "supply as its lines expect: "+fmt.Sprint(want), fmt.Sprint(st.Supply()))
		}
		delete(claims, st.Location)
		delete(supply, st.Location)
		cover := st.States[inventory.OnHand]
		for _, b := range st.Supply() {
			cover += b.Quantity
		}
		for _, b := range st.Reserved() {
			cover -= b.Quantity
		}
		if len(st.Reserved()) > 0 && cover < 0 && c.p.whole && !c.it.short {
			c.fault(4, Unnamed, string(st.Location), seen, "an outcome that names the shortage of "+(-cover).String(), "none")
		}
	}
	for name := range claims {
		c.fault(4, Claims, string(name), seen, "the location of a claim", "no such location")
	}
	for name := range supply {
		c.fault(4, Supply, string(name), seen, "the location of a supply", "no such location")
	}
}

// gather adds buckets of one sort up, sorted, without empty ones.
func gather(bs []inventory.Bucket) []inventory.Bucket {
	sorted := slices.Clone(bs)
	slices.SortFunc(sorted, func(a, b inventory.Bucket) int {
		movable := func(b inventory.Bucket) int {
			if b.Movable {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.Due, b.Due), strings.Compare(a.Channel, b.Channel), movable(a)-movable(b))
	})
	kept := sorted[:0]
	for _, b := range sorted {
		if n := len(kept); n > 0 && kept[n-1].Due == b.Due && kept[n-1].Channel == b.Channel && kept[n-1].Movable == b.Movable {
			kept[n-1].Quantity += b.Quantity
		} else {
			kept = append(kept, b)
		}
	}
	return slices.DeleteFunc(kept, func(b inventory.Bucket) bool { return b.Quantity == 0 })
}

func (c *checker) seenPosition(st *stored) string {
	return fmt.Sprintf("%s partition %d offset %d", event.TopicPositions, c.p.id, st.at)
}

// positions holds what the world may know against the state (Invariant 3).
func (c *checker) positions() {
	for i := range c.at {
		s := &c.at[i]
		st := c.it.stored(string(s.Location))
		st.compared = true
		if st.moved {
			continue
		}
		if st.value == nil {
			c.fault(3, PositionMissing, st.location, event.TopicPositions, "a position", "none")
			continue
		}
		var pos inventory.Position
		if c.p.a.cfg.Codecs.DecodePosition(st.value, &pos) != nil {
			continue // said on reading
		}
		if want, got := c.position(s, &pos); want != "" {
			c.fault(3, PositionDiffers, st.location, c.seenPosition(st), want, got)
		}
	}
	for i := range c.it.positions {
		if st := &c.it.positions[i]; !st.compared && st.value != nil {
			c.fault(3, PositionDiffers, st.location, c.seenPosition(st), "no position of a location the state does not know", "one")
		}
	}
}

func (c *checker) position(s *inventory.LocationState, pos *inventory.Position) (want, got string) {
	for a := range s.States {
		if s.States[a] != pos.States[a] {
			return say(a, s.States[a]), say(a, pos.States[a])
		}
	}
	safety := c.head.Safety
	if own, ok := s.Safety(); ok {
		safety = own
	}
	switch {
	case !slices.Equal(s.Reserved(), pos.Reserved):
		return fmt.Sprintf("reserved %v", s.Reserved()), fmt.Sprintf("reserved %v", pos.Reserved)
	case !slices.Equal(s.Supply(), pos.Supply):
		return fmt.Sprintf("supply %v", s.Supply()), fmt.Sprintf("supply %v", pos.Supply)
	case pos.Frozen != (c.head.Frozen.Since != 0):
		return fmt.Sprintf("frozen: %v", c.head.Frozen.Since != 0), fmt.Sprintf("frozen: %v", pos.Frozen)
	case safety != pos.SafetyStock:
		return "safety stock " + safety.String(), "safety stock " + pos.SafetyStock.String()
	case pos.Version < s.Version || pos.Version > c.head.Version:
		return fmt.Sprintf("a version from %d, the location's, to %d, the item's", s.Version, c.head.Version), fmt.Sprintf("version %d", pos.Version)
	}
	i := slices.IndexFunc(c.it.places, func(p place) bool { return p.location == string(s.Location) })
	if i >= 0 && pos.Lineage >= c.p.header.Lineage && pos.Offset < c.it.places[i].offset {
		return fmt.Sprintf("the change of offset %d", c.it.places[i].offset), fmt.Sprintf("that of offset %d", pos.Offset)
	}
	return "", ""
}
