package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

const (
	partitions = 3
	// strikeLimit bounds the way of a worker from its start to the point.
	strikeLimit = time.Minute
)

// A point is a place in the worker's code. It is struck when it is passed for a
// random time, at most that often: the number suits what a few seconds bring.
type point struct {
	name string
	most int
	long bool // struck in the long run alone
}

// points are in the order in which a worker comes by them.
var points = []point{
	{name: "offsets_read", most: partitions, long: true},
	{name: "end_read", most: partitions},
	{name: "restored", most: partitions},
	{name: "taken_up", most: partitions, long: true},
	{name: "begun", most: 30, long: true},
	{name: "stepped", most: 150},
	{name: "all_stepped", most: 30, long: true},
	{name: "flushed", most: 30},
	{name: "produced", most: 30},
	{name: "ended", most: 30},
	{name: "merged", most: 30},
	{name: "unknown_settled", most: 20},
	{name: "unknown_adopted", most: 20, long: true},
	{name: "unknown_kept", most: 20, long: true},
	{name: "snapshot_written", most: 2, long: true},
	{name: "snapshot_renamed", most: 2},
	{name: "tick_appended", most: 2},
}

func TestMain(m *testing.M) { os.Exit(harness.CrashMain(m)) }

// plan is which points are struck, in random order: a crash meets what any other has
// left.
func plan(t *testing.T, rng *rand.Rand) []point {
	t.Helper()
	long, each := os.Getenv("STOCKWEAVE_FAULTS") == "long", 1
	if long {
		each = 50
	}
	if s := os.Getenv("CRASHES"); s != "" {
		var err error
		if each, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	var all []point
	for _, p := range points {
		for range each {
			if long || !p.long {
				all = append(all, p)
			}
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// A worker that dies at any point goes on as if nothing had happened.
func TestCrashPoints(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	policies, err := filepath.Abs(filepath.Join("..", "..", "policies"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, Stack: stack.New(t, stack.Options{
		Brokers: 3, Partitions: partitions, Policies: policies,
		Config: fmt.Sprintf("atp: {commit: 20ms, snapshot_dir: %q, snapshot_interval: 1s}", t.TempDir()),
	})}
	w.Start(t, "atp")
	worker := w.Process("atp")
	f := startFeed(t, w, rng.Uint64())
	w.reached(partitions) // something is applied before the first crash
	worker.Kill9()

	began := time.Now()
	hits := map[string]int{}
	all := plan(t, rng)
	took := map[string]time.Duration{}
	for _, p := range all {
		struck := time.Now()
		n := 1 + rng.IntN(p.most)
		worker.Strike(t, p.name, n, strikeLimit)
		hits[p.name]++
		took[p.name] += time.Since(struck)
	}
	lasted := time.Since(began)
	for name, d := range took {
		took[name] = (d / time.Duration(hits[name])).Round(10 * time.Millisecond)
	}
	t.Logf("%d crashes in %s; each took %v", len(all), lasted.Round(time.Second), took)

	worker.Restart(t)
	w.Ready(t, "atp")
	f.stop()
	w.rest()
	w.standings()
	events := w.outcomes()
	w.shadow()
	t.Logf("%d events fed and %d on the log", f.sent, events)
}
