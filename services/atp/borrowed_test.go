//go:build synctests

package atp

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// The events of a transaction stand in memory that the client reads the next ones
// into. Nothing that outlives the transaction points there: a worker whose memory is
// overwritten behind each transaction writes what one does that keeps it for ever.
func TestNothingOutlivesTheMemoryOfItsEvents(t *testing.T) {
	met := map[string]int{}
	for seed := uint64(1); seed <= 6; seed++ {
		l := newBorrowedLoad(seed)
		want, got := l.run(t, false, met), l.run(t, true, met)
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("seed %d, line %d of what was written:\n%s\nwant\n%s", seed, i, got[i], want[i])
			}
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d lines, want %d", seed, len(got), len(want))
		}
	}
	for _, what := range borrowedReached {
		if met[what] == 0 {
			t.Errorf("no seed met: %s", what)
		}
	}
}

// borrowedReached are the outcomes that the load must have brought about.
var borrowedReached = []string{
	"released later", "view", "head in parts",
	string(inventory.Applied), string(inventory.Noted), string(inventory.Duplicate), string(inventory.Superseded), string(inventory.Conflict),
	string(inventory.Denied), string(inventory.Parked), string(inventory.Rejected),
	string(inventory.CodeLapsed), string(inventory.CodeFrozen), string(inventory.CodeUnknownReversal), string(inventory.CodeUnlinked),
	string(inventory.CodeGuard), string(inventory.CodeUnconfirmed), string(inventory.CodeAmbiguous), string(inventory.CodeDropped),
}

// borrowedLoad is the load of the simulation, with more said in each event, in the
// order of the log.
type borrowedLoad struct {
	seed   uint64
	plan   *simPlan
	sends  []simSend
	policy inventory.Policy
}

func newBorrowedLoad(seed uint64) *borrowedLoad {
	p := &simPlan{seed: seed, rng: rand.New(rand.NewPCG(seed, 5)), start: 1_790_000_000_000}
	for e := range 3 {
		p.episode(time.Duration(e)*simGap + 30*time.Second)
	}
	l := &borrowedLoad{seed: seed, plan: p, policy: borrowedPolicy(seed)}
	for i := range p.sends {
		for _, s := range p.sends[i] {
			if s.event.Kind != "" {
				l.enrich(&s.event)
				l.sends = append(l.sends, s)
			}
		}
	}
	l.undo()
	slices.SortStableFunc(l.sends, func(a, b simSend) int { return cmp.Compare(a.at, b.at) })
	return l
}

// borrowedPolicy lets events wait for what they reverse, for their order and for a
// person, takes views, and has room for little, so that windows move and keys freeze.
func borrowedPolicy(seed uint64) inventory.Policy {
	p := simPolicy(1 + int64(seed%2)).Ledger()
	p.Counts.Sources = []inventory.CountSource{
		{
			Source: "wms", Agreeing: 2, Guard: inventory.CountGuard{Absolute: 8 * inventory.One}, Precision: 1000, Skew: 1000,
			Ambiguous: []inventory.Ambiguity{inventory.Included, inventory.HeldBack}[seed%2],
		},
		{Source: "erp", AssumeAckAfter: 1000},
	}
	p.Lines = inventory.LinePolicy{LinkWait: 30_000, Unlinked: inventory.UnlinkedParks, Short: inventory.ShortResource}
	p.Origins = []inventory.Source{"shop", "api"}
	p.Authority.Compare = []inventory.Comparison{{Source: "erp"}, {Source: "wms"}}
	if seed%3 == 0 {
		p.Authority.Owners = []inventory.Owner{{Balance: []inventory.Source{"wms"}, Moves: []inventory.Source{"wms", "3pl"}}}
	}
	p.Limits.Parked = []int32{0, 12, 3}[seed%3]
	p.Limits.Window, p.Limits.IDs = 20*60_000, 20
	p.Limits.Exact, p.Limits.Entries = 60_000, 64
	p.Lanes = []inventory.Lane{{Title: inventory.TitleOrigin}}
	return p
}

// enrich says more in an event, as a function of its document: a repeat stays one.
func (l *borrowedLoad) enrich(ev *inventory.Event) {
	n, _ := strconv.Atoi(ev.Document.Number)
	rng := rand.New(rand.NewPCG(l.seed, uint64(n)))
	ev.Attributes = []inventory.Attribute{{Name: "lot", Value: fmt.Sprint("lot-", n)}}
	ev.Trace = inventory.Trace{RawID: fmt.Sprintf("raw-%032d", n), RawLine: 1, MappingVersion: "m1"}
	ev.Document.Revision = []string{"", "1", "2"}[rng.IntN(3)]
	switch {
	case ev.Count != nil:
		enrichCount(rng, n, ev)
	case ev.Demand != nil:
		d := *ev.Demand
		d.Channel = []string{"", "web", "marketplace-with-a-long-name"}[rng.IntN(3)]
		if rng.IntN(3) == 0 {
			d.Location = ""
		}
		ev.Demand = &d
		if rng.IntN(4) == 0 { // not who states orders: it waits for the order
			ev.Source = "edi"
		}
	case ev.Movement != nil:
		m := *ev.Movement
		m.Reason, m.Sequence = fmt.Sprint("because ", n), int64(n)
		ev.Movement = &m
	case ev.Reservation != nil:
		r := *ev.Reservation
		r.Siblings = []inventory.Key{{Entity: "acme", Item: inventory.Item(fmt.Sprint("sibling-", n))}, ev.Key}
		r.Lines = slices.Clone(r.Lines)
		for i := range r.Lines {
			r.Lines[i].Channel = "web"
		}
		ev.Reservation = &r
	}
}

func enrichCount(rng *rand.Rand, n int, ev *inventory.Event) {
	c := *ev.Count
	c.Snapshot, c.Complete, c.Sequence = fmt.Sprint("snapshot-", rng.IntN(9)), true, int64(n)
	if rng.IntN(2) == 0 {
		c.AsOfBasis = inventory.BasisReceipt
	}
	if rng.IntN(3) == 0 {
		c.Basis = inventory.Available
	}
	ev.Count = &c
	if rng.IntN(2) == 0 {
		ev.Source = "erp"
	}
}

// undo reverses movements, before and after them, and lets a person decide about what
// waits, about all of it, and about frozen keys.
func (l *borrowedLoad) undo() {
	p, all := l.plan, l.sends
	for range 200 {
		of := &all[p.rng.IntN(len(all))]
		m := of.event.Movement
		if m == nil {
			continue
		}
		at := max(of.at+p.between(-2*time.Minute, 2*time.Minute), time.Second)
		ev := p.event(of.at, inventory.KindMovement, string(of.event.Key.Item), "wms")
		ev.Movement = &inventory.Movement{
			Type: inventory.Reversal, Location: m.Location, FromState: inventory.OnHand, ToState: inventory.Supplier,
			Quantity: inventory.One, Reverses: of.event.ID, Reason: "undo",
		}
		l.sends = append(l.sends, simSend{at, ev})
		if p.oneIn(2) {
			word := p.event(of.at, inventory.KindApproval, string(of.event.Key.Item), "console")
			word.Approval = &inventory.Approval{
				Event:   []string{ev.ID, of.event.ID, ""}[p.rng.IntN(3)],
				Release: []inventory.ReleaseKind{inventory.ReleaseApply, inventory.ReleaseDrop, inventory.ReleaseUnfreeze}[p.rng.IntN(3)],
				Author:  "ann-the-author", Reason: "why not indeed",
			}
			l.sends = append(l.sends, simSend{at + time.Second, word})
		}
	}
}

// run decides the load, a few events a transaction, and tells all that was written:
// the records as they were emitted, then the state.
func (l *borrowedLoad) run(t *testing.T, overwrite bool, met map[string]int) []string {
	t.Helper()
	codecs := event.TestCodecs()
	w := &borrower{
		t: t, start: l.plan.start, header: stream.Header{Lineage: 1}, states: map[string]*stream.State{}, met: met,
		proc: &processor{codecs: codecs, policies: decreed{&l.policy}, remind: newReminders(codecs, nil)},
	}
	var err error
	if w.proc.answers, err = newAnswers(nil); err != nil {
		t.Fatal(err)
	}
	w.proc.answers.partitions.Store(8)
	rng := rand.New(rand.NewPCG(l.seed, 77))
	for rest := l.sends; len(rest) > 0; {
		n := min(len(rest), 1+rng.IntN(12))
		w.transaction(rest[:n])
		if overwrite {
			w.memory.overwrite()
		}
		w.memory = nil
		rest = rest[n:]
	}
	for _, group := range slices.Sorted(maps.Keys(w.states)) {
		w.states[group].Each(func(key string, value []byte) bool {
			w.out = append(w.out, fmt.Sprintf("state %q %q", key, value))
			return true
		})
	}
	return w.out
}

// borrower is a worker that decides events from memory that is not its own.
type borrower struct {
	t      *testing.T
	proc   *processor
	header stream.Header
	states map[string]*stream.State
	start  inventory.Instant
	next   int64 // offset
	memory lent
	out    []string
	met    map[string]int
}

// lent is the memory of the events of one transaction.
type lent [][]byte

func (l *lent) hold(b []byte) []byte {
	b = slices.Clone(b)
	*l = append(*l, b)
	return b
}

func (l *lent) overwrite() {
	for _, b := range *l {
		for i := range b {
			b[i] = '#'
		}
	}
}

// transaction decides events and commits.
func (w *borrower) transaction(sends []simSend) {
	w.t.Helper()
	var recs []stream.Record
	emit := func(r *stream.Record) { recs = append(recs, copyOf(r)) }
	var touched []*stream.State
	first := w.next
	for i := range sends {
		rec := w.fetch(&sends[i])
		st := w.state(rec)
		if err := w.proc.Step(stream.Input{Record: rec, Lineage: 1, Header: &w.header}, st, emit); err != nil {
			w.t.Fatalf("offset %d: %v", rec.Offset, err)
		}
		if !slices.Contains(touched, st) {
			touched = append(touched, st)
		}
	}
	for _, st := range touched {
		key, head := w.head(st)
		if err := w.proc.Flush(st, emit); err != nil {
			w.t.Fatalf("offset %d: %v", first, err)
		}
		if got := st.Get(key); string(got) != string(head) {
			w.t.Fatalf("offset %d: the head of %s is\n%q\nencoded whole\n%q", first, st.Group(), got, head)
		}
	}
	for i := range recs {
		w.tell(&recs[i], first)
	}
	for _, st := range touched {
		st.Merge()
	}
}

// head is what the head of a touched state is to become, encoded whole: of most, parts
// are copied out of the one before.
func (w *borrower) head(st *stream.State) (key string, head []byte) {
	w.t.Helper()
	led, ok := st.Object().(*ledger)
	if !ok {
		return "", nil
	}
	key = led.pieces.headKey
	head = st.Get(key)
	led.Changed(func(p inventory.Piece) {
		if p.Head == nil {
			return
		}
		if same := led.Same(); same.Locations != 0 && same.IDs > 0 && same.Journal > 0 {
			w.met["head in parts"]++
		}
		var err error
		if head, err = w.proc.codecs.AppendState(nil, &p); err != nil {
			w.t.Fatal(err)
		}
	})
	return key, head
}

// fetch is a record as the client gives it.
func (w *borrower) fetch(s *simSend) *stream.Record {
	w.t.Helper()
	value, err := w.proc.codecs.AppendEvent(nil, &s.event)
	if err != nil {
		w.t.Fatal(err)
	}
	trace := stream.RecordHeader{Key: event.TraceParent, Value: w.memory.hold([]byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))}
	w.next++
	return &stream.Record{
		Topic: event.TopicEvents, Key: w.memory.hold([]byte(s.event.Key.String())), Value: w.memory.hold(value), Offset: w.next,
		Timestamp: time.UnixMilli(int64(w.start) + s.at.Milliseconds()), Headers: []stream.RecordHeader{trace},
	}
}

func (w *borrower) state(rec *stream.Record) *stream.State {
	w.t.Helper()
	group, err := w.proc.Group(rec)
	if err != nil {
		w.t.Fatal(err)
	}
	st := w.states[group]
	if st == nil {
		st = stream.NewState(string(rec.Key))
		w.states[st.Group()] = st
	}
	return st
}

// tell notes what was emitted in a transaction that began after an offset.
func (w *borrower) tell(r *stream.Record, began int64) {
	w.t.Helper()
	line := fmt.Sprintf("%s %q %q", r.Topic, r.Key, r.Value)
	for _, h := range r.Headers {
		line += fmt.Sprintf(" %s=%q", h.Key, h.Value)
	}
	w.out = append(w.out, line)
	switch r.Topic {
	case event.TopicViews:
		w.met["view"]++
	case event.TopicOutcomes:
		var o inventory.Outcome
		if err := w.proc.codecs.DecodeOutcome(r.Value, &o); err != nil {
			w.t.Fatal(err)
		}
		w.met[string(o.Kind)]++
		for _, c := range o.Codes {
			w.met[string(c)]++
		}
		if o.Offset <= began { // its event's memory was overwritten since
			w.met["released later"]++
		}
	}
}
