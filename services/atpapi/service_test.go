package atpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

const partitions = 3

// road is a cluster with a transactional writer of positions, as atp is one.
type road struct {
	brokers []string
	writer  *kgo.Client
	codecs  *event.Codecs
}

func newRoad(t *testing.T) *road {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, event.TopicPositions, event.TopicLocations, event.TopicPolicies, event.TopicDeadATPAPI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("atp-0"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return &road{c.ListenAddrs(), w, event.TestCodecs()}
}

// write commits, or aborts, a transaction with the parts of one commit of an item.
func (r *road) write(t *testing.T, commit kgo.TransactionEndTry, item string, version int64, onHand map[inventory.Location]int64) {
	t.Helper()
	if err := r.writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, rec := range (&fakeLog{}).commit(t, r.codecs, item, version, onHand) {
		rec.Partition = stream.Partition([]byte("acme|"+item), partitions)
		rec.Offset, rec.Timestamp = 0, time.Time{}
		if err := r.writer.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.writer.EndTransaction(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
}

// serve runs the whole service; stop ends it and waits.
func (r *road) serve(t *testing.T, redisAddr string) (url string, stop func()) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Kafka = stream.Config{Brokers: r.brokers, Instance: "0"}
	cfg.Codecs, cfg.Listen, cfg.Entity, cfg.CheckEvery = r.codecs, "127.0.0.1:0", "acme", 20*time.Millisecond
	cfg.Redis.Addresses = []string{redisAddr}
	bound := make(chan net.Addr, 1)
	cfg.Bound = func(a net.Addr) { bound <- a }
	health := &service.Health{}
	tasks, err := Build(t.Context(), cfg, service.Env{Name: "atp-api", Log: slog.New(slog.DiscardHandler), Health: health, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the service ended with %v", err)
			}
		}
	}
	t.Cleanup(stop)
	select {
	case a := <-bound:
		url = "http://" + a.String()
	case err := <-done:
		t.Fatalf("the service ended with %v", err)
	}
	eventually(t, "ready", func() bool { return len(health.Check()) == 0 })
	return url, stop
}

func get(t *testing.T, url, item string) (int, answer) {
	t.Helper()
	resp, err := http.Get(url + "/v1/atp/" + item)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return resp.StatusCode, a
}

// TestFromTheLogToTheAnswer runs the service on a log and a real Redis: positions
// become answers; FLUSHALL costs a reload, during which nothing is answered and
// after which the answers are the same; a restart goes on where Redis stands.
func TestFromTheLogToTheAnswer(t *testing.T) {
	addr := realRedis(t)
	st := connect(t, addr)
	r := newRoad(t)
	for v := int64(1); v <= 30; v++ {
		for i := range 6 {
			r.write(t, kgo.TryCommit, fmt.Sprintf("I%d", i), v, map[inventory.Location]int64{"DC1": v, "DC2": int64(i)})
		}
	}
	// An aborted tail in every partition: offsets that no record ever fills.
	for i := range 6 {
		r.write(t, kgo.TryAbort, fmt.Sprintf("I%d", i), 31, map[inventory.Location]int64{"DC1": 1000})
	}
	url, stop := r.serve(t, addr)
	all := func(when string, version int64, dc1 int64) {
		t.Helper()
		for i := range 6 {
			item, want := fmt.Sprintf("I%d", i), fmt.Sprint(dc1+int64(i))
			var code int
			var a answer
			eventually(t, when+": "+item+" is "+want, func() bool {
				code, a = get(t, url, item)
				return code == 200 && a.Version >= version
			})
			if a.ATP != want || a.Version != version || !a.Freshness.CaughtUp || a.Freshness.AgeMS > 10_000 {
				t.Errorf("%s: %s: %d %+v, want %s", when, item, code, a, want)
			}
		}
	}
	all("loaded", 30, 30)

	// FLUSHALL, with nothing flowing. No answer in between is an older or a wrong one.
	if err := st.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	eventually(t, "reloaded", func() bool {
		code, a := get(t, url, "I3")
		switch {
		case code == 503:
			refused++
			return false
		case code != 200 || a.Version != 30 || a.ATP != "33":
			t.Fatalf("while reloading: %d %+v", code, a)
		}
		return true
	})
	if refused == 0 {
		t.Error("no read was refused: the flush was never noticed")
	}
	all("reloaded", 30, 30)

	for i := range 6 {
		r.write(t, kgo.TryCommit, fmt.Sprintf("I%d", i), 31, map[inventory.Location]int64{"DC1": 50})
	}
	all("followed", 31, 50)

	stop()
	for i := range 6 {
		r.write(t, kgo.TryCommit, fmt.Sprintf("I%d", i), 32, map[inventory.Location]int64{"DC1": 60})
	}
	before, _, err := st.mark(t.Context(), 0)
	if err != nil || before.next == 0 {
		t.Fatalf("mark %+v, %v", before, err)
	}
	url, _ = r.serve(t, addr)
	all("restarted", 32, 60)
	if code, _ := get(t, url, "NOPE"); code != 404 {
		t.Errorf("an unknown item: %d", code)
	}
}
