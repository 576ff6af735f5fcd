package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A Table reads a whole compacted topic, or the end of any, and goes on following
// it.
type Table struct {
	cfg    TableConfig
	log    *slog.Logger
	loaded chan struct{}
}

// NewTable checks the configuration and starts nothing.
func NewTable(cfg TableConfig) (*Table, error) {
	switch err := cfg.Validate(); {
	case err != nil:
		return nil, fmt.Errorf("configuring table of %q: %w", cfg.Topic, err)
	case cfg.Topic == "" || cfg.Apply == nil:
		return nil, fmt.Errorf("configuring table of %q: topic and Apply are needed", cfg.Topic)
	}
	cfg.Topic = cfg.Physical(cfg.Topic)
	return &Table{cfg: cfg, log: cfg.logger().With(slog.String("topic", cfg.Topic)), loaded: make(chan struct{})}, nil
}

// Loaded is closed when everything has been applied that the topic held when Run
// began.
func (t *Table) Loaded() <-chan struct{} { return t.loaded }

// Ready is nil once the table is loaded.
func (t *Table) Ready() error {
	select {
	case <-t.loaded:
		return nil
	default:
		return fmt.Errorf("loading %s", t.cfg.Topic)
	}
}

// Run loads the topic and follows it until ctx is done. It may be called once.
func (t *Table) Run(ctx context.Context) error {
	reads, err := NewRestoreReads(t.cfg.Config)
	if err != nil {
		return err
	}
	positions, err := t.load(ctx, reads)
	reads.Close()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("loading %s: %w", t.cfg.Topic, err)
	}
	close(t.loaded)
	return follow(ctx, t.cfg.Config, t.cfg.Topic, positions, t.cfg.ReadCommitted, t.cfg.Apply)
}

func (t *Table) load(ctx context.Context, reads *RestoreReads) (map[int32]int64, error) {
	var meta topicMeta
	err := t.insist(ctx, func() (err error) {
		meta, err = reads.meta(ctx, true, t.cfg.Topic)
		return err
	})
	if err != nil {
		return nil, err
	}
	ids := t.cfg.Partitions
	if ids == nil {
		for id := range meta.leaders {
			ids = append(ids, int32(id)) //nolint:gosec // partition counts are int32
		}
	}
	// All ends first: they are of one moment, before anything is applied.
	highs := make(map[int32]int64, len(ids))
	for _, id := range ids {
		if int(id) >= len(meta.leaders) {
			return nil, fmt.Errorf("%w: no partition %d among %d", ErrStop, id, len(meta.leaders))
		}
		err := t.insist(ctx, func() (err error) {
			highs[id], err = reads.HighWatermark(ctx, t.cfg.Topic, id)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	positions := make(map[int32]int64, len(ids))
	for _, id := range ids {
		tl := tail{reads: reads, topic: t.cfg.Topic, partition: id, committed: t.cfg.ReadCommitted}
		err := t.insist(ctx, func() (err error) {
			tl.offset, err = t.first(ctx, reads, id, highs[id])
			return err
		})
		if err != nil {
			return nil, err
		}
		for failed := 0; tl.offset < highs[id]; {
			recs, err := tl.next(ctx)
			switch {
			case err == nil:
				failed = 0
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case errors.Is(err, errRecreated), errors.Is(err, kerr.OffsetOutOfRange):
				return nil, fmt.Errorf("%w: %w", ErrStop, err)
			default:
				failed++
				t.log.Warn("reading failed, trying again", slog.Any("error", err))
				pause(ctx, backoff(failed+4))
			}
			for _, rec := range recs {
				if err := t.cfg.Apply(rec); err != nil {
					return nil, fmt.Errorf("applying partition %d offset %d: %w", id, rec.Offset, err)
				}
			}
		}
		positions[id] = tl.offset
	}
	return positions, nil
}

// insist asks until the cluster answers: a topic that was made a moment ago, or whose broker
// is restarting, has partitions without a leader. One that is not there is not waited for.
func (t *Table) insist(ctx context.Context, ask func() error) error {
	for failed := 1; ; failed++ {
		err := ask()
		if !kerr.IsRetriable(err) || errors.Is(err, kerr.UnknownTopicOrPartition) || ctx.Err() != nil {
			return err
		}
		t.log.Warn("asking failed, trying again", slog.Any("error", err))
		pause(ctx, backoff(failed+4))
	}
}

// first is the offset a partition is read from; end where it has nothing to read.
func (t *Table) first(ctx context.Context, reads *RestoreReads, id int32, end int64) (int64, error) {
	if t.cfg.Since.IsZero() {
		return reads.LogStart(ctx, t.cfg.Topic, id)
	}
	at, err := reads.listOffset(ctx, t.cfg.Topic, id, max(0, t.cfg.Since.UnixMilli()), 0)
	if err != nil {
		return 0, err
	}
	if at < 0 { // none is as new as that
		return end, nil
	}
	return at, nil
}
