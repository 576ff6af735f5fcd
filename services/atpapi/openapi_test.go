package atpapi

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/apidoc/apidoctest"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
)

// The router has the operations of the document and no others.
func TestRouterIsTheDocument(t *testing.T) {
	w := newWeb(t)
	e, ok := w.router.(*echo.Echo)
	if !ok {
		t.Fatal("no router")
	}
	if documented, routed := w.doc.Operations(), apidoctest.Routes(e); !slices.Equal(documented, routed) {
		t.Errorf("documented %q\nrouted     %q", documented, routed)
	}
}

// Every code that stands in the sources is documented, and nothing is documented that
// does not stand there. That each goes with its status is held of every answer of the
// tests.
func TestProblemsAreDocumented(t *testing.T) {
	codes, err := readDocument(t).Codes()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
		}
	}
	made := regexp.MustCompile(`(?:code: |bad\(|missing\(|badRequest\()"([a-z_0-9]+)"`).FindAllStringSubmatch(text.String(), -1)
	if len(made) < 20 {
		t.Errorf("only %q found", made)
	}
	for _, m := range made {
		if codes[m[1]] == 0 {
			t.Errorf("%s is made and not documented", m[1])
		}
	}
	for c := range codes {
		if !strings.Contains(text.String(), `"`+c+`"`) {
			t.Errorf("%s is documented and never made", c)
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	w := newWeb(t)
	for path, want := range map[string]struct{ typ, holds string }{
		"/openapi.json": {"application/json", `"unknown_item"`},
		"/docs":         {"text/html", "unknown_item"},
	} {
		rec := w.get(t, path)
		if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), want.typ) || !strings.Contains(rec.Body.String(), want.holds) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Header().Get("Content-Type"))
		}
	}
	for _, tt := range []struct{ method, path, code string }{
		{http.MethodDelete, "/v1/atp/A", "method_not_allowed"},
		{http.MethodGet, "/v2/atp/A", "no_such_path"},
	} {
		if rec := w.ask(t, httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil)); !strings.Contains(rec.Body.String(), tt.code) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, rec.Code, rec.Body)
		}
	}
}

// HEAD says what GET does, without its body, and of a stream that there is none. What a
// path does not take is refused with what it does.
func TestHead(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	at := serving(t, func(bound func(net.Addr)) service.Task {
		return service.ServeBrief("127.0.0.1:0", withHead(w.router), brief, bound)
	})
	by := &http.Transport{DisableCompression: true}
	defer by.CloseIdleConnections()
	ask := func(method, path string, fields ...string) (status int, h http.Header, size int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
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
		for _, name := range []string{"Date", "Content-Length"} { // a length may be left out (RFC 9110 §9.3.2)
			resp.Header.Del(name)
		}
		return resp.StatusCode, resp.Header, len(body)
	}
	for path, status := range map[string]int{
		"/v1/atp/A": 200, "/v1/atp/NOPE": 404, "/v1/atp/A?x=1": 400, "/v1/atp?limit=1": 200, "/v1/atp/A/explain": 503, "/openapi.json": 200, "/docs": 200, "/none": 404,
	} {
		got, want, n := ask(http.MethodGet, path)
		head, h, none := ask(http.MethodHead, path)
		if head != status || none != 0 || n == 0 || got != status || !reflect.DeepEqual(h, want) {
			t.Errorf("%s: %d %v and %d bytes, of GET %d %v", path, head, h, none, got, want)
		}
	}
	// A client drops what comes behind a head, so it is looked at as it comes.
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HEAD /v1/atp/A HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if came, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(came), "HTTP/1.1 200 ") || !strings.HasSuffix(string(came), "\r\n\r\n") {
		t.Errorf("as it comes: %q, %v", came, err)
	}
	if head, h, _ := ask(http.MethodHead, "/v1/atp/A", "If-None-Match", "*"); head != http.StatusNotModified || h.Get("ETag") == "" {
		t.Errorf("unchanged: %d %v", head, h)
	}
	for _, tt := range []struct{ method, path, allow string }{
		{http.MethodHead, "/v1/changes", "OPTIONS, GET"},
		{http.MethodHead, "/v1/reservations", "OPTIONS, POST"},
		{http.MethodPut, "/v1/atp/A", "OPTIONS, GET, HEAD"},
		{http.MethodPut, "/v1/atp/batch", "OPTIONS, POST"},
	} {
		if got, h, _ := ask(tt.method, tt.path); got != http.StatusMethodNotAllowed || h.Get("Allow") != tt.allow || h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %v", tt.method, tt.path, got, h)
		}
	}
}
