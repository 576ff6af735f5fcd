package inventory

import (
	"cmp"
	"slices"
)

// explain looks for the moment within the lag at which the ledger fits the view
// best: a system that is behind lacks the last events before the view's time, one
// that is ahead has the next ones already. The events between that moment and the
// view's time are the ones in flight. Of moments that fit equally well the nearest
// counts, and of these the earlier.
func (l *Ledger) explain(n *Variance, st *LocationState, gaps []gap, lag Instant) {
	var about uint8
	for i := range gaps {
		about |= gaps[i].ledger
	}
	steps := l.steps(st, about, n.AsOf-lag, n.AsOf+lag)
	now, _ := slices.BinarySearchFunc(steps, n.AsOf+1, func(s InFlight, t Instant) int { return cmp.Compare(s.At, t) })
	first, last := now, now // steps[first:last] are in flight
	try := func(further *[NumStates]Quantity, from, to int) {
		if net, absolute := gapSums(gaps, further); absolute < n.Unexplained {
			n.UnexplainedNet, n.Unexplained = net, absolute
			first, last = from, to
		}
	}
	var further [NumStates]Quantity
	for i := now - 1; i >= 0 && n.Unexplained != 0; i-- {
		further[steps[i].State] = saturate(further[steps[i].State], -steps[i].Quantity)
		if i == 0 || steps[i-1].At != steps[i].At {
			try(&further, i, now)
		}
	}
	further = [NumStates]Quantity{}
	for i := now; i < len(steps) && n.Unexplained != 0; i++ {
		further[steps[i].State] = saturate(further[steps[i].State], steps[i].Quantity)
		if i+1 == len(steps) || steps[i+1].At != steps[i].At {
			try(&further, now, i+1)
		}
	}
	found := steps[first:last]
	n.InFlightEvents = int32(min(len(found), 1<<30))
	if first < now { // nearest first
		slices.Reverse(found)
	}
	n.InFlight = slices.Clone(found[:min(len(found), MaxInFlight)])
	n.awaited(st)
}

// steps are the changes of some states of a location after from, up to to, one a
// moment and state, by time.
func (l *Ledger) steps(st *LocationState, states uint8, from, to Instant) []InFlight {
	var all []InFlight
	l.history(st, func(e *Entry) {
		if e.At > from && e.At <= to && e.Delta != 0 && states&e.State.bit() != 0 {
			all = append(all, InFlight{Kind: InFlightEvent, At: e.At, State: e.State, Quantity: e.Delta})
		}
	})
	slices.SortFunc(all, func(a, b InFlight) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.State, b.State))
	})
	kept := all[:0]
	for _, s := range all {
		if k := len(kept); k > 0 && kept[k-1].At == s.At && kept[k-1].State == s.State {
			kept[k-1].Quantity = saturate(kept[k-1].Quantity, s.Quantity)
		} else {
			kept = append(kept, s)
		}
	}
	return slices.DeleteFunc(kept, func(s InFlight) bool { return s.Quantity == 0 })
}

// awaited explains a surplus that is exactly the supply due by the day after the
// view's, or by an earlier day: the system has taken in what the location's own
// authority has not reported yet.
func (n *Variance) awaited(st *LocationState) {
	if n.UnexplainedNet <= 0 || n.UnexplainedNet != n.Unexplained {
		return
	}
	var sum Quantity
	var found []InFlight
	for _, b := range st.Supply() {
		if b.Due > Day(n.AsOf/dayLength)+1 {
			return
		}
		sum = saturate(sum, b.Quantity)
		found = append(found, InFlight{Kind: InFlightSupply, At: Instant(b.Due) * dayLength, State: OnHand, Quantity: b.Quantity})
		if sum == n.UnexplainedNet {
			n.UnexplainedNet, n.Unexplained = 0, 0
			n.InFlightEvents += int32(min(len(found), 1<<30))
			n.InFlight = append(n.InFlight, found[:min(len(found), MaxInFlight-len(n.InFlight))]...)
			return
		}
	}
}

// dayLength in UTC, in ms.
const dayLength = Instant(86_400_000)
