//go:build bench

package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
)

// A count of everything beside messages that people wait for.
const (
	laneRate  = 100 // messages a second
	laneItems = 2_000
	laneQuiet = 10 * time.Second
	laneKey   = "key-of-the-bench"
	// laneBar is how much longer a real-time message may take beside the count.
	laneBar = 1.5
)

const laneSource = `name: parcel
entity: acme
format: json
latency_class: real-time
auth: {api_key_env: STOCKWEAVE_PARCEL_KEY}
stream_key: /number
mapping_version: "1"
mapping: |
  .tree as $r
  | [{ kind: "movement", document: {type: "receipt", number: $r.number, line: "1"},
       ids: [{type: "sku", value: $r.sku}], location: "DC1", quantity: $r.quantity, occurred_at: $r.at,
       movement: {type: "receipt"} }]
`

// realTimeBesideCount measures a real-time message from its POST to Redis: while nothing
// else happens, and while the bulk class takes in a count of a million lines.
func (r *rig) realTimeBesideCount(t *testing.T) []row {
	t.Helper()
	for name, text := range map[string]string{"shelf.yaml": countSource, "parcel.yaml": laneSource} {
		if err := os.WriteFile(filepath.Join(r.policies, "sources", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.masters(t)
	r.laneMasters(t)
	if err := fill(t.Context(), r.brokers(), r.codecs, r.locations, items); err != nil {
		t.Fatal(err)
	}
	ports := make([]int, 6)
	for i := range ports {
		var err error
		if ports[i], err = harness.Port(); err != nil {
			t.Fatal(err)
		}
	}
	door := fmt.Sprintf("http://127.0.0.1:%d/v1/messages/parcel", ports[4])
	for i, name := range []string{"atp", "canonicalizer", "ingest", "atp-api"} {
		conf := r.conf(ports[i], ports[5]) + fmt.Sprintf("ingest: {listen: \"127.0.0.1:%d\"}\n", ports[4])
		p := harness.Start(t, harness.Run{Args: []string{name}, Name: name + "-lanes", Config: conf, Env: map[string]string{"STOCKWEAVE_PARCEL_KEY": laneKey, "STOCKWEAVE_SHELF_KEY": laneKey}})
		p.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[i]))
	}
	r.applied(t, items)
	r.caughtUp(t, "atp-api", event.TopicPositions)

	w := r.watchLane(t)
	defer w.stop()
	w.post(t, door, time.After(3*time.Second)) // the first are not what is asked about
	quiet := w.post(t, door, time.After(laneQuiet))
	began := time.Now()
	parts := r.sendCount(t)
	done := make(chan time.Time, 1)
	go func() {
		if err := r.read(t, "canonicalizer-bulk", event.TopicRawBulk, parts); err != nil {
			t.Error(err)
		}
		done <- time.Now()
	}()
	counting := w.post(t, door, done)
	p99 := func(ds []time.Duration) float64 {
		slices.Sort(ds)
		return float64(ds[int(.99*float64(len(ds)-1))].Microseconds()) / 1000
	}
	t.Logf("%d messages while nothing else happened, %d beside a count of %d lines in %.0f s", len(quiet), len(counting), countItems*r.locations, time.Since(began).Seconds())
	return []row{against("realtime.visible_p99_ms", "ms", p99(counting), p99(quiet), fmt.Sprint("ratio ≤ ", laneBar))}
}

func laneItem(n int) inventory.Item { return inventory.Item(fmt.Sprintf("lane-%04d", n%laneItems)) }

func (r *rig) laneMasters(t *testing.T) {
	t.Helper()
	producer, err := stream.NewProducer(stream.Config{Brokers: r.kafka.Brokers()})
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	var recs []*stream.Record
	for n := range laneItems {
		it := event.MasterItem{Key: inventory.Key{Entity: "acme", Item: laneItem(n)}, BaseUnit: "EA", Version: 1, Source: "master"}
		value, err := r.codecs.AppendItem(nil, &it)
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, &stream.Record{Topic: event.TopicItems, Key: []byte(it.Key.String()), Value: value})
	}
	if err := producer.Produce(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
}

// lane follows messages to Redis, each by an item of its own.
type lane struct {
	cancel context.CancelFunc
	work   sync.WaitGroup
	n      int // messages sent

	mu     sync.Mutex
	sent   map[string]time.Time          // by the position's key
	behind map[int32]map[string]sentMark // positions Redis does not have yet
	took   []time.Duration
}

type sentMark struct {
	offset int64
	sent   time.Time
}

func (r *rig) watchLane(t *testing.T) *lane {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &lane{cancel: cancel, sent: map[string]time.Time{}, behind: map[int32]map[string]sentMark{}}
	cl := r.kafka.Client(t, kgo.ConsumeTopics(event.TopicPositions), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()), kgo.FetchMaxWait(100*time.Millisecond))
	if err := cl.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	w.work.Go(func() {
		for ctx.Err() == nil {
			fs := cl.PollFetches(ctx)
			w.mu.Lock()
			fs.EachRecord(func(rec *kgo.Record) {
				key := string(rec.Key)
				at, ours := w.sent[key]
				if !ours {
					return
				}
				delete(w.sent, key)
				if w.behind[rec.Partition] == nil {
					w.behind[rec.Partition] = map[string]sentMark{}
				}
				w.behind[rec.Partition][key] = sentMark{rec.Offset, at}
			})
			w.mu.Unlock()
		}
	})
	r.visible(ctx, t, &w.work, w.seen)
	return w
}

// seen notes that Redis has everything of a partition below next.
func (w *lane) seen(partition int32, next int64) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, m := range w.behind[partition] {
		if m.offset < next {
			w.took = append(w.took, now.Sub(m.sent))
			delete(w.behind[partition], key)
		}
	}
}

func (w *lane) stop() {
	w.cancel()
	w.work.Wait()
}

// post sends messages at a steady rate until the end, and waits until Redis has what
// they changed. It returns how long each took, its POST included.
func (w *lane) post(t *testing.T, url string, end <-chan time.Time) []time.Duration {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var posts sync.WaitGroup
	tick := time.NewTicker(time.Second / laneRate)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-end:
			going = false
			continue
		case <-tick.C:
		}
		n := w.n
		w.n++
		posts.Go(func() {
			now := time.Now()
			w.mu.Lock()
			w.sent["acme|"+string(laneItem(n))+"|DC1"] = now
			w.mu.Unlock()
			body := fmt.Sprintf(`{"number": "P%d", "sku": %q, "quantity": 1, "at": %q}`, n, laneItem(n), now.UTC().Format(time.RFC3339Nano))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+laneKey)
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				t.Errorf("posting: %v", err)
				return
			}
			if _ = resp.Body.Close(); resp.StatusCode != http.StatusAccepted {
				t.Errorf("posting: %s", resp.Status)
			}
		})
	}
	posts.Wait()
	deadline := time.Now().Add(time.Minute)
	for {
		w.mu.Lock()
		left := len(w.sent)
		for _, m := range w.behind {
			left += len(m)
		}
		took := w.took
		if left == 0 {
			w.took = nil
		}
		w.mu.Unlock()
		switch {
		case left == 0:
			return took
		case time.Now().After(deadline):
			t.Fatalf("%d messages are not in Redis", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
