package canonicalizer

import (
	"context"
	"strconv"
	"sync"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/standard/x12"
)

// mapped are the lines of a unit's tree, as a mapping gives them or, of X12 by the
// standard, each an *x12.Line. They hold until the next unit is read.
func (r *run) mapped(ctx context.Context, tree any) ([]any, error) {
	if !r.p.mapping.x12 {
		return lines(r.runner.One(ctx, mappingTime, r.lend(jq.Value(tree))))
	}
	if err := ctx.Err(); err != nil {
		return nil, err //nolint:wrapcheck // as a program's
	}
	if r.x12 == nil {
		r.x12 = r.p.mapping.memory.get()
	}
	all, err := x12.Lines(&r.x12.of, r.lend(tree))
	if err != nil {
		return nil, mapFault(err)
	}
	out := r.x12.values[:0]
	for i := range all {
		out = append(out, &all[i])
	}
	r.x12.values = out
	return out, nil
}

// forget ends the run's use of memory that others use after it.
func (r *run) forget() {
	if r.runner != nil {
		r.runner.End()
	}
	if r.x12 != nil {
		r.p.mapping.memory.put(r.x12)
		r.x12 = nil
	}
}

// x12Memory is what the lines of X12 are made in.
type x12Memory struct {
	of     x12.Memory
	values []any
}

// x12Memories are for one message after the other. The zero value is ready; it is safe for
// concurrent use.
type x12Memories struct{ pool sync.Pool }

func (p *x12Memories) get() *x12Memory {
	if m, ok := p.pool.Get().(*x12Memory); ok {
		return m
	}
	return &x12Memory{}
}

func (p *x12Memories) put(m *x12Memory) {
	m.of.Forget()
	if clear(m.values[:cap(m.values)]); cap(m.values) > x12.MostKept {
		m.values = nil
	}
	p.pool.Put(m)
}

// readX12 is read of a line of X12 by the standard, behind what is kept of the line before.
func (l *line) readX12(x *x12.Line) (reason string) {
	l.kind, l.pos = inventory.Kind(x.Kind), x.At
	if l.kind == kindError {
		l.code, l.reason = x.Code, x.Reason
		return ""
	}
	if l.document = x.Document; x.Nth > 0 {
		l.document.Line = strconv.Itoa(x.Nth)
	}
	if l.document.Number == "" {
		return "document: " + numberNeeded
	}
	l.status, l.ids = x.Status, append(l.ids, x.IDs...)
	for _, name := range [2]string{x.Location.Code, x.Location.Name} {
		if name != "" {
			l.locations = append(l.locations, name)
		}
	}
	l.quantity, l.unit, l.hasQuantity = x.Quantity, x.Unit, x.Quantity != ""
	l.occurred, l.occurredAs = x.OccurredAt, x.OccurredBasis
	if x.Ref.Number != "" {
		l.refs = append(l.ofRefs.Take(1)[:0], x.Ref)
	}
	if len(x.Attributes) > 0 {
		l.attributes = append(l.ofAttributes.Take(len(x.Attributes) + 1)[:0], x.Attributes...) // the status is another
	}
	switch l.kind { //nolint:exhaustive // there are no others
	case inventory.KindMovement:
		l.movement = movementLine{typ: x.Movement, reason: x.MovementReason}
	case inventory.KindCount:
		if x.State != "" {
			l.count.balances = append(l.count.balances, balanceLine{state: x.State, quantity: x.Quantity})
			l.quantity, l.hasQuantity = "", false
		}
	case inventory.KindDemand:
		l.demand = demandLine{stage: x.Stage, due: x.Due}
	case inventory.KindSupply:
		l.supply = demandLine{stage: x.Stage, due: x.Due}
	case kindMilestone:
		l.milestone = milestoneLine{about: x.About, due: x.Due}
	}
	return ""
}
