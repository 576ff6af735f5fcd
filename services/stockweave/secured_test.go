package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/stockweave/stockweave/pkg/connect"
	"github.com/stockweave/stockweave/pkg/connect/connecttest"
	"github.com/stockweave/stockweave/pkg/stream"
)

const kafkaPassword = "geheim"

func written(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEverythingIsSecured plays the scenario on a log that is reached by TLS, with a client
// certificate, and by SASL alone, and runs commands on it: whatever connects does it so.
func TestEverythingIsSecured(t *testing.T) {
	t.Parallel()
	ca := connecttest.NewAuthority(t)
	server := ca.Server(t, "127.0.0.1")
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool
	cert, key := ca.Certify(t, "client")
	password := written(t, "password", kafkaPassword)
	st, play := toPlay(t, func(st *stage) {
		st.broker = []kfake.Opt{kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser(stream.SASLScramSHA512, "stockweave", kafkaPassword)}
		st.cfg.Kafka.TLS = connect.TLS{Enabled: true, CAFile: ca.File, CertFile: cert, KeyFile: key}
		st.cfg.Kafka.SASL = stream.SASL{Mechanism: stream.SASLScramSHA512, Username: "stockweave", PasswordFile: password}
	})
	if err := play(); err != nil {
		t.Fatal(err)
	}
	secured := fmt.Sprintf("tls: {ca_file: %s, cert_file: %s, key_file: %s}", ca.File, cert, key)
	who := fmt.Sprintf("sasl: {mechanism: SCRAM-SHA-512, username: stockweave, password_file: %s}", password)
	config := func(kafka string) string {
		return written(t, "config.yaml", fmt.Sprintf("kafka: {brokers: [\"%s\"], %s}\nredis: {addresses: [\"%s\"]}\nregistry: {url: %q}\ntopics: {replication_factor: 1}\npolicies_dir: %s\n",
			strings.Join(st.cfg.Kafka.Brokers, `", "`), kafka, strings.Join(st.cfg.Redis.Addresses, `", "`), st.cfg.Registry.URL, shippedPolicies))
	}
	good := config(secured + ", " + who)
	for _, args := range []string{"topics apply", "policies apply", "topics list", "txn list", "parked list", "parked", "snapshots list", "audit", "explain acme/SKU-1"} {
		var out bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(args), "--config", good), &out, &out); code != exitOK {
			t.Errorf("%s: %d %s", args, code, &out)
		}
	}
	for name, kafka := range map[string]string{
		"without a client certificate": fmt.Sprintf("tls: {ca_file: %s}, %s", ca.File, who),
		"with the system's CAs":        "tls: true, " + who,
	} {
		var out bytes.Buffer
		if code := run(t.Context(), []string{"txn", "list", "--config", config(kafka)}, &out, &out); code != exitFailed || !strings.Contains(out.String(), "tls") {
			t.Errorf("%s: %d %s", name, code, &out)
		}
	}
	var out bytes.Buffer
	code := run(t.Context(), []string{"txn", "list", "--config", config(who)}, &out, &out)
	if want := "kafka.sasl: needs kafka.tls"; code != exitMisuse || !strings.Contains(out.String(), want) {
		t.Errorf("without TLS: %d %s", code, &out)
	}
}

// TestRegistryIsSecured registers schemas by HTTPS and a password, and refuses what would
// give the password away.
func TestRegistryIsSecured(t *testing.T) {
	kafka, plain := emptyLog(t)
	target, err := url.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	ca := connecttest.NewAuthority(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "stockweave" || password != kafkaPassword {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail
	srv.TLS = ca.Server(t, "127.0.0.1")
	srv.StartTLS()
	t.Cleanup(srv.Close)
	good := registryConfig{URL: srv.URL, TLS: connect.TLS{Enabled: true, CAFile: ca.File}, Username: "stockweave", PasswordFile: written(t, "password", kafkaPassword+"\n")}
	apply := func(c registryConfig) error {
		_, err := applyTopics(t.Context(), kafka, &c, topicsConfig{ReplicationFactor: 1})
		return err
	}
	if err := apply(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*registryConfig){
		"the system's CAs":         func(c *registryConfig) { c.TLS = connect.TLS{} },
		"another name":             func(c *registryConfig) { c.TLS.ServerName = "elsewhere" },
		"another password":         func(c *registryConfig) { c.PasswordFile = written(t, "password", "wrong "+kafkaPassword) },
		"no password":              func(c *registryConfig) { c.Username, c.PasswordFile = "", "" },
		"a file that is not there": func(c *registryConfig) { c.PasswordFile = "none" },
	} {
		bad := good
		change(&bad)
		if err := apply(bad); err == nil || strings.Contains(err.Error(), kafkaPassword) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for text, want := range map[string]string{
		"{url: 'https://r', tls: {ca_file: c}, username: u, password_file: p}": "",
		"{url: 'http://r', username: u, password_file: p, plaintext: true}":    "",
		"{url: 'http://r', tls: true}":                                         "registry.tls: needs an https:// URL",
		"{url: 'http://r', username: u, password_file: p}":                     "registry.password_file: needs an https:// URL, or plaintext: true",
		"{url: 'https://r', username: u}":                                      "registry: username and password_file come together",
		"{url: 'https://r', plaintext: true}":                                  "registry.plaintext: true, but",
		"{url: 'https://r', tls: {key_file: k}}":                               "registry.tls: cert_file and key_file come together",
	} {
		_, err := loadConfig(written(t, "config.yaml", "registry: "+text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestMisplacedPassword: a password that stands in the file is refused without being shown.
func TestMisplacedPassword(t *testing.T) {
	for _, text := range []string{
		"kafka:\n  sasl:\n    password: geheim\n",
		"registry: {password: geheim}\n",
		"kafka: {sasl: {mechanism: PLAIN, username: u, password_file: p}\nredis: geheim\n",
	} {
		_, err := loadConfig(written(t, "config.yaml", text))
		if !errors.Is(err, errMisuse) || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), ".yaml: [") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
