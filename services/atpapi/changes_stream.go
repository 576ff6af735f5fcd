package atpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/atpapi/feed"
)

const (
	maxPending = 1000                   // items that wait to be told of one stream
	busyWait   = 50 * time.Millisecond  // until it is tried again to read from the log
	failedWait = 500 * time.Millisecond // after the log did not answer
	firstWait  = 2 * time.Millisecond   // for a store that is behind; it doubles
	longWait   = time.Second
)

// changeStream tells one reader what changes. Of an item that changed often it tells
// the latest alone. One goroutine uses it.
//
// What it tells is read from the store once that has every change which the reader is
// then said to know of, and never from a store that stands before what was told from
// already: the id carries both offsets, so Invariant 5 holds for the reader from one
// connection to the next, whatever replica it is of.
type changeStream struct {
	*changes
	sub  *subscription
	out  output
	poll bool

	tail  *feed.Reader
	sent  feed.Bookmark
	said  string // the last id written
	fresh bool   // it began anew: nothing is missing

	m       *moment
	known   uint32 // the sum of the moment that was told, or is pending
	views   int64
	group   []inventory.Location // whose changes matter; none: all
	channel *policy.Channel

	order   []inventory.Key
	pending map[inventory.Key]int64  // when the oldest change of those was appended, ms; 0: not known
	told    map[inventory.Key]uint64 // of named items: what was told last
	first   []told                   // to be told before all else
}

func (s *changeStream) close() {
	if s.tail != nil {
		s.tail.Close()
	}
}

// resolve finds what the subscription names by the policy of a moment.
func (s *changeStream) resolve(m *moment) *problem {
	w := wanted{query: s.sub.like, promises: m.promises}
	w.key.Item = "" // of none in particular: what channel sells it is seen later
	switch q := &w.query; {
	case q.channel != "":
		c, ok := m.promises.Channel(q.channel)
		if !ok || c.Entity != q.key.Entity {
			return &problem{
				status: http.StatusNotFound, code: "unknown_channel", title: "Unknown channel",
				detail: fmt.Sprintf("no channel %q of entity %q", q.channel, q.key.Entity),
			}
		}
		s.channel, s.group = c, c.Locations
	default:
		if bad := w.resolve(); bad != nil {
			return bad
		}
		s.channel, s.group = nil, w.group
	}
	s.m = m
	return nil
}

// begin starts from a bookmark, or anew.
func (s *changeStream) begin(ctx context.Context, from *feed.Bookmark) error {
	if from == nil {
		return s.anew(ctx)
	}
	tail, err := s.feed.Open(ctx, from, s.cfg.MaxBack)
	switch {
	case err == nil:
		s.tail, s.sent, s.known = tail, *from, from.Moment
		s.views = s.m.views
		s.first = append(s.first, told{name: eventOpen, data: s.opened(true)})
		if s.known != s.m.sum || s.m.viewed { // which views changed meanwhile is not known
			s.recheck(s.m.since(nil))
		}
		return nil
	case errors.Is(err, feed.ErrOther):
		return s.reset(ctx, "other_generation")
	case errors.Is(err, feed.ErrTooFar):
		return s.reset(ctx, "too_far_back")
	}
	return err
}

func (s *changeStream) anew(ctx context.Context) error {
	b, err := s.feed.Fresh(ctx)
	if err != nil {
		return err
	}
	tail, err := s.feed.Open(ctx, b, s.cfg.MaxBack)
	if err != nil {
		return err
	}
	s.close()
	s.tail, s.sent, s.fresh = tail, *b, true
	s.known, s.sent.Moment, s.views = s.m.sum, s.m.sum, s.m.views
	clear(s.pending)
	clear(s.told)
	s.order = s.order[:0]
	for _, it := range s.sub.items {
		s.add(inventory.Key{Entity: s.sub.like.key.Entity, Item: it}, 0)
	}
	s.first = append(s.first, told{name: eventOpen, data: s.opened(false)})
	return nil
}

// reset starts anew and says so: the reader missed something.
func (s *changeStream) reset(ctx context.Context, reason string) error {
	if err := s.anew(ctx); err != nil {
		return err
	}
	s.first = append(s.first, told{name: eventReset, data: reasonOf{Reason: reason}})
	return nil
}

// at takes another moment in.
func (s *changeStream) at(m *moment) *problem {
	before := s.m
	if m == before {
		return nil
	}
	if bad := s.resolve(m); bad != nil {
		return bad
	}
	if m.sum != s.known {
		s.recheck(m.since(before))
	}
	if m.viewed {
		keys, now, ok := s.reader.views.Since(s.views)
		s.views = now
		if !ok {
			s.recheck("silence")
		}
		for _, k := range keys {
			s.affected(k, 0)
		}
	}
	return nil
}

// recheck is told when any number may be another one: of named items it is looked
// whether they are.
func (s *changeStream) recheck(reason string) {
	s.known = s.m.sum
	if len(s.sub.items) == 0 {
		s.sent.Moment = s.known
		s.first = append(s.first, told{name: eventRecheck, data: reasonOf{Reason: reason, PolicyVersion: s.m.promises.Version()}})
		return
	}
	for _, it := range s.sub.items {
		s.add(inventory.Key{Entity: s.sub.like.key.Entity, Item: it}, 0)
	}
}

// keep takes a change in; false: no more for now.
func (s *changeStream) keep(c *feed.Change) bool {
	if len(s.group) == 0 || slices.Contains(s.group, c.Location) {
		s.affected(c.Key, c.At)
	}
	return len(s.order) < maxPending
}

// affected are an item that changed and the kits it is a part of.
func (s *changeStream) affected(k inventory.Key, at int64) {
	s.add(k, at)
	for _, kit := range s.m.promises.KitsWith(k) {
		s.add(kit, at)
	}
}

func (s *changeStream) add(k inventory.Key, at int64) {
	if k.Entity != s.sub.like.key.Entity || s.sub.named != nil && !s.sub.named[k.Item] || s.channel != nil && !s.channel.Sells(k) {
		return
	}
	if _, waits := s.pending[k]; !waits {
		s.pending[k] = at
		s.order = append(s.order, k)
	}
}

// run tells what changes until ctx is done, the time is over, or the reader has to be
// dropped: for which reason, if it is.
func (s *changeStream) run(ctx context.Context, until time.Duration) (dropped string, err error) {
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	over := time.NewTimer(max(0, until))
	defer over.Stop()
	ended, behind := false, time.Duration(0)
	now := make(chan struct{})
	close(now)
	for {
		changed := s.feed.Changed()
		m, another := s.moments.get()
		if bad := s.at(m); bad != nil {
			return s.drop(bad.code, bad)
		}
		if err := s.begun(ctx); err != nil {
			return s.lost(ctx, err)
		}
		again, retry := false, time.Duration(0)
		if len(s.order) == 0 {
			again, retry, err = s.take(ctx)
			if err != nil {
				return s.lost(ctx, err)
			}
		}
		if len(s.order) > 0 {
			some, err := s.flush(ctx)
			if err != nil {
				return s.lost(ctx, err)
			}
			behind = min(max(2*behind, firstWait), longWait)
			if again = some; some {
				behind = 0
			}
			retry = behind
		}
		if len(s.order) == 0 {
			s.settle()
		}
		if s.answers() || ended && (len(s.order) == 0 || behind > 0) {
			return s.leave("")
		}
		var at <-chan struct{}
		if again || len(s.first) > 0 {
			at = now
		}
		var later <-chan time.Time
		var t *time.Timer
		if retry > 0 {
			t = time.NewTimer(retry)
			later = t.C
		}
		select {
		case <-at:
		case <-later:
		case <-changed:
		case <-another:
		case <-beat.C:
			err = s.out.beat(s.id())
		case <-over.C:
			ended = true
			if !s.poll {
				return s.leave("age")
			}
		case <-s.ending:
			return s.leave("shutdown")
		case <-ctx.Done():
			return "", nil
		}
		if t != nil {
			t.Stop()
		}
		if err != nil {
			return s.lost(ctx, err)
		}
	}
}

// answers says whether a long poll has what it waits for.
func (s *changeStream) answers() bool {
	c, ok := s.out.(*collector)
	return ok && len(s.order) == 0 && len(s.first) == 0 && (s.fresh || len(c.answer.Events) > 0)
}

// begun tells what comes before all else, and after which a reader may read what it
// holds. Where copies answer first, any replica's may be of a bound ago: who read what
// was before the id would not be told of it again.
func (s *changeStream) begun(ctx context.Context) error {
	if len(s.first) == 0 {
		return nil
	}
	if l := s.reader.local; l.first() {
		pause(ctx, l.cfg.Bound)
	}
	s.first[len(s.first)-1].id = s.id() // which says that all of it was told
	defer func() { s.first = nil }()
	return s.tell(s.first)
}

// take takes in what has changed. An error is the reader's end.
func (s *changeStream) take(ctx context.Context) (again bool, retry time.Duration, err error) {
	s.out.pause()
	again, err = s.tail.Take(ctx, s.keep)
	switch {
	case err == nil:
		return again, 0, nil
	case errors.Is(err, feed.ErrBusy):
		return false, busyWait, nil
	case errors.Is(err, feed.ErrSlow):
		return false, 0, err
	case errors.Is(err, feed.ErrGone):
		if err = s.reset(ctx, "older_than_log"); err == nil {
			return true, 0, nil
		}
	}
	if ctx.Err() == nil {
		s.log.Warn("changes cannot be read, trying again", slog.Any("err", err))
	}
	return false, failedWait, nil
}

// settle: everything up to where the reader stands has been told.
func (s *changeStream) settle() {
	s.sent.Next, s.sent.Moment = slices.Clone(s.tail.Next()), s.known
}

// id is the bookmark's, or empty when it is the last one written.
func (s *changeStream) id() string {
	for p, next := range s.sent.Next {
		s.sent.Floor[p] = max(s.sent.Floor[p], next)
	}
	id := s.sent.String()
	if id == s.said {
		return ""
	}
	s.said = id
	return id
}

func (s *changeStream) tell(events []told) error {
	for i := range events {
		s.count.events.WithLabelValues(events[i].name).Inc()
	}
	return s.out.tell(events)
}

// lost is the end of a reader that could not be told more.
func (s *changeStream) lost(ctx context.Context, err error) (string, error) {
	switch {
	case errors.Is(err, feed.ErrSlow), errors.Is(err, errSlow):
		return s.drop("slow", err)
	case ctx.Err() != nil:
		return "", nil // it left
	}
	return s.drop("unwritable", err)
}

// drop says why, if the reader takes that still.
func (s *changeStream) drop(reason string, err error) (string, error) {
	s.out.last(told{name: eventDropped, id: s.id(), data: reasonOf{Reason: reason}})
	return reason, err
}

// leave ends a stream in good order.
func (s *changeStream) leave(reason string) (string, error) {
	if c, ok := s.out.(*collector); ok {
		s.said = ""
		c.answer.ID = s.id()
		return "", nil
	}
	s.out.last(told{name: eventClosed, id: s.id(), data: reasonOf{Reason: reason}})
	return "", nil
}
