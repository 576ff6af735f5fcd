package signature

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// pki is a root, an authority below it, and a certificate of that for the key that the
// signatures of the tests were made with.
type pki struct {
	roots *x509.CertPool
	file  []byte            // what is at the address of the certificate: it, and the authority
	leaf  []byte            // the first of it
	mid   []byte            // the authority, DER
	above map[string][]byte // what is at addresses of authorities
}

const midURL = "http://crt.r2m01.amazontrust.com/r2m01.cer"

type link struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func issue(t testing.TB, of, by *x509.Certificate, key any, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, of, by, key, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newAuthority(t testing.TB, name string, by *link) *link {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: snsNow.Add(-time.Hour), NotAfter: snsNow.Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if by == nil {
		by = &link{of, key}
	}
	return &link{issue(t, of, by.cert, &key.PublicKey, by.key), key}
}

func newPKI(t testing.TB, names ...string) *pki {
	t.Helper()
	b, err := os.ReadFile("testdata/sns.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	signer, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	root := newAuthority(t, "root", nil)
	mid := newAuthority(t, "authority", root)
	leaf := issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: snsNow.Add(-time.Hour), NotAfter: snsNow.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IssuingCertificateURL: []string{"http://ocsp.example/x", midURL},
	}, mid.cert, signer.PublicKey, mid.key)
	p := &pki{roots: x509.NewCertPool(), leaf: pemOf(leaf.Raw), mid: mid.cert.Raw, above: map[string][]byte{}}
	p.roots.AddCert(root.cert)
	p.file = append(slices.Clone(p.leaf), pemOf(p.mid)...)
	return p
}

// endless is an authority without a root: whoever asks who is above it is led to it again.
func endless(t testing.TB) []byte {
	t.Helper()
	x := newAuthority(t, "authority", nil)
	of := *x.cert
	of.IssuingCertificateURL = []string{midURL}
	return issue(t, &of, x.cert, &x.key.PublicKey, x.key).Raw
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Who signs for SNS is a certificate of SNS: under its name, and by a root that is known.
func TestSNSCertificates(t *testing.T) {
	sns := func() *pki { return newPKI(t, "sns.amazonaws.com") }
	change := func(f func(*pki)) *pki {
		p := sns()
		f(p)
		return p
	}
	old, err := os.ReadFile("testdata/sns.pem")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		pki   *pki
		now   time.Time
		want  error
		asked int
	}{
		"with its authority":              {pki: sns(), asked: 1},
		"alone, its authority at Amazon":  {pki: change(func(p *pki) { p.file, p.above[midURL] = p.leaf, p.mid }), asked: 2},
		"alone, its authority is no file": {pki: change(func(p *pki) { p.file, p.above[midURL] = p.leaf, []byte("x") }), want: ErrBad, asked: 2},
		"its authority is another one":    {pki: change(func(p *pki) { p.file, p.above[midURL] = p.leaf, sns().mid }), want: ErrBad, asked: 2},
		"its authorities know no end":     {pki: change(func(p *pki) { p.file, p.above[midURL] = p.leaf, endless(t) }), want: ErrBad, asked: 1 + maxAbove},
		"of the region":                   {pki: newPKI(t, "sns.us-west-2.amazonaws.com"), asked: 1},
		"of a region that was opted in":   {pki: newPKI(t, "sns-signing.us-west-2.amazonaws.com"), asked: 1},
		"of another region":               {pki: newPKI(t, "sns.us-east-1.amazonaws.com"), want: ErrBad, asked: 1},
		"of another service":              {pki: newPKI(t, "s3.amazonaws.com"), want: ErrBad, asked: 1},
		"of somebody's bucket":            {pki: newPKI(t, "sns.amazonaws.com.s3.amazonaws.com"), want: ErrBad, asked: 1},
		"of China":                        {pki: newPKI(t, "sns.amazonaws.com.cn"), want: ErrBad, asked: 1},
		"another root":                    {pki: change(func(p *pki) { p.roots = sns().roots }), want: ErrBad, asked: 1},
		"no root":                         {pki: change(func(p *pki) { p.roots = x509.NewCertPool() }), want: ErrBad, asked: 1},
		"its own":                         {pki: change(func(p *pki) { p.file = old }), want: ErrBad, asked: 1},
		"over":                            {pki: sns(), now: snsNow.Add(2 * time.Hour), want: ErrBad, asked: 1},
		"the authority alone":             {pki: change(func(p *pki) { p.file = pemOf(p.mid) }), want: ErrBad, asked: 1},
		"too many":                        {pki: change(func(p *pki) { p.file = []byte(strings.Repeat(string(p.file), 5)) }), want: ErrBad, asked: 1},
		"none":                            {pki: change(func(p *pki) { p.file = []byte("none") }), want: ErrBad, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := &amazon{pki: tc.pki}
			now := tc.now
			if now.IsZero() {
				now = snsNow
			}
			v := newTestSNS(t, a)
			_, err := v.Verify(t.Context(), &Request{Body: snsBody()}, now)
			if !errors.Is(err, tc.want) || err != nil && tc.want == nil {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if len(a.asked) != tc.asked {
				t.Errorf("asked for %v", a.asked)
			}
			for _, address := range a.asked[min(1, len(a.asked)):] {
				if address != midURL {
					t.Errorf("asked for %s", address)
				}
			}
		})
	}
}

// An authority is asked for at Amazon Trust Services alone.
func TestIssuers(t *testing.T) {
	for address, want := range map[string]bool{
		midURL: true,
		"http://crt.sca1b.amazontrust.com/sca1b.crt":      true,
		"http://crt.r2m01.amazontrust.com.evil.net/x.cer": false,
		"http://crt.a@evil.net/amazontrust.com/x.cer":     false,
		"http://crt.evil.net/r2m01.cer":                   false,
		"http://169.254.169.254/x.cer":                    false,
		"http://crt.r2m01.amazontrust.com:81/r2m01.cer":   false,
		"http://crt.r2m01.amazontrust.com/../x.cer":       false,
		"ldap://crt.r2m01.amazontrust.com/r2m01.cer":      false,
	} {
		if issuer.MatchString(address) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
}

func TestSigners(t *testing.T) {
	for topic, want := range map[string]string{
		"arn:aws:sns:us-east-1:123456789012:x":            "sns.amazonaws.com",
		"arn:aws:sns:me-south-1:123456789012:x":           "sns-signing.me-south-1.amazonaws.com",
		"arn:aws-cn:sns:cn-north-1:123456789012:x":        "sns-cn-north-1.amazonaws.com.cn",
		"arn:aws-us-gov:sns:us-gov-east-1:123456789012:x": "sns-us-gov-west-1.amazonaws.com",
	} {
		if !slices.Contains(signers(topic), want) {
			t.Errorf("%s: %v", topic, signers(topic))
		}
	}
}
