package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	commitEvery = 200 * time.Millisecond
	// revokeWait bounds how long a revocation waits for the record under way.
	revokeWait = 10 * time.Second
	commitWait = 5 * time.Second
)

// A Worker is the at-least-once worker: it hands each partition's records in order
// to a handler, waits until the outputs are acked, and only then commits the
// offset.
type Worker struct {
	cfg     WorkerConfig
	codec   kgo.CompressionCodec
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time
	current atomic.Pointer[consumer]
	broken  atomic.Pointer[error]
}

// NewWorker checks the configuration and starts nothing.
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	var faults []error
	need := func(ok bool, what string) {
		if !ok {
			faults = append(faults, errors.New(what))
		}
	}
	need(cfg.Group != "", "no group")
	need(len(cfg.Topics) > 0, "no topics")
	need(cfg.Dead != nil, "no dead letters")
	need((cfg.Handle == nil) != (cfg.Batch == nil), "exactly one of Handle and Batch must be set")
	need(cfg.Check == nil || cfg.CheckEvery > 0, "Check needs CheckEvery")
	if err := cfg.Validate(); err != nil {
		faults = append(faults, err)
	}
	codec, err := cfg.Compression.codec()
	if err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("configuring worker of group %q: %w", cfg.Group, err)
	}
	if cfg.MaxRecords <= 0 {
		cfg.MaxRecords = defaultMaxRecords
	}
	if cfg.Drain <= 0 {
		cfg.Drain = defaultDrain
	}
	return &Worker{
		cfg:     cfg.resolved(),
		codec:   codec,
		log:     cfg.logger().With(slog.String("group", cfg.Group)),
		metrics: newMetrics(cfg.Metrics, cfg.Group),
		now:     time.Now, //nolint:forbidigo // durations and lag; nothing is decided by it
	}, nil
}

// Ready is nil when the worker has joined its group and every partition it owns
// has found its start.
func (w *Worker) Ready() error {
	if err := w.broken.Load(); err != nil {
		return *err
	}
	c := w.current.Load()
	if c == nil {
		return errors.New("not running")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.joined {
		return errors.New("not joined")
	}
	if n := c.unstarted(); n > 0 {
		return fmt.Errorf("starting %d partitions", n)
	}
	return nil
}

// Run works until ctx is done, then finishes the records under way, commits, and
// returns nil.
func (w *Worker) Run(ctx context.Context) error {
	err := w.run(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrStop) {
		w.log.Warn("stopping", slog.Any("error", err))
		return nil
	}
	if err != nil {
		w.broken.Store(&err)
	}
	return err
}

func (w *Worker) run(ctx context.Context) error {
	reads, err := NewRestoreReads(w.cfg.Config)
	if err != nil {
		return err
	}
	defer reads.Close()
	for _, topic := range w.cfg.Topics {
		if _, err := reads.meta(ctx, true, topic); err != nil {
			return err
		}
	}
	// Handlers outlive ctx by the drain.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c, err := w.open(work, reads)
	if err != nil {
		return err
	}
	w.current.Store(c)
	background, stop := context.WithCancel(ctx)
	c.wg.Go(func() { c.observe(background) })
	c.wg.Go(func() { c.commitLoop(background) })
	err = c.work(ctx)
	stop()
	c.drain(w.cfg.Drain)
	cancel()
	c.cl.Close()
	c.wg.Wait()
	w.current.Store(nil)
	return err
}

// consumer is the worker's client and the partitions it owns.
type consumer struct {
	w     *Worker
	cl    *kgo.Client
	reads *RestoreReads
	wg    sync.WaitGroup

	mu      sync.Mutex
	parts   map[topicPartition]*workPart
	started []*workPart // to be taken up, or rewound
	fault   error
	joined  bool
	wake    context.CancelFunc

	commitMu sync.Mutex // one commit at a time
}

type topicPartition struct {
	topic string
	id    int32
}

func (w *Worker) open(ctx context.Context, reads *RestoreReads) (*consumer, error) {
	c := &consumer{w: w, reads: reads, parts: map[topicPartition]*workPart{}}
	cfg := &w.cfg
	isolation := kgo.ReadUncommitted()
	if cfg.ReadCommitted {
		isolation = kgo.ReadCommitted()
	}
	opts, err := cfg.options(
		kgo.RecordPartitioner(partitioner(func(topic string) bool { return slices.Contains(cfg.OwnPartition, topic) })),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(w.codec),

		kgo.ConsumerGroup(cfg.Group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.ConsumeTopics(cfg.Topics...),
		kgo.ConsumeStartOffset(kgo.NoResetOffset()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(isolation),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(c.onAssigned),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { c.onGone(m, true) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { c.onGone(m, false) }),
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, m map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			c.onFetched(ctx, m)
			return m, nil
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("opening consumer: %w", err)
	}
	if cfg.Instance != "" {
		opts = append(opts, kgo.InstanceID(cfg.Group+"-"+cfg.Instance))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("opening consumer: %w", err)
	}
	c.cl = cl
	return c, nil
}

func (c *consumer) onAssigned(_ context.Context, cl *kgo.Client, added map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined = true
	for topic, ids := range added {
		for _, id := range ids {
			tp := topicPartition{topic, id}
			c.parts[tp] = &workPart{c: c, topicPartition: tp, signal: make(chan struct{}, 1), finished: make(chan struct{}), committed: -1}
		}
	}
	if len(added) > 0 {
		cl.PauseFetchPartitions(added)
	}
	c.gauges()
}

// onFetched is told the group's offsets; where each partition starts is found in
// the background, with the partition paused.
func (c *consumer) onFetched(ctx context.Context, m map[string]map[int32]kgo.Offset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, offsets := range m {
		for id, off := range offsets {
			at := off.EpochOffset().Offset
			known := at >= 0
			switch {
			case !known:
				at = 0
				offsets[id] = kgo.NewOffset().At(0)
			case c.w.cfg.Start != nil:
				// An epoch would be checked first, and the start it is given then be
				// overwritten.
				offsets[id] = kgo.NewOffset().At(at)
			}
			p := c.parts[topicPartition{topic, id}]
			if p == nil || p.phase != assigned {
				continue
			}
			p.phase, p.fetched = restoring, at
			if known {
				p.committed = at
			}
			pctx, cancel := context.WithCancel(ctx)
			p.cancel = cancel
			c.wg.Go(func() {
				defer cancel()
				defer close(p.finished)
				p.run(pctx, known)
			})
		}
	}
}

// onGone stops the work on partitions, commits what is done if they are still
// ours, and tells the service.
func (c *consumer) onGone(m map[string][]int32, ours bool) {
	var gone []*workPart
	c.mu.Lock()
	for topic, ids := range m {
		for _, id := range ids {
			if p := c.parts[topicPartition{topic, id}]; p != nil {
				gone = append(gone, p)
				delete(c.parts, p.topicPartition)
				p.stop()
			}
		}
	}
	c.gauges()
	c.mu.Unlock()
	t := time.NewTimer(revokeWait)
	defer t.Stop()
	for _, p := range gone {
		if !p.ran() {
			continue
		}
		select {
		case <-p.finished:
		case <-t.C:
			t.Reset(0)
		}
	}
	if ours {
		ctx, cancel := context.WithTimeout(context.Background(), commitWait)
		defer cancel()
		c.commit(ctx, gone)
	}
	for _, p := range gone {
		c.w.metrics.unowned(p.topic, p.id)
		if c.w.cfg.Lost != nil {
			c.w.cfg.Lost(p.topic, p.id)
		}
	}
}

func (c *consumer) armed(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = cancel
	if c.fault != nil || len(c.started) > 0 {
		cancel()
	}
	return ctx
}

// poke wakes the loop from its poll; mu is held.
func (c *consumer) poke() {
	if c.wake != nil {
		c.wake()
	}
}

func (c *consumer) work(ctx context.Context) error {
	poll := c.armed(ctx)
	for ctx.Err() == nil {
		if poll.Err() != nil {
			c.mu.Lock()
			fault, started := c.fault, c.started
			c.started = nil
			c.mu.Unlock()
			if fault != nil {
				return fault
			}
			for _, p := range started {
				c.takeUp(p)
			}
			poll = c.armed(ctx) //nolint:fatcontext // of ctx anew, not of the last one
		}
		fs := c.cl.PollRecords(poll, c.w.cfg.MaxRecords)
		var fault error
		fs.EachError(func(topic string, partition int32, err error) {
			f := fetchFault(topic, partition, err)
			switch {
			case f != nil && fault == nil:
				fault = f
			case !errors.Is(err, context.Canceled):
				c.w.log.Warn("poll reported", slog.String("topic", topic), slog.Int("partition", int(partition)), slog.Any("error", err))
			}
		})
		if fault != nil {
			return fault
		}
		fs.EachPartition(func(fp kgo.FetchTopicPartition) {
			if len(fp.Records) > 0 {
				c.enqueue(&fp)
			}
		})
	}
	return nil
}

// takeUp begins work on a partition at its start, or goes back to where it was
// asked to.
func (c *consumer) takeUp(p *workPart) {
	c.mu.Lock()
	start, fetched, first := p.start, p.fetched, p.phase == restoring
	gone := p.gone
	c.mu.Unlock()
	if gone {
		return
	}
	if !first || start != fetched {
		c.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.topic: {p.id: {Epoch: -1, Offset: start}}})
		if got, ok := c.cl.CommittedOffsets()[p.topic][p.id]; !ok || got.Offset != start {
			// The client has not yet taken the partition up itself.
			c.mu.Lock()
			c.started = append(c.started, p)
			c.mu.Unlock()
			time.AfterFunc(5*time.Millisecond, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.poke()
			})
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.gone {
		return
	}
	p.phase, p.queue, p.full = active, nil, false
	p.done, p.epoch = start, -1
	p.lag.next.Store(start)
	c.cl.ResumeFetchPartitions(map[string][]int32{p.topic: {p.id}})
	c.gauges()
}

// enqueue hands records to their partition, and holds the partition back when it
// has more than it can work on soon.
func (c *consumer) enqueue(fp *kgo.FetchTopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.parts[topicPartition{fp.Topic, fp.Partition}]
	if p == nil || p.phase != active {
		return // read again from where it starts
	}
	p.queue = append(p.queue, fp.Records...)
	p.end = max(p.end, fp.HighWatermark)
	if !p.full && len(p.queue) >= 2*c.w.cfg.MaxRecords {
		p.full = true
		c.cl.PauseFetchPartitions(map[string][]int32{p.topic: {p.id}})
	}
	p.notify()
}

// commitLoop commits what is done, over and over.
func (c *consumer) commitLoop(ctx context.Context) {
	for {
		pause(ctx, commitEvery)
		if ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		parts := slices.Collect(maps.Values(c.parts))
		c.mu.Unlock()
		// Not cancelled by a stop: a commit under way is let finish.
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWait)
		c.commit(cctx, parts)
		cancel()
	}
}

func (c *consumer) commit(ctx context.Context, parts []*workPart) {
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	offs := map[string]map[int32]kgo.EpochOffset{}
	at := map[*workPart]int64{}
	c.mu.Lock()
	for _, p := range parts {
		if p.doneSet && p.done != p.committed {
			if offs[p.topic] == nil {
				offs[p.topic] = map[int32]kgo.EpochOffset{}
			}
			offs[p.topic][p.id] = kgo.EpochOffset{Epoch: p.epoch, Offset: p.done}
			at[p] = p.done
		}
	}
	c.mu.Unlock()
	if len(offs) == 0 {
		return
	}
	err := c.commitOffsets(ctx, offs)
	if err != nil {
		c.w.metrics.aborts.WithLabelValues("commit").Inc()
		c.w.log.Warn("committing offsets failed, trying again", slog.Any("error", err))
		return
	}
	c.w.metrics.commits.Inc()
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, off := range at {
		p.committed = off
	}
}

func (c *consumer) commitOffsets(ctx context.Context, offs map[string]map[int32]kgo.EpochOffset) error {
	var faults []error
	c.cl.CommitOffsetsSync(ctx, offs, commitResult(&faults))
	return errors.Join(faults...)
}

// observe keeps the lag gauges true also when nothing flows.
func (c *consumer) observe(ctx context.Context) {
	for {
		pause(ctx, lagEvery)
		if ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		parts := slices.Collect(maps.Values(c.parts))
		c.mu.Unlock()
		for _, p := range parts {
			end, err := c.reads.HighWatermark(ctx, p.topic, p.id)
			if err != nil {
				if !kerr.IsRetriable(err) && ctx.Err() == nil {
					c.w.log.Debug("reading end of partition", slog.String("topic", p.topic), slog.Any("error", err))
				}
				continue
			}
			now := c.w.now()
			p.lag.seen(end, now)
			records, seconds := p.lag.read(now)
			c.mu.Lock()
			if !p.gone {
				c.w.metrics.lag(p.topic, p.id, records, seconds)
			}
			c.mu.Unlock()
		}
	}
}

// drain lets the records under way finish and commits what is done.
func (c *consumer) drain(limit time.Duration) {
	c.mu.Lock()
	parts := slices.Collect(maps.Values(c.parts))
	for _, p := range parts {
		p.stopping = true
		p.notify()
	}
	c.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	for _, p := range parts {
		if !p.ran() {
			continue
		}
		select {
		case <-p.finished:
		case <-t.C:
			t.Reset(0)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitWait)
	defer cancel()
	c.commit(ctx, parts)
}

func (c *consumer) unstarted() int {
	n := 0
	for _, p := range c.parts {
		if p.phase != active {
			n++
		}
	}
	return n
}

func (c *consumer) gauges() {
	c.w.metrics.owned.Set(float64(len(c.parts)))
	c.w.metrics.restoring.Set(float64(c.unstarted()))
}
