package ingest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// diary is what works did.
type diary struct {
	mu    sync.Mutex
	lines []string
	busy  map[string]bool // by key
	t     *testing.T
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.lines
	d.lines = nil
	slices.Sort(out)
	return out
}

// work says when it begins and ends. Its unit of work takes a while behind until.
func (d *diary) work(key, name string, unit time.Duration) *work {
	mark := func(on bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.busy[key] == on {
			d.t.Errorf("%s: two works of %s at a time", name, key)
		}
		d.busy[key] = on
	}
	return &work{key: key, run: func(ctx, until context.Context) {
		mark(true)
		d.note(name + " begins")
		<-until.Done()
		select {
		case <-time.After(unit):
			d.note(name + " ends")
		case <-ctx.Done():
			d.note(name + " is cut off")
		}
		mark(false)
	}}
}

func waysOf(works ...*work) map[inventory.Source]*way {
	return map[inventory.Source]*way{"all": {works: works}}
}

// What is fetched follows what is set: of one key one work at a time, each to the end of
// its unit, and nobody waits for the work of another key.
func TestCrewFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{busy: map[string]bool{}, t: t}
		c := newCrew(stream.Config{}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			c.tend(ctx, func(w *work) bool { return w.key != "theirs" })
			close(over)
		}()
		expect := func(step string, want ...string) {
			t.Helper()
			synctest.Wait()
			slices.Sort(want)
			if got := d.take(); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", step, got, want)
			}
		}
		set := func(works ...*work) { c.set(waysOf(works...)) }
		a1, b1 := d.work("a", "a1", time.Minute), d.work("b", "b1", time.Second)
		set(a1, b1, d.work("theirs", "theirs", 0))
		expect("at first", "a1 begins", "b1 begins")

		a2, b2 := d.work("a", "a2", time.Second), d.work("b", "b2", time.Second)
		set(a2, b2)
		expect("changed: the unit goes on")
		time.Sleep(time.Second)
		expect("b's unit is over, a's is not", "b1 ends", "b2 begins")
		a3 := d.work("a", "a3", time.Second)
		set(a3, b2)
		time.Sleep(time.Minute)
		expect("changed twice within one unit", "a1 ends", "a3 begins")

		set(a3)
		time.Sleep(time.Second)
		expect("one taken off", "b2 ends")
		set(a3, b2)
		expect("and let in again, as it was", "b2 begins")
		set(a3, b2)
		expect("nothing changed")

		cancel()
		<-over
		expect("the end waits for nobody's unit", "a3 is cut off", "b2 is cut off")
	})
}
