package atpapi

import (
	"container/list"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// LocalConfig is of the copy that a replica keeps of the items it has read (ADR 33).
type LocalConfig struct {
	// Bytes bounds it; 0: there is none.
	Bytes int64 `yaml:"bytes"`
	// First answers from it where it is known to be right, without asking Redis. Two
	// replicas may then be Bound apart. Otherwise it is for when Redis does not answer.
	First bool `yaml:"first"`
	// Bound is how far such an answer may lag behind Redis.
	Bound time.Duration `yaml:"bound"`
	// Stale is for how long after the last moment an item was known to be right it is
	// answered, marked as stale, while Redis does not answer or is being loaded.
	Stale time.Duration `yaml:"stale"`
}

// DefaultLocal is what holds where the file says nothing.
func DefaultLocal() LocalConfig {
	return LocalConfig{Bytes: 64 << 20, Bound: 100 * time.Millisecond, Stale: time.Minute}
}

// Validate reports every fault at once.
func (c *LocalConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("atp_api.local."+format, args...)) }
	if c.Bytes != 0 && (c.Bytes < 1<<20 || c.Bytes > 1<<40) {
		bad("bytes: must be 0, which switches it off, or between 1 MiB and 1 TiB")
	}
	if c.First && c.Bytes == 0 {
		bad("first: needs bytes")
	}
	if c.Bound < 10*time.Millisecond || c.Bound > 10*time.Second {
		bad("bound: must be between 10ms and 10s")
	}
	if c.Stale < c.Bound || c.Stale > 24*time.Hour {
		bad("stale: must be between bound and 24h")
	}
	return errors.Join(errs...)
}

const (
	recentChanges = 8192 // items, of each partition, of which is known when they changed last
	marksABound   = 4    // how often in a bound is asked how far Redis has come
)

// local holds items as they were read from Redis, and knows by the offsets of the log
// whether they are right still (ADR 33): an item read when its partition's mark stood
// at n is the item at mark m if no record of it lies in [n, m). So it never shows what
// Redis has not shown (Invariant 5). It is safe for concurrent use.
type local struct {
	cfg   LocalConfig
	seed  maphash.Seed
	reads localReads

	parts atomic.Pointer[[]*localPart] // by partition; none before it follows the log
}

func newLocal(cfg LocalConfig) *local { return &local{cfg: cfg, seed: maphash.MakeSeed()} }

// first says whether there is a copy that answers without asking Redis.
func (l *local) first() bool { return l != nil && l.cfg.First }

// localPart is the copy of one partition.
type localPart struct {
	mu      sync.Mutex
	topic   string // id of the one followed
	entries map[string]*copied
	used    *list.List // of *copied, latest first: see touch
	came    uint64     // items that were put
	bytes   int64
	max     int64

	next    int64            // records before it have been seen
	floor   int64            // what changed from here on is in recent or older
	turn    int64            // where recent begins
	recent  map[uint64]int64 // hash of an item → offset of its last record
	older   map[uint64]int64
	ahead   int64 // a mark that Redis was found at when next had not reached it
	good    *asOf // the latest mark that was seen in Redis and that next has reached
	pending *asOf // a later one, not reached yet; nil: there is none
}

// asOf is a mark and when it was asked for. Nobody changes one: items have it together.
type asOf struct {
	mark mark
	at   time.Time
}

// copied is an item that was right as of a mark.
type copied struct {
	*asOf
	kept    *kept
	hash    uint64
	touched uint64 // when so many had come
	use     *list.Element
	key     string
	version int64
	base    int64 // of size, without answers
	size    int64
}

// begin empties the copy: the log is followed from these offsets on.
func (l *local) begin(topic string, from map[int32]int64) {
	parts := make([]*localPart, len(from))
	for p, end := range from {
		parts[p] = &localPart{
			topic: topic, entries: map[string]*copied{}, used: list.New(), max: max(1, l.cfg.Bytes/int64(len(from))),
			next: end, floor: end, turn: end, recent: map[uint64]int64{}, older: map[uint64]int64{}, good: &asOf{},
		}
	}
	l.parts.Store(&parts)
}

// all are the partitions' copies.
func (l *local) all() []*localPart {
	if parts := l.parts.Load(); parts != nil {
		return *parts
	}
	return nil
}

func (l *local) partitions() int { return len(l.all()) }

// part is nil before the log is followed.
func (l *local) part(partition int32) *localPart {
	if l == nil {
		return nil
	}
	if parts := l.all(); int(partition) < len(parts) {
		return parts[partition]
	}
	return nil
}

// passed takes note of a record of the log; item is empty for a marker.
func (l *local) passed(partition int32, offset int64, item []byte) {
	p := l.part(partition)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(item) > 0 {
		p.recent[maphash.Bytes(l.seed, item)] = offset
		if len(p.recent) >= recentChanges {
			p.older, p.recent, p.floor, p.turn = p.recent, make(map[uint64]int64, recentChanges), p.turn, offset+1
		}
	}
	p.next = offset + 1
	p.settle()
}

// stands takes note of where Redis stood when it was asked. One that has fallen back,
// or does not answer reads, is none to be right as of.
func (l *local) stands(partition int32, m mark, at time.Time) {
	p := l.part(partition)
	if p == nil || !m.caughtUp() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.topic != p.topic || m.behind(p.good.mark) {
		return
	}
	now := &asOf{m, at}
	if m.next <= p.next {
		p.good, p.pending = now, nil
		return
	}
	if p.pending == nil { // the first one waits, or none would ever be reached
		p.pending = now
	}
}

// settle needs the lock.
func (p *localPart) settle() {
	if p.pending != nil && p.pending.mark.next <= p.next {
		p.good, p.pending = p.pending, nil
	}
}

// touch takes note that an item was used. In the list it moves once between two items
// that come: no sooner does its place tell anything. It needs the lock.
func (p *localPart) touch(c *copied) {
	if c.touched != p.came {
		c.touched = p.came
		p.used.MoveToFront(c.use)
	}
}

// get finds an item and the moment as of which it is known to be right, the latest one.
func (l *local) get(partition int32, key string) (k *kept, when *asOf, ok bool) {
	p := l.part(partition)
	if p == nil {
		return nil, nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.entries[key]
	if c == nil {
		return nil, nil, false
	}
	p.touch(c)
	if p.good != c.asOf && p.good.mark.next >= c.mark.next && p.good.at.After(c.at) && p.same(c) {
		c.asOf = p.good
	}
	return c.kept, c.asOf, true
}

// last is the item as it was read last, whether it is right still or not; nil: it is not
// there.
func (l *local) last(partition int32, key string) *kept {
	p := l.part(partition)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.entries[key]; c != nil {
		return c.kept
	}
	return nil
}

// grown takes note that answers were kept with an item.
func (l *local) grown(partition int32, key string, k *kept) {
	p := l.part(partition)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.entries[key]
	if c == nil || c.kept != k {
		return
	}
	p.bytes -= c.size
	c.size = c.base + k.size()
	p.bytes += c.size
	for p.bytes > p.max {
		p.drop(p.used.Back().Value.(*copied)) //nolint:forcetypeassert // ours
	}
}

// standsAt is an item as it stands in Redis, which was found at a mark just now: where no
// record of the item lies between the mark it was read at and the last one Redis took in,
// and the log has been followed that far.
func (l *local) standsAt(partition int32, key string, now *asOf) *kept {
	p := l.part(partition)
	if p == nil || now.mark.topic != p.topic {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c, taken := p.entries[key], max(now.mark.next, now.mark.reached)
	if p.next < taken {
		p.ahead = max(p.ahead, taken)
		return nil
	}
	if c == nil || now.mark.next < c.mark.next || !p.same(c) {
		return nil
	}
	c.asOf = now
	p.touch(c)
	return c.kept
}

// likely says whether standsAt would know an item, as far as can be told before Redis is
// asked.
func (l *local) likely(partition int32, key string) bool {
	p := l.part(partition)
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.entries[key]
	return c != nil && p.ahead <= p.next && p.same(c)
}

// same says that no record of an item lies between the mark it is right as of and the
// good one. It needs the lock.
func (p *localPart) same(c *copied) bool {
	if c.mark.next < p.floor {
		return false // it is not known any more
	}
	at, ok := p.recent[c.hash]
	if !ok {
		at, ok = p.older[c.hash]
	}
	return !ok || at < c.mark.next
}

// put keeps what was read, unless something newer is there. seen is the furthest mark
// that anybody has been answered from: what is older may have been in the copy before.
func (l *local) put(partition int32, key string, k *kept, read *asOf, seen mark) {
	p := l.part(partition)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.entries[key]
	if old != nil && old.kept == k && read.mark.topic == p.topic && read.mark.next >= max(old.mark.next, seen.next) {
		old.asOf = read // and nothing else is another
		p.touch(old)
		return
	}
	c := &copied{asOf: read, key: key, hash: maphash.String(l.seed, key), kept: k}
	c.base = int64(len(key)) + 256
	for i := range k.positions {
		c.version = max(c.version, k.positions[i].Version)
		c.base += sizeOf(&k.positions[i])
	}
	c.size = c.base + k.size()
	if old != nil && (read.mark.next < old.mark.next || c.version < old.version) {
		return
	}
	p.drop(old)
	if read.mark.topic != p.topic || read.mark.next < seen.next || c.size > p.max {
		return
	}
	for p.bytes+c.size > p.max {
		p.drop(p.used.Back().Value.(*copied)) //nolint:forcetypeassert // ours
	}
	p.came++
	c.use, c.touched = p.used.PushFront(c), p.came
	p.entries[key] = c
	p.bytes += c.size
}

func (p *localPart) drop(c *copied) {
	if c != nil {
		p.used.Remove(c.use)
		delete(p.entries, c.key)
		p.bytes -= c.size
	}
}

// sizeOf is about what a position takes.
func sizeOf(p *inventory.Position) int64 {
	const strings = 256 // names and ids
	return int64(unsafe.Sizeof(*p)) + strings + int64(len(p.Reserved)+len(p.Supply))*int64(unsafe.Sizeof(inventory.Bucket{}))
}

// instead is what may be answered of an item that Redis says nothing about: stood is
// what it said of the partition.
func (l *local) instead(of placed, now time.Time, stood *stood) (standing, bool) {
	k, when, ok := l.get(of.partition, of.key)
	if !ok || now.Sub(when.at) > l.cfg.Stale {
		return standing{}, false
	}
	if stood != nil && stood.found && stood.mark.log() != when.mark.topic {
		return standing{}, false // the log is another one
	}
	return standing{positions: k.positions, kept: k, mark: when.mark, copied: now.Sub(when.at), stale: true}, true
}
