package stream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A snapshot is the committed state of a partition in a file of this process's own
// volume, with an offset of the changelog: everything committed below that offset is
// in it. A restore that starts from it reads the changelog from there on, under the
// same rules as from its beginning, and comes to the same state.
//
// It need not be of one moment. Groups are copied while the work goes on, so one may
// be as it was later than the offset says; but then its later records are in the
// tail, and the last of them decides as it would have without the snapshot. What a
// snapshot does need is that the tail is whole: that it is of the same log, reaches
// at least to where the copying ended, and still has every tombstone that came after
// the copying began.
const (
	defaultSnapshotEvery = 30 * time.Second
	snapshotSuffix       = ".snapshot"
	temporarySuffix      = ".tmp"

	// snapshotShare of what tombstones are kept for is how old a snapshot may be:
	// room for clocks that differ, and for the time that the tail takes.
	snapshotShare = 2
	// snapshotSkew is how far ahead the clock of its writer may have been.
	snapshotSkew = time.Minute
)

// held is how much of the changelog a partition's memory holds.
type held struct {
	first   int64 // where the changelog began when the state was read from it
	through int64 // everything committed below is in memory; more may be
	saved   saved
}

// saved is the snapshot a partition has; the zero value is none.
type saved struct {
	from   int64
	pieces uint64
	taken  time.Time
}

// snapshotUsed is the metric's label for a snapshot that a restore began with.
const snapshotUsed = "used"

func (r *Runner) snapshots() bool { return r.cfg.SnapshotDir != "" }

func (r *Runner) snapshotPath(partition int32) string {
	return filepath.Join(r.cfg.SnapshotDir, r.cfg.State+"-"+strconv.Itoa(int(partition))+snapshotSuffix)
}

// snapshotHead is what every snapshot of a partition has in common.
func (r *Runner) snapshotHead(facts logFacts, partition int32) *snapshotHead {
	return &snapshotHead{
		Cluster: facts.state.cluster,
		Input:   r.cfg.Input, InputID: facts.input.idString(),
		State: r.cfg.State, StateID: facts.state.idString(),
		Partition: partition, Partitions: int32(len(facts.state.leaders)), //nolint:gosec // partition counts are int32
		StoreVersion: r.cfg.StoreVersion,
	}
}

// snapshotResult is the metric's label for why a snapshot does not serve; "" for an
// error that says nothing of the snapshot.
func snapshotResult(err error) string {
	for _, reason := range []error{errSnapshotAbsent, errSnapshotTorn, errSnapshotForeign, errSnapshotShort, errSnapshotOld} {
		if errors.Is(err, reason) {
			return reason.Error()
		}
	}
	return ""
}

// unfit counts a snapshot that does not serve and removes it. It reports whether err
// is such a reason.
func (r *Runner) unfit(partition int32, err error) bool {
	result := snapshotResult(err)
	switch result {
	case "":
		return false
	case errSnapshotAbsent.Error():
		r.log.Info("no snapshot, restoring from the changelog", slog.Int("partition", int(partition)))
	default:
		r.log.Warn("snapshot does not serve, restoring from the changelog", slog.Int("partition", int(partition)), slog.Any("error", err))
		if err := os.Remove(r.snapshotPath(partition)); err != nil {
			r.log.Warn("removing snapshot", slog.Int("partition", int(partition)), slog.Any("error", err))
		}
	}
	r.metrics.snapshots.used.WithLabelValues(result).Inc()
	return true
}

// loadSnapshot reads a partition's snapshot. The changelog begins at first and ended
// at high when that was asked.
func (r *Runner) loadSnapshot(ctx context.Context, facts logFacts, partition int32, first, high int64) (*snapshot, error) {
	began := r.now()
	f, err := os.Open(r.snapshotPath(partition))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errSnapshotAbsent
	}
	if err != nil {
		return nil, torn("opening it: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, torn("opening it: %w", err)
	}
	keep, err := r.tombstones(ctx)
	if err != nil {
		return nil, err
	}
	snap, err := readSnapshot(ctx, f, info.Size(), func(h *snapshotHead, t *snapshotTrailer) error {
		if err := h.matches(r.snapshotHead(facts, partition)); err != nil {
			return err
		}
		switch age := began.Sub(time.UnixMilli(h.Taken)); {
		case t.until > high || h.From > t.until:
			return fmt.Errorf("%w: it is of offset %d, the changelog ends at %d", errSnapshotForeign, t.until, high)
		case h.LogStart != first || h.From < first:
			return fmt.Errorf("%w: the changelog begins at %d, it began at %d", errSnapshotShort, first, h.LogStart)
		case age > keep/snapshotShare:
			return fmt.Errorf("%w: it is %s old, tombstones are kept for %s", errSnapshotOld, age, keep)
		case age < -snapshotSkew:
			return fmt.Errorf("%w: it says it was taken at %s", errSnapshotOld, time.UnixMilli(h.Taken).UTC().Format(time.RFC3339))
		}
		return r.sameHistory(ctx, partition, h.Epoch, t.until)
	})
	if err != nil {
		return nil, err
	}
	snap.header, err = r.cfg.Codec.DecodeHeader(snap.Header)
	if err != nil {
		return nil, torn("reading its partition header: %w", err)
	}
	r.metrics.snapshots.read.Observe(r.now().Sub(began).Seconds())
	return snap, nil
}

// read is where a restore stands that has read nothing but the snapshot.
func (s *snapshot) read() *stateRead {
	return &stateRead{
		loader: &loader{st: s.store}, header: s.header, found: true,
		held: held{first: s.LogStart, through: s.From, saved: saved{from: s.From, pieces: s.pieces, taken: time.UnixMilli(s.Taken)}},
	}
}

// before makes sure that the header at the end of the tail is not from before the
// snapshot: within a lineage a header only goes forward.
func (s *snapshot) before(now Header) error {
	if now.Lineage < s.header.Lineage || now.Lineage == s.header.Lineage && now.AppliedThrough < s.header.AppliedThrough {
		return fmt.Errorf("%w: it has applied offset %d of lineage %d, the changelog %d of %d", errSnapshotForeign,
			s.header.AppliedThrough, s.header.Lineage, now.AppliedThrough, now.Lineage)
	}
	return nil
}

// sameHistory makes sure that the changelog up to below until is the one it was when
// its leader epoch was the given one. A log that was truncated and grew again has
// other records at the same offsets.
func (r *Runner) sameHistory(ctx context.Context, partition, epoch int32, until int64) error {
	if epoch < 0 || until == 0 {
		return nil
	}
	end, err := r.reads.epochEnd(ctx, r.cfg.State, partition, epoch)
	if err != nil {
		return err
	}
	if end < until {
		return fmt.Errorf("%w: it is of offset %d in leader epoch %d, which ended at %d", errSnapshotForeign, until, epoch, end)
	}
	return nil
}

// tombstones is how long the changelog keeps them at least.
func (r *Runner) tombstones(ctx context.Context) (time.Duration, error) {
	configs, err := kadm.NewClient(r.reads.cl).DescribeTopicConfigs(ctx, r.cfg.State)
	if err != nil {
		return 0, fmt.Errorf("reading configuration of %s: %w", r.cfg.State, err)
	}
	rc, err := configs.On(r.cfg.State, nil)
	if err == nil {
		err = rc.Err
	}
	if err != nil {
		return 0, fmt.Errorf("reading configuration of %s: %w", r.cfg.State, err)
	}
	for _, c := range rc.Configs {
		if c.Key != "delete.retention.ms" {
			continue
		}
		ms, err := strconv.ParseInt(c.MaybeValue(), 10, 64)
		if err != nil || ms < 0 {
			return 0, fmt.Errorf("reading configuration of %s: delete.retention.ms is %q", r.cfg.State, c.MaybeValue())
		}
		return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond, nil
	}
	return 0, nil // not known: no snapshot is young enough
}

// epochEnd is the offset at which a leader epoch of a partition ended; the log's end
// when it is the present one, -1 when the log knows nothing of it.
func (r *RestoreReads) epochEnd(ctx context.Context, topic string, partition, epoch int32) (int64, error) {
	rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rp.Partition = partition
	rp.LeaderEpoch = epoch
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic = topic
	rt.Partitions = append(rt.Partitions, rp)
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	req.Topics = append(req.Topics, rt)
	for _, shard := range r.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return -1, fmt.Errorf("reading leader epochs of %s: %w", topic, shard.Err)
		}
		resp, ok := shard.Resp.(*kmsg.OffsetForLeaderEpochResponse)
		if !ok {
			continue
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if t.Topic != topic || p.Partition != partition {
					continue
				}
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return -1, fmt.Errorf("reading leader epochs of %s partition %d: %w", topic, partition, err)
				}
				return p.EndOffset, nil
			}
		}
	}
	return -1, fmt.Errorf("reading leader epochs of %s partition %d: %w", topic, partition, kerr.UnknownTopicOrPartition)
}
