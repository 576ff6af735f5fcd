package cursor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// process is a Store of one process, with what it needs.
func process(t *testing.T, c *kfake.Cluster) *Log {
	t.Helper()
	cfg := stream.Config{Brokers: c.ListenAddrs()}
	p, err := stream.NewProducer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	l, err := NewLog(cfg, event.TestCodecs(), p.Produce, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func TestStores(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, event.TopicCursors))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	memory := &Memory{}
	for name, stores := range map[string][2]Store{"memory": {memory, memory}, "log": {process(t, c), process(t, c)}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			want := func(s Store, key, value string) {
				t.Helper()
				got, found, err := s.Load(ctx, key)
				if err != nil || string(got) != value || found != (value != "") {
					t.Errorf("%s: %q %v %v, want %q", key, got, found, err, value)
				}
			}
			save := func(s Store, key, value string) {
				t.Helper()
				if err := s.Save(ctx, key, []byte(value)); err != nil {
					t.Fatal(err)
				}
			}
			mine, yours := stores[0], stores[1]
			want(mine, "a|files", "")
			save(mine, "a|files", "1")
			save(mine, "b|files", "2")
			want(yours, "a|files", "1") // what another process saved is seen
			save(yours, "a|files", "3")
			want(mine, "a|files", "3")
			want(mine, "b|files", "2")
			save(yours, "a|files", "")
			want(mine, "a|files", "")
			want(mine, "a|sql", "")
			if err := mine.Save(ctx, "a|files", make([]byte, MaxValue+1)); !errors.Is(err, ErrTooLarge) {
				t.Error(err)
			}
			save(mine, "a|files", string(make([]byte, MaxValue)))
		})
	}
	if Key("a|b", "files") == Key("a", "b|files") {
		t.Error("keys of two flows are one")
	}
}
