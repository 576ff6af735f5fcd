package inventory

import "slices"

// grant claims what place found, and gives up what the try names no more.
func (l *Ledger) grant(r *Reservation, pl *plan, ws []want, dropped []hold, confirmed *Held) *Fault {
	of := int32(1)
	for i := range ws {
		of = max(of, ws[i].index+1)
	}
	for _, h := range dropped {
		of = max(of, h.line.Held.Index+1)
	}
	var told []hold
	for i := range ws {
		w := &ws[i]
		after := &Line{ID: w.id}
		var olds []*Line
		if w.old != nil {
			*after = *w.old
			olds = []*Line{w.old}
		}
		held := &Held{
			Reservation: r.ID, Line: w.line.Line, Partner: r.Partner, State: HeldTentative, ExpiresAt: r.ExpiresAt,
			GrantedAt: pl.now, Granted: w.claims(), ReplyTo: r.ReplyTo, Index: w.index, Of: of,
		}
		if held.Index == 0 {
			held.Siblings = bounded(r.Siblings)
		}
		if confirmed != nil { // what was confirmed stays so, changed or not
			held.State, held.ExpiresAt = HeldConfirmed, confirmed.ExpiresAt
		}
		if w.old.holding() {
			held.GrantedAt = w.old.Held.GrantedAt
		}
		if w.order != nil && w.order != w.old {
			held.State = HeldOrdered
		}
		after.Held = held
		if w.order == nil {
			after.Channel, after.Due, after.Movable, after.Priority = w.line.Channel, w.line.Due, w.line.Movable, w.line.Priority
		}
		c := lineChange[Line]{id: w.id, after: after}
		if w.id != holdID(r.ID, w.index) {
			c.links = []string{holdID(r.ID, w.index)}
		}
		if _, f := l.claims(pl, olds, after); f != nil {
			return f
		}
		pl.change(c)
		told = append(told, hold{w.id, after})
	}
	for _, h := range dropped {
		after := *h.line
		held := *h.line.Held
		held.Granted, held.Of = nil, of
		if held.State != HeldOrdered { // it goes the way of the others
			held.State, held.ExpiresAt = HeldTentative, r.ExpiresAt
			if confirmed != nil {
				held.State, held.ExpiresAt = HeldConfirmed, confirmed.ExpiresAt
			}
		}
		after.Held = &held
		if _, f := l.claims(pl, []*Line{h.line}, &after); f != nil {
			return f
		}
		pl.change(lineChange[Line]{id: h.id, after: &after})
	}
	if len(told) > 0 {
		pl.line = told[0].id
	}
	pl.answer.Verdict = Granted
	l.tell(pl, told)
	return nil
}

// claims is what a line holds in all: what is granted now, and what left already under
// its name.
func (w *want) claims() []Claim {
	cs := slices.Clone(w.grant)
	if w.old == nil || w.order != nil || w.out == 0 {
		return cs
	}
	left := min(w.out, w.line.Quantity)
	for _, name := range places(nil, w.old.Entries, StagePicked, StageShipped) {
		out := outflow(w.old.Entries, name, forever)
		if out = min(out, left); out > 0 {
			cs = gather(cs, Claim{name, out})
			left -= out
		}
	}
	return cs
}

// siblingBytes bounds what a claim keeps of its request's other keys: a claim is small.
const siblingBytes = 192

// bounded are as many of the keys as fit.
func bounded(ks []Key) []Key {
	n := 0
	for i := range ks {
		if n += len(ks[i].Entity) + len(ks[i].Item) + 4; n > siblingBytes {
			return slices.Clone(ks[:i])
		}
	}
	return slices.Clone(ks)
}

// confirm keeps what was granted. It never checks again: what was granted was there,
// and only the log's time can have taken it.
func (l *Ledger) confirm(r *Reservation, pl *plan) *Fault {
	hs := l.holds(pl, r.ID, maxRequestLines)
	if len(hs) == 0 {
		pl.refuse(Unknown, CodeUnknown)
		return nil
	}
	for _, h := range hs {
		switch h.line.Held.State {
		case HeldCancelled:
			pl.refuse(VerdictCancelled, CodeCancelled)
			return nil
		case HeldLapsed:
			pl.refuse(Lapsed, CodeLapsed)
			return nil
		case HeldTentative, HeldConfirmed, HeldOrdered:
		}
	}
	if r.ExpiresAt != 0 && r.ExpiresAt <= pl.now {
		pl.refuse(Lapsed, CodeLapsed)
		return nil
	}
	for i, h := range hs {
		held := *h.line.Held
		if held.State != HeldOrdered {
			held.State = HeldConfirmed
		}
		held.ExpiresAt = r.ExpiresAt
		if held.State == h.line.Held.State && held.ExpiresAt == h.line.Held.ExpiresAt {
			continue
		}
		after := *h.line
		after.Held = &held
		pl.change(lineChange[Line]{id: h.id, after: &after})
		hs[i].line = &after
	}
	pl.line = hs[0].id
	pl.answer.Verdict = Confirmed
	l.tell(pl, hs)
	return nil
}

// cancel lets go. Each leaves a tombstone of its own time, so that a try that comes
// late is not granted for nobody.
func (l *Ledger) cancel(r *Reservation, pl *plan) *Fault {
	pl.answer.Verdict = VerdictCancelled
	until := pl.now + pl.policy.Reservations.tombstone()
	hs := l.holds(pl, r.ID, maxRequestLines)
	if len(hs) == 0 {
		pl.line = holdID(r.ID, 0)
		pl.change(lineChange[Line]{id: pl.line, after: &Line{ID: pl.line, Held: &Held{
			Reservation: r.ID, Partner: r.Partner, State: HeldCancelled, ExpiresAt: until, ReplyTo: r.ReplyTo, Of: 1,
		}}})
		return nil
	}
	pl.line = hs[0].id
	for _, h := range hs {
		if h.line.Held.State == HeldCancelled && h.line.Held.ExpiresAt >= until {
			continue
		}
		after := *h.line
		held := *h.line.Held
		held.State, held.ExpiresAt, held.Granted = HeldCancelled, until, nil
		after.Held = &held
		if _, f := l.claims(pl, []*Line{h.line}, &after); f != nil {
			return f
		}
		pl.change(lineChange[Line]{id: h.id, after: &after})
	}
	return nil
}
