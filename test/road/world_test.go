package road

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/pkg/simulate/road"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

// settleLimit bounds the way of one message to every end, and of a whole pass.
const settleLimit = 60 * time.Second

// A world is the platform, its counterparts, and somebody who watches from outside.
type world struct {
	*stack.Stack
	scenario *road.Scenario
	books    *books
	channels map[string]*simulate.Channel
	tail     *road.Tail
	sender   *road.Sender
	http     *http.Client
	sent     []string // ids of the messages that the door took
}

// newWorld starts everything but the services, and stops the registry once the
// schemas are registered: from there on nothing may need it.
func newWorld(t *testing.T) *world {
	t.Helper()
	began := time.Now()
	w := &world{channels: map[string]*simulate.Channel{}, http: &http.Client{Timeout: settleLimit}}
	env := map[string]string{}

	erp := harness.Tryton(t, filepath.Join("testdata", "seed.json"))
	w.books = openBooks(t, erp)
	env["STOCKWEAVE_BOOKS_URL"], env["STOCKWEAVE_BOOKS_KEY"] = erp.URL, w.books.Key

	env["STOCKWEAVE_MARKET_SECRET"] = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of the market, 32 bytes"))
	market := w.channel(t, "market", simulate.ChannelOptions{Secret: env["STOCKWEAVE_MARKET_SECRET"]})
	env["STOCKWEAVE_MARKET_URL"] = market + "/webhook"
	env["STOCKWEAVE_WEBSHOP_URL"] = w.channel(t, "webshop", simulate.ChannelOptions{})

	policies := shippedPolicies(t)
	set, err := policy.Load(policies)
	if err != nil {
		t.Fatal(err)
	}
	const key = "the-one-key-of-the-road"
	for _, src := range set.Sources {
		if e := src.Auth.APIKeyEnv; e != "" {
			env[e] = key
		}
		if h := src.Auth.HMAC; h != nil {
			env[h.SecretEnv] = "the shop's secret"
		}
	}
	if w.scenario, err = road.Load(filepath.Join("..", "..", "examples", "scenario"), policies); err != nil {
		t.Fatal(err)
	}
	w.Stack = stack.New(t, stack.Options{Policies: policies, Env: env, Config: fmt.Sprintf(`
channel_publisher:
  allow_private: true
  reconcile_every: 500ms
  reconcile_for: 400ms
  channels: {market: {read_url: "%s/listings/{listing}"}}
`, market)})
	w.Registry.Stop()
	w.sender = &road.Sender{
		Ingest: w.Ingest(), Policies: set, Key: key, HTTP: w.http, Getenv: func(name string) string { return env[name] },
	}
	w.follow(t)
	t.Logf("the parts were up, and topics, schemas and policies applied, after %s", time.Since(began).Round(time.Millisecond))
	return w
}

// channel starts a simulated channel and returns its base URL.
func (w *world) channel(t *testing.T, name string, o simulate.ChannelOptions) string {
	t.Helper()
	w.channels[name] = simulate.NewChannel(o)
	url, stop, err := w.channels[name].Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return url
}

// shippedPolicies is a copy of the shipped folder with another ERP: Tryton.
func shippedPolicies(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "policies"))); err != nil {
		t.Fatal(err)
	}
	books, err := os.ReadFile(filepath.Join("testdata", "books.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "erp", "books.yaml"), books, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// follow reads every topic from the outside until the test ends.
func (w *world) follow(t *testing.T) {
	t.Helper()
	w.tail = road.NewTail(w.Codecs, time.Now)
	tasks, err := w.tail.Follow(w.Stream())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("following the topics: %v", err)
		}
	})
}

// send sends a step and checks the door's answer; the message may be under way
// when it returns.
func (w *world) send(t *testing.T, s road.Step) {
	t.Helper()
	a, err := w.sender.Send(t.Context(), w.scenario, s)
	switch {
	case err != nil:
		t.Fatalf("%s: %v", s.Say, err)
	case a.Status != s.Status:
		t.Fatalf("%s: the door answered %d %s, want %d", s.Say, a.Status, a.Code, s.Status)
	case a.Status == http.StatusAccepted:
		w.sent = append(w.sent, a.ID)
	}
}

// settle waits until what was sent has come to every end and the tail has seen it.
func (w *world) settle(t *testing.T) {
	t.Helper()
	w.Rest(t, settleLimit, stack.Readers([]string{"books"}, []string{"market", "webshop"}))
	if err := w.tail.Settle(t.Context(), w.sent, settleLimit); err != nil {
		t.Fatal(err)
	}
}

// facts decodes the facts of a counterpart.
func facts(t *testing.T, raw json.RawMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
