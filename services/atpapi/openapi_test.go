package atpapi

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/apidoc/apidoctest"
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
