package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

const (
	maxAnswer     = 64 << 10 // bytes of an answer that are read; more is a fault
	maxReason     = 300      // bytes of a refusal's reason that are kept
	maxRetryAfter = 5 * time.Minute
	dialTimeout   = 5 * time.Second
	maxIdle       = 16
)

// ErrPrivateAddress refuses a call to an address that is not public.
var ErrPrivateAddress = errors.New("channel: address is not public (allow_private is off)")

// reserved are the blocks beside loopback, private, link-local, multicast and
// unspecified that do not lead to a public host, or lead to one in disguise
// (IANA special-purpose address registries, RFC 6890).
var reserved = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared, carrier-grade NAT
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),   // NAT64 of an IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"), // local NAT64
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo among others
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4 of an IPv4 address
	netip.MustParsePrefix("fec0::/10"),
}

// Public says whether an address belongs to a public host.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Client makes the bounded HTTP client of an adapter. It follows no redirect and
// uses no proxy, and unless private addresses are allowed it checks the address
// that a name resolved to, at the moment of connecting, so that no name and no
// second look-up can lead inside.
func Client(s Settings) *http.Client {
	d := &net.Dialer{Timeout: dialTimeout}
	if !s.AllowPrivate {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("reading address to connect to: %w", err)
			}
			if !Public(ap.Addr()) {
				return ErrPrivateAddress
			}
			return nil
		}
	}
	return &http.Client{
		Timeout: s.Timeout,
		Transport: &http.Transport{
			DialContext: d.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: s.Timeout, IdleConnTimeout: time.Minute,
			MaxIdleConnsPerHost: maxIdle, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// BaseURL checks a configured address: absolute, http or https, without user
// information or fragment.
func BaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("url: cannot be read") // the text may hold a secret
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("url: must be http or https with a host, without user information or fragment")
	}
	return u, nil
}

// Do sends a request and turns the answer into a body or one of the errors that
// Channel promises.
func Do(ctx context.Context, c *http.Client, method, address string, header http.Header, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	req.Header = header
	resp, err := c.Do(req)
	if err != nil {
		if uerr := (*url.Error)(nil); errors.As(err, &uerr) {
			err = uerr.Err // without the address: its query may hold a secret
		}
		if errors.Is(err, ErrPrivateAddress) {
			return nil, &Refusal{Code: "private_address", Reason: err.Error()}
		}
		return nil, fmt.Errorf("calling channel: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read; there is nothing to add
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading answer: %w", err)
	}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		if len(answer) > maxAnswer {
			return nil, fmt.Errorf("reading answer: larger than %d bytes", maxAnswer)
		}
		return answer, nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		return nil, &Throttled{After: retryAfter(resp.Header)}
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooEarly:
		return nil, fmt.Errorf("calling channel: status %d", resp.StatusCode)
	}
	var p struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(answer, &p) // a body nobody understands still has its status
	switch {
	case resp.StatusCode == http.StatusConflict && p.Code == "stale":
		return nil, ErrStale
	case resp.StatusCode == http.StatusNotFound && method == http.MethodGet:
		return nil, ErrUnknownListing
	case p.Code == "":
		p.Code = "status_" + strconv.Itoa(resp.StatusCode)
	}
	return nil, &Refusal{Code: bound(p.Code, 64), Reason: bound(p.Detail, maxReason)}
}

func bound(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return string(bytes.ToValidUTF8([]byte(s), nil))
}

// retryAfter reads the delay in seconds (RFC 9110 §10.2.3); a date or nonsense
// counts as one second.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return time.Second
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}
