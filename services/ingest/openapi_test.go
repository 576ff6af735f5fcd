package ingest

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/apidoc"
)

// apiDocument is as much of the document as the tests need.
type apiDocument struct {
	OpenAPI string `json:"openapi"`
	Info    struct {
		Version string `json:"version"`
	} `json:"info"`
	Paths      map[string]map[string]any `json:"paths"`
	Components struct {
		Responses map[string]struct {
			Content map[string]struct {
				Schema struct {
					AllOf []struct {
						Properties struct {
							Status struct{ Const int }     `json:"status"`
							Code   struct{ Enum []string } `json:"code"`
						} `json:"properties"`
					} `json:"allOf"`
				} `json:"schema"`
			} `json:"content"`
		} `json:"responses"`
	} `json:"components"`
}

func readAPI(t *testing.T) (doc apiDocument, codes map[string]int) {
	t.Helper()
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	codes = map[string]int{}
	for name, r := range doc.Components.Responses {
		for _, s := range r.Content["application/problem+json"].Schema.AllOf {
			for _, c := range s.Properties.Code.Enum {
				if codes[c] != 0 {
					t.Errorf("%s is of two statuses", c)
				}
				codes[c] = s.Properties.Status.Const
				if name != "Problem"+strconv.Itoa(codes[c]) {
					t.Errorf("%s is in %s", c, name)
				}
			}
		}
	}
	return doc, codes
}

// The router has the operations of the document and no others.
func TestRouterIsTheDocument(t *testing.T) {
	doc, _ := readAPI(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Version == "" {
		t.Errorf("OpenAPI %q, version %q", doc.OpenAPI, doc.Info.Version)
	}
	var documented, routed []string
	for path, ops := range doc.Paths {
		for method := range ops {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	s := newTestServer(t, &log{}, func() time.Time { return noon })
	e, ok := s.handler().(*echo.Echo)
	if !ok {
		t.Fatal("no router")
	}
	param := regexp.MustCompile(`:(\w+)`)
	for _, r := range e.Routes() {
		routed = append(routed, r.Method+" "+param.ReplaceAllString(r.Path, "{$1}"))
	}
	slices.Sort(documented)
	slices.Sort(routed)
	if !slices.Equal(documented, routed) {
		t.Errorf("documented %q\nrouted     %q", documented, routed)
	}
	// Every reference leads somewhere.
	var whole any
	if err := json.Unmarshal(openAPI, &whole); err != nil {
		t.Fatal(err)
	}
	for _, ref := range regexp.MustCompile(`"\$ref": "#/([^"]+)"`).FindAllStringSubmatch(string(openAPI), -1) {
		at := whole
		for part := range strings.SplitSeq(ref[1], "/") {
			m, _ := at.(map[string]any)
			at = m[part]
		}
		if at == nil {
			t.Errorf("%s leads nowhere", ref[1])
		}
	}
}

// Every problem that the code can make is documented under its status, and nothing
// is documented that it cannot.
func TestProblemsAreDocumented(t *testing.T) {
	_, codes := readAPI(t)
	status := map[string]int{
		"StatusBadRequest": 400, "StatusUnauthorized": 401, "StatusForbidden": 403, "StatusNotFound": 404, "StatusMethodNotAllowed": 405,
		"StatusConflict": 409, "StatusRequestEntityTooLarge": 413, "StatusUnsupportedMediaType": 415, "StatusUnprocessableEntity": 422,
		"StatusTooManyRequests": 429, "StatusInternalServerError": 500, "StatusServiceUnavailable": 503,
	}
	made := map[string]int{"not_found": 404, "method_not_allowed": 405} // by the status alone
	entries, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	entries = append(entries, "acks/acks.go") // its handler is told how to fail
	text := func(e ast.Expr) string {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return ""
		}
		s, _ := strconv.Unquote(lit.Value)
		return s
	}
	code := regexp.MustCompile(`^[a-z]+(_[a-z0-9]+)*$`)
	for _, entry := range entries {
		if strings.HasSuffix(entry, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), entry, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr: // newProblem(http.StatusX, "code", ...), and later("code", ...)
				fun, _ := n.Fun.(*ast.Ident)
				if fun == nil || len(n.Args) == 0 {
					return true
				}
				if fun.Name == "later" && text(n.Args[0]) != "" { // else it passes on what another made
					made[text(n.Args[0])] = 503
				}
				args := n.Args
				if fun.Name == "fail" {
					args = args[1:] // behind the writer
				}
				if sel, ok := args[0].(*ast.SelectorExpr); ok && len(args) > 1 && status[sel.Sel.Name] != 0 && code.MatchString(text(args[1])) {
					made[text(args[1])] = status[sel.Sel.Name]
				}
			case *ast.AssignStmt: // code := "..." of a problem of envelopes
				if id, ok := n.Lhs[0].(*ast.Ident); ok && id.Name == "code" && entry == "soapdoor.go" && text(n.Rhs[0]) != "" {
					made[text(n.Rhs[0])] = 400
				}
			}
			return true
		})
	}
	for c, s := range made {
		if codes[c] != s {
			t.Errorf("%s is made with %d and documented with %d", c, s, codes[c])
		}
	}
	for c := range codes {
		if made[c] == 0 {
			t.Errorf("%s is documented and never made", c)
		}
	}
	if len(made) < 20 {
		t.Errorf("only %v found", slices.Sorted(maps.Keys(made)))
	}
}

func TestDocumentIsServed(t *testing.T) {
	s := newTestServer(t, &log{}, func() time.Time { return noon })
	for path, want := range map[string]string{"/openapi.json": "application/json", "/docs": "text/html"} {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	page, err := apidoc.Page(openAPI)
	if err != nil || !strings.Contains(string(page), "idempotency_key_reused") || !strings.Contains(string(page), "/v1/messages/{source}") {
		t.Errorf("%v\n%s", err, page)
	}
}
