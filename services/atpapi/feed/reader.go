package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Why a reader cannot go on.
var (
	// ErrOther: the bookmark is of another topic, or of offsets it does not have. A
	// rebuilt topic has other offsets.
	ErrOther = errors.New("feed: of another generation of the topic")
	// ErrGone: the log no longer has what comes next.
	ErrGone = errors.New("feed: older than the log keeps")
	// ErrTooFar: there is more to read than a reader may.
	ErrTooFar = errors.New("feed: too far back")
	// ErrSlow: the changes that come next have fallen out of memory since the reader had
	// all of those before.
	ErrSlow = errors.New("feed: too slow")
	// ErrBusy: others read from the log; come again.
	ErrBusy = errors.New("feed: others read from the log")
)

// Reader tells changes from a bookmark on: each at least once, of an item that
// changed often the newest at least, since the log is compacted. One goroutine uses
// it. It has to be closed.
type Reader struct {
	f       *Feed
	next    []int64
	had     []bool // had all that was visible once
	cursors []*stream.Cursor
	token   bool // of f.backlogs
}

// Open starts a reader. maxBack bounds the offsets that may have to be read from the
// log.
func (f *Feed) Open(ctx context.Context, b *Bookmark, maxBack int64) (*Reader, error) {
	f.mu.RLock()
	n := len(f.parts)
	other := b.Topic != f.topic || len(b.Next) != n
	var back int64
	for p := 0; p < n && !other; p++ {
		back += max(0, f.parts[p].from-b.Next[p])
	}
	f.mu.RUnlock()
	switch {
	case other:
		return nil, ErrOther
	case back > maxBack:
		return nil, fmt.Errorf("%w: %d offsets", ErrTooFar, back)
	}
	for p := range b.Next {
		if known := f.end(p); b.Next[p] <= known && b.Floor[p] <= known {
			continue
		}
		// Another replica may be ahead of this one, but not of the log.
		end, err := f.cfg.Log.LastStable(ctx, event.TopicPositions, int32(p)) //nolint:gosec // partition counts are int32
		if err != nil {
			return nil, err
		}
		if b.Next[p] > end || b.Floor[p] > end {
			return nil, ErrOther
		}
	}
	return &Reader{f: f, next: slices.Clone(b.Next), had: make([]bool, n), cursors: make([]*stream.Cursor, n)}, nil
}

// end is behind the last change of a partition that is known.
func (f *Feed) end(p int) int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.parts[p].next
}

// Next is where the reader stands: everything before has been told. It is not to be
// changed, and changes with Take.
func (r *Reader) Next() []int64 { return r.next }

// Take tells what is visible, until keep returns false; that change is told still.
// What has to be read from the log comes a batch at a time, and until the next Take the
// reader is one of those that do so. More says that a further Take may tell more
// already.
func (r *Reader) Take(ctx context.Context, keep func(*Change) bool) (more bool, err error) {
	r.Release()
	for p := range r.next {
		full, old, err := r.recent(p, keep)
		if full || err != nil {
			return full, err
		}
		if old {
			return true, r.older(ctx, p, keep)
		}
	}
	return false, nil
}

// recent tells from memory; old: the log has to be read.
func (r *Reader) recent(p int, keep func(*Change) bool) (full, old bool, err error) {
	r.f.mu.RLock()
	defer r.f.mu.RUnlock()
	ring := &r.f.parts[p]
	switch next := r.next[p]; {
	case next >= ring.visible:
		r.had[p] = true
		return false, false, nil
	case next >= ring.from:
		next, all := ring.each(next, keep)
		r.next[p], r.had[p], r.cursors[p] = next, r.had[p] || all, nil
		return !all, false, nil
	case r.had[p] && next >= ring.unseen:
		return false, false, ErrSlow
	}
	return false, true, nil
}

// older tells one batch from the log.
func (r *Reader) older(ctx context.Context, p int, keep func(*Change) bool) error {
	select {
	case r.f.backlogs <- struct{}{}:
		r.token = true
	default:
		return ErrBusy
	}
	c := r.cursors[p]
	if c == nil || c.Offset() != r.next[p] {
		c = r.f.cfg.Log.Cursor(event.TopicPositions, int32(p), r.next[p], true) //nolint:gosec // partition counts are int32
		r.cursors[p] = c
	}
	recs, err := c.Next(ctx)
	if errors.Is(err, stream.ErrGone) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err != nil {
		return err
	}
	r.f.mu.RLock()
	until := r.f.parts[p].visible
	r.f.mu.RUnlock()
	for _, rec := range recs {
		if rec.Offset >= until {
			break
		}
		ch, ok := change(rec)
		ch.At = 0 // how long ago says nothing of this reader
		if ok && !keep(&ch) {
			r.next[p] = rec.Offset + 1 // the rest is fetched again
			return nil
		}
	}
	r.next[p] = min(c.Offset(), until)
	return nil
}

// Release lets others read from the log while the reader does something that takes long,
// until its next Take.
func (r *Reader) Release() {
	if r.token {
		<-r.f.backlogs
		r.token = false
	}
}

// Close ends it.
func (r *Reader) Close() { r.Release() }
