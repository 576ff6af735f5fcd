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

// stuckServer takes requests and answers none before let is closed.
func stuckServer(t *testing.T) (url string, under chan string, let chan struct{}) {
	t.Helper()
	under, let = make(chan string, 20), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		under <- r.URL.Path[1:]
		if r.URL.Path == "/quick" {
			return
		}
		select {
		case <-let:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, under, let
}

// TestAtOnce: no more deliveries are under way than the configuration says, and no more of
// one owner's than its share, so that its slow receivers hold up no one else. Tests have
// slots of their own, and are refused when these are taken.
func TestAtOnce(t *testing.T) {
	url, under, let := stuckServer(t)
	p, s := posterOf(t, func(c *Config) { c.AllowHTTP, c.AtOnce = true, 8 })
	done := make(chan Result, 20)
	post := func(owner, path string) {
		of := *s
		of.Owner, of.URL = owner, url+"/"+path
		go func() { done <- p.Post(context.Background(), &of, "m", nil) }()
	}
	// count waits for n requests and says whether there is one more.
	count := func(n int) (more bool) {
		t.Helper()
		for range n {
			select {
			case <-under:
			case <-time.After(10 * time.Second):
				t.Fatal("a request is held up")
			}
		}
		select {
		case <-under:
			return true
		case <-time.After(50 * time.Millisecond):
			return false
		}
	}
	for range 4 {
		post("slow", "stuck")
	}
	if count(2) {
		t.Error("an owner has more than a fourth of the slots")
	}
	post("shop", "quick")
	count(1)
	for _, owner := range []string{"b", "c", "d", "e"} {
		post(owner, "stuck")
		post(owner, "stuck")
	}
	if count(6) {
		t.Error("more requests at once than there may be")
	}
	try := func(path string, code error) {
		t.Helper()
		of := *s
		of.URL = url + "/" + path
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if r, err := p.Try(ctx, &of, "m", nil); !errors.Is(err, code) || code == nil && r.Fault != "" {
			t.Errorf("a test: %+v, %v, want %v", r, err, code)
		}
	}
	try("quick", nil) // though all deliveries are under way
	<-under
	of := *s
	of.URL = url + "/stuck"
	tested := make(chan error, 1)
	go func() {
		_, err := p.Try(context.Background(), &of, "m", nil)
		tested <- err
	}()
	count(1)
	try("quick", ErrBusy)
	// Who waits no longer leaves nothing behind.
	ended, stop := context.WithCancel(t.Context())
	stop()
	for _, owner := range []string{"slow", "new"} {
		of := *s
		of.Owner, of.URL = owner, url+"/quick"
		if r := p.Post(ended, &of, "m", nil); r.Fault != faultTimeout {
			t.Errorf("%s, who does not wait: %+v", owner, r)
		}
	}
	close(let)
	for range 13 {
		if r := <-done; r.Fault != "" {
			t.Errorf("%+v", r)
		}
	}
	if err := <-tested; err != nil {
		t.Error(err)
	}
	if try("quick", nil); len(p.slots.of) != 0 || len(p.slots.all) != 0 {
		t.Errorf("%d owners and %d slots are left", len(p.slots.of), len(p.slots.all))
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
