// Package outbound makes HTTP clients for addresses that others have named: it reaches
// public hosts alone, whatever a name resolves to at the moment of connecting, follows no
// redirect and asks no proxy (server-side request forgery, CWE-918).
package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Control is what net.Dialer asks before it connects to an address.
type Control = func(network, address string, conn syscall.RawConn) error

// ErrPrivate refuses an address that is not a public host's.
var ErrPrivate = errors.New("the address is not a public host's")

// MaxHeader bounds the headers of an answer, bytes.
const MaxHeader = 64 << 10

const dialTimeout = 5 * time.Second

// reserved are the blocks beside loopback, private, link-local, multicast and unspecified
// that do not lead to a public host, or lead to one in disguise (IANA special-purpose
// address registries, RFC 6890).
var reserved = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),    // shared, carrier-grade NAT
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's host, which is in a public block
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), // relays of 6to4
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), // Teredo among others
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4 of an IPv4 address
	netip.MustParsePrefix("3fff::/20"),
}

// global is all of IPv6 that is given out: NAT64 (64:ff9b::/96), IPv4-compatible, discard
// and site-local addresses are outside.
var global = netip.MustParsePrefix("2000::/3")

// Public says whether an address belongs to a public host.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !global.Contains(a) {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Allowed says whether an address is a public host's or in one of the networks.
func Allowed(a netip.Addr, networks []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return Public(a)
}

// Guard refuses to connect to what is not Allowed. It sees the address that a name
// resolved to, each time that is dialled: no second look-up can lead inside.
func Guard(networks []netip.Prefix) Control {
	return func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("reading the address: %w", err)
		}
		if !Allowed(a.Addr(), networks) {
			return ErrPrivate
		}
		return nil
	}
}

// Config of a client.
type Config struct {
	// Timeout of a request with its answer; none when 0.
	Timeout time.Duration
	// Control is asked before each connection; nil lets all addresses be reached.
	Control Control
	// Roots are trusted in place of the system's.
	Roots *x509.CertPool
	// Idle is how many connections of one host are kept for the next request; 2 when 0.
	Idle int
}

// Client makes a client: TLS from 1.2 on, no proxy, no redirect followed.
func Client(cfg Config) *http.Client {
	dial := &net.Dialer{Timeout: dialTimeout, Control: cfg.Control}
	return &http.Client{
		Timeout: cfg.Timeout,
		Transport: &http.Transport{
			DialContext: dial.DialContext, ForceAttemptHTTP2: true,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
			TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: cfg.Timeout, IdleConnTimeout: time.Minute,
			MaxIdleConnsPerHost: cfg.Idle, MaxResponseHeaderBytes: MaxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Bare is err without the URL of the request, which may hold a secret.
func Bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// RetryAfter reads the header (RFC 9110 §10.2.3), seconds or a date: how long from now, at
// most so long; 0 where it says nothing.
func RetryAfter(h http.Header, now time.Time, most time.Duration) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, most)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(0, at.Sub(now)), most)
	}
	return 0
}
