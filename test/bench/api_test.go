//go:build bench && linux

package bench

import (
	"context"
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
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

const (
	readItems   = 20_000
	readers     = 16 // connections, each with one request at a time
	readFor     = 2 * time.Second
	readRounds  = 3
	readServers = 4 // in turn, in each round
	batchItems  = 100
	batchRounds = 300
	bareTTL     = 10 * time.Minute // that a bare handler's process lives at most
	bareEnv     = "STOCKWEAVE_BENCH_BARE"
)

// TestBenchAPI measures reads through the whole HTTP stack beside a bare echo handler
// that does one GET of Redis, both in processes of their own, in turn.
func TestBenchAPI(t *testing.T) {
	var rows []row
	t.Run("reads", func(t *testing.T) { rows = append(rows, reads(t)...) })
	t.Run("million", func(t *testing.T) { rows = append(rows, million(t)...) })
	t.Run("reservations", func(t *testing.T) { rows = append(rows, steadyRig(t, 1).reservations(t)...) })
	report(t, rows)
	for _, r := range rows {
		miss := false
		switch r.Name {
		case "read.requests_per_s":
			miss = r.Ratio < 0.7
		case "read.p99_ms":
			miss = r.Ratio > 1.5
		case "read.copy_requests_per_s":
			miss = r.Ratio < 2
		case "read.batch_100_ms":
			miss = r.Ratio > 3
		case "redis.bytes_an_item":
			miss = r.Value > 300
		default:
			for i, name := range []string{"1_item.p50_ms", "1_item.p99_ms", "2_item.p50_ms", "2_item.p99_ms"} {
				miss = miss || r.Name == "api.reservation_"+name && r.Value > []float64{15, 45, 20, 55}[i]
			}
		}
		if miss {
			t.Errorf("%s misses its bar: value %.2f, ratio %.2f, bar %s", r.Name, r.Value, r.Ratio, r.Bar)
		}
	}
}

func reads(t *testing.T) []row {
	t.Helper()
	s := stack.New(t, stack.Options{Partitions: partitions, Policies: leastPolicies(t)})
	rdb := redis.NewClient(&redis.Options{Addr: s.Redis.Addr()})
	defer rdb.Close()
	positions(t, s, readItems)
	plain := serveAPI(t, s, "plain", false)
	loadedAPI(t, plain.url, readItems)

	// What the bare handler gives is an answer as ours: of the same bytes.
	example := fetch(t, plain.url+"/v1/atp/"+readItem(1)+"?entity=acme")
	for i := range readItems {
		if err := rdb.Set(t.Context(), "bare:"+readItem(i), example, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	bare := serveBare(t, s.Redis.Addr())
	copied := serveAPI(t, s, "copied", true)
	loadedAPI(t, copied.url, readItems)
	for i := range readItems { // the copy is of what was read
		fetch(t, copied.url+"/v1/atp/"+readItem(i)+"?entity=acme")
	}
	var runs [readServers][]run
	for range readRounds {
		for i, to := range [readServers]served{bare.at("/bare/"), plain.at("/v1/atp/"), copied.at("/v1/atp/"), bare.at("/constant/")} {
			runs[i] = append(runs[i], drive(t, to, "?entity=acme", readFor))
		}
	}
	mid := func(rs []run, by func(run) float64) float64 {
		all := make([]float64, len(rs))
		for i, r := range rs {
			all[i] = by(r)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	rate := func(r run) float64 { return r.rate }
	p99 := func(r run) float64 { return r.p99 }
	cpu := func(r run) float64 { return r.cpu }
	one, many, packed := batches(t, plain.url)
	return []row{
		against("read.requests_per_s", "1/s", mid(runs[1], rate), mid(runs[0], rate), "ratio ≥ 0.7"),
		against("read.p99_ms", "ms", mid(runs[1], p99), mid(runs[0], p99), "ratio ≤ 1.5"),
		against("read.copy_requests_per_s", "1/s", mid(runs[2], rate), mid(runs[0], rate), "ratio ≥ 2"),
		against("read.copy_p99_ms", "ms", mid(runs[2], p99), mid(runs[0], p99), ""),
		against("read.cpu_us", "µs", mid(runs[1], cpu), mid(runs[0], cpu), ""),
		against("read.copy_cpu_us", "µs", mid(runs[2], cpu), mid(runs[0], cpu), ""),
		// What echo answers at most, with these bytes from memory and nothing asked.
		against("read.echo_ceiling_cpu_us", "µs", mid(runs[3], cpu), mid(runs[0], cpu), ""),
		against("read.echo_ceiling_requests_per_s", "1/s", mid(runs[3], rate), mid(runs[0], rate), ""),
		against("read.batch_100_ms", "ms", many, one, "ratio ≤ 3"),
		against("read.batch_100_gzip_ms", "ms", packed, one, ""),
	}
}

func readItem(i int) string { return fmt.Sprintf("item-%07d", i) }

// leastPolicies is a folder with the least there must be.
func leastPolicies(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"ownership", "atp", "sources", "channels", "erp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ownership", "ledger.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// positions writes a position of each item, and says how many bytes they have.
func positions(t *testing.T, s *stack.Stack, n int) (payload int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka.Brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range n {
		p := inventory.Position{
			Key: inventory.Key{Entity: "acme", Item: inventory.Item(readItem(i))}, Location: "DC1", Version: int64(i + 1), Part: 1, Parts: 1,
			RecordedAt: inventory.Instant(time.Now().UnixMilli()), EventID: fmt.Sprintf("%032x", i), PolicyVersion: 1,
		}
		p.States[inventory.OnHand] = inventory.Quantity(i%1000) * inventory.One
		value, err := s.Codecs.AppendPosition(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		payload += int64(len(value))
		cl.Produce(t.Context(), &kgo.Record{
			Topic: event.TopicPositions, Partition: stream.Partition([]byte(p.Key.String()), partitions), Key: []byte(inventory.PositionKey(p.Key, p.Location)), Value: value,
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return payload
}

func usedBytes(t *testing.T, rdb *redis.Client) int64 {
	t.Helper()
	for line := range strings.Lines(rdb.Info(t.Context(), "memory").Val()) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory_dataset:"); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("redis does not say how much it uses")
	return 0
}

// serveAPI runs atp-api in a process of its own.
func serveAPI(t *testing.T, s *stack.Stack, name string, first bool) served {
	t.Helper()
	var ports [2]int
	for i := range ports {
		var err error
		if ports[i], err = harness.Port(); err != nil {
			t.Fatal(err)
		}
	}
	p := harness.Start(t, harness.Run{Name: "atp-api-" + name, Args: []string{"atp-api"}, Config: fmt.Sprintf(`kafka: {brokers: ["%s"], instance: %q}
redis: {addresses: [%q]}
policies_dir: %q
admin: {listen: "127.0.0.1:%d", profiles: true}
atp_api: {listen: "127.0.0.1:%d", local: {first: %v}}
`, strings.Join(s.Kafka.Brokers(), `", "`), name, s.Redis.Addr(), leastPolicies(t), ports[0], ports[1], first)})
	p.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[0]))
	if path := os.Getenv("BENCH_PROFILE_" + strings.ToUpper(name)); path != "" {
		go func() { // of the rounds, which come next
			time.Sleep(4 * time.Second)
			profile(t, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/profile?seconds=%d", ports[0], int((readServers*readRounds*readFor).Seconds())), path)
		}()
	}
	return served{fmt.Sprintf("http://127.0.0.1:%d", ports[1]), p.PID()}
}

// loadedAPI waits until items of every partition, the last ones of all, are answered.
func loadedAPI(t *testing.T, url string, n int) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for back := range 64 {
		i := n - 1 - back
		for {
			resp, err := http.Get(url + "/v1/atp/" + readItem(i) + "?entity=acme")
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("not answered: %v", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, resp.StatusCode, b, err)
	}
	return string(b)
}

// serveBare runs the floor in a process of its own.
func serveBare(t *testing.T, redisAddr string) served {
	t.Helper()
	port, err := harness.Port()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestBareReadProcess$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=bare", fmt.Sprintf("%s=%s 127.0.0.1:%d", bareEnv, redisAddr, port), "GOGC=400")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return served{"http://" + addr, cmd.Process.Pid}
		}
		if time.Now().After(deadline) {
			t.Fatal("the bare handler does not listen")
		}
	}
}

// TestBareReadProcess is not a test: it is the floor's own process, one GET a request.
func TestBareReadProcess(t *testing.T) {
	args := strings.Fields(os.Getenv(bareEnv))
	if len(args) != 2 {
		t.Skip("not run: this is the process that TestBenchAPI starts for its floor")
	}
	rdb := redis.NewClient(&redis.Options{Addr: args[0], PoolSize: 32})
	defer rdb.Close()
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/bare/:item", func(c echo.Context) error {
		v, err := rdb.Get(c.Request().Context(), "bare:"+c.Param("item")).Bytes()
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, v)
	})
	constant, err := rdb.Get(t.Context(), "bare:"+readItem(1)).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	e.GET("/constant/:item", func(c echo.Context) error { return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, constant) })
	time.AfterFunc(bareTTL, func() { _ = e.Close() })
	if err := e.Start(args[1]); err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
}

// batches are the median times, ms, of reads of one item and of batches, one after the
// other over one connection, uncompressed and compressed. One item's answer is too small
// to be compressed either way.
func batches(t *testing.T, url string) (one, many, packed float64) {
	t.Helper()
	plain := &http.Client{Transport: &http.Transport{MaxIdleConns: 1, MaxConnsPerHost: 1, DisableCompression: true}}
	gzip := &http.Client{Transport: &http.Transport{MaxIdleConns: 1, MaxConnsPerHost: 1}}
	median := func(do func(n int) (*http.Response, error)) float64 {
		took := make([]time.Duration, 0, batchRounds)
		for n := range batchRounds {
			sent := time.Now()
			resp, err := do(n)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%d, %v", resp.StatusCode, err)
			}
			took = append(took, time.Since(sent))
		}
		slices.Sort(took)
		return took[len(took)/2].Seconds() * 1e3
	}
	one = median(func(n int) (*http.Response, error) { return plain.Get(url + "/v1/atp/" + readItem(n) + "?entity=acme") })
	bodies := make([]string, batchRounds)
	for n := range bodies {
		items := make([]string, batchItems)
		for i := range items {
			items[i] = `{"item":"` + readItem((n*batchItems+i)%readItems) + `"}`
		}
		bodies[n] = `{"entity":"acme","items":[` + strings.Join(items, ",") + `]}`
	}
	batch := func(cl *http.Client) float64 {
		return median(func(n int) (*http.Response, error) {
			return cl.Post(url+"/v1/atp/batch", "application/json", strings.NewReader(bodies[n]))
		})
	}
	return one, batch(plain), batch(gzip)
}
