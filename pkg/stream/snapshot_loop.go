package stream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// snapshotRest is how many times as long as its writing took the pause after a
	// round of snapshots is at least: what they cost stays a tenth.
	snapshotRest = 9
	// A snapshot is written anew when its tail is a fourth of its length, or after
	// some rounds.
	snapshotTail   = 4
	snapshotRounds = 10
	// clockEvery is after how many groups the length of a turn is looked at.
	clockEvery = 64
)

// snapshotLoop writes snapshots of the partitions worked on, one after the other,
// until ctx is done.
func (s *session) snapshotLoop(ctx context.Context, facts logFacts) {
	if keep, err := s.r.tombstones(ctx); err == nil { // else the next start sweeps
		s.r.sweepSnapshots(keep)
	}
	rest := s.r.cfg.SnapshotEvery
	for {
		pause(ctx, rest)
		if ctx.Err() != nil {
			return
		}
		began := s.r.now()
		for _, p := range byID(s.owned()) {
			s.r.snapshot(ctx, facts, &reader{s: s, p: p}, false)
		}
		rest = max(s.r.cfg.SnapshotEvery, snapshotRest*s.r.now().Sub(began))
	}
}

// lastSnapshots writes what the loop has left, once it and its client have ended.
func (s *session) lastSnapshots(ctx context.Context, facts logFacts, parts []*partition) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.r.cfg.Drain)
	defer cancel()
	var wg sync.WaitGroup
	slots := make(chan struct{}, restoresAtOnce)
	for _, p := range byID(parts) {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s.r.snapshot(ctx, facts, &reader{p: p}, true)
		})
	}
	wg.Wait()
}

// snapshot writes a partition's snapshot if it is due; the last one is due whenever
// there is something new. A fault costs a longer restore and no more.
func (r *Runner) snapshot(ctx context.Context, facts logFacts, rd *reader, last bool) {
	began := r.now()
	size, err := r.writeSnapshot(ctx, facts, rd, last)
	switch {
	case errors.Is(err, errNotDue), errors.Is(err, errPartitionGone), ctx.Err() != nil && !last:
	case err != nil:
		r.metrics.snapshots.failed.Inc()
		r.log.Warn("snapshot was not written", slog.Int("partition", int(rd.p.id)), slog.Any("error", err))
	default:
		took := r.now().Sub(began)
		r.metrics.snapshots.written.Inc()
		r.metrics.snapshots.bytes.Add(float64(size))
		r.metrics.snapshots.write.Observe(took.Seconds())
		r.log.Debug("snapshot written", slog.Int("partition", int(rd.p.id)), slog.Int64("bytes", size), slog.Duration("took", took))
	}
}

func byID(parts []*partition) []*partition {
	slices.SortFunc(parts, func(a, b *partition) int { return int(a.id - b.id) })
	return parts
}

var errNotDue = errors.New("not due")

func (r *Runner) writeSnapshot(ctx context.Context, facts logFacts, rd *reader, last bool) (size int64, err error) {
	p := rd.p
	h := r.snapshotHead(facts, p.id)
	h.Epoch = -1
	// Asked before the state is read: the epoch of what is read is this one or later,
	// and a later one makes the snapshot foreign rather than wrong.
	meta, err := r.reads.meta(ctx, true, r.cfg.State)
	if err != nil {
		return 0, err
	}
	if meta.id != facts.state.id {
		return 0, errRecreated
	}
	if int(p.id) < len(meta.epochs) {
		h.Epoch = meta.epochs[p.id]
	}
	taken := r.now()
	h.Taken = taken.UnixMilli()

	if err := rd.take(ctx); err != nil {
		return 0, err
	}
	defer rd.give()
	if !r.due(p, last) {
		return 0, errNotDue
	}
	h.From, h.LogStart, h.Lineage = p.held.through, p.held.first, p.header.Lineage
	if h.Header, err = r.cfg.Codec.EncodeHeader(p.header); err != nil {
		return 0, fmt.Errorf("encoding header: %w", err)
	}
	rd.give() // never a turn over a call of the disk
	w, err := createSnapshot(r.snapshotPath(p.id), h)
	if err != nil {
		return 0, err
	}
	err = rd.take(ctx)
	if err == nil {
		err = r.copyState(ctx, rd, w)
	}
	if err != nil {
		w.discard()
		return 0, err
	}
	until := p.held.through
	rd.give()
	if err := w.close(until); err != nil {
		return 0, err
	}
	done := saved{from: h.From, pieces: w.end.pieces, taken: taken}
	if err := rd.take(ctx); err == nil {
		p.held.saved = done
	}
	return w.size, nil
}

// copyState copies every group. It has the turn when it is called and when it
// returns nil; in between the turn is given back for every block. What the loop
// changes meanwhile is in the tail: a range over a map that changes meets every
// group that is there all the time.
func (r *Runner) copyState(ctx context.Context, rd *reader, w *snapshotWriter) error {
	began, n := r.now(), 0
	for _, st := range rd.p.store.groups {
		w.add(st)
		n++
		if !w.full() && (n%clockEvery != 0 || r.now().Sub(began) < turnFor) {
			continue
		}
		rd.give()
		if err := w.flush(false); err != nil {
			return err
		}
		if err := rd.take(ctx); err != nil {
			return err
		}
		began = r.now()
	}
	return nil
}

// due says whether a partition needs a snapshot. It has the turn.
func (r *Runner) due(p *partition, last bool) bool {
	h := &p.held
	switch {
	case p.store == nil || p.header.AppliedThrough < 0:
		return false // nothing of it is in the changelog
	case h.saved.taken.IsZero():
		return true
	case last:
		return h.through != h.saved.from
	case r.now().Sub(h.saved.taken) > snapshotRounds*r.cfg.SnapshotEvery:
		return true
	}
	return h.through-h.saved.from > int64(h.saved.pieces)/snapshotTail //nolint:gosec // a count
}

// committed notes how far a transaction has brought the changelog: its header is the
// last it wrote to a partition. What is noted may be too little, never too much.
func (t *txn) committed() {
	if !t.s.r.snapshots() {
		return
	}
	for _, p := range t.parts {
		p.held.through = max(p.held.through, t.s.out.box.end(t.s.r.cfg.State, p.id))
	}
}

// sweepSnapshots removes what a crash has left half-written, and snapshots too old to
// serve: nobody may ever own their partitions here again.
func (r *Runner) sweepSnapshots(keep time.Duration) {
	entries, err := os.ReadDir(r.cfg.SnapshotDir)
	if err != nil {
		r.log.Warn("reading folder of snapshots", slog.Any("error", err))
		return
	}
	for _, e := range entries {
		temporary := strings.HasSuffix(e.Name(), temporarySuffix) && strings.Contains(e.Name(), snapshotSuffix+".")
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
			continue
		case temporary && r.now().Sub(info.ModTime()) > temporaryAge:
		case strings.HasSuffix(e.Name(), snapshotSuffix) && r.now().Sub(info.ModTime()) > keep/snapshotShare:
		default:
			continue
		}
		if err := os.Remove(filepath.Join(r.cfg.SnapshotDir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.log.Warn("removing old snapshot", slog.String("file", e.Name()), slog.Any("error", err))
		}
	}
}

// temporaryAge is how old a temporary file must be for nobody to be writing it.
const temporaryAge = time.Hour
