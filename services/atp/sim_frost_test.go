//go:build synctests

package atp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Items that freeze: in some episodes the workers' outcomes may not be large, and an
// event comes whose outcome is. Once there is room an operator thaws them, who breaks
// off now and then and begins again, while partners and facts go on.

const simFrosts = 2

var simFrozenIn = []int{1, 3} // episodes

func frost(n int) string           { return "frost-" + strconv.Itoa(n) }
func isFrost(k inventory.Key) bool { return strings.HasPrefix(string(k.Item), "frost-") }
func frostKey(n int) inventory.Key {
	return inventory.Key{Entity: "acme", Item: inventory.Item(frost(n))}
}
func isBulky(ev *inventory.Event) bool { return len(ev.Attributes) > 0 }

// frost is what happens to these items in an episode.
func (p *simPlan) frost(e int, begin time.Duration) {
	for n := range simFrosts {
		for range 6 {
			p.fact(begin+p.between(-time.Minute, simEpisode), frost(n))
		}
		p.contend(begin+p.between(0, simEpisode), frost(n))
		if p.oneIn(2) && !slices.Contains(simFrozenIn, e) && e != simShelfIn { // there is room for it
			p.bulky(begin+p.between(0, simEpisode), n, p.oneIn(4))
		}
		if slices.Contains(simFrozenIn, e) {
			if e == simFrozenIn[0] && n == 0 { // frozen by what has no copy, and then there is one that is too much
				p.bulky(begin+p.between(0, 20*time.Second), n, true)
				p.bulky(begin+p.between(30*time.Second, time.Minute), n, false)
			} else {
				for range 1 + p.rng.IntN(2) {
					p.bulky(begin+p.between(0, time.Minute), n, p.oneIn(4))
				}
			}
			for range 4 { // while it is thawed
				p.fact(begin+simThaw+p.between(-10*time.Second, 10*time.Second), frost(n))
			}
			p.contend(begin+simThaw+p.between(-10*time.Second, 10*time.Second), frost(n))
		}
	}
}

// bulky is an event, or a request, whose outcome is larger than a tight worker may write.
func (p *simPlan) bulky(at time.Duration, n int, request bool) {
	ev := p.event(at, inventory.KindMovement, frost(n), "wms")
	if request {
		ev = p.event(at, inventory.KindReservation, frost(n), "api")
		ev.Reservation = &inventory.Reservation{
			ID: "B" + ev.Document.Number, Action: inventory.Try, Partner: "partner-0", ReplyTo: int32(p.rng.IntN(8)),
			ExpiresAt: p.start + inventory.Instant((at + 5*time.Second).Milliseconds()),
			Lines:     []inventory.ReservationLine{{Line: "1", Quantity: p.units(3)}},
		}
	} else {
		ev.Movement = &inventory.Movement{Type: inventory.Receipt, Location: p.location(), Quantity: p.units(3)}
	}
	p.load(&ev)
	p.send(at, ev)
}

// load makes an event carry so much.
func (p *simPlan) load(ev *inventory.Event) {
	for i := range 12 {
		var v strings.Builder
		for range 60 {
			fmt.Fprintf(&v, "%016x", p.rng.Uint64())
		}
		ev.Attributes = append(ev.Attributes, inventory.Attribute{Name: fmt.Sprint("note", i), Value: v.String()})
	}
}

const (
	simTight  = simEpisode + 30*time.Second // so long there is no room, from the gap's begin on
	simThaw   = 4 * time.Minute             // after an episode's begin
	simTight2 = 45 * time.Second            // so long in the episode of snapshots
)

// tight says whether a worker that starts now may not write large outcomes.
func (p *simPlan) tight(now time.Duration) bool {
	e, in := int(now/simGap), now%simGap
	return slices.Contains(simFrozenIn, e) && in < simTight || e == simShelfIn && in < simTight2
}

// limit is the largest batch of a topic for a worker that starts now.
func (p *simPlan) limit(now time.Duration) func(topic string) int32 {
	if !p.tight(now) {
		return event.MaxBatch
	}
	return func(topic string) int32 {
		if topic == event.TopicOutcomes {
			return tight
		}
		return event.MaxBatch(topic)
	}
}

// thaws releases what is frozen: once when that is too early, and then to the end.
func (w *simWorld) thaws() {
	w.operates("thaw", func(o *simOperator) {
		for _, e := range simFrozenIn {
			begin := time.Duration(e)*simGap + 30*time.Second
			w.sleepUntil(begin + simEpisode - 10*time.Second)
			for n := range simFrosts {
				o.round(frostKey(n))
			}
			w.sleepUntil(begin + simThaw)
			for n := range simFrosts {
				o.thaw(frostKey(n))
			}
		}
	})
}

// simOperator does what "stockweave thaw" does.
type simOperator struct {
	w     *simWorld
	reads *stream.RestoreReads
	prod  *stream.Producer
	rng   *rand.Rand
	words int
	name  string // of who says them
}

// operates lets an operator work, with connections of a name.
func (w *simWorld) operates(name string, do func(o *simOperator)) {
	reads, err := stream.NewRestoreReads(w.kafka(name))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer reads.Close()
	prod, err := stream.NewProducer(w.kafka(name + "-prod"))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer prod.Close()
	do(w.operator(reads, prod))
}

func (w *simWorld) operator(reads *stream.RestoreReads, prod *stream.Producer) *simOperator {
	return &simOperator{w: w, reads: reads, prod: prod, rng: rand.New(rand.NewPCG(w.seed, 11))}
}

func (o *simOperator) thaw(k inventory.Key) {
	for range 60 {
		if o.round(k) {
			return
		}
		time.Sleep(2 * time.Second)
	}
	o.w.t.Errorf("%s could not be thawed", k)
}

// round appends copies of what the key has not taken, and the word that ends the
// freeze. It is true of a key that takes events. Now and then it breaks off.
func (o *simOperator) round(k inventory.Key) bool {
	ctx := context.Background()
	part := stream.Partition([]byte(k.String()), o.w.parts)
	var fz inventory.Frozen
	_, err := o.reads.Fold(ctx, event.TopicState, part, func(rec *stream.Record) error {
		if string(rec.Key) != inventory.StateKey(k, inventory.PieceHead) {
			return nil
		}
		var piece inventory.Piece
		if err := o.w.codecs.DecodeState(rec.Key, rec.Value, &piece); err != nil {
			return err
		}
		fz = piece.Head.Frozen
		return nil
	})
	if err != nil {
		return false
	}
	if fz.Since == 0 {
		return true
	}
	from := fz.Taken + 1
	if fz.Taken < fz.Offset {
		from = fz.Offset
	}
	end, err := o.reads.HighWatermark(ctx, event.TopicEvents, part)
	if err != nil {
		return false
	}
	var copies []*stream.Record
	if err := o.reads.Each(ctx, event.TopicEvents, part, from, end, func(rec *stream.Record) error {
		if string(rec.Key) != k.String() {
			return nil
		}
		if _, _, copied := event.ParseCopyOf(rec.Headers); copied && rec.Offset != fz.Offset {
			return nil
		}
		var ev inventory.Event
		if o.w.codecs.DecodeEvent(rec.Value, &ev) == nil && ev.Missed() {
			copies = append(copies, &stream.Record{
				Topic: event.TopicEvents, Key: rec.Key, Value: rec.Value,
				Headers: event.AppendCopyOf[stream.RecordHeader](nil, rec.Offset, inventory.Instant(rec.Timestamp.UnixMilli())),
			})
		}
		return nil
	}); err != nil {
		return false
	}
	for i := 0; i < len(copies); i++ {
		time.Sleep(time.Duration(o.rng.IntN(300)) * time.Millisecond) // others come in meanwhile
		switch o.rng.IntN(30) {
		case 0:
			return false // and begins again, with what is left by then
		case 1:
			copies = copies[:i+1] // and says the word too early
		case 2, 3:
			i = o.rng.IntN(i + 1) // another one, who has read the same
		}
		o.w.produce(o.prod, copies[i])
	}
	o.words++
	doc := inventory.Document{Type: "approval", Number: k.String(), Line: strconv.Itoa(o.words)}
	at := inventory.Instant(time.Now().UnixMilli())
	word := inventory.Event{
		ID: event.EventID("op", doc), Kind: inventory.KindApproval, Key: k, Source: "op", Document: doc, OccurredAt: at,
		OccurredBasis: inventory.BasisReceipt, ReceivedAt: at, Approval: &inventory.Approval{Release: inventory.ReleaseUnfreeze, Author: "ann"},
	}
	value, err := o.w.codecs.AppendEvent(nil, &word)
	if err != nil {
		o.w.t.Error(err)
		return false
	}
	o.w.produce(o.prod, &stream.Record{Topic: event.TopicEvents, Key: []byte(k.String()), Value: value})
	return false
}

// simFrost is such an item: which events a frozen key has not taken, and which of them
// comes next. What it takes is for the other model to judge.
type simFrost struct {
	frozen bool
	stuck  bool            // the next one was too much
	missed []int64         // offsets of what it has not taken
	gave   map[string]bool // ids of those that were given up
	ids    map[int64]string
	words  map[string]bool
	other  map[int64]bool    // offsets of what had another content than came before
	asked  map[string]uint32 // what was asked for first, of each request that was answered
}

func newSimFrost() *simFrost {
	return &simFrost{gave: map[string]bool{}, ids: map[int64]string{}, words: map[string]bool{}, other: map[int64]bool{}, asked: map[string]uint32{}}
}

// step says what is wrong with an outcome, and whether the event was taken. original
// is the offset it is the copy of, or -1.
func (m *simFrost) step(w *simWorld, ev *inventory.Event, o *inventory.Outcome, offset, original int64) (wrong string, taken bool) {
	why := inventory.Code("")
	if i := slices.Index(o.Codes, inventory.CodeFrozen); i >= 0 && i+1 < len(o.Codes) && o.Codes[i+1] != inventory.CodeBehind {
		why = o.Codes[i+1]
	}
	told := inventory.CodeFrozen
	if why == inventory.CodeParkedFull {
		told = inventory.CodeUnknownReversal // what it would wait for comes first
	}
	froze := why != ""
	m.ids[offset] = ev.ID
	first := true // of a request; the same one again is answered as before
	if !ev.Missed() && ev.Reservation != nil {
		content, again := m.asked[ev.ID]
		if !again {
			m.asked[ev.ID] = inventory.ContentHash(ev)
		}
		first = !again || content != inventory.ContentHash(ev)
	}
	switch mayWait := isCold(ev.Key) && ev.Movement != nil && ev.Movement.Type == inventory.Reversal; {
	case !froze, why == inventory.CodeParkedFull && mayWait, why == diverts(ev) && isBulky(ev):
	default:
		return fmt.Sprintf("an event froze the key for %s that need not", why), false
	}
	if !m.frozen {
		if !froze {
			return "", true
		}
		w.meet("frozen", 1)
		w.meet("frozen "+string(why), 1)
		m.frozen, m.stuck, m.missed = true, false, nil
		want := inventory.Denied
		if ev.Missed() {
			m.missed, m.stuck, want = []int64{offset}, true, inventory.Parked
		}
		return m.want(o, want, told), false
	}
	switch {
	case ev.Kind == inventory.KindTick:
		return m.want(o, inventory.Noted, inventory.CodeFrozen), false
	case ev.Kind == inventory.KindApproval:
		switch {
		case m.words[ev.ID]:
			return m.want(o, inventory.Duplicate, ""), false
		case ev.Approval.Event != "": // on what waits
			m.words[ev.ID] = true
			return "", false
		case ev.Approval.Release == inventory.ReleaseDrop:
			w.meet("given up", len(m.missed))
			for _, at := range m.missed {
				m.gave[m.ids[at]] = true
			}
			m.words[ev.ID], m.frozen, m.missed = true, false, nil
			return m.want(o, inventory.Applied, ""), false
		case len(m.missed) > 0:
			w.meet("thawed too early", 1)
			m.words[ev.ID] = true
			return m.want(o, inventory.Denied, inventory.CodeEventsLeft), false
		}
		w.meet("thawed", 1)
		m.words[ev.ID], m.frozen = true, false
		return m.want(o, inventory.Applied, ""), false
	case original >= 0 && len(m.missed) > 0 && original == m.missed[0]:
		if froze {
			w.meet("copy too large still", 1)
			m.stuck = true
			return m.want(o, inventory.Parked, told), false
		}
		w.meet("copy taken", 1)
		m.missed, m.stuck = m.missed[1:], false
		m.other[original] = o.Kind == inventory.Conflict
		return "", true
	case original >= 0 && (len(m.missed) == 0 || original < m.missed[0]):
		w.meet("copy repeated", 1)
		if m.other[original] {
			return m.want(o, inventory.Conflict, ""), false
		}
		return m.want(o, inventory.Duplicate, ""), false
	case original >= 0 && m.stuck:
		w.meet("copy behind", 1)
		return m.want(o, inventory.Parked, inventory.CodeFrozen), false
	case original >= 0:
		return fmt.Sprintf("the copy of %d came before that of %d", original, m.missed[0]), false
	case !ev.Missed() && !first:
		w.meet("repeated to a frozen key", 1)
		return m.want(o, inventory.Duplicate, ""), false
	case !ev.Missed():
		w.meet("denied by a frozen key", 1)
		return m.want(o, inventory.Denied, inventory.CodeFrozen), false
	}
	w.meet("not taken by a frozen key", 1)
	m.missed = append(m.missed, offset)
	return m.want(o, inventory.Parked, inventory.CodeFrozen), false
}

// want says how an outcome is not of a kind and first code.
func (m *simFrost) want(o *inventory.Outcome, kind inventory.OutcomeKind, code inventory.Code) string {
	if o.Kind != kind || code != "" && (len(o.Codes) == 0 || o.Codes[0] != code) {
		return fmt.Sprintf("%s %v, the model says %s %s", o.Kind, o.Codes, kind, code)
	}
	return ""
}

// gaveUp says whether an event was given up with its frozen key.
func (f *simFold) gaveUp(k inventory.Key, id string) bool {
	m := f.frosts[k]
	return m != nil && m.gave[id]
}

// checkFrosts wants every key thawed in the end, and its readers told so.
func (f *simFold) checkFrosts() {
	for k, m := range f.frosts {
		if m.frozen {
			f.fail(k, "frozen still, %d events are not taken", len(m.missed))
		}
	}
	for _, pos := range f.positions {
		if pos.Frozen {
			f.fail(pos.Key, "its position at %s says frozen", pos.Location)
		}
	}
}
