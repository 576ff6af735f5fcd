//go:build synctests

package atp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// A place that full snapshots list. The first one leaves out so much that in some
// partitions it waits for a person, and while what that person approved is closed every
// worker dies. Of two items that are frozen by then nobody can tell; once they are thawed
// a person says it again. The second snapshot lists nearly all. In one of five seeds the
// first leaves out more of one partition than is appended at once.

const (
	simShelves  = 60
	simShelfMid = 3 // the partition in whose middle the workers die
	simShelfIn  = 4 // the episode; only in it snapshots are closed
	simShelfAt  = inventory.Location("SH1")
	simFull     = inventory.Source("fullcount") // who lists all there is
	simShare    = inventory.One / 2             // of a partition's items that it may set to zero
)

func isShelf(k inventory.Key) bool { return strings.HasPrefix(string(k.Item), "shelf-") }

// simShelf is what is said of the place.
type simShelf struct {
	at     time.Duration // of the stock
	stock  []inventory.Event
	cold   []inventory.Key      // freeze before the first snapshot
	lines  [2][]inventory.Event // of each snapshot, and what comes with it
	ends   [2]inventory.SnapshotEnd
	twice  [2][]bool // by partition: the end is said twice
	middle bool      // more is left out than is appended at once
}

// shelf plans it.
func (p *simPlan) shelf(parts int32) {
	s := &p.shelves
	begin := simShelfIn*simGap + 10*time.Second
	s.at, s.middle = begin, p.seed%5 == 1
	move := func(at time.Duration, item string) inventory.Event {
		ev := p.event(at, inventory.KindMovement, item, "wms")
		ev.OccurredAt = p.start + inventory.Instant(at.Milliseconds())
		ev.Movement = &inventory.Movement{Type: inventory.Receipt, Location: simShelfAt, Quantity: p.units(5)}
		return ev
	}
	for i, asOf := range []time.Duration{begin + 20*time.Second, begin + 40*time.Second} {
		s.ends[i] = inventory.SnapshotEnd{
			Source: simFull, ID: []string{"A", "B"}[i], Entity: "acme", Location: simShelfAt, AsOf: p.start + inventory.Instant(asOf.Milliseconds()),
			Basis: inventory.Sellable, Covers: []inventory.Account{inventory.OnHand}, Lines: 1,
		}
		for range parts {
			s.twice[i] = append(s.twice[i], p.oneIn(3))
		}
	}
	line := func(i int, item string) inventory.Event {
		end := &s.ends[i]
		ev := p.event(begin, inventory.KindCount, item, end.Source)
		ev.OccurredAt, ev.ReceivedAt = end.AsOf, end.AsOf
		ev.Count = &inventory.Count{
			Location: end.Location, Basis: end.Basis, Covers: end.Covers, AsOf: end.AsOf, AsOfBasis: inventory.BasisDocument,
			Complete: true, Snapshot: end.ID, Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: p.units(9) - inventory.One}},
		}
		return ev
	}
	for n := range simShelves {
		item := "shelf-" + strconv.Itoa(n)
		if n%10 > 0 { // else it comes after the first snapshot
			s.stock = append(s.stock, move(begin, item))
		}
		key := inventory.Key{Entity: "acme", Item: inventory.Item(item)}
		of := 2 // of so many the first snapshot leaves out one
		if stream.Partition([]byte(key.String()), parts)%2 == simShelfMid%2 {
			of = 6 // but of these it lists one
		}
		switch left := p.oneIn(of); {
		case of == 6 && left, of == 2 && !left:
			s.lines[0] = append(s.lines[0], line(0, item))
			if p.oneIn(4) { // a line that comes twice
				s.lines[0] = append(s.lines[0], s.lines[0][len(s.lines[0])-1])
			}
		}
		if n%10 == 0 || p.oneIn(3) {
			s.lines[0] = append(s.lines[0], move(begin+20*time.Second+p.between(time.Second, 10*time.Second), item))
		}
		if !p.oneIn(6) {
			s.lines[1] = append(s.lines[1], line(1, item))
		}
	}
	for n := 0; len(s.cold) < 2; n++ { // both freeze; the first one's line is not taken before it is thawed
		item := "shelf-cold-" + strconv.Itoa(n)
		if key := (inventory.Key{Entity: "acme", Item: inventory.Item(item)}); stream.Partition([]byte(key.String()), parts) == simShelfMid {
			continue
		}
		big := move(begin+10*time.Second, item)
		p.load(&big)
		s.stock = append(s.stock, move(begin, item), big)
		s.cold = append(s.cold, big.Key)
		if len(s.cold) == 1 {
			s.lines[0] = append(s.lines[0], line(0, item))
		}
	}
	if s.middle {
		for n, found := simShelves, 0; found < zeroBatch+20; n++ {
			item := "shelf-" + strconv.Itoa(n)
			if key := (inventory.Key{Entity: "acme", Item: inventory.Item(item)}); stream.Partition([]byte(key.String()), parts) == simShelfMid {
				found++
				s.stock = append(s.stock, move(begin, item))
			}
		}
	}
}

// closes says whether a worker that starts now closes snapshots: elsewhere none ends,
// and an idle worker would only take time.
func (p *simPlan) closes(now time.Duration) bool {
	return now/simGap == simShelfIn && now%simGap <= simBusyTime
}

// shelves says what is planned of the place, and what a person says of it.
func (w *simWorld) shelves(plan *simPlan) {
	s := &plan.shelves
	prod, err := stream.NewProducer(w.kafka("shelf"))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer prod.Close()
	number, err := stream.NewProducer(w.kafka("shelf-ends"), stream.WithOwnPartition())
	if err != nil {
		w.t.Error(err)
		return
	}
	defer number.Close()
	reads, err := stream.NewRestoreReads(w.kafka("shelf-reads"))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer reads.Close()

	w.sleepUntil(s.at)
	w.appendAll(prod, s.stock)
	w.sleepUntil(s.at + 30*time.Second)
	w.appendAll(prod, s.lines[0])
	lost := map[string]*kfake.FaultHandle{ // these topics and keys are of nobody else
		faultCloseOffsets: w.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: ClosingGroup(DefaultConfig().Group), Err: kerr.IllegalGeneration, Count: 2}),
		faultEndOn:        w.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: event.TopicSnapshots, Err: kerr.RequestTimedOut, Count: 2}),
	}
	w.ends(number, &s.ends[0], "", s.twice[0], nil)
	w.closed(reads)
	from := w.high(reads, simShelfMid)
	w.ends(number, &s.ends[0], "ann", nil, nil)
	for range 4000 { // a zero count stands there, behind the word
		if w.high(reads, simShelfMid) > from+1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.crash()
	w.cutOff(reads, from)
	w.closed(reads)
	w.sleepUntil(simShelfIn*simGap + 105*time.Second) // the last worker has ended that is tight
	o := w.operator(reads, prod)
	for _, k := range s.cold {
		o.thaw(k)
	}
	w.ends(number, &s.ends[0], "ben", nil, func(part int32) bool { // where it left something, and only there
		return slices.ContainsFunc(s.cold, func(k inventory.Key) bool { return stream.Partition([]byte(k.String()), w.parts) == part })
	})
	w.closed(reads)
	w.appendAll(prod, s.lines[1])
	w.ends(number, &s.ends[1], "", s.twice[1], nil)
	w.closed(reads)
	for name, h := range lost {
		w.meet(name, h.Hits())
		h.Remove()
	}
	if now := time.Since(w.start); !plan.closes(now) {
		w.t.Errorf("snapshots were closed at %v only, when no new worker closes them", now)
	}
}

// The faults of the worker that closes snapshots.
const (
	faultCloseOffsets = "offsets of a closed snapshot not taken"
	faultEndOn        = "end of a snapshot passed on, answer lost"
)

// appendAll appends events, in their order, and again until they are acked.
func (w *simWorld) appendAll(prod *stream.Producer, events []inventory.Event) {
	for chunk := range slices.Chunk(events, 500) {
		for try := 0; ; try++ {
			recs := make([]*stream.Record, len(chunk))
			for i := range chunk {
				value, err := w.codecs.AppendEvent(nil, &chunk[i])
				if err != nil {
					w.t.Error(err)
					return
				}
				recs[i] = &stream.Record{Topic: event.TopicEvents, Key: []byte(chunk[i].Key.String()), Value: value}
			}
			if err := prod.Produce(context.Background(), recs...); err == nil {
				break
			} else if try == 20 {
				w.t.Errorf("records could not be appended: %v", err)
				return
			}
			time.Sleep(time.Second)
		}
	}
}

// ends says to every partition, or to some, that a snapshot is complete, or that a
// person closes it.
func (w *simWorld) ends(prod *stream.Producer, end *inventory.SnapshotEnd, author string, twice []bool, some func(part int32) bool) {
	x := *end
	x.Author = author
	for part := range w.parts {
		if some != nil && !some(part) {
			continue
		}
		doc := inventory.Document{Type: "snapshot_end", Number: end.ID, Revision: author, Line: strconv.Itoa(int(part))}
		at := inventory.Instant(time.Now().UnixMilli())
		ev := inventory.Event{
			ID: event.EventID(end.Source, doc), Kind: inventory.KindControl, Source: end.Source, Document: doc,
			OccurredAt: at, OccurredBasis: inventory.BasisReceipt, ReceivedAt: at, Control: &inventory.Control{Snapshot: &x},
		}
		value, err := w.codecs.AppendEvent(nil, &ev)
		if err != nil {
			w.t.Error(err)
			return
		}
		rec := &stream.Record{Topic: event.TopicEvents, Partition: part, Key: []byte(event.ControlKey), Value: value}
		w.produce(prod, rec)
		if twice != nil && twice[part] {
			w.produce(prod, rec)
		}
	}
}

// high is the end of a partition of the log, asked for until it is told.
func (w *simWorld) high(reads *stream.RestoreReads, part int32) int64 {
	for {
		high, err := reads.HighWatermark(context.Background(), event.TopicEvents, part)
		if err == nil {
			return high
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// closed waits until the log as far as it goes now is worked off, and then every end
// that was passed on.
func (w *simWorld) closed(reads *stream.RestoreReads) {
	ctx, group := context.Background(), DefaultConfig().Group
	wait := func(part int32, ok func() bool) {
		for range 600 {
			if ok() {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
		w.t.Errorf("waited in vain: snapshots of partition %d are closed", part)
	}
	for part := range w.parts {
		high := w.high(reads, part)
		wait(part, func() bool {
			at, err := reads.GroupOffset(ctx, group, event.TopicEvents, part)
			return err == nil && at >= high
		})
	}
	for part := range w.parts {
		wait(part, func() bool { return !w.closing(reads, part) })
	}
}

// closing says whether an end is not worked off that was passed on.
func (w *simWorld) closing(reads *stream.RestoreReads, part int32) bool {
	ctx := context.Background()
	at, err := reads.GroupOffset(ctx, ClosingGroup(DefaultConfig().Group), event.TopicSnapshots, part)
	if err != nil {
		return true
	}
	_, found, err := reads.NextRecord(ctx, event.TopicSnapshots, part, max(0, at))
	return err != nil || found
}

// cutOff notes whether the workers died in the middle of a snapshot: some of its zero
// counts stand in the log, and it is not done.
func (w *simWorld) cutOff(reads *stream.RestoreReads, from int64) {
	zeroes := 0
	err := reads.Each(context.Background(), event.TopicEvents, simShelfMid, from, w.high(reads, simShelfMid), func(rec *stream.Record) error {
		var ev inventory.Event
		if w.codecs.DecodeEvent(rec.Value, &ev) == nil && ev.Document.Type == inventory.SnapshotZeroType {
			zeroes++
		}
		return nil
	})
	if err == nil && zeroes > 0 && w.closing(reads, simShelfMid) {
		w.meet("died while a snapshot was closed", 1)
	}
}

// simEnded is an end in the log, and the code of what a person is told of it.
type simEnded struct {
	offset int64
	id     string
	letter string
}

// simShelfItem is an item of the place, in the plainest way.
type simShelfItem struct {
	moved   []simMoved
	counted []simMoved
	lists   map[string]bool // the snapshots that list it, or whose closing has set it to zero
}

// onHand is what was there at a time: the last count by then, and what moved since.
func (m *simShelfItem) onHand(at inventory.Instant) inventory.Quantity {
	a := simAside{moved: m.moved, counted: m.counted}
	return a.onHand(at)
}

// shelfEvent notes what the log says of the place.
func (f *simFold) shelfEvent(ev *inventory.Event) {
	switch c := ev.Count; {
	case ev.Movement == nil && c == nil:
		return
	case c != nil && ev.Document.Type == inventory.SnapshotZeroType:
		f.zeroes[ev.Key.String()+" "+c.Snapshot]++
		if c.Location != simShelfAt || len(c.Balances) != 1 || c.Balances[0] != (inventory.StateBalance{State: inventory.OnHand}) {
			f.fail(ev.Key, "zero count %+v", c)
		}
		return
	case f.shelfSeen[ev.ID]:
		return
	}
	f.shelfSeen[ev.ID] = true
	m := f.shelves[ev.Key]
	if m == nil {
		m = &simShelfItem{lists: map[string]bool{}}
		f.shelves[ev.Key] = m
	}
	if v := ev.Movement; v != nil {
		m.moved = append(m.moved, simMoved{ev.OccurredAt, v.Quantity})
	} else {
		m.counted = append(m.counted, simMoved{ev.Count.AsOf, ev.Count.Balances[0].Quantity})
		m.lists[ev.Count.Snapshot] = true
	}
}

// endShelf closes a snapshot in the model. Whoever says an end waits until the ones
// before are closed, and nothing is said late of the time before them, but for frozen
// items.
func (f *simFold) endShelf(ev *inventory.Event, offset int64) {
	f.ended = append(f.ended, simEnded{offset: offset, id: ev.ID})
	ended := &f.ended[len(f.ended)-1]
	end := ev.Control.Snapshot
	listed, left, zero := 0, 0, []inventory.Key(nil)
	for k, m := range f.shelves {
		switch {
		case m.lists[end.ID]:
			listed++
		case f.frosts[k].frozen && m.onHand(end.AsOf) != 0:
			left++
		case m.onHand(end.AsOf) != 0:
			zero = append(zero, k)
		}
	}
	if inventory.Quantity(len(zero))*inventory.One > simShare*inventory.Quantity(listed+len(zero)) && end.Author == "" {
		ended.letter = codeSnapshotGuard
		return
	}
	if left > 0 {
		ended.letter = codeSnapshotLeft
	}
	for _, k := range zero {
		m := f.shelves[k]
		m.counted, m.lists[end.ID] = append(m.counted, simMoved{end.AsOf, 0}), true
		f.unlisted[k.String()+" "+end.ID] = true
	}
	switch {
	case len(zero) == 0:
	case end.Author != "":
		f.w.meet("snapshot approved", 1)
	default:
		f.w.meet("snapshot closed", 1)
	}
}

// checkShelves wants each end passed on once, a letter for each that the guard held or
// that left items as they are, zero counts of just the items that were not listed, and
// what the model has at the place.
func (f *simFold) checkShelves(ends []*stream.Record, letters []event.DeadLetter) {
	if len(ends) != len(f.ended) {
		f.w.t.Errorf("seed %d, partition %d: %d ends passed on of %d", f.w.seed, f.partition, len(ends), len(f.ended))
		return
	}
	want := map[int64]string{}
	for i, rec := range ends {
		var x event.SnapshotEnded
		if err := f.w.codecs.DecodeSnapshot(rec.Value, &x); err != nil || x.EventID != f.ended[i].id || x.Offset != f.ended[i].offset {
			f.w.t.Errorf("seed %d, partition %d: end %+v passed on, %v; the log says %+v", f.w.seed, f.partition, x, err, f.ended[i])
		}
		if code := f.ended[i].letter; code != "" {
			want[rec.Offset] = code
			f.w.meet(code, 1)
		}
	}
	told := map[int64]string{} // the same letter may come twice
	for _, d := range letters {
		told[d.Offset] = d.Code
	}
	if !maps.Equal(told, want) {
		f.w.t.Errorf("seed %d, partition %d: letters of ends %v, the model says %v", f.w.seed, f.partition, told, want)
	}
	for what, n := range f.zeroes {
		if !f.unlisted[what] {
			f.w.t.Errorf("seed %d, partition %d: set to zero, and the model says it is not: %s", f.w.seed, f.partition, what)
		}
		delete(f.unlisted, what)
		if n > 1 {
			f.w.meet("zero count said twice", 1)
		}
	}
	for what := range f.unlisted {
		f.w.t.Errorf("seed %d, partition %d: not set to zero: %s", f.w.seed, f.partition, what)
	}
	for k, m := range f.shelves {
		if got, want := f.positions[inventory.PositionKey(k, simShelfAt)].States[inventory.OnHand], m.onHand(simEnd); got != want {
			f.fail(k, "%v on hand, the model says %v", got, want)
		}
	}
}

// letters are the dead letters, by topic and partition of what they are about.
func (w *simWorld) letters(reads *stream.RestoreReads) map[string]map[int32][]event.DeadLetter {
	all := map[string]map[int32][]event.DeadLetter{event.TopicEvents: {}, event.TopicSnapshots: {}}
	for p := range w.parts {
		for _, rec := range w.read(reads, event.TopicDeadATP, p) {
			var d event.DeadLetter
			if err := w.codecs.DecodeDeadLetter(rec.Value, &d); err != nil || all[d.Topic] == nil {
				w.t.Errorf("a letter about %s: %v", d.Topic, err)
				continue
			}
			all[d.Topic][d.Partition] = append(all[d.Topic][d.Partition], d)
		}
	}
	return all
}

// tellShelf is the plan of the place in words.
func (p *simPlan) tellShelf() string {
	s := &p.shelves
	line := fmt.Sprintf("at %v %d receipts at %s;", s.at, len(s.stock), simShelfAt)
	for i := range s.lines {
		line += fmt.Sprintf(" snapshot %s as of %d, ended twice in %v:", s.ends[i].ID, s.ends[i].AsOf, s.twice[i])
		for j := range s.lines[i] {
			line += " " + tellEvent(&s.lines[i][j]) + ";"
		}
	}
	return line
}
