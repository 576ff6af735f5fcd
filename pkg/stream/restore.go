package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// partitioner every co-partitioned topic uses, as the header names it.
const headerPartitioner = "murmur2"

// restored is a partition ready to be worked on.
type restored struct {
	store  *store
	header Header
	group  int64 // the group's offset, -1 for none
	start  int64 // offset of the first record to read
	end    int64 // of the input at the time
	held   held
}

// logFacts is what a restore compares the header with.
type logFacts struct {
	input, state topicMeta
	implicit     bool // see RestoreReads.implicit
}

// restore builds a partition's state from the changelog. It returns an ErrStop
// where nothing but a person can decide; everything transient it tries again until
// ctx ends.
func (r *Runner) restore(ctx context.Context, facts logFacts, partition int32) (*restored, error) {
	snapshots := r.snapshots() // until one is found unfit
	for n := 1; ; n++ {
		began := r.now()
		res, records, err := r.restoreOnce(ctx, facts, partition, &snapshots)
		switch {
		case err == nil:
			took := r.now().Sub(began)
			r.metrics.restores.Observe(took.Seconds())
			r.metrics.restored.Add(float64(records))
			r.log.Info("partition restored",
				slog.Int("partition", int(partition)), slog.Int("records", records), slog.Bool("snapshot", snapshots),
				slog.Int("groups", len(res.store.groups)), slog.Int64("start", res.start),
				slog.Int64("applied_through", res.header.AppliedThrough), slog.Duration("took", took))
			return res, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrStop):
			return nil, err
		case errors.Is(err, errRecreated):
			return nil, fmt.Errorf("%w: restoring partition %d: %w", ErrStop, partition, err)
		}
		r.log.Warn("restore failed, trying again", slog.Int("partition", int(partition)), slog.Any("error", err))
		pause(ctx, backoff(n+4))
	}
}

func (r *Runner) restoreOnce(ctx context.Context, facts logFacts, partition int32, snapshots *bool) (*restored, int, error) {
	cfg := &r.cfg
	// The order of these two reads is what loses nothing; see RestoreReads.
	group, err := r.reads.GroupOffset(ctx, cfg.Group, cfg.Input, partition)
	if err != nil {
		return nil, 0, err
	}
	Crash("offsets_read")
	high, err := r.reads.HighWatermark(ctx, cfg.State, partition)
	if err != nil {
		return nil, 0, err
	}
	Crash("end_read")
	read, err := r.readState(ctx, facts, partition, high, snapshots)
	if err != nil {
		return nil, 0, err
	}
	st, header, found, records := read.st, read.header, read.found, read.records
	first, err := r.reads.LogStart(ctx, cfg.Input, partition)
	if err != nil {
		return nil, records, err
	}
	end, err := r.reads.HighWatermark(ctx, cfg.Input, partition)
	if err != nil {
		return nil, records, err
	}
	res := &restored{store: st, header: header, group: group, end: end, held: read.held}
	if !found {
		if len(st.groups) > 0 {
			return nil, records, fmt.Errorf("%w: partition %d of %s holds state without a header", ErrStop, partition, cfg.State)
		}
		res.header = Header{
			Lineage: 1, Cluster: facts.input.cluster, TopicID: facts.input.idString(), Topic: cfg.Input,
			Partition: partition, Partitions: int32(len(facts.input.leaders)), //nolint:gosec // partition counts are int32
			Partitioner: headerPartitioner, StoreVersion: cfg.StoreVersion, AppliedThrough: -1, PreviousEnd: -1,
		}
	} else if err := r.checkHeader(facts, partition, header); err != nil {
		return nil, records, err
	}
	res.start, err = startOf(group, found, header.AppliedThrough, first)
	if err != nil {
		return nil, records, fmt.Errorf("%w: partition %d of %s: %w", ErrStop, partition, cfg.Input, err)
	}
	if res.start < first {
		return nil, records, fmt.Errorf("%w: partition %d of %s starts at %d, the next record to read was %d: records are lost",
			ErrStop, partition, cfg.Input, first, res.start)
	}
	// After a change of leader the end may lag for a moment; it is asked again
	// before a log that is too short is called truncated.
	for n := 1; res.start > end; n++ {
		if n > 20 {
			return nil, records, fmt.Errorf("%w: partition %d of %s ends at %d, the next record to read was %d: the log was truncated",
				ErrStop, partition, cfg.Input, end, res.start)
		}
		pause(ctx, 500*time.Millisecond)
		if end, err = r.reads.HighWatermark(ctx, cfg.Input, partition); err != nil {
			return nil, records, err
		}
		res.end = end
	}
	return res, records, nil
}

// Reasons why a partition's start cannot be decided by itself.
var (
	errHeaderBehind = errors.New("the group's offset is ahead of the state's header: state was lost")
	errNoHeader     = errors.New("the group has an offset and the state no header: state was lost")
	errNeedsCutover = errors.New("neither offset nor header, and the log no longer starts at 0: a cutover must say where to start")
)

// startOf is the first-start rule (§3). group is the group's offset or -1, applied
// the header's AppliedThrough, first the log's first offset.
func startOf(group int64, header bool, applied, first int64) (int64, error) {
	switch {
	case group < 0 && !header:
		if first != 0 {
			return 0, errNeedsCutover
		}
		return 0, nil
	case group < 0:
		return applied + 1, nil
	case !header:
		return 0, errNoHeader
	case group > applied+1:
		return 0, errHeaderBehind
	}
	return group, nil // records up to applied are counted no-ops
}

// checkHeader stops a worker whose state belongs to another log: its offsets would
// swallow this log's records as applied already (§4).
func (r *Runner) checkHeader(facts logFacts, partition int32, h Header) error {
	cfg := &r.cfg
	check := func(what string, got, want any) error {
		if got == want {
			return nil
		}
		return fmt.Errorf("%w: state of partition %d of %s is of %s %v, here it is %v: a cutover must join them",
			ErrStop, partition, cfg.State, what, got, want)
	}
	for _, err := range []error{
		check("cluster", h.Cluster, facts.input.cluster),
		check("topic", h.Topic, cfg.Input),
		check("topic id", h.TopicID, facts.input.idString()),
		check("partition", h.Partition, partition),
		check("partition count", int(h.Partitions), len(facts.input.leaders)),
		check("partitioner", h.Partitioner, headerPartitioner),
		check("store version", h.StoreVersion, cfg.StoreVersion),
	} {
		if err != nil {
			return err
		}
	}
	if h.Lineage < 1 {
		return fmt.Errorf("%w: state of partition %d of %s has lineage %d", ErrStop, partition, cfg.State, h.Lineage)
	}
	return nil
}

// stateRead is what the changelog holds of a partition.
type stateRead struct {
	*loader // into the store
	header  Header
	found   bool // the header
	records int
	held    held
}

// readState reads the changelog, committed only, until past high: from its beginning,
// or from a snapshot on. snapshots is cleared when there is none that serves.
func (r *Runner) readState(ctx context.Context, facts logFacts, partition int32, high int64, snapshots *bool) (*stateRead, error) {
	first, err := r.reads.LogStart(ctx, r.cfg.State, partition)
	if err != nil {
		return nil, err
	}
	if *snapshots {
		snap, err := r.loadSnapshot(ctx, facts, partition, first, high)
		if err == nil {
			read := snap.read()
			if err = r.readTail(ctx, partition, high, read); err == nil {
				if err = snap.before(read.header); err == nil {
					if read.records == 0 {
						read.held.saved.from = read.held.through // nothing but markers
					}
					r.metrics.snapshots.used.WithLabelValues(snapshotUsed).Inc()
					return read, nil
				}
			}
		}
		if !r.unfit(partition, err) {
			return nil, err
		}
		*snapshots = false
	}
	read := &stateRead{loader: &loader{st: newStore()}, held: held{first: first, through: first}}
	return read, r.readTail(ctx, partition, high, read)
}

// readTail goes on with the changelog where a read stands. Pending transactions below
// high hold it up until their markers are there.
func (r *Runner) readTail(ctx context.Context, partition int32, high int64, read *stateRead) error {
	cfg := &r.cfg
	t := tail{reads: r.reads, topic: cfg.State, partition: partition, committed: true, offset: read.held.through}
	failed := 0
	for t.offset < high {
		recs, err := t.next(ctx)
		if err != nil {
			if errors.Is(err, errRecreated) || errors.Is(err, kerr.OffsetOutOfRange) || ctx.Err() != nil || failed > 20 {
				return err
			}
			failed++
			pause(ctx, backoff(failed))
			continue
		}
		failed = 0
		for _, rec := range recs {
			read.records++
			if string(rec.Key) == HeaderKey {
				if read.header, err = cfg.Codec.DecodeHeader(rec.Value); err != nil {
					return fmt.Errorf("%w: reading header of partition %d of %s: %w", ErrStop, partition, cfg.State, err)
				}
				read.found = true
				continue
			}
			read.put(cfg.GroupOf(rec.Key), stringOf(rec.Key), rec.Value)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	read.held.through = t.offset
	return nil
}
