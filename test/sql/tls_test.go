package sql_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stockweave/stockweave/pkg/connect/connecttest"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/sql"
	"github.com/stockweave/stockweave/test/harness"
)

// A partner's database is read over TLS, by the certificate that it should have; with
// any other, or without TLS, there is no connection.
func TestTLS(t *testing.T) {
	db := harness.Postgres(t)
	ours, others := connecttest.NewAuthority(t), connecttest.NewAuthority(t)
	ahead := time.Duration(0) // of our clock
	// connect says whether there is a connection as a source wants it, and of which TLS.
	connect := func(s *policy.SQL) (version string, err error) {
		t.Helper()
		s.URLEnv, s.Outbox = "DB", &policy.Outbox{}
		cfg, err := sql.Config(s, func(string) string { return db.URL("postgres") })
		if err != nil {
			return "", err
		}
		cfg.TLSConfig.Time = func() time.Time { return time.Now().Add(ahead) }
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close(t.Context()) }()
		var said *string
		if err := conn.QueryRow(t.Context(), "select version from pg_stat_ssl where pid = pg_backend_pid()").Scan(&said); err != nil {
			t.Fatal(err)
		}
		if said != nil {
			version = *said
		}
		return version, nil
	}
	expect := func(name, fault string, s *policy.SQL) {
		t.Helper()
		version, err := connect(s)
		switch {
		case fault != "" && (err == nil || !strings.Contains(err.Error(), fault)):
			t.Errorf("%s: %q, %v, want %s", name, version, err, fault)
		case fault == "" && (err != nil || !slices.Contains([]string{"TLSv1.2", "TLSv1.3"}, version)):
			t.Errorf("%s: TLS %q, %v", name, version, err)
		}
	}
	full := func() *policy.SQL { return &policy.SQL{CAFile: ours.File} }
	use := func(name string, hosts ...string) {
		t.Helper()
		cert, key := ours.Certify(t, name, hosts...)
		db.TLS(t, cert, key)
	}
	const here = "127.0.0.1"

	expect("a server without TLS", "refused TLS", full())
	use("server", here)
	await(t, "TLS", func() bool { v, err := connect(full()); return err == nil && v != "" })
	expect("verify-full, which is what holds where nothing is said", "", full())
	expect("verify-full", "", &policy.SQL{TLS: policy.TLSVerifyFull, CAFile: ours.File})
	expect("require asks for no certificate", "", &policy.SQL{TLS: policy.TLSRequire})
	expect("another authority", "unknown authority", &policy.SQL{CAFile: others.File})
	expect("the system's authorities", "unknown authority", &policy.SQL{})
	expect("verify-ca, another authority", "unknown authority", &policy.SQL{TLS: policy.TLSVerifyCA, CAFile: others.File})
	expect("no such file", "cannot be read", &policy.SQL{CAFile: ours.File + ".old"})

	t.Run("rows come over it", func(t *testing.T) {
		conn := db.Connect(t)
		exec(t, conn, "create table stock (id bigint primary key, qty int)")
		exec(t, conn, "insert into stock values (1, 5)")
		s := &policy.SQL{URLEnv: "DB", CAFile: ours.File, Query: &policy.Query{
			SQL:    "select id as cursor, id, jsonb_build_object('qty', qty) as body from stock where (id, id) > ($1, $2) order by id limit $3",
			Cursor: policy.CursorNumber, Behind: 1,
		}}
		cfg, err := sql.Config(s, func(string) string { return db.URL("postgres") })
		if err != nil {
			t.Fatal(err)
		}
		rows := sql.NewRows(source(s), s, cfg, time.Now)
		defer rows.Close()
		at, err := rows.Begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		page, err := rows.Fetch(t.Context(), at)
		if err != nil || len(page.Records) != 1 || string(page.Records[0].Body) != `{"qty": 5}` {
			t.Errorf("%+v, %v", page, err)
		}
	})

	ahead = 2 * time.Hour
	expect("a certificate whose time is over", "expired", full())
	ahead = 0

	// What follows is presented to new connections once the server has read it.
	replaced := func(what, fault, name string, hosts ...string) {
		t.Helper()
		use(name, hosts...)
		await(t, what+": "+fault, func() bool { _, err := connect(full()); return err != nil && strings.Contains(err.Error(), fault) })
	}
	replaced("a certificate of another host", "not "+here, "server", "127.0.0.9")
	expect("verify-ca asks for no name", "", &policy.SQL{TLS: policy.TLSVerifyCA, CAFile: ours.File})
	replaced("a certificate without names", "legacy Common Name", here)
}
