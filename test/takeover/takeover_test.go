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

// cluster is three real brokers and the topics of one test.
type cluster struct {
	t                     *testing.T
	cfg                   stream.Config
	admin                 *stream.Admin
	in, state, out, group string
}

// The tests share three brokers: those KAFKA_BROKERS3 names, or the harness's own.
var (
	brokers sync.Once
	addrs   []string
)

func connect(t *testing.T) *cluster {
	t.Helper()
	brokers.Do(func() {
		if s := os.Getenv("KAFKA_BROKERS3"); s != "" {
			addrs = strings.Split(s, ",")
		} else {
			addrs = harness.Kafka(t, 3).Brokers()
		}
	})
	if len(addrs) == 0 {
		t.Skip("NOT RUN: there are no three brokers")
	}
	prefix := fmt.Sprintf("takeover%d.", time.Now().UnixNano())
	c := &cluster{
		t: t, cfg: stream.Config{Brokers: addrs},
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

// watcher makes the two reads of a restore on a partition, over and over, as a new
// owner would.
type watcher struct {
	c     *cluster
	reads *stream.RestoreReads
	id    int32

	applied map[string]int64 // by order of reads: what the state read so far goes up to
	at      map[string]int64 // and where in the changelog that is
}

// read reads committed state until an offset and returns what it goes up to.
func (w *watcher) read(ctx context.Context, order string, until int64) (int64, error) {
	pos, err := w.reads.ReadCommitted(ctx, w.c.state, w.id, w.at[order], until, func(rec *stream.Record) {
		if string(rec.Key) != stream.HeaderKey {
			return
		}
		if h, err := (headers{}).DecodeHeader(rec.Value); err == nil {
			w.applied[order] = h.AppliedThrough
		}
	})
	w.at[order] = pos
	return w.applied[order], err
}

// until watches until the group's offset is past before, and says whether either
// order of reads would have started at that offset with older state.
func (w *watcher) until(ctx context.Context, before int64) (naive, right bool, err error) {
	for {
		// The naive order: how far to read is asked first, or, what is the same,
		// the last stable offset is taken for the end.
		stable, err := w.reads.LastStable(ctx, w.c.state, w.id)
		if err != nil {
			return false, false, err
		}
		off, err := w.reads.GroupOffset(ctx, w.c.group, w.c.in, w.id)
		if err != nil {
			return false, false, err
		}
		if off <= before {
			continue
		}
		high, err := w.reads.HighWatermark(ctx, w.c.state, w.id)
		if err != nil {
			return false, false, err
		}
		has, err := w.read(ctx, "naive", stable)
		if err != nil {
			return false, false, err
		}
		naive = has < off-1
		has, err = w.read(ctx, "right", high)
		return naive, has < off-1, err
	}
}

// A new owner takes over while the old one commits. With the offset read first and
// the changelog's high watermark second no state is ever older than the offset;
// with the last stable offset read first some is, in the same run.
func TestTakeOverDuringCommit(t *testing.T) {
	t.Parallel()
	c := connect(t)
	tries := 200
	if s := os.Getenv("TRIES"); s != "" {
		var err error
		if tries, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	o := c.owner("0")
	producer, err := stream.NewProducer(c.cfg, stream.WithOwnPartition())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	reads, err := stream.NewRestoreReads(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	watchers := make([]*watcher, partitions)
	for i := range watchers {
		watchers[i] = &watcher{
			c: c, reads: reads, id: int32(i),
			applied: map[string]int64{"naive": -1, "right": -1}, at: map[string]int64{},
		}
	}
	eventually(t, "owner is ready", func() bool {
		return o.runner.Ready() == nil && o.gauge(t, "stockweave_stream_partitions_owned") == partitions
	})
	var naive, right int
	for try := range tries {
		w := watchers[try%partitions]
		before, err := reads.GroupOffset(t.Context(), c.group, c.in, w.id)
		if err != nil {
			t.Fatal(err)
		}
		type verdict struct {
			naive, right bool
			err          error
		}
		seen := make(chan verdict, 1)
		started := make(chan struct{})
		go func() {
			close(started)
			n, r, err := w.until(t.Context(), max(before, 0))
			seen <- verdict{n, r, err}
		}()
		<-started
		if err := producer.Produce(t.Context(), &stream.Record{Topic: c.in, Partition: w.id, Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
		v := <-seen
		if v.err != nil {
			t.Fatal(v.err)
		}
		if v.naive {
			naive++
		}
		if v.right {
			right++
			t.Errorf("try %d: state older than the offset", try)
		}
	}
	t.Logf("%d take-overs: %d stale with the last stable offset first, %d stale with the offset first and then the high watermark", tries, naive, right)
	if naive == 0 {
		t.Error("the naive order was never stale: this run proves nothing")
	}
	o.stop(t)
}

// Partitions change hands 20 times among real members while records flow and
// transactions commit every 5 ms; every record counts once.
func TestHandOvers(t *testing.T) {
	t.Parallel()
	c := connect(t)
	const handOvers = 20
	producer, err := stream.NewProducer(c.cfg, stream.WithOwnPartition(), stream.WithLinger(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	var (
		wg    sync.WaitGroup
		stop  atomic.Bool
		count [partitions]int64
	)
	feed := func(id int32) {
		for !stop.Load() {
			if err := producer.Produce(context.Background(), &stream.Record{Topic: c.in, Partition: id, Key: fmt.Appendf(nil, "k%d", id)}); err != nil {
				t.Error(err)
				return
			}
			count[id]++
			time.Sleep(2 * time.Millisecond)
		}
	}
	for id := range int32(partitions) {
		wg.Go(func() { feed(id) })
	}
	defer stop.Store(true)
	old := c.owner("0")
	eventually(t, "first owner works", func() bool { return old.gauge(t, "stockweave_stream_records_total") > 100 })
	began := time.Now()
	for i := range handOvers {
		next := c.owner(strconv.Itoa(i + 1))
		eventually(t, "partitions are shared", func() bool {
			return next.gauge(t, "stockweave_stream_records_total") > 0 && next.runner.Ready() == nil
		})
		old.stop(t)
		if err := c.admin.RemoveMember(t.Context(), c.group, old.name); err != nil {
			t.Fatal(err)
		}
		eventually(t, "everything is taken over", func() bool {
			return next.gauge(t, "stockweave_stream_partitions_owned") == partitions && next.runner.Ready() == nil
		})
		old = next
	}
	t.Logf("%d hand-overs in %v", handOvers, time.Since(began))
	stop.Store(true)
	wg.Wait()
	eventually(t, "all is worked off", func() bool {
		lags, err := c.admin.Lag(t.Context(), c.group, c.in)
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
	old.stop(t)
	reads, err := stream.NewRestoreReads(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	total := int64(0)
	for id := range int32(partitions) {
		want := int64(0)
		end, err := reads.HighWatermark(t.Context(), c.out, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reads.ReadCommitted(t.Context(), c.out, id, 0, end, func(rec *stream.Record) {
			want++
			if got, _ := strconv.ParseInt(string(rec.Value), 10, 64); got != want {
				t.Errorf("partition %d: count %d where %d was due", id, got, want)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if want != count[id] {
			t.Errorf("partition %d: %d records in, %d counted", id, count[id], want)
		}
		total += want
	}
	t.Logf("%d records, each counted once", total)
}
