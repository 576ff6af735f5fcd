package kill_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/pkg/simulate/road"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

const applyLimit = 2 * time.Minute

// services are the processes of a run: two atp, one of each other.
var services = []string{"ingest", "canonicalizer", "atp-0", "atp-1", "atp-api", "erp-writer", "channel-publisher"}

// A world is the platform on a clean log, one process a service, with simulated
// counterparts in this process.
type world struct {
	kafka *harness.Cluster
	redis *harness.RedisServer
	cache *redis.Client
	admin *kadm.Client
	tail  *road.Tail
	set   *policy.Set

	erp      *simulate.ERP
	channels map[string]*simulate.Channel
	gates    map[string]*gate // by ERP or channel

	dir       string // of the policies
	registry  string
	env       map[string]string
	doors     map[string]int // ports of ingest and atp-api
	processes map[string]*process
	config    string // what is common, and the sections of services
	sender    *road.Sender
	seen      replays
}

type process struct {
	*harness.Process
	ready string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	harness.RegistryAhead()
	w := &world{
		kafka: harness.Kafka(t, 1), redis: harness.Redis(t), registry: harness.Registry(t).URL(),
		channels: map[string]*simulate.Channel{}, gates: map[string]*gate{},
		env: map[string]string{}, doors: map[string]int{}, processes: map[string]*process{},
	}
	w.cache, w.admin = w.redis.Client(t), w.kafka.Admin(t)
	for _, name := range []string{"ingest", "atp-api"} {
		w.doors[name] = port(t)
	}
	w.counterparts(t)
	w.policies(t)
	w.config = fmt.Sprintf(`redis: {addresses: [%q]}
registry: {url: %q}
topics: {replication_factor: 1}
policies_dir: %q
ingest: {listen: "127.0.0.1:%d"}
atp_api: {listen: "127.0.0.1:%d", entity: acme}
channel_publisher:
  allow_private: true
  per_second: 5000
  reconcile_every: 5s
  reconcile_for: 1s
  channels: {market: {read_url: "%s/listings/{listing}"}}
`, w.redis.Addr(), w.registry, w.dir, w.doors["ingest"], w.doors["atp-api"], strings.TrimSuffix(w.env["STOCKWEAVE_MARKET_URL"], "/webhook"))
	w.topics(t)
	codecs := stack.Codecs(t, w.kafka)
	w.command(t, "policies", "apply")

	w.tail = road.NewTail(codecs, time.Now)
	tasks, err := w.tail.Follow(w.stream())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, tasks...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("following the topics: %v", err)
		}
	})
	w.sender = &road.Sender{
		Ingest: w.door("ingest"), Policies: w.set, Key: w.env["STOCKWEAVE_WMS_KEY"],
		Getenv: func(name string) string { return w.env[name] },
		HTTP: &http.Client{
			Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders},
		},
	}
	return w
}

func (w *world) door(name string) string { return fmt.Sprintf("http://127.0.0.1:%d", w.doors[name]) }

func (w *world) stream() stream.Config {
	return stream.Config{Brokers: w.kafka.Brokers(), Instance: "test"}
}

// counterparts starts the simulated ERP and channels, each behind a gate. The ERP
// takes a second document under one reference, as many real ones do: what is
// posted twice would stand there twice.
func (w *world) counterparts(t *testing.T) {
	t.Helper()
	serve := func(name string, h http.Handler) string {
		w.gates[name] = &gate{inner: h}
		srv := httptest.NewServer(w.gates[name])
		t.Cleanup(srv.Close)
		return srv.URL
	}
	const books, market = "a-key-of-the-books", "a-secret-of-the-market-to-sign"
	w.erp = simulate.NewERP(simulate.ERPOptions{Key: books, AllowTwice: true})
	w.env["STOCKWEAVE_BOOKS_URL"], w.env["STOCKWEAVE_BOOKS_KEY"] = serve("books", w.erp), books
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(market))
	w.channels["market"] = simulate.NewChannel(simulate.ChannelOptions{Secret: secret})
	w.env["STOCKWEAVE_MARKET_URL"], w.env["STOCKWEAVE_MARKET_SECRET"] = serve("market", w.channels["market"])+"/webhook", secret
	w.channels["webshop"] = simulate.NewChannel(simulate.ChannelOptions{})
	w.env["STOCKWEAVE_WEBSHOP_URL"] = serve("webshop", w.channels["webshop"])
}

// policies are the shipped ones, but for the throttle of the ERP, the two items of
// the market, and an address where a channel names none.
func (w *world) policies(t *testing.T) {
	t.Helper()
	w.dir = t.TempDir()
	if err := os.CopyFS(w.dir, os.DirFS("../../policies")); err != nil {
		t.Fatal(err)
	}
	w.edit(t, "erp/books.yaml", "throttle:", "throttle: {concurrent: 16}")
	w.edit(t, "channels/market.yaml", "items:", "")
	w.edit(t, "channels/market.yaml", "listings:", "")
	if b, err := os.ReadFile(filepath.Join(w.dir, "channels/webshop.yaml")); err != nil {
		t.Fatal(err)
	} else if !strings.Contains(string(b), "url_env:") {
		w.edit(t, "channels/webshop.yaml", "name: webshop", "name: webshop\nurl_env: STOCKWEAVE_WEBSHOP_URL")
	}
	var err error
	if w.set, err = policy.Load(w.dir); err != nil {
		t.Fatal(err)
	}
	for _, src := range w.set.Sources {
		if env := src.Auth.APIKeyEnv; env != "" {
			w.env[env] = "a-key-of-every-source"
		}
		if h := src.Auth.HMAC; h != nil {
			w.env[h.SecretEnv] = "a-secret-of-the-shop"
		}
	}
}

// edit replaces the line that begins so.
func (w *world) edit(t *testing.T, file, begins, with string) {
	t.Helper()
	path := filepath.Join(w.dir, file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, found := strings.Split(string(b), "\n"), false
	for i, l := range lines {
		if strings.HasPrefix(l, begins) {
			lines[i], found = with, true
		}
	}
	if !found {
		t.Fatalf("%s has no line %q", file, begins)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) conf(admin int, instance string) string {
	return fmt.Sprintf("kafka: {brokers: [%q], instance: %q}\nadmin: {listen: \"127.0.0.1:%d\"}\n%s",
		w.kafka.Brokers()[0], instance, admin, w.config)
}

// topics applies topics and schemas and waits until the broker knows them all.
func (w *world) topics(t *testing.T) {
	t.Helper()
	w.command(t, "topics", "apply")
	if !poll(t.Context(), applyLimit, func() bool {
		known, err := w.admin.ListTopics(t.Context())
		return err == nil && !slices.ContainsFunc(event.TopicSpecs(), func(s event.TopicSpec) bool { return !known.Has(s.Name) })
	}) {
		t.Fatalf("not all topics are there after %s", applyLimit)
	}
}

// command runs an operator's command to its end.
func (w *world) command(t *testing.T, args ...string) {
	t.Helper()
	p := harness.Start(t, harness.Run{Name: strings.Join(args, "-"), Args: args, Config: w.conf(port(t), "operator"), Env: w.env})
	if code := p.Wait(t, applyLimit); code != 0 {
		t.Fatalf("%s ended with %d:\n%s", strings.Join(args, " "), code, p.Log(t))
	}
}

// start runs a service as a process under a name of its own.
func (w *world) start(t *testing.T, name, service, instance string) *process {
	t.Helper()
	admin := port(t)
	p := &process{
		Process: harness.Start(t, harness.Run{Name: name, Args: []string{service}, Config: w.conf(admin, instance), Env: w.env}),
		ready:   fmt.Sprintf("http://127.0.0.1:%d/readyz", admin),
	}
	w.processes[name] = p
	return p
}

// startAll starts every service and waits until all are ready.
func (w *world) startAll(t *testing.T) {
	t.Helper()
	for _, name := range services {
		service, instance := name, "0"
		if s, n, ok := strings.Cut(name, "atp-"); ok && s == "" && n != "api" {
			service, instance = "atp", n
		}
		w.start(t, name, service, instance)
	}
	w.ready(t, services...)
}

func (w *world) ready(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		w.processes[name].Ready(t, w.processes[name].ready)
	}
}

// revive starts killed services again and waits until they are ready.
func (w *world) revive(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		w.processes[name].Restart(t)
	}
	w.ready(t, names...)
}

// rest waits until nothing is under way any more: every group has committed what
// there is, and the tail has seen it.
func (w *world) rest(t *testing.T, limit time.Duration) {
	t.Helper()
	s := &stack.Stack{Kafka: w.kafka}
	s.Rest(t, limit, stack.Readers([]string{"books"}, []string{"market", "webshop"}))
	if err := w.tail.Settle(t.Context(), nil, limit); err != nil {
		t.Fatal(err)
	}
}

func port(t *testing.T) int {
	t.Helper()
	p, err := harness.Port()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// poll asks until the answer is yes, or the limit is over.
func poll(ctx context.Context, limit time.Duration, yes func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if yes() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
