package atpapi

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/redis/go-redis/v9"

	"github.com/stockweave/stockweave/pkg/access/lease"
	"github.com/stockweave/stockweave/pkg/access/limit"
	"github.com/stockweave/stockweave/pkg/connect"
	"github.com/stockweave/stockweave/pkg/connect/connecttest"
)

func TestRedisConfig(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                   "",
		`{tls: true}`:                          "",
		`{tls: {server_name: redis.internal}}`: "",
		`{sentinel: {master: stock, addresses: ["s1:26379", "s2:26379"]}, database: 2}`: "",
		`{addresses: ["one:6379"], cluster: true}`:                                      "",
		`{addresses: []}`:           "redis.addresses: required",
		`{addresses: ["one"]}`:      `redis.addresses[0]: must be host:port, not "one"`,
		`{addresses: ["redis:"]}`:   "",
		`{sentinel: {master: m}}`:   "redis.sentinel.addresses: required",
		`{sentinel: {username: u}}`: "redis.sentinel.master: required beside the rest of sentinel",
		`{sentinel: {master: m, addresses: ["s:1"]}, cluster: true}`: "redis.cluster: a cluster has no sentinels",
		`{cluster: true, database: 1}`:                               "redis.database: must be 0 on a cluster, and never negative",
		`{addresses: ["a:1", "b:1"], database: 1}`:                   "redis.database: must be 0 on a cluster, and never negative",
		`{tls: {cert_file: c}}`:                                      "redis.tls: cert_file and key_file come together",
		`{tls: {enabled: false, ca_file: c}}`:                        "redis.tls.enabled: false, but the rest of tls is set",
		`{timeout: 0s, pool_size: 0}`:                                "redis.timeout: must be above 0 and at most 1m\nredis.pool_size: must be between 1 and 10000",
	} {
		c := DefaultRedis()
		if err := yaml.NewDecoder(strings.NewReader(text), yaml.Strict()).Decode(&c); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	c := DefaultRedis()
	if err := yaml.NewDecoder(strings.NewReader(`{tls: {no_such: 1}}`), yaml.Strict()).Decode(&c); err == nil {
		t.Error("an unknown field of tls is taken")
	}
	c.TLS = connect.TLS{Enabled: true, CAFile: "testdata/none.pem"}
	if _, err := c.client(func(string) string { return "" }); err == nil || !strings.HasPrefix(err.Error(), "redis.tls.ca_file: ") {
		t.Errorf("a CA file that is not there: %v", err)
	}
}

// everything does what the service and an audit do to Redis.
func everything(ctx context.Context, t *testing.T, s *store) {
	t.Helper()
	if err := s.restart(ctx, 0, mark{topic: "t1"}); err != nil {
		t.Fatal(err)
	}
	one := []call{{items: []*fields{{key: "acme|A", names: []string{"DC1"}, values: []string{number(7) + "x"}}}, next: 8}}
	if err := s.apply(ctx, 0, "t1", 0, one); err != nil {
		t.Fatal(err)
	}
	if m, err := s.retarget(ctx, 0, "t1", 9); err != nil || m.emptied() || m.target != 9 {
		t.Fatalf("retarget: %+v, %v", m, err)
	}
	if values, m, found, err := s.item(ctx, "acme|A"); err != nil || !found || m.next != 8 || values["DC1"] != number(7)+"x" {
		t.Fatalf("read %v %+v %v %v", values, m, found, err)
	}
	s.warnEviction(ctx, slog.New(slog.DiscardHandler))
	p := &Projection{s}
	keys := 0
	if err := p.Keys(ctx, 0, func(string) { keys++ }); err != nil || keys != 1 {
		t.Fatalf("%d keys, %v", keys, err)
	}
	if _, err := p.Items(ctx, 0, []string{"acme|A"}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := p.Mark(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.restart(ctx, 0, mark{topic: "t2"}); err != nil {
		t.Fatal(err)
	}
}

// TestLeastRights runs on exactly the rights the documentation names, and on none of
// them too many: each is needed.
func TestLeastRights(t *testing.T) {
	srv := newServer(t)
	srv.start(t)
	root := redis.NewClient(&redis.Options{Addr: srv.addr})
	defer root.Close()
	rule := append([]any{"acl", "setuser", "stockweave", "reset", "on", ">secret", "resetchannels", RedisKeys}, words(RedisCommands)...)
	if err := root.Do(t.Context(), rule...).Err(); err != nil {
		t.Fatal(err)
	}
	c := DefaultRedis()
	c.Addresses, c.Username, c.PasswordEnv = []string{srv.addr}, "stockweave", "REDIS_PASSWORD"
	open := func(password string) *store {
		rdb, err := c.client(func(name string) string {
			if name != "REDIS_PASSWORD" {
				t.Errorf("asked for %s", name)
			}
			return password
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rdb.Close() })
		return &store{rdb: rdb}
	}
	everything(t.Context(), t, open("secret"))
	rates := lease.NewRedis(open("secret").rdb, ratePrefix)
	if _, err := rates.Settle(t.Context(), []lease.Account{{Name: "shop", Rule: limit.Rule{PerSecond: 1}}}); err != nil {
		t.Error(err)
	}
	if n, err := rates.Meet(t.Context(), "r", time.Minute); err != nil || n != 1 {
		t.Errorf("%d replicas, %v", n, err)
	}
	if refused, err := root.Do(t.Context(), "acl", "log").Slice(); err != nil || len(refused) != 0 {
		t.Errorf("refused: %v, %v", refused, err)
	}
	if _, _, err := open("wrong").mark(t.Context(), 0); err == nil {
		t.Error("a wrong password is let in")
	}
	if err := open("secret").rdb.Get(t.Context(), "other").Err(); err == nil || !redis.HasErrorPrefix(err, "NOPERM") {
		t.Errorf("another's key: %v", err)
	}
	if err := open("secret").rdb.FlushAll(t.Context()).Err(); err == nil || !redis.HasErrorPrefix(err, "NOPERM") {
		t.Errorf("FLUSHALL: %v", err)
	}
}

func words(s string) (out []any) {
	for w := range strings.FieldsSeq(s) {
		out = append(out, w)
	}
	return out
}

// TestRedisTLS speaks TLS with a certificate of ours to a server with one of a CA of its own.
func TestRedisTLS(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	ca := connecttest.NewAuthority(t)
	cert, key := ca.Certify(t, "server", "server")
	clientCert, clientKey := ca.Certify(t, "client", "client")
	srv.launch(t, "--port", "0", "--tls-port", srv.port(), "--bind", "127.0.0.1", "--save", "", "--dir", srv.dir,
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.File, "--tls-auth-clients", "yes")
	c := DefaultRedis()
	c.Addresses = []string{srv.addr}
	try := func(tls connect.TLS) error {
		c.TLS = tls
		rdb, err := c.client(func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		defer rdb.Close()
		return rdb.Ping(t.Context()).Err()
	}
	good := connect.TLS{Enabled: true, CAFile: ca.File, CertFile: clientCert, KeyFile: clientKey, ServerName: "server"}
	var last error
	eventually(t, "the server answers over TLS", func() bool {
		last = try(good)
		if last != nil && strings.Contains(last.Error(), "x509") {
			t.Fatal(last)
		}
		return last == nil
	})
	for name, change := range map[string]func(*connect.TLS){
		"another name":        func(c *connect.TLS) { c.ServerName = "client" },
		"a name of no one":    func(c *connect.TLS) { c.ServerName = "" }, // 127.0.0.1 is not in the certificate
		"the system's CAs":    func(c *connect.TLS) { c.CAFile = "" },
		"no certificate":      func(c *connect.TLS) { c.CertFile, c.KeyFile = "", "" },
		"nothing of all that": func(c *connect.TLS) { *c = connect.TLS{} },
	} {
		bad := good
		change(&bad)
		if err := try(bad); err == nil {
			t.Errorf("%s: connected", name)
		}
	}
}
