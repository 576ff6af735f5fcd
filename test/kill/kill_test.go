package kill_test

import (
	"context"
	"maps"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// restLimit bounds what may still be under way when all messages are sent.
const restLimit = 3 * time.Minute

// TestKilledServicesLoseNothing sends the same messages down the road twice.
func TestKilledServicesLoseNothing(t *testing.T) {
	n, faults := 2_000, shortFaults()
	if os.Getenv("STOCKWEAVE_FAULTS") == "long" {
		n, faults = 20_000, longFaults()
	}
	l := newLoad(1, n, time.Now().Add(-72*time.Hour))
	var calm, rough *figures
	t.Run("undisturbed", func(t *testing.T) { calm = undisturbed(t, l) })
	if t.Failed() || calm == nil {
		return
	}
	t.Run("disturbed", func(t *testing.T) {
		w, d := newWorld(t), &delivery{load: l, pace: newPace(len(faults), 4*time.Second)}
		d.w = w
		disturb(t, w, d, faults)
		w.rest(t, restLimit)
		rough = account(t, w, d)
		rough.equal(t, calm)
		if t.Failed() {
			return
		}
		t.Run("rebuilt", func(t *testing.T) { rebuilt(t, w, rough) })
	})
}

func undisturbed(t *testing.T, l *load) *figures {
	t.Helper()
	w := newWorld(t)
	d := &delivery{w: w, load: l}
	w.startAll(t)
	began := time.Now()
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.rest(t, restLimit)
	took := time.Since(began)
	f := account(t, w, d)
	t.Logf("%d messages in %s, outcomes %v, dead letters %v, %d ERP documents, %d channel values",
		len(d.ids), took.Round(time.Millisecond), f.kinds, f.dead, len(f.documents), len(f.values))
	return f
}

// disturb sends the load while one fault after the other strikes.
func disturb(t *testing.T, w *world, d *delivery, faults []fault) {
	t.Helper()
	w.startAll(t)
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent, seen := make(chan error, 1), make(chan []string, 1)
	go func() { sent <- d.run(ctx) }()
	go func() { seen <- w.watch(ctx) }()
	// The masters and the opening come first.
	if !poll(ctx, receiptLimit, func() bool { return d.acked.Load() >= 60 }) {
		t.Fatalf("only %d messages taken within %s", d.acked.Load(), receiptLimit)
	}
	defer func() {
		if t.Failed() {
			t.Log(d.standing())
		}
	}()
	hits := map[string]int{}
	for _, f := range faults {
		struck := time.Now()
		f.hit(t, w, d)
		hits[f.name]++
		d.pace.struck(time.Since(struck))
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	w.rest(t, restLimit)
	cancel()
	for _, wrong := range <-seen {
		t.Errorf("a reader saw what it must not: %s", wrong)
	}
	for name, p := range w.processes {
		if !p.Running() {
			t.Errorf("%s has ended by itself:\n%s", name, p.Log(t))
		}
	}
	t.Logf("%d messages in %s, %d sent again; hits %v", len(d.ids), time.Since(began).Round(time.Millisecond), d.again.Load(), hits)
}

// rebuilt folds the log again. The state and every outcome must come out as they
// were, and what stands outside must not move.
func rebuilt(t *testing.T, w *world, before *figures) {
	t.Helper()
	documents, values := len(w.erp.Documents("")), w.values()
	w.tail.Lock()
	events, outcomes := len(w.tail.Events), len(w.tail.Outcomes)
	w.tail.Unlock()
	began := time.Now()
	was, is := rebuild(t, w)
	took := time.Since(began)
	sameState(t, was, is)
	w.tail.Lock()
	first, second := byPlace(w.tail.Outcomes[:outcomes]), byPlace(w.tail.Outcomes[outcomes:])
	w.tail.Unlock()
	if len(second) != events || len(first) != events {
		t.Errorf("%d events, %d outcomes before and %d of the rebuild", events, len(first), len(second))
	}
	for at, o := range first {
		if !reflect.DeepEqual(o, second[at]) {
			t.Errorf("the outcome of partition %d offset %d was\n%+v\nand is rebuilt as\n%+v", at.partition, at.offset, o, second[at])
			break
		}
	}
	if n := len(w.erp.Documents("")); n != documents || n == 0 {
		t.Errorf("%d ERP documents after the rebuild, %d before", n, documents)
	}
	if now := w.values(); !maps.Equal(now, values) || len(now) != len(before.values) {
		t.Error("channel values changed with the rebuild")
	}
	t.Logf("%d events rebuilt and read again by all in %s", events, took.Round(time.Millisecond))
}

// place is where an event stands on the ledger's log.
type place struct {
	partition int32
	offset    int64
}

func byPlace(all []inventory.Outcome) map[place]*inventory.Outcome {
	m := make(map[place]*inventory.Outcome, len(all))
	for i := range all {
		m[place{all[i].Partition, all[i].Offset}] = &all[i]
	}
	return m
}
