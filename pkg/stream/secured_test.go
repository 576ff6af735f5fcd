package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/stockweave/stockweave/pkg/connect"
	"github.com/stockweave/stockweave/pkg/connect/connecttest"
)

func TestSecurityFaults(t *testing.T) {
	full := SASL{Mechanism: SASLPlain, Username: "u", PasswordFile: "p"}
	for want, change := range map[string]func(*Config){
		"":  func(*Config) {},
		" ": func(c *Config) { c.TLS, c.SASL = connect.TLS{Enabled: true}, full },
		"  ": func(c *Config) {
			c.SASL = full
			c.SASL.Plaintext = true
		},
		"kafka.brokers: at least one is required":                                                  func(c *Config) { c.Brokers = nil },
		"kafka.tls: cert_file and key_file come together":                                          func(c *Config) { c.TLS = connect.TLS{Enabled: true, KeyFile: "k"} },
		"kafka.sasl: needs kafka.tls, or plaintext: true where the network keeps others out":       func(c *Config) { c.SASL = full },
		"kafka.sasl.mechanism: must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, not \"scram-sha-256\"": func(c *Config) { c.TLS.Enabled, c.SASL = true, full; c.SASL.Mechanism = "scram-sha-256" },
		"kafka.sasl.username: required":                                                            func(c *Config) { c.TLS.Enabled, c.SASL = true, full; c.SASL.Username = "" },
		"kafka.sasl.username: has a control character":                                             func(c *Config) { c.TLS.Enabled, c.SASL = true, full; c.SASL.Username = "a\x00b" },
		"kafka.sasl.password_file: required":                                                       func(c *Config) { c.TLS.Enabled, c.SASL = true, full; c.SASL.PasswordFile = "" },
		"kafka.sasl.plaintext: true, but kafka.tls is on":                                          func(c *Config) { c.TLS.Enabled, c.SASL = true, full; c.SASL.Plaintext = true },
		"kafka.sasl.username: required\nkafka.sasl.password_file: required":                        func(c *Config) { c.TLS.Enabled = true; c.SASL.Mechanism = SASLScramSHA512 },
	} {
		c := Config{Brokers: []string{"127.0.0.1:1"}}
		change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != strings.TrimSpace(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// What a file lacks is told when the client is made, by its name in the configuration.
	for want, c := range map[string]Config{
		"kafka.tls.ca_file: open none.pem":    {TLS: connect.TLS{Enabled: true, CAFile: "none.pem"}},
		"kafka.sasl.password_file: open none": {TLS: connect.TLS{Enabled: true}, SASL: SASL{SASLPlain, "u", "none", false}},
	} {
		c.Brokers = []string{"127.0.0.1:1"}
		if _, err := NewProducer(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// guarded is a cluster that is reached by TLS with a client certificate and SASL alone.
type guarded struct {
	*kfake.Cluster
	ca       *connecttest.Authority
	cfg      Config
	password string // the file
	log      said
}

// said is what was logged.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

const secret = "geheim, und =lang"

func newGuarded(t *testing.T, mechanism string, more ...kfake.Opt) *guarded {
	t.Helper()
	g := &guarded{ca: connecttest.NewAuthority(t), password: filepath.Join(t.TempDir(), "password")}
	server := g.ca.Server(t, "127.0.0.1")
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, g.ca.Pool
	var err error
	g.Cluster, err = kfake.NewCluster(append(more, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"), kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser(mechanism, "stockweave", secret))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	cert, key := g.ca.Certify(t, "client")
	g.cfg = Config{
		Brokers: g.ListenAddrs(), TLS: connect.TLS{Enabled: true, CAFile: g.ca.File, CertFile: cert, KeyFile: key},
		SASL: SASL{Mechanism: mechanism, Username: "stockweave", PasswordFile: g.password},
		Log:  slog.New(slog.NewTextHandler(&g.log, nil)),
	}
	g.set(t, secret)
	return g
}

func (g *guarded) set(t *testing.T, password string) {
	t.Helper()
	if err := os.WriteFile(g.password, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ask asks about a topic, with a client of its own that may take so long.
func (g *guarded) ask(t *testing.T, cfg Config, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	reads, err := NewRestoreReads(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	_, err = reads.meta(ctx, true, "t")
	return err
}

const (
	surely = 20 * time.Second
	hardly = 400 * time.Millisecond // kfake hangs up, and the client tries again
)

func (g *guarded) refuses(t *testing.T, name string, change func(*Config)) {
	t.Helper()
	cfg := g.cfg
	change(&cfg)
	if err := g.ask(t, cfg, hardly); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("%s: %v", name, err)
	}
}

// TestMechanisms reaches such a cluster by each of them, by the right password alone, which
// nothing tells.
func TestMechanisms(t *testing.T) {
	for i, mechanism := range Mechanisms() {
		t.Run(mechanism, func(t *testing.T) {
			g := newGuarded(t, mechanism)
			if err := g.ask(t, g.cfg, surely); err != nil {
				t.Fatal(err)
			}
			g.refuses(t, "another mechanism", func(c *Config) { c.SASL.Mechanism = Mechanisms()[(i+1)%3] })
			g.set(t, "wrong "+secret)
			g.refuses(t, "a wrong password", func(*Config) {})
			if all := g.log.String(); strings.Contains(all, secret) {
				t.Errorf("the password is told: %s", all)
			}
		})
	}
}

// TestGuarded does not reach it, nor take its word, when anything else is wrong.
func TestGuarded(t *testing.T) {
	g := newGuarded(t, SASLScramSHA512)
	if err := g.ask(t, g.cfg, surely); err != nil {
		t.Fatal(err)
	}
	others := connecttest.NewAuthority(t)
	for name, change := range map[string]func(*Config){
		"no TLS":                func(c *Config) { c.TLS = connect.TLS{}; c.SASL.Plaintext = true },
		"another's authority":   func(c *Config) { c.TLS.CAFile = others.File },
		"another host":          func(c *Config) { c.TLS.ServerName = "elsewhere" },
		"no client certificate": func(c *Config) { c.TLS.CertFile, c.TLS.KeyFile = "", "" },
		"another's certificate": func(c *Config) { c.TLS.CertFile, c.TLS.KeyFile = others.Certify(t, "client") },
		"no SASL":               func(c *Config) { c.SASL = SASL{} },
		"another user":          func(c *Config) { c.SASL.Username = "somebody" },
	} {
		g.refuses(t, name, change)
	}
}

// TestPasswordChanges: a client goes on with the password that is in the file when it has to
// say again who it is, and mends by itself once the right one is there.
func TestPasswordChanges(t *testing.T) {
	g := newGuarded(t, SASLScramSHA256)
	p, err := NewProducer(g.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	produce := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return p.Produce(ctx, &Record{Topic: "t", Value: []byte("v")})
	}
	if err := produce(surely); err != nil {
		t.Fatal(err)
	}
	admin, err := NewAdmin(g.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	altered, err := admin.adm.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{
		{User: "stockweave", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "another"},
	})
	if err != nil || altered.Error() != nil {
		t.Fatal(err, altered)
	}
	g.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("hung up"), true })
	if err := produce(hardly); err == nil {
		t.Fatal("the old password is taken")
	}
	g.set(t, "another")
	if err := produce(surely); err != nil {
		t.Fatal(err)
	}
}
