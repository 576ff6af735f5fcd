//go:build bench

package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

// The sizes of a run; BENCH_EVENTS makes a smaller one while working on it.
const (
	events     = 1_000_000
	commit     = 20 * time.Millisecond
	partitions = 6
	pairs      = 5 // of the load and the floor around it
	paced      = 60 * time.Second
	within     = 10 * time.Minute
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(m.Run()) // the baseline's process starts nothing of the harness
	}
	os.Exit(harness.Main(m))
}

// row is one figure. Ratio is value to baseline where there is one; Pairs are the
// ratios it is the median of.
type row struct {
	Name     string    `json:"name"`
	Value    float64   `json:"value"`
	Unit     string    `json:"unit"`
	Baseline float64   `json:"baseline,omitempty"`
	Ratio    float64   `json:"ratio,omitempty"`
	Pairs    []float64 `json:"pairs,omitempty"`
	Bar      string    `json:"bar,omitempty"`
}

func against(name, unit string, value, baseline float64, bar string) row {
	return row{Name: name, Value: value, Unit: unit, Baseline: baseline, Ratio: value / baseline, Bar: bar}
}

// pair is one run of the service over the whole log and two of the floor, right
// before and right after it: a machine that others use changes by the minute, and
// what slows the service then slows its floor as well.
type pair struct{ before, atp, after took }

// base is the floor at the time of the load.
func (p pair) base() took {
	return took{wall: (p.before.wall + p.after.wall) / 2, cpu: (p.before.cpu + p.after.cpu) / 2}
}

func (p pair) ratio() float64 { return p.atp.cpu.Seconds() / p.base().cpu.Seconds() }

func (r *rig) pair(t *testing.T, n int) pair {
	t.Helper()
	t.Logf("filling the log with %d events over %d items × %d locations", n, items, r.locations)
	if err := fill(t.Context(), r.brokers(), r.codecs, r.locations, n); err != nil {
		t.Fatal(err)
	}
	p := pair{before: r.baseline(t, n, "before"), atp: r.atp(t, n), after: r.baseline(t, n, "after")}
	t.Logf("atp.cpu_s_per_million: %.2f, floor %.2f before and %.2f after, ratio %.2f",
		perMillion(p.atp.cpu, n), perMillion(p.before.cpu, n), perMillion(p.after.cpu, n), p.ratio())
	return p
}

func perMillion(d time.Duration, n int) float64 { return d.Seconds() * 1e6 / float64(n) }

// TestBench prints the figures and fails where one misses its bar.
func TestBench(t *testing.T) {
	n := events
	if s := os.Getenv("BENCH_EVENTS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	// Timings are noisy: each pair has a cluster of its own, and the pair whose ratio
	// is the median is the one reported, beside the ratios of all.
	count := pairs
	profiling := os.Getenv("BENCH_PROFILE") != ""
	if profiling {
		count = 1 // whoever profiles wants no figures
	}
	var done []pair
	var latencies []row
	for i := range count {
		t.Run(fmt.Sprint("pair", i+1), func(t *testing.T) {
			done = append(done, newRig(t, 4).pair(t, n))
		})
	}
	if !profiling && os.Getenv("BENCH_PART") != "load" { // the load alone, for whoever works on its cost
		t.Run("latency", func(t *testing.T) { latencies = steadyRig(t, 4).loaded(t, n).latency(t, n, 2_000, 50, 65) })
	}
	if len(done) < count || t.Failed() {
		t.FailNow()
	}
	slices.SortFunc(done, func(a, b pair) int { return cmp.Compare(a.ratio(), b.ratio()) })
	mid := done[count/2]
	perSecond := func(d time.Duration) float64 { return float64(n) / d.Seconds() }
	cost := costOf(done, n, "ratio ≤ 4")
	rows := []row{against("atp.events_per_s", "1/s", perSecond(mid.atp.wall), perSecond(mid.base().wall), ""), cost}
	rows = append(rows, latencies...)
	report(t, rows)
	if profiling {
		return
	}
	for _, r := range rows {
		limit, miss := 0.0, false
		switch r.Name {
		case "atp.cpu_s_per_million":
			limit, miss = 4, r.Ratio > 4
		case "atp.p99_ms":
			limit, miss = 50, r.Value > 50
		case "atp.visible_p99_ms":
			limit, miss = 65, r.Value > 65
		}
		if miss {
			t.Errorf("%s misses its bar of %g: value %.2f, ratio %.2f", r.Name, limit, r.Value, r.Ratio)
		}
	}
}

// costOf is the median pair of pairs in the order of their ratios.
func costOf(done []pair, n int, bar string) row {
	mid := done[len(done)/2]
	cost := against("atp.cpu_s_per_million", "s", perMillion(mid.atp.cpu, n), perMillion(mid.base().cpu, n), bar)
	for _, p := range done {
		cost.Pairs = append(cost.Pairs, p.ratio())
	}
	return cost
}

func report(t *testing.T, rows []row) {
	t.Helper()
	if path := os.Getenv("BENCH_OUT"); path != "" {
		b, err := json.MarshalIndent(rows, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "name\tvalue\tunit\tbaseline\tratio\tmedian of pairs\tbar\t")
	for _, r := range rows {
		base, ratio, all := "", "", make([]string, len(r.Pairs))
		for i, p := range r.Pairs {
			all[i] = fmt.Sprintf("%.2f", p)
		}
		if r.Baseline > 0 {
			base, ratio = fmt.Sprintf("%.2f", r.Baseline), fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(w, "%s\t%.2f\t%s\t%s\t%s\t%s\t%s\t\n", r.Name, r.Value, r.Unit, base, ratio, strings.Join(all, " "), r.Bar)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	fmt.Println(out.String())
}

type rig struct {
	kafka     *harness.Cluster
	registry  *harness.RegistryServer
	redis     *harness.RedisServer
	codecs    *event.Codecs
	policies  string
	locations int // of an item
}

func (r *rig) brokers() string { return strings.Join(r.kafka.Brokers(), ",") }

// newRig is for what the processor's time is asked about, steadyRig for how long
// something takes.
func newRig(t *testing.T, locations int) *rig {
	t.Helper()
	return rigOn(t, harness.NewKafka(t, 1), locations)
}

func steadyRig(t *testing.T, locations int) *rig {
	t.Helper()
	return rigOn(t, harness.SteadyKafka(t, 1), locations)
}

// loaded brings the service through n events, so that it has a state.
func (r *rig) loaded(t *testing.T, n int) *rig {
	t.Helper()
	if err := fill(t.Context(), r.brokers(), r.codecs, r.locations, n); err != nil {
		t.Fatal(err)
	}
	r.atp(t, n)
	return r
}

func rigOn(t *testing.T, kafka *harness.Cluster, locations int) *rig {
	t.Helper()
	r := &rig{kafka: kafka, registry: harness.Registry(t), redis: harness.Redis(t), locations: locations}
	dir := t.TempDir()
	for _, sub := range []string{"ownership", "atp", "sources", "channels", "erp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.policies = dir
	if err := os.WriteFile(filepath.Join(dir, "ownership", "ledger.yaml"), []byte("version: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	apply := harness.Start(t, harness.Run{Args: []string{"topics", "apply"}, Name: "topics", Config: r.conf(0, 0)})
	if code := apply.Wait(t, 2*time.Minute); code != 0 {
		t.Fatalf("topics apply ended with %d:\n%s", code, apply.Log(t))
	}
	r.kafka.Create(t, partitions, nil, "bench.baseline")
	r.codecs = stack.Codecs(t, r.kafka)
	return r
}

// conf is the configuration of one process.
func (r *rig) conf(admin, http int) string {
	return fmt.Sprintf(`kafka: {brokers: ["%s"], instance: "0"}
redis: {addresses: ["%s"]}
registry: {url: "%s"}
topics: {replication_factor: 1}
policies_dir: %s
admin: {listen: "127.0.0.1:%d", profiles: true}
atp: {commit: %s}
atp_api: {listen: "127.0.0.1:%d"}
`, strings.Join(r.kafka.Brokers(), `", "`), r.redis.Addr(), r.registry.URL(), r.policies, admin, commit, http)
}

// took is what a run over the whole log cost.
type took struct{ wall, cpu time.Duration }

// childEnv makes the test binary run as the baseline.
const childEnv = "STOCKWEAVE_BENCH_BASELINE"

// baseline runs the floor in a process of its own, so that its CPU is its own.
func (r *rig) baseline(t *testing.T, n int, run string) took {
	t.Helper()
	return r.baselineOf(t, n, run, "")
}

// baselineOf is baseline with the outputs of a file.
func (r *rig) baselineOf(t *testing.T, n int, run, outputs string) took {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestBaselineProcess$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s %s", childEnv, r.brokers(), n, run, outputs))
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("baseline: %v\n%s", err, out)
	}
	return took{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// TestBaselineProcess is not a test: it is the floor's own process.
func TestBaselineProcess(t *testing.T) {
	args := strings.Fields(os.Getenv(childEnv))
	if len(args) < 3 || len(args) > 4 {
		t.Skip("not run: this is the process that TestBench starts for its baseline")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := outputsOf(strings.Join(args[3:], ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := baseline(t.Context(), args[0], event.TopicEvents, "bench-baseline-"+args[2], outputs, n, commit); err != nil {
		t.Fatal(err)
	}
}

// atp runs the service over the same log and stops it when it has committed all.
func (r *rig) atp(t *testing.T, n int) took {
	t.Helper()
	admin, err := harness.Port()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p := harness.Start(t, harness.Run{Args: []string{"atp"}, Name: "atp-load", Config: r.conf(admin, 0)})
	if path := os.Getenv("BENCH_PROFILE"); path != "" {
		p.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/healthz", admin))
		profile(t, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/profile?seconds=10", admin), path)
	}
	r.applied(t, n)
	wall := time.Since(began)
	if path := os.Getenv("BENCH_PROFILE"); path != "" {
		profile(t, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/heap?gc=1", admin), path+".allocs") // the collector completes what it counts
	}
	p.Term()
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Fatalf("atp ended with %d:\n%s", code, p.Log(t))
	}
	return took{wall: wall, cpu: p.CPU()}
}

// profile keeps a profile of the service: BENCH_PROFILE=FILE, for whoever works on
// its cost and for the build, which is optimised by it. It names no machine.
func profile(t *testing.T, url, path string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		b, err = neutral(b, harness.Binary(t))
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		t.Errorf("keeping a profile: %v", err)
	}
}

// applied waits until the ledger has committed n events.
func (r *rig) applied(t *testing.T, n int) {
	t.Helper()
	if err := r.read(t, "atp", event.TopicEvents, n); err != nil {
		t.Fatal(err)
	}
}

// read waits until a group has committed n offsets of a topic.
func (r *rig) read(t *testing.T, group, topic string, n int) error {
	t.Helper()
	adm := r.kafka.Admin(t)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var sum int64
		offsets, err := adm.FetchOffsets(ctx, group)
		if err == nil {
			for _, o := range offsets.Offsets()[topic] {
				sum += o.At
			}
		}
		if sum >= int64(n) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has committed %d of %d of %s: %w", group, sum, n, topic, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// caughtUp waits until a group has read all there is.
func (r *rig) caughtUp(t *testing.T, group, topic string) {
	t.Helper()
	admin, err := stream.NewAdmin(stream.Config{Brokers: r.kafka.Brokers()})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lags, err := admin.Lag(ctx, group, topic)
		if err == nil && !slices.ContainsFunc(lags, func(l stream.PartitionLag) bool { return l.Seconds > 0 }) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has not read all of %s: %v, %v", group, topic, lags, err)
		case <-tick.C:
		}
	}
}

// latency feeds the service at a steady rate and measures, from the outside, from
// the event being durable to its outcome being committed, and to its position
// standing in Redis.
func (r *rig) latency(t *testing.T, from, rate, barCommitted, barVisible int) []row {
	t.Helper()
	ports := make([]int, 3)
	for i := range ports {
		var err error
		if ports[i], err = harness.Port(); err != nil {
			t.Fatal(err)
		}
	}
	api := harness.Start(t, harness.Run{Args: []string{"atp-api"}, Config: r.conf(ports[0], ports[1])})
	api.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[0]))
	atp := harness.Start(t, harness.Run{Args: []string{"atp"}, Name: "atp-paced", Config: r.conf(ports[2], 0)})
	atp.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[2]))

	// The first transactions after a start are not what is asked about, nor is how long
	// Redis takes to be filled anew.
	r.caughtUp(t, "atp-api", event.TopicPositions)
	warm := rate * 5
	n := rate * int(paced/time.Second)
	// Whoever measures takes the machine's time, too.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	w := r.watch(t)
	if err := pace(t.Context(), r.brokers(), r.codecs, r.locations, from, from+warm, rate); err != nil {
		t.Fatal(err)
	}
	w.begin()
	if err := pace(t.Context(), r.brokers(), r.codecs, r.locations, from+warm, from+warm+n, rate); err != nil {
		t.Fatal(err)
	}
	committed, visible := w.end(t)
	q := func(ds []time.Duration, share float64) float64 {
		return float64(ds[int(share*float64(len(ds)-1))].Microseconds()) / 1000
	}
	slices.Sort(committed)
	slices.Sort(visible)
	return []row{
		{Name: "atp.p50_ms", Value: q(committed, .5), Unit: "ms"},
		{Name: "atp.p99_ms", Value: q(committed, .99), Unit: "ms", Bar: fmt.Sprint("≤ ", barCommitted)},
		{Name: "atp.visible_p50_ms", Value: q(visible, .5), Unit: "ms"},
		{Name: "atp.visible_p99_ms", Value: q(visible, .99), Unit: "ms", Bar: fmt.Sprint("≤ ", barVisible)},
	}
}
