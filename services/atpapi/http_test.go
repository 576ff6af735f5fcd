package atpapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/stockweave/stockweave/pkg/apidoc"
	"github.com/stockweave/stockweave/pkg/apidoc/apidoctest"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

type web struct {
	*rig
	api    *api
	mini   *miniredis.Miniredis
	router http.Handler
	doc    *apidoctest.Document
}

func newWeb(t *testing.T) *web {
	t.Helper()
	return newWebOf(t, event.TestCodecs())
}

func newWebOf(t *testing.T, codecs *event.Codecs) *web {
	t.Helper()
	m := miniredis.RunT(t)
	w := newWebOn(t, codecs, storeAt(t, m.Addr()))
	w.mini = m
	return w
}

// newWebOn is a web over a Redis.
func newWebOn(t *testing.T, codecs *event.Codecs, s *store) *web {
	t.Helper()
	r := newRigOf(t, codecs, s, &fakeLog{topic: "t1"})
	r.promiseBy(t, policy.ATPPolicy{Groups: map[string][]inventory.Location{"web": {"DC1", "DC2"}}}, policy.Channel{
		Name: "shop", Entity: "acme", Locations: []inventory.Location{"DC1"}, Share: 50, Buffer: inventory.One, Unit: 2 * inventory.One,
		Listings: map[inventory.Item]string{"A": "L-1"},
	})
	a := &api{
		reader: r.reader, entity: "acme", retryAfter: 2 * time.Second, now: r.projector.now, log: slog.New(slog.DiscardHandler), count: r.count,
		porter: stays(&admission{open: true}),
	}
	return &web{rig: r, api: a, router: a.handler(), doc: readDocument(t)}
}

// documentText is the document as JSON: it is the same for all, and takes long to make.
var documentText = sync.OnceValues(func() ([]byte, error) { return apidoc.FromYAML(openAPI) })

// readDocument is a document of a test's own: one is not for two at a time.
func readDocument(t *testing.T) *apidoctest.Document {
	t.Helper()
	text, err := documentText()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := apidoctest.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// ask answers a request and holds the answer against the document.
func (w *web) ask(t *testing.T, req *http.Request, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.router.ServeHTTP(rec, req)
	body := rec.Body.Bytes()
	if rec.Header().Get("Content-Encoding") != "" {
		return rec
	}
	if err := w.doc.Check(req, rec.Code, rec.Header(), body); err != nil {
		t.Errorf("not as documented: %v", err)
	}
	// Where nothing was selected the whole answer is there.
	if q := req.URL.Query(); rec.Code == http.StatusOK && strings.HasPrefix(req.URL.Path, "/v1/atp/") && req.Method == http.MethodGet && !q.Has("fields") {
		schema := "Answer"
		switch {
		case strings.HasSuffix(req.URL.Path, "/explain"):
			schema = "Explanation"
		case q.Has("as_of") || q.Has("known_at"):
			schema = "Past"
		}
		if err := w.doc.Is(schema, body); err != nil {
			t.Errorf("not as documented: %v", err)
		}
	}
	return rec
}

func (w *web) get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return w.ask(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil), headers...)
}

func (w *web) location(t *testing.T, name inventory.Location, zone string, publishable bool) {
	t.Helper()
	m := event.MasterLocation{Entity: "acme", Location: name, Zone: zone, Publishable: publishable}
	value, err := w.codecs.AppendLocation(nil, &m)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.reader.places.Apply(&stream.Record{Key: []byte("acme|" + string(name)), Value: value}); err != nil {
		t.Fatal(err)
	}
}

func TestGetItem(t *testing.T) {
	w := newWeb(t)
	w.location(t, "DC1", "America/New_York", true)
	w.location(t, "DC3", "UTC", false)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10, "DC2": 4, "DC3": 100})
	w.flog.commit(t, w.codecs, "a/b %|c", 1, map[inventory.Location]int64{"DC1": -2})
	w.run(t, 10)

	rec := w.get(t, "/v1/atp/A")
	var a answer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	// DC3 is not publishable: shown, not promised.
	if a.ATP != "14" || a.Version != 3 || a.PolicyVersion != 1 || a.Formula != inventory.PromiseFormula || len(a.Locations) != 3 {
		t.Errorf("answer %+v", a)
	}
	dc1 := a.Locations[0]
	if dc1.States["on_hand"] != "10" || dc1.ATP != "10" || dc1.Reserved != "0" || dc1.SafetyStock != "0" || dc1.Day != "2026-11-24" || len(dc1.States) != inventory.NumStates {
		t.Errorf("DC1 %+v", dc1)
	}
	etag := rec.Header().Get("ETag")
	if !strings.HasPrefix(etag, `W/"3-`) {
		t.Errorf("etag %s", etag)
	}
	for _, match := range []string{etag, strings.TrimPrefix(etag, "W/"), `"x", ` + etag, "*"} {
		if rec := w.get(t, "/v1/atp/A", "If-None-Match", match); rec.Code != http.StatusNotModified || rec.Body.Len() != 0 {
			t.Errorf("If-None-Match %s: %d %s", match, rec.Code, rec.Body)
		}
	}
	if rec := w.get(t, "/v1/atp/A", "If-None-Match", strings.Replace(etag, `"3-`, `"2-`, 1)); rec.Code != http.StatusOK {
		t.Errorf("an older version matched: %d", rec.Code)
	}
	// Midnight in London, still yesterday in New York: another answer may hold.
	w.now = time.Date(2026, 11, 25, 0, 30, 0, 0, time.UTC)
	if got := w.get(t, "/v1/atp/A").Header().Get("ETag"); got == etag {
		t.Errorf("etag after midnight %s", got)
	}
	w.now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	// The same facts, and a location that is sold from no more.
	w.location(t, "DC2", "America/New_York", false)
	if rec := w.get(t, "/v1/atp/A", "If-None-Match", etag); rec.Code != http.StatusOK || rec.Header().Get("ETag") == etag {
		t.Errorf("what is not publishable any more: %d %s", rec.Code, rec.Body)
	}
	w.location(t, "DC2", "America/New_York", true)

	for path, want := range map[string]string{
		"/v1/atp/A?location=DC2":                  `"atp":"4"`,
		"/v1/atp/A?location=DC3":                  `"atp":"100"`,
		"/v1/atp/A?group=web":                     `"group":"web","atp":"14"`,
		"/v1/atp/A?on=2026-12-24":                 `"on":"2026-12-24","atp":"14"`,
		"/v1/atp/A?channel=shop":                  `"channel":{"name":"shop","listing":"L-1","quantity":"4"}`,
		"/v1/atp/a%2Fb%20%25%7Cc":                 `"item":"a/b %|c"`,
		"/v1/atp/a%2Fb%20%25%7Cc?location=DC1":    `"atp":"0","version":1`, // never below zero outside
		"/v1/atp/A?entity=acme&location=DC1":      `"on_hand":"10"`,
		"/v1/atp/a%2Fb%20%25%7Cc?entity=acme&x=1": `"code":"unknown_parameter"`,
	} {
		if rec := w.get(t, path); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %s does not hold %s", path, rec.Code, rec.Body, want)
		}
	}
}

func TestProblems(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	tests := []struct {
		path   string
		status int
		code   string
	}{
		{"/v1/atp/NOPE", 404, "unknown_item"},
		{"/v1/atp/A?entity=other", 404, "unknown_item"},
		{"/v1/atp/A?location=NOPE", 404, "unknown_location"},
		{"/v1/atp/A?channel=NOPE", 404, "unknown_channel"},
		{"/v1/atp/A?channel=shop&entity=other", 404, "not_listed"},
		{"/v1/atp/A?channel=shop&location=DC1", 400, "conflicting_parameters"},
		{"/v1/atp/A?group=web&location=DC1", 400, "conflicting_parameters"},
		{"/v1/atp/A?group=NOPE", 404, "unknown_group"},
		{"/v1/atp/A?on=tomorrow", 400, "bad_day"},
		{"/v1/atp/A?on=0001-01-01", 400, "bad_day"},
		{"/v1/atp/A?on=2026-11-23", 400, "day_past"},
		{"/v1/atp/A?on=2027-11-26", 400, "day_too_far"},
		{"/v1/atp/A?entity=a&entity=b", 400, "bad_parameter"},
		{"/v1/atp/" + strings.Repeat("x", 256), 400, "bad_item"},
		{"/v1/atp/A?location=" + strings.Repeat("x", 256), 400, "bad_parameter"},
		{"/v1/nothing", 404, "no_such_path"},
	}
	for _, tt := range tests {
		rec := w.get(t, tt.path)
		var p problemBody
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
			t.Errorf("%s: %v in %s", tt.path, err, rec.Body)
		}
		if rec.Code != tt.status || p.Code != tt.code || p.Status != tt.status || p.Type != "urn:stockweave:problem:"+tt.code ||
			rec.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%.60s: %d %s %q, want %d %s", tt.path, rec.Code, p.Code, rec.Header().Get("Content-Type"), tt.status, tt.code)
		}
	}
	w.api.entity = ""
	if rec := w.get(t, "/v1/atp/A"); rec.Code != 400 || !strings.Contains(rec.Body.String(), "entity_required") {
		t.Errorf("without an entity: %d %s", rec.Code, rec.Body)
	}
	w.api.entity = "acme"

	// While it loads, and while Redis is down: 503, come back.
	w.mini.FlushAll()
	for _, code := range []string{"not_caught_up", "redis_unavailable"} {
		rec := w.get(t, "/v1/atp/A", "If-None-Match", "*")
		if rec.Code != 503 || !strings.Contains(rec.Body.String(), code) || rec.Header().Get("Retry-After") != "2" {
			t.Errorf("%s: %d %s, Retry-After %q", code, rec.Code, rec.Body, rec.Header().Get("Retry-After"))
		}
		w.mini.Close()
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatalf("the default is not valid: %v", err)
	}
	c.Listen, c.Group, c.CheckEvery, c.Keys, c.Redis.Addresses = "0.0.0.0:1", "", 0, []Key{{"", "zz"}}, nil
	err := c.Validate()
	for _, want := range []string{"group", "check_every", "keys[0].name", "keys[0].sha256", "redis.addresses"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	c = DefaultConfig()
	c.Listen = ":8082"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "keys") {
		t.Errorf("open to the network without keys: %v", err)
	}
	c.Principals = true
	if err := c.Validate(); err != nil {
		t.Errorf("open to the network, by principals: %v", err)
	}
}
