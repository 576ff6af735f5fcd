package hooks

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// cluster is a Kafka with the topic of subscriptions.
func cluster(t *testing.T, partitions int32) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, event.TopicSubscriptions))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func administer(t *testing.T, c *kfake.Cluster) *kadm.Client {
	t.Helper()
	cl, err := kadm.NewOptClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// fatal ends a test at an error.
func fatal(t *testing.T) (must func(error)) {
	return func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func process(t *testing.T, c *kfake.Cluster) *Log {
	t.Helper()
	cfg := stream.Config{Brokers: c.ListenAddrs()}
	p, err := stream.NewProducer(cfg, stream.WithOwnPartition(event.TopicSubscriptions))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	reads, err := stream.NewRestoreReads(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reads.Close)
	return NewLog(LogConfig{Topic: event.TopicSubscriptions, Reads: reads, Codecs: event.TestCodecs(), Produce: p.Produce, Now: time.Now})
}

// TestLog: what one process wrote another sees once it looks, a subscription and its
// delivery in one partition.
func TestLog(t *testing.T) {
	c := cluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must := fatal(t)
	mine, yours := process(t, c), process(t, c)
	must(mine.Refresh(ctx))
	k := keysOf(t, key("a"))
	for i, id := range []string{"s1", "s2", "s3", "s4"} {
		s := &event.Subscription{ID: id, Owner: []string{"shop", "rival"}[i%2], CreatedAt: 100 - 1}
		if _, err := k.Rotate(s, 0); err != nil {
			t.Fatal(err)
		}
		must(mine.Save(ctx, s))
		must(mine.SaveDelivery(ctx, &event.Delivery{ID: id, Bookmark: "b" + id}))
	}
	must(yours.Refresh(ctx))
	e, ok := yours.Get("s3")
	if !ok || e.Subscription.Owner != "shop" || e.Delivery.Bookmark != "bs3" {
		t.Errorf("s3 is %+v", e)
	}
	if _, err := k.Present(&e.Subscription); err != nil {
		t.Error(err)
	}
	of, all := yours.Of("shop")
	if len(of) != 2 || of[0].Subscription.ID != "s1" || of[1].Subscription.ID != "s3" || all != 4 {
		t.Errorf("shop has %d of %d", len(of), all)
	}
	held := yours.All(yours.Partition("s3"))
	if !slices.ContainsFunc(held, func(e *Entry) bool { return e.Subscription.ID == "s3" && e.Delivery.ID == "s3" }) {
		t.Errorf("its partition holds %+v", held)
	}
	// What others look at is not changed under them.
	p := yours.Partition("s3")
	looked, many := yours.of[p], len(yours.of[p])
	must(mine.SaveDelivery(ctx, &event.Delivery{ID: "s3", Bookmark: "further"}))
	must(yours.Refresh(ctx))
	if e, _ := yours.Get("s3"); len(looked) != many || looked["s3"].Delivery.Bookmark != "bs3" || e.Delivery.Bookmark != "further" {
		t.Errorf("they see %+v, and then %+v", looked["s3"], e)
	}
	// What another has removed is no more, and a delivery that came after its end is seen.
	must(yours.Remove(ctx, "s3"))
	must(mine.SaveDelivery(ctx, &event.Delivery{ID: "s3"}))
	must(mine.Refresh(ctx, mine.Partition("s3")))
	if _, ok := mine.Get("s3"); ok {
		t.Error("s3 is there still")
	}
	held = mine.All(mine.Partition("s3"))
	if i := slices.IndexFunc(held, func(e *Entry) bool { return e.Delivery.ID == "s3" }); i < 0 || held[i].Subscription.ID != "" {
		t.Errorf("what is left of s3: %+v", held)
	}
	must(mine.Remove(ctx, "s3"))
	must(mine.Refresh(ctx))
	if of, all := mine.Of("shop"); len(of) != 1 || all != 3 {
		t.Errorf("shop has %d of %d", len(of), all)
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	if process(t, c).Refresh(ended) == nil {
		t.Error("it was read though nobody waits")
	}
}

// TestLogKeepsNoRecords: what is known of a subscription outlives the memory that it was
// read from.
func TestLogKeepsNoRecords(t *testing.T) {
	s := &event.Subscription{ID: "s1", Owner: "shop", URL: "https://shop.example/"}
	k := keysOf(t, key("a"))
	secret, err := k.Rotate(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := process(t, cluster(t, 1))
	value, err := l.cfg.Codecs.AppendSubscription(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]*Entry{}
	if err := l.apply(of, &stream.Record{Key: []byte("s1"), Value: value}); err != nil {
		t.Fatal(err)
	}
	clear(value) // another record's now
	e := of["s1"]
	if got, err := k.Present(&e.Subscription); err != nil || got != secret || e.Subscription.Owner != "shop" || e.Subscription.URL != s.URL {
		t.Errorf("%+v, %v", e.Subscription, err)
	}
}

// TestLogForgotten: where the log has forgotten what would be read next, it is read from its
// start the next time, and what is no more in it is not known any more.
func TestLogForgotten(t *testing.T) {
	c := cluster(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must := fatal(t)
	mine, yours := process(t, c), process(t, c)
	must(yours.Refresh(ctx))
	must(yours.Save(ctx, &event.Subscription{ID: "s1", Owner: "shop"}))
	must(mine.Refresh(ctx))
	must(yours.Save(ctx, &event.Subscription{ID: "s2", Owner: "shop"}))
	must(yours.Save(ctx, &event.Subscription{ID: "s3", Owner: "shop"}))
	offsets := kadm.Offsets{}
	offsets.AddOffset(event.TopicSubscriptions, 0, 2, -1)
	_, err := administer(t, c).DeleteRecords(ctx, offsets)
	must(err)
	if mine.Refresh(ctx) == nil {
		t.Error("it goes on behind a gap")
	}
	must(mine.Refresh(ctx))
	if of, all := mine.Of("shop"); len(of) != 1 || all != 1 || of[0].Subscription.ID != "s3" {
		t.Errorf("%d of %d", len(of), all)
	}
}

// TestLogMadeAnew: of a topic that was deleted and made anew what stands in it is known,
// and nothing of before, though it is as long or has fewer partitions.
func TestLogMadeAnew(t *testing.T) {
	c := cluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin, must := administer(t, c), fatal(t)
	mine := process(t, c)
	must(mine.Refresh(ctx))
	for _, id := range []string{"s1", "s2", "s3", "s4"} {
		must(mine.Save(ctx, &event.Subscription{ID: id, Owner: "shop"}))
	}
	must(mine.Refresh(ctx))
	for i, partitions := range []int32{3, 1} {
		_, err := admin.DeleteTopics(ctx, event.TopicSubscriptions)
		must(err)
		_, err = admin.CreateTopics(ctx, partitions, 1, nil, event.TopicSubscriptions)
		must(err)
		yours := process(t, c) // never saw the one before
		must(yours.Refresh(ctx))
		kept := []string{"s1", "n2"}[i]
		for range 5 {
			must(yours.Save(ctx, &event.Subscription{ID: kept, Owner: "rival"}))
		}
		must(mine.Refresh(ctx))
		e, ok := mine.Get(kept)
		if _, all := mine.Of("shop"); !ok || e.Subscription.Owner != "rival" || all != 1 {
			t.Errorf("%d partitions: %d, %+v", partitions, all, e)
		}
	}
	if err := mine.Refresh(ctx, 2); err == nil || !strings.Contains(err.Error(), "no partition 2") || len(mine.All(2)) > 0 {
		t.Errorf("a partition that is no more: %v", err)
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		e    Entry
		may  bool
		want string
	}{
		{Entry{Subscription: event.Subscription{Enabled: true, Epoch: 1}}, true, StatusActive},
		{Entry{Subscription: event.Subscription{Enabled: true, Epoch: 1}, Delivery: event.Delivery{Epoch: 1, Failed: 2}}, true, StatusRetrying},
		{Entry{Subscription: event.Subscription{Enabled: true, Epoch: 1}, Delivery: event.Delivery{Epoch: 1, Failed: 9, Stopped: StoppedExhausted}}, true, StatusFailing},
		{Entry{Subscription: event.Subscription{Enabled: true, Epoch: 1}, Delivery: event.Delivery{Epoch: 1, Stopped: StoppedGone}}, true, StatusDisabled},
		{Entry{Subscription: event.Subscription{Enabled: true, Epoch: 2}, Delivery: event.Delivery{Epoch: 1, Failed: 9, Stopped: StoppedExhausted}}, true, StatusActive},
		{Entry{Subscription: event.Subscription{Epoch: 1}}, true, StatusDisabled},
		{Entry{Subscription: event.Subscription{Enabled: true, Epoch: 1}}, false, StatusForbidden},
	} {
		if got := c.e.Status(c.may); got != c.want {
			t.Errorf("%+v: %s, want %s", c.e, got, c.want)
		}
	}
}
