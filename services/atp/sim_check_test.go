//go:build synctests

package atp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

func isMany(k inventory.Key) bool { return strings.HasPrefix(string(k.Item), "many-") }
func isBusy(k inventory.Key) bool { return strings.HasPrefix(string(k.Item), "busy-") }

// prefix is the length of what stands before a value and names its schema.
const prefix = 5

// simFold is the plain fold of one partition's log: no runner, no transactions, no
// faults, nothing read twice.
type simFold struct {
	w         *simWorld
	partition int32
	policy    int64
	policies  map[int64]*inventory.Policy
	ledgers   map[inventory.Key]*inventory.Ledger
	pieces    map[inventory.Key]*pieces
	models    map[inventory.Key]*simModel
	asides    map[inventory.Key]*simAside
	frosts    map[inventory.Key]*simFrost
	links     map[inventory.Key]*simLink
	bare      map[int64]bool // offsets of which the outcome carries no attributes
	shelves   map[inventory.Key]*simShelfItem
	shelfSeen map[string]bool
	ended     []simEnded
	unlisted  map[string]bool // item and snapshot: what is to be set to zero
	zeroes    map[string]int  // the zero counts there are
	outcomes  []inventory.Outcome
	positions map[string]inventory.Position
	told      map[inventory.Key][]string
	ticks     []inventory.Instant // when they were appended
	dead      int
	answers   map[int32][]inventory.Outcome // by the partition of who asked
}

// check compares what the topics hold with the fold of the log.
func (w *simWorld) check() {
	reads, err := stream.NewRestoreReads(w.kafka("check"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer reads.Close()
	answers := map[int32][]inventory.Outcome{}
	letters := w.letters(reads)
	events, worst := 0, 0
	for p := range w.parts {
		f := &simFold{
			w: w, partition: p, policies: map[int64]*inventory.Policy{0: {}}, ledgers: map[inventory.Key]*inventory.Ledger{},
			pieces: map[inventory.Key]*pieces{}, models: map[inventory.Key]*simModel{}, positions: map[string]inventory.Position{},
			told: map[inventory.Key][]string{}, answers: answers,
			asides: map[inventory.Key]*simAside{}, frosts: map[inventory.Key]*simFrost{}, links: map[inventory.Key]*simLink{},
			shelves: map[inventory.Key]*simShelfItem{}, shelfSeen: map[string]bool{}, unlisted: map[string]bool{}, zeroes: map[string]int{},
		}
		for v := int64(1); v <= 2; v++ {
			policy := simLedger(v)
			f.policies[v] = &policy
		}
		log, outcomes := w.read(reads, event.TopicEvents, p), w.read(reads, event.TopicOutcomes, p)
		events += len(log)
		f.bare = f.bareOf(outcomes)
		for _, rec := range log {
			f.step(rec)
		}
		f.checkOutcomes(outcomes)
		f.checkFates()
		f.checkAsides()
		f.checkFrosts()
		f.checkLinks()
		f.checkState(w.read(reads, event.TopicState, p))
		positions := w.read(reads, event.TopicPositions, p)
		if f.checkPositions(positions); w.t.Failed() {
			w.tellTail(reads, event.TopicPositions, p, positions)
		}
		if n := len(letters[event.TopicEvents][p]); n != f.dead {
			w.t.Errorf("partition %d: %d dead letters of %d", p, n, f.dead)
		}
		f.checkShelves(w.read(reads, event.TopicSnapshots, p), letters[event.TopicSnapshots][p])
		w.meet("dead letter", f.dead)
		worst = max(worst, f.checkTicks())
	}
	for p := range w.parts {
		w.checkAnswers(p, answers[p], w.read(reads, event.TopicAnswers, p))
	}
	w.t.Logf("%d events, %d lives, at most %d ticks in a second, %v of the log's time, met: %v",
		events, w.lives, worst, time.Since(w.start), w.met)
}

// step decides one event as the ledger alone does.
func (f *simFold) step(rec *stream.Record) {
	var ev inventory.Event
	if err := f.w.codecs.DecodeEvent(rec.Value, &ev); err != nil {
		f.dead++
		return
	}
	ev.RecordedAt = inventory.Instant(rec.Timestamp.UnixMilli())
	if ev.Kind == inventory.KindControl && ev.Control.Snapshot != nil {
		f.endShelf(&ev, rec.Offset)
		return
	}
	if ev.Kind == inventory.KindControl {
		f.policy = ev.Control.PolicyVersion
		return
	}
	if ev.Kind == inventory.KindTick {
		f.ticks = append(f.ticks, ev.RecordedAt)
	}
	led := f.ledgers[ev.Key]
	if led == nil {
		ps := &pieces{st: stream.NewState(ev.Key.String()), codecs: f.w.codecs, key: ev.Key, headKey: inventory.StateKey(ev.Key, inventory.PieceHead)}
		led = inventory.NewLedger(ev.Key, ps)
		f.ledgers[ev.Key], f.pieces[ev.Key] = led, ps
	}
	at, original := inventory.At{Lineage: 1, Partition: f.partition, Offset: rec.Offset}, int64(-1)
	if of, then, ok := event.ParseCopyOf(rec.Headers); ok && led.Frozen().Since != 0 {
		original = of
		at.Copy, at.Original, ev.RecordedAt = true, of, min(ev.RecordedAt, then)
	}
	var out inventory.Outcome
	var err error
	took := led.Frozen().Since == 0
	if isBulky(&ev) && f.bare[rec.Offset] { // that a worker could not write its outcome does not stand in the log
		led.Freeze(&out, f.policies[f.policy], &ev, at, diverts(&ev))
	} else {
		out, err = led.Apply(f.policies[f.policy], &ev, at)
	}
	if err != nil {
		fault, ok := errors.AsType[*inventory.Fault](err)
		if !ok {
			f.w.t.Fatalf("event %s: %v", ev.ID, err)
		}
		out = rejected(&ev, fault, stream.Input{Record: rec, Lineage: 1, Header: &stream.Header{PolicyVersion: f.policy}})
	}
	f.told[ev.Key] = append(f.told[ev.Key], fmt.Sprintf("%d at %d: %s: %s %v", rec.Offset, ev.RecordedAt, tellEvent(&ev), out.Kind, out.Codes))
	f.say(out, &ev)
	for _, o := range led.Also() {
		f.say(o, nil)
	}
	st := f.pieces[ev.Key].st
	led.Changed(func(p inventory.Piece) {
		key := inventory.StateKey(ev.Key, p.Kind, p.N...)
		if p.Deleted {
			st.Delete(key)
			return
		}
		value, err := f.w.codecs.AppendState(nil, &p)
		if err != nil {
			f.w.t.Fatal(err)
		}
		st.Put(key, value)
	})
	for _, pos := range led.ChangedPositions() {
		f.positions[inventory.PositionKey(pos.Key, pos.Location)] = pos
	}
	led.ClearChanged()
	st.Merge()
	if err := f.pieces[ev.Key].err; err != nil {
		f.w.t.Fatal(err)
	}
	if took || led.Frozen().Since == 0 {
		f.checkRoom(ev.Key, led.Frozen().Code == inventory.CodeParkedFull)
	}
	f.judge(&ev, &out, led.Also(), rec.Offset, original)
}

// bareOf are the offsets of events of which the outcome carries nothing: those that
// carry something were diverted.
func (f *simFold) bareOf(outcomes []*stream.Record) map[int64]bool {
	at := map[int64]bool{}
	for _, rec := range outcomes {
		var o inventory.Outcome
		if f.w.codecs.DecodeOutcome(rec.Value, &o) == nil && len(o.Attributes) == 0 {
			at[o.Offset] = true
		}
	}
	return at
}

// judge asks the model of the item. original is the offset that the event is the copy
// of, or -1.
func (f *simFold) judge(ev *inventory.Event, out *inventory.Outcome, also []inventory.Outcome, offset, original int64) {
	switch {
	case isBusy(ev.Key): // no model
		return
	case isAside(ev.Key):
		m := f.asides[ev.Key]
		if m == nil {
			m = newSimAside()
			f.asides[ev.Key] = m
		}
		if wrong := m.step(f.w, ev, out, also); wrong != "" {
			f.fail(ev.Key, "%s", wrong)
		}
		return
	case isLink(ev.Key):
		m := f.links[ev.Key]
		if m == nil {
			m = newSimLink()
			f.links[ev.Key] = m
		}
		if wrong := m.step(f.w, ev, out, also); wrong != "" {
			f.fail(ev.Key, "%s", wrong)
		}
		return
	case isFrost(ev.Key), isShelf(ev.Key), isCold(ev.Key):
		m := f.frosts[ev.Key]
		if m == nil {
			m = newSimFrost()
			f.frosts[ev.Key] = m
		}
		wrong, taken := m.step(f.w, ev, out, offset, original)
		if wrong != "" {
			f.fail(ev.Key, "%s", wrong)
		}
		if taken && isShelf(ev.Key) {
			f.shelfEvent(ev)
			return
		}
		if !taken {
			if wrong := f.modelOf(ev.Key).told(out); wrong != "" {
				f.fail(ev.Key, "%s", wrong)
			}
			return
		}
	}
	if wrong := f.modelOf(ev.Key).step(f.w, ev, out); wrong != "" {
		f.fail(ev.Key, "%s", wrong)
	}
}

func (f *simFold) modelOf(k inventory.Key) *simModel {
	m := f.models[k]
	if m == nil {
		m = newSimModel()
		f.models[k] = m
	}
	return m
}

// say notes an outcome, and the answer that it must have.
func (f *simFold) say(o inventory.Outcome, ev *inventory.Event) {
	o.Moves = slices.Clone(o.Moves)
	f.outcomes = append(f.outcomes, o)
	for _, c := range o.Moves {
		if c.Type == inventory.CountRestatement {
			f.w.meet("count restated", 1)
		}
	}
	switch {
	case o.EventKind == inventory.KindTick && len(o.Lapsed) > 0:
		f.w.meet("lapsed by a tick", 1)
	case o.Kind == inventory.Duplicate || o.Kind == inventory.Conflict || o.Kind == inventory.Rejected:
		f.w.meet(string(o.Kind), 1)
	}
	a := o.Answer
	if a == nil && ev != nil && ev.Reservation != nil {
		r := ev.Reservation
		a = &inventory.Answer{Reservation: r.ID, Action: r.Action, ReplyTo: r.ReplyTo}
		if len(o.Codes) > 0 {
			a.Code = o.Codes[0]
		}
	}
	if a != nil && a.ReplyTo >= 0 && a.ReplyTo < f.w.parts {
		o.Answer = a
		f.answers[a.ReplyTo] = append(f.answers[a.ReplyTo], o)
	}
}

// fail tells what is wrong with a key, and all that happened to it.
func (f *simFold) fail(k inventory.Key, format string, args ...any) {
	f.w.t.Errorf("seed %d, %s: %s", f.w.seed, k, fmt.Sprintf(format, args...))
	told := f.told[k]
	f.w.t.Logf("%s, the last of %d events:\n%s", k, len(told), strings.Join(told[max(0, len(told)-25):], "\n"))
}

// checkOutcomes wants one outcome an event, in the order of the log, each as the fold
// says to the byte (Invariant 2), and versions that grow by one (Invariant 5).
func (f *simFold) checkOutcomes(recs []*stream.Record) {
	if len(recs) != len(f.outcomes) {
		f.w.t.Errorf("seed %d, partition %d: %d outcomes of %d events", f.w.seed, f.partition, len(recs), len(f.outcomes))
	}
	versions := map[inventory.Key]int64{}
	for i := range min(len(recs), len(f.outcomes)) {
		o := &f.outcomes[i]
		want, err := f.w.codecs.AppendOutcome(nil, o)
		if err != nil {
			f.w.t.Fatal(err)
		}
		if !bytes.Equal(want, recs[i].Value) {
			var got inventory.Outcome
			_ = f.w.codecs.DecodeOutcome(recs[i].Value, &got) // an empty one tells as much
			f.fail(o.Key, "outcome %+v\nthe fold says %+v", got, *o)
			return
		}
		if o.Kind == inventory.Rejected && !slices.Contains(o.Codes, inventory.CodeDropped) {
			continue
		}
		if v := versions[o.Key]; o.Version != v && o.Version != v+1 {
			f.fail(o.Key, "version %d after %d", o.Version, v)
		}
		versions[o.Key] = o.Version
	}
}

// checkState wants the state to the byte, and nothing left in it that time should have
// ended.
func (f *simFold) checkState(recs []*stream.Record) {
	state := map[string][]byte{}
	for _, r := range recs {
		if state[string(r.Key)] = r.Value; r.Value == nil {
			delete(state, string(r.Key))
		}
	}
	delete(state, stream.HeaderKey)
	for k, ps := range f.pieces {
		claims := map[inventory.Location]inventory.Quantity{}
		ps.st.Each(func(key string, want []byte) bool {
			got, ok := state[key]
			delete(state, key)
			if !ok || !bytes.Equal(got[prefix:], want[prefix:]) {
				var a, b inventory.Piece
				_ = f.w.codecs.DecodeState([]byte(key), got, &a)
				_ = f.w.codecs.DecodeState([]byte(key), want, &b)
				f.fail(k, "state %s is there: %v\n%+v %+v\nthe fold says\n%+v %+v", key, ok, a.Head, a.Line, b.Head, b.Line)
				return true
			}
			piece := ps.decode(key, want)
			if h := piece.Head; h != nil && (h.Book.Tentative != 0 || h.Book.ExpiresAt != 0) {
				f.fail(k, "leaked: %+v", h.Book)
			}
			if ln := piece.Line; ln != nil {
				for _, c := range ln.Claims {
					claims[c.Location] += c.Quantity
				}
				if h := ln.Held; h != nil && h.State == inventory.HeldTentative && len(ln.Claims) > 0 && len(ln.Entries) == 0 {
					f.fail(k, "leaked: line %+v holds %+v", ln, h)
				}
			}
			return true
		})
		f.checkSums(k, claims)
	}
	for key := range state {
		f.w.t.Errorf("seed %d: state %s is of no event", f.w.seed, key)
	}
}

// checkSums wants accounts that sum to zero (Invariant 3), and what positions say is
// reserved to be the open claims, and no more than the model says.
func (f *simFold) checkSums(k inventory.Key, claims map[inventory.Location]inventory.Quantity) {
	led := f.ledgers[k]
	var sum inventory.Quantity
	for a := inventory.Supplier; int(a) < inventory.NumAccounts; a++ {
		sum += led.Outside(a)
	}
	for _, pos := range f.positions {
		if pos.Key != k {
			continue
		}
		for _, q := range pos.States {
			sum += q
		}
		var reserved inventory.Quantity
		for _, b := range pos.Reserved {
			reserved += b.Quantity
		}
		if reserved != claims[pos.Location] {
			f.fail(k, "at %s reserved %v, open claims %v", pos.Location, reserved, claims[pos.Location])
		}
		if m := f.models[k]; m != nil && (m.Reserved(pos.Location) != reserved || m.OnHand(pos.Location) != pos.States[inventory.OnHand]) {
			f.fail(k, "at %s %v, reserved %v; the model says %v, %v", pos.Location, pos.States[inventory.OnHand], reserved,
				m.OnHand(pos.Location), m.Reserved(pos.Location))
		}
	}
	if sum != 0 {
		f.fail(k, "the accounts sum to %v", sum)
	}
	if m := f.models[k]; m != nil && m.Tentative("") != 0 {
		f.fail(k, "leaked: the model has %v tentative", m.Tentative(""))
	}
}

// checkPositions wants the latest of each location to be the fold's. Which events one
// commit holds is the run's: the version is the commit's, and so are its parts.
func (f *simFold) checkPositions(recs []*stream.Record) {
	latest := map[string]*stream.Record{}
	for _, r := range recs {
		latest[string(r.Key)] = r
	}
	f.checkPrevious(recs)
	for key, want := range f.positions {
		var got inventory.Position
		if r := latest[key]; r == nil || f.w.codecs.DecodePosition(r.Value, &got) != nil {
			f.fail(want.Key, "no position %s", key)
			continue
		}
		delete(latest, key)
		if got.Version < want.Version || got.Version > f.ledgers[want.Key].Version() {
			f.fail(want.Key, "position %s has version %d, changed by %d", key, got.Version, want.Version)
		}
		got.Version, got.Previous, got.Part, got.Parts = want.Version, want.Previous, want.Part, want.Parts
		a, err := f.w.codecs.AppendPosition(nil, &got)
		b, err2 := f.w.codecs.AppendPosition(nil, &want)
		if err := errors.Join(err, err2); err != nil {
			f.w.t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			f.fail(want.Key, "position %+v\nthe fold says %+v", got, want)
		}
	}
	for key := range latest {
		f.w.t.Errorf("seed %d: position %s is of no event", f.w.seed, key)
	}
}

// checkPrevious wants each position to say of which commit the one before it is, so that
// who has missed one knows.
func (f *simFold) checkPrevious(recs []*stream.Record) {
	versions := map[string][2]int64{} // of the last position and the one before
	for _, r := range recs {
		var p inventory.Position
		if err := f.w.codecs.DecodePosition(r.Value, &p); err != nil {
			f.w.t.Fatal(err)
		}
		had, known := versions[string(r.Key)]
		switch {
		case !known && p.Previous != inventory.NoPrevious:
			f.fail(p.Key, "the first position %s says that %d was before it", r.Key, p.Previous)
		case known && (p.Previous > had[0] || p.Previous <= had[1]):
			f.fail(p.Key, "position %s of version %d says that %d was before it, which was %d, after %d", r.Key, p.Version, p.Previous, had[0], had[1])
		}
		versions[string(r.Key)] = [2]int64{p.Version, had[0]}
	}
}

// tellTail says how the end of a partition differs from what is committed of it.
func (w *simWorld) tellTail(reads *stream.RestoreReads, topic string, partition int32, committed []*stream.Record) {
	high, err := reads.HighWatermark(context.Background(), topic, partition)
	stable, err2 := reads.LastStable(context.Background(), topic, partition)
	all := reads.Cursor(topic, partition, 0, false)
	s := fmt.Sprintf("%s partition %d: end %d, stable %d (%v, %v);", topic, partition, high, stable, err, err2)
	if n := len(committed); n > 0 {
		s += fmt.Sprintf(" %d committed, the last at %d by producer %d;", n, committed[n-1].Offset, committed[n-1].ProducerID)
	}
	for all.Offset() < high {
		recs, err := all.Next(context.Background())
		if err != nil {
			break
		}
		for _, r := range recs {
			if r.Offset > high-40 {
				s += fmt.Sprintf(" %d %s %d/%d", r.Offset, r.Key, r.ProducerID, r.ProducerEpoch)
			}
		}
	}
	w.t.Log(s)
}

// checkTicks wants no more ticks than are rationed: so many in a second, and those of
// one look more where the second's edges fall between looks.
func (f *simFold) checkTicks() (most int) {
	slices.Sort(f.ticks)
	first := 0
	for i, at := range f.ticks {
		for f.ticks[first] <= at-1000 {
			first++
		}
		most = max(most, i-first+1)
	}
	if limit := 10*tickBurst + tickBurst; most > limit {
		f.w.t.Errorf("seed %d, partition %d: %d ticks in a second", f.w.seed, f.partition, most)
	}
	if most >= 5*tickBurst {
		f.w.meet("ticks rationed", 1)
	}
	return most
}

// checkAnswers wants one answer for each outcome of who reads that partition.
func (w *simWorld) checkAnswers(partition int32, want []inventory.Outcome, recs []*stream.Record) {
	type place struct {
		partition int32
		offset    int64
		id        string
	}
	answers := map[place]event.Answered{}
	for _, r := range recs {
		var a event.Answered
		if err := w.codecs.DecodeAnswer(r.Value, &a); err != nil {
			w.t.Error(err)
			continue
		}
		answers[place{a.Partition, a.Offset, a.EventID}] = a
	}
	if len(recs) != len(want) || len(answers) != len(want) {
		w.t.Errorf("seed %d: %d answers to %d in partition %d, to %d requests", w.seed, len(recs), len(answers), partition, len(want))
	}
	for i := range want {
		o := &want[i]
		a := answers[place{o.Partition, o.Offset, o.EventID}]
		if a.Outcome != o.Kind || a.Version != o.Version || fmt.Sprintf("%+v", a.Answer) != fmt.Sprintf("%+v", *o.Answer) {
			w.t.Errorf("seed %d: answered %+v, the outcome is %s with %+v", w.seed, a, o.Kind, *o.Answer)
		}
	}
}
