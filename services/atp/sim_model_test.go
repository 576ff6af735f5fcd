//go:build synctests

package atp

import (
	"fmt"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/reserve"
)

// simModel holds the requests of one item against an independent count: the naive
// model, which is told what facts moved and decides every request itself.
type simModel struct {
	*reserve.Model
	verdicts map[string]inventory.Verdict // by event
	tried    map[string]bool
}

func newSimModel() *simModel {
	return &simModel{reserve.New(simPolicy(1)), map[string]inventory.Verdict{}, map[string]bool{}}
}

// step says what is wrong with an outcome; nothing when it is right.
func (m *simModel) step(w *simWorld, ev *inventory.Event, o *inventory.Outcome) string {
	time := &inventory.Event{RecordedAt: ev.RecordedAt}
	if o.Kind == inventory.Rejected {
		return ""
	}
	m.Policy = simPolicy(o.PolicyVersion)
	if o.Kind == inventory.Duplicate || o.Kind == inventory.Conflict {
		m.Step(time)
		if o.Kind == inventory.Duplicate && o.Answer != nil && o.Answer.Verdict != m.verdicts[ev.ID] {
			return fmt.Sprintf("answered again with %v, and first with %v", o.Answer.Verdict, m.verdicts[ev.ID])
		}
		return ""
	}
	m.Step(time) // lapses come first: what is free before a request is without them
	moved := onHand(o)
	var want reserve.Answer
	before := m.free()
	switch {
	case ev.Reservation != nil:
		want = m.Step(ev)
	case ev.Demand != nil:
		m.Step(ev)
	case ev.Movement != nil && ev.Movement.Type == inventory.Ship && len(ev.Refs) > 0:
		m.Step(ev)
		moved[ev.Movement.Location] += ev.Movement.Quantity // that, the model knows
	}
	for at, q := range moved { // sums: their order is nothing
		m.Step(&inventory.Event{
			RecordedAt: ev.RecordedAt, Movement: &inventory.Movement{Type: inventory.Receipt, Location: at, Quantity: q},
		})
	}
	if ev.Reservation == nil {
		return ""
	}
	if o.Answer == nil {
		return "no answer"
	}
	if got := reserve.Of(o.Answer); got != want {
		return fmt.Sprintf("answered %+v, the model says %+v", got, want)
	}
	m.verdicts[ev.ID] = o.Answer.Verdict
	// Invariant 4: nothing is granted that is not there. A claim that was there before may
	// stay, even where facts oversold.
	for at, q := range m.free() {
		if q < 0 && q < before[at] {
			return fmt.Sprintf("oversold: at %s %v is free, and was %v", at, q, before[at])
		}
	}
	m.meet(w, ev.Reservation, o.Answer.Verdict)
	return ""
}

// told notes how a request was answered that the model is not asked about; of a repeat
// it says when that is not the first answer.
func (m *simModel) told(o *inventory.Outcome) string {
	if o.Answer == nil {
		return ""
	}
	first, ok := m.verdicts[o.EventID]
	if !ok {
		m.verdicts[o.EventID] = o.Answer.Verdict
	}
	if ok && o.Kind == inventory.Duplicate && o.Answer.Verdict != first {
		return fmt.Sprintf("answered again with %v, and first with %v", o.Answer.Verdict, first)
	}
	return ""
}

func (m *simModel) meet(w *simWorld, r *inventory.Reservation, v inventory.Verdict) {
	switch {
	case r.Action == inventory.Try:
		m.tried[r.ID] = true
	case !m.tried[r.ID] && r.Action == inventory.Cancel:
		w.meet("cancelled before its try", 1)
	}
	switch v {
	case inventory.Granted:
		w.meet("granted", 1)
	case inventory.VerdictDenied:
		w.meet("denied", 1)
	case inventory.Contended:
		w.meet("contended", 1)
	case inventory.Confirmed:
		w.meet("confirmed", 1)
	case inventory.VerdictCancelled:
		w.meet("cancelled", 1)
	case inventory.Lapsed:
		w.meet("confirmed too late", 1)
	case inventory.Unknown:
		w.meet("confirmed before its try", 1)
	case inventory.NoVerdict:
	}
}

// free is what is on hand and not claimed.
func (m *simModel) free() map[inventory.Location]inventory.Quantity {
	free := map[inventory.Location]inventory.Quantity{}
	for _, at := range m.Locations() {
		free[at] = m.OnHand(at) - m.Reserved(at)
	}
	return free
}

// onHand is what an outcome moved into the sellable stock of each location.
func onHand(o *inventory.Outcome) map[inventory.Location]inventory.Quantity {
	moved := map[inventory.Location]inventory.Quantity{}
	for i := range o.Moves {
		if p := o.Moves[i].From; p.Account == inventory.OnHand {
			moved[p.Location] -= o.Moves[i].Quantity
		}
		if p := o.Moves[i].To; p.Account == inventory.OnHand {
			moved[p.Location] += o.Moves[i].Quantity
		}
	}
	return moved
}
