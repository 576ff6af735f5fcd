package atp

import (
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// alsoSay emits the outcomes of events that were set aside before and that this one
// brought to their end, each under its own id and with the offset it had
// (EXACTLY-ONCE §8).
func (p *processor) alsoSay(also []inventory.Outcome, in stream.Input, emit func(*stream.Record)) error {
	for i := range also {
		o := &also[i]
		var err error
		if p.value, err = p.codecs.AppendOutcome(p.value[:0], o); err != nil {
			return fmt.Errorf("encoding outcome of %s: %w", o.EventID, err)
		}
		p.out = stream.Record{
			Topic: event.TopicOutcomes, Key: in.Key, Value: p.value,
			Headers: p.headers(o.EventID, typeOutcome, o.RecordedAt, in.Headers),
		}
		emit(&p.out)
		if o.Answer != nil && p.answers.routes(o.Answer.ReplyTo) {
			if err := p.tell(in, o, o.Answer, emit); err != nil {
				return err
			}
		}
	}
	return nil
}

// copied takes an event for the copy it is marked as: it has the ledger time that it
// had. Only a frozen key has events that it did not take; any other decides a copy
// as what it is, a repeat.
func copied(in stream.Input, ev *inventory.Event, at *inventory.At) {
	if offset, recordedAt, ok := event.ParseCopyOf(in.Headers); ok && offset < in.Offset {
		at.Copy, at.Original = true, offset
		ev.RecordedAt = min(ev.RecordedAt, recordedAt)
	}
}
