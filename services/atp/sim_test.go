//go:build synctests

package atp

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Two workers that restart again and again, while leaders and coordinators move,
// answers are lost and members are thrown out: partners contend for a few items, their
// confirms and cancels come late, twice and in any order, and facts arrive as they like.
// Events wait for others and for a person's word, keys freeze and are thawed, and full
// snapshots are closed. What the topics hold at the end is the plain fold of the log
// (Invariant 8), every event came to one end (Invariant 2), nothing was sold twice, and
// no claim is left over (Invariant 4).
//
// The plan is a function of the seed; the run itself is not. SIM_SEEDS says how many
// seeds, SIM_SEED where they begin.
func TestSimulation(t *testing.T) {
	number := func(env string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(env), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	first, seeds := number("SIM_SEED", 1), number("SIM_SEEDS", 5)
	sum := simSum{met: map[string]int{}}
	begun := time.Now()
	t.Run("seed", func(t *testing.T) {
		for seed := first; seed < first+seeds; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) { simulate(t, seed, dir, &sum) })
			})
		}
	})
	t.Logf("%v of the log's time in %v: %v", sum.virtual, time.Since(begun).Round(time.Millisecond), sum.met)
	if seeds < 5 {
		return // too few to meet everything
	}
	for _, name := range append(simFaultNames(), simReached...) {
		if sum.met[name] == 0 {
			t.Errorf("no seed met: %s", name)
		}
	}
	if sum.virtual < 20*time.Hour {
		t.Errorf("only %v of the log's time", sum.virtual)
	}
}

// simSum is what all seeds met.
type simSum struct {
	mu      sync.Mutex
	met     map[string]int
	virtual time.Duration
}

// simReached are the situations that the load must have brought about, beside faults.
var simReached = []string{
	"granted", "denied", "contended", "confirmed", "cancelled", "confirmed too late", "confirmed before its try",
	"cancelled before its try", "lapsed by a tick", "ticks rationed", "duplicate", "conflict", "rejected", "count restated", "dead letter",
	"parked unknown_reversal", "parked behind", "parked ambiguous", "parked guard", "parked count_from_future", "released by what it waited for",
	"released by a person", "dropped", "never_applied", "waited until a count took its place", "word on nothing that waits",
	"frozen", "not taken by a frozen key", "denied by a frozen key", "repeated to a frozen key", "copy too large still", "copy behind", "copy taken", "copy repeated",
	"thawed too early", "thawed",
	"snapshot closed", codeSnapshotGuard, codeSnapshotLeft, "snapshot approved", "died while a snapshot was closed", "zero count said twice",
	faultCloseOffsets, faultEndOn,
	"panicked", "frozen oversize", "frozen diverted", "frozen parked_full", "given up",
	"waits for its order", "linked to an order that is known", "linked when its order came", "claims after its wait, by a tick",
}

func simulate(t *testing.T, seed uint64, dir string, sum *simSum) {
	w := newSimWorld(t, seed, dir)
	defer w.close()
	plan := w.plan()
	for _, line := range plan.tell() {
		t.Log(line)
	}
	w.policies(1)
	var load, work sync.WaitGroup
	stop := make(chan struct{})
	for i := range 2 {
		work.Go(func() { w.work(i, plan, stop) })
	}
	for p := range simProducers {
		load.Go(func() { w.append(plan.sends[p]) })
	}
	load.Go(func() {
		w.sleepUntil(plan.policy)
		w.policies(2)
	})
	load.Go(w.thaws)
	load.Go(w.coldThaws)
	load.Go(func() { w.shelves(plan) })
	w.faults(plan)
	load.Wait()
	w.sleepUntil(plan.end) // every claim is over, and every tick has come
	w.settled()
	close(stop)
	work.Wait()
	w.check()
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
	sum.mu.Lock()
	defer sum.mu.Unlock()
	sum.virtual += time.Since(w.start)
	for name, n := range w.met {
		sum.met[name] += n
	}
}
