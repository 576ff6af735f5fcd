package inventory

import "slices"

// Codes of variance.
const (
	CodeVariance        Code = "variance"         // a claimed view differs from the ledger, unexplained, by policy's measure
	CodeVarianceCleared Code = "variance_cleared" // it did, and no longer does
)

// Variance is how a claimed view differs from the ledger at the same moment, on the
// system's own comparison map. Quantities are claimed less ledger; those that are
// called absolute add up magnitudes over the states.
type Variance struct {
	AsOf     Instant        // the moment compared: the last the view speaks about
	Ledger   []StateBalance // what the ledger held then, for each state the view claims
	Net      Quantity
	Absolute Quantity

	// What is left when events in flight are taken for seen, or for not yet seen, by
	// the system: only this alerts.
	Unexplained       Quantity // absolute
	UnexplainedNet    Quantity
	InFlight          []InFlight // what explains the rest; at most MaxInFlight, nearest first
	InFlightEvents    int32      // how many do
	Inexact           bool       // from further back than the journal is exact, or with claims as of now
	Streak            Streak     // snapshots that disagreed in a row, up to this one
	Past              Streak     // up to the one before
	Alert             bool
	Diagnosis         Code // what the rest looks like; empty: nothing known
	DiagnosisDetail   string
	DiagnosisEvent    Instant // of diagnosis one_event: when it happened
	DiagnosisLocation Location
}

// Streak is a run of consecutive snapshots with an unexplained difference.
type Streak struct {
	Snapshots int32
	Since     Instant // as-of of the first
	Largest   Quantity
}

// InFlight is a fact of the ledger that explains a part of a difference.
type InFlight struct {
	Kind     string // event or supply
	At       Instant
	State    Account
	Quantity Quantity // as the ledger has it, or awaits it
}

// The kinds of InFlight.
const (
	InFlightEvent  = "event"
	InFlightSupply = "supply"
)

// MaxInFlight is how many events in flight a variance names.
const MaxInFlight = 8

// comparison finds how a system's view of a location is compared, or nil.
func (a *AuthorityPolicy) comparison(s Source, name Location) *Comparison {
	for i := range a.Compare {
		if c := &a.Compare[i]; c.Source == s && (c.Location == "" || c.Location == name) {
			return c
		}
	}
	return nil
}

// review compares claimed views with the ledger as it stands after an event: those
// that the event brought or moved, and those whose moment the event reaches into. A
// late event thus changes a variance as it changes the ledger, and the order of
// arrival leaves no trace but in the streak. It fails on nothing.
func (l *Ledger) review(p *Policy, ev *Event, pl *plan) {
	a := &p.Authority
	for _, v := range pl.views {
		was := v.Variance.alerted()
		l.compare(a, v)
		pl.alerted(was, v.Variance.alerted())
	}
	if len(pl.moves) == 0 && len(pl.entries) == 0 || pl.earliest() > l.head.Viewed {
		return
	}
	for i := range pl.locals() {
		name := pl.localAt(i).location
		if !pl.enters(name) {
			continue
		}
		for j := range a.Compare {
			c := &a.Compare[j]
			if a.comparison(c.Source, name) != c {
				continue // an earlier one decides, and has its turn
			}
			old := l.view(c.Source, name)
			if old == nil {
				continue
			}
			v := *old
			v.Variance = old.Variance.next(true)
			l.compare(a, &v)
			if v.Variance.equal(old.Variance) {
				continue
			}
			pl.alerted(old.Variance.alerted(), v.Variance.alerted())
			v.Version++
			v.RecordedAt, v.EventID = ev.RecordedAt, ev.ID
			l.extra().views.set(viewName(v.Source, v.Location), &v)
		}
	}
}

func (n *Variance) alerted() bool { return n != nil && n.Alert }

// alerted says that a variance alerts, or does so no more.
func (pl *plan) alerted(was, is bool) {
	switch {
	case is:
		pl.code(CodeVariance)
	case was:
		pl.code(CodeVarianceCleared)
	}
}

// next is what a view's variance leaves to the one that takes its place: its streak,
// and whether it was alerted. same: both are of one snapshot.
func (n *Variance) next(same bool) *Variance {
	switch {
	case n == nil:
		return nil
	case same:
		return &Variance{Past: n.Past, Alert: n.Alert}
	}
	return &Variance{Past: n.Streak, Alert: n.Alert}
}

func (n *Variance) equal(m *Variance) bool {
	if n == nil || m == nil {
		return n == m
	}
	return slices.Equal(n.Ledger, m.Ledger) && slices.Equal(n.InFlight, m.InFlight) &&
		n.AsOf == m.AsOf && n.Net == m.Net && n.Absolute == m.Absolute &&
		n.Unexplained == m.Unexplained && n.UnexplainedNet == m.UnexplainedNet &&
		n.InFlightEvents == m.InFlightEvents && n.Inexact == m.Inexact &&
		n.Streak == m.Streak && n.Past == m.Past && n.Alert == m.Alert &&
		n.Diagnosis == m.Diagnosis && n.DiagnosisDetail == m.DiagnosisDetail &&
		n.DiagnosisEvent == m.DiagnosisEvent && n.DiagnosisLocation == m.DiagnosisLocation
}

// gap is the difference of one state that a view claims.
type gap struct {
	state  Account
	ledger uint8 // states that make it up
	diff   Quantity
}

// compare computes a view's variance against the ledger as it stands.
func (l *Ledger) compare(a *AuthorityPolicy, v *View) {
	c := a.comparison(v.Source, v.Location)
	if c == nil {
		v.Variance = nil
		return
	}
	n := &Variance{AsOf: v.through()}
	if v.Variance != nil {
		n.Past = v.Variance.Past
	}
	v.Variance = n
	l.head.Viewed = max(l.head.Viewed, n.AsOf+c.Lag)
	st := l.location(v.Location)
	if st == nil {
		st = &LocationState{Location: v.Location}
	}
	then, f := l.asOf(st, n.AsOf) // as-of: a claim is held against what was there then, not now
	if f != nil {
		then = st.States
	}
	n.Inexact = f != nil || v.Blurred > v.AsOf || n.AsOf-c.Lag < st.trimmed().Blurred
	claims := total(st.Reserved())
	gaps := make([]gap, 0, NumStates)
	var held Quantity
	for _, b := range v.Balances {
		g := gap{state: b.State, ledger: v.counts(b.State)}
		less := v.Basis == Available && b.State == OnHand
		for _, m := range c.States {
			if m.State == b.State {
				g.ledger, less = m.Ledger, m.AfterClaims
			}
		}
		var q Quantity
		for s := range Account(NumStates) {
			if g.ledger&s.bit() != 0 {
				q = saturate(q, then[s])
			}
		}
		if less && claims != 0 {
			q = saturate(q, -claims)
			n.Inexact = true // they are those of now
		}
		g.diff = saturate(b.Quantity, -q)
		n.Ledger = append(n.Ledger, StateBalance{State: b.State, Quantity: q})
		held = saturate(held, max(q, -q))
		gaps = append(gaps, g)
	}
	n.Net, n.Absolute = gapSums(gaps, nil)
	n.UnexplainedNet, n.Unexplained = n.Net, n.Absolute
	if n.Unexplained != 0 && c.Lag > 0 {
		l.explain(n, st, gaps, c.Lag)
	}
	if n.Unexplained == 0 {
		return
	}
	n.Streak = Streak{Snapshots: n.Past.Snapshots + 1, Since: n.Past.Since, Largest: max(n.Past.Largest, n.Unexplained)}
	if n.Past.Snapshots == 0 {
		n.Streak.Since = n.AsOf
	}
	terms := c.terms(v.Key)
	n.Alert = c.Alert.reached(n, held, terms.Value)
	l.diagnose(a, v, st, then, gaps, terms.Packs)
}

// gapSums are the net and the absolute of gaps, when the ledger's states were further
// by the given.
func gapSums(gaps []gap, further *[NumStates]Quantity) (net, absolute Quantity) {
	for i := range gaps {
		g := &gaps[i]
		d := g.diff
		if further != nil {
			for s := range Account(NumStates) {
				if g.ledger&s.bit() != 0 {
					d = saturate(d, -further[s])
				}
			}
		}
		net, absolute = saturate(net, d), saturate(absolute, max(d, -d))
	}
	return net, absolute
}

// terms are what is known of an item.
func (c *Comparison) terms(k Key) ItemTerms {
	t := ItemTerms{Packs: c.Packs}
	for i := range c.Items {
		if c.Items[i].Key == k {
			t.Value = c.Items[i].Value
			if len(c.Items[i].Packs) > 0 {
				t.Packs = c.Items[i].Packs
			}
			break
		}
	}
	if len(t.Packs) == 0 {
		t.Packs = usualPacks
	}
	return t
}

// reached says whether an unexplained difference is to be alerted. held is what the
// ledger has, value that of one unit.
func (a *Alert) reached(n *Variance, held, value Quantity) bool {
	if n.Streak.Snapshots < max(1, a.Snapshots) || n.AsOf-n.Streak.Since < a.Dwell {
		return false
	}
	return a.Quantity > 0 && n.Unexplained >= a.Quantity ||
		a.Percent > 0 && n.Unexplained >= share(held, a.Percent, 100*One) ||
		a.Value > 0 && value > 0 && share(n.Unexplained, value, One) >= a.Value
}

// share is q × part ÷ whole, within MaxQuantity; none is below zero.
func share(q, part, whole Quantity) Quantity {
	a, b := q/whole, q%whole
	if part != 0 && (a > MaxQuantity/part || b > MaxQuantity/part) {
		return MaxQuantity
	}
	return saturate(a*part, b*part/whole)
}

// earliest is the first moment the plan enters something at.
func (pl *plan) earliest() Instant {
	t := forever
	for i := range pl.moves {
		t = min(t, pl.moves[i].At)
	}
	for i := range pl.entries {
		t = min(t, pl.entries[i].At)
	}
	return t
}

// enters says whether the plan enters anything at a location.
func (pl *plan) enters(name Location) bool {
	return slices.ContainsFunc(pl.moves, func(m Move) bool { return m.From.Location == name || m.To.Location == name }) ||
		slices.ContainsFunc(pl.entries, func(e Entry) bool { return e.Location == name })
}
