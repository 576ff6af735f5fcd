// Package takeover proves on real brokers that a new owner of a partition never
// starts from state older than the offset it starts at, and that the order of reads
// which every client would choose first does.
package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
)

const partitions = 6

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// cluster is three real brokers and the topics of one test.
type cluster struct {
	t                     *testing.T
	kafka                 *harness.Cluster // nil when the brokers are somebody else's
	cfg                   stream.Config
	admin                 *stream.Admin
	in, state, out, group string
}

// The tests share three brokers: those KAFKA_BROKERS3 names, or the harness's own.
var (
	brokers sync.Once
	addrs   []string
	own     *harness.Cluster
)

func connect(t *testing.T) *cluster {
	t.Helper()
	brokers.Do(func() {
		if s := os.Getenv("KAFKA_BROKERS3"); s != "" {
			addrs = strings.Split(s, ",")
		} else {
			own = harness.Kafka(t, 3)
			addrs = own.Brokers()
		}
	})
	if len(addrs) == 0 {
		t.Skip("NOT RUN: there are no three brokers")
	}
	prefix := fmt.Sprintf("takeover%d.", time.Now().UnixNano())
	c := &cluster{
		t: t, kafka: own, cfg: stream.Config{Brokers: addrs},
		in: prefix + "in", state: prefix + "state", out: prefix + "out", group: prefix + "counter",
	}
	var err error
	if c.admin, err = stream.NewAdmin(c.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.admin.Close)
	spec := func(name string, configs map[string]string) stream.TopicSpec {
		configs["min.insync.replicas"] = "2"
		return stream.TopicSpec{Name: name, Partitions: partitions, Replicas: 3, Configs: configs}
	}
	if _, err := c.admin.EnsureTopics(t.Context(), false,
		spec(c.in, map[string]string{"message.timestamp.type": "LogAppendTime"}),
		spec(c.state, map[string]string{"cleanup.policy": "compact"}),
		spec(c.out, map[string]string{}),
	); err != nil {
		t.Fatal(err)
	}
	eventually(t, "topics are known everywhere", func() bool {
		infos, err := c.admin.Topics(t.Context(), c.in, c.state, c.out)
		if err != nil || len(infos) != 3 {
			return false
		}
		for _, topic := range []string{c.in, c.state, c.out} {
			if _, err := c.admin.EndOffsets(t.Context(), topic); err != nil {
				return false
			}
		}
		return true
	})
	return c
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

// owner is a worker of the group.
type owner struct {
	name    string
	runner  *stream.Runner
	metrics *prometheus.Registry
	cancel  context.CancelFunc
	done    chan error
}

func (c *cluster) owner(name string) *owner {
	c.t.Helper()
	o := &owner{name: name, metrics: prometheus.NewRegistry(), done: make(chan error, 1)}
	cfg := c.cfg
	cfg.Instance, cfg.Metrics = name, o.metrics
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(c.t.Output(), nil)).With(slog.String("owner", name))
	}
	var err error
	o.runner, err = stream.NewRunner(stream.RunnerConfig{
		Config: cfg, Group: c.group, Input: c.in, State: c.state,
		Dead:         func(stream.DeadLetter) (*stream.Record, error) { return nil, fmt.Errorf("no dead letters here") },
		Codec:        headers{},
		GroupOf:      func(key []byte) string { g, _, _ := strings.Cut(string(key), "|"); return g },
		StoreVersion: 1,
		Commit:       5 * time.Millisecond,
		Processor:    counter{out: c.out},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	go func() { o.done <- o.runner.Run(ctx) }()
	return o
}

func (o *owner) stop(t *testing.T) {
	t.Helper()
	o.cancel()
	if err := <-o.done; err != nil {
		t.Fatalf("owner %s: %v", o.name, err)
	}
}

func (o *owner) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := o.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// counter counts the records of a key.
type counter struct{ out string }

func (counter) Group(rec *stream.Record) (string, error) { return string(rec.Key), nil }

func (c counter) Step(in stream.Input, st *stream.State, emit func(*stream.Record)) error {
	n, _ := strconv.Atoi(string(st.Get(st.Group() + "|n")))
	value := strconv.AppendInt(nil, int64(n+1), 10)
	st.Put(st.Group()+"|n", value)
	emit(&stream.Record{Topic: c.out, Key: in.Key, Value: value})
	return nil
}

func (counter) Flush(*stream.State, func(*stream.Record)) error { return nil }

type headers struct{}

func (headers) EncodeHeader(h stream.Header) ([]byte, error) { return json.Marshal(h) }

func (headers) DecodeHeader(b []byte) (h stream.Header, err error) { return h, json.Unmarshal(b, &h) }

// feeder appends records to every partition until it is stopped.
type feeder struct {
	c        *cluster
	producer *stream.Producer
	wg       sync.WaitGroup
	done     atomic.Bool
	count    [partitions]atomic.Int64 // acked
}

func (c *cluster) feed(every time.Duration) *feeder {
	c.t.Helper()
	producer, err := stream.NewProducer(c.cfg, stream.WithOwnPartition(), stream.WithLinger(time.Millisecond))
	if err != nil {
		c.t.Fatal(err)
	}
	f := &feeder{c: c, producer: producer}
	for id := range int32(partitions) {
		f.wg.Go(func() {
			for !f.done.Load() {
				f.put(id)
				time.Sleep(every)
			}
		})
	}
	c.t.Cleanup(func() {
		f.stop()
		producer.Close()
	})
	return f
}

func (f *feeder) put(id int32) {
	if err := f.producer.Produce(context.Background(), &stream.Record{Topic: f.c.in, Partition: id, Key: fmt.Appendf(nil, "k%d", id)}); err != nil {
		f.c.t.Error(err)
		f.done.Store(true)
		return
	}
	f.count[id].Add(1)
}

func (f *feeder) stop() {
	f.done.Store(true)
	f.wg.Wait()
}

// caughtUp waits until the group has no lag.
func (c *cluster) caughtUp() {
	c.t.Helper()
	eventually(c.t, "all is worked off", func() bool {
		lags, err := c.admin.Lag(c.t.Context(), c.group, c.in)
		if err != nil {
			return false
		}
		for _, l := range lags {
			if l.Records > 0 {
				return false
			}
		}
		return true
	})
}

// outputs returns how many counts a partition's output holds, and complains where
// one is missing or there twice.
func (c *cluster) outputs(id int32) int64 {
	c.t.Helper()
	reads, err := stream.NewRestoreReads(c.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	defer reads.Close()
	end, err := reads.HighWatermark(c.t.Context(), c.out, id)
	if err != nil {
		c.t.Fatal(err)
	}
	n := int64(0)
	if _, err := reads.ReadCommitted(c.t.Context(), c.out, id, 0, end, func(rec *stream.Record) {
		n++
		if got, _ := strconv.ParseInt(string(rec.Value), 10, 64); got != n {
			c.t.Errorf("partition %d: count %d where %d was due", id, got, n)
		}
	}); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// once checks that every record fed was counted once.
func (c *cluster) once(f *feeder) {
	c.t.Helper()
	total := int64(0)
	for id := range int32(partitions) {
		n := c.outputs(id)
		if want := f.count[id].Load(); n != want {
			c.t.Errorf("partition %d: %d records in, %d counted", id, want, n)
		}
		total += n
	}
	c.t.Logf("%d records, each counted once", total)
}
