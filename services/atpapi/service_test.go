package atpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

const partitions = 3

// road is a cluster with a transactional writer of positions, as atp is one.
type road struct {
	cluster *kfake.Cluster
	brokers []string
	writer  *kgo.Client
	codecs  *event.Codecs
}

func newRoad(t *testing.T, more ...string) *road {
	t.Helper()
	topics := append(more, event.TopicPositions, event.TopicLocations, event.TopicPolicies, event.TopicReceipts, event.TopicViews, event.TopicDeadATPAPI, event.TopicSubscriptions)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("atp-0"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return &road{c, c.ListenAddrs(), w, event.TestCodecs()}
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
func (r *road) serve(t *testing.T, redisAddr string, change ...func(*Config)) (url string, stop func()) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Kafka = stream.Config{Brokers: r.brokers, Instance: "0"}
	cfg.Codecs, cfg.Listen, cfg.Entity, cfg.CheckEvery = r.codecs, "127.0.0.1:0", "acme", 20*time.Millisecond
	cfg.Redis.Addresses = []string{redisAddr}
	bound := make(chan net.Addr, 1)
	cfg.Bound = func(a net.Addr) { bound <- a }
	for _, f := range change {
		f(&cfg)
	}
	health := &service.Health{}
	tasks, err := Build(t.Context(), cfg, service.Env{Name: "atp-api", Log: slog.New(slog.DiscardHandler), Health: health, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if health.Check()["atp-api requests"] == nil {
		t.Fatal("ready for requests before it listens")
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

// fetched is what a service answers: its status and its body.
func fetched(t *testing.T, method, url, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

func get(t *testing.T, url, item string) (status int, a answer) {
	t.Helper()
	status, b := fetched(t, http.MethodGet, url+"/v1/atp/"+item, "")
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return status, a
}

// TestFromTheLogToTheAnswer runs the service on a log and a real Redis: positions
// become answers; FLUSHALL costs a reload, during which nothing is answered and
// after which the answers are the same; a restart goes on where Redis stands.
func TestFromTheLogToTheAnswer(t *testing.T) {
	addr := realRedis(t)
	st := storeAt(t, addr)
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
				return code == 200 && a.Version >= version && !a.Freshness.Stale
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
		case a.Freshness.Stale: // of the local copy
			refused++
			return false
		}
		return true
	})
	if refused == 0 {
		t.Error("no read was refused, and none was of the copy: the flush was never noticed")
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
	if code, body := fetched(t, http.MethodHead, url+"/v1/atp/I0", ""); code != 200 || len(body) > 0 {
		t.Errorf("its head: %d %s", code, body)
	}
}

// send commits a record.
func (r *road) send(t *testing.T, topic string, value []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := r.writer.ProduceSync(t.Context(), &stream.Record{Topic: topic, Value: value}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := r.writer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

// hold keeps a topic from being read until release is closed.
func (r *road) hold(topic string) (release chan struct{}) {
	release = make(chan struct{})
	r.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if list, ok := req.(*kmsg.ListOffsetsRequest); ok && slices.ContainsFunc(list.Topics, func(t kmsg.ListOffsetsRequestTopic) bool { return t.Topic == topic }) {
			r.cluster.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
	return release
}

// TestOwnersOnTheLog: receipts make an owner heard, those from before the start and
// those that come, and until then a view takes its place.
func TestOwnersOnTheLog(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 9, "DC2": 4})
	receipt := func(s inventory.Source) {
		t.Helper()
		value, err := r.codecs.AppendReceipt(nil, &event.Receipt{RawID: "r", Source: s, At: inventory.Instant(time.Now().UnixMilli())})
		r.send(t, event.TopicReceipts, value, err)
	}
	claims := func(q inventory.Quantity, asOf inventory.Instant) {
		t.Helper()
		value, err := r.codecs.AppendView(nil, &inventory.View{
			Key: inventory.Key{Entity: "acme", Item: "A"}, Location: "DC2", Source: "erp", Basis: inventory.Sellable, EventID: "e", Version: 1,
			Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: q}}, AsOf: asOf,
		})
		r.send(t, event.TopicViews, value, err)
	}
	receipt("wms")
	began := inventory.Instant(time.Now().UnixMilli())
	claims(2*inventory.One, began)
	released := make(chan string, 2)
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), func(c *Config) {
		// Before it is known who is silent, and what is claimed, nothing is answered.
		bound := c.Bound
		c.Bound = func(a net.Addr) {
			if len(released) < 2 {
				t.Errorf("it listens when only %d of receipts and views are read", len(released))
			}
			bound(a)
		}
		for _, topic := range []string{event.TopicReceipts, event.TopicViews} {
			release := r.hold(topic)
			time.AfterFunc(time.Second, func() {
				released <- topic
				close(release)
			})
		}
		c.ATP.Silence = []policy.Silence{
			{Location: "DC1", Owner: "wms", Heartbeat: 3_600_000, Then: inventory.SilenceZero},
			{Location: "DC2", Owner: "3pl", Heartbeat: 3_600_000, Then: inventory.SilenceFallback, Fallback: "erp"},
		}
	})
	var a answer
	answered := func(want string) func() bool {
		return func() bool {
			var code int
			code, a = get(t, url, "A")
			return code == 200 && a.ATP == want
		}
	}
	eventually(t, "answered", func() bool {
		code, _ := get(t, url, "A")
		return code == 200
	})
	// From the first answer on.
	if !answered("11")() {
		t.Errorf("what was said before the start is not known: %+v", a)
	}
	if want := []silentAnswer{{Location: "DC2", Owner: "3pl", Then: "fallback", View: "erp", AsOf: instant(began)}}; !slices.Equal(a.Silent, want) {
		t.Errorf("it says of silent owners %+v, want %+v", a.Silent, want)
	}
	claims(3*inventory.One, began+1)
	eventually(t, "another claim is known", answered("12"))
	receipt("3pl")
	eventually(t, "what comes is heard", answered("13"))
	if a.Silent != nil {
		t.Errorf("silent still: %+v", a.Silent)
	}
}
