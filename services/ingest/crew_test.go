package ingest

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/stockweave/stockweave/pkg/event"
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

// Whoever divides nothing asks the log for nothing, and does what everybody does.
func TestCrewThatDividesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{busy: map[string]bool{}, t: t}
		var said strings.Builder
		c := newCrew(stream.Config{}, slog.New(slog.NewTextHandler(&said, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- c.run(ctx) }()
		of := d.work("outbox", "outbox", 0)
		of.everywhere = true
		c.set(waysOf(of))
		synctest.Wait()
		if got := d.take(); !slices.Equal(got, []string{"outbox begins"}) {
			t.Errorf("%q", got)
		}
		cancel()
		if err := <-over; err != nil || said.Len() > 0 {
			t.Errorf("%v %s", err, said.String())
		}
	})
}

// A replica that holds all partitions does each work once, those that are divided and
// those that everybody does.
func TestCrewDoesEachWorkOnce(t *testing.T) {
	const partitions = 3
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, event.TopicCursors))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	var mu sync.Mutex
	begun := map[string]int{}
	count := func(key string) int {
		mu.Lock()
		defer mu.Unlock()
		return begun[key]
	}
	of := func(key string, everywhere bool) *work {
		return &work{key: key, everywhere: everywhere, run: func(_, until context.Context) {
			mu.Lock()
			begun[key]++
			mu.Unlock()
			<-until.Done()
		}}
	}
	keys := map[int32]string{} // one of each partition
	for n := 0; len(keys) < partitions; n++ {
		key := strconv.Itoa(n)
		keys[stream.Partition([]byte(key), partitions)] = key
	}
	works := []*work{of("outbox", true)}
	for _, key := range keys {
		works = append(works, of(key, false))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := newCrew(stream.Config{Brokers: k.ListenAddrs()}, slog.New(slog.DiscardHandler))
	c.set(waysOf(works...))
	over := make(chan error)
	go func() { over <- c.run(ctx) }()
	for end := time.Now().Add(time.Minute); count("outbox") == 0 || count(keys[0]) == 0 || count(keys[1]) == 0 || count(keys[2]) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not all works have begun within a minute")
		}
	}
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
	for _, w := range works {
		if n := count(w.key); n != 1 {
			t.Errorf("%s is done %d times", w.key, n)
		}
	}
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
