package pull

import (
	"context"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
)

// maxRetryAfter bounds what a Retry-After is believed.
const maxRetryAfter = 24 * time.Hour

// Sleep waits for d or until ctx is done, and then returns its error.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
}

// unitGrace is how much longer than its context a unit of work may take.
const unitGrace = 5 * time.Second

// Unit is the context of a unit of work, such as an append with the cursor behind it:
// where ctx ends in the middle of it, it has a moment to come to its own end, so that
// little is done again. over must be called behind it.
func Unit(ctx context.Context) (unit context.Context, over func()) {
	unit, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = Sleep(unit, unitGrace) // it is over, or has had its time
		cancel()
	})
	return unit, func() { stop(); cancel() }
}

// Backoff is the wait after n failures in a row (from 1): it doubles from First to
// Most, and is Most once the other side counts as down; jitter, from 0 to 1, takes away
// up to half of it, so that many do not come back together.
func Backoff(r policy.Retry, n int, jitter float64) time.Duration {
	d := r.Most
	if shift := n - 1; shift < 20 && (r.Open == 0 || n < r.Open) {
		d = min(r.First<<shift, r.Most)
	}
	return d - time.Duration(jitter*float64(d)/2)
}
