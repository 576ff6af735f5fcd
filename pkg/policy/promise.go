package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Promises is what policies say of promises, made ready for inventory.Promise. The
// reader and the publisher ask through it, so that both ask the same question. It
// is read-only and safe for concurrent use.
type Promises struct {
	version  int64
	terms    inventory.Terms
	groups   map[string][]inventory.Location
	zones    map[zoneKey]*time.Location
	items    map[inventory.Key]ItemTraits
	kits     map[inventory.Key][]inventory.Part // without positions
	kitKeys  []inventory.Key                    // sorted
	partOf   map[inventory.Key][]inventory.Key  // kits by part, sorted
	channels []Channel                          // sorted by name
	byName   map[string]int
	fenced   map[string][]*Channel // by channel: all with ring-fences over its locations, by rank

	overrides map[inventory.Item][]inventory.Override // by item; "" those of any
	bounds    []inventory.Instant                     // when an override begins or ends, sorted
	silence   []inventory.SilenceRule
}

type zoneKey struct {
	entity   inventory.Entity // empty: any
	location inventory.Location
}

// NewPromises makes a valid policy ready. An error names what it cannot be read
// from: a time or a zone.
func NewPromises(a *ATPPolicy, channels []Channel) (*Promises, error) {
	p := &Promises{
		version: a.Version, terms: a.terms(),
		groups: a.Groups, zones: map[zoneKey]*time.Location{}, items: map[inventory.Key]ItemTraits{},
		kits: map[inventory.Key][]inventory.Part{}, partOf: map[inventory.Key][]inventory.Key{},
		channels: slices.Clone(channels), byName: map[string]int{}, fenced: map[string][]*Channel{},
		overrides: map[inventory.Item][]inventory.Override{},
	}
	var errs []error
	for _, z := range a.TimeZones {
		zone, err := zoneOf(z.Zone)
		if err != nil {
			errs = append(errs, fmt.Errorf("time zone of %q: %w", z.Location, err))
		}
		p.zones[zoneKey{z.Entity, z.Location}] = zone
	}
	for _, t := range a.Items {
		p.items[inventory.Key{Entity: t.Entity, Item: t.Item}] = t
	}
	for _, k := range a.Kits {
		p.addKit(k)
	}
	slices.SortFunc(p.kitKeys, compareKeys)
	for i := range a.Overrides {
		o, err := a.Overrides[i].inventory()
		if err != nil {
			errs = append(errs, fmt.Errorf("override %d: %w", i, err))
		}
		p.overrides[o.Item] = append(p.overrides[o.Item], o)
		for _, t := range []inventory.Instant{o.From, o.Until} {
			if t != 0 {
				p.bounds = append(p.bounds, t)
			}
		}
	}
	slices.Sort(p.bounds)
	for i := range a.Silence {
		p.silence = append(p.silence, a.Silence[i].rule())
	}
	p.rankChannels()
	return p, errors.Join(errs...)
}

func (p *Promises) addKit(k Kit) {
	key := inventory.Key{Entity: k.Entity, Item: k.Item}
	parts := make([]inventory.Part, 0, len(k.Parts))
	for _, part := range k.Parts {
		pk := inventory.Key{Entity: k.Entity, Item: part.Item}
		parts = append(parts, inventory.Part{Key: pk, PerKit: part.Quantity})
		p.partOf[pk] = append(p.partOf[pk], key)
		slices.SortFunc(p.partOf[pk], compareKeys)
	}
	p.kits[key] = parts
	p.kitKeys = append(p.kitKeys, key)
}

func (p *Promises) rankChannels() {
	slices.SortFunc(p.channels, func(a, b Channel) int { return strings.Compare(a.Name, b.Name) })
	var ranked []*Channel
	for i := range p.channels {
		p.byName[p.channels[i].Name] = i
		if len(p.channels[i].RingFences) > 0 {
			ranked = append(ranked, &p.channels[i])
		}
	}
	slices.SortStableFunc(ranked, func(a, b *Channel) int { return cmp.Compare(a.Rank, b.Rank) })
	for i := range p.channels {
		c := &p.channels[i]
		for _, r := range ranked {
			if r.Entity == c.Entity && sameLocations(r.Locations, c.Locations) {
				p.fenced[c.Name] = append(p.fenced[c.Name], r)
			}
		}
	}
}

// sameLocations compares two lists that name no location twice.
func sameLocations(a, b []inventory.Location) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(l inventory.Location) bool { return !slices.Contains(b, l) })
}

func compareKeys(a, b inventory.Key) int {
	return cmp.Or(strings.Compare(string(a.Entity), string(b.Entity)), strings.Compare(string(a.Item), string(b.Item)))
}

// Version is the policy's.
func (p *Promises) Version() int64 { return p.version }

// Group is a named list of locations.
func (p *Promises) Group(name string) ([]inventory.Location, bool) {
	g, ok := p.groups[name]
	return g, ok
}

// Channel is the channel of a name.
func (p *Promises) Channel(name string) (*Channel, bool) {
	i, ok := p.byName[name]
	if !ok {
		return nil, false
	}
	return &p.channels[i], true
}

// Channels are all of them, by name. They are not to be changed.
func (p *Promises) Channels() []Channel { return p.channels }

// Kit are the parts of a kit, without positions; none: it is not a kit. They are not
// to be changed.
func (p *Promises) Kit(k inventory.Key) []inventory.Part { return p.kits[k] }

// Kits are the keys of all kits, in order.
func (p *Promises) Kits() []inventory.Key { return p.kitKeys }

// Parts are the items that some kit has as a part, in order.
func (p *Promises) Parts() []inventory.Key {
	return slices.SortedFunc(maps.Keys(p.partOf), compareKeys)
}

// KitsWith are the kits an item is a part of, in order.
func (p *Promises) KitsWith(part inventory.Key) []inventory.Key { return p.partOf[part] }

// Zone is the time zone of a location whose master record states none; nil where
// the policy states none either.
func (p *Promises) Zone(e inventory.Entity, l inventory.Location) *time.Location {
	if z := p.zones[zoneKey{e, l}]; z != nil {
		return z
	}
	return p.zones[zoneKey{"", l}]
}

// Epoch counts the beginnings and ends of overrides up to now. While it stays the
// same, so do the overrides that hold.
func (p *Promises) Epoch(now inventory.Instant) int {
	n, _ := slices.BinarySearchFunc(p.bounds, now, func(b, now inventory.Instant) int {
		if b <= now {
			return -1
		}
		return 1
	})
	return n
}

// Ask is what somebody wants to know.
type Ask struct {
	Key inventory.Key
	// Group are the locations asked of; none: every one that has a position. With a
	// channel they are the channel's.
	Group   []inventory.Location
	Channel *Channel // one of Channels; nil: none in particular
	Day     inventory.Day
	Now     inventory.Instant
	Today   func(inventory.Location) inventory.Day
	// Heard tells when a source was last heard. Without it no owner is silent.
	Heard func(inventory.Source) inventory.Heard
	// Views are claimed views of an item. Without it no view takes a silent owner's
	// place, and the numbers are held.
	Views func(inventory.Key) []inventory.View
	// Positions are those of an item, by location: of the one asked for, and of each
	// part of a kit.
	Positions func(inventory.Key) []inventory.Position
}

// Facts say which facts an answer is of.
type Facts struct {
	// Version only grows. It is the item's, whatever part of it was asked for. A kit
	// has no log of its own: its version is the ledger time, ms, of the last change to
	// any part.
	Version       int64
	PolicyVersion int64 // the greatest by which a fact was decided or it is promised
	EventID       string
	RecordedAt    inventory.Instant
}

// Facts are those of an item or kit, from all its positions.
func (p *Promises) Facts(k inventory.Key, positions func(inventory.Key) []inventory.Position) Facts {
	f := Facts{PolicyVersion: p.version}
	keys := []inventory.Key{k}
	for _, part := range p.kits[k] {
		keys = append(keys, part.Key)
	}
	for _, key := range keys {
		ps := positions(key)
		for i := range ps {
			version := ps[i].Version
			if len(keys) > 1 {
				version = int64(ps[i].RecordedAt)
			}
			if version >= f.Version {
				f.Version, f.EventID, f.RecordedAt = version, ps[i].EventID, ps[i].RecordedAt
			}
			f.PolicyVersion = max(f.PolicyVersion, ps[i].PolicyVersion)
		}
	}
	return f
}

// Question is the one that Promise answers. It shares what it can with the policy:
// Promise reads it only.
func (p *Promises) Question(a *Ask) *inventory.Question {
	q := &inventory.Question{
		Key: a.Key, Positions: a.Positions(a.Key), Group: a.Group, Day: a.Day, Today: a.Today, Now: a.Now,
		Terms: p.terms, Overrides: p.overriding(a.Key), Silence: p.silence, Heard: a.Heard, Views: a.Views,
	}
	if kit := p.kits[a.Key]; len(kit) > 0 {
		q.Kit = slices.Clone(kit)
		for i := range q.Kit {
			q.Kit[i].Positions = a.Positions(q.Kit[i].Key)
		}
	}
	if a.Channel != nil {
		q.Group = a.Channel.Locations
		q.Channel = p.channelTerms(a.Channel, a.Key.Item)
		t := p.items[a.Key]
		q.Class, q.Velocity = t.Class, t.Velocity
	}
	return q
}

// overriding are the overrides that may concern an item or, of a kit, its parts.
func (p *Promises) overriding(k inventory.Key) []inventory.Override {
	out := p.overrides[""]
	join := func(i inventory.Item) {
		if os := p.overrides[i]; i != "" && len(os) > 0 {
			out = slices.Concat(out, os)
		}
	}
	join(k.Item)
	for _, part := range p.kits[k] {
		join(part.Key.Item)
	}
	return out
}

func (p *Promises) channelTerms(c *Channel, item inventory.Item) *inventory.ChannelTerms {
	t := &inventory.ChannelTerms{Name: c.Name, Gross: c.Basis == BasisGross, Rule: inventory.ChannelRule{
		Share: inventory.Quantity(c.Share) * inventory.One / 100, Buffer: c.Buffer, Cap: c.Cap, Unit: c.Unit,
	}}
	for _, o := range p.fenced[c.Name] {
		if f := o.fence(item); f != nil {
			t.Fences = append(t.Fences, inventory.RingFence{Channel: o.Name, Quantity: f.Quantity})
		}
	}
	for _, r := range c.Safety {
		t.Safety = append(t.Safety, inventory.SafetyRule(r))
	}
	return t
}

// fence is what is set aside of an item for a channel; nil: nothing.
func (c *Channel) fence(item inventory.Item) *RingFence {
	if !c.lists(item) {
		return nil
	}
	var general *RingFence
	for i := range c.RingFences {
		switch f := &c.RingFences[i]; f.Item {
		case item:
			return f
		case "":
			general = f
		}
	}
	return general
}
