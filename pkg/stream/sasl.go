package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/stockweave/stockweave/pkg/connect"
)

// SASL says who we are to the brokers; empty: nobody in particular.
type SASL struct {
	Mechanism string `yaml:"mechanism"` // one of Mechanisms
	Username  string `yaml:"username"`
	// PasswordFile is read again for each authentication, so that a password can change
	// while we run.
	PasswordFile string `yaml:"password_file"`
	// Plaintext lets it be used without TLS, where whoever listens reads the password
	// (PLAIN) or can guess at it (SCRAM).
	Plaintext bool `yaml:"plaintext"`
}

// The mechanisms of SASL that are spoken: RFC 4616, and RFC 5802 with RFC 7677.
const (
	SASLPlain       = "PLAIN"
	SASLScramSHA256 = "SCRAM-SHA-256"
	SASLScramSHA512 = "SCRAM-SHA-512"
)

// Mechanisms is all of them.
func Mechanisms() []string { return []string{SASLPlain, SASLScramSHA256, SASLScramSHA512} }

func (s *SASL) validate(at string, secured bool) error {
	if *s == (SASL{}) {
		return nil
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(at+format, args...)) }
	if !slices.Contains(Mechanisms(), s.Mechanism) {
		bad(".mechanism: must be %s, not %q", strings.Join(Mechanisms(), ", "), s.Mechanism)
	}
	switch {
	case s.Username == "":
		bad(".username: required")
	case strings.ContainsFunc(s.Username, func(r rune) bool { return r < ' ' }):
		bad(".username: has a control character")
	}
	if s.PasswordFile == "" {
		bad(".password_file: required")
	}
	switch {
	case !secured && !s.Plaintext:
		bad(": needs kafka.tls, or plaintext: true where the network keeps others out")
	case secured && s.Plaintext:
		bad(".plaintext: true, but kafka.tls is on")
	}
	return errors.Join(errs...)
}

// mechanism is nil where nothing is configured. The file is read once, so that one that is
// not there is told now and not by a client that tries for ever.
func (s *SASL) mechanism(at string) (sasl.Mechanism, error) {
	if *s == (SASL{}) {
		return nil, nil //nolint:nilnil // none
	}
	user, file := s.Username, s.PasswordFile
	password := func() (string, error) {
		text, err := connect.Password(file)
		if err != nil {
			return "", fmt.Errorf("%s.password_file: %w", at, err)
		}
		return text, nil
	}
	if _, err := password(); err != nil {
		return nil, err
	}
	salted := func(context.Context) (scram.Auth, error) {
		text, err := password()
		return scram.Auth{User: user, Pass: text}, err
	}
	switch s.Mechanism {
	case SASLPlain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			text, err := password()
			return plain.Auth{User: user, Pass: text}, err
		}), nil
	case SASLScramSHA256:
		return scram.Sha256(salted), nil
	case SASLScramSHA512:
		return scram.Sha512(salted), nil
	}
	return nil, fmt.Errorf("%s.mechanism: unknown %q", at, s.Mechanism)
}
