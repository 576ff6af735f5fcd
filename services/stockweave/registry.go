package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/stockweave/stockweave/pkg/connect"
)

// registryConfig says how to reach the schema registry, which asks for a password (HTTP
// Basic) where there is one.
type registryConfig struct {
	URL          string      `yaml:"url"` // of the Confluent-compatible API
	TLS          connect.TLS `yaml:"tls"` // how an https:// URL is reached; empty: as the system trusts
	Username     string      `yaml:"username"`
	PasswordFile string      `yaml:"password_file"`
	// Plaintext lets the password go to an http:// URL.
	Plaintext bool `yaml:"plaintext"`
}

// validate reports every fault at once.
func (c *registryConfig) validate() error {
	errs := []error{c.TLS.Validate("registry.tls")}
	secured := strings.HasPrefix(c.URL, "https://")
	if c.TLS.Enabled && !secured {
		errs = append(errs, errors.New("registry.tls: needs an https:// URL"))
	}
	if (c.Username == "") != (c.PasswordFile == "") {
		errs = append(errs, errors.New("registry: username and password_file come together"))
	}
	if c.PasswordFile != "" && !secured && !c.Plaintext {
		errs = append(errs, errors.New("registry.password_file: needs an https:// URL, or plaintext: true where the network keeps others out"))
	}
	if c.Plaintext && secured {
		errs = append(errs, errors.New("registry.plaintext: true, but the URL is https://"))
	}
	return errors.Join(errs...)
}

// client connects lazily; an error is that of a file.
func (c *registryConfig) client() (*sr.Client, error) {
	opts := []sr.ClientOpt{sr.URLs(c.URL)}
	secured, err := c.TLS.Load("registry.tls")
	if err != nil {
		return nil, err
	}
	if secured != nil {
		opts = append(opts, sr.DialTLSConfig(secured))
	}
	if c.PasswordFile != "" {
		password, err := connect.Password(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("registry.password_file: %w", err)
		}
		opts = append(opts, sr.BasicAuth(c.Username, password))
	}
	return sr.NewClient(opts...)
}
