// Package secured proves on a real broker that Kafka is reached by TLS with a client
// certificate and by SASL, that a new password is taken up while everything runs, and that
// nobody else comes in.
package secured

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/stockweave/stockweave/pkg/connect"
	"github.com/stockweave/stockweave/pkg/connect/connecttest"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const (
	user   = "stockweave"
	secret = "geheim-1"
	// reauth is how often a client has to say again who it is.
	reauth = 2 * time.Second
	surely = 30 * time.Second
)

// world is a broker with a guarded listener, and how it is reached.
type world struct {
	t       *testing.T
	kafka   *harness.Cluster
	ca      *connecttest.Authority
	cfg     stream.Config
	secrets string // the file
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ca: connecttest.NewAuthority(t), secrets: filepath.Join(t.TempDir(), "password")}
	cert, key := w.ca.Certify(t, "server", "127.0.0.1")
	var addr string
	w.kafka, addr = harness.GuardedKafka(t, harness.Guard{Cert: cert, Key: key, CA: w.ca.File, User: user, Password: secret, Reauth: int(reauth.Milliseconds())})
	cert, key = w.ca.Certify(t, "client")
	w.cfg = stream.Config{
		Brokers: []string{addr}, TLS: connect.TLS{Enabled: true, CAFile: w.ca.File, CertFile: cert, KeyFile: key},
		SASL: stream.SASL{Mechanism: stream.SASLPlain, Username: user, PasswordFile: w.secrets}, Log: slog.New(slog.DiscardHandler),
	}
	w.write(secret)
	w.users(secret)
	w.kafka.Create(t, 1, nil, "t")
	return w
}

func (w *world) write(password string) {
	w.t.Helper()
	if err := os.WriteFile(w.secrets, []byte(password+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// users sets the password of SCRAM.
func (w *world) users(password string) {
	w.t.Helper()
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		one := []kadm.UpsertSCRAM{{User: user, Mechanism: m, Iterations: 4096, Password: password}} // the broker takes a user once a request
		altered, err := w.kafka.Admin(w.t).AlterUserSCRAMs(w.t.Context(), nil, one)
		if err = errors.Join(err, altered.Error()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// ask lists transactions, as a client of ours that connects for it.
func (w *world) ask(cfg stream.Config) error {
	w.t.Helper()
	admin, err := stream.NewAdmin(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), surely)
	defer cancel()
	_, err = admin.Transactions(ctx)
	return err
}

func TestKafka(t *testing.T) {
	w := newWorld(t)
	for _, mechanism := range stream.Mechanisms() {
		cfg := w.cfg
		cfg.SASL.Mechanism = mechanism
		if err := w.ask(cfg); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		w.write("wrong " + secret)
		if err := w.ask(cfg); !errors.Is(err, kerr.SaslAuthenticationFailed) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s, with a wrong password: %v", mechanism, err)
		}
		w.write(secret)
	}
	t.Run("refused", w.refused)
	t.Run("command", w.command)
	t.Run("rotation", w.rotation)
}

func (w *world) refused(t *testing.T) {
	others := connecttest.NewAuthority(t)
	for name, c := range map[string]struct {
		change func(*stream.Config)
		is     func(error) bool
	}{
		"another's authority": {func(c *stream.Config) { c.TLS.CAFile = others.File }, is[x509.UnknownAuthorityError]},
		"another host":        {func(c *stream.Config) { c.TLS.ServerName = "elsewhere" }, is[x509.HostnameError]},
		"no certificate":      {func(c *stream.Config) { c.TLS.CertFile, c.TLS.KeyFile = "", "" }, says("certificate required", "bad certificate")},
		"another's certificate": {
			func(c *stream.Config) { c.TLS.CertFile, c.TLS.KeyFile = others.Certify(t, "client") }, says("unknown certificate", "bad certificate", "certificate required"),
		},
		"another user": {func(c *stream.Config) { c.SASL.Username = "somebody" }, func(err error) bool { return errors.Is(err, kerr.SaslAuthenticationFailed) }},
	} {
		cfg := w.cfg
		c.change(&cfg)
		if err := w.ask(cfg); err == nil || !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func says(one ...string) func(error) bool {
	return func(err error) bool {
		for _, text := range one {
			if strings.Contains(err.Error(), text) {
				return true
			}
		}
		return false
	}
}

// command runs the program itself, which reads a configuration file.
func (w *world) command(t *testing.T) {
	run := func(mechanism string) (int, string) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		text := fmt.Sprintf("kafka:\n  brokers: [%q]\n  tls: {ca_file: %s, cert_file: %s, key_file: %s}\n  sasl: {mechanism: %s, username: %s, password_file: %s}\n",
			w.cfg.Brokers[0], w.cfg.TLS.CAFile, w.cfg.TLS.CertFile, w.cfg.TLS.KeyFile, mechanism, user, w.secrets)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), surely)
		defer cancel()
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, harness.Binary(t), "txn", "list", "--config", path)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && !is[*exec.ExitError](err) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String()
	}
	if code, out := run(stream.SASLScramSHA256); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	w.write("wrong " + secret)
	if code, out := run(stream.SASLPlain); code != 1 || !strings.Contains(out, "SASL_AUTHENTICATION_FAILED") || strings.Contains(out, secret) {
		t.Errorf("with a wrong password: exit %d: %s", code, out)
	}
	w.write(secret)
	if code, out := run("scram"); code != 2 || !strings.Contains(out, "kafka.sasl.mechanism") {
		t.Errorf("with no mechanism: exit %d: %s", code, out)
	}
}

// rotation changes the password beneath a producer and a worker, first at the broker and
// then in the file: neither is started again.
func (w *world) rotation(t *testing.T) {
	cfg := w.cfg
	cfg.SASL.Mechanism = stream.SASLScramSHA512
	producer, err := stream.NewProducer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	var seen atomic.Int64
	worker, err := stream.NewWorker(stream.WorkerConfig{
		Config: cfg, Group: "g", Topics: []string{"t"},
		Dead:   func(stream.DeadLetter) (*stream.Record, error) { return nil, errors.New("none is dead") },
		Handle: func(context.Context, *stream.Record) ([]*stream.Record, error) { seen.Add(1); return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	produce := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return producer.Produce(ctx, &stream.Record{Topic: "t", Value: []byte("v")})
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(surely); !ok(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not within %s", what, surely)
			}
		}
	}
	if err := produce(surely); err != nil {
		t.Fatal(err)
	}
	until("the worker reads", func() bool { return seen.Load() >= 1 })
	w.users("geheim-2")
	until("the old password is refused", func() bool { return produce(time.Second) != nil })
	w.write("geheim-2")
	if err := produce(surely); err != nil {
		t.Fatal(err)
	}
	before := seen.Load()
	until("the worker goes on", func() bool { return produce(surely) == nil && seen.Load() > before })
	if err := worker.Ready(); err != nil {
		t.Error(err)
	}
}
