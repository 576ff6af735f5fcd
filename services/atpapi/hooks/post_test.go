package hooks

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
)

func posterOf(t *testing.T, change func(*Config)) (*Poster, *event.Subscription) {
	t.Helper()
	cfg := Default()
	cfg.AllowNetworks = []string{"127.0.0.0/8"}
	change(&cfg)
	count, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	k := keysOf(t, key("a"))
	s := &event.Subscription{ID: "s1"}
	if _, err := k.Rotate(s, 0); err != nil {
		t.Fatal(err)
	}
	p, err := newPoster(&cfg, k, time.Now, count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, s
}

// TestPost: what a receiver's answer comes to. A redirect is not followed, a large answer
// not read, a slow one not waited for.
func TestPost(t *testing.T) {
	followed := 0
	stuck := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			w.WriteHeader(http.StatusAccepted)
		case "/moved":
			http.Redirect(w, r, "/ok?followed", http.StatusTemporaryRedirect)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/later":
			w.Header().Set("Retry-After", "17")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/large":
			for range 64 {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
					return
				}
			}
			t.Error("all of a large answer was read")
		case "/slow":
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
		}
		if r.URL.RawQuery == "followed" {
			followed++
		}
	}))
	defer srv.Close()
	defer close(stuck)
	p, s := posterOf(t, func(c *Config) { c.AllowHTTP, c.Timeout = true, time.Second })
	for path, want := range map[string]Result{
		"/ok": {Status: 202}, "/moved": {Status: 307, Fault: "status_307"}, "/gone": {Status: 410, Fault: faultGone},
		"/later": {Status: 503, Fault: "status_503", After: 17 * time.Second}, "/large": {Status: 200}, "/slow": {Fault: faultTimeout},
	} {
		s.URL = srv.URL + path
		got := p.Post(t.Context(), s, "m", []byte("{}"))
		got.Took = 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	if followed > 0 {
		t.Error("a redirect was followed")
	}
	inside, s2 := posterOf(t, func(c *Config) { c.AllowHTTP, c.AllowNetworks = true, nil })
	for _, host := range []string{"127.0.0.1", "localhost"} {
		s2.URL = strings.Replace(srv.URL, "127.0.0.1", host, 1) + "/ok"
		if got := inside.Post(t.Context(), s2, "m", nil); got.Fault != faultAddress {
			t.Errorf("%s: %+v", host, got)
		}
	}
	s.Secrets = nil
	if got := p.Post(t.Context(), s, "m", nil); got.Fault != faultSecret {
		t.Errorf("without a secret: %+v", got)
	}
	s.URL = "http://127.0.0.1:1/"
	if _, err := p.keys.Rotate(s, 0); err != nil {
		t.Fatal(err)
	}
	if got := p.Post(t.Context(), s, "m", nil); got.Fault != faultUnreachable {
		t.Errorf("where nobody listens: %+v", got)
	}
}

// TestPostTLS: a certificate of an authority that is not trusted is refused.
func TestPostTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	p, s := posterOf(t, func(*Config) {})
	s.URL = srv.URL
	if got := p.Post(t.Context(), s, "m", nil); got.Fault != faultTLS {
		t.Errorf("not trusted: %+v", got)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	p, s = posterOf(t, func(c *Config) { c.CAFile = ca })
	s.URL = srv.URL
	if got := p.Post(t.Context(), s, "m", nil); got.Fault != "" {
		t.Errorf("trusted: %+v", got)
	}
}

// TestAtOnce: no more requests are under way than the configuration says.
func TestAtOnce(t *testing.T) {
	under, most := make(chan struct{}, 10), 0
	let := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		under <- struct{}{}
		<-let
	}))
	defer srv.Close()
	p, s := posterOf(t, func(c *Config) { c.AllowHTTP, c.AtOnce = true, 2 })
	s.URL = srv.URL
	done := make(chan Result, 4)
	for range 4 {
		go func() { done <- p.Post(context.Background(), s, "m", nil) }()
	}
	for range 2 {
		<-under
	}
	select {
	case <-under:
		most = 3
	case <-time.After(50 * time.Millisecond):
	}
	close(let)
	for range 4 {
		if r := <-done; r.Fault != "" {
			t.Errorf("%+v", r)
		}
	}
	if most > 2 {
		t.Error("three requests at once")
	}
}

func TestCheck(t *testing.T) {
	p, _ := posterOf(t, func(c *Config) { c.AllowNetworks = []string{"10.1.0.0/16"} })
	for text, want := range map[string]error{
		"https://hooks.example/x?y=z": nil, "https://hooks.example:8443": nil, "https://10.1.2.3/": nil, "https://[2606:2800:220::1]/": nil,
		"http://hooks.example/": ErrURL, "https://": ErrURL, "https:hooks.example": ErrURL, "//hooks.example/": ErrURL, "https://u@h.example/": ErrURL,
		"https://h.example:99999/": ErrURL, "https://h.example/%zz": ErrURL, "": ErrURL,
		"https://10.2.0.1/": ErrAddress, "https://127.0.0.1/": ErrAddress, "https://[::1]/": ErrAddress, "https://[fd00::1]:1/": ErrAddress,
	} {
		if err := p.Check(text); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestConfig(t *testing.T) {
	ok := Default()
	if err := ok.Validate(); err != nil || ok.On() {
		t.Error(err)
	}
	bad := Config{AllowNetworks: []string{"10.0.0.1/8"}, Retries: []time.Duration{0, 25 * time.Hour}, KeepOld: -1}
	err := bad.Validate()
	for _, field := range []string{
		"group", "allow_networks[0]", "max_per_caller", "max_total", "max_changes", "at_once", "timeout", "keep_old", "retries[0]", "retries[1]",
	} {
		if err == nil || !strings.Contains(err.Error(), "atp_api.subscriptions."+field) {
			t.Errorf("nothing is said of %s: %v", field, err)
		}
	}
}
