//go:build synctests

package atp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// Items of which events are set aside: what reverses something not known yet, what is
// behind it in its document, counts too near a movement, movements too near a count,
// counts that change too much or are as of the future.

const (
	simAsides  = 3
	simAsideAt = inventory.Location("DC1") // the one place of these items
	simLab     = inventory.Source("lab")   // who counts there
	simDoubt   = 20 * time.Second          // how far its times may be off
	simTooFar  = 50 * inventory.One        // what one of its counts may change
)

func isAside(k inventory.Key) bool { return strings.HasPrefix(string(k.Item), "aside-") }

// simLedger is all that a version of the policy says.
func simLedger(version int64) inventory.Policy {
	p := simPolicy(version).Ledger()
	p.Version = version
	p.Origins = []inventory.Source{"shop"}
	p.Lines = inventory.LinePolicy{LinkWait: inventory.Instant(simLinkWait.Milliseconds()), Unlinked: inventory.UnlinkedClaims}
	p.Limits.ParkedBytes = simParked
	p.Counts.Sources = []inventory.CountSource{
		{
			Source: simLab, Skew: inventory.Instant(simDoubt.Milliseconds()), Ambiguous: inventory.HeldBack,
			Guard: inventory.CountGuard{Absolute: simTooFar},
		},
		{Source: simFull, ZeroShare: simShare},
	}
	return p
}

// aside lets something wait of which a story tells, and decides what does not come to
// its end by itself. Now and then nobody decides.
func (p *simPlan) aside(at time.Duration) {
	item := "aside-" + strconv.Itoa(p.rng.IntN(simAsides))
	receipt := func(at time.Duration) inventory.Event {
		ev := p.event(at, inventory.KindMovement, item, "wms")
		ev.Movement = &inventory.Movement{Type: inventory.Receipt, Location: simAsideAt, Quantity: p.units(5)}
		return ev
	}
	count := func(at time.Duration, q inventory.Quantity, asOf inventory.Instant) inventory.Event {
		ev := p.event(at, inventory.KindCount, item, simLab)
		ev.Count = &inventory.Count{
			Location: simAsideAt, Basis: inventory.Sellable, Covers: []inventory.Account{inventory.OnHand}, AsOf: asOf, AsOfBasis: inventory.BasisDocument,
			Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: q}},
		}
		return ev
	}
	reversal := func(at time.Duration, of *inventory.Event) inventory.Event {
		ev := p.event(at, inventory.KindMovement, item, "wms")
		ev.Movement = &inventory.Movement{
			Type: inventory.Reversal, Location: simAsideAt, FromState: inventory.OnHand, ToState: inventory.Supplier,
			Quantity: of.Movement.Quantity, Reverses: of.ID,
		}
		return ev
	}
	word := func(id string) {
		if p.oneIn(8) {
			return
		}
		later := at + p.between(30*time.Second, 4*time.Minute)
		ev := p.event(later, inventory.KindApproval, item, "op")
		release := inventory.ReleaseApply
		if p.oneIn(2) {
			release = inventory.ReleaseDrop
		}
		ev.Approval = &inventory.Approval{Event: id, Release: release, Author: "ann", Reason: "seen to"}
		p.send(later, ev)
	}
	switch p.rng.IntN(5) {
	case 0, 1: // a receipt, its reversal, and what follows that in its document
		r := receipt(at)
		later := at + p.between(-time.Minute, time.Minute)
		v := reversal(later, &r)
		next := later + p.between(time.Second, time.Minute)
		b := receipt(next)
		b.Document = v.Document
		b.Document.Line = "2"
		b.ID = event.EventID(b.Source, b.Document)
		p.send(later, v)
		p.send(next, b)
		if p.oneIn(4) { // it never comes, or when that is decided
			word(v.ID)
			at += 3 * time.Minute
		}
		if !p.oneIn(6) {
			p.send(at, r)
		}
	case 2: // near a count, before it or after
		r := receipt(at)
		later := at + p.between(-20*time.Second, 20*time.Second)
		c := count(later, p.units(12), r.OccurredAt+inventory.Instant(p.between(-3*simDoubt/2, 3*simDoubt/2).Milliseconds()))
		p.send(at, r)
		p.send(later, c)
		if p.oneIn(2) { // may come to nothing with it
			p.send(at+p.between(0, time.Minute), reversal(at, &r))
		}
		word(r.ID)
		word(c.ID)
	case 3: // too much, until a later count takes its place
		c := count(at, 200*inventory.One, p.start+inventory.Instant((at-p.between(time.Second, 10*time.Minute)).Milliseconds()))
		p.send(at, c)
		if p.oneIn(2) {
			word(c.ID)
		}
		later := at + p.between(0, 2*time.Minute)
		p.send(later, count(later, p.units(12), p.start+inventory.Instant(later.Milliseconds())))
	default: // of a clock that is ahead
		c := count(at, p.units(12), p.start+inventory.Instant((at+10*time.Minute).Milliseconds()))
		p.send(at, c)
		word(c.ID)
	}
}

// simAside is such an item, said again in the plainest way: what has an effect, what
// waits, and what each event lets go on. It reads no ledger.
type simAside struct {
	seen    map[string]bool // not those that were refused outright
	never   map[string]bool // came to nothing
	moved   []simMoved
	counted []simMoved
	waits   []simWait
	said    []simSaid // by the step in hand
}

// simMoved is what moved, or what a count found.
type simMoved struct {
	at inventory.Instant
	q  inventory.Quantity
}

type simWait struct {
	ev   inventory.Event
	code inventory.Code
}

// simSaid is an outcome in the model's words. Codes of what is applied are the
// ledger's own.
type simSaid struct {
	id   string
	kind inventory.OutcomeKind
	code inventory.Code
}

func newSimAside() *simAside { return &simAside{seen: map[string]bool{}, never: map[string]bool{}} }

// step says what is wrong with the outcomes of an event and of those it let go on.
func (m *simAside) step(w *simWorld, ev *inventory.Event, o *inventory.Outcome, also []inventory.Outcome) string {
	m.said = m.said[:0]
	m.take(ev)
	var got []simSaid
	for _, o := range slices.Concat([]inventory.Outcome{*o}, also) {
		s := simSaid{id: o.EventID, kind: o.Kind}
		if len(o.Codes) > 0 && o.Kind != inventory.Applied {
			s.code = o.Codes[0]
		}
		got = append(got, s)
	}
	if !slices.Equal(got, m.said) {
		return fmt.Sprintf("it says %v, the model says %v", got, m.said)
	}
	for i, s := range got {
		switch {
		case s.kind == inventory.Parked:
			w.meet("parked "+string(s.code), 1)
		case i == 0 && s.kind == inventory.Rejected:
			w.meet("word on nothing that waits", 1)
		case i == 0:
		case s.code == inventory.CodeDropped, s.code == inventory.CodeNeverApplied:
			w.meet(string(s.code), 1)
		case s.kind == inventory.Superseded:
			w.meet("waited until a count took its place", 1)
		case ev.Approval != nil && ev.Approval.Event == s.id:
			w.meet("released by a person", 1)
		default:
			w.meet("released by what it waited for", 1)
		}
	}
	return ""
}

func (m *simAside) say(id string, kind inventory.OutcomeKind, code inventory.Code) {
	m.said = append(m.said, simSaid{id, kind, code})
}

func (m *simAside) take(ev *inventory.Event) {
	if m.seen[ev.ID] {
		m.say(ev.ID, inventory.Duplicate, "")
		return
	}
	if a := ev.Approval; a != nil {
		i := m.waiting(a.Event)
		if i < 0 {
			m.say(ev.ID, inventory.Rejected, inventory.FaultNotHeld)
			return
		}
		m.seen[ev.ID] = true
		m.say(ev.ID, inventory.Applied, "")
		w := m.waits[i]
		m.waits = slices.Delete(m.waits, i, i+1)
		if a.Release == inventory.ReleaseDrop {
			m.never[a.Event] = true
			m.say(a.Event, inventory.Rejected, inventory.CodeDropped)
		} else {
			m.decide(&w.ev, true)
		}
		m.goOn()
		return
	}
	code := inventory.CodeBehind
	if !m.behind(ev, len(m.waits)) {
		code = m.decide(ev, false)
	}
	m.seen[ev.ID] = true
	if code != "" {
		m.say(ev.ID, inventory.Parked, code)
		m.waits = append(m.waits, simWait{*ev, code})
		m.outdate(ev)
	}
	m.goOn()
}

func (m *simAside) waiting(id string) int {
	return slices.IndexFunc(m.waits, func(w simWait) bool { return w.ev.ID == id })
}

// behind says whether one of the first n that wait is of the same document.
func (m *simAside) behind(ev *inventory.Event, n int) bool {
	return slices.ContainsFunc(m.waits[:n], func(w simWait) bool {
		a, b := &w.ev.Document, &ev.Document
		return w.ev.Source == ev.Source && a.Type == b.Type && a.Number == b.Number
	})
}

// decide has the event's effect and says so, or gives back what it waits for.
func (m *simAside) decide(ev *inventory.Event, approved bool) inventory.Code {
	near := func(at inventory.Instant, all []simMoved) bool {
		return slices.ContainsFunc(all, func(o simMoved) bool {
			return max(o.at-at, at-o.at) <= inventory.Instant(simDoubt.Milliseconds())
		})
	}
	if c := ev.Count; c != nil {
		at, q := c.AsOf, c.Balances[0].Quantity
		if !approved && at > ev.RecordedAt+inventory.Skew {
			return inventory.CodeFutureCount
		}
		if at > ev.ReceivedAt+inventory.Instant(simDoubt.Milliseconds()) {
			at = ev.ReceivedAt
		}
		diff := q - m.onHand(at)
		switch {
		case approved:
		case near(at, m.moved):
			return inventory.CodeAmbiguous
		case max(diff, -diff) > simTooFar:
			return inventory.CodeGuard
		}
		m.counted = append(m.counted, simMoved{at, q})
		m.say(ev.ID, inventory.Applied, "")
		m.waits = slices.DeleteFunc(m.waits, func(w simWait) bool { // it is in the number
			if w.ev.Movement == nil || w.ev.OccurredAt > at {
				return false
			}
			m.say(w.ev.ID, inventory.Superseded, "")
			return true
		})
		m.outdate(ev)
		return ""
	}
	v, q := ev.Movement, ev.Movement.Quantity
	if v.Type == inventory.Reversal {
		if !approved && (!m.seen[v.Reverses] || m.waiting(v.Reverses) >= 0) {
			return inventory.CodeUnknownReversal
		}
		if m.never[v.Reverses] {
			m.say(ev.ID, inventory.Superseded, inventory.CodeNeverApplied)
			return ""
		}
		q = -q
	}
	if !approved && near(ev.OccurredAt, m.counted) {
		return inventory.CodeAmbiguous
	}
	m.moved = append(m.moved, simMoved{ev.OccurredAt, q})
	m.say(ev.ID, inventory.Applied, "")
	return ""
}

// outdate ends the waiting of older counts: the one in hand takes their place.
func (m *simAside) outdate(ev *inventory.Event) {
	if ev.Count == nil {
		return
	}
	m.waits = slices.DeleteFunc(m.waits, func(w simWait) bool {
		if w.ev.Count == nil || w.ev.ID == ev.ID || w.ev.Count.AsOf > ev.Count.AsOf || w.code == inventory.CodeFutureCount {
			return false
		}
		m.never[w.ev.ID] = true
		m.say(w.ev.ID, inventory.Superseded, "")
		return true
	})
}

// goOn lets go on what waits for nobody's word, the first first, until none can.
func (m *simAside) goOn() {
	for i := 0; i < len(m.waits); i++ {
		w := m.waits[i]
		if w.code != inventory.CodeBehind && w.code != inventory.CodeUnknownReversal || m.behind(&w.ev, i) {
			continue
		}
		if m.decide(&w.ev, false) == "" {
			m.waits = slices.Delete(m.waits, i, i+1)
			i = -1
		}
	}
}

// onHand is what was there at a time: the last count by then, and what moved since.
func (m *simAside) onHand(at inventory.Instant) inventory.Quantity {
	last := simMoved{at: -1}
	for _, c := range m.counted {
		if c.at <= at && c.at >= last.at {
			last = c
		}
	}
	q := last.q
	for _, v := range m.moved {
		if v.at > last.at && v.at <= at {
			q += v.q
		}
	}
	return q
}

// simEnd is after everything.
const simEnd = inventory.Instant(1 << 60)

// parkedOut is what a waiting reversal would take away that no count has found gone.
func (m *simAside) parkedOut() (q inventory.Quantity) {
	last := inventory.Instant(-1)
	for _, c := range m.counted {
		last = max(last, c.at)
	}
	for _, w := range m.waits {
		if v := w.ev.Movement; v != nil && v.Type == inventory.Reversal && w.ev.OccurredAt > last {
			q += v.Quantity
		}
	}
	return q
}

// checkAsides wants of each such item what its model says is there, promised and
// waiting at the end.
func (f *simFold) checkAsides() {
	for k, m := range f.asides {
		pos := f.positions[inventory.PositionKey(k, simAsideAt)]
		if got, want := pos.States[inventory.OnHand], m.onHand(simEnd); got != want {
			f.fail(k, "%v on hand, the model says %v", got, want)
		}
		if got, want := pos.ParkedOut, m.parkedOut(); got != want {
			f.fail(k, "%v of what waits is not promised, the model says %v", got, want)
		}
		want := map[string]bool{}
		for _, w := range m.waits {
			want[w.ev.ID] = true
		}
		for id := range f.kept(k) {
			if !want[id] {
				f.fail(k, "event %s waits, the model says it does not", id)
			}
			delete(want, id)
		}
		for id := range want {
			f.fail(k, "the model says that event %s waits", id)
		}
	}
}

// kept are the events that wait, as the state of a key has them.
func (f *simFold) kept(k inventory.Key) map[string]bool {
	ids := map[string]bool{}
	ps := f.pieces[k]
	ps.st.Each(func(key string, value []byte) bool {
		if piece := ps.decode(key, value); piece.Kept != nil {
			ids[piece.Kept.Event.ID] = true
		}
		return true
	})
	return ids
}

// checkFates wants each event to have come to one end: it may be set aside first, and
// repeats of it are what they are, but it is decided once, or waits still. What a key
// refuses outright it does not remember, so a repeat is refused again; and a tick says
// nothing.
func (f *simFold) checkFates() {
	type fate struct {
		key           inventory.Key
		ends, refused int
		parked        bool
	}
	fates := map[string]*fate{}
	for i := range f.outcomes {
		o := &f.outcomes[i]
		if o.EventKind == inventory.KindTick {
			continue
		}
		x := fates[o.EventID]
		if x == nil {
			x = &fate{key: o.Key}
			fates[o.EventID] = x
		}
		switch {
		case o.Kind == inventory.Parked:
			x.parked = true
		case o.Kind == inventory.Duplicate || o.Kind == inventory.Conflict:
		case o.Kind == inventory.Rejected && !slices.Contains(o.Codes, inventory.CodeDropped):
			x.refused++
		default:
			x.ends++
		}
	}
	kept := map[inventory.Key]map[string]bool{}
	for id, x := range fates {
		if kept[x.key] == nil {
			kept[x.key] = f.kept(x.key)
		}
		n := x.ends
		if kept[x.key][id] {
			n++
		}
		if n == 1 || n == 0 && (x.refused > 0 || f.gaveUp(x.key, id)) {
			continue
		}
		f.fail(x.key, "event %s came to %d ends, was set aside: %v, waits: %v", id, x.ends, x.parked, kept[x.key][id])
	}
}
