package ingest

import (
	"context"
	"errors"
	"sync"
	"time"
)

// probeEvery is how often a closed gate asks whether the log is back, and how long
// it waits for the answer.
const probeEvery = time.Second

var errLogAway = errors.New("the log does not take messages")

// gate turns senders away at once while the log is down. Without it each request
// would wait its whole time, and leave a record behind in the producer's buffer
// that nobody is waiting for. It is safe for concurrent use.
type gate struct {
	ping func(context.Context) error
	now  func() time.Time

	mu     sync.Mutex
	closed bool
	next   time.Time // of the next probe
}

// open says whether a message may be tried. One caller at a time finds out.
func (g *gate) open(ctx context.Context) bool {
	g.mu.Lock()
	now := g.now()
	if !g.closed {
		g.mu.Unlock()
		return true
	}
	if now.Before(g.next) {
		g.mu.Unlock()
		return false
	}
	g.next = now.Add(probeEvery)
	g.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	if g.ping(ctx) != nil {
		return false
	}
	g.mu.Lock()
	g.closed = false
	g.mu.Unlock()
	return true
}

// close is called when the log did not take a message.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.next = true, g.now().Add(probeEvery)
}

// ready is the readiness check; it opens the gate when the log is back.
func (g *gate) ready() error {
	if !g.open(context.Background()) {
		return errLogAway
	}
	return nil
}
