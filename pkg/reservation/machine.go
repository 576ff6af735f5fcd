package reservation

import (
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// phase is how far a request has come.
type phase uint8

const (
	fresh      phase = iota
	asking           // every item at once
	pausing          // what was granted is given back before the second attempt
	inOrder          // one item after the other, in the order of their keys
	confirming       // every item is granted
	over             // decided; only what must stand on the log is waited for
)

// A Machine is one run of a request. Its methods are what happens to it, at the
// caller's clock in milliseconds; each returns what is to be done next. It reads no
// clock, does no I/O, and is not safe for use by several goroutines.
//
// Of one request only one run may be under way at a time, what a dead process may have
// left in the network included. A run after another one is about the same reservation,
// and what it is answered holds: granted goes on with what is there already, anything
// else gives that back.
type Machine struct {
	r       Request
	terms   Terms
	items   []item
	phase   phase
	now     inventory.Instant // it never goes back
	expires inventory.Instant // of the tries, in both attempts: which comes last changes nothing
	until   inventory.Instant // when it is too late to grant
	resume  inventory.Instant // the end of the pause
	again   inventory.Instant // when failed appends are tried again; 0: none has failed
	jitter  inventory.Instant
	sent    []*sent
	reply   Reply
	replied bool
	out     Output
}

// sent is an event that was to be appended.
type sent struct {
	ev     *inventory.Event
	step   string
	n      int  // of the item
	acked  bool // it stands on the log
	failed bool // it may stand there all the same
	heard  bool // its answer
}

// Output is what is to be done.
type Output struct {
	Append []*inventory.Event // in this order, and together
	Reply  *Reply             // to the caller, once
	Wake   inventory.Instant  // call Pass then, unless something else happens before; 0: no need
	Done   bool               // nothing more will come of it
}

// NewMachine prepares a run. Nothing happens before Start.
func NewMachine(r Request, t Terms) (*Machine, error) {
	items, err := r.items()
	if err != nil {
		return nil, err
	}
	return &Machine{r: r, terms: t, items: items}, nil
}

// Start begins. jitter is the pause before a second attempt.
func (m *Machine) Start(now, jitter inventory.Instant) Output {
	return m.step(now, func() {
		if m.phase == fresh {
			m.jitter = jitter
			m.ask()
		}
	})
}

// Answered takes the ledger's answer to an event. What is not about this run it leaves
// alone.
func (m *Machine) Answered(now inventory.Instant, a *event.Answered) Output {
	return m.step(now, func() {
		s := m.find(a.EventID)
		if s == nil || s.heard {
			return
		}
		s.heard = true
		m.stands(s)
		it := &m.items[s.n]
		switch s.step {
		case stepTry, stepAgain:
			it.open--
			if s.step == stepTry && m.phase == asking || s.step == stepAgain && m.phase == inOrder {
				m.tried(it, a)
			}
		case stepConfirm:
			if m.phase == confirming && a.Answer.Verdict != inventory.Confirmed {
				m.refuse(Cancelled, it, a)
			}
		}
	})
}

// Acked says that an event stands on the log.
func (m *Machine) Acked(now inventory.Instant, id string) Output {
	return m.step(now, func() {
		if s := m.find(id); s != nil {
			m.stands(s)
		}
	})
}

// Failed says that an event could not be appended, as far as one knows.
func (m *Machine) Failed(now inventory.Instant, id string) Output {
	return m.step(now, func() {
		if s := m.find(id); s != nil && !s.acked {
			s.failed = true
			if m.again == 0 {
				m.again = m.now + m.terms.Again
			}
		}
	})
}

// CallOff gives back what is not answered yet.
func (m *Machine) CallOff(now inventory.Instant) Output {
	return m.step(now, func() {
		if m.phase != over {
			m.end(Reply{Status: Cancelled, Code: CodeCalledOff})
		}
	})
}

// Pass says that time has passed.
func (m *Machine) Pass(now inventory.Instant) Output { return m.step(now, func() {}) }

// Status is how the request stands. One that is not answered in time is pending until
// everything of it is given back.
func (m *Machine) Status() Status {
	if !m.replied {
		return Pending
	}
	return m.reply.Status
}

func (m *Machine) step(now inventory.Instant, f func()) Output {
	m.now = max(m.now, now)
	m.out = Output{}
	// What comes too late changes nothing any more: by the log's clock the tries may
	// have lapsed.
	if m.live() && m.now >= m.until {
		m.end(Reply{Status: Cancelled, Code: CodeUnanswered})
	}
	f()
	// A release that came after the second try would take what that was granted.
	if m.phase == pausing && m.now >= m.resume && !m.waitsFor(stepRelease) {
		m.phase = inOrder
		for i := range m.items {
			m.items[i].tried = false
		}
		m.try(0)
	}
	if m.phase == confirming && !m.waitsFor(stepConfirm) {
		m.end(Reply{Status: Granted})
	}
	if m.again != 0 && m.now >= m.again {
		m.retry()
	}
	return m.finish()
}

// live says whether the request may still be granted.
func (m *Machine) live() bool { return m.phase != fresh && m.phase != over }

func (m *Machine) find(id string) *sent {
	i := slices.IndexFunc(m.sent, func(s *sent) bool { return s.ev.ID == id })
	if i < 0 {
		return nil
	}
	return m.sent[i]
}

func (m *Machine) send(step string, n int, body inventory.Reservation) {
	body.Siblings = keys(m.items)
	ev := m.r.event(m.now, step, n, m.items[n].key, body)
	m.sent = append(m.sent, &sent{ev: ev, step: step, n: n})
	m.out.Append = append(m.out.Append, ev)
}

func (m *Machine) stands(s *sent) {
	s.acked, s.failed = true, false
	if it := &m.items[s.n]; s.step == stepRelease && it.open == 0 && !it.granted {
		it.holds = false
	}
}

// decides says whether the try is all there is to decide: one item is granted at once
// for as long as it is asked for.
func (m *Machine) decides() bool { return len(m.items) == 1 && m.r.Hold != 0 }

// ask begins.
func (m *Machine) ask() {
	m.phase, m.expires = asking, m.now+m.terms.TTL
	m.until = m.expires
	if m.r.Hold != 0 {
		m.until = min(m.until, m.r.Hold)
	}
	if m.decides() {
		m.expires = m.r.Hold
	}
	if m.until -= m.terms.Margin; m.until <= m.now { // nothing can come of it
		m.end(Reply{Status: Cancelled, Code: CodeUnanswered})
		return
	}
	for i := range m.items {
		m.try(i)
	}
}

func (m *Machine) try(n int) {
	it := &m.items[n]
	it.tried, it.holds = true, true
	it.open++
	step := stepTry
	if m.phase == inOrder {
		step = stepAgain
	}
	m.send(step, n, inventory.Reservation{Action: inventory.Try, Lines: it.lines, Partial: m.r.Partial, ExpiresAt: m.expires})
}

// tried takes the answer to a try of this attempt.
func (m *Machine) tried(it *item, a *event.Answered) {
	switch v := a.Answer.Verdict; v {
	case inventory.Granted:
		it.granted, it.told = true, a.Answer.Lines
		if at := a.Answer.ExpiresAt; at != 0 {
			m.until = min(m.until, at-m.terms.Margin)
		}
		m.next()
	case inventory.Contended, inventory.VerdictDenied, inventory.VerdictCancelled, inventory.Lapsed:
		it.holds = it.open > 0
		switch {
		case v == inventory.Contended && m.phase == asking:
			m.contend()
		case v == inventory.Contended:
			m.refuse(Contended, it, a)
		case v == inventory.VerdictDenied:
			m.refuse(Denied, it, a)
		default: // cancelled by somebody else, or long under way
			m.refuse(Cancelled, it, a)
		}
	case inventory.NoVerdict, inventory.Confirmed, inventory.Unknown: // not decided: conflict, rejected or parked
		m.refuse(Denied, it, a)
	}
}

// next goes on after a grant.
func (m *Machine) next() {
	n := slices.IndexFunc(m.items, func(it item) bool { return !it.granted })
	switch {
	case n >= 0 && !m.items[n].tried:
		m.try(n)
	case n >= 0:
	case m.now >= m.until:
		m.end(Reply{Status: Cancelled, Code: CodeUnanswered})
	case m.decides():
		m.end(Reply{Status: Granted})
	default:
		m.phase = confirming
		for i := range m.items {
			m.send(stepConfirm, i, inventory.Reservation{Action: inventory.Confirm, ExpiresAt: m.r.Hold})
		}
	}
}

// contend gives everything back, and begins again after a pause, once. Nothing is held
// while waiting, so no two requests wait for each other.
func (m *Machine) contend() {
	m.phase, m.resume = pausing, m.now+m.jitter
	for i := range m.items {
		it := &m.items[i]
		it.granted, it.told = false, nil
		if it.holds {
			m.send(stepRelease, i, inventory.Reservation{Action: inventory.Try, ExpiresAt: m.expires})
		}
	}
}

func (m *Machine) refuse(s Status, it *item, a *event.Answered) {
	m.end(Reply{Status: s, Key: it.key, Code: a.Answer.Code, Available: a.Answer.Available})
}

// end decides. What is not granted is given back, and what may yet be is cancelled before
// it comes. What holds nothing needs no cancel.
func (m *Machine) end(r Reply) {
	m.phase, m.reply = over, r
	for i := range m.items {
		it := &m.items[i]
		switch {
		case r.Status == Granted:
			for _, l := range it.told {
				m.reply.Lines = append(m.reply.Lines, ReplyLine{it.key, l})
			}
		case it.holds:
			m.send(stepCancel, i, inventory.Reservation{Action: inventory.Cancel})
		}
	}
}

// needed says whether an event must stand on the log for the run to go on.
func (m *Machine) needed(s *sent) bool {
	switch s.step {
	case stepTry:
		return m.phase == asking
	case stepRelease:
		return m.phase == pausing
	case stepAgain:
		return m.phase == inOrder
	case stepConfirm:
		return m.phase == confirming
	}
	return true
}

// waitsFor says whether an event of a step is not known to stand on the log yet.
func (m *Machine) waitsFor(step string) bool {
	return slices.ContainsFunc(m.sent, func(s *sent) bool { return s.step == step && !s.acked })
}

// retry appends again what has failed: it is the same event, so twice does no harm.
func (m *Machine) retry() {
	m.again = 0
	for _, s := range m.sent {
		if s.failed && m.needed(s) {
			s.failed = false
			m.out.Append = append(m.out.Append, s.ev)
		}
	}
}

func (m *Machine) finish() Output {
	given := m.phase == over && !m.waitsFor(stepCancel)
	// Not in time may mean confirmed in part. Nobody is told anything before all of it is
	// given back.
	if m.phase == over && !m.replied && (given || m.reply.Status != Cancelled) {
		r := m.reply
		m.replied, m.out.Reply = true, &r
	}
	if m.out.Done = given; given {
		return m.out
	}
	wake := func(when bool, at inventory.Instant) {
		if when && (m.out.Wake == 0 || at < m.out.Wake) {
			m.out.Wake = at
		}
	}
	wake(m.live(), m.until)
	wake(m.phase == pausing && m.now < m.resume, m.resume)
	wake(m.again != 0, m.again)
	return m.out
}
