package apifuzz

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/outbound"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atpapi"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

const limit = time.Minute

// key is the credential that everything is asked with.
const key = "fuzz"

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// items are what there is of each at DC1; at DC2 there is a tenth of it. Of the last there
// is so little that most requests are denied.
var items = map[inventory.Item]int64{"SKU-1": 10_000_000, "SKU-2": 1_000_000, "a/b %|c": 1_000_000, "SKU-3": 20}

// world is the ledger as a process, and the service whose API is asked in this one: so no
// URL that is made up is ever called.
type world struct {
	*stack.Stack
	url      string
	producer *stream.Producer
	said     said
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := policies(t)
	w := &world{Stack: stack.New(t, stack.Options{Policies: dir, Config: "atp: {commit: 5ms}\n"})}
	var err error
	if w.producer, err = stream.NewProducer(w.Stream()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.producer.Close)
	w.Start(t, "atp")
	for item, n := range items {
		w.move(t, item, "DC1", n)
		w.move(t, item, "DC2", max(1, n/10))
	}
	set, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.serve(t, set)
	return w
}

// policies is a folder with a group and a channel.
func policies(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ownership/ledger.yaml": "version: 1\nreservations:\n  ranks:\n    - locations: [DC1, DC2]\n",
		"atp/default.yaml":      "horizon: 30\nkeep_days: 3\ngroups:\n  web: [DC1, DC2]\n",
		"channels/shop.yaml":    "name: shop\ntype: simulated\nurl_env: SHOP_URL\nentity: acme\nlocations: [DC1]\nlistings: {SKU-1: L-1}\n",
		"sources/.keep":         "", "erp/.keep": "",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == ".keep" {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serve runs atp-api until the test ends.
func (w *world) serve(t *testing.T, set *policy.Set) {
	t.Helper()
	cfg := atpapi.DefaultConfig()
	cfg.Kafka, cfg.Codecs, cfg.Redis.Addresses = stream.Config{Brokers: w.Kafka.Brokers(), Instance: "0"}, w.Codecs, []string{w.Redis.Addr()}
	cfg.Listen, cfg.Entity = "127.0.0.1:0", "acme"
	cfg.ATP, cfg.Channels = set.ATP, set.Channels
	cfg.Doors.D365.Environments, cfg.Doors.Sterling.Tenants = []string{"env-1"}, map[string]inventory.Entity{"us-1": "acme"}
	cfg.Subscriptions.KeysEnv = "HOOK_KEYS"
	cfg.Subscriptions.Control = func(string, string, syscall.RawConn) error { return outbound.ErrPrivate }
	cfg.Getenv = func(name string) string {
		if name == "HOOK_KEYS" {
			return "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
		}
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	cfg.Access.Principals = []policy.Principal{{
		Name: key, Keys: []policy.PrincipalKey{{ID: key, SHA256: hex.EncodeToString(sum[:])}},
		Scopes: []string{"atp:read", "atp:explain", "reservations:read", "reservations:write", "subscriptions:read", "subscriptions:write"},
	}}
	bound := make(chan net.Addr, 1)
	cfg.Bound = func(a net.Addr) { bound <- a }
	health := &service.Health{}
	log := slog.New(slog.NewTextHandler(&w.said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	tasks, err := atpapi.Build(t.Context(), cfg, service.Env{Name: "atp-api", Log: log, Health: health, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	select {
	case a := <-bound:
		w.url = "http://" + a.String()
	case err := <-done:
		done <- nil
		t.Fatalf("the service ended with %v", err)
	case <-time.After(limit):
		t.Fatalf("it does not listen:\n%s", w.said.text())
	}
	for item := range items {
		w.known(t, item)
	}
}

// known waits until the API knows of an item.
func (w *world) known(t *testing.T, item inventory.Item) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		status := w.status(t, item)
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("of %s: %d\n%s", item, status, w.said.text())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *world) status(t *testing.T, item inventory.Item) int {
	t.Helper()
	status, _ := w.get(t, "/v1/atp/"+url.PathEscape(string(item)))
	return status
}

// bookmark is an id of changes to go on from.
func (w *world) bookmark(t *testing.T) string {
	t.Helper()
	status, body := w.get(t, "/v1/changes?wait=0")
	var answer struct{ ID string }
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || answer.ID == "" {
		t.Fatalf("changes: %d %s, %v", status, body, err)
	}
	return answer.ID
}

func (w *world) get(t *testing.T, path string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", key)
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// move receives stock.
func (w *world) move(t *testing.T, item inventory.Item, at inventory.Location, quantity int64) {
	t.Helper()
	if err := w.moved(t.Context(), fmt.Sprint("opening-", item, "-", at), item, at, quantity); err != nil {
		t.Fatal(err)
	}
}

func (w *world) moved(ctx context.Context, number string, item inventory.Item, at inventory.Location, quantity int64) error {
	d := inventory.Document{Type: "wms", Number: number, Line: "1"}
	now := inventory.Instant(time.Now().UnixMilli())
	ev := &inventory.Event{
		ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: inventory.Key{Entity: "acme", Item: item}, Source: "wms", Document: d,
		OccurredAt: now, OccurredBasis: inventory.BasisReceipt, ReceivedAt: now,
		Movement: &inventory.Movement{Type: inventory.Receipt, Location: at, Quantity: inventory.Quantity(quantity) * inventory.One},
	}
	value, err := w.Codecs.AppendEvent(nil, ev)
	if err != nil {
		return err
	}
	return w.producer.Produce(ctx, &stream.Record{Topic: event.TopicEvents, Key: []byte(ev.Key.String()), Value: value})
}

// stir keeps receiving stock until ctx is done, so that numbers change while they are asked
// for.
func (w *world) stir(ctx context.Context) error {
	for n := 0; ; n++ {
		for item := range items {
			if item == "SKU-3" {
				continue
			}
			if err := w.moved(ctx, fmt.Sprint("stir-", n), item, "DC2", 1); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("receiving: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// said is what the service logs.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// text is the end of it.
func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.b.Bytes()
	return string(b[max(0, len(b)-4000):])
}
