//go:build synctests

package stream

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// settling notes how transactions ended.
type settling struct {
	mu    sync.Mutex
	ended []bool
}

func (*settling) Owned(int32, func(func(string, []byte) bool)) {}
func (*settling) Disowned(int32)                               {}

func (s *settling) Settled(committed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, committed)
}

func (s *settling) want(t *testing.T, what string, ended ...bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.ended, ended) {
		t.Errorf("%s: told %v, want %v", what, s.ended, ended)
	}
	s.ended = nil
}

// An owner is told how each transaction ended, be it that only the group's offsets say.
func TestOwnerIsToldHowTransactionsEnd(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		o, failing := new(settling), false
		p := &counter{step: func(Input, *State) error {
			if failing = !failing; failing {
				return errors.New("the first time it fails")
			}
			return nil
		}}
		w := b.runner("0", p, func(c *RunnerConfig) { c.Owner = o })
		b.put(0, "a")
		b.until("commits", func() bool { return b.groupOffset(0) == 1 })
		b.until("is told", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.ended) == 2 })
		o.want(t, "a step failed", false, true)

		p.mu.Lock()
		p.step = nil
		p.mu.Unlock()
		lost := b.loseEnd(kerr.UnknownServerError, true, nil)
		b.put(0, "b")
		b.until("adopts", func() bool { return w.metric("unknown_commits_total", outcomeAdopted) == 1 })
		o.want(t, "the answer of a commit was lost", true)
		if !lost.Load() {
			t.Error("no answer was lost")
		}
		b.loseEnd(kerr.UnknownServerError, false, nil)
		b.put(0, "c")
		b.until("commits", func() bool { return b.groupOffset(0) == 3 })
		b.until("is told", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.ended) == 2 })
		o.want(t, "the commit did not take effect", false, true)
		b.wantOut(0, "a1 b1 c1")
		w.stop()
	})
}
