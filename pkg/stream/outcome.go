package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
)

// kept is a partition whose memory is known to hold what the log does, and how to
// tell that it still does: nobody can have committed to the partition without
// moving both the group's offset and the end of the changelog.
type kept struct {
	res   *restored
	state [16]byte // topic id of the changelog
	end   int64    // of the changelog, read uncommitted
}

// Outcomes of a commit whose answer was lost, as the metric has them.
const (
	outcomeAdopted   = "adopted"   // it took effect
	outcomeDiscarded = "discarded" // it did not
	outcomeRestored  = "restored"  // neither is sure: everything is read again
)

var errMixed = errors.New("the group's offsets are neither all at the transaction's end nor all at its start")

// resolve finds out what became of a commit of unknown outcome (§3) and returns the
// partitions that the next session need not restore. Whoever calls it has made sure
// that nobody else works under this identity: settling fences him.
func (s *session) resolve(ctx context.Context, facts logFacts) map[int32]*kept {
	ctx, cancel := context.WithTimeout(ctx, 2*transactionTimeout)
	defer cancel()
	outcome, ends, err := s.outcome(ctx)
	if err != nil {
		s.r.metrics.outcomes.WithLabelValues(outcomeRestored).Inc()
		s.r.log.Warn("outcome of a commit is not certain, restoring", slog.Any("error", err))
		return nil
	}
	s.r.metrics.outcomes.WithLabelValues(outcome).Inc()
	s.r.log.Info("outcome of a commit is known", slog.String("outcome", outcome))
	if outcome == outcomeAdopted {
		s.merge()
	} else {
		s.discard()
	}
	Crash("unknown_adopted")
	all := map[int32]*kept{}
	for _, p := range s.owned() {
		end, ok := ends[p.id]
		if !ok { // not of the transaction
			var off int64
			if end, off, err = s.stands(ctx, p.id); err != nil || off != p.committed {
				continue
			}
		}
		if p.committed < 0 {
			continue // without an offset there is none to recognise it by
		}
		res := &restored{store: p.store, header: p.header, group: p.committed, start: p.pos, held: p.held}
		all[p.id] = &kept{res: res, state: facts.state.id, end: end}
	}
	return all
}

// outcome settles the transaction and reads what became of it, with the ends of
// its partitions' changelogs.
func (s *session) outcome(ctx context.Context) (string, map[int32]int64, error) {
	if _, err := s.r.reads.settle(ctx, s.r.identity(), transactionTimeout); err != nil {
		return "", nil, err
	}
	Crash("unknown_settled")
	ends := map[int32]int64{}
	committed, aborted := true, true
	for _, p := range s.txn.parts {
		end, off, err := s.stands(ctx, p.id)
		if err != nil {
			return "", nil, err
		}
		ends[p.id] = end
		committed = committed && off == p.pos
		aborted = aborted && off == p.committed
	}
	switch {
	case committed == aborted:
		return "", nil, errMixed
	case committed:
		return outcomeAdopted, ends, nil
	}
	return outcomeDiscarded, ends, nil
}

// stands returns the end of a partition's changelog and then the group's offset. In
// that order whatever another owner commits shows: before the end was read, by the
// offset; after it, by the end.
func (s *session) stands(ctx context.Context, id int32) (end, off int64, err error) {
	cfg := &s.r.cfg
	if end, err = s.r.reads.HighWatermark(ctx, cfg.State, id); err != nil {
		return 0, 0, err
	}
	if off, err = s.r.reads.GroupOffset(ctx, cfg.Group, cfg.Input, id); err != nil {
		return 0, 0, fmt.Errorf("reading what became of a commit: %w", err)
	}
	return end, off, nil
}

// owned are the partitions that are worked on.
func (s *session) owned() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Values(s.parts)), func(p *partition) bool { return p.phase != active })
}

// reuse returns a partition kept by the session before, or nil when it must be
// restored. It is asked after the group's offset was fetched, as a restore is.
func (s *session) reuse(ctx context.Context, facts logFacts, p *partition) *restored {
	s.mu.Lock()
	k := s.kept[p.id]
	delete(s.kept, p.id) // what is worked on is no longer what was kept
	s.mu.Unlock()
	if k == nil {
		return nil
	}
	if err := s.r.unchanged(ctx, facts, k, p); err != nil {
		s.r.log.Info("partition was kept and must be restored", slog.Int("partition", int(p.id)), slog.Any("error", err))
		return nil
	}
	Crash("unknown_kept")
	s.r.log.Info("partition kept", slog.Int("partition", int(p.id)), slog.Int64("start", k.res.start))
	return k.res
}

// unchanged makes sure that a kept partition still is what the log holds, and that
// the log still holds what it must read next. Doubt is no fault: a restore decides.
func (r *Runner) unchanged(ctx context.Context, facts logFacts, k *kept, p *partition) error {
	if p.fetched != k.res.group {
		return fmt.Errorf("the group stands at %d, not at %d", p.fetched, k.res.group)
	}
	if facts.state.id != k.state {
		return errRecreated
	}
	if err := r.checkHeader(facts, p.id, k.res.header); err != nil {
		return err
	}
	end, err := r.reads.HighWatermark(ctx, r.cfg.State, p.id)
	if err != nil {
		return err
	}
	if end != k.end {
		return fmt.Errorf("the changelog ends at %d, not at %d", end, k.end)
	}
	first, err := r.reads.LogStart(ctx, r.cfg.Input, p.id)
	if err != nil {
		return err
	}
	if k.res.end, err = r.reads.HighWatermark(ctx, r.cfg.Input, p.id); err != nil {
		return err
	}
	if k.res.start < first || k.res.start > k.res.end {
		return fmt.Errorf("the input holds %d to %d, the next record is %d", first, k.res.end, k.res.start)
	}
	return nil
}
