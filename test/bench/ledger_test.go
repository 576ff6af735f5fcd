//go:build bench

package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/test/harness"
)

// The ledger with eight locations an item and five thousand events a second: what it
// costs, what an item takes, how long a start lasts, and a
// reservation beside a large count.
const (
	ledgerPairs     = 3
	ledgerLocations = 8
	ledgerRate      = 5_000
	restoreItems    = 1_000_000
)

// TestBenchLedger prints the figures of the full ledger and fails where one misses
// its bar.
func TestBenchLedger(t *testing.T) {
	var done []pair
	var rows []row
	for i := range ledgerPairs {
		t.Run(fmt.Sprint("pair", i+1), func(t *testing.T) {
			rig := newRig(t, ledgerLocations)
			done = append(done, rig.pair(t, events))
			if i == ledgerPairs-1 {
				last := done[i]
				same := rig.sameOutputs(t, events)
				rows = append(rows, rig.bytesPerItem(t),
					against("atp.cpu_beside_same_outputs", "s", perMillion(last.atp.cpu, events), perMillion(same.cpu, events), ""),
					against("atp.same_outputs_cpu", "s", perMillion(same.cpu, events), perMillion(last.base().cpu, events), ""))
			}
		})
	}
	t.Run("start", func(t *testing.T) { rows = append(rows, newRig(t, ledgerLocations).starts(t)...) })
	t.Run("latency", func(t *testing.T) {
		rows = append(rows, steadyRig(t, ledgerLocations).loaded(t, events).latency(t, events, ledgerRate, 40, 65)...)
	})
	t.Run("count", func(t *testing.T) { rows = append(rows, steadyRig(t, ledgerLocations).besideCount(t)...) })
	t.Run("lanes", func(t *testing.T) { rows = append(rows, steadyRig(t, ledgerLocations).realTimeBesideCount(t)...) })
	if t.Failed() {
		t.FailNow()
	}
	if len(done) > 0 { // -run may choose the starts alone
		slices.SortFunc(done, func(a, b pair) int { return cmp.Compare(a.ratio(), b.ratio()) })
		rows = append([]row{costOf(done, events, "ratio ≤ 3")}, rows...)
	}
	for i := range rows {
		rows[i].Name = "ledger." + rows[i].Name
	}
	report(t, rows)
	for _, r := range rows {
		var miss bool
		switch r.Name {
		case "ledger.atp.cpu_s_per_million":
			miss = r.Ratio > 3
		case "ledger.atp.bytes_per_item":
			miss = r.Value > 1200
		case "ledger.atp.p99_ms":
			miss = r.Value > 40
		case "ledger.atp.visible_p99_ms":
			miss = r.Value > 65
		case "ledger.atp.restore_items_per_s":
			miss = r.Value < 100_000
		case "ledger.atp.snapshot_start_s":
			miss = r.Value > 2
		case "ledger.realtime.visible_p99_ms":
			miss = r.Ratio > laneBar
		case "ledger.reservation.p99_ms":
			miss = r.Value > 100
		}
		if miss {
			t.Errorf("%s misses its bar %s: value %.2f, ratio %.2f", r.Name, r.Bar, r.Value, r.Ratio)
		}
	}
}

// bytesPerItem is what the state of an item takes, keys included: the latest value of
// each of its pieces.
func (r *rig) bytesPerItem(t *testing.T) row {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ends, err := r.kafka.Admin(t).ListCommittedOffsets(ctx, event.TopicState)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	for p, o := range ends[event.TopicState] {
		if o.Offset > 0 {
			left[p] = o.Offset
		}
	}
	cl := r.kafka.Client(t, kgo.ConsumeTopics(event.TopicState), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	sizes := map[string]int{}
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading the state: %v of %v", ctx.Err(), left)
		}
		fs.EachRecord(func(rec *kgo.Record) {
			if !rec.Attrs.IsControl() && rec.Key[0] != '|' {
				sizes[string(rec.Key)] = len(rec.Key) + len(rec.Value)
			}
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
		})
	}
	sum := 0
	for _, n := range sizes {
		sum += n
	}
	return row{Name: "atp.bytes_per_item", Value: float64(sum) / items, Unit: "B", Bar: "≤ 1200"}
}

// starts measures how long a worker takes to be ready for a million items: from Kafka
// alone, where each item stands twice, and from the snapshots it leaves at its end.
func (r *rig) starts(t *testing.T) []row {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "snapshots")
	seed := partitions * 200 // so that every partition has a header and an offset
	if err := fill(t.Context(), r.brokers(), r.codecs, r.locations, seed); err != nil {
		t.Fatal(err)
	}
	p, _ := r.start(t, dir)
	r.applied(t, seed)
	r.stop(t, p)
	for range 2 {
		r.fillState(t)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p, full := r.start(t, dir)
	r.stop(t, p) // leaves its snapshots
	var short []time.Duration
	for range 3 {
		p, took := r.start(t, dir)
		used := r.metric(t, p, `result="used"}`)
		if used != partitions {
			t.Errorf("%d of %d partitions were started from their snapshots", used, partitions)
		}
		short = append(short, took)
		r.stop(t, p)
	}
	slices.Sort(short)
	return []row{
		{Name: "atp.restore_items_per_s", Value: restoreItems / full.Seconds(), Unit: "1/s", Bar: "≥ 100000"},
		{Name: "atp.snapshot_start_s", Value: short[1].Seconds(), Unit: "s", Bar: "≤ 2"},
	}
}

// started is a worker and where it tells of itself.
type started struct {
	*harness.Process
	admin int
}

func (r *rig) start(t *testing.T, dir string) (started, time.Duration) {
	t.Helper()
	admin, err := harness.Port()
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.Replace(r.conf(admin, 0), "atp: {", fmt.Sprintf("atp: {snapshot_dir: %s, ", dir), 1)
	began := time.Now()
	p := harness.Start(t, harness.Run{Args: []string{"atp"}, Name: "atp-start", Config: conf})
	p.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", admin))
	return started{p, admin}, time.Since(began)
}

func (r *rig) stop(t *testing.T, p started) {
	t.Helper()
	p.Term()
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Fatalf("atp ended with %d", code)
	}
}

// metric reads a counter by the end of its name and its labels.
func (r *rig) metric(t *testing.T, p started, name string) int {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", p.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var n int
		if i := strings.Index(line, name+" "); i >= 0 && !strings.HasPrefix(line, "#") {
			if _, err := fmt.Sscan(line[i+len(name):], &n); err == nil {
				return n
			}
		}
	}
	return 0
}

// fillState appends a head for each of a million items, with eight locations, ten ids
// and ten journal entries, as a worker would have left them.
func (r *rig) fillState(t *testing.T) {
	t.Helper()
	cl := r.kafka.Client(t, kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordPartitioner(byKey{kgo.StickyKeyPartitioner(nil)}))
	head := inventory.Head{Version: 10, Clock: 1, Fence: inventory.Fence{Lineage: 1}}
	for i := range ledgerLocations {
		head.Locations = append(head.Locations, inventory.LocationState{Location: inventory.Location(fmt.Sprintf("DC%d", i+1)), Version: 10})
	}
	var failed atomic.Value
	for n := range restoreItems {
		key := inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprintf("stored-%07d", n))}
		h := uint64(n+1) * 0x9E3779B97F4A7C15
		head.IDs, head.Journal = head.IDs[:0], head.Journal[:0]
		for i := range 10 {
			at := inventory.Location(fmt.Sprintf("DC%d", i%ledgerLocations+1))
			head.IDs = append(head.IDs, inventory.Seen{ID: h + uint64(i), Content: uint32(h)})
			head.Journal = append(head.Journal, inventory.Entry{At: 1_793_000_000_000 + inventory.Instant(n), Location: at, Delta: inventory.One})
			head.Locations[i%ledgerLocations].States[inventory.OnHand] = inventory.Quantity(h >> 40)
		}
		stateKey := inventory.StateKey(key, inventory.PieceHead)
		value, err := r.codecs.AppendState(nil, &inventory.Piece{Kind: inventory.PieceHead, Head: &head})
		if err != nil {
			t.Fatal(err)
		}
		cl.Produce(t.Context(), &kgo.Record{Topic: event.TopicState, Key: []byte(stateKey), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err, _ := failed.Load().(error); err != nil {
		t.Fatal(err)
	}
}

// byKey takes a state record to the partition of its item: that of entity|item.
type byKey struct{ kgo.Partitioner }

// ForTopic is kgo.Partitioner's.
func (b byKey) ForTopic(topic string) kgo.TopicPartitioner {
	return ofItem{b.Partitioner.ForTopic(topic)}
}

type ofItem struct{ kgo.TopicPartitioner }

// Partition is kgo.TopicPartitioner's.
func (o ofItem) Partition(rec *kgo.Record, n int) int {
	key := strings.TrimSuffix(string(rec.Key), "|"+inventory.PieceHead)
	return o.TopicPartitioner.Partition(&kgo.Record{Topic: rec.Topic, Key: []byte(key)}, n)
}
