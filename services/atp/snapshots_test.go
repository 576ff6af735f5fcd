//go:build synctests

package atp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// The times of a warehouse's snapshot: before it, its own, after it.
const (
	snapBefore = inventory.Instant(946_684_800_000) // the bubble's own begin
	snapAsOf   = snapBefore + 60_000
	snapAfter  = snapBefore + 120_000
)

// snapWorld is a cluster with the service on it, under a fake clock.
type snapWorld struct {
	*simWorld
	prod   *stream.Producer // by key
	number *stream.Producer // by number
	reads  *stream.RestoreReads
	docs   int
}

// inSnapWorld runs a test five minutes after its snapshot's time. zeroShare is what
// the policy lets a snapshot set to zero.
func inSnapWorld(t *testing.T, zeroShare inventory.Quantity, f func(*snapWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &snapWorld{simWorld: newSimWorld(t, 1, "")}
		defer w.close()
		time.Sleep(5 * time.Minute)
		var err error
		if w.prod, err = stream.NewProducer(w.kafka("prod"), stream.WithOwnPartition(event.TopicPolicies)); err != nil {
			t.Fatal(err)
		}
		defer w.prod.Close()
		if w.number, err = stream.NewProducer(w.kafka("number"), stream.WithOwnPartition()); err != nil {
			t.Fatal(err)
		}
		defer w.number.Close()
		if w.reads, err = stream.NewRestoreReads(w.kafka("reads")); err != nil {
			t.Fatal(err)
		}
		defer w.reads.Close()
		w.decree(inventory.Policy{Version: 1, Counts: inventory.CountPolicy{
			Sources: []inventory.CountSource{{Source: "wms", ZeroShare: zeroShare}},
		}})
		f(w)
	})
}

// decree makes every partition decide by a policy.
func (w *snapWorld) decree(p inventory.Policy) {
	w.t.Helper()
	content, hash, err := policy.EncodeLedger(p)
	if err != nil {
		w.t.Fatal(err)
	}
	value, err := w.codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.LedgerName, Version: p.Version, Hash: hash, Content: content, At: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.produce(w.prod, &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "%s@%d", policy.LedgerName, p.Version), Value: value})
	w.control(inventory.Control{PolicyVersion: p.Version, PolicyHash: hash})
}

// control says something to every partition.
func (w *snapWorld) control(c inventory.Control) {
	w.t.Helper()
	w.docs++
	for part := range w.parts {
		e := inventory.Event{
			ID: event.PlaceID("control", part, int64(w.docs)), Kind: inventory.KindControl, Source: "wms",
			Document: inventory.Document{Type: "control", Number: fmt.Sprint(w.docs)}, Control: &c,
		}
		value, err := w.codecs.AppendEvent(nil, &e)
		if err != nil {
			w.t.Fatal(err)
		}
		w.produce(w.number, &stream.Record{Topic: event.TopicEvents, Partition: part, Key: []byte(event.ControlKey), Value: value})
	}
}

// end says that a snapshot is complete; author is who approves it, or nobody.
func (w *snapWorld) end(author string) {
	w.t.Helper()
	end := snapEnd()
	end.Author = author
	w.control(inventory.Control{Snapshot: &end})
}

func snapEnd() inventory.SnapshotEnd {
	return inventory.SnapshotEnd{
		Source: "wms", ID: "S1", Entity: "acme", Location: "DC1", AsOf: snapAsOf, Basis: inventory.Sellable,
		Covers: []inventory.Account{inventory.OnHand, inventory.Damaged}, Lines: 1,
	}
}

func (w *snapWorld) tell(events ...inventory.Event) {
	w.t.Helper()
	recs := make([]*stream.Record, len(events))
	for i := range events {
		e := &events[i]
		w.docs++
		e.Document = inventory.Document{Type: "test", Number: fmt.Sprint(w.docs)}
		e.Source, e.OccurredBasis = "wms", inventory.BasisDocument
		e.ID = event.EventID(e.Source, e.Document)
		value, err := w.codecs.AppendEvent(nil, e)
		if err != nil {
			w.t.Fatal(err)
		}
		recs[i] = &stream.Record{Topic: event.TopicEvents, Key: []byte(e.Key.String()), Value: value}
	}
	for chunk := range slices.Chunk(recs, 500) {
		if err := w.prod.Produce(context.Background(), chunk...); err != nil {
			w.t.Fatal(err)
		}
	}
}

func snapKey(n int) inventory.Key {
	return inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprintf("snap|%04d", n))} // a name to be escaped
}

func moved(k inventory.Key, typ inventory.MovementType, at inventory.Instant, place inventory.Location, q inventory.Quantity) inventory.Event {
	return inventory.Event{
		Kind: inventory.KindMovement, Key: k, OccurredAt: at,
		Movement: &inventory.Movement{Type: typ, Location: place, Quantity: q},
	}
}

// line is a line of the snapshot.
func snapLine(k inventory.Key, q inventory.Quantity) inventory.Event {
	end := snapEnd()
	return inventory.Event{Kind: inventory.KindCount, Key: k, OccurredAt: end.AsOf, Count: &inventory.Count{
		Location: end.Location, Basis: end.Basis, Covers: end.Covers, AsOf: end.AsOf, AsOfBasis: inventory.BasisDocument, Complete: true, Snapshot: end.ID,
		Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: q}, {State: inventory.Damaged}},
	}}
}

// serve runs the service until the function returned is called.
func (w *snapWorld) serve() (stop func()) {
	cfg := DefaultConfig()
	cfg.Kafka, cfg.Codecs = w.kafka("0"), w.codecs
	return serve(w.t, cfg)
}

// rest waits until the ends are worked off, and then the log.
func (w *snapWorld) rest() {
	w.t.Helper()
	w.settled()
	group := ClosingGroup(DefaultConfig().Group)
	w.until("snapshots are closed", func() bool {
		for p := range w.parts {
			left := len(w.read(w.reads, event.TopicSnapshots, p))
			at, err := w.reads.GroupOffset(context.Background(), group, event.TopicSnapshots, p)
			if err != nil {
				w.t.Fatal(err)
			}
			if next, found, err := w.reads.NextRecord(context.Background(), event.TopicSnapshots, p, max(0, at)); left > 0 && (err != nil || found || next < 0) {
				return false
			}
		}
		return true
	})
	w.settled()
}

func (w *snapWorld) until(what string, ok func() bool) {
	w.t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("waited in vain: %s", what)
}

// onHand is what the positions say of a location.
func (w *snapWorld) onHand(place inventory.Location) map[inventory.Key]inventory.Quantity {
	w.t.Helper()
	all := map[inventory.Key]inventory.Quantity{}
	for p := range w.parts {
		for _, rec := range w.read(w.reads, event.TopicPositions, p) {
			var pos inventory.Position
			if err := w.codecs.DecodePosition(rec.Value, &pos); err != nil {
				w.t.Fatal(err)
			}
			if pos.Location == place {
				all[pos.Key] = pos.States[inventory.OnHand]
			}
		}
	}
	return all
}

// zeroes are the zero counts that the log has.
func (w *snapWorld) zeroes() map[string]int {
	w.t.Helper()
	all := map[string]int{}
	for p := range w.parts {
		for _, rec := range w.read(w.reads, event.TopicEvents, p) {
			var ev inventory.Event
			if err := w.codecs.DecodeEvent(rec.Value, &ev); err != nil {
				w.t.Fatal(err)
			}
			if ev.Document.Type == inventory.SnapshotZeroType {
				if err := ev.Validate(); err != nil {
					w.t.Errorf("a zero count is not valid: %v", err)
				}
				if want := stream.Partition([]byte(ev.Key.String()), w.parts); p != want || string(rec.Key) != ev.Key.String() {
					w.t.Errorf("%s under %s in partition %d, want %d", ev.Key, rec.Key, p, want)
				}
				all[ev.ID]++
			}
		}
	}
	return all
}

func (w *snapWorld) letters() []event.DeadLetter {
	w.t.Helper()
	var all []event.DeadLetter
	for p := range w.parts {
		for _, rec := range w.read(w.reads, event.TopicDeadATP, p) {
			var d event.DeadLetter
			if err := w.codecs.DecodeDeadLetter(rec.Value, &d); err != nil {
				w.t.Fatal(err)
			}
			all = append(all, d)
		}
	}
	return all
}

func (w *snapWorld) wantOnHand(place inventory.Location, want map[inventory.Key]inventory.Quantity) {
	w.t.Helper()
	if got := w.onHand(place); !maps.Equal(got, want) {
		for _, k := range slices.SortedFunc(maps.Keys(want), func(a, b inventory.Key) int { return strings.Compare(a.String(), b.String()) }) {
			if got[k] != want[k] {
				w.t.Errorf("%s at %s: %v on hand, want %v", k, place, got[k], want[k])
			}
		}
		w.t.Errorf("%d items at %s, want %d", len(got), place, len(want))
	}
}

// What a full snapshot does not list is zero as of its time: what came since stays,
// and so does what it lists, what stands elsewhere and what belongs to others. The
// end told again, and by a restarted worker, changes nothing.
func TestFullSnapshotIsClosed(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		stop := w.serve()
		want, elsewhere := map[inventory.Key]inventory.Quantity{}, map[inventory.Key]inventory.Quantity{}
		unlisted := 0
		for n := range 60 {
			k := snapKey(n)
			w.tell(moved(k, inventory.Receipt, snapBefore, "DC1", 5*inventory.One), moved(k, inventory.Receipt, snapBefore, "DC2", 7*inventory.One))
			elsewhere[k] = 7 * inventory.One
			switch n % 4 {
			case 0: // not listed
				unlisted++
				want[k] = 0
			case 1: // not listed, and something came after
				unlisted++
				w.tell(moved(k, inventory.Receipt, snapAfter, "DC1", 3*inventory.One))
				want[k] = 3 * inventory.One
			case 2: // listed
				w.tell(snapLine(k, 4*inventory.One))
				want[k] = 4 * inventory.One
			case 3: // listed, counted again since
				again := snapLine(k, 2*inventory.One)
				again.Count.Snapshot, again.Count.AsOf, again.OccurredAt = "S2", snapAfter, snapAfter
				w.tell(snapLine(k, 4*inventory.One), again)
				want[k] = 2 * inventory.One
			}
		}
		other := inventory.Key{Entity: "other", Item: snapKey(0).Item}
		w.tell(moved(other, inventory.Receipt, snapBefore, "DC1", inventory.One))
		want[other] = inventory.One

		w.end("")
		w.rest()
		w.wantOnHand("DC1", want)
		w.wantOnHand("DC2", elsewhere)
		if n := len(w.zeroes()); n != unlisted {
			t.Errorf("%d zero counts, want %d", n, unlisted)
		}
		w.end("")
		w.rest()
		stop()
		defer w.serve()()
		w.end("")
		w.rest()
		w.wantOnHand("DC1", want)
		for id, n := range w.zeroes() {
			if n != 1 {
				t.Errorf("zero count %s stands there %d times", id, n)
			}
		}
		if ls := w.letters(); len(ls) > 0 {
			t.Errorf("dead letters %+v", ls)
		}
	})
}

// A snapshot that would set too much to zero changes nothing until a person says so.
func TestFullSnapshotIsGuarded(t *testing.T) {
	inSnapWorld(t, inventory.One/2, func(w *snapWorld) {
		defer w.serve()()
		before, after := map[inventory.Key]inventory.Quantity{}, map[inventory.Key]inventory.Quantity{}
		for n := range 120 {
			k := snapKey(n)
			w.tell(moved(k, inventory.Receipt, snapBefore, "DC1", 5*inventory.One))
			before[k], after[k] = 5*inventory.One, 0
			if n%4 == 0 { // a fourth is listed, three fourths are more than the half
				w.tell(snapLine(k, 4*inventory.One))
				before[k], after[k] = 4*inventory.One, 4*inventory.One
			}
		}
		w.end("")
		w.rest()
		w.wantOnHand("DC1", before)
		if n := len(w.zeroes()); n > 0 {
			t.Errorf("%d zero counts in spite of the guard", n)
		}
		ls := w.letters()
		if len(ls) != int(w.parts) {
			t.Fatalf("%d dead letters, want one a partition", len(ls))
		}
		var listed, zeroed int
		for _, d := range ls {
			var x event.SnapshotEnded
			if err := w.codecs.DecodeSnapshot(d.Value, &x); err != nil || x.End.ID != "S1" {
				t.Errorf("the letter holds %+v, %v", x, err)
			}
			var l, z, p int
			if _, err := fmt.Sscanf(d.Reason, "snapshot S1 of wms at DC1 lists %d items of partition %d and would set %d to zero: an approval closes it", &l, &p, &z); err != nil {
				t.Errorf("reason %q: %v", d.Reason, err)
			}
			if d.Code != codeSnapshotGuard || d.ID != event.PlaceID(event.TopicSnapshots, int32(p), d.Offset) {
				t.Errorf("letter %s %s", d.Code, d.ID)
			}
			listed, zeroed = listed+l, zeroed+z
		}
		if listed != 30 || zeroed != 90 {
			t.Errorf("the letters tell of %d items listed and %d to zero", listed, zeroed)
		}

		w.end("ann")
		w.rest()
		w.wantOnHand("DC1", after)
		w.end("") // the source says it once more
		w.rest()
		w.wantOnHand("DC1", after)
		if n := len(w.letters()); n != int(w.parts) {
			t.Errorf("%d dead letters after the approval", n)
		}
	})
}

// A worker that dies in the middle goes on where the state is. What it had done lowers
// what is left, so that the guard, once passed, stays passed.
func TestFullSnapshotIsClosedAcrossARestart(t *testing.T) {
	inSnapWorld(t, inventory.One/2+100, func(w *snapWorld) {
		stop := w.serve()
		want := map[inventory.Key]inventory.Quantity{}
		var keys []inventory.Key
		for n := 0; len(keys) < 2*2300; n++ { // of one partition, so that it takes batches
			if k := snapKey(n); stream.Partition([]byte(k.String()), w.parts) == 3 {
				keys = append(keys, k)
			}
		}
		var events []inventory.Event
		for n, k := range keys {
			events = append(events, moved(k, inventory.Receipt, snapBefore, "DC1", 5*inventory.One))
			want[k] = 0
			if n%2 == 0 {
				events = append(events, snapLine(k, 4*inventory.One))
				want[k] = 4 * inventory.One
			}
		}
		w.tell(events...)
		w.settled()
		w.end("")
		count := func() (n int) {
			for _, times := range w.zeroes() {
				n += times
			}
			return n
		}
		for range 2000 {
			if count() > 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		if n := count(); n == 0 || n >= 2300 {
			t.Fatalf("%d zero counts before the restart: it was not in the middle", n)
		}
		stop = w.serve()
		defer stop()
		w.rest()
		w.wantOnHand("DC1", want)
		if n := count(); n < 2300 || n > 2300+zeroBatch {
			t.Errorf("%d zero counts for 2300 items", n)
		}
		if ls := w.letters(); len(ls) > 0 {
			t.Errorf("dead letters %+v", ls)
		}
	})
}

// However little of the state is held at once, and wherever an item's pieces stand, a
// survey finds what each item's whole ledger says.
func TestSurveyIsWhatTheLedgersSay(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		w.decree(inventory.Policy{Version: 2, Authority: inventory.AuthorityPolicy{Owners: []inventory.Owner{
			{Scope: inventory.Scope{Location: "DC9"}, Balance: []inventory.Source{"erp"}, Moves: []inventory.Source{"wms"}},
		}}})
		stop := w.serve()
		for n := range 120 {
			k := snapKey(n)
			w.tell(moved(k, inventory.Receipt, snapBefore, "DC1", 5*inventory.One), moved(k, inventory.Receipt, snapBefore, "DC9", 5*inventory.One))
			if n%5 == 0 { // many locations, so that some have pieces of their own
				for place := range inventory.MaxHeadLocations + 8 {
					w.tell(moved(k, inventory.Receipt, snapBefore, inventory.Location(fmt.Sprintf("B%02d", place)), inventory.One))
				}
			}
			if n%2 == 0 {
				w.tell(snapLine(k, 4*inventory.One))
			}
			if n%3 == 0 { // a claimed view, and another one of before
				view := snapLine(k, 4*inventory.One)
				view.Count.Location = "DC9"
				if n%2 == 0 {
					view.Count.Snapshot, view.Count.AsOf, view.OccurredAt = "S0", snapBefore+1, snapBefore+1
				}
				w.tell(view)
			}
			if n%7 == 0 { // a long journal
				for range 300 {
					w.tell(moved(k, inventory.Receipt, snapAfter, "DC1", inventory.One))
				}
			}
		}
		for n := range 30 {
			k := snapKey(1000 + n)
			if n%2 == 0 { // nothing there by then, as a long journal tells
				for range 300 {
					w.tell(moved(k, inventory.Receipt, snapAfter, "DC1", inventory.One))
				}
				continue
			}
			view := snapLine(k, 4*inventory.One) // nothing there but by its source's word
			view.Count.Location, view.Count.Snapshot, view.Count.AsOf, view.OccurredAt = "DC9", "S0", snapBefore+1, snapBefore+1
			w.tell(view)
		}
		w.settled()
		stop()

		c := &closing{codecs: w.codecs, reads: w.reads}
		split, judged := 0, map[inventory.SnapshotStanding]int{}
		for p := range w.parts {
			ends := func() []*ending {
				var all []*ending
				for _, place := range []inventory.Location{"DC1", "DC9", "B70"} {
					e := &ending{SnapshotEnded: event.SnapshotEnded{End: snapEnd(), Lineage: 1, Partition: p}}
					e.End.Location = place
					e.names = namesOf(&e.End)
					all = append(all, e)
				}
				return all
			}
			want := ends()
			items, splits := w.everything(p)
			split += splits
			zero := make([][]string, len(want))
			for _, group := range slices.Sorted(maps.Keys(items)) {
				k, err := event.ParseKey(group)
				if err != nil {
					t.Fatal(err)
				}
				ps := &pieces{st: items[group], codecs: w.codecs, key: k, headKey: inventory.StateKey(k, inventory.PieceHead)}
				led := inventory.NewLedger(k, ps)
				for n, e := range want {
					s := led.SnapshotStanding(&e.End)
					judged[s]++
					switch s {
					case inventory.SnapshotListed:
						e.listed++
					case inventory.SnapshotUnlisted:
						zero[n] = append(zero[n], group)
					case inventory.SnapshotUnknown, inventory.SnapshotApart:
					}
				}
			}
			for _, budget := range []int{stateBudget, 20_000, 1} {
				c.budget = budget
				got := ends()
				s, err := c.survey(context.Background(), p, got)
				if err != nil {
					t.Fatal(err)
				}
				for n, e := range got {
					var keys []string
					for _, at := range e.zero {
						keys = append(keys, s.keys[at])
					}
					if e.listed != want[n].listed || !slices.Equal(keys, zero[n]) {
						t.Errorf("partition %d, %s, within %d bytes: %d listed and %v to zero, want %d and %v",
							p, e.End.Location, budget, e.listed, keys, want[n].listed, zero[n])
					}
				}
			}
			far := ends()
			far[1].Offset = math.MaxInt64
			if _, err := c.survey(context.Background(), p, far); !errors.Is(err, errNotThere) {
				t.Errorf("an end that the state has not come to: %v", err)
			}
		}
		if split == 0 || judged[inventory.SnapshotListed] == 0 || judged[inventory.SnapshotUnlisted] == 0 || judged[inventory.SnapshotApart] == 0 {
			t.Errorf("%d pieces of locations, standings %v", split, judged)
		}
	})
}

// everything is a partition's state by item, and how many locations have a piece.
func (w *snapWorld) everything(partition int32) (items map[string]*stream.State, split int) {
	w.t.Helper()
	items = map[string]*stream.State{}
	for _, rec := range w.read(w.reads, event.TopicState, partition) {
		if string(rec.Key) == stream.HeaderKey {
			continue
		}
		group, kind := cut(rec.Key)
		st := items[string(group)]
		if st == nil {
			st = stream.NewState(string(group))
			items[string(group)] = st
		}
		if begins(kind, inventory.PieceLocation+"|") {
			split++
		}
		if rec.Value == nil {
			st.Delete(string(rec.Key))
		} else {
			st.Put(string(rec.Key), rec.Value)
		}
		st.Merge()
	}
	return items, split
}

// An end that names no snapshot is a dead letter, and one of an earlier life of the
// ledger too: nobody guesses what it was meant for.
func TestBadEndsOfSnapshots(t *testing.T) {
	codecs := event.TestCodecs()
	p := &processor{codecs: codecs, policies: decreed{&inventory.Policy{}}}
	header := &stream.Header{Lineage: 1, PolicyVersion: 7}
	for name, change := range map[string]func(*inventory.SnapshotEnd){
		"":            func(*inventory.SnapshotEnd) {},
		"no id":       func(e *inventory.SnapshotEnd) { e.ID = "" },
		"no source":   func(e *inventory.SnapshotEnd) { e.Source = "" },
		"no entity":   func(e *inventory.SnapshotEnd) { e.Entity = "" },
		"no location": func(e *inventory.SnapshotEnd) { e.Location = "" },
		"no time":     func(e *inventory.SnapshotEnd) { e.AsOf = 0 },
		"no basis":    func(e *inventory.SnapshotEnd) { e.Basis = "" },
		"no states":   func(e *inventory.SnapshotEnd) { e.Covers = nil },
		"a reason of nobody": func(e *inventory.SnapshotEnd) {
			e.Reason = "because"
		},
	} {
		end := snapEnd()
		change(&end)
		ev := inventory.Event{ID: "e", Kind: inventory.KindControl, Source: "wms", Control: &inventory.Control{Snapshot: &end}}
		value, err := codecs.AppendEvent(nil, &ev)
		if err != nil {
			t.Fatal(err)
		}
		rec := &stream.Record{Key: []byte(event.ControlKey), Value: value, Partition: 4, Offset: 9, Timestamp: time.UnixMilli(int64(snapAfter))}
		var out []stream.Record
		err = p.Step(stream.Input{Record: rec, Lineage: 1, Header: header}, nil, func(r *stream.Record) { out = append(out, copyOf(r)) })
		var rej *stream.Rejection
		switch {
		case name != "":
			if !errors.As(err, &rej) || rej.Code != codeSnapshotEnd || len(out) > 0 {
				t.Errorf("%s: %v, %d records", name, err, len(out))
			}
			continue
		case err != nil || len(out) != 1 || header.PolicyVersion != 7:
			t.Fatalf("%v, %d records, policy %d", err, len(out), header.PolicyVersion)
		}
		var x event.SnapshotEnded
		if err := codecs.DecodeSnapshot(out[0].Value, &x); err != nil {
			t.Fatal(err)
		}
		if x.Partition != 4 || x.Offset != 9 || x.Lineage != 1 || x.PolicyVersion != 7 || x.EventID != "e" || x.End.ID != "S1" ||
			out[0].Topic != event.TopicSnapshots || string(out[0].Key) != "acme|DC1|wms" {
			t.Errorf("%s under %s: %+v", out[0].Topic, out[0].Key, x)
		}
	}
}

// What waits for release may list what looks unlisted: the items of frozen keys are
// left, and a person hears of it. An end of another life, too.
func TestEndsThatAPersonMustSee(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		w.decree(inventory.Policy{Version: 2, Limits: inventory.LimitPolicy{Parked: 1}})
		stop := w.serve()
		k := snapKey(1)
		w.tell(moved(k, inventory.Receipt, snapBefore, "DC1", 5*inventory.One))
		for n := range 3 { // each waits for what it reverses; there is room for one
			e := moved(k, inventory.Reversal, snapBefore, "DC1", inventory.One)
			e.Movement.Reverses, e.Movement.ToState = fmt.Sprintf("%032d", n), inventory.Supplier
			w.tell(e)
		}
		w.tell(snapLine(k, 4*inventory.One)) // the frozen key does not take it
		w.end("")
		w.rest()
		w.wantOnHand("DC1", map[inventory.Key]inventory.Quantity{k: 5 * inventory.One})
		if ls := w.letters(); len(ls) != 1 || ls[0].Code != codeSnapshotLeft || len(w.zeroes()) > 0 {
			t.Errorf("dead letters %+v, %d zero counts", ls, len(w.zeroes()))
		}
		x := event.SnapshotEnded{End: snapEnd(), EventID: "later", Lineage: 2, Partition: 0, PolicyVersion: 2}
		value, err := w.codecs.AppendSnapshot(nil, &x)
		if err != nil {
			t.Fatal(err)
		}
		w.produce(w.number, &stream.Record{Topic: event.TopicSnapshots, Value: value})
		w.rest()
		stop()
		if ls := w.letters(); len(ls) != 2 || !slices.ContainsFunc(ls, func(d event.DeadLetter) bool { return d.Code == codeSnapshotLineage }) {
			t.Errorf("dead letters %+v", ls)
		}
	})
}

// A source whose clock is ahead by more than counts are let to be: its lines count as
// of their receipt, and so does what the snapshot leaves out.
func TestFullSnapshotOfAClockAhead(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		defer w.serve()()
		const (
			received = snapAsOf            // a backlog has kept it since
			ahead    = received + 7*60_000 // as the source's clock has it
			since    = snapAfter           // after its receipt
			ten      = 10 * inventory.One
		)
		listed, gone, came := snapKey(0), snapKey(1), snapKey(2)
		for _, k := range []inventory.Key{listed, gone} {
			w.tell(moved(k, inventory.Receipt, snapBefore, "DC1", ten))
		}
		line := snapLine(listed, 4*inventory.One)
		line.OccurredAt, line.Count.AsOf, line.ReceivedAt = ahead, ahead, received
		again := snapLine(listed, 3*inventory.One)
		again.OccurredAt, again.Count.AsOf, again.Count.Complete, again.Count.Snapshot = since, since, false, ""
		w.tell(line, again, moved(came, inventory.Receipt, since, "DC1", ten))
		end := snapEnd()
		end.AsOf = ahead
		for part := range w.parts {
			e := inventory.Event{
				ID: event.PlaceID("control", part, 99), Kind: inventory.KindControl, Source: "wms",
				Document: inventory.Document{Type: "control", Number: fmt.Sprint(99)}, ReceivedAt: received, Control: &inventory.Control{Snapshot: &end},
			}
			value, err := w.codecs.AppendEvent(nil, &e)
			if err != nil {
				t.Fatal(err)
			}
			w.produce(w.number, &stream.Record{Topic: event.TopicEvents, Partition: part, Key: []byte(event.ControlKey), Value: value})
		}
		w.rest()
		w.wantOnHand("DC1", map[inventory.Key]inventory.Quantity{listed: 3 * inventory.One, gone: 0, came: ten})
	})
}

// A line that is not taken, since another content came under its id before, lists its
// item all the same, also when many events of the item stand between it and the end.
func TestFullSnapshotListsALineInConflict(t *testing.T) {
	inSnapWorld(t, 0, func(w *snapWorld) {
		defer w.serve()()
		listed, gone := snapKey(0), snapKey(1)
		for _, k := range []inventory.Key{listed, gone} {
			w.tell(moved(k, inventory.Receipt, snapBefore, "DC1", 5*inventory.One))
		}
		counted := func(at inventory.Instant) inventory.Event {
			ev := snapLine(listed, 4*inventory.One)
			ev.OccurredAt, ev.Count.AsOf = at, at
			return ev
		}
		w.tell(counted(snapBefore + 10_000))
		other := counted(snapBefore + 30_000)
		other.Count.Complete, other.Count.Snapshot = false, ""
		w.tell(other)
		w.docs -= 2 // under the id of the first
		w.tell(counted(snapAsOf))
		w.docs++
		for range 60 {
			w.tell(moved(listed, inventory.Receipt, snapAfter, "DC1", inventory.One))
		}
		w.end("")
		w.rest()
		w.wantOnHand("DC1", map[inventory.Key]inventory.Quantity{listed: 64 * inventory.One, gone: 0})
	})
}
