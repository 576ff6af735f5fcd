package audit

import (
	"fmt"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// touched is a place as it was before an outcome.
type touched struct {
	location string
	before   states
}

// fold adds the outcome at hand to its item, and checks what can be said of it by
// itself and against its event, which is nil where it is gone.
func (p *part) fold(rec *stream.Record, ev *inventory.Event, offset int64) {
	o := &p.outcome
	p.report.Outcomes[string(o.Kind)]++
	it := p.item(rec.Key)
	also := it.also(o)
	it.known = it.known || p.whole
	fault := func(invariant int, check, expected, found string) {
		p.find(it, Finding{
			Invariant: invariant, Check: check, Offset: o.Offset, EventID: o.EventID, at: int64(o.RecordedAt),
			Seen: p.seenOutcome(rec), Expected: expected, Found: found,
		})
	}
	if ev != nil {
		if what, want, got := differs(o, ev, offset, p.id); what != "" {
			fault(2, ForeignOutcome, what+" "+want, what+" "+got)
		}
	}
	if o.Key.String() != it.key {
		fault(2, ForeignOutcome, "key "+it.key, "key "+o.Key.String())
	}

	if o.Kind == inventory.Noted && slices.Contains(o.Codes, inventory.CodeShadow) {
		shadow := *o // its moves and its other codes are what would have been
		shadow.Moves, shadow.Codes = nil, nil
		o = &shadow
	}
	var buf [4]touched
	was := buf[:0]
	for i := range o.Moves {
		m := &o.Moves[i]
		if why := badMove(m); why != "" {
			fault(3, BadMove, "a double entry", why)
			continue
		}
		was = it.shift(was, m.From, -m.Quantity)
		was = it.shift(was, m.To, m.Quantity)
	}
	changed, short := false, false
	for i := range was {
		pl := it.place(was[i].location)
		if pl.states == was[i].before {
			continue
		}
		changed = true
		pl.offset = o.Offset
		if also || o.Lineage == it.lineage && o.Offset < it.offset { // the position is of the event that let it go
			pl.offset = it.offset
		}
		for a, q := range pl.states {
			short = short || q < 0 && q < was[i].before[a]
		}
	}
	if len(o.Moves) > 0 && o.Kind != inventory.Applied && o.Kind != inventory.Superseded {
		fault(3, BadMove, fmt.Sprintf("no move, since the event is %s", o.Kind), sayMove(&o.Moves[0]))
	}
	if ev != nil && o.Kind == inventory.Applied {
		if want, got, ok := stated(ev, o.Moves); !ok {
			fault(3, UnstatedMove, want, got)
		}
	}
	named := slices.Contains(o.Codes, inventory.CodeNegative)
	it.short = it.short || named || slices.Contains(o.Codes, inventory.CodeOversold)
	if p.whole && short && !named {
		fault(4, Unnamed, "the code "+string(inventory.CodeNegative)+", since a state fell below zero", fmt.Sprintf("codes %v", o.Codes))
	}

	if want, ok := it.step(o, changed, also); !ok {
		fault(5, VersionStep, want, fmt.Sprintf("version %d", o.Version))
	}
	switch {
	case ev == nil || p.policy < 0:
		p.policy = o.PolicyVersion
	case o.PolicyVersion != p.policy:
		fault(8, PolicyVersion, fmt.Sprintf("decided by policy version %d, as the log says", p.policy), fmt.Sprintf("version %d", o.PolicyVersion))
	}
	it.froze = it.froze || slices.Contains(o.Codes, inventory.CodeFrozen)
	switch {
	case also:
	case o.Kind == inventory.Rejected && (ev == nil || ev.RecordedAt != o.RecordedAt || !p.copy || !it.froze):
		// a rejected event leaves no trace in the state; a copy that a frozen key took does
	default:
		it.lineage, it.offset, it.id, it.clock = o.Lineage, o.Offset, inventory.HashID(o.EventID), max(it.clock, o.RecordedAt)
	}
	if o.Kind == inventory.Parked && !slices.Contains(o.Codes, inventory.CodeFrozen) {
		if it.waits == nil {
			it.waits = map[spot]uint64{}
		}
		it.waits[spot{o.Lineage, o.Offset}] = inventory.HashID(o.EventID)
	}
}

// differs compares what an outcome repeats of its event.
func differs(o *inventory.Outcome, ev *inventory.Event, offset int64, partition int32) (what, want, got string) {
	switch {
	case o.EventID != ev.ID:
		return "event id", ev.ID, o.EventID
	case o.Key != ev.Key:
		return "key", ev.Key.String(), o.Key.String()
	case o.EventKind != ev.Kind:
		return "event kind", string(ev.Kind), string(o.EventKind)
	case o.Source != ev.Source:
		return "source", string(ev.Source), string(o.Source)
	case o.Document != ev.Document:
		return "document", fmt.Sprint(ev.Document), fmt.Sprint(o.Document)
	case o.RecordedAt != ev.RecordedAt:
		return "ledger time", fmt.Sprint(ev.RecordedAt), fmt.Sprint(o.RecordedAt)
	case o.Partition != partition || o.Offset != offset:
		return "place", fmt.Sprintf("%d/%d", partition, offset), fmt.Sprintf("%d/%d", o.Partition, o.Offset)
	}
	return "", "", ""
}

// badMove says why a move is no double entry (Invariant 3).
func badMove(m *inventory.Move) string {
	ends := [2]*inventory.Place{&m.From, &m.To}
	for _, e := range ends {
		if int(e.Account) >= inventory.NumAccounts || e.Account.IsState() != (e.Location != "") {
			return sayMove(m)
		}
	}
	if m.Quantity <= 0 || m.From == m.To {
		return sayMove(m)
	}
	return ""
}

func sayMove(m *inventory.Move) string {
	return fmt.Sprintf("%s %s %s/%s → %s/%s", m.Type, m.Quantity, m.From.Location, m.From.Account, m.To.Location, m.To.Account)
}

// stated says whether a movement that belongs to no line moved what it states:
// such a movement leaves the ledger no choice. An opening of nothing moves nothing.
func stated(ev *inventory.Event, moves []inventory.Move) (want, got string, ok bool) {
	m := ev.Movement
	if m == nil || len(ev.Refs) > 0 {
		return "", "", true
	}
	q := max(m.Quantity, -m.Quantity)
	if q == 0 && len(moves) == 0 {
		return "", "", true
	}
	want = fmt.Sprintf("first a move of %s %s at %s", m.Type, q, m.Location)
	if len(moves) == 0 {
		return want, "no move", false
	}
	f := &moves[0]
	return want, sayMove(f), f.Type == m.Type && f.Quantity == q && (f.From.Location == m.Location || f.To.Location == m.Location)
}

// shift posts one end of a move, and remembers how the place was before.
func (it *item) shift(was []touched, at inventory.Place, q inventory.Quantity) []touched {
	if !at.Account.IsState() {
		it.outside[at.Account-inventory.NumStates] += q
		return was
	}
	pl := it.place(string(at.Location))
	if !slices.ContainsFunc(was, func(t touched) bool { return t.location == pl.location }) {
		was = append(was, touched{pl.location, pl.states})
	}
	pl.states[at.Account] += q
	return was
}

// waiting says whether an outcome is that of an event set aside before.
func (it *item) waiting(o *inventory.Outcome) bool {
	id, ok := it.waits[spot{o.Lineage, o.Offset}]
	return ok && id == inventory.HashID(o.EventID) && (o.Offset < it.offset || o.Lineage < it.lineage)
}

// also says whether an outcome is that of an event set aside before, and ends its
// waiting. Such a one has the place of its event, which stands before the last.
func (it *item) also(o *inventory.Outcome) bool {
	if !it.waiting(o) {
		return false
	}
	delete(it.waits, spot{o.Lineage, o.Offset})
	return true
}

// step takes an outcome's version. Invariant 5: it grows by one with each event
// that changed a fact, and never otherwise. What lapses is free whatever becomes of
// the event that brought the time.
func (it *item) step(o *inventory.Outcome, changed, also bool) (want string, ok bool) {
	if o.Kind == inventory.Rejected && !also {
		return fmt.Sprintf("version %d or none", it.version), !it.known || o.Version == 0 || o.Version == it.version
	}
	had, known := it.version, it.known
	it.version, it.known = o.Version, true
	if !known {
		return "", true
	}
	least, most := had, had+1
	frozen := slices.Contains(o.Codes, inventory.CodeFrozen)
	switch o.Kind {
	case inventory.Duplicate, inventory.Conflict:
		most = had
	case inventory.Denied: // the one that freezes the key changes its positions
		if !frozen || len(o.Codes) == 1 {
			most = had
		}
	case inventory.Parked: // what would go out is promised no more, and nor is what is frozen
		if frozen && len(o.Codes) == 1 {
			most = had
		}
	case inventory.Applied, inventory.Noted, inventory.Superseded, inventory.Rejected:
	}
	if changed || len(o.Lapsed) > 0 && most == had {
		least, most = had+1, had+1
	}
	if least == most {
		return fmt.Sprintf("version %d", least), o.Version == least
	}
	return fmt.Sprintf("version %d or %d", least, most), o.Version == least || o.Version == most
}
