package signature

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Limits of what Amazon is asked for.
const (
	maxAnswer = 64 << 10 // bytes of a certificate
	maxCerts  = 16
	certFor   = 24 * time.Hour // that one is believed without being asked for again
	askEvery  = time.Second    // after one that could not be had
	fetchTime = 5 * time.Second
)

// certificates keeps the public keys of Amazon's certificates. One is fetched at a
// time, and after a failure none for a while: requests that name what does not exist
// do not make many. It is safe for concurrent use.
type certificates struct {
	fetch Fetch
	roots *x509.CertPool // the system's when nil

	mu    sync.Mutex
	known map[string]certificate
	next  time.Time // of the next question
	busy  bool
}

type certificate struct {
	key         *rsa.PublicKey
	from, until time.Time
}

func newCertificates(fetch Fetch) *certificates {
	return &certificates{fetch: fetch, known: map[string]certificate{}}
}

// key is the key of the certificate at an address, which the caller has checked, as is
// the topic. It is ErrUnavailable when it cannot be had, and ErrBad when what is there
// is none of SNS.
func (c *certificates) key(ctx context.Context, address, topic string, now time.Time) (*rsa.PublicKey, error) {
	c.mu.Lock()
	cert, ok := c.known[address]
	if ok && now.Before(cert.until) && !now.Before(cert.from) {
		c.mu.Unlock()
		return cert.key, nil
	}
	if c.busy || now.Before(c.next) {
		c.mu.Unlock()
		return nil, ErrUnavailable
	}
	c.busy = true
	c.mu.Unlock()

	cert, err := c.get(ctx, address, topic, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if err != nil {
		c.next = now.Add(askEvery)
		return nil, err
	}
	if len(c.known) >= maxCerts {
		c.known = map[string]certificate{} // Amazon has one a region, and a new one a year
	}
	c.known[address] = cert
	return cert.key, nil
}

func (c *certificates) get(ctx context.Context, address, topic string, now time.Time) (certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	b, err := c.fetch(ctx, address, maxAnswer)
	if err != nil {
		return certificate{}, fmt.Errorf("%w: fetching the certificate: %w", ErrUnavailable, err)
	}
	cert, err := c.chain(ctx, b, signers(topic), now)
	if err != nil {
		return certificate{}, err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < 2048 {
		return certificate{}, fmt.Errorf("%w: no RSA key of 2048 bits", ErrBad)
	}
	until := now.Add(certFor)
	if cert.NotAfter.Before(until) {
		until = cert.NotAfter
	}
	return certificate{key, cert.NotBefore, until}, nil
}

// bare is err without the address, which may have a token in it.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

var errStatus = errors.New("the answer is not 200")

// HTTPFetch is the Fetch of production: TLS with the system's roots, no redirects, no
// more bytes than asked for.
func HTTPFetch() Fetch {
	client := &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, address string, limit int64) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("asking: %w", bare(err))
		}
		res, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("asking: %w", bare(err))
		}
		defer func() { _ = res.Body.Close() }() // read or given up by then
		b, err := io.ReadAll(io.LimitReader(res.Body, limit))
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%w but %d", errStatus, res.StatusCode)
		}
		return b, nil
	}
}
