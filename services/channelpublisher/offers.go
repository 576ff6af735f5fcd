package channelpublisher

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/policy/heard"
	"github.com/stockweave/stockweave/pkg/stream"
)

// nearEnd is how many offsets before the end it is worth looking whether only
// markers are left.
const nearEnd = 64

// logView is what the evaluator asks about the log it reads.
type logView interface {
	Topic(ctx context.Context, topic string) (id string, partitions int32, err error)
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
	policies *current.Policy
	heard    *heard.Sources
	views    *heard.Views
	kits     *kitParts
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
	dirty   map[inventory.Key]bool // items and kits to evaluate
	seen    moment                 // for which everything was last evaluated
	count   int32                  // of partitions
	id      int32
	parts   int64                  // changes of kits' parts looked at
	views   int64                  // changes of views looked at
	half    map[inventory.Key]bool // kits of which only parts of a commit were here at the last check
}

// item is the positions of one item.
type item struct {
	at      map[inventory.Location]inventory.Position
	version int64 // the newest
	parts   int   // of the newest commit
	seen    map[inventory.Location]bool
}

func newItem() *item { return &item{at: map[inventory.Location]inventory.Position{}, version: -1} }

// take puts a position in its place, by version.
func (i *item) take(pos *inventory.Position) {
	if old, ok := i.at[pos.Location]; !ok || old.Version < pos.Version {
		i.at[pos.Location] = *pos
	}
	switch {
	case pos.Version > i.version:
		i.version, i.parts, i.seen = pos.Version, int(pos.Parts), map[inventory.Location]bool{pos.Location: true}
	case pos.Version == i.version:
		i.seen[pos.Location] = true
	}
}

// positions are sorted by location.
func (i *item) positions() []inventory.Position {
	if i == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(i.at), func(a, b inventory.Position) int {
		return strings.Compare(string(a.Location), string(b.Location))
	})
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
	_, count, err := e.log.Topic(ctx, topic)
	if err != nil {
		return 0, err
	}
	p.started, p.live, p.read, p.target, p.id, p.count = true, false, first, end, id, count
	p.half, p.items, p.dirty = map[inventory.Key]bool{}, map[inventory.Key]*item{}, map[inventory.Key]bool{}
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

// check runs also when nothing flows, and in between when something does: what is
// left before the end may be markers only, and a new local day, an override that
// ends, an owner that falls silent, another policy or a part of a kit change what is
// promised without any record.
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
	if !found && !p.live {
		e.goLive(p)
	}
	if !p.live {
		return nil
	}
	e.refresh(p)
	e.refreshKits(p)
	e.refreshViews(p)
	return e.offer(ctx, p, !found) // a batch may be coming
}

// goLive begins offering, with everything. It needs the lock.
func (e *evaluator) goLive(p *partition) {
	p.live, p.seen = true, moment{}
	e.refresh(p)
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
		it = newItem()
		p.items[pos.Key] = it
	}
	it.take(&pos)
	p.dirty[pos.Key] = true
	return "", ""
}
