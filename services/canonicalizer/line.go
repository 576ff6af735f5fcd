package canonicalizer

import (
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// Kinds of line that are no events.
const (
	kindItem      inventory.Kind = "item"
	kindLocation  inventory.Kind = "location"
	kindMilestone inventory.Kind = "milestone" // of a document; it moves nothing
	kindError     inventory.Kind = "error"     // made by each: a row its function failed on
)

// line is what a mapping says of one line, before anything is resolved. Its shape
// is documented in policies/README.md.
type line struct {
	kind     inventory.Kind
	at       string // where in the message, as the format counts
	code     string // of an error
	reason   string
	document inventory.Document
	status   string // the sender's word for it, see Fact

	ids         []event.Identifier
	locations   []string // candidates, the first known one holds
	toLocations []string
	quantity    string
	unit        string
	occurred    string
	occurredAs  string
	refs        []inventory.Ref
	attributes  []inventory.Attribute
	movement    movementLine
	count       countLine
	demand      demandLine
	supply      demandLine
	milestone   milestoneLine
	item        itemLine
	location    locationLine
	hasQuantity bool
}

type movementLine struct{ typ, fromState, toState, reason, reverses string }

type countLine struct {
	balances []balanceLine
	sequence int64
	complete bool
	snapshot string
	part     int64 // of a full snapshot in several messages
	parts    int64
	last     bool
}

type balanceLine struct{ state, quantity string }

type demandLine struct {
	stage, channel, due string
	movable             bool
}

// Topics of milestones, by what they are milestones of.
const (
	aboutOrders    = event.AboutOrders
	aboutShipments = event.AboutShipments
	aboutReturns   = event.AboutReturns
)

type milestoneLine struct{ about, due string }

type itemLine struct {
	code, description, baseUnit string
	indivisible, deleted        bool
	units                       []balanceLine // state is the unit, quantity its factor
	identifiers                 []event.Identifier
}

type locationLine struct {
	code, description, class, zone, receiptTo string
	valued, publishable, deleted              bool
	aliases                                   []event.Identifier
}

// readLine decodes a mapped line; the reason names the field that is wrong.
func readLine(v any) (l line, reason string) {
	reason = l.read(v)
	return l, reason
}

// read decodes a mapped line in place of the one before, in whose memory it has its ids
// and locations.
func (l *line) read(v any) (reason string) {
	*l = line{ids: l.ids[:0], locations: l.locations[:0], toLocations: l.toLocations[:0]}
	var fault string
	f, reason := newFields(v, &fault)
	if reason != "" {
		return reason
	}
	l.kind, l.at = inventory.Kind(f.text("kind")), f.text("at")
	switch l.kind {
	case kindError:
		l.code, l.reason = f.text("code"), f.text("reason")
	case kindItem:
		l.readItem(&f)
	case kindLocation:
		l.readLocation(&f)
	case inventory.KindMovement, inventory.KindCount, inventory.KindDemand, inventory.KindSupply, kindMilestone:
		l.readEvent(&f)
	case inventory.KindSetting, inventory.KindControl:
		f.fail("kind", "%s comes from policies, never from a message", l.kind)
	case inventory.KindReservation, inventory.KindApproval, inventory.KindTick:
		f.fail("kind", "%s is the platform's own, never from a message", l.kind)
	default:
		f.fail("kind", "must be movement, count, demand, supply, milestone, item or location")
	}
	f.close()
	return fault
}

func (l *line) readEvent(f *fields) {
	d := f.object("document")
	l.document = inventory.Document{Type: d.text("type"), Number: d.text("number"), Revision: d.text("revision"), Line: d.text("line")}
	d.close()
	if l.document.Type == "" || l.document.Number == "" {
		f.fail("document", "type and number are both needed: they make the event's id")
	}
	l.status = f.text("status")
	l.ids = f.identifiers("ids", l.ids)
	l.locations = f.texts("location", l.locations)
	l.occurred, l.occurredAs = f.text("occurred_at"), f.text("occurred_basis")
	l.hasQuantity = f.has("quantity")
	l.quantity, l.unit = f.text("quantity"), f.text("unit")
	for n, v := range f.list("refs") {
		r := f.element("refs", n, v)
		l.refs = append(l.refs, inventory.Ref{Issuer: r.text("issuer"), Type: r.text("type"), Number: r.text("number"), Line: r.text("line")})
		r.close()
	}
	a := f.object("attributes")
	for _, m := range a.members { // in the order of their names
		value, ok := asText(m.Value)
		if !ok {
			a.fail(m.Key, "must be a text")
		}
		if value == "" {
			continue
		}
		if l.attributes == nil {
			l.attributes = make([]inventory.Attribute, 0, len(a.members)+1) // the status is another
		}
		l.attributes = append(l.attributes, inventory.Attribute{Name: m.Key, Value: value})
	}
	switch l.kind { //nolint:exhaustive // readLine lets only these five come here
	case inventory.KindMovement:
		l.toLocations = f.texts("to_location", l.toLocations)
		m := f.object("movement")
		l.movement = movementLine{m.text("type"), m.text("from_state"), m.text("to_state"), m.text("reason"), m.text("reverses")}
		m.close()
	case inventory.KindCount:
		c := f.object("count")
		l.count.sequence, l.count.complete, l.count.snapshot = c.number("sequence"), c.flag("complete"), c.text("snapshot")
		l.count.part, l.count.parts, l.count.last = c.number("part"), c.number("parts"), c.flag("last")
		for n, v := range c.list("balances") {
			b := c.element("balances", n, v)
			l.count.balances = append(l.count.balances, balanceLine{b.text("state"), b.text("quantity")})
			b.close()
		}
		c.close()
	case inventory.KindDemand:
		l.demand = f.demand("demand")
	case inventory.KindSupply:
		l.supply = f.demand("supply")
	case kindMilestone:
		m := f.object("milestone")
		l.milestone = milestoneLine{about: m.text("about"), due: m.text("due")}
		m.close()
		if l.status == "" {
			f.fail("status", "a milestone needs one")
		}
		if a := l.milestone.about; a != aboutOrders && a != aboutShipments && a != aboutReturns {
			f.fail("milestone.about", "must be orders, shipments or returns")
		}
	}
}

func (f *fields) demand(key string) demandLine {
	d := f.object(key)
	out := demandLine{stage: d.text("stage"), due: d.text("due"), channel: d.text("channel"), movable: d.flag("movable")}
	d.close()
	return out
}

// identifiers are read behind those of a list.
func (f *fields) identifiers(key string, out []event.Identifier) []event.Identifier {
	list := f.list(key)
	for n, v := range list {
		f := f.element(key, n, v)
		id := event.Identifier{Type: f.text("type"), Value: f.text("value"), Owner: f.text("owner")}
		f.close()
		if id.Value == "" {
			continue // a column that is empty
		}
		if id.Type == "" {
			f.fail("type", "required")
		}
		out = append(out, id)
	}
	return out
}

func (l *line) readItem(f *fields) {
	i := &l.item
	i.code, i.description, i.baseUnit = f.text("item"), f.text("description"), f.text("base_unit")
	i.indivisible, i.deleted = f.flag("indivisible"), f.flag("deleted")
	if i.code == "" {
		f.fail("item", "required")
	}
	if i.baseUnit == "" {
		f.fail("base_unit", "required")
	}
	for n, v := range f.list("units") {
		u := f.element("units", n, v)
		i.units = append(i.units, balanceLine{u.text("unit"), u.text("factor")})
		u.close()
	}
	i.identifiers = f.identifiers("identifiers", nil)
}

func (l *line) readLocation(f *fields) {
	o := &l.location
	o.code, o.description, o.class = f.text("location"), f.text("description"), f.text("class")
	o.zone, o.receiptTo = f.text("time_zone"), f.text("receipt_to")
	o.valued, o.publishable, o.deleted = f.flag("valued"), f.flag("publishable"), f.flag("deleted")
	if o.code == "" {
		f.fail("location", "required")
	}
	for n, v := range f.list("aliases") {
		a := f.element("aliases", n, v)
		id := event.Identifier{Type: a.text("type"), Value: a.text("value"), Owner: a.text("owner")}
		a.close()
		if id.Value != "" {
			o.aliases = append(o.aliases, id)
		}
	}
}
