//go:build synctests

package stream

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (b *bubble) admin() *Admin {
	b.t.Helper()
	a, err := NewAdmin(b.config(""))
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func TestAdminTopics(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		a := b.admin()
		defer a.Close()
		ctx := context.Background()
		specs := []TopicSpec{
			{Name: "new", Partitions: 6, Replicas: 3, Configs: map[string]string{"cleanup.policy": "compact", "min.insync.replicas": "2"}},
			{Name: topicIn, Partitions: 6, Configs: map[string]string{"message.timestamp.type": "CreateTime"}},
			{Name: topicOut, Partitions: 2},
		}
		for _, dry := range []bool{true, false} {
			res, err := a.EnsureTopics(ctx, dry, specs...)
			if err != nil {
				t.Fatal(err)
			}
			if res[0].Exists || res[0].Created == dry {
				t.Errorf("dry %v: %+v", dry, res[0])
			}
			if d := strings.Join(res[1].Differences, "; "); !res[1].Exists || d != `2 partitions instead of 6; message.timestamp.type is "LogAppendTime" instead of "CreateTime"` {
				t.Errorf("%+v", res[1])
			}
			if !res[2].Exists || len(res[2].Differences) > 0 {
				t.Errorf("%+v", res[2])
			}
		}
		infos, err := a.Topics(ctx, "new", "nowhere")
		if err != nil {
			t.Fatal(err)
		}
		if n := infos["new"]; len(infos) != 1 || n.Partitions != 6 || n.Replicas != 3 || len(n.ID) != 32 || n.Configs["cleanup.policy"] != "compact" {
			t.Errorf("%+v", infos)
		}
		if id, err := a.ClusterID(ctx); err != nil || id == "" {
			t.Error(id, err)
		}
		res, err := a.EnsureTopics(ctx, false, specs[0])
		if err != nil || !res[0].Exists || res[0].Created || len(res[0].Differences) > 0 {
			t.Errorf("%+v %v", res, err)
		}
	})
}

func TestAdminLag(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		a := b.admin()
		defer a.Close()
		b.put(0, "a", "b")
		time.Sleep(40 * time.Second)
		b.put(0, "c")
		b.put(1, "d")
		b.setGroupOffset(0, 2)
		b.setGroupOffset(1, 1)
		time.Sleep(10 * time.Second)
		lags, err := a.Lag(context.Background(), group)
		if err != nil {
			t.Fatal(err)
		}
		want := []PartitionLag{
			{Topic: topicIn, Partition: 0, Offset: 2, End: 3, Records: 1, Seconds: 10},
			{Topic: topicIn, Partition: 1, Offset: 1, End: 1},
		}
		if !slices.Equal(lags, want) {
			t.Errorf("%+v", lags)
		}
		lags, err = a.Lag(context.Background(), "stranger", topicIn)
		if err != nil || len(lags) != 2 || lags[0].Offset != -1 || lags[0].Records != 3 || int(lags[0].Seconds) != 50 {
			t.Errorf("%+v %v", lags, err)
		}
	})
}

// The worker's own gauges say the same.
func TestLagGauges(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		hold := make(chan struct{})
		w := b.worker(func(c *WorkerConfig) {
			c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) {
				if rec.Offset == 1 {
					<-hold
				}
				return copied(ctx, rec)
			}
		})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		b.put(0, "b", "c")
		time.Sleep(60 * time.Second)
		if got := w.metric("consumer_lag_records", ""); got != 2 {
			t.Errorf("lag of %v records", got)
		}
		if got := w.metric("consumer_lag_seconds", ""); got < 55 || got > 61 {
			t.Errorf("lag of %v s", got)
		}
		close(hold)
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		time.Sleep(2 * lagEvery)
		if r, s := w.metric("consumer_lag_records", ""), w.metric("consumer_lag_seconds", ""); r != 0 || s != 0 {
			t.Errorf("lag of %v records, %v s", r, s)
		}
		w.stop()
	})
}

func TestProducer(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		p, err := NewProducer(b.config(""))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		ctx := context.Background()
		keys := []string{"acme|item-1", "acme|item-000042", "us|SKU-RED-XL"}
		for _, k := range keys {
			if err := p.Produce(ctx, &Record{Topic: topicOut, Partition: 77, Key: []byte(k), Value: []byte(k)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, k := range keys {
			found := false
			for _, r := range b.committed(topicOut, Partition([]byte(k), 2)) {
				found = found || bytes.Equal(r.Key, []byte(k))
			}
			if !found {
				t.Errorf("%s is not in its key's partition", k)
			}
		}
		own, err := NewProducer(b.config(""), WithOwnPartition(topicDead), WithLinger(time.Millisecond), WithCompression(CompressLz4))
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		if err := own.Produce(ctx, &Record{Topic: topicDead, Partition: 1, Key: []byte("a"), Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if got := b.values(topicDead, 1); got != "x" {
			t.Error(got)
		}
		if err := p.Produce(ctx, &Record{Topic: topicOut, Value: []byte("ok")}, &Record{Topic: topicOut, Value: make([]byte, 2<<20)}); !errors.Is(err, kerr.MessageTooLarge) {
			t.Error(err)
		}
	})
}

// A caller that gives up hears that nothing is known; the record is still written,
// once.
func TestProducerIsNotCancelled(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		p, err := NewProducer(b.config(""))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicOut, Count: -1, Err: kerr.NotEnoughReplicas})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = p.Produce(ctx, &Record{Topic: topicOut, Value: []byte("x")})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if h.Hits() == 0 {
			t.Fatal("the fault was not met")
		}
		h.Remove()
		b.until("written", func() bool { return b.values(topicOut, 0) != "" })
		time.Sleep(time.Minute)
		b.wantOut(0, "x")
	})
}

// The controller answers before the other brokers have heard of a topic: whoever is told
// that it was created must find it.
func TestCreatedTopicsAreKnown(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		a := b.admin()
		defer a.Close()
		ctx := context.Background()
		created, asked := false, 0
		b.c.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
			b.c.KeepControl()
			created = true
			return nil, nil, false
		})
		b.c.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.c.KeepControl()
			req := r.(*kmsg.MetadataRequest) //nolint:forcetypeassert // of this key
			if !created || len(req.Topics) != 1 || asked == 3 {
				return nil, nil, false
			}
			asked++
			other := "not-known-yet"
			req.Topics[0].Topic = &other
			return nil, nil, false
		})
		if _, err := a.EnsureTopics(ctx, false, TopicSpec{Name: "new", Partitions: 3}); err != nil {
			t.Fatal(err)
		}
		infos, err := a.Topics(ctx, "new")
		if err != nil || infos["new"].Partitions != 3 || asked != 3 {
			t.Errorf("%+v %v, not known %d times", infos, err, asked)
		}
	})
}
