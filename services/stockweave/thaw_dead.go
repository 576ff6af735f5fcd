package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// deadEvent is an event of the key that went to the dead letters.
type deadEvent struct {
	code   string
	value  []byte            // empty where it was left out
	at     inventory.Instant // ledger time of the event
	offset int64             // of the letter
}

// buried reads which of the key's events went to the dead letters. The ledger has not
// counted them, and a letter is the one outcome they have (Invariant 2): a copy would
// be decided as well, and would pass for one that the ledger awaits.
func (t *thaw) buried(ctx context.Context) error {
	if t.told == nil {
		t.told = map[int64]bool{}
	}
	t.dead = map[int64]deadEvent{}
	_, partitions, err := t.reads.Topic(ctx, event.TopicDeadATP)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", event.TopicDeadATP, err)
	}
	log := t.cfg.Kafka.Physical(event.TopicEvents)
	for id := range partitions {
		_, err := t.reads.Fold(ctx, event.TopicDeadATP, id, func(rec *stream.Record) error {
			var d event.DeadLetter
			if string(rec.Key) != t.state.only {
				return nil
			}
			if err := t.codecs.DecodeDeadLetter(rec.Value, &d); err != nil {
				return fmt.Errorf("decoding dead letter at partition %d offset %d: %w", id, rec.Offset, err)
			}
			if d.Topic == log && d.Partition == t.partition {
				t.dead[d.Offset] = deadEvent{code: d.Code, value: bytes.Clone(d.Value), at: d.At, offset: rec.Offset}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading %s: %w", event.TopicDeadATP, err)
		}
	}
	return nil
}

// isDead says whether a record went to the dead letters. A letter of a log that had the
// same name and offsets before is of another time. When a letter was written says nothing:
// it bears the clock of its writer, at the start of a transaction that may have begun
// before the event came.
func (t *thaw) isDead(rec *stream.Record) bool {
	d, ok := t.dead[rec.Offset]
	if !ok {
		return false
	}
	return d.at == inventory.Instant(rec.Timestamp.UnixMilli()) && (len(d.value) == 0 || bytes.Equal(d.value, rec.Value))
}

// name says once of an event that it is not copied, and where it is found.
func (t *thaw) name(rec *stream.Record) {
	if t.told[rec.Offset] {
		return
	}
	t.told[rec.Offset] = true
	d := t.dead[rec.Offset]
	fmt.Fprintf(t.w, "offset %d is not copied: it went to the dead letters (%s, %s offset %d)\n", rec.Offset, d.code, event.TopicDeadATP, d.offset)
}
