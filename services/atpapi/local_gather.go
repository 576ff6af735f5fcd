package atpapi

import (
	"context"
	"fmt"
	"sync"
)

const (
	gathersAtOnce = 2 // reads of Redis under way for requests of few items
	gatherMost    = 8 // items of a request that are few
)

// gather reads the items of requests that come at the same time together. What is asked
// for twice is read once, and what is read was asked for before: nobody is given an
// answer from before the question. It is safe for concurrent use.
type gather struct {
	load func(context.Context, []placed) ([]stood, error)

	mu      sync.Mutex
	waiting []*gathered
	running int
}

// gathered is a request that waits.
type gathered struct {
	of   []placed
	out  []stood
	err  error
	done chan struct{}
}

func (g *gather) items(ctx context.Context, of []placed) ([]stood, error) {
	if len(of) > gatherMost {
		return g.load(ctx, of)
	}
	a := &gathered{of: of, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, a)
	run := g.running < gathersAtOnce
	if run {
		g.running++
	}
	g.mu.Unlock()
	if run {
		// What is read for many does not end with the one it began with: the store's own
		// timeouts bound it.
		free := context.WithoutCancel(ctx)
		if g.once(free) {
			go func() {
				for g.once(free) {
				}
			}()
		}
	}
	select {
	case <-a.done:
		return a.out, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for items: %w", ctx.Err())
	}
}

// once reads what waits, as much as goes together, and says whether more does. If not,
// one read less is under way.
func (g *gather) once(ctx context.Context) (more bool) {
	g.mu.Lock()
	n, size := 0, 0
	for n < len(g.waiting) && size+len(g.waiting[n].of) <= maxTogether {
		size += len(g.waiting[n].of)
		n++
	}
	now := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	if len(g.waiting) == 0 {
		g.waiting = nil
	}
	g.mu.Unlock()
	g.read(ctx, now, size)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 {
		return true
	}
	g.running--
	return false
}

func (g *gather) read(ctx context.Context, asks []*gathered, size int) {
	if len(asks) == 0 {
		return
	}
	if len(asks) == 1 {
		a := asks[0]
		a.out, a.err = g.load(ctx, a.of)
		close(a.done)
		return
	}
	all, at := make([]placed, 0, size), make(map[placed]int, size)
	for _, a := range asks {
		for _, p := range a.of {
			if _, ok := at[p]; !ok {
				at[p] = len(all)
				all = append(all, p)
			}
		}
	}
	got, err := g.load(ctx, all)
	for _, a := range asks {
		if a.err = err; err == nil {
			a.out = make([]stood, len(a.of))
			for i, p := range a.of {
				a.out[i] = got[at[p]]
			}
		}
		close(a.done)
	}
}
