//go:build synctests

package atp

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Items that freeze for other reasons than size: so much waits on them that no more may,
// or a worker panics over an event until it is mended. One of each kind is given up with
// "thaw --drop". And items on which demand of no origin waits for its order, with nothing
// else that happens to them: only ticks end that.

const (
	simFullIn   = 0 // the episode in which too much waits
	simPanicIn  = 2 // the episode in which a worker panics
	simColdEnd  = 6*time.Minute + 30*time.Second
	simParked   = 48 << 10 // bytes that may wait on a key
	simLinkWait = 30 * time.Second
	simLinks    = 2
	simMarket   = inventory.Source("edi") // orders what it has no say in
	simPanics   = "panic"                 // names the attribute of what a worker panics over
)

func coldKey(name string) inventory.Key {
	return inventory.Key{Entity: "acme", Item: inventory.Item("cold-" + name)}
}

func isCold(k inventory.Key) bool { return strings.HasPrefix(string(k.Item), "cold-") }
func isLink(k inventory.Key) bool { return strings.HasPrefix(string(k.Item), "link-") }
func panicsOn(ev *inventory.Event) bool {
	return len(ev.Attributes) > 0 && ev.Attributes[0].Name == simPanics
}

// checkRoom wants no more to wait on a key than may, and a key that froze for that to have
// had no room for one event more.
func (f *simFold) checkRoom(k inventory.Key, full bool) {
	const largest = 16 << 10 // of those that wait
	waits := 0
	ps := f.pieces[k]
	ps.st.Each(func(key string, value []byte) bool {
		if _, rest := split(key); strings.HasPrefix(rest, inventory.PieceParked+"|") || strings.HasPrefix(rest, inventory.PieceWaiting+"|") {
			waits += len(value)
		}
		return true
	})
	if waits > simParked+largest/2 || full && waits < simParked-largest {
		f.fail(k, "%d bytes wait, of %d that may; frozen for them: %v", waits, simParked, full)
	}
}

// diverts is the reason for which a worker diverts an event that it cannot work on.
func diverts(ev *inventory.Event) inventory.Code {
	if panicsOn(ev) {
		return inventory.CodeDiverted
	}
	return inventory.CodeOversize
}

// cold is what happens to these items.
func (p *simPlan) cold() {
	around := func(begin time.Duration, item string) {
		for range 5 {
			p.fact(begin+p.between(-20*time.Second, simEpisode), item)
		}
		p.contend(begin+p.between(0, simEpisode), item)
		for range 3 {
			p.fact(begin+simColdEnd+p.between(0, time.Minute), item)
		}
	}
	begin := simFullIn*simGap + 30*time.Second
	for _, name := range []string{"full-copied", "full-dropped"} {
		item := string(coldKey(name).Item)
		around(begin, item)
		for range 8 {
			at := begin + p.between(0, simEpisode)
			ev := p.event(at, inventory.KindMovement, item, "wms")
			ev.Movement = &inventory.Movement{
				Type: inventory.Reversal, Location: p.location(), FromState: inventory.Customer, ToState: inventory.OnHand, // takes nothing from what is promised
				Quantity: p.units(3), Reverses: "never-" + ev.ID,
			}
			p.load(&ev)
			p.send(at, ev)
		}
	}
	begin = simPanicIn*simGap + 30*time.Second
	for _, name := range []string{"panic-copied", "panic-dropped"} {
		item := string(coldKey(name).Item)
		around(begin, item)
		for range 1 + p.rng.IntN(2) {
			at := begin + p.between(0, time.Minute)
			ev := p.event(at, inventory.KindMovement, item, "wms")
			ev.Movement = &inventory.Movement{Type: inventory.Receipt, Location: p.location(), Quantity: p.units(3)}
			ev.Attributes = []inventory.Attribute{{Name: simPanics, Value: "yes"}}
			p.send(at, ev)
		}
	}
	for n := range 10 {
		at := time.Duration(n)*simGap/2 + p.between(time.Minute, 20*time.Minute)
		item, number := "link-"+strconv.Itoa(p.rng.IntN(simLinks)), strconv.Itoa(n)
		order := func(at time.Duration, by inventory.Source) {
			ev := p.event(at, inventory.KindDemand, item, by)
			ev.Refs = []inventory.Ref{{Issuer: "shop", Type: "order", Number: "L" + number}}
			ev.Demand = &inventory.Demand{Stage: inventory.Ordered, Quantity: p.units(4), Location: p.location()}
			p.send(at, ev)
		}
		order(at, simMarket)
		if p.oneIn(2) { // before its end or after
			order(at+p.between(-simLinkWait/2, 2*simLinkWait), "shop")
		}
	}
}

// buggy says whether a worker that starts now panics over some events.
func (p *simPlan) buggy(now time.Duration) bool {
	return now/simGap == simPanicIn && now%simGap < simTight
}

// panicking is a processor with a fault in it.
type panicking struct {
	*processor
	w *simWorld
}

func (p panicking) Step(in stream.Input, st *stream.State, emit func(*stream.Record)) error {
	var ev inventory.Event
	if p.codecs.DecodeEvent(in.Value, &ev) == nil && panicsOn(&ev) {
		p.w.meet("panicked", 1)
		panic("of this event")
	}
	return p.processor.Step(in, st, emit)
}

// coldThaws ends these freezes: by copies, once there is room or the fault is mended, or
// by giving up.
func (w *simWorld) coldThaws() {
	w.operates("cold", func(o *simOperator) {
		o.name = "cold"
		w.sleepUntil(simFullIn*simGap + 30*time.Second + simColdEnd - 10*time.Second)
		o.drop(coldKey("full-dropped"))
		o.makeRoom(coldKey("full-copied"))
		o.thaw(coldKey("full-copied"))
		w.sleepUntil(simPanicIn*simGap + 30*time.Second + simColdEnd - 10*time.Second)
		o.drop(coldKey("panic-dropped"))
		o.thaw(coldKey("panic-copied"))
	})
}

// drop gives up what a key has not taken.
func (o *simOperator) drop(k inventory.Key) {
	for range 60 {
		frozen, _, ok := o.look(k)
		if ok && frozen.Since == 0 {
			return
		}
		o.word(k, "", inventory.ReleaseDrop)
		time.Sleep(2 * time.Second)
	}
	o.w.t.Errorf("%s could not be given up", k)
}

// makeRoom gives up what waits on a key.
func (o *simOperator) makeRoom(k inventory.Key) {
	for range 60 {
		_, waits, ok := o.look(k)
		if ok && len(waits) == 0 {
			return
		}
		for _, id := range waits {
			o.word(k, id, inventory.ReleaseDrop)
		}
		time.Sleep(2 * time.Second)
	}
	o.w.t.Errorf("%s could not be given room", k)
}

// look is how a key stands: its freeze, and the ids of what waits.
func (o *simOperator) look(k inventory.Key) (fz inventory.Frozen, waits []string, ok bool) {
	kept := map[string]string{}
	err := foldState(o, k, func(key string, piece *inventory.Piece) {
		switch {
		case piece == nil:
			delete(kept, key)
		case piece.Head != nil:
			fz = piece.Head.Frozen
		case piece.Kept != nil:
			kept[key] = piece.Kept.Event.ID
		}
	})
	for _, id := range kept {
		waits = append(waits, id)
	}
	slices.Sort(waits)
	return fz, waits, err == nil
}

func foldState(o *simOperator, k inventory.Key, f func(key string, piece *inventory.Piece)) error {
	part := stream.Partition([]byte(k.String()), o.w.parts)
	_, err := o.reads.Fold(context.Background(), event.TopicState, part, func(rec *stream.Record) error {
		key := string(rec.Key)
		if !strings.HasPrefix(key, k.String()+"|") {
			return nil
		}
		if rec.Value == nil {
			f(key, nil)
			return nil
		}
		var piece inventory.Piece
		if err := o.w.codecs.DecodeState(rec.Key, rec.Value, &piece); err != nil {
			return err
		}
		f(key, &piece)
		return nil
	})
	return err
}

// word appends a person's word: on a key, or on an event that waits there.
func (o *simOperator) word(k inventory.Key, id string, release inventory.ReleaseKind) {
	o.words++
	doc := inventory.Document{Type: "approval", Number: o.name + k.String(), Line: strconv.Itoa(o.words)}
	at := inventory.Instant(time.Now().UnixMilli())
	ev := inventory.Event{
		ID: event.EventID("op", doc), Kind: inventory.KindApproval, Key: k, Source: "op", Document: doc, OccurredAt: at,
		OccurredBasis: inventory.BasisReceipt, ReceivedAt: at, Approval: &inventory.Approval{Event: id, Release: release, Author: "ann"},
	}
	value, err := o.w.codecs.AppendEvent(nil, &ev)
	if err != nil {
		o.w.t.Error(err)
		return
	}
	o.w.produce(o.prod, &stream.Record{Topic: event.TopicEvents, Key: []byte(k.String()), Value: value})
}

// simLink is an item on which demand of no origin waits for its order, so long and no
// longer.
type simLink struct {
	clock   inventory.Instant
	ends    map[inventory.Instant]bool // of all waits there were
	seen    map[string]bool
	ordered map[string]bool
	waits   map[string]simLinked
}

type simLinked struct {
	order string
	until inventory.Instant
}

func newSimLink() *simLink {
	return &simLink{ends: map[inventory.Instant]bool{}, seen: map[string]bool{}, ordered: map[string]bool{}, waits: map[string]simLinked{}}
}

// step says what is wrong with the outcomes of an event and of those it let go on.
func (m *simLink) step(w *simWorld, ev *inventory.Event, o *inventory.Outcome, also []inventory.Outcome) string {
	m.clock = max(m.clock, ev.RecordedAt)
	if ev.Kind == inventory.KindTick && !m.ends[ev.OccurredAt] {
		return fmt.Sprintf("a tick for %d, at which no wait ends", ev.OccurredAt)
	}
	want := map[string]inventory.OutcomeKind{}
	again := m.seen[ev.ID]
	if ev.Demand != nil {
		m.seen[ev.ID] = true
		order := ev.Refs[0].Number
		switch {
		case again:
			want[ev.ID] = inventory.Duplicate
		case ev.Source != simMarket:
			m.ordered[order] = true
			want[ev.ID] = inventory.Applied
		case m.ordered[order]:
			w.meet("linked to an order that is known", 1)
			want[ev.ID] = inventory.Noted
		default:
			w.meet("waits for its order", 1)
			want[ev.ID] = inventory.Parked
		}
		if want[ev.ID] == inventory.Parked {
			defer func() {
				until := ev.RecordedAt + inventory.Instant(simLinkWait.Milliseconds())
				m.waits[ev.ID], m.ends[until] = simLinked{order, until}, true
			}()
		}
	}
	for id, x := range m.waits {
		switch {
		case m.ordered[x.order]:
			w.meet("linked when its order came", 1)
			want[id] = inventory.Noted
		case x.until <= m.clock && ev.Kind == inventory.KindTick:
			w.meet("claims after its wait, by a tick", 1)
			want[id] = inventory.Applied
		case x.until <= m.clock:
			want[id] = inventory.Applied
		default:
			continue
		}
		delete(m.waits, id)
	}
	for _, o := range slices.Concat([]inventory.Outcome{*o}, also) {
		if o.EventKind == inventory.KindTick {
			continue
		}
		if o.Kind != want[o.EventID] {
			return fmt.Sprintf("%s is %s, the model says %q", o.EventID, o.Kind, want[o.EventID])
		}
		delete(want, o.EventID)
	}
	if len(want) > 0 {
		return fmt.Sprintf("the model says what nobody said: %v", want)
	}
	return ""
}

// checkLinks wants nothing waiting any more.
func (f *simFold) checkLinks() {
	for k, m := range f.links {
		if n := len(m.waits) + len(f.kept(k)); n > 0 {
			f.fail(k, "%d wait for their orders still", n)
		}
	}
}
