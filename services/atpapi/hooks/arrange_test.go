package hooks

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// replicas are two logs of one partition, and the hub of the first.
func replicas(t *testing.T, keys *Keys, follow func(context.Context, *event.Subscription, *Courier) error) (h *Hub, mine, yours *Log) {
	t.Helper()
	c := cluster(t, 1)
	mine, yours = process(t, c), process(t, c)
	h, err := New(Parts{
		Config: Default(), Kafka: stream.Config{Brokers: c.ListenAddrs()}, Keys: keys, Log: mine, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		May: func(*event.Subscription) bool { return true }, Follow: follow,
	})
	if err = errors.Join(err, mine.Refresh(t.Context()), yours.Refresh(t.Context())); err != nil {
		t.Fatal(err)
	}
	return h, mine, yours
}

func instantOf(t time.Time) inventory.Instant { return inventory.Instant(t.UnixMilli()) }

// TestTidy: who puts a partition in order does not undo what was said to another replica
// meanwhile, nor take away where a subscription begins that is being made.
func TestTidy(t *testing.T) {
	ctx := t.Context()
	h, mine, yours := replicas(t, keysOf(t, key("b")+","+key("a")), nil)
	must := fatal(t)
	rotated, removed := &event.Subscription{ID: "rotated"}, &event.Subscription{ID: "removed"}
	for _, s := range []*event.Subscription{rotated, removed} {
		_, err := keysOf(t, key("a")).Rotate(s, 0)
		must(err)
		must(yours.Save(ctx, s))
	}
	must(yours.SaveDelivery(ctx, &event.Delivery{ID: "begun", At: instantOf(time.Now())}))
	must(yours.SaveDelivery(ctx, &event.Delivery{ID: "left", At: instantOf(time.Now().Add(-time.Hour))}))
	must(mine.Refresh(ctx))
	secret, err := keysOf(t, key("a")).Rotate(rotated, 0)
	must(err)
	must(yours.Save(ctx, rotated))
	must(yours.Remove(ctx, "removed"))
	h.tidy(ctx, 0)
	must(yours.Refresh(ctx))
	e, _ := yours.Get("rotated")
	if got, err := keysOf(t, key("b")).Present(&e.Subscription); err != nil || got != secret {
		t.Errorf("the secret that its owner was told last is not the one that signs: %v", err)
	}
	if _, ok := yours.Get("removed"); ok {
		t.Error("what was removed is there again")
	}
	var left []string
	for _, e := range yours.All(0) {
		if e.Subscription.ID == "" {
			left = append(left, e.Delivery.ID)
		}
	}
	if !slices.Equal(left, []string{"begun"}) {
		t.Errorf("of those without a subscription there are left %q", left)
	}
}

// TestMadeAgain: a subscription that is removed and made again under its key, between two
// looks, begins where it is said to and is about what it is said to be.
func TestMadeAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan string, 10)
	h, mine, yours := replicas(t, keysOf(t, key("a")), func(ctx context.Context, s *event.Subscription, c *Courier) error {
		begun <- s.Items[0] + c.Bookmark() + c.Sending()[0]
		c.Passed("on")
		<-ctx.Done()
		return ctx.Err()
	})
	running := map[string]*delivering{}
	look := func(at int, item string) string {
		t.Helper()
		s := &event.Subscription{ID: "s", Items: []string{item}, Enabled: true, Epoch: 1, CreatedAt: instantOf(time.UnixMilli(int64(at)))}
		err := errors.Join(
			yours.Remove(ctx, "s"), yours.SaveDelivery(ctx, &event.Delivery{ID: "s", Epoch: 1, Bookmark: "-of-" + item + "-", Sending: s.Items}), yours.Save(ctx, s), mine.Refresh(ctx),
		)
		if err != nil {
			t.Fatal(err)
		}
		h.arrange(ctx, 0, running)
		select {
		case got := <-begun:
			return got
		case <-time.After(5 * time.Second):
			return "none"
		}
	}
	if got := look(1, "A"); got != "A-of-A-A" {
		t.Errorf("it begins with %q", got)
	}
	if got := look(2, "B"); got != "B-of-B-B" {
		t.Errorf("made again it begins with %q", got)
	}
	if err := yours.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if e, _ := yours.Get("s"); e.Delivery.Bookmark != "-of-B-" {
		t.Errorf("the one before has it stand at %q", e.Delivery.Bookmark)
	}
	cancel()
	running["s"].stop()
}

// TestArrange: one that is stopped is left alone until it is enabled anew; then it goes on
// from where it stood as if nothing had failed. Another secret begins nothing anew, and of
// one that is removed nothing is saved.
func TestArrange(t *testing.T) {
	ctx := t.Context()
	begun := make(chan event.Delivery, 10)
	h, mine, yours := replicas(t, keysOf(t, key("a")), func(ctx context.Context, _ *event.Subscription, c *Courier) error {
		begun <- c.d
		c.Passed(c.Bookmark() + "+")
		<-ctx.Done()
		return ctx.Err()
	})
	running := map[string]*delivering{}
	s := &event.Subscription{ID: "s", Enabled: true, Epoch: 1}
	look := func(err error) {
		t.Helper()
		if err = errors.Join(err, mine.Refresh(ctx)); err != nil {
			t.Fatal(err)
		}
		h.arrange(ctx, 0, running)
	}
	begins := func() (d event.Delivery) {
		t.Helper()
		eventually(t, "it begins", func() bool {
			select {
			case d = <-begun:
				return true
			default:
				return false
			}
		})
		return d
	}
	look(errors.Join(yours.Save(ctx, s), yours.SaveDelivery(ctx, &event.Delivery{
		ID: "s", Epoch: 1, Bookmark: "x", Stopped: StoppedExhausted, Failed: 3, Fault: "f", Since: 1, Next: 2, Print: "p", Number: 7,
	})))
	if len(running) > 0 {
		t.Error("what is stopped goes on")
	}
	s.Epoch++
	look(yours.Save(ctx, s))
	if d := begins(); d.Epoch != 2 || d.Bookmark != "x" || d.Print != "p" || d.Number != 7 || d.Stopped != "" || d.Failed != 0 || d.Fault != "" || d.Since != 0 || d.Next != 0 {
		t.Errorf("enabled it begins with %+v", d)
	}
	one := running["s"]
	s.Description = "another"
	look(yours.Save(ctx, s))
	if running["s"] != one || one.entry.Load().Subscription.Description != "another" {
		t.Error("it began anew, or does not know what changed")
	}
	one.courier.since.Store(time.Now().Add(-time.Minute).UnixMilli())
	look(nil)
	if oldest := testutil.ToFloat64(h.count.oldest); oldest < 60 || oldest > 120 {
		t.Errorf("the oldest message waits for %g s", oldest)
	}
	// Passed does not hold while a message is under way: of one that has none it does.
	s.Epoch++
	one.stop()
	one.courier.d.Print, one.courier.d.Bookmark = "", "y"
	look(yours.Save(ctx, s))
	if d := begins(); d.Epoch != 3 || d.Bookmark != "y" {
		t.Errorf("it goes on from %q, not from where it stood", d.Bookmark)
	}
	look(yours.Remove(ctx, "s"))
	if err := yours.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if len(running) > 0 || len(yours.All(0)) > 0 {
		t.Errorf("of what was removed there is left %+v", yours.All(0))
	}
}
