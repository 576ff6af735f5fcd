package atp

import (
	"errors"
	"fmt"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Divert freezes the key of an event that no transaction could hold (EXACTLY-ONCE §2,
// §8). Its one outcome says so, and it stands in the log, where the key's release finds
// it: a dead letter beside that would be a second outcome (Invariant 2). What is no
// event of a key, and a person's word, has no copy to come back as: those go to the
// dead letters.
func (p *processor) Divert(in stream.Input, st *stream.State, why error, emit func(*stream.Record)) error {
	if st == nil || st.Group() == "" {
		return errors.New("record of no key")
	}
	if err := p.codecs.DecodeEventInto(in.Value, &p.event); err != nil {
		return fmt.Errorf("decoding the event: %w", err)
	}
	if kind := p.event.Event.Kind; kind == inventory.KindApproval || kind == inventory.KindControl {
		return fmt.Errorf("no key is frozen by an event of kind %s", kind)
	}
	if err := p.event.Event.Validate(); err != nil {
		return fmt.Errorf("no key is frozen by an event that states nothing: %w", err)
	}
	freeze := inventory.CodeDiverted
	if errors.Is(why, stream.ErrTooLarge) {
		freeze = inventory.CodeOversize
	}
	return p.decide(in, st, freeze, emit)
}
