package inventory

import "slices"

// How what was set aside comes to its end (EXACTLY-ONCE §8): what it waited for has
// come, a person has decided, its time is over, or a count has taken its place. Then
// it is decided as it stands, and after it, in their order, those that were behind
// it; each has an outcome of its own, under its own id and offset.

// Codes of these ends.
const (
	CodeDropped      Code = "dropped"       // a person's word
	CodeNeverApplied Code = "never_applied" // what it reverses was dropped or rejected after it had waited
)

// Also are the outcomes of events that were set aside before and that the last event
// applied brought to their end, in the order they were decided. They hold until the
// next call of ApplyInto.
func (l *Ledger) Also() []Outcome {
	if l.last == nil {
		return nil
	}
	return l.last.also
}

// decideApproval takes a person's word. What it speaks of is done in release.
func (l *Ledger) decideApproval(ev *Event, pl *plan) *Fault {
	a := ev.Approval
	if a.Event == "" {
		return l.decideUnfreeze(a, pl)
	}
	if a.Release == ReleaseUnfreeze {
		return fault(FaultNotFrozen, "approval.event", "an unfreeze is of a key, not of an event")
	}
	if l.head.Queue.Parked+l.head.Queue.Held == 0 || l.keptByID(HashID(a.Event)) < 0 {
		return fault(FaultNotHeld, "approval.event", "no event of this id waits here")
	}
	pl.approval = a
	return nil
}

// release brings to their end the events that the one just posted lets go on. pl is
// its plan.
func (l *Ledger) release(p *Policy, ev *Event, pl *plan, at At) {
	l.queue()
	r := &releasing{l: l, policy: p, event: ev, at: at, now: pl.now}
	for i := range ev.Refs {
		r.refs = append(r.refs, refDigest(&ev.Refs[i]))
	}
	if a := pl.approval; a != nil {
		i := l.keptByID(HashID(a.Event))
		if a.Release == ReleaseDrop {
			r.end(i, plan{kind: Rejected, codes: []Code{CodeDropped}, detail: "dropped by " + a.Author + ": " + a.Reason}, true)
		} else {
			r.decide(i, true)
		}
	}
	r.cover(&pl.counted)
	r.outdate(ev, pl)
	for i := r.next(); i >= 0; i = r.next() {
		r.decide(i, false)
	}
}

// releasing is one run of release.
type releasing struct {
	l      *Ledger
	policy *Policy
	event  *Event // that lets others go on
	at     At
	now    Instant
	refs   []uint64
	tried  []int64 // that wait on, for all that has happened now
}

// next is the first event that need not wait any more, or -1.
func (r *releasing) next() int {
	q := r.l.queue()
	for i := range q {
		if r.ready(&q[i]) && !blocked(q, i, &q[i]) {
			return i
		}
	}
	return -1
}

func (r *releasing) ready(a *aside) bool {
	if slices.Contains(r.tried, a.n) {
		return false
	}
	if a.until != 0 && a.until <= r.now {
		return true
	}
	switch a.code { //nolint:exhaustive // of any other, its line may be known now
	case CodeBehind:
		return true
	case CodeUnknownReversal:
		_, known := r.l.seen(a.waits)
		return known && r.l.keptByID(a.waits) < 0
	case CodeTooManySupply:
		return r.l.head.Book.Supplies < r.policy.Limits.supplyLines()
	case CodeBeforeWindow, CodeFutureCount, CodeAmbiguous, CodeRevised:
		return false // a person decides
	}
	// Of its line something is known now.
	return slices.ContainsFunc(a.refs, func(h uint64) bool { return slices.Contains(r.refs, h) })
}

// decide decides an event that waited. It may have to wait on.
func (r *releasing) decide(i int, approved bool) {
	l, a := r.l, r.l.last.aside[i]
	k := l.kept(&a)
	if k == nil {
		r.tried = append(r.tried, a.n)
		return // no such piece, which the shell has noted and stops on
	}
	ev := k.Event
	ev.RecordedAt = k.At
	pl := plan{
		kind: Applied, at: ev.OccurredAt, policy: r.policy, now: r.now,
		approved: approved, parking: parking{overdue: a.until != 0 && a.until <= r.now},
	}
	f := l.decide(r.policy, &ev, &pl)
	if f == nil && pl.wait.code != "" {
		r.tried = append(r.tried, a.n)
		r.recode(i, k, &pl.wait)
		return
	}
	if f == nil {
		f = l.conclude(&pl)
	}
	if f == nil {
		f = l.tooLarge(&pl)
	}
	if f != nil {
		r.end(i, plan{kind: Rejected, codes: []Code{f.Code}, detail: f.Error()}, true)
		return
	}
	r.end(i, pl, false)
}

// recode keeps an event that waits for something else now.
func (r *releasing) recode(i int, k *Kept, w *wait) {
	a := &r.l.last.aside[i]
	if a.code == w.code && (w.until == 0 || a.until == w.until) {
		return
	}
	next := *k
	next.Code, next.Detail, next.Until = w.code, w.detail, w.until
	if pieceOf(w.code) != a.kind {
		next.Code = a.code // a piece keeps its kind
	}
	a.code, a.until = next.Code, next.Until
	r.l.head.Queue.Bytes += weighKept(&next) - a.weight
	a.weight = weighKept(&next)
	r.l.awaited()
	r.l.extra().kept.set(keptName(a), &next)
}

// end posts what became of an event that waited, and says so. never is set when it
// had no effect and never will; what a count covers had.
func (r *releasing) end(i int, pl plan, never bool) {
	l, a := r.l, r.l.last.aside[i]
	k := l.kept(&a)
	ev := k.Event
	ev.RecordedAt = k.At
	if pl.at == 0 {
		pl.at = a.at
	}
	l.takeOut(i)
	r.tried = r.tried[:0] // it may be what another waits for
	if a.out != 0 {
		pl.local(l, a.from).parked = true
	}
	// A position is of the place in the log where it became so.
	by := ev
	by.ID, by.RecordedAt = r.event.ID, r.event.RecordedAt
	l.post(r.policy, &by, &pl, r.at)
	for _, s := range pl.also {
		l.remember(s)
	}
	if never {
		l.remember(Seen{ID: neverApplied(ev.ID)})
		l.listsStill(&ev)
	}
	if l.head.Viewed != 0 || len(pl.views) > 0 {
		l.review(r.policy, &ev, &pl)
	}
	var out Outcome
	l.tend(r.policy, &pl)
	l.say(&out, r.policy, &ev, &pl, At{Lineage: k.Lineage, Partition: r.at.Partition, Offset: k.Offset})
	l.last.also = append(l.last.also, out)
	for i := range ev.Refs {
		r.refs = append(r.refs, refDigest(&ev.Refs[i]))
	}
	r.cover(&pl.counted)
	r.outdate(&ev, &pl)
}

// neverApplied is remembered of an event that was set aside and came to nothing, so
// that what reverses it comes to nothing too.
func neverApplied(id string) uint64 { return HashID("never applied: " + id) }

// cover ends the waiting of movements that a count has taken in: their place stood
// at what was counted after they occurred. One that belongs to a line waits on, for
// the line must learn of it; it takes nothing from what is promised any more.
func (r *releasing) cover(c *counted) {
	if c.states == 0 {
		return
	}
	for i := 0; i < len(r.l.last.aside); {
		a := &r.l.last.aside[i]
		if a.at > c.at || !r.covered(a, c) {
			i++
			continue
		}
		r.end(i, plan{kind: Superseded, detail: "a later count covers it"}, false)
	}
}

func (r *releasing) covered(a *aside, c *counted) bool {
	k := r.l.kept(a)
	if k == nil || k.Event.Movement == nil {
		return false
	}
	m := k.Event.Movement
	route := routeOf(m.Type)
	if stage, _ := m.lineOf(route); stage != "" && len(k.Event.Refs) > 0 {
		return false
	}
	mv := m.move(route, 0)
	for _, e := range [2]Place{mv.From, mv.To} {
		if e.Account.IsState() && (e.Location != c.place || c.states&e.Account.bit() == 0) {
			return false
		}
	}
	return true
}
