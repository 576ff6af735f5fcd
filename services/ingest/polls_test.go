package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/cursor"
)

// A carrier is asked for the shipments that others have told of, and no more for those
// that have come. It begins when its source is published, by the replica that holds its
// cursor.
func TestCarrierIsAskedForOpenShipments(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, event.TopicCursors, event.TopicShipments, event.TopicRaw))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cfg := Config{Kafka: stream.Config{Brokers: c.ListenAddrs()}, Codecs: event.TestCodecs(), Getenv: func(string) string { return "" }}
	producer, err := stream.NewProducer(cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	ship := func(source inventory.Source, number, status string) {
		t.Helper()
		value, err := cfg.Codecs.AppendMilestone(nil, &event.Milestone{
			About: event.AboutShipments, ID: number + status, Source: source, Entity: "acme", Status: status, ReceivedAt: inventory.Instant(time.Now().UnixMilli()),
			Document:    inventory.Document{Type: "tracking", Number: number},
			Identifiers: []event.Identifier{{Type: "tracking", Value: number}}, Attributes: []inventory.Attribute{{Name: "carrier", Value: "UPS"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := producer.Produce(t.Context(), &stream.Record{Topic: event.TopicShipments, Key: []byte(number), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	ship("shop", "1Z1", "shipped")
	ship("shop", "1Z2", "shipped")
	ship("easypost", "1Z2", "delivered")

	var mu sync.Mutex
	asked := map[string]int{}
	carrier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[path.Base(r.URL.Path)]++
		fmt.Fprintf(w, `[{"id": "%s-%d"}]`, path.Base(r.URL.Path), asked[path.Base(r.URL.Path)])
	}))
	defer carrier.Close()
	count := func(number string) int {
		mu.Lock()
		defer mu.Unlock()
		return asked[number]
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("not within a minute: ", what)
			}
		}
	}

	env := service.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now}
	recv := &receiver{
		codecs: cfg.Codecs, log: env.Log, now: env.Now, produce: producer.Produce, gate: &gate{now: env.Now}, wait: time.Minute,
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "t"}),
	}
	f, err := newFetcher(&cfg, env, recv, &cursor.Memory{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	crew := newCrew(cfg.Kafka, env.Log)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- crew.run(ctx) }()
	defer func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}()
	src := &policy.Source{Name: "tracking", Format: policy.FormatJSON, Transport: policy.Transport{Pull: &policy.Pull{
		HTTP: &policy.PullHTTP{URL: carrier.URL + "/{ask}", AllowPrivate: true, Ask: &policy.PullAsk{Shipments: &policy.AskShipments{Carriers: []string{"ups"}}}},
		Poll: policy.Poll{Every: time.Second, Retry: policy.Retry{First: 100 * time.Millisecond, Most: time.Second}},
	}}}
	works, err := f.works(src)
	if err != nil {
		t.Fatal(err)
	}
	crew.set(waysOf(works...))
	until("the open one is asked for", func() bool { return count("1Z1") > 0 })
	if n := count("1Z2"); n > 0 {
		t.Errorf("one that has come was asked for %d times", n)
	}
	ship("shop", "1Z3", "shipped")
	until("one that is shipped now", func() bool { return count("1Z3") > 0 })
	ship("tracking", "1Z1", "delivered")
	until("one that has come now", func() bool {
		n := count("1Z1")
		three := count("1Z3")
		until("a whole round more", func() bool { return count("1Z3") >= three+2 })
		return count("1Z1") == n
	})
}
