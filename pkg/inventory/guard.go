package inventory

import "slices"

// wait says that the event in hand is not decided now, and why.
type wait struct {
	code   Code
	detail string
	until  Instant // when it is decided without what it waits for; 0: by approval only
}

// counts is the policy that counts are decided by; never nil.
func (pl *plan) counts() *CountPolicy {
	if pl.policy == nil {
		return &CountPolicy{}
	}
	return &pl.policy.Counts
}

// moment is that of the event in hand.
func (pl *plan) moment() moment { return moment{pl.at, pl.order} }

// hold sets the event in hand aside instead of what the plan has of it.
func (pl *plan) hold(c Code, detail string) {
	if pl.wait.code == "" {
		pl.wait = wait{code: c, detail: detail}
	}
}

// Codes of counts that wait.
const (
	CodeFutureCount      = FaultFutureCount    // its as-of lies in the future of the log
	CodeGuard       Code = "guard"             // it changes more than policy lets it
	CodeUnconfirmed Code = "unconfirmed_raise" // its as-of is only inferred, and it would raise on_hand
)

// awaited keeps the time at which the first of what waits is decided by time alone.
func (l *Ledger) awaited() {
	var first Instant
	q := l.queue()
	for i := range q {
		if u := q[i].until; u != 0 && (first == 0 || u < first) {
			first = u
		}
	}
	l.head.Queue.Until = first
}

// WakeAt is the earliest ledger time at which time alone decides something of the
// key: a reservation lapses, or what waits has waited long enough. It is 0 when
// nothing does.
func (h *Head) WakeAt() Instant {
	if h.Frozen.Since != 0 {
		return 0 // its time stands still
	}
	a, b := h.Book.ExpiresAt, h.Queue.Until
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// WakeAt is that of the ledger's head.
func (l *Ledger) WakeAt() Instant { return l.head.WakeAt() }

// clamp is a stated time, or that of receipt where it lies beyond by more than the
// source's clock may be off.
func (pl *plan) clamp(ev *Event, at Instant) Instant {
	received := ev.ReceivedAt
	if received == 0 {
		received = ev.RecordedAt
	}
	var c *CountPolicy
	if pl.policy != nil {
		c = &pl.policy.Counts
	}
	to := c.Clamped(ev.Source, at, received)
	if to != at {
		pl.code(CodeFutureClock)
	}
	return to
}

// Clamped is a time that a source states, or that of its receipt where it lies beyond
// by more than the source's clock may be off. A nil policy has the usual skew; of an
// unknown receipt, 0, the time stays.
func (c *CountPolicy) Clamped(s Source, at, received Instant) Instant {
	skew := Skew
	if c != nil && len(c.Sources) > 0 {
		if x := c.of(s); x != nil && x.Skew > 0 {
			skew = x.Skew
		}
	}
	if received == 0 || at <= received+skew {
		return at
	}
	return received
}

// trust asks whether policy lets a count change what it would; else it is held.
func (l *Ledger) trust(pl *plan, ev *Event, t *tally) *Fault {
	x := pl.counts().of(ev.Source)
	if x == nil || pl.approved || pl.wait.code != "" {
		return nil
	}
	if why := x.Guard.stops(t, pl.policy.unitValue(ev.Key)); why != "" {
		pl.hold(CodeGuard, why)
		return nil
	}
	if x.Agreeing <= 1 || ev.Count.AsOfBasis != BasisReceipt || t.diff[OnHand] <= 0 {
		return nil
	}
	n := 1
	for _, k := range l.heldCounts(ev, CodeUnconfirmed) {
		agrees, f := l.agrees(pl, k, t)
		if f != nil {
			return f
		}
		if agrees && k.Event.Count.AsOf != ev.Count.AsOf {
			n++
		}
	}
	if n < x.Agreeing {
		pl.hold(CodeUnconfirmed, "snapshot "+number(int64(n))+" of "+number(int64(x.Agreeing))+" that finds "+t.diff[OnHand].String()+" more")
	}
	return nil
}

// stops says which limit a count is beyond, or nothing. unit is what one base unit
// is worth, 0 when that is not known.
func (g *CountGuard) stops(t *tally, unit Quantity) string {
	var sum, was, left Quantity
	for a := range Account(NumStates) {
		if t.sets&a.bit() == 0 {
			continue
		}
		sum = saturate(sum, max(t.diff[a], -t.diff[a]))
		was = saturate(was, max(0, t.then[a]))
		left = saturate(left, max(0, saturate(t.then[a], t.diff[a])))
	}
	switch {
	case g.ZeroOuts && was > 0 && left == 0:
		return "it leaves nothing of " + was.String()
	case g.Absolute > 0 && sum > g.Absolute:
		return "it changes " + sum.String() + ", the limit is " + g.Absolute.String()
	case g.Relative > 0 && was > 0 && sum > portion(was, g.Relative):
		return "it changes " + sum.String() + " of " + was.String()
	case g.Value > 0 && unit > 0 && portion(sum, unit) > g.Value:
		return "it changes a value of " + portion(sum, unit).String() + ", the limit is " + g.Value.String()
	}
	return ""
}

// portion is q times a factor at scale 10^-4, within MaxQuantity; both are not
// negative.
func portion(q, factor Quantity) Quantity {
	whole, part := q/One, q%One
	if factor > 0 && (whole > MaxQuantity/factor || part > MaxQuantity/factor) {
		return MaxQuantity
	}
	return saturate(whole*factor, part*factor/One)
}

// unitValue is what one base unit of an item is worth, where a comparison of claimed
// views says so; else 0.
func (p *Policy) unitValue(k Key) Quantity {
	for i := range p.Authority.Compare {
		for _, t := range p.Authority.Compare[i].Items {
			if t.Key == k && t.Value > 0 {
				return t.Value
			}
		}
	}
	return 0
}

// heldCounts are the counts of the event's source and location that wait for one
// of the given reasons.
func (l *Ledger) heldCounts(ev *Event, codes ...Code) []*Kept {
	if l.head.Queue.Held == 0 {
		return nil
	}
	var ks []*Kept
	q := l.queue()
	for i := range q {
		if k := l.heldCount(&q[i], ev, codes...); k != nil {
			ks = append(ks, k)
		}
	}
	return ks
}

func (l *Ledger) heldCount(a *aside, ev *Event, codes ...Code) *Kept {
	if !slices.Contains(codes, a.code) {
		return nil
	}
	k := l.kept(a)
	if k == nil || k.Event.Count == nil || k.Event.Source != ev.Source || k.Event.Count.Location != ev.Count.Location || k.Event.ID == ev.ID {
		return nil
	}
	return k
}

// agrees says whether a count that waits finds, as of its own time, the difference
// that another one finds.
func (l *Ledger) agrees(pl *plan, k *Kept, t *tally) (bool, *Fault) {
	ev := k.Event
	ev.RecordedAt = k.At
	trial := plan{policy: pl.policy, now: pl.now, approved: true}
	trial.at = trial.clamp(&ev, ev.Count.AsOf)
	now := l.location(ev.Count.Location)
	if now == nil {
		now = &LocationState{Location: ev.Count.Location}
	}
	other, f := l.tally(&trial, &ev, now)
	return other.sets == t.sets && other.diff == t.diff, f
}

// outdate ends the waiting of older counts of the source and location that the
// event in hand counted: it was posted, or it waits itself. Snapshots that agree
// wait together.
func (r *releasing) outdate(ev *Event, pl *plan) {
	if ev.Count == nil || pl.keep == nil && pl.counted.states == 0 || r.l.head.Queue.Held == 0 {
		return
	}
	var mine *tally
	if pl.keep != nil && pl.keep.Code == CodeUnconfirmed {
		trial := plan{policy: r.policy, now: r.now, approved: true}
		trial.at = trial.clamp(ev, ev.Count.AsOf)
		now := r.l.location(ev.Count.Location)
		if now == nil {
			now = &LocationState{Location: ev.Count.Location}
		}
		if t, f := r.l.tally(&trial, ev, now); f == nil {
			mine = &t
		}
	}
	for i := 0; i < len(r.l.queue()); {
		a := &r.l.queue()[i]
		k := r.l.heldCount(a, ev, CodeGuard, CodeUnconfirmed, CodeAmbiguous)
		if k == nil || !k.Event.outdatedBy(ev) {
			i++
			continue
		}
		if mine != nil && k.Code == CodeUnconfirmed {
			if same, f := r.l.agrees(&plan{policy: r.policy, now: r.now}, k, mine); f == nil && same {
				i++
				continue
			}
		}
		r.end(i, plan{kind: Superseded, detail: "a later count of its source takes its place"}, true)
	}
}

// outdatedBy says whether another count of its source and location takes the place of
// one that waits: a newer revision of its document, or one of a later moment that
// reports as much.
func (ev *Event) outdatedBy(by *Event) bool {
	d, e := &ev.Document, &by.Document
	if d.Type == e.Type && d.Number == e.Number && d.Line == e.Line && d.Revision != e.Revision &&
		(d.Revision == "" || e.Revision == "" || revisionNumber(d.Revision) != 0 && revisionNumber(e.Revision) != 0) {
		return compareRevisions(d.Revision, e.Revision) < 0
	}
	return ev.Count.AsOf <= by.Count.AsOf && set(ev.Count.Covers)&^set(by.Count.Covers) == 0
}

// waits says whether a line of a full snapshot about this item waits.
func (l *Ledger) waits(end *SnapshotEnd) bool {
	if l.head.Queue.Parked+l.head.Queue.Held == 0 {
		return false
	}
	q := l.queue()
	for i := range q {
		k := l.kept(&q[i])
		if k != nil && k.Event.Count != nil && k.Event.Count.Snapshot == end.ID && k.Event.Count.Location == end.Location {
			return true
		}
	}
	return false
}
