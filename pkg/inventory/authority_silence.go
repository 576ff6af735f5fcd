package inventory

import "slices"

// SilenceRule says what readers make of a location whose owner has not been heard
// of for longer than its heartbeat.
type SilenceRule struct {
	Location  Location // empty: any
	Owner     Source
	Heartbeat Instant // the longest it is silent when all is well, in ms
	Then      SilenceAction
	Haircut   Quantity // per cent taken off, at scale 10^-4; of the action haircut
	Fallback  Source   // whose view takes the ledger's place; of the action fallback
}

// SilenceAction is what is promised while an owner is silent.
type SilenceAction string

// The actions. Whichever it is, the answer says so.
const (
	SilenceHold     SilenceAction = "hold"     // the last known numbers, flagged
	SilenceHaircut  SilenceAction = "haircut"  // less by a share
	SilenceZero     SilenceAction = "zero"     // nothing is promised
	SilenceFallback SilenceAction = "fallback" // what another system claims
)

// CodeOwnerSilent flags an answer about a location whose owner is silent.
const CodeOwnerSilent Code = "owner_silent"

// Silent says that an owner is silent, and what was made of it. The zero value: none
// is.
type Silent struct {
	Owner    Source
	Since    Instant // when it was last heard; 0: never
	Action   SilenceAction
	Fallback Source  // whose view was taken
	AsOf     Instant // of that view
	// Unmet: the action was fallback, and the view is not there, does not say what is
	// on hand, or is older than the owner's last word. The numbers are held.
	Unmet bool
}

// Silence finds the rule of a location, the first that matches, or nil. Its owner is
// the source whose last word Hush is to be given.
func (p *Policy) Silence(name Location) *SilenceRule {
	for i := range p.Authority.Silence {
		if r := &p.Authority.Silence[i]; r.Location == "" || r.Location == name {
			return r
		}
	}
	return nil
}

// Hush adjusts a position for the silence of its location's owner, at the time it is
// read: time passes without events, so this is never decided in the ledger. It is
// for whoever computes ATP; none does so yet. heard is when the owner was last
// heard, whatever it said (0: never); views are the claimed views of the position's
// location. The position given stays as it is. A nil rule, or an owner within its
// heartbeat, changes nothing and flags nothing.
func Hush(pos Position, r *SilenceRule, heard, now Instant, views []View) (Position, Silent) {
	if r == nil || heard != 0 && now-heard <= r.Heartbeat {
		return pos, Silent{}
	}
	s := Silent{Owner: r.Owner, Since: heard, Action: r.Then}
	on := &pos.States[OnHand]
	switch r.Then {
	case SilenceHold:
	case SilenceHaircut:
		if *on > 0 {
			// What stays is rounded down: rounding never promises more.
			*on = share(*on, MaxPercent-min(max(r.Haircut, 0), MaxPercent), MaxPercent)
		}
	case SilenceZero:
		*on = min(*on, 0)
		pos.Supply = nil
	case SilenceFallback:
		v := fallback(views, r.Fallback, pos.Location, heard)
		q, ok := v.onHand(&pos)
		if s.Unmet = !ok; ok {
			*on, s.Fallback, s.AsOf = q, v.Source, v.through()
		}
	}
	return pos, s
}

// fallback finds the view that takes the ledger's place.
func fallback(views []View, s Source, name Location, heard Instant) *View {
	i := slices.IndexFunc(views, func(v View) bool {
		return v.Source == s && v.Location == name && v.through() > heard
	})
	if i < 0 {
		return nil
	}
	return &views[i]
}

// onHand is what a view says is on hand, in the ledger's sense: less what its number
// includes, and with the open claims where they were taken off.
func (v *View) onHand(pos *Position) (Quantity, bool) {
	if v == nil {
		return 0, false
	}
	b := v.claimed(OnHand)
	if b == nil {
		return 0, false
	}
	q := b.Quantity
	for a := range Account(NumStates) {
		if a == OnHand || v.counts(OnHand)&a.bit() == 0 {
			continue
		}
		if beside := v.claimed(a); beside != nil {
			q = saturate(q, -beside.Quantity)
		} else {
			q = saturate(q, -pos.States[a])
		}
	}
	if v.Basis == Available {
		q = saturate(q, total(pos.Reserved))
	}
	return q, true
}
