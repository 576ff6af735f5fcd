package explain

import (
	"cmp"
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

// Budget bounds what is read for one question; 0: as much as there is.
type Budget struct {
	Records int64 // of all keys of the partition
	Bytes   int64 // of their keys and values
}

// Spent is what was read.
type Spent struct{ Records, Bytes int64 }

// log is what one item's records are looked for in. One goroutine uses it.
type log struct {
	reads     *stream.RestoreReads
	codecs    *event.Codecs
	key       inventory.Key
	partition int32
	budget    Budget
	spent     *Spent
}

// openLog finds the item's partition. close ends what it opened itself.
func openLog(ctx context.Context, kafka stream.Config, reads *stream.RestoreReads, l *log) (end func(), err error) {
	end = func() {}
	if l.reads = reads; reads == nil {
		if l.reads, err = stream.NewRestoreReads(kafka); err != nil {
			return end, fmt.Errorf("connecting to kafka: %w", err)
		}
		end = l.reads.Close
	}
	// All topics of the ledger have the partitions of its events.
	_, partitions, err := l.reads.Topic(ctx, event.TopicOutcomes)
	if err != nil {
		end()
		return func() {}, fmt.Errorf("looking at the log: %w", err)
	}
	l.partition = stream.Partition([]byte(l.key.String()), partitions)
	if l.spent == nil {
		l.spent = &Spent{}
	}
	return end, nil
}

// each calls f for the committed records of a topic, within the budget.
func (l *log) each(ctx context.Context, topic string, from, until int64, f func(*stream.Record) error) error {
	err := l.reads.Each(ctx, topic, l.partition, from, until, func(rec *stream.Record) error {
		l.spent.Records++
		l.spent.Bytes += int64(len(rec.Key) + len(rec.Value))
		if l.budget.Records > 0 && l.spent.Records > l.budget.Records || l.budget.Bytes > 0 && l.spent.Bytes > l.budget.Bytes {
			return ErrTooMuch
		}
		return f(rec)
	})
	return err //nolint:wrapcheck // the caller says which
}

// fold is each from a topic's first record to its stable end now.
func (l *log) fold(ctx context.Context, topic string, f func(*stream.Record) error) error {
	start, end, err := l.span(ctx, topic)
	if err != nil {
		return err
	}
	return l.each(ctx, topic, start, end, f)
}

// span is the first offset of a topic and its stable end now.
func (l *log) span(ctx context.Context, topic string) (start, end int64, err error) {
	if end, err = l.reads.StableEnd(ctx, topic, l.partition); err != nil {
		return 0, 0, err //nolint:wrapcheck // the caller says what for
	}
	start, err = l.reads.LogStart(ctx, topic, l.partition)
	return start, end, err //nolint:wrapcheck // the same
}

// entry is an outcome of the item, and its offset among outcomes.
type entry struct {
	inventory.Outcome
	at      int64
	size    int64             // bytes of its record's value
	written inventory.Instant // when its record was
}

// outcomes calls f with the item's outcomes from an offset up to below another.
func (l *log) outcomes(ctx context.Context, from, until int64, f func(*entry) error) error {
	key := l.key.String()
	return l.each(ctx, event.TopicOutcomes, from, until, func(rec *stream.Record) error {
		if string(rec.Key) != key {
			return nil
		}
		e := entry{at: rec.Offset, size: int64(len(rec.Value)), written: inventory.Instant(rec.Timestamp.UnixMilli())}
		if err := l.codecs.DecodeOutcome(rec.Value, &e.Outcome); err != nil {
			return unreadable("an outcome", rec.Offset, err)
		}
		return f(&e)
	})
}

// positions calls f with the item's positions in the order of the log, the latest of a
// location last.
func (l *log) positions(ctx context.Context, f func(*inventory.Position)) error {
	prefix := l.key.String() + "|"
	return l.fold(ctx, event.TopicPositions, func(rec *stream.Record) error {
		if rec.Value == nil || !strings.HasPrefix(string(rec.Key), prefix) {
			return nil
		}
		var p inventory.Position
		if err := l.codecs.DecodePosition(rec.Value, &p); err != nil {
			return unreadable("a position", rec.Offset, err)
		}
		if p.Key == l.key {
			f(&p)
		}
		return nil
	})
}

// floor is an offset such that no outcome below it was written at a time or later. The
// log tells of that time where it has a record below the floor.
func (l *log) floor(ctx context.Context, since inventory.Instant, start, end int64) (int64, error) {
	offset, found, err := l.reads.OffsetAt(ctx, event.TopicOutcomes, l.partition, time.UnixMilli(int64(since)))
	if err != nil {
		return 0, fmt.Errorf("looking for outcomes by time: %w", err)
	}
	if !found {
		return end, nil
	}
	return min(max(offset, start), end), nil
}

var errEnough = errors.New("explain: read as far as it has to be")

// forgotten is the error of a past time of which the log does not tell.
func (l *log) forgotten(ctx context.Context, m When, start, end int64, now inventory.Instant) error {
	begins := now
	err := l.reads.Each(ctx, event.TopicOutcomes, l.partition, start, end, func(rec *stream.Record) error {
		begins = inventory.Instant(rec.Timestamp.UnixMilli())
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("looking for the first outcome: %w", err)
	}
	return &ForgottenError{Earliest: m.after(begins)}
}

// clock follows the clock of a key through its outcomes: the latest ledger time so far.
type clock inventory.Instant

func (c *clock) pass(e *entry) inventory.Instant {
	*c = max(*c, clock(e.RecordedAt))
	return inventory.Instant(*c)
}

// moves are those that the outcome posted: in shadow they are what would have been.
func (e *entry) moves() []inventory.Move {
	if e.Kind == inventory.Noted {
		return nil
	}
	return e.Moves
}

// effect is what a move does at a location, and whether it does anything there.
func effect(m *inventory.Move, at inventory.Location) (s States, here bool) {
	if m.From.Account.IsState() && m.From.Location == at {
		s[m.From.Account] -= m.Quantity
		here = true
	}
	if m.To.Account.IsState() && m.To.Location == at {
		s[m.To.Account] += m.Quantity
		here = true
	}
	return s, here
}

// places calls f with each location at which the outcome moved something, once.
func (e *entry) places(f func(inventory.Location)) {
	moves := e.moves()
	var at []inventory.Location
	for i := range moves {
		for _, end := range [2]*inventory.Place{&moves[i].From, &moves[i].To} {
			if end.Account.IsState() && !slices.Contains(at, end.Location) {
				at = append(at, end.Location)
				f(end.Location)
			}
		}
	}
}

// beyond says whether a place in the log is after a fence.
func beyond(f *inventory.Fence, lineage, offset int64) bool {
	return cmp.Or(cmp.Compare(lineage, f.Lineage), cmp.Compare(offset, f.Offset)) > 0
}

func plus(a, b States) States {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

func minus(a, b States) States {
	for i := range a {
		a[i] -= b[i]
	}
	return a
}
