// Package audit folds the log once more, apart from the ledger: it uses the codecs
// and the types of the domain and none of its decisions. It compares what the fold
// gives with outcomes, state, positions and the cache, and names the first event
// from which they differ (Invariants 2 to 5 and 8). It joins the receipts of raw
// messages with what they say became of the lines (Invariant 2).
//
// It may run beside live services. Each partition is compared at one moment, that
// of its state; what the other topics hold beyond it is left out.
package audit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Config says what to audit.
type Config struct {
	Kafka  stream.Config
	Codecs *event.Codecs
	Group  string // of the ledger's worker
	Cache  Cache  // nil: the cache is not looked at
}

// Cache is the projection of positions as it stands. It is safe for concurrent use.
type Cache interface {
	// Mark says how far a partition has come: the offset of the next position to
	// apply, and the id of the topic it is of. It is not loaded when there is none or
	// while it is being filled.
	Mark(ctx context.Context, partition int32) (next int64, topic string, loaded bool, err error)
	// Items reads the fields of items, by location, in the order of keys: the version
	// in VersionDigits digits, then the position as it stands on the topic.
	Items(ctx context.Context, partition int32, keys []string) ([]map[string]string, error)
	// Keys calls f with the key of every item of a partition, maybe more than once.
	Keys(ctx context.Context, partition int32, f func(key string)) error
}

// VersionDigits is the width of the version before a field's position.
const VersionDigits = 20

// settleWait is the pause before a log's stable end is asked for again.
const settleWait = 20 * time.Millisecond

// coordinatorWait is the pause before a group's offset is asked for again.
const coordinatorWait = 250 * time.Millisecond

// Run audits every partition, as many at once as there are processors, and holds
// the items of those alone. What is wrong with the log is in the report; an error
// says that the audit could not be made.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	reads, err := stream.NewRestoreReads(cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	defer reads.Close()
	a := &auditor{cfg: cfg, reads: reads}
	id, partitions, err := reads.Topic(ctx, event.TopicEvents)
	if err != nil {
		return nil, fmt.Errorf("looking at the log: %w", err)
	}
	for _, topic := range []string{event.TopicOutcomes, event.TopicState, event.TopicPositions} {
		tid, n, err := reads.Topic(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("looking at the log: %w", err)
		}
		if n != partitions {
			return nil, fmt.Errorf("%s has %d partitions, %s has %d: they are not of one ledger", topic, n, event.TopicEvents, partitions)
		}
		if topic == event.TopicPositions {
			a.positionsID = tid
		}
	}
	a.eventsID = id

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := make([]*Report, partitions+1) // the last is of the receipts
	slots := make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))
	var wg sync.WaitGroup
	for p := range partitions {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			r, err := a.partition(ctx, p)
			if err != nil {
				cancel(fmt.Errorf("auditing partition %d: %w", p, err))
			}
			parts[p] = r
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if parts[partitions], err = a.joinReceipts(ctx); err != nil {
		return nil, fmt.Errorf("joining receipts: %w", err)
	}
	all := merge(parts)
	all.Partitions = int(partitions)
	return all, nil
}

type auditor struct {
	cfg         Config
	reads       *stream.RestoreReads
	eventsID    string
	positionsID string
}

// stableEnd is the end of a partition now, once no transaction below it is
// pending: the records below it are those of whole transactions.
func (a *auditor) stableEnd(ctx context.Context, topic string, partition int32) (int64, error) {
	high, err := a.reads.HighWatermark(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(settleWait)
	defer tick.Stop()
	for {
		stable, err := a.reads.LastStable(ctx, topic, partition)
		if err != nil || stable >= high {
			return stable, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// coordinatorTries is how often the group's offset is asked for: its coordinator may
// be on its way from one broker to another.
const coordinatorTries = 20

func (a *auditor) groupOffset(ctx context.Context, partition int32) (int64, error) {
	for try := 1; ; try++ {
		offset, err := a.reads.GroupOffset(ctx, a.cfg.Group, event.TopicEvents, partition)
		if err == nil || try == coordinatorTries || ctx.Err() != nil {
			return offset, err
		}
		wait := time.NewTimer(coordinatorWait)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return 0, ctx.Err()
		}
	}
}

// feed hands out the records of a partition below an offset; a goroutine reads
// ahead.
type feed struct {
	batches <-chan batch
	now     []*stream.Record
	until   int64
}

type batch struct {
	recs []*stream.Record
	err  error
}

// feed must be read to its end or its context ended.
func (a *auditor) feed(ctx context.Context, topic string, partition int32, from, until int64, committed bool) *feed {
	ch := make(chan batch, 1)
	go func() {
		defer close(ch)
		c := a.reads.Cursor(topic, partition, from, committed)
		for c.Offset() < until {
			recs, err := c.Next(ctx)
			select {
			case ch <- batch{recs, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return &feed{batches: ch, until: until}
}

// next is nil at the end.
func (f *feed) next(ctx context.Context) (*stream.Record, error) {
	for len(f.now) == 0 {
		select {
		case b, ok := <-f.batches:
			if !ok {
				return nil, ctx.Err()
			}
			if b.err != nil {
				return nil, b.err
			}
			f.now = b.recs
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	rec := f.now[0]
	f.now = f.now[1:]
	if rec.Offset >= f.until {
		f.now = nil
		return nil, nil //nolint:nilnil // the end is no error
	}
	return rec, nil
}

// each calls f with every record of a partition below an offset.
func (a *auditor) each(ctx context.Context, topic string, partition int32, until int64, f func(*stream.Record) error) (start int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if start, err = a.reads.LogStart(ctx, topic, partition); err != nil {
		return 0, err
	}
	in := a.feed(ctx, topic, partition, start, until, true)
	for {
		rec, err := in.next(ctx)
		if err != nil || rec == nil {
			return start, err
		}
		if err := f(rec); err != nil {
			return start, err
		}
	}
}

// merge adds up the partitions' reports.
func merge(parts []*Report) *Report {
	all := &Report{Outcomes: map[string]int{}, NotChecked: notChecked()}
	for _, r := range parts {
		all.Events += r.Events
		all.Controls += r.Controls
		all.DeadLetters += r.DeadLetters
		all.Waiting += r.Waiting
		all.Items += r.Items
		all.Positions += r.Positions
		all.CacheFields += r.CacheFields
		all.Moved += r.Moved
		all.Receipts += r.Receipts
		all.Milestones += r.Milestones
		all.Bad += r.Bad
		for kind, n := range r.Outcomes {
			all.Outcomes[kind] += n
		}
		all.Incomplete = append(all.Incomplete, r.Incomplete...)
		all.Notes = append(all.Notes, r.Notes...)
		all.Findings = append(all.Findings, r.Findings...)
	}
	slices.SortStableFunc(all.Findings, byTime)
	if len(all.Findings) > maxFindings {
		all.Findings = all.Findings[:maxFindings]
	}
	return all
}

// errGone turns what retention took in the middle of an audit into a word for it.
func errGone(err error) bool { return errors.Is(err, stream.ErrGone) }
