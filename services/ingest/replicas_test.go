package ingest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func rawIDs(t *testing.T, l *log) []string {
	t.Helper()
	x := &tenants{log: l}
	return x.ids(t)
}

// What was signed once and is played to a replica that has not seen it is stored with
// the id that it has already: its events are those of before.
func TestSignedOnceAcrossReplicas(t *testing.T) {
	send := func(set func(*http.Request), make func() *http.Request) []string {
		t.Helper()
		l := &log{}
		s := hookServer(t, l, func() time.Time { return noon })
		s.door("hooks").src.HTTP.Batch = true
		req := make()
		if set != nil {
			set(req)
		}
		if w := serve(s, req); w.Code >= 300 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return rawIDs(t, l)
	}
	key := func(r *http.Request) { r.Header.Set("Idempotency-Key", "another") }
	batch := func(make func() *http.Request) func() *http.Request {
		return func() *http.Request {
			r := make()
			r.Header.Set("Content-Type", "application/x-ndjson")
			return r
		}
	}
	envelope := func() *http.Request {
		req := httptest.NewRequest(http.MethodPost, "/v1/soap/token", strings.NewReader(soapWith("pa55word", "PasswordText")))
		req.Header.Set("Content-Type", `application/soap+xml; action="urn:send"`)
		return req
	}
	for name, make := range map[string]func() *http.Request{
		"a message":   hook("msg_1", `{"id":1}`, noon),
		"a batch":     batch(hook("msg_1", "{\"id\":1}\n{\"id\":1}\n", noon)),
		"an envelope": envelope,
	} {
		first := send(nil, make)
		// An Idempotency-Key is not signed: whoever plays a message sets another.
		if again, other := send(nil, make), send(key, make); len(first) == 0 || !slices.Equal(first, again) || !slices.Equal(first, other) {
			t.Errorf("%s: %v, then %v and %v", name, first, again, other)
		}
		if len(first) == 2 && first[0] == first[1] {
			t.Errorf("%s: two lines have one id", name)
		}
	}
	if a, b := send(nil, hook("msg_1", `{"id":1}`, noon)), send(nil, hook("msg_2", `{"id":1}`, noon)); slices.Equal(a, b) {
		t.Error("two messages have one id")
	}
}

// A batch is told from another under its signed id by all of it, not by its length.
func TestSignedBatches(t *testing.T) {
	l := &log{}
	s := hookServer(t, l, func() time.Time { return noon })
	s.door("hooks").src.HTTP.Batch = true
	send := func(body string) *httptest.ResponseRecorder {
		req := hook("msg_1", body, noon)()
		req.Header.Set("Content-Type", "application/x-ndjson")
		return serve(s, req)
	}
	if w := send("{\"id\":1}\n"); w.Code != http.StatusMultiStatus {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := send("{\"id\":2}\n"); w.Code != http.StatusConflict || readProblem(t, w).Code != "repeated_id" || len(l.recs) != 1 {
		t.Errorf("%d %s, %d messages", w.Code, w.Body, len(l.recs))
	}
}
