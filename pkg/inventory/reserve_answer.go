package inventory

import "slices"

// Codes of answers, and of events that lapsed claims.
const (
	CodeNotEnough     Code = "not_enough"          // more than fits
	CodeContended     Code = "contended"           // fits but for tentative claims of others
	CodeTooManyClaims Code = "too_many_claims"     // open claims of the item
	CodePartnerCap    Code = "partner_cap"         // tentative quantity of the partner
	CodeItemCap       Code = "item_cap"            // tentative quantity of the item
	CodeCancelled     Code = "cancelled"           // the reservation was cancelled before
	CodeLapsed        Code = "lapsed"              // its time was over, in the time of the log
	CodeUnknown       Code = "unknown_reservation" // nothing was granted here under this id
)

// reasons are the codes of a denial by the number that is stored with the event's id,
// above the verdict's three bits. Numbers never change.
var reasons = [8]Code{
	1: CodeNotEnough, 2: CodeTooManyClaims, 3: CodePartnerCap, 4: CodeItemCap, 5: CodeFrozen, 6: CodeContended,
	7: CodeBeforeWindow,
}

const verdictBits = 3

// verdict is what is stored of the plan's answer with the event's id.
func (pl *plan) verdict() Verdict {
	if pl.answer == nil {
		return NoVerdict
	}
	v := pl.answer.Verdict
	if i := slices.Index(reasons[:], pl.answer.Code); i > 0 {
		v |= Verdict(i) << verdictBits
	}
	return v
}

// Split is a stored verdict with the reason that stands beside it.
func (v Verdict) Split() (Verdict, Code) {
	v, reason := v&(1<<verdictBits-1), reasons[v>>verdictBits&7]
	switch v {
	case VerdictCancelled:
		reason = CodeCancelled
	case Lapsed:
		reason = CodeLapsed
	case Unknown:
		reason = CodeUnknown
	case NoVerdict, Granted, VerdictDenied, Contended, Confirmed:
	}
	return v, reason
}

// refuse answers that nothing changes.
func (pl *plan) refuse(v Verdict, c Code) {
	pl.kind = Denied
	pl.answer.Verdict, pl.answer.Code = v, c
	pl.code(c)
}

// again concludes an event whose id is known: a request gets its first answer again,
// and what has lapsed meanwhile is free all the same.
func (l *Ledger) again(p *Policy, ev *Event, pl *plan, at At, had Seen) *Fault {
	if ev.Kind == KindReservation && pl.kind == Duplicate {
		pl.ask(ev.Reservation)
		l.answerAgain(ev.Reservation, pl, had.Verdict)
	}
	if len(pl.lines) == 0 {
		return nil
	}
	if f := l.conclude(pl); f != nil {
		return f
	}
	l.post(p, ev, pl, at)
	return nil
}

// ask begins the answer to a request.
func (pl *plan) ask(r *Reservation) {
	pl.answer = &Answer{Reservation: r.ID, Action: r.Action, ReplyTo: r.ReplyTo}
}

func (l *Ledger) answerAgain(r *Reservation, pl *plan, v Verdict) {
	a := pl.answer
	a.Verdict, a.Code = v.Split()
	if r.Action == Cancel && a.Verdict == VerdictCancelled {
		a.Code = ""
	}
	if a.Verdict == Granted || a.Verdict == Confirmed {
		l.tell(pl, l.holds(pl, r.ID, len(r.Lines)))
	}
}

// tell puts what is granted into the answer.
func (l *Ledger) tell(pl *plan, hs []hold) {
	a := pl.answer
	for _, h := range hs {
		held := h.line.Held
		for _, c := range held.Granted {
			a.Lines = append(a.Lines, AnswerLine{Line: held.Line, Location: c.Location, Quantity: c.Quantity})
			a.Available = saturate(a.Available, c.Quantity)
		}
		if held.ExpiresAt != 0 && (a.ExpiresAt == 0 || held.ExpiresAt < a.ExpiresAt) {
			a.ExpiresAt = held.ExpiresAt
		}
	}
}
