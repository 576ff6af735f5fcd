package canonicalizer

import (
	"context"
	"errors"
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Fact is a mapped line as its document states it, before master data is asked:
// what one reads to see whether a mapping understands a partner's messages.
type Fact struct {
	Kind inventory.Kind
	Type string // movement type, or stage of a demand or supply line
	// Status is what the document says of the quantity: the mapping's word, else that
	// of the kind: ordered, shipped, received, on_hand. Of a carrier it is the
	// carrier's code.
	Status     string
	Document   inventory.Document
	IDs        []event.Identifier
	Locations  []string
	Quantity   string
	Unit       string
	OccurredAt string
	Refs       []inventory.Ref
	Attributes []inventory.Attribute
	Fault      string // code that rejects the line; the fact is what it says all the same
}

// Problem is a part of a message that gave no fact.
type Problem struct{ Code, Reason string }

// Facts reads a message by its source's mapping without resolving anything, also
// what would be rejected.
func Facts(ctx context.Context, src *policy.Source, body []byte) ([]Fact, []Problem, error) {
	if src.File == flatFile {
		flat, fault := flatOf(src, body)
		if fault != nil {
			return nil, []Problem{{fault.Code, fault.Reason}}, nil
		}
		src = flat
	}
	p, err := program(src)
	if err != nil {
		return nil, nil, err
	}
	var facts []Fact
	var problems []Problem
	r := run{p: p, raw: &event.RawMessage{Source: src.Name, Body: body}}
	for u := range p.parse(body, src) {
		code := ""
		if u.Fault != nil {
			code = u.Fault.Code
			problems = append(problems, Problem{u.Fault.Code, u.Fault.Reason})
			if u.Tree == nil {
				continue
			}
		}
		mapped, err := p.mapping.run(ctx, r.input(u.Tree))
		if bad, ok := errors.AsType[*mapError](err); ok {
			problems = append(problems, Problem{bad.code, u.Where + ": " + bad.reason})
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("mapping: %w", err)
		}
		for _, v := range mapped {
			l, reason := readLine(v)
			switch {
			case reason != "":
				problems = append(problems, Problem{"bad_mapping", u.Where + ": " + reason})
			case l.kind == kindError:
				problems = append(problems, Problem{l.code, l.reason})
			case l.kind == kindMilestone && l.status == statusEstimated:
				// What may come is no fact yet.
			default:
				facts = append(facts, l.fact(code))
			}
		}
	}
	return facts, problems, nil
}

// said is the line's status, or what its kind says of itself.
func (l *line) said() string {
	if l.status != "" {
		return l.status
	}
	switch l.kind { //nolint:exhaustive // the others say nothing of a quantity
	case inventory.KindMovement:
		switch inventory.MovementType(l.movement.typ) { //nolint:exhaustive // named as they are
		case inventory.Receipt:
			return "received"
		case inventory.Ship:
			return "shipped"
		}
		return l.movement.typ
	case inventory.KindCount:
		return string(inventory.OnHand)
	case inventory.KindDemand:
		return l.demand.stage
	case inventory.KindSupply:
		return l.supply.stage
	}
	return ""
}

func (l *line) fact(code string) Fact {
	f := Fact{
		Kind: l.kind, Status: l.said(), Document: l.document, IDs: l.ids, Locations: l.locations, Quantity: l.quantity, Unit: l.unit,
		OccurredAt: l.occurred, Refs: l.refs, Attributes: l.attributes, Fault: code,
	}
	if len(l.count.balances) == 1 && !l.hasQuantity {
		f.Quantity = l.count.balances[0].quantity
	}
	switch l.kind { //nolint:exhaustive // the others have no type
	case inventory.KindMovement:
		f.Type = l.movement.typ
	case inventory.KindDemand:
		f.Type = l.demand.stage
	case inventory.KindSupply:
		f.Type = l.supply.stage
	}
	return f
}
