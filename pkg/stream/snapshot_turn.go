package stream

import (
	"context"
	"errors"
	"time"
)

// turnFor is how long the loop stands still for one turn, by and large.
const turnFor = time.Millisecond

// A turn is a moment between two transactions in which another goroutine may read
// what belongs to the loop. The loop stands still until it is given back.
type turn struct {
	granted, returned chan struct{}
}

var errPartitionGone = errors.New("the partition was taken away")

// lend grants a turn if somebody waits for one. The loop calls it with no transaction
// open.
func (s *session) lend() {
	s.mu.Lock()
	t := s.turn
	s.turn = nil
	s.mu.Unlock()
	if t != nil {
		close(t.granted)
		<-t.returned
	}
}

// reader takes turns to read a partition. One goroutine uses it; one reader of a
// session waits at a time.
type reader struct {
	s    *session // nil when the loop has ended: the memory is the reader's
	p    *partition
	turn *turn
	idle bool // as of the last turn
}

// take waits for a turn. While transactions follow each other the next one's end is
// waited for; an idle loop is woken.
func (r *reader) take(ctx context.Context) error {
	s := r.s
	if s == nil {
		return ctx.Err()
	}
	t := &turn{granted: make(chan struct{}), returned: make(chan struct{})}
	s.mu.Lock()
	s.turn = t
	if r.idle {
		s.poke()
	}
	s.mu.Unlock()
	patience := time.NewTimer(2*s.r.cfg.Commit + 10*time.Millisecond)
	defer patience.Stop()
	for {
		select {
		case <-t.granted:
			r.turn = t
			if r.p.gone.Load() {
				r.give()
				return errPartitionGone
			}
			return nil
		case <-patience.C:
			s.mu.Lock()
			s.poke()
			s.mu.Unlock()
		case <-ctx.Done():
			s.mu.Lock()
			granted := s.turn != t
			if !granted {
				s.turn = nil
			}
			s.mu.Unlock()
			if granted {
				close(t.returned)
			}
			return ctx.Err()
		}
	}
}

// give ends the turn.
func (r *reader) give() {
	if r.turn == nil {
		return
	}
	r.idle = r.s.r.now().Sub(r.s.txn.began) > time.Second
	close(r.turn.returned)
	r.turn = nil
}
