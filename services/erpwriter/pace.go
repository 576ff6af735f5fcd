package erpwriter

import (
	"context"
	"sync"
	"time"
)

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pace spaces the calls to one ERP evenly. It is safe for concurrent use.
type pace struct {
	gap time.Duration
	now func() time.Time

	mu   sync.Mutex
	next time.Time
}

// newPace allows rate calls a second; zero or less is no limit.
func newPace(rate float64, now func() time.Time) *pace {
	p := &pace{now: now}
	if rate > 0 {
		p.gap = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// wait takes the next free slot and waits for it.
func (p *pace) wait(ctx context.Context) error {
	if p.gap == 0 {
		return ctx.Err()
	}
	p.mu.Lock()
	now := p.now()
	slot := p.next
	if slot.Before(now) {
		slot = now
	}
	p.next = slot.Add(p.gap)
	p.mu.Unlock()
	return sleep(ctx, slot.Sub(now))
}

// breaker keeps callers away from an ERP that is down: after threshold outages in
// a row it is open for cool, doubling up to maxCool; then one caller tries, and
// its fate closes the breaker or opens it again. It is safe for concurrent use.
type breaker struct {
	threshold     int
	cool, maxCool time.Duration
	now           func() time.Time
	changed       func(open bool) // called with the lock held; must not wait

	mu      sync.Mutex
	fails   int
	until   time.Time // open before this
	current time.Duration
	probing bool
}

// enter waits until a call may be made. A caller that enters must leave.
func (b *breaker) enter(ctx context.Context) error {
	for {
		b.mu.Lock()
		if b.fails < b.threshold {
			b.mu.Unlock()
			return ctx.Err()
		}
		wait := b.until.Sub(b.now())
		if wait <= 0 && !b.probing {
			b.probing = true
			b.mu.Unlock()
			return ctx.Err()
		}
		b.mu.Unlock()
		// While somebody else tries, look again a little later.
		if err := sleep(ctx, max(wait, b.cool/4)); err != nil {
			return err
		}
	}
}

// leave reports how the call went: an outage or an answer.
func (b *breaker) leave(outage bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if !outage {
		if b.fails >= b.threshold {
			b.changed(false)
		}
		b.fails, b.current = 0, 0
		return
	}
	b.fails++
	if b.fails < b.threshold {
		return
	}
	if b.fails == b.threshold {
		b.changed(true)
	}
	b.current = min(max(b.cool, 2*b.current), b.maxCool)
	b.until = b.now().Add(b.current)
}

// backoff is the wait before attempt n (from 1): it doubles from first to most,
// and jitter, from 0 to 1, takes away up to half, so that many do not come back
// together.
func backoff(n int, first, most time.Duration, jitter float64) time.Duration {
	d := most
	if shift := n - 1; shift < 20 {
		d = min(first<<shift, most)
	}
	return d - time.Duration(jitter*float64(d)/2)
}
