package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
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

	near   []*State // groups to come, nil for one that is not there yet
	next   *State   // of them, that of the record being worked on
	warmed int      // means nothing; see Warmer

	letters []string // codes of the dead letters among its outputs

	began   time.Time
	ending  time.Duration // what the last commit took, from the last record on
	records int
	noops   int
	fault   *fault

	cur  *partition // whose record is being worked on
	from origin     // of what is emitted
	emit func(*Record)

	piece Record // of state, to be written
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
	t.piece.Topic = s.r.cfg.State
}

// bounds are those of a transaction.
type bounds struct {
	poll   int           // records of one poll
	most   int           // records in all
	during time.Duration // time in all
	full   func() bool   // asked after each poll; nil is never
}

// transact polls until there is a record, and then works until a bound is
// met, in one transaction. With nothing to read there is none.
func (s *session) transact(ctx, last, poll context.Context, b bounds) error {
	fs := s.cl.PollRecords(poll, b.poll)
	if err := s.pollFault(fs); err != nil || fs.NumRecords() == 0 {
		return err
	}
	t := &s.txn
	t.start(s.r.now())
	s.out.begin(t.began)
	Crash("begun")
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
		fs = s.cl.PollRecords(until, min(b.poll, b.most-t.records-t.noops))
		if err := s.pollFault(fs); err != nil {
			t.fault = &fault{cause: "poll", err: err}
		}
	}
	return s.finish(ctx, last)
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
	t.from = origin{}
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
		t.next = t.near[i%warmAhead]
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
	t.from = origin{part: p.id, offset: rec.Offset}
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
		if st = t.next; st == nil || st.group != group {
			st = p.store.get(group)
		}
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
			s.out.box.keep()
			Crash("stepped")
			return nil
		}
		st.over.rollback()
		p.staged.PolicyVersion = policy
	}
	s.out.box.back()
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
		s.out.box.back()
		return &fault{cause: "dead_letter", part: p.id, offset: rec.Offset, blame: true, err: fmt.Errorf("making dead letter: %w", err)}
	}
	t.letters = append(t.letters, code)
	t.output(out)
	s.out.box.keep()
	return nil
}

// output takes an output of the processor over: it goes to the partition of its input
// (§2), and is copied.
func (t *txn) output(rec *Record) {
	part := t.cur.id
	if slices.Contains(t.s.r.cfg.OwnPartition, rec.Topic) {
		part = rec.Partition
	}
	t.s.out.box.add(rec, part, t.from)
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
		t.cur, t.from = d.p, origin{part: d.p.id, offset: o.last, shared: o.first != o.last}
		if err := s.call(func() error { return cfg.Processor.Flush(d.st, t.emit) }); err != nil {
			return &fault{cause: "flush", part: d.p.id, offset: o.last, blame: !errors.Is(err, ErrStop), shared: t.from.shared, err: err}
		}
		for i := range o.pieces {
			pc := &o.pieces[i]
			if !d.st.changed(*pc) {
				continue
			}
			t.piece.Key, t.piece.Value = bytesOf(pc.key), pc.value
			s.out.box.add(&t.piece, d.p.id, t.from)
		}
		s.out.box.keep()
	}
	for _, p := range t.parts {
		value, err := cfg.Codec.EncodeHeader(p.staged)
		if err != nil {
			return &fault{cause: "header", part: p.id, err: fmt.Errorf("encoding header: %w", err)}
		}
		t.piece.Key, t.piece.Value = bytesOf(HeaderKey), value
		s.out.box.add(&t.piece, p.id, origin{part: p.id, offset: p.staged.AppliedThrough})
	}
	return nil
}

// bytesOf is the string's bytes without a copy; outputs are only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// sent writes every output and returns why one could not be.
func (s *session) sent(ctx context.Context) *fault {
	err := s.out.write(ctx)
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return &fault{cause: "too_large", part: r.from.part, offset: r.from.offset, blame: true, shared: r.from.shared, err: err}
	}
	return &fault{cause: "produce", err: err}
}

// finish ends the transaction. Only a commit that is known makes what was staged
// the state (§1); an outcome that is not known is never taken for a failure (§3).
func (s *session) finish(ctx, last context.Context) error {
	t := &s.txn
	worked := s.r.now()
	f := t.fault
	if f == nil {
		Crash("all_stepped")
		f = s.flush()
	}
	s.pace()
	if f == nil {
		Crash("flushed")
		f = s.sent(last)
	}
	if f != nil {
		return s.abort(ctx, last, f)
	}
	Crash("produced")
	at, held := s.standing()
	if !held {
		return s.abort(ctx, last, &fault{cause: "rebalance", err: errors.New("a partition was taken away")})
	}
	ok, err := s.out.commit(last, at)
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
	s.discard()
	return s.aborted(ctx, &fault{cause: "rebalance", err: errors.New("the group rebalanced, or its offsets could not be committed")}, nil)
}

// abort ends the transaction without effect.
func (s *session) abort(ctx, last context.Context, f *fault) error {
	err := s.out.abort(last)
	s.discard()
	if err != nil {
		err = fmt.Errorf("%w: %w", errReopen, err)
	}
	return s.aborted(ctx, f, err)
}

// standing is what the transaction commits as; false when a partition of it is no longer
// this worker's. The generation is that of the last assignment, not the one the client has
// come to: while it joins the next one it has not said yet what is taken away. Of an
// earlier generation the brokers take no offsets.
func (s *session) standing() (at standing, held bool) {
	cfg := &s.r.cfg
	at = standing{group: cfg.Group, instance: s.r.identity(), topic: cfg.Input, id: s.facts.input.id}
	s.mu.Lock()
	at.member, at.generation = s.member, s.gen
	s.mu.Unlock()
	for _, p := range s.txn.parts {
		if p.gone.Load() {
			return at, false
		}
		at.at = append(at.at, offsetAt{part: p.id, offset: p.pos, epoch: p.last.LeaderEpoch})
	}
	return at, true
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
	return s.aborted(ctx, &fault{cause: "unknown", err: err}, fmt.Errorf("%w: outcome of a commit is unknown: %w", errReopen, err))
}

// merge makes what was staged the state.
func (s *session) merge() {
	for _, d := range s.txn.dirty {
		d.p.store.settle(d.st, true)
	}
	s.txn.committed()
	s.advance()
}

// advance takes the partitions to the end of a transaction that took effect.
func (s *session) advance() {
	t := &s.txn
	m := s.r.metrics
	for _, p := range t.parts {
		p.open = false
		p.header, p.committed, p.epoch = p.staged, p.pos, p.last.LeaderEpoch
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

// discard drops what was staged and takes the partitions, and the client with them, back
// to where the transaction began.
func (s *session) discard() {
	t := &s.txn
	for _, d := range t.dirty {
		d.p.store.settle(d.st, false)
	}
	for _, p := range t.parts {
		p.open, p.last, p.pos = false, nil, p.begin
	}
	back := map[int32]kgo.EpochOffset{}
	for _, p := range s.owned() { // also those whose records were polled and not looked at
		back[p.id] = kgo.EpochOffset{Epoch: p.epoch, Offset: p.pos}
	}
	s.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{s.r.cfg.Input: back})
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
