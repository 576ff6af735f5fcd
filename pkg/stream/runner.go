package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	defaultCommit        = 20 * time.Millisecond
	defaultMaxRecords    = 10_000
	defaultCachedObjects = 200_000
	defaultDrain         = 20 * time.Second

	// divertAfter is the number of aborts at one record after which it is taken
	// alone (§2).
	divertAfter = 3
	// restoresAtOnce bounds the memory that restoring takes beside the state.
	restoresAtOnce = 4
)

// A Runner is the transactional worker: it runs a Processor over the partitions of
// one topic, with outputs, state and offsets in one transaction. Memory never runs
// ahead of the log: what a transaction does is staged and merged only once its
// commit is known.
type Runner struct {
	cfg     RunnerConfig
	codec   kgo.Compressor // nil: none
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time
	reads   *RestoreReads
	kept    map[int32]*kept // by the session before, for the next; Run's own
	most    int             // records of a transaction, at most MaxRecords; Run's own
	current atomic.Pointer[session]
	broken  atomic.Pointer[error]
}

// NewRunner checks the configuration and starts nothing.
func NewRunner(cfg RunnerConfig) (*Runner, error) {
	var faults []error
	need := func(ok bool, what string) {
		if !ok {
			faults = append(faults, errors.New(what))
		}
	}
	need(cfg.Group != "", "no group")
	need(cfg.Instance != "", "no instance: the transactional id must be stable")
	need(cfg.Input != "", "no input topic")
	need(cfg.State != "", "no state topic")
	need(cfg.Dead != nil, "no dead letters")
	need(cfg.Codec != nil, "no header codec")
	need(cfg.GroupOf != nil, "no group of a state key")
	need(cfg.Processor != nil, "no processor")
	need(cfg.Commit < transactionTimeout/2, "commit cadence too long for the transaction timeout")
	if err := cfg.leaks(cfg.State); err != nil {
		faults = append(faults, err)
	}
	if err := cfg.Validate(); err != nil {
		faults = append(faults, err)
	}
	codec, err := cfg.Compression.compressor()
	if err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("configuring runner of group %q: %w", cfg.Group, err)
	}
	if cfg.Commit <= 0 {
		cfg.Commit = defaultCommit
	}
	if cfg.MaxRecords <= 0 {
		cfg.MaxRecords = defaultMaxRecords
	}
	if cfg.CachedObjects <= 0 {
		cfg.CachedObjects = defaultCachedObjects
	}
	if cfg.Drain <= 0 {
		cfg.Drain = defaultDrain
	}
	if cfg.SnapshotEvery <= 0 {
		cfg.SnapshotEvery = defaultSnapshotEvery
	}
	return &Runner{
		cfg:     cfg.resolved(),
		codec:   codec,
		most:    cfg.MaxRecords,
		log:     cfg.logger().With(slog.String("group", cfg.Group)),
		metrics: newMetrics(cfg.Metrics, cfg.Group),
		now:     time.Now, //nolint:forbidigo // durations and lag; nothing is decided by it
	}, nil
}

// identity is the transactional id and the group's instance id.
func (r *Runner) identity() string { return r.cfg.Group + "-" + r.cfg.Instance }

// errReopen ends a session whose transaction has an unknown outcome, or whose
// producer is fenced. The next session settles it by the same transactional id and
// restores every partition but those that resolve has kept.
var errReopen = errors.New("session must be opened anew")

// Run works until ctx is done, then finishes the open transaction and returns nil.
// It returns an ErrStop where going on would skip or repeat records.
func (r *Runner) Run(ctx context.Context) error {
	reads, err := NewRestoreReads(r.cfg.Config)
	if err != nil {
		return err
	}
	defer reads.Close()
	r.reads = reads
	if r.snapshots() {
		if err := os.MkdirAll(r.cfg.SnapshotDir, 0o700); err != nil {
			r.log.Warn("making folder of snapshots", slog.Any("error", err))
		}
	}
	for n := 0; ; {
		began := r.now()
		err := r.session(ctx)
		if ctx.Err() != nil && !errors.Is(err, ErrStop) {
			if err != nil {
				r.log.Warn("stopped with a transaction of unknown outcome, the next start settles it", slog.Any("error", err))
			}
			return nil
		}
		if !errors.Is(err, errReopen) {
			r.broken.Store(&err)
			return err
		}
		if n++; r.now().Sub(began) > time.Minute {
			n = 1
		}
		r.log.Warn("opening session anew", slog.Any("error", err), slog.Int("attempt", n))
		pause(ctx, backoff(n+3))
	}
}

// Ready is nil when the worker has joined its group and no partition it owns is
// restoring.
func (r *Runner) Ready() error {
	if err := r.broken.Load(); err != nil {
		return *err
	}
	s := r.current.Load()
	if s == nil {
		return errors.New("not running")
	}
	return s.ready()
}

// session opens a session and works in it until ctx is done or the session ends.
func (r *Runner) session(ctx context.Context) error {
	facts, err := r.facts(ctx)
	if err != nil {
		return err
	}
	// Whatever this identity left open is ended before the group is joined:
	// otherwise its offsets would stay unstable until the transaction times out.
	id, err := r.reads.settle(ctx, r.identity(), transactionTimeout)
	if err != nil {
		return err
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := r.open(work, facts, id, r.kept)
	r.kept = nil
	if err != nil {
		return err
	}
	r.current.Store(s)
	s.wg.Go(func() { s.observe(work) })
	if r.snapshots() {
		s.wg.Go(func() { s.snapshotLoop(work, facts) })
	}
	// The open transaction is finished, but a drain must end even with the brokers gone.
	last, force := context.WithCancel(context.WithoutCancel(ctx))
	defer force()
	forced := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(r.cfg.Drain, func() { force(); s.cl.Close() })
		<-s.closed
		t.Stop()
	})
	err = s.work(work, last)
	if errors.Is(err, errReopen) && ctx.Err() == nil {
		if taken := s.identityTaken(ctx); taken != nil {
			err = taken
		} else if s.unknown {
			r.kept = s.resolve(ctx, facts)
		}
	}
	var owned []*partition // closing forgets which they are
	if err == nil && r.snapshots() {
		owned = s.owned()
	}
	cancel()
	close(s.closed)
	forced()
	s.cl.Close()
	s.wg.Wait()
	r.current.Store(nil)
	s.lastSnapshots(ctx, facts, owned)
	s.forget()
	return err
}

// facts reads what the cluster says of the topics and refuses those that cannot
// serve.
func (r *Runner) facts(ctx context.Context) (logFacts, error) {
	var (
		f   logFacts
		err error
	)
	if f.input, err = r.reads.meta(ctx, true, r.cfg.Input); err != nil {
		return f, err
	}
	if f.state, err = r.reads.meta(ctx, true, r.cfg.State); err != nil {
		return f, err
	}
	if in, st := len(f.input.leaders), len(f.state.leaders); in != st {
		return f, fmt.Errorf("%w: %s has %d partitions, %s has %d", ErrStop, r.cfg.Input, in, r.cfg.State, st)
	}
	if f.implicit, err = r.reads.implicit(ctx); err != nil || r.cfg.AnyTimestamp {
		return f, err
	}
	configs, err := kadm.NewClient(r.reads.cl).DescribeTopicConfigs(ctx, r.cfg.Input)
	if err != nil {
		return f, fmt.Errorf("reading configuration of %s: %w", r.cfg.Input, err)
	}
	rc, err := configs.On(r.cfg.Input, nil)
	if err == nil {
		err = rc.Err
	}
	if err != nil {
		return f, fmt.Errorf("reading configuration of %s: %w", r.cfg.Input, err)
	}
	for _, c := range rc.Configs {
		if c.Key == "message.timestamp.type" && c.MaybeValue() != "LogAppendTime" {
			return f, fmt.Errorf("%w: %s has message.timestamp.type %s, ledger time is LogAppendTime", ErrStop, r.cfg.Input, c.MaybeValue())
		}
	}
	return f, nil
}
