package channelpublisher

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// nearEnd is how many offsets before the end it is worth looking whether only
// markers are left.
const nearEnd = 64

// logView is what the evaluator asks about the log it reads.
type logView interface {
	LogStart(ctx context.Context, topic string, partition int32) (int64, error)
	LastStable(ctx context.Context, topic string, partition int32) (int64, error)
	NextRecord(ctx context.Context, topic string, partition int32, from int64) (next int64, found bool, err error)
}

// evaluator turns positions into offers. It keeps the positions of the partitions
// it owns in memory, read from the compacted topic at each start, and offers
// nothing before it has read what was there. It is safe for concurrent use.
type evaluator struct {
	codecs   *event.Codecs
	log      logView
	channels []policy.Channel
	atp      policy.ATPPolicy
	zones    *place.Places
	board    *board
	produce  func(context.Context, ...*stream.Record) error // all acked when nil
	dead     func(stream.DeadLetter) (*stream.Record, error)
	now      func() time.Time
	logger   *slog.Logger
	count    *metrics

	mu    sync.Mutex
	parts map[int32]*partition
}

// partition is what is known of one partition of positions.
type partition struct {
	mu      sync.Mutex
	started bool
	live    bool  // everything that was there at the start has been read
	read    int64 // offset behind the last record
	target  int64 // the end at the start
	items   map[inventory.Key]*item
	dirty   map[inventory.Key]bool
	day     string // local days for which everything was last evaluated
}

// item is the positions of one item.
type item struct {
	at      map[inventory.Location]inventory.Position
	version int64 // the newest
	parts   int   // of the newest commit
	seen    map[inventory.Location]bool
}

// whole says whether all parts of the newest commit are here.
func (i *item) whole() bool { return len(i.seen) >= i.parts }

func (e *evaluator) of(id int32) *partition {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.parts[id]
	if p == nil {
		p = &partition{}
		e.parts[id] = p
	}
	return p
}

// lost forgets a partition that another member has now.
func (e *evaluator) lost(_ string, id int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.parts, id)
}

// start reads a partition from its beginning: the table is in memory only.
func (e *evaluator) start(ctx context.Context, topic string, id int32) (int64, error) {
	p := e.of(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	first, err := e.log.LogStart(ctx, topic, id)
	if err != nil {
		return 0, err
	}
	end, err := e.log.LastStable(ctx, topic, id)
	if err != nil {
		return 0, err
	}
	p.started, p.live, p.read, p.target = true, false, first, end
	p.items, p.dirty = map[inventory.Key]*item{}, map[inventory.Key]bool{}
	return first, nil
}

// batch takes in the positions of one partition and offers what they change.
func (e *evaluator) batch(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	if len(recs) == 0 {
		return nil, nil
	}
	topic, id := recs[0].Topic, recs[0].Partition
	p := e.of(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	var dead []*stream.Record
	for _, rec := range recs {
		// Taking a position in again changes nothing, so a failed batch may come again.
		if code, reason := e.take(p, rec); code != "" {
			d, err := e.dead(stream.DeadLetter{Record: rec, Code: code, Reason: reason})
			if err != nil {
				return nil, err
			}
			dead = append(dead, d)
		}
	}
	p.read = max(p.read, recs[len(recs)-1].Offset+1)
	if !p.live {
		switch {
		case p.read >= p.target:
			e.goLive(p)
		case p.target-p.read <= nearEnd:
			if _, found, err := e.log.NextRecord(ctx, topic, id, p.read); err == nil && !found {
				e.goLive(p)
			}
		}
	}
	return dead, e.offer(ctx, p, false)
}

// check runs also when nothing flows: what is left before the end may be markers
// only, and a new local day changes what is promised without any record.
func (e *evaluator) check(ctx context.Context, topic string, id int32) error {
	p := e.of(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started {
		return nil
	}
	_, found, err := e.log.NextRecord(ctx, topic, id, p.read)
	if err != nil {
		return err
	}
	if found {
		return nil // a batch is coming
	}
	if !p.live {
		e.goLive(p)
	}
	if days := e.days(); days != p.day {
		for k := range p.items {
			p.dirty[k] = true
		}
		p.day = days
	}
	return e.offer(ctx, p, true)
}

// goLive begins offering, with everything. It needs the lock.
func (e *evaluator) goLive(p *partition) {
	p.live, p.day = true, e.days()
	for k := range p.items {
		p.dirty[k] = true
	}
}

// days are the calendar days at all locations that channels sell from.
func (e *evaluator) days() string {
	now := e.now()
	var ds []string
	for i := range e.channels {
		for _, l := range e.channels[i].Locations {
			if d := place.Date(e.zones.Day(now, e.channels[i].Entity, l)); !slices.Contains(ds, d) {
				ds = append(ds, d)
			}
		}
	}
	slices.Sort(ds)
	return strings.Join(ds, " ")
}

// take puts one position in its place, by version.
func (e *evaluator) take(p *partition, rec *stream.Record) (code, reason string) {
	if rec.Value == nil {
		return "no_value", "a position is never deleted"
	}
	var pos inventory.Position
	if err := e.codecs.DecodePosition(rec.Value, &pos); err != nil {
		return "undecodable", err.Error()
	}
	if string(rec.Key) != inventory.PositionKey(pos.Key, pos.Location) {
		return "key_mismatch", "the key is not that of the position"
	}
	it := p.items[pos.Key]
	if it == nil {
		it = &item{at: map[inventory.Location]inventory.Position{}, version: -1}
		p.items[pos.Key] = it
	}
	if old, ok := it.at[pos.Location]; !ok || old.Version < pos.Version {
		it.at[pos.Location] = pos
	}
	switch {
	case pos.Version > it.version:
		it.version, it.parts, it.seen = pos.Version, int(pos.Parts), map[inventory.Location]bool{pos.Location: true}
	case pos.Version == it.version:
		it.seen[pos.Location] = true
	}
	p.dirty[pos.Key] = true
	return "", ""
}

// offer evaluates what is dirty and appends what changed. Items of which only
// parts of a commit are here wait, unless it is known that no more comes. It needs
// the lock.
func (e *evaluator) offer(ctx context.Context, p *partition, complete bool) error {
	if !p.live || len(p.dirty) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(p.dirty), func(a, b inventory.Key) int { return strings.Compare(a.String(), b.String()) })
	var (
		offers []event.Offer
		recs   []*stream.Record
		done   []inventory.Key
	)
	for _, k := range keys {
		it := p.items[k]
		if !complete && !it.whole() {
			continue
		}
		done = append(done, k)
		for i := range e.channels {
			o, ok := e.evaluate(&e.channels[i], k, it)
			if !ok {
				continue
			}
			rec, err := offerRecord(e.codecs, &o)
			if err != nil {
				return err
			}
			offers, recs = append(offers, o), append(recs, rec)
		}
	}
	if err := e.produce(ctx, recs...); err != nil {
		return fmt.Errorf("appending offers: %w", err)
	}
	// Only what is durable counts as offered.
	for i := range offers {
		e.board.put(offerKey(offers[i].Channel, offers[i].Key), offers[i], -1)
	}
	for _, k := range done {
		delete(p.dirty, k)
	}
	e.count.offers.Add(float64(len(offers)))
	return nil
}

// evaluate computes what a channel should show of an item; ok is false when that
// stands already, or when the channel has nothing to do with the item.
func (e *evaluator) evaluate(c *policy.Channel, k inventory.Key, it *item) (o event.Offer, ok bool) {
	if !c.Sells(k) {
		return o, false
	}
	now := e.now()
	ps := slices.SortedFunc(maps.Values(it.at), func(a, b inventory.Position) int {
		return strings.Compare(string(a.Location), string(b.Location))
	})
	last, offered := e.board.get(offerKey(c.Name, k))
	if !offered && len(c.From(ps)) == 0 {
		return o, false // never there, never offered
	}
	today := func(l inventory.Location) inventory.Day { return e.zones.Day(now, k.Entity, l) }
	o = event.Offer{
		Channel: c.Name, Key: k, Listing: c.Listing(k.Item), Quantity: c.Promise(ps, &e.atp, today),
		At: inventory.Instant(now.UnixMilli()),
	}
	var day inventory.Day
	for _, l := range c.Locations {
		day = max(day, today(l))
	}
	o.Day = place.Date(day)
	for i := range ps {
		p := &ps[i]
		if p.Version >= o.Version {
			o.Version, o.EventID, o.RecordedAt = p.Version, p.EventID, p.RecordedAt
		}
		o.PolicyVersion = max(o.PolicyVersion, p.PolicyVersion)
	}
	if offered && last.Quantity == o.Quantity && last.Listing == o.Listing {
		return o, false
	}
	if offered && markOf(&last).Compare(markOf(&o)) > 0 {
		// Somebody has offered from newer facts: this partition is not ours any more.
		e.logger.Warn("a newer offer stands", slog.String("channel", c.Name), slog.String("item", k.String()))
		return o, false
	}
	return o, true
}
