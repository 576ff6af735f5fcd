package inventory

import "slices"

// SilenceRule says what readers make of a location whose owner has not been heard
// of for longer than its heartbeat.
type SilenceRule struct {
	Entity    Entity   // empty: any
	Location  Location // empty: any
	Owner     Source
	Heartbeat Instant // the longest it is silent when all is well, in ms
	Then      SilenceAction
	Haircut   Quantity // per cent taken off, at scale 10^-4; of the action haircut
	Fallback  Source   // whose view takes the ledger's place; of the action fallback
}

// Matches says whether the rule is about a location.
func (r *SilenceRule) Matches(e Entity, name Location) bool {
	return (r.Entity == "" || r.Entity == e) && (r.Location == "" || r.Location == name)
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

// Heard is what is known of a source's last word, whatever it said. The zero value:
// it has never said one.
type Heard struct {
	At    Instant // 0: none is known
	Since Instant // what was said before this is not known; 0: everything is
}

// Silent says whether the rule's owner is silent. It is given the benefit of the
// doubt: it may have spoken last just before what is known.
func (r *SilenceRule) Silent(h Heard, now Instant) bool {
	return now-h.latest() > r.Heartbeat
}

// latest is when the last word may have been at the latest.
func (h Heard) latest() Instant { return max(h.At, h.Since) }

// Silent says that an owner is silent, and what was made of it. The zero value: none
// is.
type Silent struct {
	Location Location
	Owner    Source
	Heard    Instant // when it was last heard; 0: not known
	Action   SilenceAction
	Fallback Source  // whose view was taken
	AsOf     Instant // of that view
	// Unmet: the action was fallback, and the view is not there, does not say what is
	// on hand, or is older than the owner's last word. The numbers are held.
	Unmet bool
}

// silence finds the rule to hush a location by, and when its owner was last heard;
// nil: no owner is silent. Of each owner the first rule that matches counts, and of
// the owners that are silent the one whose rule stands first.
func silence(rules []SilenceRule, e Entity, name Location, heard func(Source) Heard, now Instant) (*SilenceRule, Heard) {
	for i := range rules {
		r := &rules[i]
		if !r.Matches(e, name) {
			continue
		}
		h := heard(r.Owner)
		if r.Silent(h, now) && !slices.ContainsFunc(rules[:i], func(o SilenceRule) bool {
			return o.Owner == r.Owner && o.Matches(e, name)
		}) {
			return r, h
		}
	}
	return nil, Heard{}
}

// Hush adjusts a position for the silence of its location's owner, at the time it is
// read: time passes without events, so this is never decided in the ledger. views
// are claimed views of the position's item, at any locations. The position given
// stays as it is. A nil rule, or an owner within its heartbeat, changes nothing and
// flags nothing.
func Hush(pos Position, r *SilenceRule, heard Heard, now Instant, views []View) (Position, Silent) {
	if r == nil || !r.Silent(heard, now) {
		return pos, Silent{}
	}
	s := Silent{Location: pos.Location, Owner: r.Owner, Heard: heard.At, Action: r.Then}
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
		pos.SafetyStock = max(pos.SafetyStock, 0) // not even what may be sold without being there
		pos.Supply = nil
	case SilenceFallback:
		v := fallback(views, r.Fallback, pos.Location, heard.latest())
		q, ok := v.onHand(&pos)
		if s.Unmet = !ok; ok {
			*on, s.Fallback, s.AsOf = q, v.Source, v.through()
		}
	}
	return pos, s
}

// fallback finds the view that takes the ledger's place: one that is of after the owner
// was last heard, and was recorded after that. A system whose clock is ahead says
// nothing of a time to come. Of a view that does not tell when it was recorded, 0, its
// own time counts.
func fallback(views []View, s Source, name Location, heard Instant) *View {
	i := slices.IndexFunc(views, func(v View) bool {
		return v.Source == s && v.Location == name && v.through() > heard && (v.RecordedAt == 0 || v.RecordedAt > heard)
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
