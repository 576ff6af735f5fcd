package canonicalizer

import (
	"strconv"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/slab"
	"github.com/stockweave/stockweave/services/canonicalizer/standard/x12"
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
	stated
	item     itemLine
	location locationLine

	reading *reading

	// Memory of the lists that events keep.
	ofAttributes slab.Of[inventory.Attribute]
	ofRefs       slab.Of[inventory.Ref]
}

// stated is what lines of most kinds say.
type stated struct {
	kind     inventory.Kind
	at       string // where in the message, as the format counts; see where
	pos      int    // the same as a number, where at is empty
	code     string // of an error
	reason   string
	document inventory.Document
	status   string // the sender's word for it, see Fact

	ids         []event.Identifier
	locations   []string // candidates, the first known one holds
	toLocations []string
	quantity    string
	amount      inventory.Quantity // the quantity, once it is read
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

type balanceLine struct {
	state, quantity string
	amount          inventory.Quantity // the quantity, once it is read
}

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

// numberNeeded is why a line without a document is refused.
const numberNeeded = "type and number are both needed: they make the event's id"

// where is where in the message the line is, as the format counts; empty: not stated.
func (l *line) where() string {
	if l.at == "" && l.pos > 0 {
		return strconv.Itoa(l.pos)
	}
	return l.at
}

// readLine decodes a mapped line; the reason names the field that is wrong.
func readLine(v any) (l line, reason string) {
	reason = l.read(v)
	return l, reason
}

// read decodes a mapped line in place of the one before, in whose memory it has its ids,
// locations and balances.
func (l *line) read(v any) (reason string) {
	switch l.kind { //nolint:exhaustive // the others have neither
	case kindItem:
		l.item = itemLine{}
	case kindLocation:
		l.location = locationLine{}
	}
	ids, locations, to, balances := l.ids[:0], l.locations[:0], l.toLocations[:0], l.count.balances[:0]
	l.stated = stated{}
	l.ids, l.locations, l.toLocations, l.count.balances = ids, locations, to, balances
	if x, ok := v.(*x12.Line); ok {
		return l.readX12(x)
	}
	members, ok := jq.Members(v)
	if !ok {
		return "a line must be an object"
	}
	if l.reading == nil {
		l.reading = &reading{}
	}
	f := l.reading.of(members)
	l.kind = inventory.Kind(f.text(wKind))
	if n, ok := f.get(wAt).(int); ok && n > 0 {
		l.pos = n
	} else {
		l.at = f.text(wAt)
	}
	switch l.kind {
	case kindError:
		l.code, l.reason = f.text(wCode), f.text(wReason)
	case kindItem:
		l.readItem(f)
	case kindLocation:
		l.readLocation(f)
	case inventory.KindMovement, inventory.KindCount, inventory.KindDemand, inventory.KindSupply, kindMilestone:
		l.readEvent(f)
	case inventory.KindSetting, inventory.KindControl:
		f.wrong(wKind, "%s comes from policies, never from a message", l.kind)
	case inventory.KindReservation, inventory.KindApproval, inventory.KindTick:
		f.wrong(wKind, "%s is the platform's own, never from a message", l.kind)
	default:
		f.wrong(wKind, "must be movement, count, demand, supply, milestone, item or location")
	}
	f.close()
	return l.reading.fault
}

func (l *line) readEvent(f *fields) {
	d := f.object(wDocument)
	l.document = inventory.Document{Type: d.text(wType), Number: d.text(wNumber), Revision: d.text(wRevision), Line: d.text(wLine)}
	d.close()
	if l.document.Type == "" || l.document.Number == "" {
		f.wrong(wDocument, "%s", numberNeeded)
	}
	l.status = f.text(wStatus)
	l.ids = f.identifiers(wIDs, l.ids)
	l.locations = f.texts(wLocation, l.locations)
	l.occurred, l.occurredAs = f.text(wOccurredAt), f.text(wOccurredBasis)
	l.hasQuantity = f.has(wQuantity)
	l.quantity, l.unit = f.text(wQuantity), f.text(wUnit)
	for n, v := range f.list(wRefs) {
		r := f.element(wRefs, n, v)
		l.refs = append(l.refs, inventory.Ref{Issuer: r.text(wIssuer), Type: r.text(wType), Number: r.text(wNumber), Line: r.text(wLine)})
		r.close()
	}
	attributes := f.membersOf(wAttributes)
	for _, m := range attributes { // in the order of their names
		value, ok := asText(m.Value)
		if !ok {
			f.fail(words[wAttributes]+"."+m.Key, "must be a text")
		}
		if value == "" {
			continue
		}
		if l.attributes == nil {
			l.attributes = l.ofAttributes.Take(len(attributes) + 1)[:0] // the status is another
		}
		l.attributes = append(l.attributes, inventory.Attribute{Name: m.Key, Value: value})
	}
	switch l.kind { //nolint:exhaustive // readLine lets only these five come here
	case inventory.KindMovement:
		l.toLocations = f.texts(wToLocation, l.toLocations)
		m := f.object(wMovement)
		l.movement = movementLine{m.text(wType), m.text(wFromState), m.text(wToState), m.text(wReason), m.text(wReverses)}
		m.close()
	case inventory.KindCount:
		c := f.object(wCount)
		l.count.sequence, l.count.complete, l.count.snapshot = c.number(wSequence), c.flag(wComplete), c.text(wSnapshot)
		l.count.part, l.count.parts, l.count.last = c.number(wPart), c.number(wParts), c.flag(wLast)
		for n, v := range c.list(wBalances) {
			b := c.element(wBalances, n, v)
			l.count.balances = append(l.count.balances, balanceLine{state: b.text(wState), quantity: b.text(wQuantity)})
			b.close()
		}
		c.close()
	case inventory.KindDemand:
		l.demand = f.demand(wDemand)
	case inventory.KindSupply:
		l.supply = f.demand(wSupply)
	case kindMilestone:
		m := f.object(wMilestone)
		l.milestone = milestoneLine{about: m.text(wAbout), due: m.text(wDue)}
		m.close()
		if l.status == "" {
			f.wrong(wStatus, "a milestone needs one")
		}
		if a := l.milestone.about; a != aboutOrders && a != aboutShipments && a != aboutReturns {
			f.fail("milestone.about", "must be orders, shipments or returns")
		}
	}
}

func (f *fields) demand(w word) demandLine {
	d := f.object(w)
	out := demandLine{stage: d.text(wStage), due: d.text(wDue), channel: d.text(wChannel), movable: d.flag(wMovable)}
	d.close()
	return out
}

// identifiers are read behind those of a list.
func (f *fields) identifiers(w word, out []event.Identifier) []event.Identifier {
	list := f.list(w)
	for n, v := range list {
		f := f.element(w, n, v)
		id := event.Identifier{Type: f.text(wType), Value: f.text(wValue), Owner: f.text(wOwner)}
		f.close()
		if id.Value == "" {
			continue // a column that is empty
		}
		if id.Type == "" {
			f.wrong(wType, "required")
		}
		out = append(out, id)
	}
	return out
}

func (l *line) readItem(f *fields) {
	i := &l.item
	i.code, i.description, i.baseUnit = f.text(wItem), f.text(wDescription), f.text(wBaseUnit)
	i.indivisible, i.deleted = f.flag(wIndivisible), f.flag(wDeleted)
	if i.code == "" {
		f.wrong(wItem, "required")
	}
	if i.baseUnit == "" {
		f.wrong(wBaseUnit, "required")
	}
	for n, v := range f.list(wUnits) {
		u := f.element(wUnits, n, v)
		i.units = append(i.units, balanceLine{state: u.text(wUnit), quantity: u.text(wFactor)})
		u.close()
	}
	i.identifiers = f.identifiers(wIdentifiers, nil)
}

func (l *line) readLocation(f *fields) {
	o := &l.location
	o.code, o.description, o.class = f.text(wLocation), f.text(wDescription), f.text(wClass)
	o.zone, o.receiptTo = f.text(wTimeZone), f.text(wReceiptTo)
	o.valued, o.publishable, o.deleted = f.flag(wValued), f.flag(wPublishable), f.flag(wDeleted)
	if o.code == "" {
		f.wrong(wLocation, "required")
	}
	for n, v := range f.list(wAliases) {
		a := f.element(wAliases, n, v)
		id := event.Identifier{Type: a.text(wType), Value: a.text(wValue), Owner: a.text(wOwner)}
		a.close()
		if id.Value != "" {
			o.aliases = append(o.aliases, id)
		}
	}
}
