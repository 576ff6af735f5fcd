package canonicalizer

import (
	"context"
	"time"
)

// pace keeps work that can wait to a share of one core's time, so that what cannot
// wait finds a core: it rests after each bit of work in proportion to how long that
// took. One goroutine uses it at a time.
type pace struct {
	share float64 // of the time, in (0, 1]
	now   func() time.Time
	since time.Time // when work went on
}

// restEvery is the number of units between rests: a few milliseconds of work.
const restEvery = 100

// begin says that work begins.
func (p *pace) begin() {
	if p != nil {
		p.since = p.now()
	}
}

// rest pauses for what was worked since, or until ctx ends.
func (p *pace) rest(ctx context.Context) {
	if p == nil || p.share >= 1 {
		return
	}
	worked := p.now().Sub(p.since)
	t := time.NewTimer(time.Duration(float64(worked) * (1/p.share - 1)))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	p.since = p.now()
}
