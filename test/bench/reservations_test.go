//go:build bench

package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/test/harness"
)

// Reservations over HTTP, from the request to its answer, on one broker.
const (
	askRate  = 500 // a second
	askFor   = 20 * time.Second
	askWarm  = 3 * time.Second
	askItems = 10_000
)

// TestBenchReservations prints the figures and fails where one misses its bar.
func TestBenchReservations(t *testing.T) {
	rows := steadyRig(t, 1).reservations(t)
	report(t, rows)
	for i, bar := range []float64{15, 45, 20, 55} {
		if rows[i].Value > bar {
			t.Errorf("%s misses its bar of %g: value %.2f", rows[i].Name, bar, rows[i].Value)
		}
	}
}

// reservations times requests of one item and of two that come at a steady rate, from
// when each was due: p50 and p99 of one, then of two.
func (r *rig) reservations(t *testing.T) []row {
	t.Helper()
	api := r.reserving(t)
	pool := &http.Client{Transport: &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512}, Timeout: 30 * time.Second}
	r.shelve(t)
	first := body(0, 1)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if status, _ := reserve(t.Context(), pool, api, "first", first); status == http.StatusCreated {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing can be reserved")
		}
	}
	var rows []row
	for n, bars := range [][2]string{{"≤ 15", "≤ 45"}, {"≤ 20", "≤ 55"}} {
		took := r.reserveSteadily(t, pool, api, n+1)
		name := fmt.Sprintf("api.reservation_%d_item", n+1)
		rows = append(rows,
			row{Name: name + ".p50_ms", Value: took[len(took)/2], Unit: "ms", Bar: bars[0]},
			row{Name: name + ".p99_ms", Value: took[len(took)*99/100], Unit: "ms", Bar: bars[1]})
	}
	return rows
}

// reserving starts ledger and API with a commit every 5 ms.
func (r *rig) reserving(t *testing.T) (url string) {
	t.Helper()
	port := func() int {
		p, err := harness.Port()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	apiAdmin, api, ledgerAdmin := port(), port(), port()
	quick := strings.NewReplacer("commit: "+commit.String(), "commit: 5ms", `atp_api: {`, `atp_api: {reservations: {max_open: 10000000, max_under_way: 10000}, `)
	ledger := harness.Start(t, harness.Run{Args: []string{"atp"}, Name: "atp-reserve", Config: quick.Replace(r.conf(ledgerAdmin, 0))})
	server := harness.Start(t, harness.Run{Args: []string{"atp-api"}, Name: "api-reserve", Config: quick.Replace(r.conf(apiAdmin, api))})
	ledger.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ledgerAdmin))
	server.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", apiAdmin))
	if path := os.Getenv("BENCH_PROFILE"); path != "" {
		go profile(t, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/profile?seconds=%d", apiAdmin, int((2*askFor).Seconds())), path)
	}
	return fmt.Sprintf("http://127.0.0.1:%d/v1/reservations", api)
}

func shelved(n int) string { return fmt.Sprintf("reserve-%05d", n%askItems) }

// shelve receives more of each item than is asked for.
func (r *rig) shelve(t *testing.T) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers()), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	at := inventory.Instant(time.Now().UnixMilli())
	for i := range askItems {
		d := inventory.Document{Type: "944", Number: shelved(i), Line: "1"}
		ev := inventory.Event{
			ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: inventory.Key{Entity: "acme", Item: inventory.Item(shelved(i))}, Source: "wms", Document: d,
			OccurredAt: at, OccurredBasis: inventory.BasisReceipt, ReceivedAt: at,
			Movement: &inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: 1_000_000 * inventory.One},
		}
		value, err := r.codecs.AppendEvent(nil, &ev)
		if err != nil {
			t.Fatal(err)
		}
		cl.Produce(t.Context(), &kgo.Record{Topic: event.TopicEvents, Key: []byte(ev.Key.String()), Value: value}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// body asks for some items, of which no two requests at a time have the same.
func body(n, items int) string {
	var b strings.Builder
	b.WriteString(`{"entity":"acme","hold":600,"lines":[`)
	for i := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"item":%q,"quantity":"1"}`, shelved((n*items+i)*7919))
	}
	b.WriteString(`]}`)
	return b.String()
}

func reserve(ctx context.Context, c *http.Client, url, key, body string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// reserveSteadily returns how long the requests took, in ms, sorted.
func (r *rig) reserveSteadily(t *testing.T, pool *http.Client, url string, items int) []float64 {
	t.Helper()
	total := int((askWarm + askFor).Seconds() * askRate)
	warm := int(askWarm.Seconds() * askRate)
	took := make([]float64, total)
	refused := map[int]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for n := range total {
		due := began.Add(time.Duration(n) * time.Second / askRate)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			status, err := reserve(t.Context(), pool, url, fmt.Sprintf("%d-%d", items, n), body(n, items))
			took[n] = float64(time.Since(due)) / float64(time.Millisecond)
			if err != nil || status != http.StatusCreated {
				mu.Lock()
				refused[status]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(refused) > 0 {
		t.Errorf("of %d requests of %d items these were not granted, by status: %v", total, items, refused)
	}
	took = took[warm:]
	slices.SortFunc(took, cmp.Compare[float64])
	return took
}
