// Package connect is what the configuration file says in the same words of all that we
// connect to: TLS, and passwords in files.
package connect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS is also read from a mere true or false, which is Enabled. Files are PEM.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"ca_file"` // empty: the system's
	CertFile   string `yaml:"cert_file"`
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"` // that of the certificate; empty: the host connected to
}

// UnmarshalYAML reads a bool or a mapping.
func (c *TLS) UnmarshalYAML(read func(any) error) error {
	var on bool
	if read(&on) == nil {
		*c = TLS{Enabled: on}
		return nil
	}
	type plain TLS
	p := plain{Enabled: true} // whoever says how wants it
	if err := read(&p); err != nil {
		return err
	}
	*c = TLS(p)
	return nil
}

// Validate reports every fault at once. at is what the configuration file calls c, such as
// redis.tls.
func (c *TLS) Validate(at string) error {
	var errs []error
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, fmt.Errorf("%s: cert_file and key_file come together", at))
	}
	if !c.Enabled && *c != (TLS{}) {
		errs = append(errs, fmt.Errorf("%s.enabled: false, but the rest of tls is set", at))
	}
	return errors.Join(errs...)
}

// Load reads the files; it is nil where TLS is off. The client certificate is read again at
// each handshake, so that it can be renewed while we run.
func (c *TLS) Load(at string) (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil //nolint:nilnil // off
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	var err error
	if out.RootCAs, err = Roots(c.CAFile); err != nil {
		return nil, fmt.Errorf("%s.ca_file: %w", at, err)
	}
	if c.CertFile == "" {
		return out, nil
	}
	files := *c
	pair := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%s.cert_file: %w", at, err)
		}
		return &pair, nil
	}
	if _, err := pair(); err != nil {
		return nil, err
	}
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair() }
	return out, nil
}

// Roots reads the authorities of a PEM file; nil, the system's, where no file is named.
func Roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return pool, nil
}
