// Package connecttest signs certificates for tests.
package connecttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates, good for an hour before and after now.
type Authority struct {
	Dir  string // of the files
	File string // its certificate
	Pool *x509.CertPool

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one with files in a folder of the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Dir: t.TempDir(), Pool: x509.NewCertPool()}
	about := template("an authority")
	about.IsCA, about.BasicConstraintsValid, about.KeyUsage = true, true, x509.KeyUsageCertSign
	a.cert = about
	a.cert, a.key = a.sign(t, about, "ca")
	a.File = filepath.Join(a.Dir, "ca.pem")
	a.Pool.AddCert(a.cert)
	return a
}

// Certify writes Dir/name.pem and Dir/name.key, anew where they are, for hosts and
// addresses, and says where. Its subject is the name.
func (a *Authority) Certify(t testing.TB, name string, hosts ...string) (cert, key string) {
	t.Helper()
	about := template(name)
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			about.IPAddresses = append(about.IPAddresses, ip)
			continue
		}
		about.DNSNames = append(about.DNSNames, h)
	}
	a.sign(t, about, name)
	return filepath.Join(a.Dir, name+".pem"), filepath.Join(a.Dir, name+".key")
}

// Server is the TLS of a server with a certificate for these hosts.
func (a *Authority) Server(t testing.TB, hosts ...string) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.Certify(t, "server", hosts...))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
}

func template(name string) *x509.Certificate {
	now := time.Now() //nolint:forbidigo // a certificate is judged by the machine's clock
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func (a *Authority) sign(t testing.TB, about *x509.Certificate, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key // by itself
	}
	der, err := x509.CreateCertificate(rand.Reader, about, a.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for end, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.Dir, name+end), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
