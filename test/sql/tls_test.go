package sql_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/sql"
	"github.com/stockweave/stockweave/test/harness"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate, PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a partner's authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: cert, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(a.file, encoded("CERTIFICATE", der), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func encoded(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// server makes a certificate of a server and its key, PEM.
func (a *authority) server(t *testing.T, of *x509.Certificate) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of.SerialNumber, of.NotBefore, of.ExtKeyUsage = big.NewInt(2), time.Now().Add(-time.Hour), []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if of.NotAfter.IsZero() {
		of.NotAfter = time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, of, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encoded("CERTIFICATE", der), encoded("PRIVATE KEY", pkcs8)
}

// A partner's database is read over TLS, by the certificate that it should have; with
// any other, or without TLS, there is no connection.
func TestTLS(t *testing.T) {
	db := harness.Postgres(t)
	ours, others := newAuthority(t), newAuthority(t)
	// connect says whether there is a connection as a source wants it, and of which TLS.
	connect := func(s *policy.SQL) (version string, err error) {
		t.Helper()
		s.URLEnv, s.Outbox = "DB", &policy.Outbox{}
		cfg, err := sql.Config(s, func(string) string { return db.URL("postgres") })
		if err != nil {
			return "", err
		}
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
	full := func() *policy.SQL { return &policy.SQL{CAFile: ours.file} }
	use := func(a *authority, of *x509.Certificate) {
		t.Helper()
		cert, key := a.server(t, of)
		db.TLS(t, cert, key)
	}
	here := []net.IP{net.IPv4(127, 0, 0, 1)}

	expect("a server without TLS", "refused TLS", full())
	use(ours, &x509.Certificate{IPAddresses: here})
	await(t, "TLS", func() bool { v, err := connect(full()); return err == nil && v != "" })
	expect("verify-full, which is what holds where nothing is said", "", full())
	expect("verify-full", "", &policy.SQL{TLS: policy.TLSVerifyFull, CAFile: ours.file})
	expect("require asks for no certificate", "", &policy.SQL{TLS: policy.TLSRequire})
	expect("another authority", "unknown authority", &policy.SQL{CAFile: others.file})
	expect("the system's authorities", "unknown authority", &policy.SQL{})
	expect("verify-ca, another authority", "unknown authority", &policy.SQL{TLS: policy.TLSVerifyCA, CAFile: others.file})
	expect("no such file", "cannot be read", &policy.SQL{CAFile: ours.file + ".old"})

	t.Run("rows come over it", func(t *testing.T) {
		conn := db.Connect(t)
		exec(t, conn, "create table stock (id bigint primary key, qty int)")
		exec(t, conn, "insert into stock values (1, 5)")
		s := &policy.SQL{URLEnv: "DB", CAFile: ours.file, Query: &policy.Query{
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

	// What follows is presented to new connections once the server has read it.
	replaced := func(name, fault string, of *x509.Certificate) {
		t.Helper()
		use(ours, of)
		await(t, name+": "+fault, func() bool { _, err := connect(full()); return err != nil && strings.Contains(err.Error(), fault) })
	}
	replaced("a certificate of another host", "not 127.0.0.1", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 9)}})
	expect("verify-ca asks for no name", "", &policy.SQL{TLS: policy.TLSVerifyCA, CAFile: ours.file})
	replaced("a certificate without names", "legacy Common Name", &x509.Certificate{Subject: pkix.Name{CommonName: "127.0.0.1"}})
	replaced("a certificate whose time is over", "expired", &x509.Certificate{IPAddresses: here, NotAfter: time.Now().Add(-time.Minute)})
}
