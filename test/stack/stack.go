// Package stack runs the whole platform on real parts: Kafka, the registry and
// Redis of the harness, and the services as processes of the built binary. The
// end-to-end tests share it.
package stack

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
)

// Limits of what a test waits for.
const (
	applyLimit = 2 * time.Minute
	stopLimit  = 40 * time.Second
)

// Services are all of them, in the order of the road.
func Services() []string {
	return []string{"ingest", "canonicalizer", "atp", "atp-api", "erp-writer", "channel-publisher"}
}

// Options shape a stack.
type Options struct {
	Brokers    int               // of a cluster that this test has for itself; 1 when 0
	Partitions int               // of keyed topics; 3 when 0
	Policies   string            // the folder
	Env        map[string]string // addresses and secrets that the policies leave to the environment
	Config     string            // more sections of the configuration file, YAML
}

// A Stack is the platform on topics of its own. It ends with the test. It is not
// safe for concurrent use.
type Stack struct {
	Kafka    *harness.Cluster
	Registry *harness.RegistryServer
	Redis    *harness.RedisServer
	Codecs   *event.Codecs

	options   Options
	ingest    int // ports
	api       int
	processes map[string]*process
}

type process struct {
	*harness.Process
	admin int // port
}

// New starts the parts and applies topics, schemas and policies; no service runs
// yet.
func New(t testing.TB, o Options) *Stack {
	t.Helper()
	o.Brokers, o.Partitions = cmp.Or(o.Brokers, 1), cmp.Or(o.Partitions, 3)
	harness.RegistryAhead()
	s := &Stack{
		Kafka: harness.NewKafka(t, o.Brokers), Registry: harness.Registry(t), Redis: harness.Redis(t),
		options: o, processes: map[string]*process{}, ingest: port(t), api: port(t),
	}
	s.Command(t, "topics", "apply")
	s.Codecs = Codecs(t, s.Kafka)
	s.Command(t, "policies", "apply")
	return s
}

// Command runs an operator's command to its end.
func (s *Stack) Command(t testing.TB, args ...string) {
	t.Helper()
	p := harness.Start(t, harness.Run{Name: strings.Join(args, "-"), Args: args, Config: s.config(port(t), "operator"), Env: s.options.Env})
	if code := p.Wait(t, applyLimit); code != 0 {
		t.Fatalf("%s ended with %d:\n%s", strings.Join(args, " "), code, p.Log(t))
	}
}

// Start starts services, one process each, and waits until all are ready.
func (s *Stack) Start(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if p := s.processes[name]; p != nil {
			p.Restart(t)
			continue
		}
		admin := port(t)
		s.processes[name] = &process{admin: admin, Process: harness.Start(t, harness.Run{
			Args: []string{name}, Config: s.config(admin, "0"), Env: s.options.Env,
		})}
	}
	s.Ready(t, names...)
}

// Ready waits until services say that they are ready.
func (s *Stack) Ready(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		p := s.processes[name]
		p.Ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", p.admin))
	}
}

// Stop ends services as an operator would, all at once, and wants them to end
// well.
func (s *Stack) Stop(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		s.processes[name].Term()
	}
	for _, name := range names {
		if code := s.processes[name].Wait(t, stopLimit); code != 0 {
			t.Errorf("%s ended with %d:\n%s", name, code, s.processes[name].Log(t))
		}
	}
}

// Process is a service's process.
func (s *Stack) Process(name string) *harness.Process { return s.processes[name].Process }

// Ingest is the door's base URL.
func (s *Stack) Ingest() string { return fmt.Sprintf("http://127.0.0.1:%d", s.ingest) }

// API is the base URL of atp-api.
func (s *Stack) API() string { return fmt.Sprintf("http://127.0.0.1:%d", s.api) }

// Stream is how to reach the log from within the test.
func (s *Stack) Stream() stream.Config {
	return stream.Config{Brokers: s.Kafka.Brokers(), Instance: "test"}
}

// config is the configuration file of one process.
func (s *Stack) config(admin int, instance string) string {
	return fmt.Sprintf(`kafka: {brokers: ["%s"], instance: %q}
redis: {addresses: [%q]}
registry: {url: %q}
topics: {partitions: %d, replication_factor: %d}
policies_dir: %q
admin: {listen: "127.0.0.1:%d"}
ingest: {listen: "127.0.0.1:%d"}
atp_api: {listen: "127.0.0.1:%d"}
%s`, strings.Join(s.Kafka.Brokers(), `", "`), instance, s.Redis.Addr(), s.Registry.URL(), s.options.Partitions, s.options.Brokers,
		s.options.Policies, admin, s.ingest, s.api, s.options.Config)
}

func port(t testing.TB) int {
	t.Helper()
	p, err := harness.Port()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
