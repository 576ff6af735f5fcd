//go:build synctests

package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bubble is a cluster of fakes under a fake clock.
type bubble struct {
	t   *testing.T
	net kfake.VirtualNetwork
	c   *kfake.Cluster
	cl  *kgo.Client // produces by number, and asks

	mu      sync.Mutex
	workers []*worker
}

const (
	topicIn    = "in"
	topicState = "state"
	topicOut   = "out"
	topicDead  = "dead"
	group      = "counter"
)

func inBubble(t *testing.T, partitions int32, f func(*bubble), opts ...kfake.Opt) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t}
		c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(3), kfake.Ports(19092, 19093, 19094), kfake.ListenFn(b.net.Listen),
			kfake.SeedTopics(partitions, topicIn, topicState, topicOut, topicDead))...)
		if err != nil {
			t.Fatal(err)
		}
		b.c = c
		b.cl, err = b.config("").client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		logAppendTime := "LogAppendTime"
		if _, err := kadm.NewClient(b.cl).AlterTopicConfigs(context.Background(),
			[]kadm.AlterConfig{{Name: "message.timestamp.type", Value: &logAppendTime}}, topicIn); err != nil {
			t.Fatal(err)
		}
		defer func() {
			for _, w := range b.workers {
				w.cancel()
			}
			time.Sleep(time.Minute) // let everything end
			b.cl.Close()
			c.Close()
			time.Sleep(time.Minute)
		}()
		f(b)
	})
}

func (b *bubble) config(instance string) Config {
	cfg := Config{Brokers: b.c.ListenAddrs(), Instance: instance, Dialer: b.net.DialContext, Metrics: prometheus.NewRegistry()}
	if os.Getenv("STREAM_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(b.t.Output(), nil))
	}
	return cfg
}

// put appends records to a partition, one for each key, and waits for the acks.
func (b *bubble) put(partition int32, keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		key, value, _ := strings.Cut(k, "=")
		rec := &Record{Topic: topicIn, Partition: partition, Key: []byte(key), Value: []byte(value)}
		if err := b.cl.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// committed reads everything committed in a topic's partition.
func (b *bubble) committed(topic string, partition int32) []*Record {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	reads := &RestoreReads{cl: b.cl}
	high, err := reads.HighWatermark(ctx, topic, partition)
	if err != nil {
		b.t.Fatal(err)
	}
	tl := tail{reads: reads, topic: topic, partition: partition, committed: true}
	if tl.offset, err = reads.LogStart(ctx, topic, partition); err != nil {
		b.t.Fatal(err)
	}
	var all []*Record
	for tl.offset < high {
		recs, err := tl.next(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, recs...)
	}
	return all
}

// values joins the values of a topic's partition.
func (b *bubble) values(topic string, partition int32) string {
	b.t.Helper()
	var vs []string
	for _, r := range b.committed(topic, partition) {
		vs = append(vs, string(r.Value))
	}
	return strings.Join(vs, " ")
}

func (b *bubble) groupOffset(partition int32) int64 {
	b.t.Helper()
	off, err := (&RestoreReads{cl: b.cl}).GroupOffset(context.Background(), group, topicIn, partition)
	if err != nil {
		b.t.Fatal(err)
	}
	return off
}

// wantCounted waits until n records of the key k<p> of each partition p are committed,
// and says where one did not count exactly once.
func (b *bubble) wantCounted(parts int32, n int) {
	b.t.Helper()
	b.until("commits", func() bool {
		for p := range parts {
			if b.groupOffset(p) != int64(n) {
				return false
			}
		}
		return true
	})
	for p := range parts {
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("k%d%d", p, i+1))
		}
		b.wantOut(p, strings.Join(want, " "))
	}
}

func (b *bubble) setGroupOffset(partition int32, at int64) {
	b.t.Helper()
	var offs kadm.Offsets
	offs.Add(kadm.Offset{Topic: topicIn, Partition: partition, At: at, LeaderEpoch: -1})
	if err := kadm.NewClient(b.cl).CommitAllOffsets(context.Background(), group, offs); err != nil {
		b.t.Fatal(err)
	}
}

// until waits for a condition, in the fake time.
func (b *bubble) until(what string, ok func() bool) {
	b.t.Helper()
	for range 12_000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, w := range b.workers {
		b.t.Log(w.cfg.Instance, "ready:", w.readiness())
	}
	b.t.Fatalf("waited in vain: %s", what)
}

// worker is a runner at work.
type worker struct {
	b      *bubble
	r      *Runner
	cfg    RunnerConfig
	cancel context.CancelFunc
	done   chan error

	readiness func() error
}

func (b *bubble) runner(instance string, p Processor, change ...func(*RunnerConfig)) *worker {
	b.t.Helper()
	cfg := RunnerConfig{
		Config: b.config(instance), Group: group, Input: topicIn, State: topicState,
		Dead: deadLetters, Codec: jsonHeader{}, GroupOf: groupOfKey, StoreVersion: 1, Processor: p,
	}
	for _, c := range change {
		c(&cfg)
	}
	r, err := NewRunner(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{b: b, r: r, cfg: cfg, cancel: cancel, done: make(chan error, 1), readiness: r.Ready}
	b.mu.Lock()
	b.workers = append(b.workers, w)
	b.mu.Unlock()
	go func() { w.done <- r.Run(ctx) }()
	return w
}

func (w *worker) stop() {
	w.b.t.Helper()
	w.cancel()
	if err := <-w.done; err != nil {
		w.b.t.Fatal("stopping:", err)
	}
}

// stopped waits for the worker to stop by itself and returns its error.
func (w *worker) stopped() error {
	w.b.t.Helper()
	select {
	case err := <-w.done:
		w.cancel()
		return err
	case <-time.After(5 * time.Minute):
		w.b.t.Fatal("worker goes on")
		return nil
	}
}

// metric sums a metric over the labels that contain sub.
func (w *worker) metric(name, sub string) float64 {
	reg, ok := w.cfg.Metrics.(*prometheus.Registry)
	if !ok {
		return -1
	}
	families, err := reg.Gather()
	if err != nil {
		w.b.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != "stockweave_stream_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if !strings.Contains(fmt.Sprint(m.GetLabel()), sub) {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// counter counts the records of a key. It keeps its count decoded and puts it at
// Flush, as a processor with an expensive codec does.
type counter struct {
	mu    sync.Mutex
	step  func(Input, *State) error // before the count, when set
	after func(Input, *State) error // after the count was changed
	flush func(*State) error
	decod int
}

type count struct{ n int }

func (c *counter) Group(rec *Record) (string, error) { return string(rec.Key), nil }

func (c *counter) Step(in Input, st *State, emit func(*Record)) error {
	c.mu.Lock()
	step, after := c.step, c.after
	c.mu.Unlock()
	if step != nil {
		if err := step(in, st); err != nil {
			return err
		}
	}
	o, ok := st.Object().(*count)
	if !ok {
		o = new(count)
		c.decod++
		if v := st.Get(st.Group() + "|h"); v != nil {
			if _, err := fmt.Sscan(string(v), &o.n); err != nil {
				return err
			}
		}
		st.SetObject(o)
	}
	o.n++
	emit(&Record{Topic: topicOut, Key: in.Key, Value: fmt.Appendf(nil, "%s%d", in.Key, o.n)})
	if after != nil {
		return after(in, st)
	}
	return nil
}

func (c *counter) Flush(st *State, _ func(*Record)) error {
	if c.flush != nil {
		if err := c.flush(st); err != nil {
			return err
		}
	}
	o, ok := st.Object().(*count)
	if !ok {
		return errors.New("no object")
	}
	st.Put(st.Group()+"|h", fmt.Append(nil, o.n))
	return nil
}

func groupOfKey(key []byte) string {
	g, _, _ := strings.Cut(string(key), "|")
	return g
}

func deadLetters(d DeadLetter) (*Record, error) {
	return &Record{Topic: topicDead, Key: d.Record.Key, Value: fmt.Appendf(nil, "%s@%d:%s", d.Code, d.Record.Offset, d.Record.Value)}, nil
}

type jsonHeader struct{}

func (jsonHeader) EncodeHeader(h Header) ([]byte, error) { return json.Marshal(h) }

func (jsonHeader) DecodeHeader(b []byte) (h Header, err error) { return h, json.Unmarshal(b, &h) }

// state folds the committed state topic of a partition, without the header.
func (b *bubble) state(partition int32) map[string]string {
	m := map[string]string{}
	for _, r := range b.committed(topicState, partition) {
		if string(r.Key) == HeaderKey {
			continue
		}
		if r.Value == nil {
			delete(m, string(r.Key))
		} else {
			m[string(r.Key)] = string(r.Value)
		}
	}
	return m
}

func (b *bubble) header(partition int32) (h Header) {
	b.t.Helper()
	for _, r := range b.committed(topicState, partition) {
		if string(r.Key) == HeaderKey {
			if err := json.Unmarshal(r.Value, &h); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	return h
}
