package inventory

import "slices"

// PromiseFormula names the function that Promise is. It changes when the same facts
// and policies give another number (Invariant 9).
const PromiseFormula = "atp/3"

// Terms are the policy of dates and supply.
type Terms struct {
	Horizon  int // days ahead within which a shortfall lowers what is promised; at least to the day asked for
	KeepDays int // days for which supply that is overdue still counts, as of today
	// At holds the locations whose supply has terms of its own. It is only looked up.
	At map[Location]SupplyTerms
}

// SupplyTerms say which supply counts at a location.
type SupplyTerms struct {
	None     bool // none, whenever it is due
	KeepDays int  // in the place of the common ones
}

// at are the terms of a location.
func (t *Terms) at(l Location) SupplyTerms {
	if s, ok := t.At[l]; ok {
		return s
	}
	return SupplyTerms{KeepDays: t.KeepDays}
}

// Question asks what may be promised: of an item or a kit, from a group of
// locations, on a day, to a channel. It holds facts and policies only, and is read,
// never changed.
type Question struct {
	Key Key // of the item or kit
	// Positions are the item's, each location once, at least those of the group. Of a
	// kit they tell only what the channel has on order.
	Positions []Position
	Kit       []Part     // components; none: not a kit
	Group     []Location // none: every location
	Day       Day        // of delivery; zero or past is today

	// Today is the day at a location, in its zone. Where it gives zero or less, every
	// claim counts as due and no supply as coming.
	Today func(Location) Day
	Now   Instant // for overrides and silence
	Terms Terms

	// Silence are the rules of silent owners, and Heard tells when an owner was last
	// heard. Without it none is silent.
	Silence []SilenceRule
	Heard   func(Source) Heard
	// Views are claimed views of an item, at any locations. Without it a fallback is
	// unmet.
	Views func(Key) []View

	Channel   *ChannelTerms // nil: no channel in particular
	Class     string        // the item's, for safety stock of the channel
	Velocity  Quantity      // the item's sales a day, for safety stock of the channel
	Overrides []Override    // in any order; those that do not apply are passed over
}

// Part is a component of a kit.
type Part struct {
	Key       Key
	Positions []Position
	PerKit    Quantity // above zero
}

// Promised answers a Question, with what it came from.
type Promised struct {
	Quantity Quantity // what the outside sees: zero or more
	Signed   Quantity // the same before the outside's floor and rounding
	Group    Quantity // ATP of the group, or whole kits of it, signed, before channel and override

	Locations []LocationATP // of the group, as given; none for a kit
	Parts     []Component   // of a kit, as given
	Channel   ChannelSteps  // zero without a channel, or when an override decided
	Override  *Override     // the one that decided; nil: none
	Silent    []Silent      // silent owners, of each location once; also where an override decided
}

// LocationATP is a location's part in a group.
type LocationATP struct {
	Location Location
	Today    Day
	ATP      Quantity  // signed
	Short    Quantity  // what its movable claims will take from the others
	Override *Override // the one that decided ATP; nil: none
	Silent   *Silent   // the owner whose silence decided with; nil: none
}

// Promise is available-to-promise for every reader: by date, group, channel and
// kit. An override of the whole comes before everything; else the ATP of the group,
// or of the scarcest component of a kit, goes through the channel's terms.
func Promise(q *Question) Promised {
	var p Promised
	if len(q.Kit) > 0 {
		p.Parts = make([]Component, 0, len(q.Kit))
		for i := range q.Kit {
			part := &q.Kit[i]
			at, atp := q.component(part)
			p.Parts = append(p.Parts, Component{ATP: atp, PerKit: part.PerKit})
			p.flag(at)
		}
		p.Group = KitATP(p.Parts)
	} else {
		p.Locations, p.Group = q.group(q.Key, q.Positions, q.channel())
		p.flag(p.Locations)
	}
	p.Signed = p.Group
	p.Override = deciding(q.Overrides, scope{key: q.Key, channel: q.channel()}, q.Now)
	switch o := p.Override; {
	case o != nil && o.Kind == StopSell:
		// Not even what the channel has on order is added back: it is to show nothing.
		p.Signed = min(0, p.Group)
	case o != nil && q.Channel != nil:
		p.Signed = saturate(max(0, o.Quantity), q.own())
		p.Quantity = q.Channel.Rule.rounded(p.Signed)
	case o != nil:
		p.Signed = max(0, o.Quantity)
		p.Quantity = p.Signed
	case q.Channel != nil:
		p.Channel = q.Channel.steps(p.Group, q.Class, q.Velocity, q.own())
		p.Signed, p.Quantity = p.Channel.Gross, p.Channel.Shown
	default:
		p.Quantity = max(0, p.Group)
	}
	return p
}

// flag adds the silent owners of locations. The parts of a kit may share locations.
func (p *Promised) flag(at []LocationATP) {
	for i := range at {
		s := at[i].Silent
		if s != nil && !slices.ContainsFunc(p.Silent, func(o Silent) bool { return o.Location == s.Location }) {
			p.Silent = append(p.Silent, *s)
		}
	}
}

func (q *Question) channel() string {
	if q.Channel == nil {
		return ""
	}
	return q.Channel.Name
}

// own is what the channel itself has on order and will subtract, if it does.
func (q *Question) own() Quantity {
	if q.Channel == nil || !q.Channel.Gross {
		return 0
	}
	return OpenOrders(q.Positions, q.Channel.Name)
}

// component is the group's ATP of a part, signed, and its locations. What somebody set for one channel
// to show of the part alone says nothing of kits.
func (q *Question) component(part *Part) ([]LocationATP, Quantity) {
	at, atp := q.group(part.Key, part.Positions, "")
	o := deciding(q.Overrides, scope{key: part.Key}, q.Now)
	return at, o.over(atp)
}

// group is the ATP of the group's locations together, signed. Above zero it is the
// network's: what each location has to give, less what movable claims will take
// from the others. One location alone has nobody to take from and nobody who takes.
// Where nothing can be promised it is what all of them lack together.
func (q *Question) group(k Key, ps []Position, channel string) ([]LocationATP, Quantity) {
	at := make([]LocationATP, 0, len(ps))
	var give, short, sum Quantity
	for i := range ps {
		p := &ps[i]
		if len(q.Group) > 0 && !slices.Contains(q.Group, p.Location) {
			continue
		}
		l := q.location(k, p)
		l.Override = deciding(q.Overrides, scope{key: k, channel: channel, location: p.Location}, q.Now)
		l.ATP = l.Override.over(l.ATP)
		give = saturate(give, max(0, l.ATP))
		short = saturate(short, l.Short)
		sum = saturate(sum, l.ATP)
		at = append(at, l)
	}
	if len(at) == 1 {
		return at, at[0].ATP
	}
	if net := saturate(give, -short); net > 0 {
		return at, net
	}
	return at, min(0, sum)
}

func (q *Question) location(k Key, p *Position) LocationATP {
	v := q.view(p)
	p, silent := q.hush(k, p)
	l := LocationATP{Location: p.Location, Today: v.stated, Silent: silent}
	s := v.schedule(p)
	l.ATP = s.least(free(p), v.day)
	s = v.schedule(p)
	s.movable = true
	l.Short = max(0, -s.least(max(0, saturate(p.States[OnHand], -max(0, p.ParkedOut))), v.day))
	return l
}

// hush is a position of an item as it is promised from: another one where the
// location's owner is silent.
func (q *Question) hush(k Key, p *Position) (*Position, *Silent) {
	if q.Heard == nil {
		return p, nil
	}
	r, heard := silence(q.Silence, k.Entity, p.Location, q.Heard, q.Now)
	if r == nil {
		return p, nil
	}
	var views []View
	if r.Then == SilenceFallback && q.Views != nil {
		views = q.Views(k)
	}
	hushed, s := Hush(*p, r, heard, q.Now, views)
	return &hushed, &s
}

// view is how far a question looks at a location.
type view struct {
	stated  Day // today, as it was told; zero: it was not
	today   Day
	day     Day // asked for; today or later
	horizon int
	supply  SupplyTerms
}

func (q *Question) view(p *Position) view {
	v := view{supply: q.Terms.at(p.Location)}
	if q.Today != nil {
		v.stated = max(0, q.Today(p.Location))
	}
	v.today = v.stated
	if v.stated == 0 {
		v.today, v.supply.KeepDays = maxDay, 0 // everything is overdue, and no supply is kept
	}
	v.day = max(v.today, q.Day)
	// What falls due between the horizon and a later day would be taken from it.
	v.horizon = max(q.Terms.Horizon, int(v.day)-int(v.today))
	return v
}

func (v *view) schedule(p *Position) schedule {
	s := newSchedule(p, v.today, v.horizon, v.supply.KeepDays)
	if v.supply.None {
		s.supply = nil
	}
	return s
}

// OpenOrders is what a channel has on order of an item, whenever it is due.
func OpenOrders(ps []Position, channel string) Quantity {
	var sum Quantity
	for i := range ps {
		for _, b := range ps[i].Reserved {
			if b.Channel == channel {
				sum = saturate(sum, b.Quantity)
			}
		}
	}
	return max(0, sum)
}
