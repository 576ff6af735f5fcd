// Package feed follows inventory.positions and tells what has changed in it: to many
// readers, each from where it stands. It knows no numbers, only keys; what they are
// by now is for the reader to look up, and a change is not told before the place
// where that is looked up has it.
package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const (
	askSoon  = 2 * time.Millisecond   // pause between two questions how far the marks are
	askLate  = 200 * time.Millisecond // the longest such pause, while nothing moves
	tryAgain = 500 * time.Millisecond // pause after the log did not say where it ends
)

// Marks say how far what numbers are read from has come: by partition, the offset of
// the first position that is not in it. A partition that is being loaded is left out.
type Marks func(ctx context.Context, topic string, partitions []int32) (map[int32]int64, error)

// Config of a Feed.
type Config struct {
	Kafka stream.Config
	Log   *stream.RestoreReads
	Marks Marks
	// Recent is how many changes of a partition are kept in memory. What is older is
	// read from the log again.
	Recent int
	// Backlogs is how many readers may read from the log at one time.
	Backlogs int
	Logger   *slog.Logger
	// Began, where it is set, is told from where the topic is followed, before Loaded is
	// closed, and Passed then every record of it in the order of its partition, the markers of
	// transactions included (Attrs.IsControl).
	Began  func(topic string, from map[int32]int64)
	Passed func(*stream.Record)
}

// Feed is safe for concurrent use.
type Feed struct {
	cfg      Config
	loaded   chan struct{}
	backlogs chan struct{} // a token for each reader that reads from the log
	arrived  chan struct{} // holds one when changes wait to become visible

	mu      sync.RWMutex
	topic   string
	parts   []ring
	changed chan struct{} // closed and replaced when more is visible
}

// New starts nothing.
func New(cfg Config) *Feed {
	return &Feed{
		cfg: cfg, loaded: make(chan struct{}), backlogs: make(chan struct{}, cfg.Backlogs), arrived: make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
}

// Loaded is closed when readers may be made.
func (f *Feed) Loaded() <-chan struct{} { return f.loaded }

// Ready is nil from then on.
func (f *Feed) Ready() error {
	select {
	case <-f.loaded:
		return nil
	default:
		return errors.New("the end of positions is not known yet")
	}
}

// Topic is the id of the topic that is followed.
func (f *Feed) Topic() string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.topic
}

// Changed is closed when more may be told than now.
func (f *Feed) Changed() <-chan struct{} {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.changed
}

// Run follows the topic until ctx is done. It may be called once.
func (f *Feed) Run(ctx context.Context) error {
	from, err := f.begin(ctx)
	if err != nil {
		return nil // ctx is done
	}
	marks, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.show(marks)
	}()
	defer func() {
		cancel()
		<-done
	}()
	return stream.Follow(ctx, f.cfg.Kafka, event.TopicPositions, from, f.add)
}

// begin finds the present end, from where the topic is followed.
func (f *Feed) begin(ctx context.Context) (map[int32]int64, error) {
	for {
		topic, from, err := f.ends(ctx)
		if err == nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.topic, f.parts = topic, make([]ring, len(from))
			for p := range f.parts {
				end := from[int32(p)] //nolint:gosec // partition counts are int32
				f.parts[p] = ring{buf: make([]Change, max(1, f.cfg.Recent)), from: end, next: end, visible: end, unseen: end}
			}
			if f.cfg.Began != nil {
				f.cfg.Began(topic, from)
			}
			close(f.loaded)
			return from, nil
		}
		f.cfg.Logger.Warn("the end of positions is not known yet", slog.Any("err", err))
		if !pause(ctx, tryAgain) {
			return nil, ctx.Err()
		}
	}
}

func (f *Feed) ends(ctx context.Context) (topic string, from map[int32]int64, err error) {
	topic, n, err := f.cfg.Log.Topic(ctx, event.TopicPositions)
	if err == nil && n == 0 {
		err = errors.New("feed: positions has no partitions")
	}
	if err != nil {
		return "", nil, err
	}
	from = make(map[int32]int64, n)
	for p := range n {
		if from[p], err = f.cfg.Log.LastStable(ctx, event.TopicPositions, p); err != nil {
			return "", nil, err
		}
	}
	return topic, from, nil
}

// add takes a record in.
func (f *Feed) add(rec *stream.Record) error {
	if f.cfg.Passed != nil {
		f.cfg.Passed(rec)
	}
	if rec.Attrs.IsControl() {
		return nil // nothing changes
	}
	c, ok := change(rec)
	if !ok {
		return nil // the projector writes the dead letter
	}
	f.mu.Lock()
	f.parts[rec.Partition].add(c)
	f.mu.Unlock()
	select {
	case f.arrived <- struct{}{}:
	default:
	}
	return nil
}

// change reads a record's key, which names the position: entity|item|location.
func change(rec *stream.Record) (Change, bool) {
	i := bytes.LastIndexByte(rec.Key, '|')
	if i < 0 {
		return Change{}, false
	}
	key, err := event.ParseKey(string(rec.Key[:i]))
	if err != nil {
		return Change{}, false
	}
	return Change{
		Partition: rec.Partition, Offset: rec.Offset, Key: key,
		Location: inventory.Location(inventory.Unescape(string(rec.Key[i+1:]))), At: rec.Timestamp.UnixMilli(),
	}, true
}

// show makes changes visible as the marks pass them.
func (f *Feed) show(ctx context.Context) {
	wait := askSoon
	for {
		behind := f.behind()
		if len(behind) == 0 {
			select {
			case <-f.arrived:
				wait = askSoon
				continue
			case <-ctx.Done():
				return
			}
		}
		marks, err := f.cfg.Marks(ctx, f.Topic(), behind)
		switch {
		case err != nil && ctx.Err() == nil:
			f.cfg.Logger.Warn("changes wait: what numbers are read from does not answer", slog.Any("err", err))
			wait = askLate
		case f.pass(marks):
			wait = askSoon
			continue
		}
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, askLate)
	}
}

func (f *Feed) behind() []int32 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var out []int32
	for p := range f.parts {
		if f.parts[p].visible < f.parts[p].next {
			out = append(out, int32(p)) //nolint:gosec // partition counts are int32
		}
	}
	return out
}

// pass says whether anything became visible.
func (f *Feed) pass(marks map[int32]int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	more := false
	for p, m := range marks {
		r := &f.parts[p]
		if now := min(r.next, m); now > r.visible {
			r.visible, more = now, true
		}
	}
	if more {
		close(f.changed)
		f.changed = make(chan struct{})
	}
	return more
}

// Fresh is where a reader begins that has seen nothing: what is read from now on is
// as new as that, and what changes later is told. The feed must be loaded.
func (f *Feed) Fresh(ctx context.Context) (*Bookmark, error) {
	f.mu.RLock()
	n := int32(len(f.parts)) //nolint:gosec // partition counts are int32
	f.mu.RUnlock()
	all := make([]int32, n)
	for p := range all {
		all[p] = int32(p) //nolint:gosec // the same
	}
	marks, err := f.cfg.Marks(ctx, f.Topic(), all)
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	b := &Bookmark{Topic: f.topic, Next: make([]int64, n), Floor: make([]int64, n)}
	for p := range f.parts {
		m, ok := marks[int32(p)] //nolint:gosec // the same
		if !ok {
			return nil, fmt.Errorf("%w: partition %d", ErrLoading, p)
		}
		b.Next[p] = min(m, f.parts[p].visible)
		b.Floor[p] = b.Next[p]
	}
	return b, nil
}

// ErrLoading says that what numbers are read from is being loaded.
var ErrLoading = errors.New("feed: being loaded")

// pause is false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
