package inventory

import (
	"slices"
	"strings"
)

// post does what the plan says. It cannot fail.
func (l *Ledger) post(p *Policy, ev *Event, pl *plan, at At) {
	if pl.frozen != "" || pl.thaw {
		l.turn(ev, pl, at)
	}
	changed := false
	for i := range pl.locals() {
		changed = changed || pl.localAt(i).changed()
	}
	if pl.setting && ev.Setting.Location == "" && (!l.head.HasSafety || l.head.Safety != ev.Setting.SafetyStock) {
		l.head.HasSafety, l.head.Safety = true, ev.Setting.SafetyStock
		changed = true
	}
	if changed {
		l.head.Version++ // Invariant 5
	}
	for i := range pl.locals() {
		lc := pl.localAt(i)
		if !lc.changed() {
			continue
		}
		st := l.location(lc.location)
		if st == nil {
			st = l.create(lc.location)
		}
		for a := range st.States {
			st.States[a] += lc.delta[a]
		}
		if lc.newReserved {
			st.more().Reserved = lc.reserved
			l.due |= fitHead
		}
		if lc.newSupply {
			st.more().Supply = lc.supply
			l.due |= fitHead
		}
		if pl.setting && ev.Setting.Location == lc.location {
			m := st.more()
			m.HasSafety, m.Safety = true, ev.Setting.SafetyStock
		}
		previous := st.Version
		if previous == 0 {
			previous = NoPrevious
		}
		st.Version = l.head.Version
		lc.location = st.Location
		l.dirtyLocation(st.Location)
		l.note(change{st.Location, ev.ID, max(ev.RecordedAt, pl.now), p.Version, at, previous})
	}
	for a, d := range pl.outside {
		l.head.Outside[a] += d
	}
	if len(pl.lines) > 0 || pl.supply != nil {
		l.toSweep(p)
	}
	l.postJournal(pl)
	l.postPieces(pl)
}

func (l *Ledger) postJournal(pl *plan) {
	for i := range pl.moves {
		m := &pl.moves[i]
		if byCount(m.Type) {
			continue
		}
		if m.From.Account.IsState() {
			l.enter(pl.entry(m, Place{l.name(m.From.Location), m.From.Account}, -m.Quantity))
		}
		if m.To.Account.IsState() {
			l.enter(pl.entry(m, Place{l.name(m.To.Location), m.To.Account}, m.Quantity))
		}
	}
	for _, e := range pl.entries {
		e.Location = l.name(e.Location)
		l.enter(e)
	}
	if c := &pl.counted; c.states != 0 {
		l.mark(c)
	}
}

// name is the ledger's own copy of a location's name.
func (l *Ledger) name(n Location) Location { return l.location(n).Location }

func (l *Ledger) postPieces(pl *plan) {
	for i := range pl.lines {
		c := &pl.lines[i]
		l.keepLine(c.id, c.after)
		for _, id := range c.gone {
			l.keepLine(id, nil)
		}
		for _, h := range c.links {
			l.extra().refs.set(h, &RefTarget{Kind: PieceLine, Line: c.id})
		}
	}
	if c := pl.before; c != nil {
		l.keepSupply(c.id, c.after)
	}
	for i := range pl.shared {
		l.keepSupply(pl.shared[i].id, pl.shared[i].after)
	}
	if c := pl.supply; c != nil {
		l.keepSupply(c.id, c.after)
		for _, id := range c.gone {
			l.keepSupply(id, nil)
		}
		for _, h := range c.links {
			h = l.rep(nil, h)
			t := &RefTarget{Kind: PieceSupply, Line: c.id}
			if had := l.refTarget(h); had != nil && len(had.Lines) > 0 {
				t.Lines = slices.DeleteFunc(slices.Clone(had.Lines), func(id string) bool { return slices.Contains(c.gone, id) || id == c.id })
				t.Lines = append(t.Lines, c.id)
				slices.Sort(t.Lines)
			}
			l.extra().refs.set(h, t)
		}
	}
	for _, r := range pl.lists {
		t := &RefTarget{Kind: PieceSupply, Line: sameName + r.same, Lines: r.lines}
		if r.same == "" {
			if t.Line = r.lines[0]; strings.HasPrefix(t.Line, sameName) {
				t.Line = "" // it leads to none yet
			}
		}
		l.extra().refs.set(r.hash, t)
	}
	if pl.keep != nil {
		l.keep(pl.keep)
	}
	for _, v := range pl.views {
		l.extra().views.set(viewName(v.Source, v.Location), v)
	}
}

func viewName(s Source, l Location) string { return Escape(string(s)) + "|" + Escape(string(l)) }

// note remembers which event changed a location last.
func (l *Ledger) note(c change) {
	for i := range l.changes {
		if l.changes[i].location == c.location {
			c.previous = l.changes[i].previous
			l.changes[i] = c
			return
		}
	}
	l.changes = append(l.changes, c)
}
