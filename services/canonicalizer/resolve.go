package canonicalizer

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// frame is what a line states whatever it is about: its document, its references,
// when. The event is zero before.
func (r *run) frame(l *line, id string, ev *inventory.Event) *lineError {
	src := r.p.src
	ev.ID, ev.Kind, ev.Source, ev.Document, ev.ReceivedAt = id, l.kind, src.Name, l.document, r.raw.ReceivedAt
	ev.Refs, ev.Attributes = l.refs, l.attributes
	ev.Trace.RawID, ev.Trace.RawLine, ev.Trace.MappingVersion = r.raw.ID, int32(r.lines), r.mapping()
	for i := range ev.Refs {
		if ev.Refs[i].Issuer == "" {
			ev.Refs[i].Issuer = string(src.Name)
		}
	}
	return r.when(l, ev)
}

// event resolves a mapped line to an event, which is zero before: who and where it is,
// how much in base units, when. The event is good where nothing is missing or at fault.
func (r *run) event(l *line, id string, ev *inventory.Event) (*missing, *lineError) {
	src := r.p.src
	if fault := r.frame(l, id, ev); fault != nil {
		return nil, fault
	}
	ev.Attributes = withAttribute(ev.Attributes, "status", l.status)
	if l.kind == inventory.KindCount && src.Balance == nil {
		return nil, reject("balance_undeclared", "the source does not declare what its balances count")
	}
	// What is wrong whatever the master data says is refused before anything waits
	// for master data.
	if fault := r.readable(l); fault != nil {
		return nil, fault
	}
	item, gone, fault := r.findItem(l.ids)
	if gone != nil || fault != nil {
		return gone, fault
	}
	location, gone, fault := r.findLocation(r.candidates(l))
	if gone != nil || fault != nil {
		return gone, fault
	}
	ev.Key, ev.Trace.MasterVersion = item.Key, item.Version
	if ev.Trace.UnitFactor, gone = factorOf(item, l.unit, src); gone != nil {
		return gone, nil
	}
	switch l.kind { //nolint:exhaustive // readLine lets only these four come here
	case inventory.KindMovement:
		gone, fault = r.movement(l, ev, item, location)
	case inventory.KindCount:
		fault = r.count(l, ev, item, location)
	case inventory.KindDemand:
		ev.Demand = r.batch().demands.New()
		*ev.Demand = inventory.Demand{
			Stage: inventory.Stage(l.demand.stage), Location: location.Location, Channel: l.demand.channel, Movable: l.demand.movable,
		}
		ev.Demand.Quantity, ev.Demand.Due, fault = r.dated(l, l.demand.due, ev, item)
	case inventory.KindSupply:
		ev.Supply = r.batch().supplies.New()
		ev.Supply.Stage, ev.Supply.Location = inventory.Stage(l.supply.stage), location.Location
		ev.Supply.Quantity, ev.Supply.Due, fault = r.dated(l, l.supply.due, ev, item)
	}
	if gone != nil || fault != nil {
		return gone, fault
	}
	return nil, valid(ev)
}

// valid holds an event against the limits of all events.
func valid(ev *inventory.Event) *lineError {
	err := ev.Validate()
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*inventory.Fault](err); ok {
		return reject(string(f.Code), "%s %s", f.Field, f.Detail)
	}
	return reject("invalid_event", "%v", err)
}

// withAttribute adds an attribute in its place by name, unless there is one of that
// name or its value is empty.
func withAttribute(as []inventory.Attribute, name, value string) []inventory.Attribute {
	at, found := slices.BinarySearchFunc(as, name, func(a inventory.Attribute, name string) int { return cmp.Compare(a.Name, name) })
	if found || value == "" {
		return as
	}
	return slices.Insert(as, at, inventory.Attribute{Name: name, Value: value})
}

// when sets the business time: as stated, else receipt less what the source
// declares as its delay.
func (r *run) when(l *line, ev *inventory.Event) *lineError {
	src := r.p.src
	if l.occurred == "" {
		if l.occurredAs != "" && l.occurredAs != inventory.BasisReceipt {
			return reject("no_time", "occurred_basis is %.32q, but there is no occurred_at", l.occurredAs)
		}
		ev.OccurredAt = r.raw.ReceivedAt - inventory.Instant(src.AsOf.Delay.Milliseconds())
		ev.OccurredBasis = inventory.BasisReceipt
		return nil
	}
	if l.occurred == r.lastTime { // lines of a document state one time, most of them
		ev.OccurredAt, ev.OccurredBasis = r.lastAt, cmp.Or(l.occurredAs, inventory.BasisDocument)
		return nil
	}
	at, err := parseTime(l.occurred, src)
	if err != nil {
		return reject("bad_time", "occurred_at %.64q: %v", l.occurred, err)
	}
	r.lastTime, r.lastAt = l.occurred, at
	ev.OccurredAt, ev.OccurredBasis = at, cmp.Or(l.occurredAs, inventory.BasisDocument)
	return nil
}

// readable reads the numbers of a line as far as they stand for themselves.
func (r *run) readable(l *line) *lineError {
	var fault *lineError
	if l.hasQuantity {
		if l.amount, fault = quantityOf(l.quantity, r.p.src); fault != nil {
			return fault
		}
	} else if l.kind != inventory.KindCount && l.kind != kindMilestone {
		return reject("bad_quantity", "there is none")
	}
	for i := range l.count.balances {
		b := &l.count.balances[i]
		if b.amount, fault = quantityOf(b.quantity, r.p.src); fault != nil {
			return fault
		}
	}
	if len(l.ids) == 0 && l.kind != kindMilestone {
		return reject("no_item", "the line names no item")
	}
	return nil
}

func (r *run) findItem(ids []event.Identifier) (*event.MasterItem, *missing, *lineError) {
	ids = r.p.names.translate(r.p.src, ids)
	item, fault := r.masters.item(r.p.src, ids)
	if fault != nil {
		return nil, nil, fault
	}
	if item == nil {
		id := ids[0]
		return nil, &missing{
			ref: "item:" + id.Type + ":" + shorten(id.Value, 200), code: "unknown_item",
			reason: "no item is known under " + id.Type + " " + shorten(id.Value, 200),
		}, nil
	}
	return item, nil, nil
}

// candidates are the locations a line may mean, by any of their names.
func (r *run) candidates(l *line) []string {
	if src := r.p.src; len(l.locations) == 0 && src.DefaultLocation != "" {
		return []string{string(src.DefaultLocation)}
	}
	return l.locations
}

func (r *run) findLocation(candidates []string) (*event.MasterLocation, *missing, *lineError) {
	if len(candidates) == 0 {
		return nil, nil, reject("no_location", "neither the line nor the source names a location")
	}
	one := len(candidates) == 1
	if one && r.lastPlace != nil && candidates[0] == r.lastName {
		return r.lastPlace, nil, nil
	}
	location, fault := r.masters.location(r.p.src.Entity, candidates)
	if fault != nil {
		return nil, nil, fault
	}
	if one && location != nil {
		r.lastName, r.lastPlace = candidates[0], location
	}
	if location == nil {
		code := shorten(candidates[0], 200)
		return nil, &missing{ref: "location:" + code, code: "unknown_location", reason: "no location is known as " + code}, nil
	}
	return location, nil, nil
}

func (r *run) movement(l *line, ev *inventory.Event, item *event.MasterItem, at *event.MasterLocation) (*missing, *lineError) {
	m := r.batch().movements.New()
	m.Type, m.Location = inventory.MovementType(l.movement.typ), at.Location
	m.Reason, m.Reverses = l.movement.reason, l.movement.reverses
	ev.Movement = m
	var fault *lineError
	if m.Quantity, fault = baseOf(l.amount, ev.Trace.UnitFactor, item); fault != nil {
		return nil, fault
	}
	if len(l.toLocations) > 0 {
		to, gone, fault := r.findLocation(l.toLocations)
		if gone != nil || fault != nil {
			return gone, fault
		}
		m.ToLocation = to.Location
	}
	to := l.movement.toState
	if to == "" && m.Type == inventory.Receipt {
		to = at.ReceiptTo // a receipt goes where the location takes receipts to
	}
	if m.FromState, fault = state(l.movement.fromState); fault != nil {
		return nil, fault
	}
	m.ToState, fault = state(to)
	return nil, fault
}

// state reads an account by name; none is on_hand.
func state(name string) (inventory.Account, *lineError) {
	if name == "" {
		return inventory.OnHand, nil
	}
	a, err := inventory.ParseAccount(name)
	if err != nil {
		return 0, reject("bad_state", "%.64q is no state", name)
	}
	return a, nil
}

func (r *run) count(l *line, ev *inventory.Event, item *event.MasterItem, at *event.MasterLocation) *lineError {
	b := r.p.src.Balance
	c := r.batch().counts.New()
	c.Location, c.Basis, c.Includes, c.Covers = at.Location, b.Basis, b.Includes, b.Covers
	c.AsOf, c.AsOfBasis, c.Sequence, c.Complete = ev.OccurredAt, ev.OccurredBasis, l.count.sequence, l.count.complete || b.Complete
	c.Snapshot = l.count.snapshot
	if c.Complete && c.Snapshot == "" {
		c.Snapshot = snapshotOf(&l.document)
	}
	if len(c.Snapshot) > maxCode {
		return reject("too_long", "snapshot %.64q… has more than %d bytes", c.Snapshot, maxCode)
	}
	if fault := l.count.partOf(c); fault != nil {
		return fault
	}
	ev.Count = c
	balances := l.count.balances
	if l.hasQuantity {
		if len(balances) > 0 {
			return reject("bad_balances", "either a quantity or balances")
		}
		whole := [1]balanceLine{{state: "on_hand", amount: l.amount}}
		balances = whole[:]
	}
	if len(balances) > 0 {
		c.Balances = r.batch().balances.Take(len(balances))[:0]
	}
	for _, x := range balances {
		s, fault := state(x.state)
		if fault != nil {
			return fault
		}
		q, fault := baseOf(x.amount, ev.Trace.UnitFactor, item)
		if fault != nil {
			return fault
		}
		c.Balances = append(c.Balances, inventory.StateBalance{State: s, Quantity: q})
	}
	return nil
}

func (r *run) dated(l *line, due string, ev *inventory.Event, item *event.MasterItem) (inventory.Quantity, inventory.Day, *lineError) {
	q, fault := baseOf(l.amount, ev.Trace.UnitFactor, item)
	if fault != nil {
		return 0, 0, fault
	}
	day, err := parseDay(due)
	if err != nil {
		return 0, 0, reject("bad_time", "due %.64q: %v", due, err)
	}
	return q, day, nil
}

// Limits of master data, bytes: a record must fit its topic whatever a source
// sends.
const (
	maxCode        = 255
	maxDescription = 1024
)

func short(ids []event.Identifier, codes ...string) *lineError {
	for _, id := range ids {
		codes = append(codes, id.Type, id.Value, id.Owner)
	}
	for _, c := range codes {
		if len(c) > maxCode {
			return reject("too_long", "%.64q… has more than %d bytes", c, maxCode)
		}
	}
	return nil
}

// item makes a master record. Invariant 5: its version only grows.
func (r *run) item(i *itemLine) *lineError {
	m := event.MasterItem{
		Key:         inventory.Key{Entity: r.p.src.Entity, Item: inventory.Item(i.code)},
		Description: i.description, BaseUnit: i.baseUnit, Indivisible: i.indivisible, Deleted: i.deleted,
		Source: r.p.src.Name, RawID: r.raw.ID, At: r.raw.ReceivedAt,
	}
	if fault := short(i.identifiers, i.code, i.baseUnit); fault != nil {
		return fault
	}
	m.Description = shorten(m.Description, maxDescription)
	for _, u := range i.units {
		factor, fault := inBase(u.quantity, inventory.One, &m, r.p.src)
		switch {
		case fault != nil:
			return reject("bad_unit", "unit %.64q: %s", u.state, fault.reason)
		case u.state == "" || len(u.state) > maxCode || factor <= 0:
			return reject("bad_unit", "unit %.64q: a name and a factor above zero are needed", u.state)
		case u.state == m.BaseUnit || slices.ContainsFunc(m.Units, func(o event.UnitOf) bool { return o.Unit == u.state }):
			return reject("bad_unit", "unit %.64q stands there twice", u.state)
		}
		m.Units = append(m.Units, event.UnitOf{Unit: u.state, Factor: factor})
	}
	for _, id := range i.identifiers {
		id.Type = identifierType(id.Type)
		if !slices.Contains(m.Identifiers, id) {
			m.Identifiers = append(m.Identifiers, id)
		}
	}
	m.Version = r.masters.versionOfItem(&m)
	if given, twice := r.newItems[m.Key]; twice {
		m.Version = given + 1
	}
	r.newItems[m.Key] = m.Version
	r.out.Items = append(r.out.Items, m)
	return nil
}

// locationClasses of DOMAIN §1; those reserved for later are not accepted yet.
var locationClasses = []string{"dc", "store", "3pl", "returns"}

func (r *run) location(l *locationLine) *lineError {
	m := event.MasterLocation{
		Entity: r.p.src.Entity, Location: inventory.Location(l.code), Description: l.description,
		Class: cmp.Or(l.class, "dc"), Zone: cmp.Or(l.zone, "UTC"), Valued: l.valued, Publishable: l.publishable,
		ReceiptTo: cmp.Or(l.receiptTo, "on_hand"), Aliases: l.aliases, Deleted: l.deleted,
		Source: r.p.src.Name, RawID: r.raw.ID, At: r.raw.ReceivedAt,
	}
	if fault := short(l.aliases, l.code); fault != nil {
		return fault
	}
	m.Description = shorten(m.Description, maxDescription)
	if !slices.Contains(locationClasses, m.Class) {
		return reject("bad_location_class", "%.64q is not one of dc, store, 3pl, returns", m.Class)
	}
	if _, err := time.LoadLocation(m.Zone); err != nil || m.Zone == "Local" {
		return reject("bad_time_zone", "%.64q is no IANA time zone", m.Zone)
	}
	if !slices.Contains([]string{"on_hand", "quarantine", "picked"}, m.ReceiptTo) {
		return reject("bad_state", "receipt_to %.64q is not one of on_hand, quarantine, picked", m.ReceiptTo)
	}
	m.Version = r.masters.versionOfLocation(&m)
	if given, twice := r.newLocations[m.Location]; twice {
		m.Version = given + 1
	}
	r.newLocations[m.Location] = m.Version
	r.out.Locations = append(r.out.Locations, m)
	return nil
}
