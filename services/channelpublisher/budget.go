package channelpublisher

import (
	"context"
	"sync"
	"time"
)

// budget spaces calls evenly at a rate, and lets a second's worth go at once after
// a pause. It is safe for concurrent use.
type budget struct {
	every time.Duration
	burst time.Duration
	now   func() time.Time

	mu   sync.Mutex
	next time.Time // when the next call may go
}

func newBudget(perSecond float64, now func() time.Time) *budget {
	return &budget{every: time.Duration(float64(time.Second) / perSecond), burst: time.Second, now: now}
}

// wait takes one call from the budget and returns when it may be made.
func (b *budget) wait(ctx context.Context) error {
	b.mu.Lock()
	now := b.now()
	if earliest := now.Add(-b.burst); b.next.Before(earliest) {
		b.next = earliest
	}
	at := b.next
	b.next = b.next.Add(b.every)
	b.mu.Unlock()
	return sleep(ctx, at.Sub(now))
}

// hold lets no call go for a while: the channel asked for it.
func (b *budget) hold(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := b.now().Add(d); b.next.Before(until) {
		b.next = until
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
