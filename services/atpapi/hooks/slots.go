package hooks

import (
	"context"
	"sync"
)

const (
	partOwner = 4 // of the slots one owner may have a fourth
	partTests = 8 // beside them there is an eighth as many for tests
)

// slots bound the requests under way, of one owner too: slow receivers of one hold up its
// own subscriptions alone. It is safe for concurrent use.
type slots struct {
	all   chan struct{}
	share int // of one owner

	mu sync.Mutex
	of map[string]*ownSlots // of owners that have or wait for one
}

type ownSlots struct {
	taken chan struct{}
	users int // that have or wait for one
}

func newSlots(n int) *slots {
	return &slots{all: make(chan struct{}, n), share: max(1, n/partOwner), of: map[string]*ownSlots{}}
}

// take waits for one. leave gives it back; it is nil when ctx was done before.
func (s *slots) take(ctx context.Context, owner string) (leave func()) {
	own := s.own(owner)
	// An owner's own bound first: what waits for it keeps nobody else waiting.
	select {
	case own.taken <- struct{}{}:
	case <-ctx.Done():
		s.done(owner, own)
		return nil
	}
	select {
	case s.all <- struct{}{}:
	case <-ctx.Done():
		<-own.taken
		s.done(owner, own)
		return nil
	}
	return func() {
		<-s.all
		<-own.taken
		s.done(owner, own)
	}
}

func (s *slots) own(owner string) *ownSlots {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[owner]
	if own == nil {
		own = &ownSlots{taken: make(chan struct{}, s.share)}
		s.of[owner] = own
	}
	own.users++
	return own
}

func (s *slots) done(owner string, own *ownSlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(s.of, owner)
	}
}
