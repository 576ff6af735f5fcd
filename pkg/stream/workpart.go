package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// codeTooLarge marks dead letters of records whose outputs the log refuses.
const codeTooLarge = "output_too_large"

// workPart is a partition a worker owns. One goroutine works on it.
type workPart struct {
	topicPartition
	c        *consumer
	signal   chan struct{} // something to look at
	finished chan struct{}
	checks   <-chan time.Time // when Check is due; the goroutine's own
	lag      lag

	// guarded by the consumer's mu
	phase     phase
	fetched   int64
	start     int64 // where to begin, or to go back to
	cancel    context.CancelFunc
	gone      bool
	stopping  bool
	full      bool // paused until the queue is shorter
	queue     []*Record
	end       int64
	done      int64 // next offset not worked off
	doneSet   bool
	epoch     int32 // of the last record worked off, -1 for none
	committed int64
}

func (p *workPart) notify() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// stop ends the work at once; mu is held.
func (p *workPart) stop() {
	p.gone, p.stopping = true, true
	if p.cancel != nil {
		p.cancel()
	}
	p.notify()
}

// ran reports whether the partition's goroutine was started.
func (p *workPart) ran() bool {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.phase != assigned
}

// run finds the partition's start and works on it until it is taken away.
func (p *workPart) run(ctx context.Context, hasOffset bool) {
	start, err := p.findStart(ctx, hasOffset)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.fail(err)
		return
	}
	p.goTo(restoring, start)
	if p.c.w.cfg.Check != nil {
		t := time.NewTicker(p.c.w.cfg.CheckEvery)
		defer t.Stop()
		p.checks = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.checks:
			p.check(ctx)
		case <-p.signal:
		}
		recs, stopping := p.next()
		if stopping {
			return
		}
		if len(recs) > 0 {
			p.work(ctx, recs)
			p.notify() // for more, by way of the select: a check comes in between
		}
	}
}

// findStart is the service's word, else the group's offset, else the log's start
// where that is 0 (§3).
func (p *workPart) findStart(ctx context.Context, hasOffset bool) (int64, error) {
	w := p.c.w
	for n := 1; ; n++ {
		var (
			start = p.fetched
			err   error
		)
		if w.cfg.Start != nil {
			start, err = w.cfg.Start(ctx, p.topic, p.id)
		} else if !hasOffset {
			var first int64
			if first, err = p.c.reads.LogStart(ctx, p.topic, p.id); err == nil && first != 0 {
				return 0, fmt.Errorf("%w: group %s has no offset for %s partition %d, and the log starts at %d", ErrStop, w.cfg.Group, p.topic, p.id, first)
			}
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrStop) {
			return start, err
		}
		w.log.Warn("finding start failed, trying again", slog.String("topic", p.topic), slog.Int("partition", int(p.id)), slog.Any("error", err))
		pause(ctx, backoff(n+4))
	}
}

// goTo asks the loop to go on at an offset; until it has, records are dropped.
func (p *workPart) goTo(ph phase, start int64) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.phase, p.start = ph, start
	p.queue = nil
	if ph == rewinding { // also for whoever has the partition next, should it come to that
		p.done, p.doneSet, p.epoch = start, true, -1
	}
	p.c.started = append(p.c.started, p)
	p.c.poke()
}

func (p *workPart) fail(err error) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.c.fault == nil {
		p.c.fault = err
	}
	p.stopping = true // what is behind it must not be committed
	p.c.poke()
}

// check reports whether the work under way is to end.
func (p *workPart) check(ctx context.Context) bool {
	p.c.mu.Lock()
	idle := p.phase != active
	p.c.mu.Unlock()
	if idle {
		return false
	}
	err := p.call(func() error { return p.c.w.cfg.Check(ctx, p.topic, p.id) })
	switch {
	case err == nil || ctx.Err() != nil:
	case p.decided(err):
		return true
	default:
		p.c.w.log.Warn("check failed", slog.String("topic", p.topic), slog.Int("partition", int(p.id)), slog.Any("error", err))
	}
	return false
}

// decided acts on errors that say what to do: a rewind, a stop.
func (p *workPart) decided(err error) bool {
	var back Rewind
	switch {
	case errors.As(err, &back):
		p.c.w.metrics.aborts.WithLabelValues("rewind").Inc()
		p.c.w.log.Info("going back", slog.String("topic", p.topic), slog.Int("partition", int(p.id)), slog.Int64("offset", back.Offset))
		p.goTo(rewinding, back.Offset)
		return true
	case errors.Is(err, ErrStop):
		p.c.w.metrics.aborts.WithLabelValues("stop").Inc()
		p.fail(fmt.Errorf("%s partition %d: %w", p.topic, p.id, err))
		return true
	}
	return false
}

// next takes records from the queue.
func (p *workPart) next() (recs []*Record, stopping bool) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.stopping {
		return nil, true
	}
	if p.phase != active {
		return nil, false
	}
	n := min(len(p.queue), p.c.w.cfg.MaxRecords)
	recs = p.queue[:n:n]
	p.queue = p.queue[n:]
	if len(p.queue) == 0 {
		p.queue = nil
	}
	if p.full && len(p.queue) < p.c.w.cfg.MaxRecords {
		p.full = false
		p.c.cl.ResumeFetchPartitions(map[string][]int32{p.topic: {p.id}})
	}
	return recs, false
}

// work works off records in order, trying again until all are done or the
// partition is taken away, stopped or rewound.
func (p *workPart) work(ctx context.Context, recs []*Record) {
	cfg := &p.c.w.cfg
	panics := 0
	for failed := 0; len(recs) > 0; {
		var (
			n   int
			err error
		)
		if cfg.Batch != nil {
			n, err = p.batch(ctx, recs)
		} else {
			n, err = p.each(ctx, recs)
		}
		if n > 0 {
			p.finish(recs[:n])
			recs = recs[n:]
			failed, panics = 0, 0
		}
		if err == nil && !p.interrupted() {
			continue
		}
		if err == nil || ctx.Err() != nil || p.decided(err) {
			return
		}
		var crash *panicked
		if errors.As(err, &crash) {
			panics++
		}
		if panics >= divertAfter {
			panics = 0
			if err := p.deadLetter(ctx, recs[0], codeDiverted, crash.Error()); err == nil {
				p.finish(recs[:1])
				recs = recs[1:]
				continue
			}
		}
		failed++
		p.c.w.metrics.aborts.WithLabelValues("handler").Inc()
		p.c.w.log.Warn("record failed, trying again", slog.String("topic", p.topic), slog.Int("partition", int(p.id)),
			slog.Int64("offset", recs[0].Offset), slog.Int("attempt", failed), slog.Any("error", err))
		if p.halted(ctx, backoff(failed+2)) {
			return
		}
	}
}

// halted waits, with a check that is due in between: what it finds may be why a record
// fails. It reports whether the work is to end.
func (p *workPart) halted(ctx context.Context, d time.Duration) bool {
	pause(ctx, d)
	select {
	case <-p.checks:
		if p.check(ctx) {
			return true
		}
	default:
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return ctx.Err() != nil || p.stopping
}

// finish notes that records are worked off: their outputs are acked.
func (p *workPart) finish(recs []*Record) {
	last := recs[len(recs)-1]
	p.c.mu.Lock()
	p.done, p.doneSet, p.epoch = last.Offset+1, true, last.LeaderEpoch
	end := p.end
	p.c.mu.Unlock()
	p.lag.done(last.Offset+1, end, last.Timestamp)
	p.c.w.metrics.records.Add(float64(len(recs)))
}

// each hands records to Handle one by one; the outputs of many are on their way at
// once. It returns how many are worked off.
func (p *workPart) each(ctx context.Context, recs []*Record) (int, error) {
	w := p.c.w
	var s sending
	var stop error
	n := 0
	for i, rec := range recs {
		var outs []*Record
		err := p.call(func() (err error) {
			outs, err = w.cfg.Handle(ctx, rec)
			return err
		})
		if rej, ok := errors.AsType[*Rejection](err); ok {
			var dead *Record
			if dead, err = p.dead(rec, rej.Code, rej.err.Error()); err == nil {
				outs = []*Record{dead}
			}
		}
		if err != nil {
			stop = err
			break
		}
		s.send(p.c.cl, i, outs)
		n++
		if p.interrupted() {
			break
		}
	}
	if err := s.wait(ctx); err != nil {
		return 0, err
	}
	for _, i := range slices.Sorted(maps.Keys(s.failed)) {
		err := s.failed[i]
		if errors.Is(err, kerr.MessageTooLarge) {
			err = p.deadLetter(ctx, recs[i], codeTooLarge, err.Error())
		}
		if err != nil {
			return i, err
		}
	}
	return n, stop
}

// interrupted reports whether the work should end after this record.
func (p *workPart) interrupted() bool {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.stopping
}

// batch hands records to Batch. Where it rejects several, panics over them, or makes of
// them what the log refuses, they are handed over one by one, so that only the one at
// fault is lost to the dead letters.
func (p *workPart) batch(ctx context.Context, recs []*Record) (int, error) {
	w := p.c.w
	var outs []*Record
	err := p.call(func() (err error) {
		outs, err = w.cfg.Batch(ctx, recs)
		return err
	})
	var (
		rej   *Rejection
		crash *panicked
	)
	switch {
	case (errors.As(err, &rej) || errors.As(err, &crash)) && len(recs) > 1:
		return p.singly(ctx, recs)
	case rej != nil:
		var dead *Record
		if dead, err = p.dead(recs[0], rej.Code, rej.err.Error()); err == nil {
			outs = []*Record{dead}
		}
	}
	if err != nil {
		return 0, err
	}
	var s sending
	s.send(p.c.cl, 0, outs)
	err = s.one(ctx)
	if errors.Is(err, kerr.MessageTooLarge) {
		if len(recs) > 1 {
			return p.singly(ctx, recs)
		}
		err = p.deadLetter(ctx, recs[0], codeTooLarge, err.Error())
	}
	if err != nil {
		return 0, err
	}
	return len(recs), nil
}

// singly hands records to Batch one by one. It returns how many are worked off.
func (p *workPart) singly(ctx context.Context, recs []*Record) (int, error) {
	for i := range recs {
		if n, err := p.batch(ctx, recs[i:i+1]); n == 0 {
			return i, err
		}
	}
	return len(recs), nil
}

func (p *workPart) dead(rec *Record, code, reason string) (*Record, error) {
	out, err := p.c.w.cfg.Dead(DeadLetter{Record: rec, Code: code, Reason: reason})
	if err == nil && out == nil {
		err = errors.New("no record")
	}
	if err != nil {
		return nil, fmt.Errorf("making dead letter: %w", err)
	}
	p.c.w.metrics.dead.WithLabelValues(code).Inc()
	return out, nil
}

// deadLetter sends a record to the dead letters and waits for the ack.
func (p *workPart) deadLetter(ctx context.Context, rec *Record, code, reason string) error {
	out, err := p.dead(rec, code, reason)
	if err != nil {
		return err
	}
	var s sending
	s.send(p.c.cl, 0, []*Record{out})
	return s.one(ctx)
}

// panicked is a panic of the service's code.
type panicked struct {
	value any
	stack []byte
}

func (e *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func (p *workPart) call(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	return f()
}

// sending waits for the acks of outputs and knows whose they are.
type sending struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	failed map[int]error // by input
}

// send hands outputs to the client. The context is never cancelled: a cancelled
// produce may ack what was not written.
func (s *sending) send(cl *kgo.Client, input int, outs []*Record) {
	if len(outs) == 0 {
		return
	}
	s.wg.Add(len(outs))
	promise := func(rec *Record, err error) {
		if err != nil {
			s.mu.Lock()
			if s.failed == nil {
				s.failed = map[int]error{}
			}
			s.failed[input] = fmt.Errorf("writing to %s: %w", rec.Topic, err)
			s.mu.Unlock()
		}
		s.wg.Done()
	}
	for _, out := range outs {
		cl.Produce(context.Background(), out, promise)
	}
}

// wait returns when all is acked or has failed; an error says that ctx ended first
// and nothing is known.
func (s *sending) wait(ctx context.Context) error {
	all := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for acks: %w", ctx.Err())
	}
}

// one waits for the outputs of input 0.
func (s *sending) one(ctx context.Context) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.failed[0]
}

// commitResult collects what a commit's answer says went wrong.
func commitResult(faults *[]error) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			*faults = append(*faults, err)
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					*faults = append(*faults, fmt.Errorf("%s partition %d: %w", t.Topic, p.Partition, err))
				}
			}
		}
	}
}
