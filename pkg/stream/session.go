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
	"github.com/twmb/franz-go/pkg/kmsg"
)

// session is one life of the transactional client. The group's callbacks only note
// what happened (under mu) and wake the loop; the loop does the work.
type session struct {
	r      *Runner
	cl     *kgo.Client
	facts  logFacts
	closed chan struct{}
	wg     sync.WaitGroup
	slots  chan struct{} // restores at once

	mu     sync.Mutex
	parts  map[int32]*partition
	done   []*partition // restored, to be taken up
	kept   map[int32]*kept
	fault  error // of a restore
	joined bool
	member string // of the group, as of its last assignment
	gen    int32  // the same
	wake   context.CancelFunc
	turn   *turn // waited for

	// The rest is the loop's own.
	txn      txn
	out      transactor
	unknown  bool // the transaction's outcome: what it staged stands beside the state
	suspect  *suspect
	failures int // aborts in a row
}

// partition is an assigned partition. phase, fetched and start belong to the
// session's mu; what is below them to the loop, once restored.
type partition struct {
	id      int32
	phase   phase
	fetched int64 // what the client holds as committed
	cancel  context.CancelFunc
	res     *restored
	gone    atomic.Bool

	store     *store
	header    Header // committed
	staged    Header
	committed int64 // the group's offset, -1 before the first commit
	pos       int64 // offset of the next record
	epoch     int32 // leader epoch of the record before the last commit; -1 when not known
	end       int64
	gaps      map[int64]int64 // met once: from a position to the record behind it
	fails     map[int64]int
	lag       lag
	held      held

	// of the open transaction
	open  bool
	begin int64
	last  *Record
}

type phase uint8

const (
	assigned  phase = iota // its offset is being fetched
	restoring              // its state is being read
	active
	rewinding // of a worker: it is to be read again
)

// metadataAge is how old the cluster's metadata must be for the client to ask again. At
// its default of 5 s a worker would stand still for that long when a partition gets
// another leader.
const metadataAge = 50 * time.Millisecond

// fetchBytes is what a fetch brings of a partition, compressed: the records of more than
// half a large transaction. At the client's default of 1 MiB a worker holds some 200 MB
// more of what is still to come.
const fetchBytes = 256 << 10

// open starts the client. No work is done in its callbacks. The partitions kept are
// taken up without a restore if they still can be.
func (r *Runner) open(ctx context.Context, facts logFacts, id producerID, kept map[int32]*kept) (*session, error) {
	s := &session{
		r:      r,
		facts:  facts,
		closed: make(chan struct{}),
		slots:  make(chan struct{}, restoresAtOnce),
		parts:  map[int32]*partition{},
		kept:   kept,
	}
	s.txn.init(s)
	restore := func(p *partition) {
		rctx, cancel := context.WithCancel(ctx)
		p.cancel = cancel
		s.wg.Go(func() {
			defer cancel()
			s.restore(rctx, facts, p)
		})
	}
	opts := []kgo.Opt{
		kgo.MetadataMinAge(metadataAge),
		kgo.WithPools(new(recycler)),
		kgo.FetchMaxPartitionBytes(fetchBytes),
		kgo.DisableAutoCommit(), // offsets are the transaction's

		kgo.ConsumerGroup(r.cfg.Group),
		kgo.InstanceID(r.identity()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.ConsumeTopics(r.cfg.Input),
		// A partition without an offset gets an explicit one in fetched; an
		// offset out of range must never be reset.
		kgo.ConsumeStartOffset(kgo.NoResetOffset()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.OnPartitionsAssigned(s.onAssigned),
		kgo.OnPartitionsRevoked(s.onRevoked),
		kgo.OnPartitionsLost(s.onRevoked),
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, m map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			s.onFetched(m[r.cfg.Input], restore)
			return m, nil
		}),
	}
	if !facts.implicit {
		opts = append(opts, kgo.MaxVersions(explicitVersions()))
	}
	cl, err := r.cfg.client(opts...)
	if err != nil {
		return nil, fmt.Errorf("opening session: %w", err)
	}
	s.cl = cl
	s.out.init(s, id)
	return s, nil
}

// onAssigned notes new partitions and keeps them from being fetched until they are
// restored.
func (s *session) onAssigned(_ context.Context, cl *kgo.Client, added map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := added[s.r.cfg.Input]
	was := s.member
	s.member, s.gen = cl.GroupMetadata()
	if was != s.member { // at the first assignment there is nothing yet
		// The group had forgotten this member. Of what the client takes it to have kept,
		// somebody else may have had the partitions meanwhile.
		for id := range s.parts {
			if !slices.Contains(ids, id) && s.fault == nil {
				s.fault = fmt.Errorf("%w: the group had forgotten this worker", errReopen)
			}
		}
		s.poke()
	}
	if !s.joined { // what is not ours from the start is nothing to wait for
		maps.DeleteFunc(s.kept, func(id int32, _ *kept) bool { return !slices.Contains(ids, id) })
	}
	s.joined = true
	if len(ids) == 0 {
		return
	}
	for _, id := range ids {
		if old := s.parts[id]; old != nil {
			s.drop(old) // its revocation went unseen
		}
		s.parts[id] = &partition{id: id, committed: -1}
	}
	cl.PauseFetchPartitions(map[string][]int32{s.r.cfg.Input: ids})
	s.gauges()
}

// onFetched is told the stable group offsets of assigned partitions, which may
// start restoring now: the changelog is read after the offsets (§3). A partition
// without an offset gets an explicit one: with none the client would yield neither
// a record nor an error.
func (s *session) onFetched(offsets map[int32]kgo.Offset, restore func(*partition)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, off := range offsets {
		at := off.EpochOffset().Offset
		if at < 0 {
			at = 0
			offsets[id] = kgo.NewOffset().At(0)
		}
		p := s.parts[id]
		if p == nil || p.phase != assigned {
			continue
		}
		p.fetched = at
		p.phase = restoring
		restore(p)
	}
}

// onRevoked drops what was taken away, and only that.
func (s *session) onRevoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range lost[s.r.cfg.Input] {
		if p := s.parts[id]; p != nil {
			s.drop(p)
		}
	}
	s.gauges()
	s.poke()
}

func (s *session) drop(p *partition) {
	p.gone.Store(true)
	if p.cancel != nil {
		p.cancel()
	}
	delete(s.parts, p.id)
	if s.r.cfg.Owner != nil {
		s.r.cfg.Owner.Disowned(p.id)
	}
	s.r.metrics.unowned(s.r.cfg.Input, p.id)
}

// restore reads a partition's state and hands it to the loop.
func (s *session) restore(ctx context.Context, facts logFacts, p *partition) {
	var err error
	res := s.reuse(ctx, facts, p)
	if res == nil {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-ctx.Done():
			return
		}
		res, err = s.r.restore(ctx, facts, p.id)
		Crash("restored")
	}
	owner := s.r.cfg.Owner
	if err == nil && owner != nil {
		owner.Owned(p.id, res.store.each)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.gone.Load() || ctx.Err() != nil:
		if owner != nil && s.parts[p.id] == nil { // unless it has been assigned again by now
			owner.Disowned(p.id)
		}
		return
	case err != nil:
		s.fault = err
	default:
		p.res = res
		s.done = append(s.done, p)
	}
	s.poke()
}

// poke wakes the loop from its poll.
func (s *session) poke() {
	if s.wake != nil {
		s.wake()
	}
}

// armed returns a context for polling that the next event ends.
func (s *session) armed(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = cancel
	if s.fault != nil || len(s.done) > 0 || s.turn != nil {
		cancel()
	}
	return ctx
}

// work is the loop. It ends with ctx, and the transaction that is open then with last.
func (s *session) work(ctx, last context.Context) error {
	poll := s.armed(ctx)
	for ctx.Err() == nil {
		s.lend()
		if poll.Err() != nil {
			if err := s.events(); err != nil {
				return err
			}
			poll = s.armed(ctx) //nolint:fatcontext // of ctx anew, not of the last one
		}
		var err error
		if s.suspect != nil {
			err = s.isolate(ctx, last, poll)
		} else {
			err = s.transact(ctx, last, poll, bounds{poll: s.r.most, most: s.r.most, during: s.cadence()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// crowded is the number of records from which on a worker is behind, or soon will be.
const crowded = 1000

// cadence is how long a transaction takes records, for the ends of transactions to be
// Commit apart: what the last end took is taken off, up to a half. A worker that is
// behind gains more by fewer ends.
func (s *session) cadence() time.Duration {
	commit := s.r.cfg.Commit
	if s.txn.records >= crowded {
		return commit
	}
	return commit - min(s.txn.ending, commit/2)
}

// slow is how long the work of a transaction may take before the next ones are given
// fewer records: well below the time after which the brokers end it.
const slow = transactionTimeout * 2 / 3

// pace keeps transactions below their timeout whatever the Steps take. One that is too
// large would be ended by the brokers each time it is tried.
func (s *session) pace() {
	r, n, took := s.r, s.txn.records+s.txn.noops, s.r.now().Sub(s.txn.began)
	switch {
	case took > slow:
		r.most = max(min(r.most, n)/2, 1)
	case took < slow/4 && n >= r.most:
		r.most = min(2*r.most, r.cfg.MaxRecords)
	}
}

// events takes up what the callbacks and restores have noted.
func (s *session) events() error {
	s.mu.Lock()
	fault, done := s.fault, s.done
	s.done = nil
	s.mu.Unlock()
	if fault != nil {
		return fault
	}
	for _, p := range done {
		if err := s.takeUp(p); err != nil {
			return err
		}
	}
	return nil
}

// takeUp begins work on a restored partition.
func (s *session) takeUp(p *partition) error {
	res := p.res
	if res.start != p.fetched {
		if res.group >= 0 {
			return fmt.Errorf("%w: offset of partition %d moved from %d to %d while it was restored", errReopen, p.id, p.fetched, res.start)
		}
		topic := s.r.cfg.Input
		s.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {p.id: {Epoch: -1, Offset: res.start}}})
		if got, ok := s.cl.CommittedOffsets()[topic][p.id]; !ok || got.Offset != res.start {
			// The client has not yet taken the partition up itself.
			s.mu.Lock()
			defer s.mu.Unlock()
			if !p.gone.Load() {
				s.done = append(s.done, p)
				time.AfterFunc(5*time.Millisecond, func() {
					s.mu.Lock()
					defer s.mu.Unlock()
					s.poke()
				})
			}
			return nil
		}
	}
	p.store, p.header, p.committed = res.store, res.header, res.group
	p.pos, p.end, p.epoch, p.res = res.start, res.end, -1, nil
	p.held = res.held
	p.lag.next.Store(p.pos)
	p.lag.seen(res.end, s.r.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.gone.Load() {
		return nil
	}
	p.phase = active
	for _, q := range s.parts {
		if q.store != nil {
			q.store.cache.limit = max(s.r.cfg.CachedObjects/len(s.parts), 1)
		}
	}
	if s.suspect == nil {
		s.cl.ResumeFetchPartitions(map[string][]int32{s.r.cfg.Input: {p.id}})
	}
	s.gauges()
	Crash("taken_up")
	return nil
}

// working returns the partition if it is being worked on, else keeps it from being
// fetched.
func (s *session) working(id int32) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[id]
	if p != nil && p.phase == active {
		return p
	}
	s.cl.PauseFetchPartitions(map[string][]int32{s.r.cfg.Input: {id}})
	return nil
}

// hold pauses every partition but one, or with -1 resumes all that are worked on.
func (s *session) hold(but int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []int32
	for id, p := range s.parts {
		if p.phase == active && id != but {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	m := map[string][]int32{s.r.cfg.Input: ids}
	if but < 0 {
		s.cl.ResumeFetchPartitions(m)
	} else {
		s.cl.PauseFetchPartitions(m)
	}
}

func (s *session) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return s.fault
	}
	if !s.joined {
		return errors.New("not joined")
	}
	if n := s.unrestored(); n > 0 {
		return fmt.Errorf("restoring %d partitions", n)
	}
	return nil
}

func (s *session) unrestored() int {
	n := 0
	for _, p := range s.parts {
		if p.phase != active {
			n++
		}
	}
	return n
}

func (s *session) gauges() {
	s.r.metrics.owned.Set(float64(len(s.parts)))
	s.r.metrics.restoring.Set(float64(s.unrestored()))
}

// identityTaken asks whether another process has joined under this one's identity.
// A fenced producer may only have been too slow, and then comes back; but a process
// that was replaced while it stood still must not drive its successor out.
func (s *session) identityTaken(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatInterval)
	defer cancel()
	member, generation := s.cl.GroupMetadata()
	if member == "" {
		return nil
	}
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group = s.r.cfg.Group
	req.MemberID, req.Generation = member, generation
	req.InstanceID = new(s.r.identity())
	resp, err := req.RequestWith(ctx, s.r.reads.cl)
	if err != nil {
		return nil // not known; joining again will tell
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); errors.Is(err, kerr.FencedInstanceID) {
		return fmt.Errorf("%w: another process works as %s: %w", ErrStop, s.r.identity(), err)
	}
	return nil
}

// forget drops every partition once the client is closed.
func (s *session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range slices.Collect(maps.Values(s.parts)) {
		s.drop(p)
	}
	s.gauges()
}

// observe keeps the lag gauges true also when nothing flows.
func (s *session) observe(ctx context.Context) {
	for {
		pause(ctx, lagEvery)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		parts := slices.Collect(maps.Values(s.parts))
		s.mu.Unlock()
		for _, p := range parts {
			end, err := s.r.reads.HighWatermark(ctx, s.r.cfg.Input, p.id)
			if err != nil {
				s.r.log.Debug("reading end of partition", slog.Int("partition", int(p.id)), slog.Any("error", err))
				continue
			}
			now := s.r.now()
			p.lag.seen(end, now)
			records, seconds := p.lag.read(now)
			s.mu.Lock()
			if !p.gone.Load() {
				s.r.metrics.lag(s.r.cfg.Input, p.id, records, seconds)
			}
			s.mu.Unlock()
		}
	}
}
