//go:build synctests

package atp

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// The metrics follow what is committed, and nothing else: over restarts, a second worker,
// a commit whose answer is lost, and one that did not take effect.
func TestOpenVariancesOfTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, 0, "")
		defer w.close()
		prod, err := stream.NewProducer(w.kafka("producer"))
		if err != nil {
			t.Fatal(err)
		}
		defer prod.Close()
		reads, err := stream.NewRestoreReads(w.kafka("reads"))
		if err != nil {
			t.Fatal(err)
		}
		defer reads.Close()
		w.decree(compared())
		now := func() inventory.Instant { return inventory.Instant(time.Now().UnixMilli()) }
		send := func(ev *inventory.Event) {
			t.Helper()
			ev.OccurredAt, ev.ReceivedAt = now(), now()
			w.appendMarked(prod, ev, nil)
			w.decided(reads, key)
			time.Sleep(time.Second) // the worker knows that it is committed
		}
		life := func(instance string) (told func() string, stop func()) {
			cfg := DefaultConfig()
			cfg.Kafka, cfg.Codecs = w.kafka(instance), w.codecs
			reg := prometheus.NewRegistry()
			cfg.Kafka.Metrics = reg
			return func() string { return gatheredVariances(t, reg) }, serve(t, cfg)
		}
		want := func(what string, got, told string) {
			t.Helper()
			if got != told {
				t.Fatalf("%s: %q, want %q", what, got, told)
			}
		}
		const none = "erp 0 for 0; erp2 0 for 0; "
		open := func(since time.Time) string {
			return fmt.Sprintf("erp 1 for %v; erp2 0 for 0; ", time.Since(since).Seconds())
		}

		first, stop := life("0")
		send(receipt("R1", 10*inventory.One))
		want("at first", first(), none)
		since := time.Now().Truncate(time.Millisecond)
		send(claims("erp", "1", now(), 7*inventory.One))
		time.Sleep(time.Hour)
		want("after an hour", first(), open(since))
		stop()
		want("of a worker that ended", first(), none)

		first, stop = life("0")
		send(receipt("R2", inventory.One)) // of 11 it has 7 still
		want("after a restart", first(), open(since))
		lost := w.loseEnd()
		send(claims("erp", "2", now(), 11*inventory.One))
		time.Sleep(time.Minute) // it adopts what took effect
		want("the answer of a commit was lost", first(), none)
		h := w.c.Fault(simFaults()["end not applied, timed out"])
		since = time.Now().Truncate(time.Millisecond)
		send(claims("erp", "3", now(), 5*inventory.One))
		want("a commit failed", first(), open(since))
		if !lost.Load() || h.Hits() == 0 {
			t.Fatalf("an answer was lost: %v, commits that failed: %d", lost.Load(), h.Hits())
		}
		h.Remove()

		second, stop2 := life("1")
		time.Sleep(time.Minute)
		if a, b := first(), second(); a != open(since) && b != open(since) || a != none && b != none {
			t.Fatalf("of two workers: %q and %q", a, b)
		}
		stop()
		time.Sleep(time.Minute)
		want("taken over", second(), open(since))
		want("of the one that ended", first(), none)
		send(claims("erp", "4", now(), 11*inventory.One))
		want("cleared by the other", second(), none)
		stop2()
		for p := range w.parts {
			if n := len(w.read(reads, event.TopicDeadATP, p)); n != 0 {
				t.Errorf("%d dead letters", n)
			}
		}
	})
}
