package atpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const (
	maxCallFields = 200    // locations written by one script call, so that Redis is never held long
	maxHeld       = 10_000 // offsets for which parts of a commit wait for the others
	nearEnd       = 64     // offsets before the end at which it is worth looking whether only markers are left
)

// logView is what the projector asks about the log it reads.
type logView interface {
	Topic(ctx context.Context, topic string) (id string, partitions int32, err error)
	LogStart(ctx context.Context, topic string, partition int32) (int64, error)
	LastStable(ctx context.Context, topic string, partition int32) (int64, error)
	NextRecord(ctx context.Context, topic string, partition int32, from int64) (next int64, found bool, err error)
}

// projector brings positions into Redis. Redis itself remembers how far each
// partition has come, in the same call that writes the items, so what Redis has
// lost is noticed and read again (EXACTLY-ONCE §11). It is safe for concurrent
// use.
type projector struct {
	store  *store
	log    logView
	codecs *event.Codecs
	dead   func(context.Context, stream.DeadLetter) error // acked when it returns nil
	now    func() time.Time
	logger *slog.Logger
	count  *metrics

	mu    sync.Mutex
	parts map[int32]*projection
}

// projection is how far one partition has come, as this process knows it.
type projection struct {
	mu       sync.Mutex
	topic    string // id
	believed int64  // the mark's offset after the last call
	read     int64  // offset behind the last record taken in
	reached  int64  // the mark's after the last call
	expect   int64  // after a start: the offset of the first record to come; then -1
	target   int64
	open     map[string]*commit // by item: a commit that some parts are missing of
}

// commit is the parts of one version of an item that are here so far.
type commit struct {
	version int64
	first   int64 // offset of its first part
	parts   int
	fields  map[inventory.Location]string
}

func (p *projector) of(partition int32) *projection {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.parts[partition]
	if s == nil {
		s = &projection{believed: -1}
		p.parts[partition] = s
	}
	return s
}

// lost forgets a partition that another member has now.
func (p *projector) lost(_ string, partition int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.parts, partition)
}

// start says where a partition begins: where Redis stands, not where the group
// does. Reads of the partition are refused until the log's present end is in Redis.
func (p *projector) start(ctx context.Context, topic string, partition int32) (int64, error) {
	s := p.of(partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.begin(ctx, topic, partition, s)
}

// begin needs the lock.
func (p *projector) begin(ctx context.Context, topic string, partition int32, s *projection) (int64, error) {
	id, _, err := p.log.Topic(ctx, topic)
	if err != nil {
		return 0, err
	}
	start, err := p.log.LogStart(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	end, err := p.log.LastStable(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	m, err := p.store.retarget(ctx, partition, id, end)
	if err != nil {
		return 0, err
	}
	for m.emptied() { // until one of those who empty it is done
		begin := mark{next: start, target: end, topic: id}
		done, err := p.store.empty(ctx, partition, m, begin)
		if err != nil {
			return 0, err
		}
		if done {
			p.count.reloads.Inc()
			p.logger.Warn("loading a partition into redis from its start", slog.Int64("partition", int64(partition)), slog.Int64("end", end))
			m = begin
		} else if m, err = p.store.retarget(ctx, partition, id, end); err != nil {
			return 0, err
		}
	}
	s.topic, s.believed, s.reached, s.target, s.open = id, m.next, m.reached, end, map[string]*commit{}
	s.read = max(m.next, start)
	s.expect = s.read
	if err := p.skip(ctx, topic, partition, s); err != nil {
		return 0, err
	}
	return s.read, nil
}

// skip looks whether any record is left from where the partition stands. When none
// is, everything in the log is in Redis, and the mark says so: of the parts still
// waited for, the others were compacted away. It needs the lock.
func (p *projector) skip(ctx context.Context, topic string, partition int32, s *projection) error {
	at := p.now().UnixMilli()
	next, found, err := p.log.NextRecord(ctx, topic, partition, s.read)
	if err != nil {
		return err
	}
	if found {
		if s.expect >= 0 {
			s.expect = next
		}
		return nil
	}
	batch := newStaging()
	for _, key := range slices.Sorted(maps.Keys(s.open)) {
		batch.release(key, s.open[key])
	}
	calls := batch.calls(next, nil)
	calls[len(calls)-1].watermark = at
	if err := p.write(ctx, partition, s, calls, next); err != nil {
		return err
	}
	s.believed, s.read, s.open, s.expect = max(s.believed, next), next, map[string]*commit{}, -1
	return nil
}

// batch projects the records of one partition. Nothing of it is remembered unless
// all of it is in Redis, since a failed batch comes again whole.
func (p *projector) batch(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	if len(recs) == 0 {
		return nil, nil
	}
	topic, partition := recs[0].Topic, recs[0].Partition
	s := p.of(partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.believed < 0 || s.expect >= 0 && recs[0].Offset > s.expect {
		// Records fetched before a rewind: what lies between is not in Redis.
		return nil, p.rewind(ctx, topic, partition, s)
	}
	batch, open := newStaging(), maps.Clone(s.open)
	var recorded int64
	for _, rec := range recs {
		var pos inventory.Position
		if code, reason := p.decode(rec, &pos); code != "" {
			p.count.dead.Inc()
			// Acked before Redis moves on: nothing may vanish between the two.
			if err := p.dead(ctx, stream.DeadLetter{Record: rec, Code: code, Reason: reason}); err != nil {
				return nil, fmt.Errorf("writing dead letter: %w", err)
			}
			continue
		}
		recorded = max(recorded, int64(pos.RecordedAt))
		batch.take(rec, &pos, open)
	}
	last := recs[len(recs)-1]
	read := last.Offset + 1
	for _, key := range slices.Sorted(maps.Keys(open)) {
		// While nobody may read, nothing has to become visible together. Later, parts
		// that stay out for long were compacted away.
		if c := open[key]; read < s.target || read-c.first > maxHeld {
			batch.release(key, c)
			delete(open, key)
		}
	}
	calls := batch.calls(read, open)
	for i := range calls {
		calls[i].recorded = recorded
	}
	if len(open) == 0 { // else something older than last is not visible yet
		calls[len(calls)-1].watermark = last.Timestamp.UnixMilli()
	}
	if err := p.write(ctx, partition, s, calls, read); err != nil {
		if lostOf(err) {
			p.logger.Error("redis is not where it was", slog.Int64("partition", int64(partition)), slog.Any("err", err))
			return nil, p.rewind(ctx, topic, partition, s)
		}
		return nil, err
	}
	s.believed, s.read, s.open, s.expect = max(s.believed, calls[len(calls)-1].next), read, open, -1
	p.count.applied.Add(float64(len(recs)))
	if read < s.target && s.target-read <= nearEnd {
		if err := p.skip(ctx, topic, partition, s); err != nil {
			// The batch is in Redis; the next check looks again.
			p.logger.Warn("looking for the end of a partition", slog.Int64("partition", int64(partition)), slog.Any("err", err))
		}
	}
	return nil, nil
}

// write makes the calls that bring the partition to read. It needs the lock.
func (p *projector) write(ctx context.Context, partition int32, s *projection, calls []call, read int64) error {
	for i := range calls {
		calls[i].since, calls[i].target = s.reached, s.target
	}
	calls[len(calls)-1].reached = read
	if err := p.store.apply(ctx, partition, s.topic, s.believed, calls); err != nil {
		return err
	}
	s.reached = max(s.reached, read)
	return nil
}

// lostOf says whether Redis does not hold what was written to it.
func lostOf(err error) bool {
	var behind *errBehind
	return errors.Is(err, errMissing) || errors.Is(err, errForeign) || errors.As(err, &behind)
}

// rewind starts the partition anew and says from where to read. It needs the lock.
func (p *projector) rewind(ctx context.Context, topic string, partition int32, s *projection) error {
	off, err := p.begin(ctx, topic, partition, s)
	if err != nil {
		return err
	}
	return stream.Rewind{Offset: off}
}

// check runs also when nothing flows. It finds a Redis that has lost the partition,
// and otherwise moves the watermark: a partition without traffic is fresh.
func (p *projector) check(ctx context.Context, topic string, partition int32) error {
	s := p.of(partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.believed < 0 {
		return nil // not started
	}
	m, found, err := p.store.mark(ctx, partition)
	if err != nil {
		return err
	}
	if found && m.topic == s.topic && m.next >= s.believed && m.reached >= s.reached {
		err := p.skip(ctx, topic, partition, s)
		if err == nil || !lostOf(err) {
			return err
		}
	}
	p.logger.Error("redis is not where it was", slog.Int64("partition", int64(partition)), slog.Bool("found", found))
	return p.rewind(ctx, topic, partition, s)
}

// decode reads a position and says, by code and reason, why it cannot be projected.
func (p *projector) decode(rec *stream.Record, pos *inventory.Position) (code, reason string) {
	if rec.Value == nil {
		return "no_value", "a position is never deleted"
	}
	if err := p.codecs.DecodePosition(rec.Value, pos); err != nil {
		return "undecodable", err.Error()
	}
	switch {
	case string(rec.Key) != inventory.PositionKey(pos.Key, pos.Location):
		return "key_mismatch", "the key is not that of the position"
	case pos.Version < 0:
		return "bad_version", "a version is never negative"
	}
	return "", ""
}

// staging gathers what one batch writes: for each item one newest value per
// location, all of them in one script call.
type staging struct {
	items map[string]*fields
	newer map[string]map[inventory.Location]int // index into values
}

func newStaging() *staging {
	return &staging{items: map[string]*fields{}, newer: map[string]map[inventory.Location]int{}}
}

// take adds a record. The n parts of one commit become visible together, so parts
// wait in open until all are there; a later version of the item ends the wait.
func (b *staging) take(rec *stream.Record, pos *inventory.Position, open map[string]*commit) {
	key := pos.Key.String()
	value := number(pos.Version) + string(rec.Value)
	c := open[key]
	switch {
	case c != nil && pos.Version > c.version:
		b.release(key, c)
		delete(open, key)
		c = nil
	case c != nil && pos.Version < c.version:
		b.put(key, rec.Offset, pos.Location, value) // a repeat of something older
		return
	}
	if pos.Parts <= 1 {
		b.put(key, rec.Offset, pos.Location, value)
		return
	}
	next := &commit{version: pos.Version, first: rec.Offset, parts: int(pos.Parts), fields: map[inventory.Location]string{}}
	if c != nil {
		next.first = c.first
		maps.Copy(next.fields, c.fields) // the batch may fail: what is remembered stays as it is
	}
	next.fields[pos.Location] = value
	open[key] = next
	if len(next.fields) >= next.parts {
		b.release(key, next)
		delete(open, key)
	}
}

func (b *staging) release(key string, c *commit) {
	for _, l := range slices.Sorted(maps.Keys(c.fields)) {
		b.put(key, c.first, l, c.fields[l])
	}
}

// put keeps the newest value of a location. Values begin with their version at a
// fixed width, so text order is version order.
func (b *staging) put(key string, offset int64, l inventory.Location, value string) {
	f := b.items[key]
	if f == nil {
		f = &fields{key: key, first: offset}
		b.items[key], b.newer[key] = f, map[inventory.Location]int{}
	}
	f.first = min(f.first, offset)
	i, ok := b.newer[key][l]
	switch {
	case !ok:
		b.newer[key][l] = len(f.names)
		f.names = append(f.names, string(l))
		f.values = append(f.values, value)
	case f.values[i][:numberWidth] < value[:numberWidth]:
		f.values[i] = value
	}
}

// calls splits what was gathered into script calls; no item is split. Each moves
// the mark up to the first record that is not in Redis after it. There is always
// at least one: records that write nothing move the mark as well.
func (b *staging) calls(read int64, open map[string]*commit) []call {
	items := slices.SortedFunc(maps.Values(b.items), func(x, y *fields) int { return cmp.Compare(x.first, y.first) })
	held := read
	for _, c := range open {
		held = min(held, c.first)
	}
	calls := []call{{}}
	size := 0
	for i, it := range items {
		if size > 0 && size+len(it.names) > maxCallFields {
			calls[len(calls)-1].next = min(held, items[i].first)
			calls = append(calls, call{})
			size = 0
		}
		last := &calls[len(calls)-1]
		last.items = append(last.items, it)
		size += len(it.names)
	}
	calls[len(calls)-1].next = held
	return calls
}
