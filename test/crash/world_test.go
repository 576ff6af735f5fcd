package crash

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

// settle bounds the way of all events through the ledger.
const settle = 5 * time.Minute

// A world is a ledger on three brokers.
type world struct {
	*stack.Stack
	t *testing.T
}

// reads looks at topics, those of aliases by the names that services use.
func (w *world) reads(aliases stream.Aliases) *stream.RestoreReads {
	w.t.Helper()
	cfg := w.Stream()
	cfg.Aliases = aliases
	r, err := stream.NewRestoreReads(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(r.Close)
	return r
}

// left is how many events the ledger has not applied.
func (w *world) left() (n int64) {
	w.t.Helper()
	reads := w.reads(nil)
	for p := range int32(partitions) {
		end, err := reads.HighWatermark(w.t.Context(), event.TopicEvents, p)
		if err != nil {
			w.t.Fatal(err)
		}
		off, err := reads.GroupOffset(w.t.Context(), "atp", event.TopicEvents, p)
		if err != nil {
			w.t.Fatal(err)
		}
		n += end - max(off, 0)
	}
	return n
}

// reached waits until every partition has applied something.
func (w *world) reached(count int) {
	w.t.Helper()
	reads := w.reads(nil)
	w.until("the ledger applies nothing", func() bool {
		n := 0
		for p := range int32(partitions) {
			off, err := reads.GroupOffset(w.t.Context(), "atp", event.TopicEvents, p)
			if err != nil {
				w.t.Fatal(err)
			}
			if off > 10 {
				n++
			}
		}
		return n == count
	})
}

func (w *world) until(not string, yes func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), settle)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			w.t.Fatal(not)
		case <-tick.C:
		}
	}
}

// rest waits until everything is applied and ends the worker well. A tick that was
// appended meanwhile is worked off, too.
func (w *world) rest() {
	w.t.Helper()
	w.until("ticks come without end", func() bool {
		if !w.Process("atp").Running() {
			w.Start(w.t, "atp")
		}
		w.until("not everything is applied", func() bool { return w.left() == 0 })
		w.Stop(w.t, "atp")
		return w.left() == 0
	})
}

// standings makes sure that the header of the state, the group's offset and the end
// of the log are one place.
func (w *world) standings() {
	w.t.Helper()
	op, err := stream.NewOperator(w.Stream(), atp.Ledger(w.Codecs, "atp"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer op.Close()
	all, err := op.Standings(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range all {
		if s.Header.AppliedThrough+1 != s.Group || s.Group != s.End || len(s.Foreign) > 0 || s.Pieces == 0 {
			w.t.Errorf("partition %d: header applied through %d, group at %d, log ends at %d, %d pieces, %v",
				s.Partition, s.Header.AppliedThrough, s.Group, s.End, s.Pieces, s.Foreign)
		}
	}
}

// each calls f for every record of a topic that is committed.
func (w *world) each(reads *stream.RestoreReads, topic string, f func(*stream.Record) error) {
	w.t.Helper()
	for p := range int32(partitions) {
		if _, err := reads.Fold(w.t.Context(), topic, p, f); err != nil {
			w.t.Fatal(err)
		}
	}
}

// place is where an event stands on the log.
type place struct {
	partition int32
	offset    int64
}

// outcomes makes sure that each event has exactly one (Invariant 2), and returns how
// many there are.
func (w *world) outcomes() int {
	w.t.Helper()
	events := map[place]bool{}
	reads := w.reads(nil)
	w.each(reads, event.TopicEvents, func(rec *stream.Record) error {
		if string(rec.Key) != event.ControlKey {
			events[place{rec.Partition, rec.Offset}] = true
		}
		return nil
	})
	said := w.said(reads, true)
	for at := range events {
		if said[at] == nil {
			w.t.Errorf("partition %d offset %d has no outcome", at.partition, at.offset)
		}
	}
	if len(said) != len(events) {
		w.t.Errorf("%d outcomes of %d events", len(said), len(events))
	}
	kinds := map[inventory.OutcomeKind]int{}
	ticks := 0
	for _, o := range said {
		kinds[o.Kind]++
		if o.EventKind == inventory.KindTick {
			ticks++
		}
	}
	w.t.Logf("outcomes %v, %d of ticks", kinds, ticks)
	if ticks == 0 {
		w.t.Error("no tick was appended")
	}
	for _, k := range []inventory.OutcomeKind{inventory.Applied, inventory.Duplicate, inventory.Denied} {
		if kinds[k] == 0 {
			w.t.Errorf("no event was %s", k)
		}
	}
	return len(events)
}

// said are the outcomes by event, without lineage. Twice is a fault.
func (w *world) said(reads *stream.RestoreReads, once bool) map[place]*inventory.Outcome {
	w.t.Helper()
	all := map[place]*inventory.Outcome{}
	w.each(reads, event.TopicOutcomes, func(rec *stream.Record) error {
		var o inventory.Outcome
		if err := w.Codecs.DecodeOutcome(rec.Value, &o); err != nil {
			return err
		}
		at := place{o.Partition, o.Offset}
		if once && all[at] != nil {
			w.t.Errorf("partition %d offset %d has a second outcome", at.partition, at.offset)
		}
		o.Lineage = 0
		all[at] = &o
		return nil
	})
	return all
}

// positions are the last ones, without lineage and what says which events were
// committed together: part, and the version, which is the item's at that commit, and that before. The
// item's own version is in the state.
func (w *world) positions(reads *stream.RestoreReads) map[string]inventory.Position {
	w.t.Helper()
	all := map[string]inventory.Position{}
	w.each(reads, event.TopicPositions, func(rec *stream.Record) error {
		var p inventory.Position
		if err := w.Codecs.DecodePosition(rec.Value, &p); err != nil {
			return err
		}
		p.Lineage, p.Version, p.Previous, p.Part, p.Parts = 0, 0, 0, 0, 0
		all[string(rec.Key)] = p
		return nil
	})
	return all
}

// shadow folds the log once more, undisturbed, beside what the crashes have left:
// state, positions and outcomes are the same (Invariant 8).
func (w *world) shadow() {
	w.t.Helper()
	w.command("replay", "identical", "--shadow", "calm")
	aliases := stream.Aliases{}
	for _, topic := range []string{event.TopicOutcomes, event.TopicPositions} {
		aliases[topic] = topic + ".shadow-calm"
	}
	reads, calm := w.reads(nil), w.reads(aliases)
	was, is := w.positions(reads), w.positions(calm)
	for key, p := range was {
		if !reflect.DeepEqual(p, is[key]) {
			w.t.Fatalf("position %s is\n%+v\nundisturbed it is\n%+v", key, p, is[key])
		}
	}
	if len(was) != len(is) || len(was) == 0 {
		w.t.Errorf("%d positions, undisturbed %d", len(was), len(is))
	}
	said, again := w.said(reads, false), w.said(calm, true)
	for at, o := range said {
		if !reflect.DeepEqual(o, again[at]) {
			w.t.Fatalf("the outcome of partition %d offset %d is\n%+v\nundisturbed it is\n%+v", at.partition, at.offset, o, again[at])
		}
	}
}

// command runs an operator's command, which must end well and say a word.
func (w *world) command(name, word string, args ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), settle)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Binary(w.t), append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), "STOCKWEAVE_KAFKA_BROKERS="+strings.Join(w.Kafka.Brokers(), ","))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), word) {
		w.t.Fatalf("%s: %v, without %q:\n%s", name, err, word, out.String())
	}
}
