package atpapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/limit"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
)

// serving serves a handler by a task of an address until the test ends.
func serving(t *testing.T, task func(bound func(net.Addr)) service.Task) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	at, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() { done <- task(func(a net.Addr) { at <- a })(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + (<-at).String()
}

// whole is all that is answered to a request, but for when.
func whole(t *testing.T, by http.RoundTripper, url string, fields []string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	resp, err := by.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Header.Del("Date")
	return fmt.Sprintf("%s %v %v %d\n%s", resp.Status, resp.Header, resp.TransferEncoding, resp.ContentLength, body)
}

// TestBriefReadsAreReads: whatever is asked of an item is answered the same, to the byte,
// whether the connection answers it or net/http; and what is not of one item, or streamed,
// or told from the log, only net/http answers.
func TestBriefReadsAreReads(t *testing.T) {
	w := newWeb(t)
	w.location(t, "DC1", "America/New_York", true)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10, "DC2": 4})
	many := map[inventory.Location]int64{}
	for i := range 12 {
		many[inventory.Location(fmt.Sprintf("L%02d", i))] = int64(i)
	}
	w.flog.commit(t, w.codecs, "LONG", 1, many)
	w.run(t, 10)
	w.reader.local = newLocal(LocalConfig{Bytes: 1 << 20, First: true, Bound: time.Second, Stale: time.Minute})
	w.reader.local.begin("t1", map[int32]int64{0: w.flog.end})
	scopes, err := access.ParseScopes([]string{"atp:read:entity=acme"})
	if err != nil {
		t.Fatal(err)
	}
	var here int
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if _, ok := rw.(http.Flusher); !ok {
			here++
		}
		w.router.ServeHTTP(rw, r)
	})
	quick := serving(t, func(bound func(net.Addr)) service.Task {
		return service.ServeBrief("127.0.0.1:0", handler, brief, bound)
	})
	plain := serving(t, func(bound func(net.Addr)) service.Task { return service.Serve("127.0.0.1:0", handler, bound) })
	by := &http.Transport{DisableCompression: true, MaxConnsPerHost: 1}
	defer by.CloseIdleConnections()
	compare := func(t *testing.T, path string, fields ...string) {
		t.Helper()
		whole(t, by, quick+path, fields) // from now on the copy has it
		for range 2 {
			before := here
			got := whole(t, by, quick+path, fields)
			isHere := here > before
			if want := whole(t, by, plain+path, fields); got != want {
				t.Errorf("%s %v: by the connection\n%s\nby net/http\n%s", path, fields, got, want)
			}
			if !strings.HasPrefix(path, "/v1/atp/") || strings.Contains(path, "explain") || strings.Contains(path, "as_of") || strings.Contains(path, "known_at") {
				if isHere {
					t.Errorf("%s: answered by the connection", path)
				}
			} else if len(fields) == 0 && !strings.ContainsAny(path, "%") && !isHere {
				t.Errorf("%s: answered by net/http", path)
			}
		}
	}
	paths := []string{
		"/v1/atp/A", "/v1/atp/A?entity=acme", "/v1/atp/A?entity=other", "/v1/atp/A?location=DC1", "/v1/atp/A?location=DC9", "/v1/atp/A?group=web", "/v1/atp/A?group=none",
		"/v1/atp/A?channel=shop", "/v1/atp/A?channel=none", "/v1/atp/A?location=DC1&group=web", "/v1/atp/A?on=2026-12-01", "/v1/atp/A?on=2020-01-01", "/v1/atp/A?on=x", "/v1/atp/A?quantity=2",
		"/v1/atp/A?quantity=-1", "/v1/atp/A?fields=atp,version", "/v1/atp/A?fields=freshness.age_ms", "/v1/atp/A?fields=none", "/v1/atp/A?max_age_ms=1", "/v1/atp/A?max_age_ms=100000",
		"/v1/atp/A?x=1", "/v1/atp/A?location=", "/v1/atp/A?location=DC1&location=DC1", "/v1/atp/A?%65ntity=acme", "/v1/atp/%41", "/v1/atp/A%2Fexplain", "/v1/atp/LONG", "/v1/atp/LONG?channel=shop",
		"/v1/atp/NONE", "/v1/atp/" + strings.Repeat("x", 256), "/v1/atp/batch", "/v1/atp/A/explain", "/v1/atp/A?as_of=2026-11-01T00:00:00Z", "/v1/atp/A?known_at=x", "/v1/atp?limit=1", "/none", "/docs",
	}
	headers := [][]string{
		nil, {"Accept-Encoding", "gzip"}, {"Accept", "text/event-stream"}, {"If-None-Match", "*"}, {"If-None-Match", `W/"1"`, "If-None-Match", `"x", *`}, {"Authorization", "Bearer k"}, {"X-Unknown", "1"},
	}
	each := func(t *testing.T) {
		for _, p := range paths {
			for _, h := range headers {
				compare(t, p, h...)
			}
		}
	}
	t.Run("open", each)
	_, etag, _ := strings.Cut(whole(t, by, quick+"/v1/atp/A", nil), "Etag:[")
	etag, _, _ = strings.Cut(etag, "]")
	compare(t, "/v1/atp/A", "If-None-Match", etag)
	guard, err := access.NewGuard([]access.Principal{
		{Name: "p", Scopes: scopes, Keys: []access.StoredKey{{Hash: sha256.Sum256([]byte("k")), Expires: w.now.Add(time.Hour)}}},
	}, nil, func() time.Time { return w.now })
	if err != nil {
		t.Fatal(err)
	}
	rate := map[string]limit.Rule{"p": {Concurrent: 3}}
	w.api.porter = &porter{limiter: limit.New(10, func() time.Time { return w.now }), log: w.api.log}
	w.api.porter.now.Store(&admission{guard: guard, rates: rate})
	t.Run("with keys", each)
	// A key that ends, one that is taken away, and a rate hold from the next request on.
	key := []string{"X-Api-Key", "k"}
	status := func(want string) {
		t.Helper()
		if got := whole(t, by, quick+"/v1/atp/A", key); !strings.HasPrefix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	status("200")
	w.now = w.now.Add(time.Hour)
	status("401")
	w.now = w.now.Add(-time.Second)
	rate["p"] = limit.Rule{PerSecond: 0.001, Burst: 1}
	status("200")
	status("429")
	if guard, err = access.NewGuard(nil, nil, func() time.Time { return w.now }); err != nil {
		t.Fatal(err)
	}
	w.api.porter.now.Store(&admission{guard: guard})
	status("401")
}
