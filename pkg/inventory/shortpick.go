package inventory

import "slices"

// ShortPick says that a pick did not find what should have been there: on_hand →
// quarantine, where it is suspect until the shelf is counted. The ledger also makes
// it backwards, when the document is revised.
const ShortPick MovementType = "short_pick"

// Stages of a demand line that a short pick brings it to. What becomes of the claim
// is decided once, by the policy of then.
const (
	StageShort          Stage = "short"           // the claim stays: a backorder
	StageShortMoved     Stage = "short_moved"     // the claim went to where there is stock
	StageShortCancelled Stage = "short_cancelled" // the claim ended
)

// CodeShortPick says that a pick did not find what should have been there.
const CodeShortPick Code = "short_pick"

// short says whether a stage is one of them.
func (s Stage) short() bool {
	return s == StageShort || s == StageShortMoved || s == StageShortCancelled
}

// sameStage says whether stages are one, however a short pick's claim went.
func sameStage(a, b Stage) bool { return a == b || a.short() && b.short() }

// shortTaken is the stage in which a source reports most of what picks did not find at a
// location: what a reversal takes back went that way, whatever policy says by now.
func (l *Ledger) shortTaken(ev *Event, by Source, pl *plan) Stage {
	stage, most := StageShort, Quantity(0)
	for _, id := range l.resolve(pl, PieceLine, plainRefs(ev.Refs)).found {
		es := l.planned(pl, id).Entries
		for _, s := range []Stage{StageShort, StageShortCancelled} {
			if q := said(es, s, by, ev.Movement.Location, forever); q > most {
				stage, most = s, q
			}
		}
	}
	return stage
}

func (ln *Line) short() bool {
	return slices.ContainsFunc(ln.Entries, func(e LineEntry) bool { return e.Stage.short() })
}

// Suspect stock is a part of quarantine: entries of it are marked. A count of the
// shelf finds that none of it is left; whether it lay on the shelf after all, the
// count's own number says. A count of quarantine says how much of that there is, and
// none of it is suspect any more.
const (
	isSuspect      = 1 << 6 // of an entry of quarantine, in Includes: of suspect stock
	clearsSuspects = 1 << 6 // of a count of on_hand, in Includes

	suspects = Account(NumStates) // stands for them beside the states, within the journal
)

func (e *Entry) suspect() bool { return e.State == Quarantine && e.Includes&isSuspect != 0 }

// stand is a quantity of each state, and of the suspect part of quarantine.
type stand [NumStates + 1]Quantity

// add an entry; false when a sum is out of range.
func (s *stand) add(e *Entry) bool {
	q, err := s[e.State].Add(e.Delta)
	if err != nil {
		return false
	}
	s[e.State] = q
	if e.suspect() {
		if s[suspects], err = s[suspects].Add(e.Delta); err != nil {
			return false
		}
	}
	return true
}

// entry is the journal's of one end of a move.
func (pl *plan) entry(m *Move, at Place, q Quantity) Entry {
	e := Entry{At: m.At, Location: at.Location, State: at.Account, Order: pl.order.entry(), Delta: q}
	if m.Type == ShortPick && at.Account == Quarantine {
		e.Includes = isSuspect
	}
	return e
}

// missing says whether a movement is a short pick, or reverses one, or its reversal: what
// it moves is suspect, or no more.
func (l *Ledger) missing(ev *Event, r *route) bool {
	if r.typ != Reversal {
		return r.typ == ShortPick
	}
	_, ok := l.seen(missedBy(ev.Movement.Reverses))
	return ok
}

// missedBy is remembered of an event whose stock was suspect, or is no more.
func missedBy(id string) uint64 { return uint64(digest(HashID(id)).text("missed")) }

// shortage is the stage of a short pick.
func (p *LinePolicy) shortage() Stage {
	if p.Short == ShortCancel {
		return StageShortCancelled
	}
	return StageShort
}

// shortFlow moves what a line has newly missed, or no longer, through time as flow
// does.
func (l *Ledger) shortFlow(pl *plan, olds []*Line, after *Line) *Fault {
	if !after.short() && !slices.ContainsFunc(olds, (*Line).short) {
		return nil
	}
	stages := []Stage{StageShort, StageShortMoved, StageShortCancelled}
	names := places(nil, after.Entries, stages...)
	for _, ln := range olds {
		names = places(names, ln.Entries, stages...)
	}
	for _, name := range names {
		ts := moments(pl.counts(), []moment{pl.moment()}, after.Entries, name, stages...)
		for _, ln := range olds {
			ts = moments(pl.counts(), ts, ln.Entries, name, stages...)
		}
		var short Quantity // change against before, up to the moment
		var shelf, doubt []Entry
		for _, t := range ts {
			s := missed(pl.counts(), after.Entries, name, t)
			for _, ln := range olds {
				s -= missed(pl.counts(), ln.Entries, name, t)
			}
			e := Entry{At: t.at, Location: name, State: OnHand, Order: t.order.entry(), Delta: short - s}
			shelf = append(shelf, e)
			e.State, e.Includes, e.Delta = Quarantine, isSuspect, s-short
			doubt = append(doubt, e)
			short = s
		}
		m := Move{Type: ShortPick, From: Place{name, OnHand}, To: Place{name, Quarantine}, Quantity: short, At: pl.at}
		if f := pl.signed(l, m, ShortPick); f != nil {
			return f
		}
		if f := pl.reschedule(l, shelf, -short); f != nil {
			return f
		}
		if f := pl.reschedule(l, doubt, short); f != nil {
			return f
		}
	}
	return nil
}

// missed is what picks did not find at a location up to a moment. Of several sources
// the one that says most counts, whatever became of the claims.
func missed(c *CountPolicy, es []LineEntry, name Location, m moment) Quantity {
	return mostSaid(es, func(r report) bool { return r.stage.short() && r.location == name && r.moment(c).compare(m) <= 0 })
}

// shorten decides what becomes of the claim on what a pick did not find: e is the
// entry in hand, one of after's. It runs once everything else of the line is known.
func (l *Ledger) shorten(pl *plan, olds []*Line, after *Line, e *LineEntry) {
	if e.Quantity > 0 {
		pl.code(CodeShortPick)
	}
	for i := range after.Entries { // an older revision may have gone another way
		if x := &after.Entries[i]; x.Source == e.Source && x.Document == e.Document && x.Stage != e.Stage && x.Stage.short() {
			x.Quantity, x.Revision, x.At = 0, e.Revision, e.At
		}
	}
	back := -movedClaims(after.Entries) // claims that do not go elsewhere any more
	for _, ln := range olds {
		back += movedClaims(ln.Entries)
	}
	less := back
	for i := len(after.Sourced) - 1; i >= 0 && less > 0; i-- { // the last first
		q := min(less, after.Sourced[i].Quantity)
		after.Sourced[i].Quantity -= q
		less -= q
	}
	after.Sourced = slices.DeleteFunc(after.Sourced, func(c Claim) bool { return c.Quantity == 0 })
	if e.Stage == StageShort && pl.policy.Lines.Short == ShortResource && !after.holding() {
		l.moveClaim(pl, olds, after, e, back)
	}
}

// moveClaim takes the claim on what was missed to other locations, as far as they
// have it to promise, and as far as it did not go there when another source reported
// the same. The rest stays a backorder. back is claimed at the event's location beside
// what it was before.
func (l *Ledger) moveClaim(pl *plan, olds []*Line, after *Line, e *LineEntry, back Quantity) {
	claim := back
	for _, ln := range olds {
		claim = saturate(claim, ln.at(e.Location))
	}
	total := missed(nil, after.Entries, e.Location, moment{at: forever})
	gone := reached(after.Entries, StageShortMoved, e.Location, forever)
	own := said(after.Entries, StageShortMoved, e.Source, e.Location, forever)
	q := min(claim, e.Quantity, total-gone, own+e.Quantity-gone)
	if q <= 0 {
		return
	}
	var from []Location
	for _, name := range l.sources(pl.policy, after.Channel) {
		if name != e.Location {
			from = append(from, name)
		}
	}
	s := l.shelf(pl, false)
	cs, left := s.pick(from, after.Due, q)
	if left == q {
		return
	}
	for _, c := range cs {
		after.Sourced = gather(after.Sourced, c)
	}
	moved := *e
	moved.Stage, moved.Quantity = StageShortMoved, gone+q-left-own // of what had gone, too, it speaks
	for i := range after.Entries {
		if x := &after.Entries[i]; x.Source == e.Source && x.Document == e.Document && x.Stage == StageShort {
			x.Quantity -= moved.Quantity
		}
	}
	for i := range after.Entries {
		if x := &after.Entries[i]; x.Source == e.Source && x.Document == e.Document && x.Stage == StageShortMoved {
			*x = moved // its document may be about another location now
			return
		}
	}
	after.Entries, _ = put(after.Entries, moved)
}

// movedClaims is how much of a line's claims went elsewhere after short picks.
func movedClaims(es []LineEntry) (q Quantity) {
	for _, name := range places(nil, es, StageShortMoved) {
		q = saturate(q, reached(es, StageShortMoved, name, forever))
	}
	return q
}
