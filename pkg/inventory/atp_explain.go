package inventory

// StepName names what a step adds to a number.
type StepName string

// The steps from facts to a promise, in their order. Those of a location come for
// each location, those of a part for each part of a kit.
const (
	StepOnHand      StepName = "on_hand"
	StepSilence     StepName = "silence" // what the silence of a location's owner takes off
	StepSafetyStock StepName = "safety_stock"
	StepParked      StepName = "parked"   // outbound that waits in parked events
	StepSupply      StepName = "supply"   // due on a day
	StepClaims      StepName = "claims"   // due on a day
	StepLeast       StepName = "least"    // the lowest day from the one asked for on
	StepLocation    StepName = "location" // what a location gives to its group
	StepMovable     StepName = "movable"  // what a location's movable claims take from the others
	StepGroup       StepName = "group"    // what the group lacks, where it gives nothing
	StepPart        StepName = "part"     // whole kits a part makes
	StepKit         StepName = "kit"      // the scarcest part
	StepRingFence   StepName = "ring_fence"
	StepShare       StepName = "share"
	StepSafety      StepName = "channel_safety"
	StepBuffer      StepName = "buffer"
	StepCap         StepName = "cap"
	StepOwnOrders   StepName = "own_orders" // a gross channel subtracts them itself
	StepOverride    StepName = "override"   // a person's number in the place of the computed one
	StepShown       StepName = "shown"      // rounded down, never below zero
)

// Step is one contribution to a promise.
type Step struct {
	Name     StepName
	Key      Key      // the part's, of a kit; else the item's
	Location Location // empty: of the group
	Day      Day      // of what is due, and of the least
	Start    bool     // the value begins here
	Amount   Quantity // added to the value before; on a Start to nothing
	Value    Quantity // after it
	Override *Override
	Silent   *Silent // of StepSilence
}

// Explain tells a promise as contributions: their last value is Promise's quantity.
// It is for people who ask about one number; Promise does not pay for it.
func Explain(q *Question) []Step {
	e := explainer{q: q}
	p := Promise(q)
	if len(q.Kit) > 0 {
		for i := range q.Kit {
			part := &q.Kit[i]
			e.key = part.Key
			at, atp := q.group(part.Key, part.Positions, "")
			e.group(part.Positions, at, atp)
			if o := deciding(q.Overrides, scope{key: part.Key}, q.Now); o != nil {
				e.overridden("", o, p.Parts[i].ATP)
			}
			e.to(Step{Name: StepPart}, KitATP(p.Parts[i:i+1]))
		}
		e.key = q.Key
		e.start(Step{Name: StepKit}, p.Group)
	} else {
		e.key = q.Key
		e.group(q.Positions, p.Locations, p.Group)
	}
	switch {
	case p.Override != nil && p.Override.Kind == SetQuantity:
		e.overridden("", p.Override, max(0, p.Override.Quantity))
		e.change(StepOwnOrders, p.Signed)
	case p.Override != nil:
		e.overridden("", p.Override, p.Signed)
	case q.Channel != nil:
		e.channel(&p.Channel)
	}
	e.to(Step{Name: StepShown}, p.Quantity)
	return e.steps
}

// explainer writes steps down.
type explainer struct {
	q     *Question
	key   Key
	value Quantity
	steps []Step
}

func (e *explainer) start(s Step, value Quantity) {
	e.value, s.Start = 0, true
	e.to(s, value)
}

func (e *explainer) add(s Step, amount Quantity) { e.to(s, saturate(e.value, amount)) }

func (e *explainer) to(s Step, value Quantity) {
	s.Key, s.Amount, s.Value = e.key, value-e.value, value
	e.value = value
	e.steps = append(e.steps, s)
}

// change writes a step only where it changes something.
func (e *explainer) change(name StepName, value Quantity) {
	if value != e.value {
		e.to(Step{Name: name}, value)
	}
}

func (e *explainer) overridden(at Location, o *Override, value Quantity) {
	e.to(Step{Name: StepOverride, Location: at, Override: o}, value)
}

// group explains an item's ATP in the group, from the locations' parts in it.
func (e *explainer) group(ps []Position, at []LocationATP, atp Quantity) {
	for i := range at {
		for j := range ps {
			if ps[j].Location == at[i].Location {
				e.location(&ps[j], &at[i])
				break
			}
		}
	}
	if len(at) == 1 {
		e.start(Step{Name: StepLocation, Location: at[0].Location}, atp)
		return
	}
	e.value = 0
	for i := range at {
		s := Step{Name: StepLocation, Location: at[i].Location, Start: i == 0}
		e.add(s, max(0, at[i].ATP))
	}
	for i := range at {
		if at[i].Short > 0 {
			e.add(Step{Name: StepMovable, Location: at[i].Location}, -at[i].Short)
		}
	}
	if len(at) == 0 {
		e.start(Step{Name: StepGroup}, atp)
		return
	}
	e.change(StepGroup, atp)
}

// location walks the days as ATPOn does.
func (e *explainer) location(p *Position, l *LocationATP) {
	v := e.q.view(p)
	at := func(name StepName) Step { return Step{Name: name, Location: p.Location} }
	e.start(at(StepOnHand), p.States[OnHand])
	if hushed, silent := e.q.hush(e.key, p); silent != nil {
		p = hushed
		e.to(Step{Name: StepSilence, Location: p.Location, Silent: silent}, p.States[OnHand])
	}
	if p.SafetyStock != 0 {
		e.add(at(StepSafetyStock), -p.SafetyStock)
	}
	if p.ParkedOut > 0 {
		e.add(at(StepParked), -p.ParkedOut)
	}
	s := v.schedule(p)
	least, on, found := Quantity(0), v.day, false
	for since := v.day; ; {
		day, claims, supply, ok := s.next()
		if (day > v.day || !ok) && (!found || e.value < least) {
			least, on, found = e.value, max(since, v.day), true
		}
		if !ok {
			break
		}
		since = day
		if supply != 0 {
			e.add(Step{Name: StepSupply, Location: p.Location, Day: day}, supply)
		}
		if claims != 0 {
			e.add(Step{Name: StepClaims, Location: p.Location, Day: day}, -claims)
		}
	}
	e.to(Step{Name: StepLeast, Location: p.Location, Day: on}, least)
	if l.Override != nil {
		e.overridden(p.Location, l.Override, l.ATP)
	}
}

func (e *explainer) channel(s *ChannelSteps) {
	name := StepShare
	for i := range e.q.Channel.Fences {
		if e.q.Channel.Fences[i].Channel == e.q.Channel.Name {
			name = StepRingFence
		}
	}
	e.change(name, s.Allotted)
	e.change(StepSafety, s.Safe)
	e.change(StepBuffer, s.Buffered)
	e.change(StepCap, s.Capped)
	e.change(StepOwnOrders, s.Gross)
}
