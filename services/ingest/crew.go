package ingest

import (
	"context"
	"log/slog"
	"sync"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// fetchGroup divides the works among the replicas.
const fetchGroup = "ingest-fetch"

// crew does the works of the sources as they are now: one that is new begins, one that
// is gone ends behind its unit of work, and one that has changed does so before it goes
// on as it is now. It is safe for concurrent use.
type crew struct {
	kafka stream.Config
	log   *slog.Logger

	mu      sync.Mutex
	works   map[string]*work // by key
	changed chan struct{}    // closed when works is another one
}

func newCrew(kafka stream.Config, log *slog.Logger) *crew {
	return &crew{kafka: kafka, log: log, changed: make(chan struct{})}
}

// set says what is to be done from now on.
func (c *crew) set(live map[inventory.Source]*way) {
	works := map[string]*work{}
	for _, w := range live {
		for _, one := range w.works {
			works[one.key] = one
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.works = works
	close(c.changed)
	c.changed = make(chan struct{})
}

// now is what is to be done, never changed, and what is closed when it is no more that.
func (c *crew) now() (map[string]*work, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.works, c.changed
}

// run works until ctx ends, and returns when all works have ended.
func (c *crew) run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all.Go(func() { c.tend(ctx, func(w *work) bool { return w.everywhere }) })
	for { // whoever fetches nothing needs no topic of cursors
		works, changed := c.now()
		if divided(works) {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
	return hold(ctx, c.kafka, c.log, fetchGroup, func(ctx context.Context, mine func(key string) bool) {
		c.tend(ctx, func(w *work) bool { return !w.everywhere && mine(w.key) })
	})
}

func divided(works map[string]*work) bool {
	for _, w := range works {
		if !w.everywhere {
			return true
		}
	}
	return false
}

// job is a work that was begun.
type job struct {
	work *work
	stop context.CancelFunc
	over bool // it was stopped: the same work is another job then
	done chan struct{}
}

// tend does those works that are mine, as they change, until ctx ends and all of them
// have. Of one key one job runs at a time.
func (c *crew) tend(ctx context.Context, mine func(*work) bool) {
	var all sync.WaitGroup
	defer all.Wait()
	jobs := map[string]*job{}
	for ctx.Err() == nil {
		works, changed := c.now()
		for key, j := range jobs {
			if works[key] != j.work {
				j.stop()
				j.over = true
			}
		}
		for key, w := range works {
			before := jobs[key]
			if mine(w) && (before == nil || before.over) {
				jobs[key] = begin(ctx, &all, w, before)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// begin does a work behind the job before of its key.
func begin(ctx context.Context, all *sync.WaitGroup, w *work, before *job) *job {
	until, stop := context.WithCancel(ctx)
	j := &job{work: w, stop: stop, done: make(chan struct{})}
	all.Go(func() {
		defer close(j.done)
		defer stop()
		if before != nil {
			<-before.done
		}
		if until.Err() == nil {
			w.run(ctx, until)
		}
	})
	return j
}
