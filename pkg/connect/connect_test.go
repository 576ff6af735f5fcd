package connect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/stockweave/stockweave/pkg/connect/connecttest"
)

func TestTLSIsRead(t *testing.T) {
	for text, want := range map[string]TLS{
		`{}`:                      {},
		`{tls: true}`:             {Enabled: true},
		`{tls: false}`:            {},
		`{tls: {server_name: s}}`: {Enabled: true, ServerName: "s"},
		`{tls: {enabled: true}}`:  {Enabled: true},
		`{tls: {enabled: false}}`: {},
		`{tls: {ca_file: a, cert_file: c, key_file: k}}`: {Enabled: true, CAFile: "a", CertFile: "c", KeyFile: "k"},
	} {
		var got struct {
			TLS TLS `yaml:"tls"`
		}
		if err := yaml.NewDecoder(strings.NewReader(text), yaml.Strict()).Decode(&got); err != nil || got.TLS != want {
			t.Errorf("%s: %+v, %v", text, got.TLS, err)
		}
	}
	var got struct {
		TLS TLS `yaml:"tls"`
	}
	if err := yaml.NewDecoder(strings.NewReader(`{tls: {insecure: true}}`), yaml.Strict()).Decode(&got); err == nil {
		t.Error("an unknown field is taken")
	}
}

func TestTLSFaults(t *testing.T) {
	for want, c := range map[string]TLS{
		"": {Enabled: true, CertFile: "c", KeyFile: "k"},
		"x.tls: cert_file and key_file come together":      {Enabled: true, CertFile: "c"},
		"x.tls.enabled: false, but the rest of tls is set": {CAFile: "a"},
	} {
		if got := text(c.Validate("x.tls")); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
	ca := connecttest.NewAuthority(t)
	cert, key := ca.Certify(t, "client")
	empty := write(t, "empty.pem", "nothing")
	for want, c := range map[string]TLS{
		"x.tls.ca_file: open none.pem":   {Enabled: true, CAFile: "none.pem"},
		"x.tls.ca_file: " + empty:        {Enabled: true, CAFile: empty},
		"x.tls.cert_file: open none.pem": {Enabled: true, CertFile: "none.pem", KeyFile: key},
		"x.tls.cert_file: tls: ":         {Enabled: true, CertFile: cert, KeyFile: empty},
	} {
		if _, err := c.Load("x.tls"); !strings.HasPrefix(text(err), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	if got, err := (&TLS{}).Load("x.tls"); got != nil || err != nil {
		t.Errorf("off: %v, %v", got, err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listen answers handshakes: a client is told whether it was let in, and came is who it was.
func listen(t *testing.T, server *tls.Config) (addr string, came <-chan string) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	names := make(chan string, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if secured := conn.(*tls.Conn); secured.HandshakeContext(t.Context()) == nil {
				for _, cert := range secured.ConnectionState().PeerCertificates {
					names <- cert.Subject.CommonName
				}
				_, _ = conn.Write([]byte("+"))
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String(), names
}

// shake connects as a client of ours does, which takes the host as the name where none is said.
func shake(t *testing.T, c *TLS, addr string) error {
	t.Helper()
	cfg, err := c.Load("x.tls")
	if err != nil {
		t.Fatal(err)
	}
	return greet(cfg, addr)
}

func greet(cfg *tls.Config, addr string) error {
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err = conn.Read(make([]byte, 1)); err != nil {
		return err
	}
	return nil
}

// TestHandshake: the server is held to the authority and to its name, and 1.1 is not spoken.
func TestHandshake(t *testing.T) {
	ours, others := connecttest.NewAuthority(t), connecttest.NewAuthority(t)
	addr, _ := listen(t, ours.Server(t, "broker.internal", "127.0.0.1"))
	for _, good := range []TLS{{Enabled: true, CAFile: ours.File}, {Enabled: true, CAFile: ours.File, ServerName: "broker.internal"}} {
		if err := shake(t, &good, addr); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](shake(t, &TLS{Enabled: true, CAFile: others.File}, addr)); !ok {
		t.Error("another's authority is trusted")
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](shake(t, &TLS{Enabled: true}, addr)); !ok {
		t.Error("the system trusts ours")
	}
	if _, ok := errors.AsType[x509.HostnameError](shake(t, &TLS{Enabled: true, CAFile: ours.File, ServerName: "elsewhere.internal"}, addr)); !ok {
		t.Error("another host's certificate is taken")
	}
	elsewhere, _ := listen(t, ours.Server(t, "elsewhere.internal"))
	if _, ok := errors.AsType[x509.HostnameError](shake(t, &TLS{Enabled: true, CAFile: ours.File}, elsewhere)); !ok {
		t.Error("a certificate without the address is taken")
	}
	old := ours.Server(t, "127.0.0.1")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	addr, _ = listen(t, old)
	if err := shake(t, &TLS{Enabled: true, CAFile: ours.File}, addr); !strings.Contains(text(err), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

// TestClientCertificateIsRenewed: each handshake shows the certificate that is in the file
// then, with one and the same configuration.
func TestClientCertificateIsRenewed(t *testing.T) {
	ca := connecttest.NewAuthority(t)
	server := ca.Server(t, "127.0.0.1")
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool
	addr, came := listen(t, server)
	if shake(t, &TLS{Enabled: true, CAFile: ca.File}, addr) == nil {
		t.Error("let in without a certificate")
	}
	c := TLS{Enabled: true, CAFile: ca.File}
	c.CertFile, c.KeyFile = ca.Certify(t, "first")
	cfg, err := c.Load("x.tls")
	if err != nil {
		t.Fatal(err)
	}
	if err := greet(cfg, addr); err != nil || <-came != "first" {
		t.Fatal(err)
	}
	cert, key := ca.Certify(t, "second")
	for from, to := range map[string]string{cert: c.CertFile, key: c.KeyFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := greet(cfg, addr); err != nil {
		t.Fatal(err)
	}
	if who := <-came; who != "second" {
		t.Errorf("the certificate shown is %s", who)
	}
	if err := os.Remove(c.KeyFile); err != nil {
		t.Fatal(err)
	}
	if err := greet(cfg, addr); !strings.HasPrefix(text(err), "x.tls.cert_file: open ") {
		t.Errorf("with the key gone: %v", err)
	}
}

func TestPassword(t *testing.T) {
	for content, want := range map[string]string{"geheim": "geheim", "geheim\n": "geheim", "geheim\r\n": "geheim", " ge heim ": " ge heim "} {
		if got, err := Password(write(t, "password", content)); got != want || err != nil {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
	for content, want := range map[string]string{
		"": "is empty", "\n": "is empty", "geheim\nmehr\n": "has more than one line", "geheim\x00": "or a zero byte",
		strings.Repeat("geheim", 1000): "is larger than 4096 bytes",
	} {
		got, err := Password(write(t, "password", content))
		if got != "" || !strings.Contains(text(err), want) || strings.Contains(text(err), "geheim") {
			t.Errorf("%.20q: %q, %v", content, got, err)
		}
	}
	if _, err := Password("none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
