package inventory

import (
	"cmp"
	"slices"
)

// MaxViewMoves is how many of a system's own movements a view keeps apart; beyond,
// the two oldest of one state become one, and a snapshot from between them is
// inexact.
const MaxViewMoves = 64

// ViewMove is what a movement of a system's own changed in a state. It is kept
// whether or not the snapshot in hand claims that state: the next one may, and speak
// of a moment before it.
type ViewMove struct {
	At       Instant
	State    Account
	Quantity Quantity
}

// through is the last moment the view speaks about.
func (v *View) through() Instant {
	if n := len(v.Moved); n > 0 {
		return max(v.AsOf, v.Moved[n-1].At)
	}
	return v.AsOf
}

// claimed finds a balance of the view, or nil.
func (v *View) claimed(a Account) *StateBalance {
	for i := range v.Balances {
		if v.Balances[i].State == a {
			return &v.Balances[i]
		}
	}
	return nil
}

// claim keeps the balances of a count that are about the given states as its
// source's claimed view; the ledger stays as it is. Of two snapshots the later one
// holds, whichever comes first, but that a corrected one takes the place of what it
// corrects; two of one moment add what each says, see beside.
func (l *Ledger) claim(ev *Event, pl *plan, states uint8) {
	c := ev.Count
	pl.kind = Noted
	v := View{
		Key: ev.Key, Location: c.Location, Source: ev.Source, Basis: c.Basis, Includes: slices.Clone(c.Includes),
		AsOf: c.AsOf, Sequence: c.Sequence, RecordedAt: ev.RecordedAt, EventID: ev.ID, Version: 1,
		Document: countDocument(ev),
	}
	for _, b := range c.Balances {
		if states&b.State.bit() != 0 {
			v.Balances = append(v.Balances, b)
		}
	}
	slices.SortFunc(v.Balances, func(a, b StateBalance) int { return cmp.Compare(a.State, b.State) })
	older, previous := l.revised(ev, pl)
	if old := l.view(ev.Source, c.Location); old != nil {
		corrects := previous != "" && old.Document == v.Document
		if older || old.AsOf > c.AsOf && !corrects || old.AsOf == c.AsOf && !v.beside(old) {
			if !pl.rehearsed { // whose moves are no moves: it is noted, whatever else
				pl.kind = Superseded
				pl.detail = "a later view of this source is known"
			}
			return
		}
		v.Version = old.Version + 1
		v.Blurred = old.Blurred
		if v.AsOf < old.AsOf { // what came before that was not kept
			v.Blurred = max(v.Blurred, old.AsOf)
		}
		v.Variance = old.Variance.next(old.AsOf == c.AsOf || corrects)
		for _, m := range old.Moved {
			if m.At > v.AsOf {
				v.move(m)
			}
		}
	}
	pl.views = append(pl.views, &v)
}

// beside makes the view of a snapshot that of two snapshots of one moment: of each state
// what the one says with the higher sequence, else the one recorded last. It is false
// where the other view has nothing of this one.
func (v *View) beside(old *View) (changed bool) {
	was := View{Balances: v.Balances, Sequence: v.Sequence}
	if old.Sequence > v.Sequence {
		v.Basis, v.Includes, v.Sequence, v.Document = old.Basis, slices.Clone(old.Includes), old.Sequence, old.Document
	}
	v.Balances, v.Older = nil, nil
	said := old.snapshot()
	for a := range Account(NumStates) {
		mine, at := was.claimed(a), was.Sequence
		theirs := (&View{Balances: said}).claimed(a)
		switch {
		case mine == nil && theirs == nil:
			continue
		case mine == nil, theirs != nil && old.sequenceOf(a) > at:
			mine, at = theirs, old.sequenceOf(a)
		default:
			changed = true
		}
		v.Balances = append(v.Balances, *mine)
		if at < v.Sequence {
			v.Older = append(v.Older, StateSequence{State: a, Sequence: at})
		}
	}
	return changed
}

// sequenceOf is that of the snapshot which said a state.
func (v *View) sequenceOf(a Account) int64 {
	for i := range v.Older {
		if v.Older[i].State == a {
			return v.Older[i].Sequence
		}
	}
	return v.Sequence
}

// snapshot is what the view's snapshot said, without the movements since.
func (v *View) snapshot() []StateBalance {
	bs := slices.Clone(v.Balances)
	for _, m := range v.Moved {
		for i := range bs {
			if v.counts(bs[i].State)&m.State.bit() != 0 {
				bs[i].Quantity = saturate(bs[i].Quantity, -m.Quantity)
			}
		}
	}
	return bs
}

// move takes a movement of the system's own into its view.
func (v *View) move(m ViewMove) {
	for i := range v.Balances {
		if b := &v.Balances[i]; v.counts(b.State)&m.State.bit() != 0 {
			b.Quantity = saturate(b.Quantity, m.Quantity)
		}
	}
	i, _ := slices.BinarySearchFunc(v.Moved, m, func(x, m ViewMove) int {
		return cmp.Or(cmp.Compare(x.At, m.At), cmp.Compare(x.State, m.State), cmp.Compare(x.Quantity, m.Quantity))
	})
	v.Moved = slices.Insert(v.Moved, i, m)
	if len(v.Moved) <= MaxViewMoves {
		return
	}
	for i := range v.Moved { // NumStates are fewer than MaxViewMoves: two are of one state
		for j := i + 1; j < len(v.Moved); j++ {
			if v.Moved[i].State == v.Moved[j].State {
				v.Moved[j].Quantity = saturate(v.Moved[j].Quantity, v.Moved[i].Quantity)
				v.Blurred = max(v.Blurred, v.Moved[j].At)
				v.Moved = slices.Delete(v.Moved, i, i+1)
				return
			}
		}
	}
}

// claimMovement moves the claimed views of a source by a movement it has no
// authority for: the system itself says that its stock moved. Only views that are
// there move; what is from before a view's snapshot stands in the snapshot.
func (l *Ledger) claimMovement(ev *Event, pl *plan) {
	m := ev.Movement
	r := routeOf(m.Type)
	mv := m.move(r, pl.at)
	if mv.Quantity == 0 {
		return
	}
	stage, _ := m.lineOf(r)
	ofOrder := len(ev.Refs) > 0 && (stage == StagePicked || stage == StageShipped)
	ends := [2]struct {
		at Place
		q  Quantity
	}{{mv.From, -mv.Quantity}, {mv.To, mv.Quantity}}
	for i := range ends {
		name := ends[i].at.Location
		if name == "" || i == 1 && name == ends[0].at.Location {
			continue
		}
		old := l.view(ev.Source, name)
		if old == nil {
			continue
		}
		if pl.at <= old.AsOf {
			pl.late = true
			continue
		}
		if old.Basis == Available && ofOrder {
			continue // the order lowered what it calls available; picking it does not again
		}
		v := *old
		v.Balances, v.Moved = slices.Clone(old.Balances), slices.Clone(old.Moved)
		v.Variance = old.Variance.next(true)
		for _, e := range ends {
			if e.at.Location == name {
				v.move(ViewMove{At: pl.at, State: e.at.Account, Quantity: e.q})
			}
		}
		v.Version++
		v.RecordedAt, v.EventID = ev.RecordedAt, ev.ID
		pl.views = append(pl.views, &v)
	}
}

// counts are the states that the view's number of a state is about.
func (v *View) counts(a Account) uint8 {
	if a == OnHand && v.Basis == Physical {
		return a.bit() | set(v.Includes)
	}
	return a.bit()
}

func (l *Ledger) view(s Source, name Location) *View {
	c := &l.extra().views
	n := viewName(s, name)
	i, ok := c.find(n)
	if !ok {
		c.insert(i, n, l.pieces.View(s, name))
	}
	return c.slots[i].val
}
