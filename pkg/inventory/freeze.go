package inventory

// Codes of a frozen key.
const (
	CodeFrozen     Code = "frozen"      // the key takes no events
	CodeParkedFull Code = "parked_full" // why: too much waits already
	CodeOversize   Code = "oversize"    // why: what an event makes is too large to be kept
	CodeDiverted   Code = "diverted"    // why: an event could not be worked on, not even alone
	CodeEventsLeft Code = "events_left" // it cannot go on yet: not all that it did not take was appended again
)

// A key freezes when it can no longer say of every event what became of it: too much
// waits, or its state has outgrown what can be kept. From then on its events are
// counted and stay in the log, its numbers are of before, and requests are denied.
//
// An operator ends it by appending those events again, in the order of the log, each
// marked as the copy of its offset and with the ledger time it had (At.Copy). Copies
// are taken while the key is frozen; what arrives meanwhile is counted as before, so
// it comes after them and is copied in turn. When none is left an approval unfreezes
// the key; while some are left it does not. A copy at or below the last one taken is
// a repeat, so the operator may begin again anywhere. One that is too much still is
// not taken, and nothing behind it is until it has been (ADR 15).

// Frozen says since when and why the key takes no events; its Since is 0 when it
// does.
func (l *Ledger) Frozen() Frozen { return l.head.Frozen }

// Freeze makes the key take no events from this one on, which the caller has found it
// cannot take: no transaction holds what it makes, for one. The outcome says so, and
// leaves out what the event carries: it stands in the log. A key that is frozen stays
// so, and the copy it could not take is the one it awaits.
func (l *Ledger) Freeze(out *Outcome, p *Policy, ev *Event, at At, why Code) {
	moves := out.Moves[:0]
	*out = Outcome{}
	if l.last != nil {
		l.last.begin()
	}
	if f := &l.head.Frozen; f.Since != 0 {
		if at.Copy && !l.repeated(at) && !l.ahead(at) {
			f.Offset, f.Code = at.Original, why
		}
		l.whileFrozen(out, p, ev, at)
		out.Attributes = nil
		return
	}
	id := HashID(ev.ID)
	pl := plan{kind: Parked, at: ev.OccurredAt, policy: p, now: l.head.Clock, moves: moves}
	pl.freeze(ev, why)
	l.post(p, ev, &pl, at)
	if _, seen := l.seen(id); !seen {
		l.recall(ev, &pl, Seen{ID: id, Content: ContentHash(ev), Verdict: pl.verdict()})
	}
	l.head.Fence = Fence{Lineage: at.Lineage, Offset: at.Offset, IDHash: id}
	l.headDirty = true
	l.tend(p, &pl)
	l.say(out, p, ev, &pl, at)
	out.Attributes = nil
}

// freeze makes the plan one that freezes the key.
func (pl *plan) freeze(ev *Event, why Code) {
	pl.frozen = why
	pl.code(CodeFrozen)
	pl.code(why)
	pl.detail = "the key takes no more events, this one included"
	if r := ev.Reservation; r != nil && r.Action == Try {
		pl.kind, pl.answer = Denied, denial(r, CodeFrozen)
	}
}

// tooLarge says whether the plan makes a piece larger than can be kept.
func (l *Ledger) tooLarge(pl *plan) *Fault {
	for i := range pl.lines {
		if ln := pl.lines[i].after; ln != nil && weighLine(ln) > MaxPieceBytes {
			return fault(CodeOversize, "refs", "the line has too many documents to be kept")
		}
	}
	if s := pl.supply; s != nil && weighSupply(s.after) > MaxPieceBytes {
		return fault(CodeOversize, "refs", "the line has too many documents to be kept")
	}
	for i := range pl.shared {
		if weighSupply(pl.shared[i].after) > MaxPieceBytes {
			return fault(CodeOversize, "refs", "the line has too many documents to be kept")
		}
	}
	for i := range pl.locals() {
		if lc := pl.localAt(i); lc.newReserved && weighBuckets(lc.reserved) > MaxPieceBytes/2 ||
			lc.newSupply && weighBuckets(lc.supply) > MaxPieceBytes/2 {
			return fault(CodeOversize, "location", "it has too many sorts of claims or supply to be kept")
		}
	}
	return nil
}

// turn makes the key freeze, or take events again: every position says so once.
func (l *Ledger) turn(ev *Event, pl *plan, at At) {
	f := &l.head.Frozen
	switch {
	case pl.thaw:
		*f = Frozen{}
	case f.Since != 0: // a copy that is too much still: it is not taken
		if at.Copy {
			f.Offset, f.Code = at.Original, pl.frozen
		}
		return
	default:
		*f = Frozen{Since: max(1, ev.RecordedAt), Offset: at.Offset, Taken: at.Offset, Code: pl.frozen}
		if pl.kind == Parked && ev.Missed() {
			f.Count, f.Last, f.Taken = 1, at.Offset, at.Offset-1 // its copy is the first
		}
	}
	for _, name := range l.Locations() {
		pl.local(l, name).parked = true
	}
}

// whileFrozen is what becomes of an event that a frozen key does not take.
func (l *Ledger) whileFrozen(out *Outcome, p *Policy, ev *Event, at At) {
	pl := plan{kind: Parked, at: ev.OccurredAt, policy: p, codes: []Code{CodeFrozen}}
	f := &l.head.Frozen
	id := HashID(ev.ID)
	switch {
	case at.Copy && l.repeated(at):
		pl.kind, pl.codes = Duplicate, nil
	case at.Copy && at.Original == f.Offset:
		pl.code(f.Code)
		pl.detail = "it is too much still"
	case at.Copy:
		pl.code(CodeBehind)
		pl.detail = "an earlier event of the key is not taken yet"
	case ev.Kind == KindTick:
		pl.kind, pl.detail = Noted, "the key is frozen"
	case ev.Reservation != nil && ev.Reservation.Action == Try:
		had, seen := l.seen(id)
		if content := ContentHash(ev); seen && had.Content == content { // it gets its first answer again
			pl.kind, pl.codes = Duplicate, nil
			pl.ask(ev.Reservation)
			l.answerAgain(ev.Reservation, &pl, had.Verdict)
			break
		}
		// A denial is final: what the caller was told holds.
		pl.kind, pl.answer = Denied, denial(ev.Reservation, CodeFrozen)
		if !seen {
			l.recall(ev, &pl, Seen{ID: id, Content: ContentHash(ev), Verdict: pl.verdict()})
		}
	default:
		if ev.Missed() {
			f.Count++
			f.Last = at.Offset
		}
		pl.detail = "the key is frozen: " + string(f.Code)
	}
	l.head.Fence = Fence{Lineage: at.Lineage, Offset: at.Offset, IDHash: id}
	l.headDirty = true
	l.tend(p, &pl)
	l.say(out, p, ev, &pl, at)
}

// Missed says whether a frozen key counts the event, so that it awaits its copy.
func (ev *Event) Missed() bool {
	switch ev.Kind {
	case KindTick, KindApproval, KindControl:
		return false
	case KindReservation:
		return ev.Reservation.Action != Try
	case KindMovement, KindCount, KindDemand, KindSupply, KindSetting:
	}
	return true
}

// repeated says whether a copy was taken before, or is of an event that was.
func (l *Ledger) repeated(at At) bool {
	f := &l.head.Frozen
	return at.Copy && f.Since != 0 && (at.Original < f.Offset || at.Original <= f.Taken)
}

// ahead says whether a copy is of an event behind the one that is to be taken next.
func (l *Ledger) ahead(at At) bool {
	f := &l.head.Frozen
	return at.Copy && f.Taken < f.Offset && at.Original > f.Offset
}

// took notes that a copy was taken.
func (l *Ledger) took(ev *Event, pl *plan, at At) {
	f := &l.head.Frozen
	if f.Since == 0 || pl.frozen != "" || l.repeated(at) {
		return
	}
	f.Taken = at.Original
	if ev.Missed() && f.Count > 0 {
		f.Count--
	}
}

// rejected notes that a copy was taken and rejected, and where.
func (l *Ledger) rejected(ev *Event, at At) {
	if l.head.Frozen.Since != 0 && !l.repeated(at) {
		l.took(ev, &plan{}, at)
		l.head.Fence = Fence{Lineage: at.Lineage, Offset: at.Offset, IDHash: HashID(ev.ID)}
		l.headDirty = true
	}
}

// decideUnfreeze takes a person's word on a frozen key.
func (l *Ledger) decideUnfreeze(a *Approval, pl *plan) *Fault {
	f := &l.head.Frozen
	switch {
	case f.Since == 0:
		return fault(FaultNotFrozen, "approval.release", "")
	case a.Release == ReleaseUnfreeze && (f.Count != 0 || f.Taken < f.Last):
		pl.kind = Denied
		pl.code(CodeEventsLeft)
		pl.detail = "events left to append again: " + number(max(1, f.Count))
		return nil
	case a.Release == ReleaseDrop:
		pl.detail = "events given up: " + number(f.Count)
	}
	pl.thaw = true
	return nil
}
