package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"93.184.216.34": true, "8.8.8.8": true, "2606:2800:220:1:248:1893:25c8:1946": true, "::ffff:8.8.8.8": true,

		"127.0.0.1": false, "127.255.255.254": false, "::1": false, "::ffff:127.0.0.1": false, // loopback
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "::ffff:10.0.0.1": false, // private
		"fc00::1": false, "fd12:3456::1": false, "fd00:ec2::254": false, // unique local, metadata of AWS among them
		"169.254.169.254": false, "169.254.0.1": false, "fe80::1": false, "fe80::1%eth0": false, "::ffff:169.254.169.254": false, // link-local, metadata
		"100.64.0.1": false, "100.127.255.255": false, "100.100.100.200": false, // shared, metadata of Alibaba
		"192.0.0.192": false, "168.63.129.16": false, // metadata of Oracle, host of Azure
		"0.0.0.0": false, "0.1.2.3": false, "::": false, // unspecified
		"224.0.0.1": false, "239.1.1.1": false, "ff02::1": false, "255.255.255.255": false, "240.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::a00:1": false, // NAT64
		"2002:7f00:1::": false, "2002:a9fe:a9fe::1": false, "2002:c0a8:101::": false, // 6to4
		"2001:0:53aa:64c::1": false,                   // Teredo
		"::7f00:1":           false, "::a00:1": false, // IPv4-compatible
		"fec0::1": false, "100::1": false, "5f00::1": false, "3fff::1": false, "2001:db8::1": false,
		"192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "198.18.0.1": false, "192.88.99.1": false,
	} {
		if got := Public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t, want %t", addr, got, want)
		}
	}
	inside := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for addr, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "8.8.8.8": true, "127.0.0.1": false} {
		if got := Allowed(netip.MustParseAddr(addr), inside); got != want {
			t.Errorf("%s in 10.1.0.0/16: %t, want %t", addr, got, want)
		}
	}
}

// TestGuard: a name that resolves inside is not reached, nor is a redirect followed there;
// what is in a network that is allowed is.
func TestGuard(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer s.Close()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	get := func(c *http.Client, url string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	guarded := Client(Config{Timeout: 5 * time.Second, Control: Guard(nil)})
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"} {
		if _, err := get(guarded, fmt.Sprintf("http://%s:%s/", host, port)); !errors.Is(err, ErrPrivate) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if asked != 0 {
		t.Errorf("%d requests reached what is private", asked)
	}
	open := Client(Config{Timeout: 5 * time.Second, Control: Guard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})})
	if status, err := get(open, s.URL); err != nil || status != http.StatusFound || asked != 1 {
		t.Errorf("allowed: %d %v, asked %d times", status, err, asked)
	}
}

// TestClient: no proxy of the environment, and no TLS of before 1.2.
func TestClient(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	s.StartTLS()
	defer s.Close()
	c := Client(Config{Timeout: 5 * time.Second})
	tr, ok := c.Transport.(*http.Transport)
	if !ok || tr.Proxy != nil {
		t.Error("a proxy may be asked")
	}
	tr.TLSClientConfig.InsecureSkipVerify = true
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Error("TLS 1.1 was spoken")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-1": 0, "soon": 0, "999999999": time.Hour,
		"Mon, 30 Nov 2026 12:02:00 GMT": 2 * time.Minute, "Mon, 30 Nov 2026 11:00:00 GMT": 0, "Tue, 01 Dec 2026 12:00:00 GMT": time.Hour,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now, time.Hour); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestLargeHeader: of an answer no more headers are read than there may be.
func TestLargeHeader(t *testing.T) {
	n := MaxHeader / 2
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Large", strings.Repeat("x", n)) }))
	defer s.Close()
	get := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := Client(Config{Timeout: 5 * time.Second}).Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	if err := get(); err != nil {
		t.Errorf("half of it: %v", err)
	}
	if n *= 4; get() == nil {
		t.Error("twice as much was read")
	}
}
