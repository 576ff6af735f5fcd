package atp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

func keyOf(n int) inventory.Key {
	return inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprintf("item-%03d", n))}
}

// A tick comes a second after the expiry, and every five until the claim has
// lapsed.
func TestTicksComeUntilTheClaimHasLapsed(t *testing.T) {
	r := newReminders(nil, slog.New(slog.DiscardHandler))
	r.note(0, keyOf(1), 10_000)
	for _, step := range []struct {
		now  inventory.Instant
		want int // attempt; -1: none
	}{
		{10_999, -1},
		{11_000, 0},
		{11_001, -1},
		{15_999, -1},
		{16_000, 1},
		{40_000, 2}, // late: one tick, not five
		{44_999, -1},
		{45_000, 3},
	} {
		due := r.due(step.now)
		switch {
		case step.want < 0 && len(due) > 0:
			t.Errorf("at %d: a tick", step.now)
		case step.want >= 0 && (len(due) != 1 || due[0].attempt != step.want):
			t.Errorf("at %d: %+v, want attempt %d", step.now, due, step.want)
		}
	}
	r.note(0, keyOf(1), 0)
	if due := r.due(1_000_000); len(due) > 0 || r.waiting() > 0 {
		t.Errorf("lapsed, and still %v of %d", due, r.waiting())
	}
}

// The next claim of the key begins anew; the same one does not.
func TestNoteOfTheSameExpiryChangesNothing(t *testing.T) {
	r := newReminders(nil, slog.New(slog.DiscardHandler))
	r.note(0, keyOf(1), 10_000)
	r.due(11_000)
	r.note(0, keyOf(1), 10_000)
	if due := r.due(12_000); len(due) > 0 {
		t.Errorf("again at once: %v", due)
	}
	r.note(0, keyOf(1), 12_000)
	if due := r.due(13_000); len(due) != 1 || due[0].attempt != 0 {
		t.Errorf("another expiry: %v", due)
	}
}

func TestTicksAreRationedAndDropped(t *testing.T) {
	r := newReminders(nil, slog.New(slog.DiscardHandler))
	for n := range 120 {
		r.note(0, keyOf(n), 1000)
		r.note(1, keyOf(1000+n), 1000)
	}
	seen := map[inventory.Key]bool{}
	for range 3 {
		due := r.due(5000)
		if len(due) > 2*tickBurst {
			t.Fatalf("%d ticks at once", len(due))
		}
		for _, m := range due {
			if seen[m.key] {
				t.Errorf("%v twice", m.key)
			}
			seen[m.key] = true
		}
	}
	if len(seen) != 240 {
		t.Errorf("%d of 240 keys", len(seen))
	}
	r.Disowned(1)
	if n := r.waiting(); n != 120 {
		t.Errorf("%d keys wait after a partition was dropped", n)
	}
}

// What could not be appended comes again, under another id; what two workers
// append for one attempt is one event.
func TestTickerAppends(t *testing.T) {
	codecs, err := event.NewCodecs(event.LocalIDs())
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(11_000)
	var fail error
	var got []inventory.Event
	worker := func() *ticker {
		r := newReminders(nil, slog.New(slog.DiscardHandler))
		r.note(3, keyOf(7), 10_000)
		return &ticker{
			reminders: r, codecs: codecs, now: func() time.Time { return now },
			appended: prometheus.NewCounter(prometheus.CounterOpts{Name: "ticks_total"}),
			produce: func(_ context.Context, recs ...*stream.Record) error {
				for _, rec := range recs {
					var ev inventory.Event
					if err := codecs.DecodeEvent(rec.Value, &ev); err != nil {
						t.Fatal(err)
					}
					if err := ev.Validate(); err != nil {
						t.Errorf("a tick is not valid: %v", err)
					}
					if rec.Topic != event.TopicEvents || string(rec.Key) != ev.Key.String() || !rec.Timestamp.IsZero() {
						t.Errorf("record %s %s at %v", rec.Topic, rec.Key, rec.Timestamp)
					}
					got = append(got, ev)
				}
				return fail
			},
		}
	}
	a, b := worker(), worker()
	fail = errors.New("no broker")
	if err := a.round(t.Context()); !errors.Is(err, fail) {
		t.Fatalf("round: %v", err)
	}
	fail = nil
	if err := b.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * time.Second)
	if err := a.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].ID != got[1].ID || got[0].ID == got[2].ID {
		t.Errorf("ids %v", got)
	}
}

// After a restore the reminders know what the state says, and nothing of keys on
// which time decides nothing.
func TestOwnedReadsTheHeads(t *testing.T) {
	codecs, err := event.NewCodecs(event.LocalIDs())
	if err != nil {
		t.Fatal(err)
	}
	state := map[string][]byte{}
	put := func(k inventory.Key, kind string, piece inventory.Piece, n ...string) {
		piece.Kind = kind
		value, err := codecs.AppendState(nil, &piece)
		if err != nil {
			t.Fatal(err)
		}
		state[inventory.StateKey(k, kind, n...)] = value
	}
	odd := inventory.Key{Entity: "a|b", Item: "50%"}
	head := func(expires inventory.Instant) inventory.Piece {
		return inventory.Piece{Head: &inventory.Head{Book: inventory.Book{ExpiresAt: expires}}}
	}
	put(odd, inventory.PieceHead, head(10_000))
	put(odd, inventory.PieceLine, inventory.Piece{Line: &inventory.Line{ID: "l"}}, "l")
	put(keyOf(1), inventory.PieceHead, head(0)) // a line, and nothing that lapses
	put(keyOf(1), inventory.PieceLine, inventory.Piece{Line: &inventory.Line{ID: "l"}}, "l")
	put(keyOf(2), inventory.PieceHead, head(0))
	r := newReminders(codecs, slog.New(slog.DiscardHandler))
	r.Owned(4, func(yield func(string, []byte) bool) {
		for k, v := range state {
			if !yield(k, v) {
				return
			}
		}
	})
	due := r.due(11_000)
	if len(due) != 1 || due[0].key != odd || r.waiting() != 1 {
		t.Errorf("due %+v of %d", due, r.waiting())
	}
}
