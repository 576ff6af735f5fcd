package hooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/connect"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/outbound"
)

// maxAnswer is how much of an answer is read, so that its connection can be used again.
const maxAnswer = 64 << 10

// Faults of an attempt, beside status_<number>.
const (
	faultTimeout     = "timeout"
	faultUnreachable = "unreachable"
	faultAddress     = "address_not_allowed"
	faultTLS         = "bad_certificate"
	faultSecret      = "secret_unavailable"
	faultGone        = "gone"
)

// Result is what came of an attempt.
type Result struct {
	Status int    // 0: there was no answer
	Fault  string // empty: it was received
	After  time.Duration
	Took   time.Duration
}

// Poster sends messages. It is safe for concurrent use.
type Poster struct {
	cfg      *Config
	keys     *Keys
	networks []netip.Prefix
	client   *http.Client
	now      func() time.Time
	slots    *slots
	tests    chan struct{}
	count    *metrics
}

func newPoster(cfg *Config, keys *Keys, now func() time.Time, count *metrics) (*Poster, error) {
	networks, err := cfg.networks()
	if err != nil {
		return nil, err
	}
	roots, err := connect.Roots(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("atp_api.subscriptions.ca_file: %w", err)
	}
	control := cfg.Control
	if control == nil {
		control = outbound.Guard(networks)
	}
	return &Poster{
		cfg: cfg, keys: keys, networks: networks, now: now, slots: newSlots(cfg.AtOnce), tests: make(chan struct{}, max(1, cfg.AtOnce/partTests)), count: count,
		client: outbound.Client(outbound.Config{Timeout: cfg.Timeout, Control: control, Roots: roots}),
	}, nil
}

// What is wrong with a URL.
var (
	ErrURL     = errors.New("an absolute https URL of at most 2048 bytes, without user information and fragment")
	ErrAddress = errors.New("the address is not a public host's")
)

const maxURL = 2048

// Check says whether messages may be sent to a URL, as far as that can be told before its
// name is resolved; an address that is refused later is the fault of each attempt.
func (p *Poster) Check(text string) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return ErrURL
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !p.cfg.AllowHTTP) {
		return ErrURL
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return ErrURL
		}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !outbound.Allowed(a, p.networks) {
		return ErrAddress
	}
	return nil
}

// ErrBusy is a test for which there is no slot: nothing was sent.
var ErrBusy = errors.New("as many tests are under way as there may be")

// Post makes one attempt, once there is a slot of the owner's. No more of a receiver's
// answer is told than its status.
func (p *Poster) Post(ctx context.Context, s *event.Subscription, id string, body []byte) Result {
	leave := p.slots.take(ctx, s.Owner)
	if leave == nil {
		return Result{Fault: faultTimeout}
	}
	defer leave()
	return p.timed(ctx, s, id, body)
}

// Try makes one attempt for somebody who waits. It takes no slot of deliveries, and is
// ErrBusy where all those of tests are taken.
func (p *Poster) Try(ctx context.Context, s *event.Subscription, id string, body []byte) (Result, error) {
	select {
	case p.tests <- struct{}{}:
		defer func() { <-p.tests }()
	default:
		return Result{}, ErrBusy
	}
	return p.timed(ctx, s, id, body), nil
}

func (p *Poster) timed(ctx context.Context, s *event.Subscription, id string, body []byte) Result {
	began := p.now()
	r := p.post(ctx, s, id, body)
	r.Took = p.now().Sub(began)
	p.count.took.Observe(r.Took.Seconds())
	return r
}

func (p *Poster) post(ctx context.Context, s *event.Subscription, id string, body []byte) Result {
	now := p.now()
	keys, err := p.keys.signing(s, inventory.Instant(now.UnixMilli()))
	if err != nil {
		return Result{Fault: faultSecret}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return Result{Fault: faultUnreachable}
	}
	req.Header = outbound.Signed(keys, id, now, body)
	req.Header.Set("User-Agent", "Stockweave-Webhooks/1")
	resp, err := p.client.Do(req)
	if err != nil {
		return Result{Fault: faultOf(err)}
	}
	defer func() { _ = resp.Body.Close() }()                         // read or given up by now
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // its status says all
	r := Result{Status: resp.StatusCode, After: outbound.RetryAfter(resp.Header, p.now(), MaxWait)}
	switch {
	case resp.StatusCode == http.StatusGone:
		r.Fault = faultGone
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		r.Fault = "status_" + strconv.Itoa(resp.StatusCode)
	}
	return r
}

func faultOf(err error) string {
	timeout := net.Error(nil)
	_, isVerify := errors.AsType[*tls.CertificateVerificationError](err)
	_, isName := errors.AsType[x509.HostnameError](err)
	switch {
	case errors.Is(err, outbound.ErrPrivate):
		return faultAddress
	case isVerify || isName:
		return faultTLS
	case errors.As(err, &timeout) && timeout.Timeout():
		return faultTimeout
	}
	return faultUnreachable
}

// Close lets go of idle connections.
func (p *Poster) Close() { p.client.CloseIdleConnections() }
