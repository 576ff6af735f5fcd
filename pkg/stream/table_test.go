//go:build synctests

package stream

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTable(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		b.put(0, "a=1", "b=2", "a=3")
		b.put(1, "c=4")
		var mu sync.Mutex
		rows := map[string]string{}
		tb, err := NewTable(TableConfig{Config: b.config(""), Topic: topicIn, Apply: func(rec *Record) error {
			mu.Lock()
			defer mu.Unlock()
			if rec.Value == nil {
				delete(rows, string(rec.Key))
			} else {
				rows[string(rec.Key)] = string(rec.Value)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if tb.Ready() == nil {
			t.Error("ready before it ran")
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- tb.Run(ctx) }()
		<-tb.Loaded()
		mu.Lock()
		if len(rows) != 3 || rows["a"] != "3" || rows["c"] != "4" {
			t.Error(rows)
		}
		mu.Unlock()
		b.put(1, "d=5")
		b.cl.ProduceSync(ctx, &Record{Topic: topicIn, Key: []byte("a")})
		b.until("follows", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return rows["d"] == "5" && rows["a"] == ""
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The end of the topic may be an aborted transaction, and a pending one is waited
// for.
func TestTableReadCommitted(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		b.put(0, "a=1")
		cl, err := b.config("").client(kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		ctx := context.Background()
		for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			cl.ProduceSync(ctx, &Record{Topic: topicIn, Key: []byte("x"), Value: []byte(map[kgo.TransactionEndTry]string{true: "yes", false: "no"}[end])})
			if end == kgo.TryAbort {
				break
			}
			if err := cl.EndTransaction(ctx, end); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		tb, err := NewTable(TableConfig{Config: b.config(""), Topic: topicIn, ReadCommitted: true, Partitions: []int32{0}, Apply: func(rec *Record) error {
			got = append(got, string(rec.Value))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		rctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- tb.Run(rctx) }()
		time.Sleep(5 * time.Second)
		if tb.Ready() == nil {
			t.Error("loaded with a transaction pending")
		}
		if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		<-tb.Loaded()
		if s := strings.Join(got, " "); s != "1 yes" {
			t.Error(s)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A table of what was appended from a time on reads nothing from before, in no
// partition, and follows what comes.
func TestTableSince(t *testing.T) {
	inBubble(t, 3, func(b *bubble) {
		b.put(0, "a=1", "b=2")
		b.put(1, "c=3")
		time.Sleep(time.Hour)
		since := time.Now()
		time.Sleep(time.Minute)
		b.put(0, "d=4", "e=5")
		var mu sync.Mutex
		var got []string
		read := func() string {
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(got, " ")
		}
		tb, err := NewTable(TableConfig{Config: b.config(""), Topic: topicIn, Since: since, Apply: func(rec *Record) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(rec.Value))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- tb.Run(ctx) }()
		<-tb.Loaded()
		if got := read(); got != "4 5" {
			t.Errorf("read %q", got)
		}
		for p := range int32(3) {
			before := read()
			b.put(p, "f=6")
			b.until("follows", func() bool { return read() == before+" 6" })
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A partition without a leader is waited for, as right behind the making of its topic; a
// topic that is not there is not.
func TestTableWaitsForLeaders(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		b.put(1, "a=1")
		run := func(ctx context.Context, topic string) (*Table, chan error) {
			tb, err := NewTable(TableConfig{Config: b.config(""), Topic: topic, Apply: func(*Record) error { return nil }})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- tb.Run(ctx) }()
			return tb, done
		}
		h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topicIn, Partitions: []int32{1}, Err: kerr.LeaderNotAvailable, Count: -1})
		ctx, cancel := context.WithCancel(context.Background())
		tb, done := run(ctx, topicIn)
		time.Sleep(5 * time.Minute)
		if tb.Ready() == nil || len(done) > 0 || h.Hits() == 0 {
			t.Errorf("without a leader: ready %v, ended %d", tb.Ready(), len(done))
		}
		h.Remove()
		began := time.Now()
		b.until("loads", func() bool { return tb.Ready() == nil || len(done) > 0 })
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}

		b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topicIn, Partitions: []int32{1}, Err: kerr.LeaderNotAvailable, Count: -1})
		ctx, cancel = context.WithCancel(context.Background())
		_, done = run(ctx, topicIn)
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopped while it waited: %v", err)
		}
		_, done = run(context.Background(), "nothing")
		if err := <-done; !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Errorf("no topic: %v", err)
		}
	})
}

func TestTableApplyFails(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		b.put(0, "a=1")
		boom := errors.New("boom")
		tb, err := NewTable(TableConfig{Config: b.config(""), Topic: topicIn, Apply: func(*Record) error { return boom }})
		if err != nil {
			t.Fatal(err)
		}
		if err := tb.Run(context.Background()); !errors.Is(err, boom) {
			t.Error(err)
		}
	})
}
