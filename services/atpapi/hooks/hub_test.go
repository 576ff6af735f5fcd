package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// following is who delivers what.
type following struct {
	mu  sync.Mutex
	now map[string]map[string]bool // replicas by subscription
	two bool                       // two delivered one at a time
}

func (f *following) begin(id, by string) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now[id] == nil {
		f.now[id] = map[string]bool{}
	}
	f.now[id][by] = true
	f.two = f.two || len(f.now[id]) > 1
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.now[id], by)
	}
}

// held says which subscriptions somebody delivers, and whether it is one replica alone.
func (f *following) held(only string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, by := range f.now {
		if len(by) == 1 && (only == "" || by[only]) {
			n++
		}
	}
	return n
}

// TestHub: of two replicas one delivers each subscription, and when it ends the other goes
// on from where it said it stands; what is left of a removed subscription is taken away, and
// secrets of an old key are sealed anew.
func TestHub(t *testing.T) {
	c := cluster(t, 4)
	ctx := t.Context()
	l := process(t, c)
	must := fatal(t)
	must(l.Refresh(ctx))
	old := keysOf(t, key("a"))
	const many = 8
	secrets := map[string]string{}
	for i := range many {
		s := &event.Subscription{ID: fmt.Sprintf("s%d", i), Owner: "shop", Enabled: true, Epoch: 1}
		secret, err := old.Rotate(s, 0)
		must(err)
		secrets[s.ID] = secret
		must(l.Save(ctx, s))
	}
	must(l.SaveDelivery(ctx, &event.Delivery{ID: "removed", Bookmark: "x"}))
	f := &following{now: map[string]map[string]bool{}}
	both := keysOf(t, key("b")+","+key("a"))
	reg := prometheus.NewRegistry()
	start := func(name string) (stop func()) {
		h, err := New(Parts{
			Config: Default(), Kafka: stream.Config{Brokers: c.ListenAddrs()}, Keys: both, Log: process(t, c), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			May: func(s *event.Subscription) bool { return s.ID != "s7" }, Metrics: map[string]prometheus.Registerer{"one": reg}[name],
			Follow: func(ctx context.Context, s *event.Subscription, c *Courier) error {
				defer f.begin(s.ID, name)()
				c.Passed(c.Bookmark() + name + ".")
				<-ctx.Done()
				return ctx.Err()
			},
		})
		must(err)
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		return sync.OnceFunc(func() {
			cancel()
			must(<-done)
		})
	}
	stopOne := start("one")
	defer stopOne()
	eventually(t, "one delivers all that may be", func() bool { return f.held("one") == many-1 })
	stopTwo := start("two")
	defer stopTwo()
	eventually(t, "two has its part", func() bool { return f.held("two") > 0 && f.held("") == many-1 })
	stopOne()
	eventually(t, "two has all", func() bool { return f.held("two") == many-1 })
	if f.two {
		t.Error("two delivered one subscription at a time")
	}
	stopTwo()
	must(l.Refresh(ctx))
	for id, secret := range secrets {
		e, ok := l.Get(id)
		if got, err := keysOf(t, key("b")).Present(&e.Subscription); !ok || err != nil || got != secret {
			t.Errorf("%s: not sealed anew: %v", id, err)
		}
		if id == "s7" {
			continue
		}
		if b := e.Delivery.Bookmark; !strings.HasPrefix(b, "one.") || !strings.HasSuffix(b, "two.") {
			t.Errorf("%s stands at %q: two did not go on from where one stood", id, b)
		}
	}
	for _, e := range l.All(l.Partition("removed")) {
		if e.Delivery.ID == "removed" {
			t.Error("what is left of a removed subscription stays")
		}
	}
	if n, err := testutil.GatherAndCount(reg, "stockweave_atp_api_webhook_subscriptions"); err != nil || n != 5 {
		t.Errorf("%d statuses are counted, %v", n, err)
	}
}

// TestAgain: messages that break off are gone on with, later each time, and soon once they
// had gone on.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		h := &Hub{parts: hubParts{now: time.Now}}
		h.Logger = slog.New(slog.DiscardHandler)
		h.Follow = func(_ context.Context, _ *event.Subscription, c *Courier) error {
			if at = append(at, time.Now()); len(at) == 12 {
				c.d.Number++
			}
			return errors.New("broke off")
		}
		one := h.start(t.Context(), &Entry{Subscription: event.Subscription{ID: "s", Epoch: 1}})
		time.Sleep(5 * time.Minute)
		one.stop()
		for i, want := range map[int]time.Duration{0: againSoon, 1: 2 * againSoon, 10: againLate, 11: againSoon, 12: 2 * againSoon} {
			if got := at[i+1].Sub(at[i]); got != want {
				t.Errorf("wait %d was %v, want %v", i, got, want)
			}
		}
	})
}
