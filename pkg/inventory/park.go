package inventory

import (
	"slices"
)

// Codes of events that wait, beside those of before_window and too many ids.
const (
	CodeBehind          Code = "behind"             // an earlier event of its document or reservation waits
	CodeUnknownReversal      = FaultUnknownReversal // what it reverses is not known yet
	CodeTooManySupply   Code = "too_many_supply"    // lines with something to come, of the item
)

// free says whether an event may be decided now; otherwise the plan says what it
// waits for.
func (l *Ledger) free(ev *Event, pl *plan) bool {
	if l.head.Window.Start != 0 && l.beforeWindow(ev) && pl.policy.posts(ev) {
		if r := ev.Reservation; r != nil && r.Action == Try {
			// Nobody waits that long for an answer: so old a request is not granted.
			pl.kind = Denied
			pl.code(CodeBeforeWindow)
			pl.answer = denial(r, CodeBeforeWindow)
			return false
		}
		if ev.Reservation == nil {
			pl.hold(CodeBeforeWindow, "it occurred before the window of remembered ids, so whether it was applied is not known")
			return false
		}
	}
	if l.head.Queue.Parked+l.head.Queue.Held != 0 && l.behind(ev) && pl.policy.posts(ev) {
		pl.hold(CodeBehind, "an earlier event of the same document or reservation waits")
		return false
	}
	return true
}

// denial is the answer to a request that was not looked at.
func denial(r *Reservation, c Code) *Answer {
	return &Answer{Reservation: r.ID, Action: r.Action, Verdict: VerdictDenied, Code: c, ReplyTo: r.ReplyTo}
}

// setAside makes the plan of an event that waits: nothing of what was decided, but
// for what lapses, and the event is kept (EXACTLY-ONCE §8). A key that keeps too
// much already freezes instead.
func (l *Ledger) setAside(ev *Event, pl *plan, at At) *Fault {
	w := pl.wait
	next := plan{kind: Parked, at: pl.at, policy: pl.policy, moves: pl.moves[:0], detail: w.detail}
	if f := l.lapse(&next, pl.now); f != nil {
		return f
	}
	next.code(w.code)
	k := &Kept{Event: cloneEvent(ev), Code: w.code, Detail: w.detail, At: ev.RecordedAt, Lineage: at.Lineage, Offset: at.Offset, Until: w.until}
	q, lim := &l.head.Queue, &pl.policy.Limits
	if q.Parked+q.Held >= lim.parked() || q.Bytes > lim.parkedBytes()-weighKept(k) {
		next.freeze(ev, CodeParkedFull)
	} else {
		next.keep = k
		if out, from := parkedOut(&k.Event); out != 0 {
			next.local(l, from).parked = true
		}
	}
	*pl = next
	return nil
}

// parking is what a plan says of what waits, and of whether the key takes events.
type parking struct {
	keep     *Kept     // the event in hand, set aside
	frozen   Code      // why the key freezes
	thaw     bool      // it takes events again
	approval *Approval // of an event that waits
	overdue  bool      // what the event waited for did not come in time
}

// hinder turns the plan of an event that cannot be taken now into that of setting it
// aside, or of freezing the key.
func (l *Ledger) hinder(ev *Event, pl *plan, at At) *Fault {
	if pl.wait.code != "" {
		return l.setAside(ev, pl, at)
	}
	if len(pl.lines) == 0 && pl.supply == nil || l.tooLarge(pl) == nil {
		return nil
	}
	next := plan{kind: Parked, at: pl.at, policy: pl.policy, moves: pl.moves[:0]}
	if f := l.lapse(&next, pl.now); f != nil {
		return f
	}
	next.freeze(ev, CodeOversize)
	*pl = next
	return nil
}

// recall remembers the id of an event, so that a repeat is one: of an event set
// aside as well. What a frozen key does not take is not known to it.
func (l *Ledger) recall(ev *Event, pl *plan, s Seen) {
	if pl.frozen != "" && pl.kind != Denied {
		return
	}
	l.head.Latest = max(l.head.Latest, when(ev))
	l.remember(s)
}

// tooManySupply says whether a supply line would be opened beyond the limit.
func (l *Ledger) tooManySupply(pl *plan, olds []*SupplyLine, after *SupplyLine) bool {
	if pl.policy == nil || pl.approved || len(after.Open) == 0 ||
		l.head.Book.Supplies < pl.policy.Limits.supplyLines() ||
		slices.ContainsFunc(olds, func(ln *SupplyLine) bool { return len(ln.Open) > 0 }) {
		return false
	}
	pl.hold(CodeTooManySupply, "the item has too many supply lines with something to come")
	return true
}

// reversible says whether an event can be reversed. One that is not known yet, or
// waits itself, is waited for; what came to nothing is not undone.
func (l *Ledger) reversible(id string, pl *plan) bool {
	h := HashID(id)
	_, known := l.seen(h)
	if !pl.approved && (!known || l.head.Queue.Parked+l.head.Queue.Held != 0 && l.keptByID(h) >= 0) {
		pl.hold(CodeUnknownReversal, "the event it reverses is not known yet, or waits itself")
		return false
	}
	if _, never := l.seen(neverApplied(id)); never {
		pl.kind = Superseded
		pl.code(CodeNeverApplied)
		pl.detail = "what it reverses was never applied"
		return false
	}
	return true
}

// parkedOut is what a waiting movement would take from on_hand, and where. Its
// quantity is known, so it is not promised meanwhile; what would come in is not
// promised before it has.
func parkedOut(ev *Event) (Quantity, Location) {
	m := ev.Movement
	if m == nil {
		return 0, ""
	}
	r := routeOf(m.Type)
	if r == nil {
		return 0, ""
	}
	if mv := m.move(r, 0); mv.From.Account == OnHand && mv.From.Location != "" && mv.Quantity > 0 {
		return mv.Quantity, mv.From.Location
	}
	return 0, ""
}

// pieceOf is the kind of piece an event that waits stands in.
func pieceOf(c Code) string {
	if slices.Contains([]Code{CodeBehind, CodeBeforeWindow, CodeUnknownReversal, CodeTooManySupply, CodeFutureCount, CodeRevised}, c) {
		return PieceParked
	}
	return PieceWaiting
}

func weighKept(k *Kept) int32 { return int32((&Piece{Kept: k}).Weight()) }

// cloneEvent is a copy that shares no slice or body with the event.
func cloneEvent(ev *Event) Event {
	c := *ev
	c.Refs, c.Attributes = slices.Clone(ev.Refs), slices.Clone(ev.Attributes)
	c.Movement, c.Demand, c.Supply = clone(ev.Movement), clone(ev.Demand), clone(ev.Supply)
	c.Setting, c.Approval, c.Control = clone(ev.Setting), clone(ev.Approval), clone(ev.Control)
	if n := clone(ev.Count); n != nil {
		n.Includes, n.Covers, n.Balances = slices.Clone(n.Includes), slices.Clone(n.Covers), slices.Clone(n.Balances)
		c.Count = n
	}
	if r := clone(ev.Reservation); r != nil {
		r.Lines, r.Siblings = slices.Clone(r.Lines), slices.Clone(r.Siblings)
		c.Reservation = r
	}
	return c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
