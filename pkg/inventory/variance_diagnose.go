package inventory

import "slices"

// Diagnoses of an unexplained difference.
const (
	DiagnosisClaims        Code = "equals_claims"        // the open claims: the system takes them off, or does not
	DiagnosisPicked        Code = "equals_picked"        // what is picked: the system counts it, or does not
	DiagnosisBetweenStates Code = "between_states"       // nothing is missing; it stands in other states
	DiagnosisUnit          Code = "pack_factor"          // one side counts packs, the other units
	DiagnosisOneEvent      Code = "one_event"            // one recent event is missing there, or stands there twice
	DiagnosisSibling       Code = "opposite_at_location" // another location's view differs by the opposite
	DiagnosisPacks         Code = "pack_multiple"        // a whole number of packs
)

// Limits of a diagnosis.
const (
	recent       = 72 * 3_600_000 // ms before the view's time in which one event is looked for
	maxViewsNear = 64
)

// usualPacks are looked for where policy names none.
var usualPacks = []Quantity{6 * One, 10 * One, 12 * One, 24 * One}

// diagnose names what an unexplained difference looks like: the first that fits, the
// most telling first. It explains nothing away.
func (l *Ledger) diagnose(a *AuthorityPolicy, v *View, st *LocationState, then [NumStates]Quantity, gaps []gap, packs []Quantity) {
	n := v.Variance
	d := n.UnexplainedNet
	size := max(d, -d)
	if d == 0 {
		n.Diagnosis = DiagnosisBetweenStates
		return
	}
	if claims := total(st.Reserved()); claims == size {
		n.Diagnosis = DiagnosisClaims
		return
	}
	if then[Picked] == size || then[Picked] == -size {
		n.Diagnosis = DiagnosisPicked
		return
	}
	for _, b := range v.Balances {
		for _, m := range n.Ledger {
			if m.State != b.State {
				continue
			}
			if p := factor(b.Quantity, m.Quantity, packs); p != 0 {
				n.Diagnosis, n.DiagnosisDetail = DiagnosisUnit, b.State.String()+" by "+p.String()
				return
			}
		}
	}
	var about uint8
	for i := range gaps {
		about |= gaps[i].ledger
	}
	steps := l.steps(st, about, n.AsOf-recent, forever)
	for _, s := range slices.Backward(steps) {
		if s.Quantity == d || s.Quantity == -d {
			n.Diagnosis, n.DiagnosisEvent = DiagnosisOneEvent, s.At
			n.DiagnosisDetail = s.State.String() + " " + signedText(s.Quantity)
			return
		}
	}
	for i, name := range l.Locations() {
		if i == maxViewsNear {
			break
		}
		if name == v.Location || a.comparison(v.Source, name) == nil {
			continue
		}
		if w := l.view(v.Source, name); w != nil && w.Variance != nil && w.Variance.UnexplainedNet == -d {
			n.Diagnosis, n.DiagnosisLocation = DiagnosisSibling, name
			return
		}
	}
	for _, p := range slices.Backward(packs) {
		if p > 0 && size%p == 0 {
			n.Diagnosis, n.DiagnosisDetail = DiagnosisPacks, (size/p*One).String()+" of "+p.String()
			return
		}
	}
}

// factor is the pack size by which one number is the other, or zero.
func factor(a, b Quantity, packs []Quantity) Quantity {
	for _, p := range packs {
		for _, pair := range [2][2]Quantity{{a, b}, {b, a}} {
			// p is scaled, so large ÷ small = p ÷ One; products would leave the range.
			small, large := pair[0], pair[1]
			if p > One && small != 0 && large%small == 0 && p%One == 0 && large/small == p/One {
				return p
			}
		}
	}
	return 0
}
