//go:build synctests

package atp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// tight is the largest outcome that the log takes in the life of a worker that cannot
// work on a bulky event.
const tight = 8000

// bulky is an event whose outcome is larger than that.
func bulky(number string, q inventory.Quantity) *inventory.Event {
	e := receipt(number, q)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 30 {
		var v strings.Builder
		for range 50 {
			fmt.Fprintf(&v, "%016x", rng.Uint64())
		}
		e.Attributes = append(e.Attributes, inventory.Attribute{Name: fmt.Sprint("note", i), Value: v.String()})
	}
	return e
}

// live is one life of the service, from when it is begun until stop is called.
func (w *simWorld) live(limit int32) (stop func()) {
	w.t.Helper()
	cfg := DefaultConfig()
	cfg.Kafka, cfg.Codecs = w.kafka("0"), w.codecs
	cfg.Kafka.MaxBatch = func(topic string) int32 {
		if topic == event.TopicOutcomes {
			return limit
		}
		return event.MaxBatch(topic)
	}
	return serve(w.t, cfg)
}

// appendMarked appends an event, as the copy of another one where of is set.
func (w *simWorld) appendMarked(prod *stream.Producer, e *inventory.Event, of *inventory.Outcome) {
	value, err := w.codecs.AppendEvent(nil, e)
	if err != nil {
		w.t.Fatal(err)
	}
	rec := &stream.Record{Topic: event.TopicEvents, Key: []byte(e.Key.String()), Value: value}
	if of != nil {
		rec.Headers = event.AppendCopyOf[stream.RecordHeader](nil, of.Offset, of.RecordedAt)
	}
	w.produce(prod, rec)
}

// decided waits until all events of a key's partition are worked off.
func (w *simWorld) decided(reads *stream.RestoreReads, k inventory.Key) {
	w.t.Helper()
	part := stream.Partition([]byte(k.String()), w.parts)
	for range 600 {
		end, err := reads.HighWatermark(context.Background(), event.TopicEvents, part)
		off, err2 := reads.GroupOffset(context.Background(), DefaultConfig().Group, event.TopicEvents, part)
		if err == nil && err2 == nil && off == end {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatal("waited in vain: all is worked off")
}

// told are the outcomes of a key so far, as text and as they are.
func (w *simWorld) told(reads *stream.RestoreReads, k inventory.Key) (all []inventory.Outcome, text []string) {
	for _, rec := range w.read(reads, event.TopicOutcomes, stream.Partition([]byte(k.String()), w.parts)) {
		var o inventory.Outcome
		if err := w.codecs.DecodeOutcome(rec.Value, &o); err != nil {
			w.t.Fatal(err)
		}
		if o.Key == k {
			all, text = append(all, o), append(text, fmt.Sprintf("%s %s %v", o.Document.Number, o.Kind, o.Codes))
		}
	}
	return all, text
}

// An event that no transaction holds freezes its key, and nothing else: its outcome
// says so and is the only one, what comes after it is counted, other keys go on. Once
// it can be worked on, copies release the key.
func TestOversizeEventFreezesItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, 0, "")
		defer w.close()
		prod, err := stream.NewProducer(w.kafka("producer"))
		if err != nil {
			t.Fatal(err)
		}
		defer prod.Close()
		reads, err := stream.NewRestoreReads(w.kafka("reads"))
		if err != nil {
			t.Fatal(err)
		}
		defer reads.Close()
		want := func(lines ...string) []inventory.Outcome {
			t.Helper()
			w.decided(reads, key)
			all, text := w.told(reads, key)
			if !slices.Equal(text, lines) {
				t.Fatalf("outcomes\n%s\nwant\n%s", strings.Join(text, "\n"), strings.Join(lines, "\n"))
			}
			return all
		}
		position := func() (p inventory.Position) {
			for _, rec := range w.read(reads, event.TopicPositions, stream.Partition([]byte(key.String()), w.parts)) {
				var x inventory.Position
				if err := w.codecs.DecodePosition(rec.Value, &x); err != nil {
					t.Fatal(err)
				}
				if x.Key == key {
					p = x
				}
			}
			return p
		}
		big, late := bulky("R1", 5*inventory.One), receipt("R2", 3*inventory.One)
		other := receipt("R3", inventory.One)
		for i := 0; stream.Partition([]byte(other.Key.String()), w.parts) != stream.Partition([]byte(key.String()), w.parts) || other.Key == key; i++ {
			other.Key.Item = inventory.Item(fmt.Sprint("OTHER-", i))
		}
		lines := []string{"R0 applied []", "R1 parked [frozen oversize]", "R2 parked [frozen]"}

		stop := w.live(tight)
		w.appendMarked(prod, receipt("R0", 10*inventory.One), nil)
		w.appendMarked(prod, big, nil)
		w.appendMarked(prod, late, nil)
		w.appendMarked(prod, other, nil)
		all := want(lines...)
		if _, text := w.told(reads, other.Key); !slices.Equal(text, []string{"R3 applied []"}) {
			t.Errorf("of another key: %v", text)
		}
		for p := range w.parts {
			if n := len(w.read(reads, event.TopicDeadATP, p)); n != 0 {
				t.Errorf("%d dead letters beside the outcomes", n)
			}
		}
		if p := position(); !p.Frozen || p.States[inventory.OnHand] != 10*inventory.One {
			t.Errorf("position %+v", p)
		}
		// Its copy is too much still, and what is behind it waits for it.
		w.appendMarked(prod, big, &all[1])
		w.appendMarked(prod, late, &all[2])
		w.appendMarked(prod, release("A1", inventory.ReleaseUnfreeze, ""), nil)
		lines = append(lines, "R1 parked [frozen oversize]", "R2 parked [frozen behind]", "A1 denied [events_left]")
		want(lines...)
		stop()

		stop = w.live(event.MaxBatch(event.TopicOutcomes))
		w.appendMarked(prod, big, &all[1])
		w.appendMarked(prod, late, &all[2])
		w.appendMarked(prod, release("A2", inventory.ReleaseUnfreeze, ""), nil)
		lines = append(lines, "R1 applied []", "R2 applied []", "A2 applied []")
		all = want(lines...)
		stop()
		if p := position(); p.Frozen || p.States[inventory.OnHand] != 18*inventory.One {
			t.Errorf("position %+v", p)
		}
		if len(all[6].Attributes) == 0 || all[1].Attributes != nil {
			t.Error("what the event carries is in the one outcome, and in no other")
		}
	})
}

// What has no copy to come back as is no reason to freeze a key, and nor is what is
// none of the key's own events.
func TestWhatFreezesNoKey(t *testing.T) {
	word := release("A1", inventory.ReleaseDrop, "x")
	control := receipt("C1", 1)
	control.Kind, control.Movement, control.Control = inventory.KindControl, nil, &inventory.Control{PolicyVersion: 1}
	faulty := receipt("R1", -inventory.One)
	foreign := receipt("R2", inventory.One)
	foreign.Key.Item = "OTHER"
	for name, ev := range map[string]*inventory.Event{"approval": word, "control": control, "faulty": faulty, "foreign": foreign, "junk": nil} {
		w := newOneKey(t, key, inventory.Policy{})
		w.commit(oneKeyAt, receipt("R0", inventory.One))
		value := []byte("junk")
		if ev != nil {
			var err error
			if value, err = w.proc.codecs.AppendEvent(nil, ev); err != nil {
				t.Fatal(err)
			}
		}
		rec := &stream.Record{Key: []byte(key.String()), Value: value, Offset: w.next, Timestamp: time.UnixMilli(int64(oneKeyAt))}
		err := w.proc.Divert(stream.Input{Record: rec, Lineage: 1, Header: &stream.Header{Lineage: 1}}, w.st, errors.New("why"), func(*stream.Record) {
			t.Errorf("%s: something was said", name)
		})
		if led, ok := w.st.Object().(*ledger); err == nil || errors.Is(err, stream.ErrStop) || ok && led.Frozen().Since != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newOneKey(t, key, inventory.Policy{})
	rec := &stream.Record{Key: []byte(event.ControlKey), Value: []byte("junk")}
	if err := w.proc.Divert(stream.Input{Record: rec, Header: &stream.Header{}}, stream.NewState(""), errors.New("why"), nil); err == nil {
		t.Error("a record of no key was taken note of")
	}
}

// Who asked hears that the key froze on the request, and hears the same when it asks
// again; a fence is kept.
func TestDivertedRequestIsAnswered(t *testing.T) {
	w := newOneKey(t, key, inventory.Policy{})
	var err error
	if w.proc.answers, err = newAnswers(nil); err != nil {
		t.Fatal(err)
	}
	w.proc.answers.partitions.Store(8)
	w.commit(oneKeyAt, receipt("R0", 10*inventory.One))
	ev := tryUntil(oneKeyAt + 30_000)
	ev.Key, ev.Reservation.ReplyTo = key, 3
	value, err := w.proc.codecs.AppendEvent(nil, ev)
	if err != nil {
		t.Fatal(err)
	}
	rec := &stream.Record{Key: []byte(key.String()), Value: value, Offset: w.next, Timestamp: time.UnixMilli(int64(oneKeyAt))}
	in := stream.Input{Record: rec, Lineage: 1, Header: &stream.Header{Lineage: 1}}
	var out inventory.Outcome
	var answer event.Answered
	emit := func(r *stream.Record) {
		switch r.Topic {
		case event.TopicOutcomes:
			err = errors.Join(err, w.proc.codecs.DecodeOutcome(r.Value, &out))
		case event.TopicAnswers:
			err = errors.Join(err, w.proc.codecs.DecodeAnswer(r.Value, &answer))
		}
	}
	if err := w.proc.Divert(in, w.st, errors.New("panic: at it again"), emit); err != nil {
		t.Fatal(err)
	}
	if err := w.proc.Flush(w.st, emit); err != nil {
		t.Fatal(err)
	}
	w.st.Merge()
	w.next++
	if err != nil || out.Kind != inventory.Denied || !slices.Equal(out.Codes, []inventory.Code{inventory.CodeFrozen, inventory.CodeDiverted}) ||
		answer.Answer.Verdict != inventory.VerdictDenied || answer.Answer.Code != inventory.CodeFrozen {
		t.Errorf("%v: %+v, %+v", err, out, answer)
	}
	w.wantFrozen("after the request", w.proc.remind, 1)
	if err := w.proc.Divert(in, w.st, errors.New("again"), emit); !errors.Is(err, stream.ErrNoop) {
		t.Errorf("at its fence: %v", err)
	}
	// The same request again gets its first answer again (EXACTLY-ONCE §5).
	if again := w.decide(oneKeyAt+1, ev); again.Kind != inventory.Duplicate || again.Answer == nil || again.Answer.Verdict != inventory.VerdictDenied {
		t.Errorf("asked again: %+v", again)
	}
}
