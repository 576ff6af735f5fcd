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
	"unsafe"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// txn is the open transaction and the memory it reuses from one to the next.
type txn struct {
	s     *session
	parts []*partition // with records, in order of appearance
	dirty []touched    // groups, in order of first touch
	input [][]*Record  // what was polled

	near   []*State // groups to come
	warmed int      // means nothing; see Warmer

	letters []string // codes of the dead letters among its outputs

	began   time.Time
	ending  time.Duration // what the last commit took, from the last record on
	records int
	noops   int
	fault   *fault

	slab    slab
	cur     *partition // whose record is being worked on
	curOff  int64
	shared  bool // what is emitted is not of that record alone
	emit    func(*Record)
	promise func(*Record, error)

	mu       sync.Mutex // guards what promises write
	failed   error      // of the first output that failed
	tooLarge *Record    // the largest output that was too large
}

type touched struct {
	p  *partition
	st *State
}

// fault is why a transaction cannot commit.
type fault struct {
	cause  string // label of the abort counter
	part   int32
	offset int64 // of the record to blame
	blame  bool
	shared bool // others of the transaction, before it, may be to blame
	err    error
}

func (t *txn) init(s *session) {
	t.s = s
	t.emit = t.output
	t.promise = func(rec *Record, err error) {
		if err == nil {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if errors.Is(err, kerr.MessageTooLarge) && (t.tooLarge == nil || len(rec.Value) > len(t.tooLarge.Value)) {
			t.tooLarge = rec
		}
		if t.failed == nil {
			t.failed = err
		}
	}
}

// batch bounds a transaction.
type batch struct {
	poll   int           // records of one poll
	most   int           // records in all
	during time.Duration // time in all
	full   func() bool   // asked after each poll; nil is never
}

// transact polls until there is a record, and then works until the batch is full,
// in one transaction. With nothing to read there is none.
func (s *session) transact(ctx, poll context.Context, b batch) error {
	fs := s.gts.PollRecords(poll, b.poll)
	if err := s.pollFault(fs); err != nil || fs.NumRecords() == 0 {
		return err
	}
	if err := s.gts.Begin(); err != nil {
		return fmt.Errorf("%w: beginning a transaction: %w", errReopen, err)
	}
	Crash("begun")
	t := &s.txn
	t.start(s.r.now())
	until, cancel := context.WithDeadline(poll, t.began.Add(b.during))
	defer cancel()
	for {
		fs.EachPartition(func(fp kgo.FetchTopicPartition) {
			if t.fault == nil && len(fp.Records) > 0 {
				t.input = append(t.input, fp.Records)
				s.take(&fp)
			}
		})
		// Never a cancelled poll here: it would hand out nothing while records
		// wait, and the deadline decides below.
		if t.fault != nil || t.records+t.noops >= b.most || b.full != nil && b.full() || until.Err() != nil {
			break
		}
		fs = s.gts.PollRecords(until, min(b.poll, b.most-t.records-t.noops))
		if err := s.pollFault(fs); err != nil {
			t.fault = &fault{cause: "poll", err: err}
		}
	}
	return s.finish(ctx)
}

func (s *session) pollFault(fs kgo.Fetches) error {
	var fault error
	fs.EachError(func(topic string, partition int32, err error) {
		f := fetchFault(topic, partition, err)
		switch {
		case f != nil && (fault == nil || errors.Is(f, ErrStop)):
			fault = f
		case !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
			s.r.log.Warn("poll reported", slog.String("topic", topic), slog.Int("partition", int(partition)), slog.Any("error", err))
		}
	})
	if errors.Is(fault, kgo.ErrClientClosed) {
		return fmt.Errorf("%w: %w", errReopen, fault)
	}
	return fault
}

func (t *txn) start(now time.Time) {
	t.began, t.records, t.noops, t.fault = now, 0, 0, nil
	t.parts, t.dirty, t.letters = t.parts[:0], t.dirty[:0], t.letters[:0]
	clear(t.input) // of a transaction that did not commit: the collector's
	t.input = t.input[:0]
	t.slab.reset()
	t.failed, t.tooLarge, t.shared = nil, nil, false
}

// take works on the records of one partition.
func (s *session) take(fp *kgo.FetchTopicPartition) {
	t := &s.txn
	p := s.working(fp.Partition)
	if p == nil {
		t.fault = &fault{cause: "not_owned", err: fmt.Errorf("record of partition %d, which is not worked on", fp.Partition)}
		return
	}
	if !p.open {
		p.open, p.begin, p.last = true, p.pos, nil
		p.staged = p.header
		t.parts = append(t.parts, p)
	}
	p.end = max(p.end, fp.HighWatermark)
	t.cur = p
	if err := p.doubt(fp.Records); err != nil {
		t.fault = &fault{cause: "gap", part: p.id, err: err}
		return
	}
	for i, rec := range fp.Records {
		t.comes(p, i, fp.Records[i:])
		if t.fault = s.one(p, rec); t.fault != nil {
			return
		}
	}
}

// doubt is an error where records leave a gap that no reading before has left just so:
// either the log holds nothing in between, or the client skipped some. A second reading
// tells: it is believed only when it agrees. All gaps are noted at once, so that each
// costs no reading of its own.
func (p *partition) doubt(recs []*Record) (err error) {
	pos := p.pos
	for _, rec := range recs {
		if rec.Offset > pos {
			if to, met := p.gaps[pos]; !met || to != rec.Offset {
				if p.gaps == nil {
					p.gaps = map[int64]int64{}
				}
				p.gaps[pos] = rec.Offset
				if err == nil {
					err = fmt.Errorf("expected offset %d, got %d", pos, rec.Offset)
				}
			}
		}
		pos = rec.Offset + 1
	}
	return err
}

// one works on one record.
func (s *session) one(p *partition, rec *Record) *fault {
	t := &s.txn
	if rec.Offset > p.pos { // twice
		s.r.metrics.gaps.Inc()
		s.r.log.Warn("gap in the input", slog.Int("partition", int(p.id)), slog.Int64("from", p.pos), slog.Int64("to", rec.Offset))
	}
	alone := false
	if q := s.suspect; q != nil && q.part == p.id && q.offset == rec.Offset {
		if !q.alone {
			q.after = p.pos
			return &fault{cause: "isolate", part: p.id, err: errors.New("record is to be taken alone")}
		}
		alone = q.divert != undiverted
	}
	before := p.pos
	p.pos, p.last = rec.Offset+1, rec
	if rec.Offset <= p.staged.AppliedThrough { // §4: any rewind or replay is harmless
		t.noops++
		return nil
	}
	t.records++
	t.curOff = rec.Offset
	var f *fault
	if alone {
		f = s.divertTo(p, rec)
	} else {
		f = s.step(p, rec, nil)
	}
	if f != nil {
		p.pos = before
		return f
	}
	p.staged.AppliedThrough = rec.Offset
	return nil
}

// step runs the processor on a record, or its Diverter where why is set. What a failed
// call did is taken back.
func (s *session) step(p *partition, rec *Record, why error) *fault {
	t := &s.txn
	group, err := s.groupOf(rec)
	var st *State
	if err == nil {
		st = p.store.get(group)
		if p.store.touch(st) {
			t.dirty = append(t.dirty, touched{p, st})
		}
		policy := p.staged.PolicyVersion
		st.over.inStep = true
		err = s.call(func() error {
			in := Input{Record: rec, Lineage: p.staged.Lineage, Header: &p.staged}
			if why != nil {
				return s.divert(in, st, why)
			}
			return s.r.cfg.Processor.Step(in, st, t.emit)
		})
		st.over.inStep = false
		if err == nil {
			st.over.undo = st.over.undo[:0]
			if !st.over.kept {
				st.over.first = rec.Offset
			}
			st.over.kept, st.over.last = true, rec.Offset
			s.produce()
			Crash("stepped")
			return nil
		}
		st.over.rollback()
		p.staged.PolicyVersion = policy
	}
	t.slab.back()
	if errors.Is(err, ErrNoop) {
		t.noops++
		t.records--
		return nil
	}
	rej, rejected := errors.AsType[*Rejection](err)
	if rejected || why != nil && !errors.Is(err, ErrStop) {
		if st != nil && !st.over.kept {
			// Nothing of this transaction hangs on the object, so the promise
			// of the failed Step not to have touched it need not be relied on.
			st.SetObject(nil)
		}
		if why != nil {
			return s.divertToLetters(p, rec)
		}
		return s.deadLetter(p, rec, rej.Code, rej.err.Error())
	}
	return &fault{cause: "step", part: p.id, offset: rec.Offset, blame: true, err: err}
}

func (s *session) groupOf(rec *Record) (group string, err error) {
	err = s.call(func() error {
		group, err = s.r.cfg.Processor.Group(rec)
		return err
	})
	return group, err
}

// call makes a panic of the processor an error of the record it worked on.
func (s *session) call(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

// deadLetter sends a record to the dead letters within the transaction.
func (s *session) deadLetter(p *partition, rec *Record, code, reason string) *fault {
	t := &s.txn
	out, err := s.r.cfg.Dead(DeadLetter{Record: rec, Code: code, Reason: reason})
	if err == nil && out == nil {
		err = errors.New("no record")
	}
	if err != nil {
		t.slab.back()
		return &fault{cause: "dead_letter", part: p.id, offset: rec.Offset, blame: true, err: fmt.Errorf("making dead letter: %w", err)}
	}
	t.letters = append(t.letters, code)
	t.output(out)
	s.produce()
	return nil
}

// output takes an output of the processor over: a copy of the record, with the
// partition of its input (§2).
func (t *txn) output(rec *Record) {
	o := t.slab.next()
	o.rec = *rec
	o.rec.Context = nil //nolint:fatcontext // the client sets its own
	o.rec.Timestamp = t.began
	o.part, o.offset, o.shared = t.cur.id, t.curOff, t.shared
	if !t.s.ownPartition(rec.Topic) {
		o.rec.Partition = t.cur.id
	}
}

func (s *session) ownPartition(topic string) bool {
	return slices.Contains(s.r.cfg.OwnPartition, topic)
}

// produce hands the outputs taken over since the last call to the client. The
// context is never cancelled: a cancelled produce may ack what was not written.
func (s *session) produce() {
	t := &s.txn
	for o := t.slab.unsent(); o != nil; o = t.slab.unsent() {
		s.gts.Client().Produce(context.Background(), &o.rec, t.promise)
	}
}

// flush puts what the transaction changed: once for each group in the order of
// first touch, then the headers.
func (s *session) flush() *fault {
	t := &s.txn
	cfg := &s.r.cfg
	for i, d := range t.dirty {
		t.comesAgain(i, t.dirty[i:])
		o := d.st.over
		if !o.kept {
			continue
		}
		t.cur, t.curOff, t.shared = d.p, o.last, o.first != o.last
		if err := s.call(func() error { return cfg.Processor.Flush(d.st, t.emit) }); err != nil {
			t.slab.back()
			return &fault{cause: "flush", part: d.p.id, offset: o.last, blame: !errors.Is(err, ErrStop), shared: t.shared, err: err}
		}
		for i := range o.pieces {
			pc := &o.pieces[i]
			if !d.st.changed(*pc) {
				continue
			}
			out := t.slab.next()
			out.rec = Record{Topic: cfg.State, Partition: d.p.id, Key: bytesOf(pc.key), Value: pc.value, Timestamp: t.began}
			out.part, out.offset, out.shared = d.p.id, o.last, t.shared
		}
		s.produce()
	}
	for _, p := range t.parts {
		value, err := cfg.Codec.EncodeHeader(p.staged)
		if err != nil {
			return &fault{cause: "header", part: p.id, err: fmt.Errorf("encoding header: %w", err)}
		}
		out := t.slab.next()
		out.rec = Record{Topic: cfg.State, Partition: p.id, Key: []byte(HeaderKey), Value: value, Timestamp: t.began}
		out.part, out.offset, out.shared = p.id, p.staged.AppliedThrough, false
	}
	s.produce()
	return nil
}

// bytesOf is the string's bytes without a copy; the client only reads keys.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// sent waits until every output is acked and returns why one was not.
func (s *session) sent(ctx context.Context) *fault {
	t := &s.txn
	if err := s.gts.Client().Flush(ctx); err != nil {
		return &fault{cause: "produce", err: err}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.failed == nil:
		return nil
	case t.tooLarge != nil:
		if o := t.slab.find(t.tooLarge); o != nil {
			return &fault{
				cause: "too_large", part: o.part, offset: o.offset, blame: true, shared: o.shared,
				err: fmt.Errorf("output of %d bytes for %s: %w: %w", len(o.rec.Value), o.rec.Topic, ErrTooLarge, kerr.MessageTooLarge),
			}
		}
	}
	return &fault{cause: "produce", err: t.failed}
}

// finish ends the transaction. Only a commit that is known makes what was staged
// the state (§1); an outcome that is not known is never taken for a failure (§3).
func (s *session) finish(ctx context.Context) error {
	t := &s.txn
	worked := s.r.now()
	bg := context.WithoutCancel(ctx) // finish what was begun
	f := t.fault
	if f == nil {
		Crash("all_stepped")
		f = s.flush()
	}
	s.pace()
	if f == nil {
		Crash("flushed")
		f = s.sent(bg)
	}
	if f != nil {
		_, err := s.gts.End(bg, kgo.TryAbort)
		s.discard()
		if err != nil {
			err = fmt.Errorf("%w: aborting: %w", errReopen, err)
		}
		return s.aborted(ctx, f, err)
	}
	Crash("produced")
	ok, err := s.gts.End(bg, kgo.TryCommit)
	err = answered(err)
	Crash("ended")
	switch {
	case ok && err == nil:
		s.merge()
		Crash("merged")
		t.recycle()
		t.ending = s.r.now().Sub(worked)
		return nil
	case err != nil:
		if errors.Is(err, kerr.UnknownTopicID) {
			return fmt.Errorf("%w: committing: %w", ErrStop, err)
		}
		return s.unsure(ctx, err)
	}
	if err := s.verify(bg); err != nil {
		return s.unsure(ctx, err)
	}
	s.discard()
	return s.aborted(ctx, &fault{cause: "rebalance", err: errors.New("the group rebalanced, or its offsets could not be committed")}, nil)
}

// recycle gives the memory of the records read back to the client. Nothing points
// into it any longer: what they led to is committed, and acked before that.
func (t *txn) recycle() {
	for i, recs := range t.input {
		for _, rec := range recs {
			rec.Recycle()
		}
		t.input[i] = nil
	}
	t.input = t.input[:0]
}

// unsure ends the session with what the transaction staged neither merged nor
// dropped: resolve decides.
func (s *session) unsure(ctx context.Context, err error) error {
	s.unknown = true
	s.txn.slab.abandon() // the client may still hold its records
	return s.aborted(ctx, &fault{cause: "unknown", err: err}, fmt.Errorf("%w: outcome of a commit is unknown: %w", errReopen, err))
}

// verify makes sure that a commit the client reports as aborted did abort. The
// client reports so too when the coordinator's answer said nothing of the outcome.
func (s *session) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*transactionTimeout)
	defer cancel()
	for _, p := range s.txn.parts {
		if p.gone.Load() {
			continue
		}
		off, err := s.r.reads.GroupOffset(ctx, s.r.cfg.Group, s.r.cfg.Input, p.id)
		if err != nil {
			return fmt.Errorf("reading what became of a commit: %w", err)
		}
		if off != p.committed && !p.gone.Load() {
			return fmt.Errorf("partition %d stands at %d, not at %d: the commit took effect", p.id, off, p.committed)
		}
	}
	return nil
}

// merge makes what was staged the state.
func (s *session) merge() {
	for _, d := range s.txn.dirty {
		d.p.store.settle(d.st, true)
	}
	s.txn.committed()
	s.advance()
}

// adopt is merge while the client may still hold what it was given.
func (s *session) adopt() {
	for _, d := range s.txn.dirty {
		d.p.store.adopt(d.st)
	}
	s.advance()
}

// advance takes the partitions to the end of a transaction that took effect.
func (s *session) advance() {
	t := &s.txn
	m := s.r.metrics
	for _, p := range t.parts {
		p.open = false
		p.header, p.committed = p.staged, p.pos
		maps.DeleteFunc(p.gaps, func(at, _ int64) bool { return at < p.pos })
		p.lag.done(p.pos, p.end, p.last.Timestamp)
		for off := range p.fails {
			if off < p.pos {
				delete(p.fails, off)
			}
		}
		p.store.cache.evict()
		p.last = nil
	}
	s.failures = 0
	m.commits.Inc()
	m.records.Add(float64(t.records))
	m.noops.Add(float64(t.noops))
	for _, code := range t.letters { // those of an aborted one are told again
		m.dead.WithLabelValues(code).Inc()
	}
	m.txnRecords.Observe(float64(t.records + t.noops))
	m.txnSeconds.Observe(s.r.now().Sub(t.began).Seconds())
	s.settled(true)
}

// discard drops what was staged and takes the partitions back to where the
// transaction began, as the client does.
func (s *session) discard() {
	t := &s.txn
	for _, d := range t.dirty {
		d.p.store.settle(d.st, false)
	}
	for _, p := range t.parts {
		p.open, p.last, p.pos = false, nil, p.begin
	}
	s.settled(false)
}

// settled tells the owner how the transaction has ended.
func (s *session) settled(committed bool) {
	if o, ok := s.r.cfg.Owner.(Settler); ok {
		o.Settled(committed)
	}
}

// aborted decides how to go on after an abort. end is the session's fault, if any.
func (s *session) aborted(ctx context.Context, f *fault, end error) error {
	s.r.metrics.aborts.WithLabelValues(f.cause).Inc()
	if errors.Is(f.err, ErrStop) {
		return f.err
	}
	if f.cause != "isolate" && !s.unknown {
		s.r.log.Warn("transaction aborted", slog.String("cause", f.cause), slog.Int("partition", int(f.part)),
			slog.Int64("offset", f.offset), slog.Any("error", f.err))
	}
	if end == nil && errors.Is(f.err, errReopen) {
		end = f.err
	}
	if end != nil {
		return end
	}
	if f.blame {
		s.blamed(f)
	}
	if f.cause == "gap" || f.cause == "isolate" {
		return nil
	}
	s.failures++
	pause(ctx, backoff(s.failures))
	return nil
}
