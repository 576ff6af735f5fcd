package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A Brake holds back a writer that can wait until a group has read what stands in a
// topic (EXACTLY-ONCE §9: bulk pauses for the ledger). A writer that waits before each
// append is never more than one append ahead of the group, whatever the group's speed
// is, and goes on while others write. It is safe for concurrent use.
type Brake struct {
	adm          *kadm.Client
	group, topic string
}

// brakeEvery is the pause between two questions for the group's offsets.
const brakeEvery = 5 * time.Millisecond

// NewBrake connects lazily.
func NewBrake(cfg Config, group, topic string) (*Brake, error) {
	cl, err := cfg.client()
	if err != nil {
		return nil, err
	}
	return &Brake{kadm.NewClient(cl), group, cfg.Physical(topic)}, nil
}

// Close ends it.
func (b *Brake) Close() { b.adm.Close() }

// Wait returns when the group has committed all that the topic has now. A group that
// does not read holds the writer. The error is that of a question, or ctx's.
func (b *Brake) Wait(ctx context.Context) error {
	ends, err := b.adm.ListEndOffsets(ctx, b.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("listing ends of %s: %w", b.topic, err)
	}
	for {
		read, err := b.adm.FetchOffsetsForTopics(ctx, b.group, b.topic)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return fmt.Errorf("fetching offsets of group %s: %w", b.group, err)
		}
		if reached(read, ends[b.topic]) {
			return nil
		}
		if pause(ctx, brakeEvery); ctx.Err() != nil {
			return fmt.Errorf("waiting for group %s: %w", b.group, ctx.Err())
		}
	}
}

func reached(read kadm.OffsetResponses, ends map[int32]kadm.ListedOffset) bool {
	for id, end := range ends {
		o, ok := read.Lookup(end.Topic, id)
		if end.Offset > 0 && (!ok || o.Err != nil || o.At < end.Offset) {
			return false
		}
	}
	return true
}
