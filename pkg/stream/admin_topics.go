package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// DeleteTopics deletes what exists of topics and waits until it is gone.
func (a *Admin) DeleteTopics(ctx context.Context, names ...string) error {
	for n := 1; ; n++ {
		var there []string
		for _, name := range names {
			_, err := a.reads.meta(ctx, true, name)
			if err == nil {
				there = append(there, name)
			} else if !errors.Is(err, kerr.UnknownTopicOrPartition) {
				return err
			}
		}
		if len(there) == 0 {
			return nil
		}
		if n > 60 {
			return fmt.Errorf("deleting topics: %v are still there", there)
		}
		res, err := a.adm.DeleteTopics(ctx, there...)
		if err != nil {
			return fmt.Errorf("deleting topics: %w", err)
		}
		for _, r := range res {
			if r.Err != nil && !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
				return fmt.Errorf("deleting topic %s: %w", r.Topic, r.Err)
			}
		}
		if pause(ctx, backoff(n+3)); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// answers waits until every partition of a new topic has a leader that this client
// knows of, and is empty.
func (a *Admin) answers(ctx context.Context, topic string, partitions int32) error {
	for p := range partitions {
		end, err := a.reads.HighWatermark(ctx, topic, p)
		for n := 1; err != nil; n++ {
			if n == 30 || ctx.Err() != nil {
				return fmt.Errorf("waiting for topic %s: %w", topic, err)
			}
			pause(ctx, backoff(n+3))
			end, err = a.reads.HighWatermark(ctx, topic, p)
		}
		if end != 0 {
			return fmt.Errorf("%w: %s was made anew and holds %d records", ErrStop, topic, end)
		}
	}
	return nil
}

// commit sets a group's offsets for a topic, by partition; -1 leaves one as it is.
func (a *Admin) commit(ctx context.Context, group, topic string, at []int64) error {
	var offs kadm.Offsets
	for p, off := range at {
		if off >= 0 {
			offs.Add(kadm.Offset{Topic: topic, Partition: int32(p), At: off, LeaderEpoch: -1}) //nolint:gosec // partition counts are int32
		}
	}
	if len(offs) == 0 {
		return nil
	}
	if err := a.adm.CommitAllOffsets(ctx, group, offs); err != nil {
		return fmt.Errorf("setting offsets of group %s: %w", group, err)
	}
	return nil
}

// DeleteGroup deletes a group without members, with its offsets. One that is not
// there is no error.
func (a *Admin) DeleteGroup(ctx context.Context, group string) error {
	res, err := a.adm.DeleteGroup(ctx, group)
	if err == nil {
		err = res.Err
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("deleting group %s: %w", group, err)
	}
	return nil
}
