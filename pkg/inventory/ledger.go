package inventory

import (
	"slices"
	"strings"
)

// Pieces gives a Ledger its stored pieces. It returns values already read; it
// never waits. A piece that does not exist is nil. What it returns belongs to the
// Ledger, which changes it: two calls never return the same memory.
type Pieces interface {
	Head() *Head
	Location(l Location) *LocationState // only those of Head.Split
	IDs(segment int64) (ids []Seen, latest Instant)
	Journal(l Location, segment int64) []Entry
	Line(id string) *Line
	SupplyLine(id string) *SupplyLine
	Ref(hash string) *RefTarget
	View(s Source, l Location) *View
	Kept(kind string, n int64) *Kept // kind p or w
	// Names calls f with the n of every stored piece of a kind whose n has one part,
	// those after the given one, in the order of their escaped form, until it says false.
	Names(kind, after string, f func(n string) bool)
	// Lines calls f with every stored line of the key, in the order of their ids,
	// until it says false.
	Lines(f func(*Line) bool)
}

// At is where an event stands in inventory.events.
type At struct {
	Lineage   int64
	Partition int32
	Offset    int64

	// Copy is set of an event that a frozen key did not take and that was appended
	// again; Original is the offset it had. Its RecordedAt is the one it had, too.
	Copy     bool
	Original int64
}

// A Ledger is the decoded state of one key. It reads pieces as events need them,
// keeps those it changed until ClearChanged, and writes nothing. It is not safe
// for use by several goroutines.
//
// Every change is decided before anything is posted, so an event that fails
// leaves the ledger as it was.
type Ledger struct {
	key    Key
	pieces Pieces
	head   Head

	headDirty bool
	same      Same
	changes   []change  // locations changed since ClearChanged
	due       chores    // of the event in hand
	rare      *rare     // what most keys do not have in hand
	last      *lasting  // what busy keys keep at hand
	expiring  *expiries // what lapses; made when it is first needed
}

// rare holds pieces read since the last ClearChanged.
type rare struct {
	split   cache[LocationState]
	lines   cache[Line]
	supply  cache[SupplyLine]
	refs    cache[RefTarget]
	views   cache[View]
	kept    cache[Kept]
	ids     []idSegment
	journal []journalSegment
}

// change remembers the last event that changed a location.
type change struct {
	location      Location
	eventID       string
	recordedAt    Instant
	policyVersion int64
	at            At
	previous      int64 // as of Position
}

// NewLedger opens the ledger of a key over its stored pieces.
func NewLedger(key Key, pieces Pieces) *Ledger {
	l := new(Ledger)
	l.Open(key, pieces)
	return l
}

// Open makes a zero ledger that of a key over its stored pieces.
func (l *Ledger) Open(key Key, pieces Pieces) {
	l.key, l.pieces = key, pieces
	if h := pieces.Head(); h != nil {
		l.head = *h
	} else {
		l.head.Fence.Offset = -1
	}
}

// Key names the ledger.
func (l *Ledger) Key() Key { return l.key }

// Fence says how far the ledger has applied its log.
func (l *Ledger) Fence() Fence { return l.head.Fence }

// Version is the item's version (Invariant 5).
func (l *Ledger) Version() int64 { return l.head.Version }

// Clock is the key clock: the latest ledger time seen.
func (l *Ledger) Clock() Instant { return l.head.Clock }

// Noop says whether the event with this id, at this place of the log, is already
// in the ledger. ErrFence means that the log is not the one the ledger was built
// from: another event stands at the fence, or the lineage is an older one.
func (l *Ledger) Noop(lineage, offset int64, id string) (bool, error) {
	f := &l.head.Fence
	switch {
	case f.Offset < 0:
		return false, nil
	case lineage < f.Lineage:
		return false, ErrFence
	case lineage > f.Lineage || offset > f.Offset:
		return false, nil
	case offset == f.Offset && HashID(id) != f.IDHash:
		return false, ErrFence
	}
	return true, nil
}

// Apply decides an event and posts what it decided. The caller has asked Noop
// before. The error is a *Fault: the event is rejected and the ledger, its fence
// included, is unchanged; but of a line of a full snapshot it remembers that it came.
func (l *Ledger) Apply(p *Policy, ev *Event, at At) (Outcome, error) {
	var out Outcome
	err := l.ApplyInto(&out, p, ev, at)
	return out, err
}

// ApplyInto is Apply into an outcome of the caller's. The memory of its Moves is
// used again, so they hold until the next call with the same outcome. After an
// error the outcome is empty.
func (l *Ledger) ApplyInto(out *Outcome, p *Policy, ev *Event, at At) error {
	return l.ApplyWith(new(Scratch), out, p, ev, at)
}

// Scratch is memory that deciding one event leaves to the next, of this ledger or of
// another. One goroutine uses it; the zero value is ready.
type Scratch struct{ plan plan }

// ApplyWith is ApplyInto in memory of the caller's.
func (l *Ledger) ApplyWith(s *Scratch, out *Outcome, p *Policy, ev *Event, at At) error {
	moves := out.Moves[:0]
	*out = Outcome{}
	if l.last != nil {
		l.last.begin()
	}
	if f := ev.check(); f != nil {
		l.lists(p, ev, at)
		return f
	}
	id, content := HashID(ev.ID), ContentHash(ev)
	pl := &s.plan
	*pl = plan{}
	pl.kind, pl.at, pl.moves, pl.policy = Applied, ev.OccurredAt, moves, p
	now := max(l.head.Clock, ev.RecordedAt)
	if l.head.Frozen.Since != 0 && (!at.Copy || l.ahead(at)) {
		if ev.Kind != KindApproval {
			l.whileFrozen(out, p, ev, at)
			return nil
		}
		now = l.head.Clock // stands still
	}
	if f := l.lapse(pl, now); f != nil {
		return f
	}
	if had, seen := l.seen(id); seen || l.repeated(at) {
		pl.kind = Duplicate
		if seen && had.Content != content {
			pl.kind = Conflict
			pl.code(CodeIDConflict)
			pl.detail = "another content came under this id before; that one stands"
		}
		if f := l.again(p, ev, pl, at, had); f != nil {
			return f
		}
		if pl.kind == Conflict {
			l.listsStill(ev)
		}
	} else {
		if f := l.take(p, ev, pl, at); f != nil {
			l.lists(p, ev, at)
			return f
		}
		// From here on nothing fails.
		l.post(p, ev, pl, at)
		l.recall(ev, pl, Seen{ID: id, Content: content, Verdict: pl.verdict()})
		for _, s := range pl.also {
			l.remember(s)
		}
		if ev.Movement != nil && pl.kind == Noted { // a correction has nothing to take back
			l.remember(Seen{ID: neverApplied(ev.ID)})
		}
		if l.head.Viewed != 0 || len(pl.views) > 0 {
			l.review(p, ev, pl)
		}
	}
	l.head.Fence = Fence{Lineage: at.Lineage, Offset: at.Offset, IDHash: id}
	l.head.Clock = now
	l.headDirty = true
	l.tend(p, pl)
	l.say(out, p, ev, pl, at)
	if l.head.Queue.Parked+l.head.Queue.Held != 0 {
		l.release(p, ev, pl, at)
	}
	if at.Copy {
		l.took(ev, pl, at)
	}
	return nil
}

// take decides an event that is new, to its end.
func (l *Ledger) take(p *Policy, ev *Event, pl *plan, at At) *Fault {
	var f *Fault
	if l.free(ev, pl) {
		f = l.decide(p, ev, pl)
	}
	if f == nil {
		f = l.hinder(ev, pl, at)
	}
	if f == nil {
		f = l.conclude(pl)
	}
	if f != nil && at.Copy {
		l.rejected(ev, at)
	}
	return f
}

// say fills in the outcome of an event.
func (l *Ledger) say(out *Outcome, p *Policy, ev *Event, pl *plan, at At) {
	out.Kind, out.Late, out.Codes, out.Detail = pl.kind, pl.late, pl.codes, pl.detail
	out.EventID, out.EventKind, out.Key, out.Source = ev.ID, ev.Kind, ev.Key, ev.Source
	out.Document, out.Refs, out.Attributes, out.Trace = ev.Document, ev.Refs, ev.Attributes, ev.Trace
	out.Moves, out.OccurredAt, out.RecordedAt = pl.moves, pl.at, ev.RecordedAt
	out.Version, out.PolicyVersion, out.Line = l.head.Version, p.Version, pl.line
	out.Lineage, out.Partition, out.Offset = at.Lineage, at.Partition, at.Offset
	out.Answer, out.Lapsed = pl.answer, pl.lapsed
	if pl.rehearsed {
		out.Moves = pl.would
	}
}

// Skew is how far a stated time may lie beyond receipt, and a count's as-of beyond
// the log's time.
const Skew = Instant(5 * 60 * 1000)

func (l *Ledger) decide(p *Policy, ev *Event, pl *plan) *Fault {
	if ev.Key != l.key {
		return fault(FaultNoKey, "key", "of another ledger")
	}
	pl.at = pl.clamp(ev, ev.OccurredAt)
	if p.Authority.open() {
		return l.decideKind(p, ev, pl)
	}
	mine, f := l.admit(p, ev, pl)
	if f != nil || mine == nil {
		return f
	}
	if f := l.decideKind(p, mine, pl); f != nil || pl.takes == nil {
		return f
	}
	pl.report(l, mine.Count)
	return nil
}

// decideKind decides an event whose source has the authority for it.
func (l *Ledger) decideKind(p *Policy, ev *Event, pl *plan) *Fault {
	switch ev.Kind {
	case KindMovement:
		return l.decideMovement(p, ev, pl)
	case KindCount:
		return l.decideCount(p, ev, pl)
	case KindDemand:
		return l.decideDemand(p, ev, pl)
	case KindSupply:
		return l.decideSupply(p, ev, pl)
	case KindSetting:
		return l.decideSetting(ev, pl)
	case KindReservation:
		return l.decideReservation(ev, pl)
	case KindApproval:
		return l.decideApproval(ev, pl)
	case KindTick:
		pl.tick()
		return nil
	case KindControl:
	}
	return fault(FaultKind, "kind", "not an event of a key")
}

func (l *Ledger) decideMovement(p *Policy, ev *Event, pl *plan) *Fault {
	m := ev.Movement
	r := routeOf(m.Type)
	if r.typ == Reversal {
		// What an event moved is not kept, so the reversal states both accounts. It
		// must name an event of this key that is known, and only the first one counts.
		if !l.reversible(m.Reverses, pl) {
			return nil
		}
		pl.also = append(pl.also, Seen{ID: reversalOf(m.Reverses)})
		if _, ok := l.seen(pl.also[0].ID); ok {
			return fault(FaultAlreadyReversed, "movement.reverses", "")
		}
	}
	pl.order = p.Counts.order(ev.Source, m.Sequence)
	mv := m.move(r, pl.at)
	if l.missing(ev, r) {
		pl.also = append(pl.also, Seen{ID: missedBy(ev.ID)})
		mv.Type = ShortPick
	}
	if r.typ != Reversal {
		if done, f := l.correct(ev, pl, r); done || f != nil {
			return f
		}
	}
	if len(ev.Refs) > 0 {
		stage, sign := m.lineOf(r)
		by := ev.Source
		if r.typ == Reversal && stage != "" {
			by = l.reported(ev, pl, stage)
		}
		switch {
		case stage == "" || by == "": // of no line, or of one that knows nothing of it: as it is stated
		case stage == StageReceived:
			return l.decideReceived(ev, by, pl, mv, sign*m.Quantity)
		default:
			return l.decideFlow(ev, by, pl, stage, sign*m.Quantity)
		}
	}
	if mv.Quantity == 0 { // an opening of nothing: the location is known from now on
		pl.local(l, m.Location).touch = true
		return nil
	}
	if f := pl.move(l, mv); f != nil {
		return f
	}
	return l.restateAll(pl)
}

func (l *Ledger) decideSetting(ev *Event, pl *plan) *Fault {
	s := ev.Setting
	pl.setting = true
	if s.Location != "" {
		lc := pl.local(l, s.Location)
		lc.touch = true
		lc.safety = true
		if lc.now != nil {
			q, ok := lc.now.Safety()
			lc.safety = !ok || q != s.SafetyStock
		}
		return nil
	}
	if l.head.HasSafety && l.head.Safety == s.SafetyStock {
		return nil
	}
	for i := range l.head.Locations {
		if _, own := l.head.Locations[i].Safety(); !own {
			pl.local(l, l.head.Locations[i].Location).safety = true
		}
	}
	for _, name := range l.head.Split {
		if st := l.location(name); st != nil {
			if _, own := st.Safety(); !own {
				pl.local(l, name).safety = true
			}
		}
	}
	return nil
}

// location finds what the key knows of a location, or nil.
func (l *Ledger) location(name Location) *LocationState {
	if i, ok := l.inHead(name); ok {
		return &l.head.Locations[i]
	}
	if len(l.head.Split) == 0 {
		return nil
	}
	if _, ok := slices.BinarySearch(l.head.Split, name); !ok {
		return nil
	}
	c := &l.extra().split
	i, ok := c.find(string(name))
	if !ok {
		c.insert(i, string(name), l.pieces.Location(name))
	}
	return c.slots[i].val
}

func (l *Ledger) inHead(name Location) (int, bool) {
	ls := l.head.Locations
	if len(ls) <= 8 { // most items: a look at each is cheaper than halving
		for i := range ls {
			if ls[i].Location >= name {
				return i, ls[i].Location == name
			}
		}
		return len(ls), false
	}
	return slices.BinarySearchFunc(ls, name, func(s LocationState, n Location) int {
		return strings.Compare(string(s.Location), string(n))
	})
}

// create adds a location that is not known yet. The first MaxHeadLocations stand
// in the head, later ones in pieces of their own.
func (l *Ledger) create(name Location) *LocationState {
	i, _ := l.inHead(name)
	l.due |= fitHead
	if len(l.head.Locations) < MaxHeadLocations {
		l.same.add(i)
		l.head.Locations = slices.Insert(l.head.Locations, i, LocationState{Location: name})
		return &l.head.Locations[i]
	}
	j, _ := slices.BinarySearch(l.head.Split, name)
	l.head.Split = slices.Insert(l.head.Split, j, name)
	c := &l.extra().split
	i, _ = c.find(string(name))
	c.insert(i, string(name), &LocationState{Location: name})
	return c.slots[i].val
}

// dirtyLocation marks a location as changed; those in the head go with it.
func (l *Ledger) dirtyLocation(name Location) {
	if i, ok := l.inHead(name); ok {
		l.same.Locations &^= 1 << i
		return
	}
	c := &l.extra().split
	if i, ok := c.find(string(name)); ok {
		c.slots[i].dirty = true
	}
}

func (l *Ledger) extra() *rare {
	if l.rare == nil {
		l.rare = &rare{}
	}
	return l.rare
}
