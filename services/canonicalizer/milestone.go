package canonicalizer

import (
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// noItemTypes are types of identifier that number no item: a parcel (tracking), a
// shipment, a logistic unit (GS1 SSCC), a bill of lading, an order, an interchange
// or set.
var noItemTypes = []string{"tracking", "shipment", "sscc", "bol", "order", "control"}

// itemNumbers are the identifiers that may name an item. What a source's id_types
// says of a type goes first.
func itemNumbers(src *policy.Source, ids []event.Identifier) []event.Identifier {
	var out []event.Identifier
	for _, id := range ids {
		if _, said := src.IDTypes[id.Type]; said || !slices.Contains(noItemTypes, strings.ToLower(id.Type)) {
			out = append(out, id)
		}
	}
	return out
}

// milestone resolves a mapped line that says what a document has come to. A line
// with an item number is resolved as an event's is; any other never waits for
// master data, and keeps its quantity, its unit and a location nobody knows as
// stated. Exactly one of the three is set.
func (r *run) milestone(l *line, id string) (*event.Milestone, *missing, *lineError) {
	r.frames = inventory.Event{}
	frame := &r.frames
	if fault := r.frame(l, id, frame); fault != nil {
		return nil, nil, fault
	}
	m := &event.Milestone{
		About: l.milestone.about, ID: id, Source: frame.Source, Document: frame.Document, Entity: r.p.src.Entity,
		Identifiers: append([]event.Identifier(nil), l.ids...), Status: l.status, OccurredAt: frame.OccurredAt, OccurredBasis: frame.OccurredBasis, ReceivedAt: frame.ReceivedAt,
		Refs: frame.Refs, Attributes: frame.Attributes, Trace: frame.Trace,
	}
	var err error
	if m.Due, err = parseDay(l.milestone.due); err != nil {
		return nil, nil, reject("bad_time", "due %.64q: %v", l.milestone.due, err)
	}
	if fault := r.readable(l); fault != nil {
		return nil, nil, fault
	}
	if fault := short(l.ids, append([]string{l.status, l.unit}, l.locations...)...); fault != nil {
		return nil, nil, fault
	}
	// The limits of what it shares with events are theirs; a tick has nothing else.
	frame.Kind, frame.Key = inventory.KindTick, inventory.Key{Entity: m.Entity, Item: "-"}
	if fault := valid(frame); fault != nil {
		return nil, nil, fault
	}
	var gone *missing
	var fault *lineError
	if numbers := itemNumbers(r.p.src, l.ids); len(numbers) > 0 {
		gone, fault = r.ofItem(l, m, numbers)
	} else {
		fault = r.ofNoItem(l, m)
	}
	if gone != nil || fault != nil {
		return nil, gone, fault
	}
	return m, nil, nil
}

func (r *run) ofItem(l *line, m *event.Milestone, numbers []event.Identifier) (*missing, *lineError) {
	item, gone, fault := r.findItem(numbers)
	if gone != nil || fault != nil {
		return gone, fault
	}
	m.Item, m.Trace.MasterVersion = item.Key.Item, item.Version
	if candidates := r.candidates(l); len(candidates) > 0 {
		at, gone, fault := r.findLocation(candidates)
		if gone != nil || fault != nil {
			return gone, fault
		}
		m.Location = at.Location
	}
	if !l.hasQuantity {
		return nil, nil //nolint:nilnil // nothing is wrong
	}
	m.HasQuantity, m.BaseUnit = true, item.BaseUnit
	if m.Trace.UnitFactor, gone = factorOf(item, l.unit, r.p.src); gone != nil {
		return gone, nil
	}
	m.Quantity, fault = baseOf(l.amount, m.Trace.UnitFactor, item)
	return nil, fault
}

func (r *run) ofNoItem(l *line, m *event.Milestone) *lineError {
	at, fault := r.masters.location(r.p.src.Entity, r.candidates(l))
	switch {
	case fault != nil:
		return fault
	case at != nil:
		m.Location = at.Location
	case len(l.locations) > 0:
		m.Attributes = withAttribute(m.Attributes, "location", l.locations[0])
	}
	if !l.hasQuantity {
		return nil
	}
	m.HasStated, m.StatedUnit, m.StatedQuantity = true, l.unit, l.amount
	return nil
}

// statusEstimated is that of a milestone that says when a carrier thinks to deliver.
const statusEstimated = "delivery_estimated"
