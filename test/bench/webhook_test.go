//go:build bench

package bench

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/test/harness"
)

const (
	hookRounds = 3
	hookTime   = 6 * time.Second // of each load
	hookTopic  = "bench.raw"     // of the floor
	hookCost   = 2.0             // most CPU, to the floor's
	hookP99    = 50.0            // ms, at half the top rate
)

const hookSource = `name: shop
entity: acme
format: json
auth:
  access: true
  signature: {scheme: shopify, secret_envs: [STOCKWEAVE_SHOP_SECRET]}
headers: [X-Shopify-Topic]
dedupe_header: X-Shopify-Webhook-Id
stream_key: /id
limits: {max_bytes: 262144}
door: {rate: {per_second: 100000, burst: 100000, concurrent: 1000}}
mapping_version: "1"
mapping: "[]"
`

const hookPrincipal = `name: shop-backend
keys: [{id: swk_bench, sha256: %x}]
scopes: ["messages:write:source=shop"]
rate: {per_second: 100000, burst: 100000, concurrent: 1000}
`

// TestBenchIngest measures what accepting an order webhook costs: signature, key and
// scope, rates, and a durable record, beside a bare handler of echo that reads the same
// request and appends a record of the same bytes.
func TestBenchIngest(t *testing.T) {
	r := steadyRig(t, 1)
	orders, err := newOrders()
	if err != nil {
		t.Fatal(err)
	}
	door, admin := r.door(t)
	door.load(t, orders, 0, hookTime/3) // the first are not what is asked about
	if path := os.Getenv("BENCH_PROFILE"); path != "" {
		done := make(chan struct{})
		go func() {
			defer close(done)
			door.load(t, orders, 0, hookTime)
		}()
		profile(t, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/profile?seconds=4", admin), path)
		<-done
		profile(t, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/allocs", admin), path+".allocs")
		return
	}
	bare := r.echo(t)
	bare.load(t, orders, 0, hookTime/3)

	var rounds []hookRound
	for range hookRounds {
		x := hookRound{door: door.load(t, orders, 0, hookTime), bare: bare.load(t, orders, 0, hookTime)}
		x.half = door.load(t, orders, x.door.rate()/2, hookTime)
		t.Logf("%.1f µs a request at %.0f a second, floor %.1f µs at %.0f a second, ratio %.2f; p99 %.1f ms at %.0f a second",
			x.door.micros(), x.door.rate(), x.bare.micros(), x.bare.rate(), x.ratio(), x.half.p99(), x.half.rate())
		rounds = append(rounds, x)
	}
	slices.SortFunc(rounds, func(a, b hookRound) int { return cmp.Compare(a.half.p99(), b.half.p99()) })
	half := rounds[hookRounds/2].half
	slices.SortFunc(rounds, func(a, b hookRound) int { return cmp.Compare(a.ratio(), b.ratio()) })
	mid := rounds[hookRounds/2]
	cost := against("ingest.webhook_cpu_us", "µs", mid.door.micros(), mid.bare.micros(), fmt.Sprintf("ratio ≤ %g", hookCost))
	for _, x := range rounds {
		cost.Pairs = append(cost.Pairs, x.ratio())
	}
	report(t, []row{
		cost,
		against("ingest.webhooks_per_s", "1/s", mid.door.rate(), mid.bare.rate(), ""),
		{Name: "ingest.webhook_p99_ms", Value: half.p99(), Unit: "ms", Bar: fmt.Sprintf("≤ %g at %.0f/s", hookP99, half.rate())},
	})
	if cost.Ratio > hookCost {
		t.Errorf("accepting a webhook costs %.2f times the floor, more than %g", cost.Ratio, hookCost)
	}
	if half.p99() > hookP99 {
		t.Errorf("p99 at half the top rate is %.1f ms, more than %g", half.p99(), hookP99)
	}
}

// hookRound is one load of each, right behind each other.
type hookRound struct{ door, bare, half hooked }

func (x hookRound) ratio() float64 { return x.door.micros() / x.bare.micros() }

// door is the service with one source.
func (r *rig) door(t *testing.T) (s hookServer, admin int) {
	t.Helper()
	files := map[string]string{"sources/shop.yaml": hookSource, "access/shop-backend.yaml": fmt.Sprintf(hookPrincipal, sha256.Sum256([]byte(hookKey)))}
	for name, text := range files {
		path := filepath.Join(r.policies, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ports := make([]int, 2)
	for i := range ports {
		var err error
		if ports[i], err = harness.Port(); err != nil {
			t.Fatal(err)
		}
	}
	p := harness.Start(t, harness.Run{
		Args: []string{"ingest"}, Name: "ingest-hooks", Env: map[string]string{"STOCKWEAVE_SHOP_SECRET": hookSecret},
		Config: r.conf(ports[0], 0) + fmt.Sprintf("ingest: {listen: \"127.0.0.1:%d\"}\n", ports[1]),
	})
	p.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[0]))
	return hookServer{addr: fmt.Sprintf("127.0.0.1:%d", ports[1]), pid: p.PID()}, ports[0]
}

// echoEnv makes the test binary run as the bare handler.
const echoEnv = "STOCKWEAVE_BENCH_ECHO"

// echo is the bare handler in a process of its own, with a record as the service wrote
// it.
func (r *rig) echo(t *testing.T) hookServer {
	t.Helper()
	r.kafka.Create(t, partitions, nil, hookTopic)
	cl := r.kafka.Client(t, kgo.ConsumeTopics(event.TopicRaw), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var first *kgo.Record
	for first == nil {
		fs := cl.PollRecords(ctx, 1)
		if err := errors.Join(ctx.Err(), fs.Err()); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(rec *kgo.Record) { first = rec })
	}
	t.Logf("a record has %d bytes, and %d headers", len(first.Value), len(first.Headers))
	path := filepath.Join(t.TempDir(), "record")
	if err := os.WriteFile(path, first.Value, 0o644); err != nil {
		t.Fatal(err)
	}
	port, err := harness.Port()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestEchoProcess$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", echoEnv, r.brokers(), addr, path), childEnv+"=-", "GOGC=400")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return hookServer{addr: addr, pid: cmd.Process.Pid}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the bare handler does not listen: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestEchoProcess is not a test: it is the bare handler's own process.
func TestEchoProcess(t *testing.T) {
	args := strings.Fields(os.Getenv(echoEnv))
	if len(args) != 3 {
		t.Skip("not run: this is the process that TestBenchIngest starts for its floor")
	}
	value, err := os.ReadFile(args[2])
	if err != nil {
		t.Fatal(err)
	}
	// As the service's producer.
	cl, err := kgo.NewClient(kgo.SeedBrokers(args[0]), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.MaxBufferedRecords(50_000), kgo.ProducerBatchMaxBytes(2<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var n atomic.Int64
	headers := func(id string) []kgo.RecordHeader {
		var out []kgo.RecordHeader
		for _, h := range (event.CE{ID: id, Source: "/stockweave/ingest", Type: "raw.message"}).Headers() {
			out = append(out, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		return append(out, kgo.RecordHeader{Key: "dedupe_key", Value: []byte(id)})
	}
	e := echo.New()
	e.POST("/v1/messages/:source", func(c echo.Context) error {
		if _, err := io.ReadAll(c.Request().Body); err != nil {
			return err
		}
		i := strconv.FormatInt(n.Add(1), 10)
		id := strings.Repeat("0", 32-len(i)) + i
		rec := &kgo.Record{Topic: hookTopic, Key: []byte("shop|" + i), Value: value, Headers: headers(id)}
		if err := cl.ProduceSync(c.Request().Context(), rec).FirstErr(); err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, map[string]string{"id": id})
	})
	t.Fatal(e.Start(args[1]))
}
