package atpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

func (w *web) post(t *testing.T, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	return w.ask(t, req, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// answerOf is the answer of a result.
func answerOf(t *testing.T, r batchResult) *answer {
	t.Helper()
	if r.Answer == nil {
		return nil
	}
	b, err := json.Marshal(r.Answer)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	return &a
}

// Each item of a batch is answered as if it had been asked for alone, and what cannot
// be answered takes nothing from the others.
func TestBatch(t *testing.T) {
	w := newWeb(t)
	const n = 250 // more than one transaction reads
	var items []string
	for i := range n {
		name := fmt.Sprintf("I%d", i)
		w.flog.commit(t, w.codecs, name, int64(i+1), map[inventory.Location]int64{"DC1": int64(i), "DC2": 1})
		items = append(items, fmt.Sprintf(`{"item":%q}`, name))
	}
	w.run(t, 10)
	rec := w.post(t, "/v1/atp/batch", `{"group":"web","items":[`+strings.Join(items, ",")+`,{"item":"NOPE"},{"item":"I7","entity":"other"},{"item":"I7"}]}`)
	var got batchAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d %.300s: %v", rec.Code, rec.Body, err)
	}
	if len(got.Results) != n+3 || got.Answered != n+1 || got.Failed != 2 {
		t.Fatalf("%d results, %d answered, %d failed", len(got.Results), got.Answered, got.Failed)
	}
	for i := range n {
		alone := w.get(t, fmt.Sprintf("/v1/atp/I%d?group=web", i))
		var want answer
		if err := json.Unmarshal(alone.Body.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		r := got.Results[i]
		if r.Status != http.StatusOK || r.Item != fmt.Sprintf("I%d", i) || !reflect.DeepEqual(*answerOf(t, r), want) || r.ETag != alone.Header().Get("ETag") {
			t.Fatalf("item %d: %+v, alone %+v", i, r, want)
		}
	}
	for _, r := range got.Results[n : n+2] {
		if r.Status != http.StatusNotFound || r.Answer != nil || r.Problem.Code != codeUnknownItem {
			t.Errorf("%s of %s: %+v", r.Item, r.Entity, r)
		}
	}
	if r := got.Results[n+2]; r.Answer == nil || answerOf(t, r).ATP != "8" {
		t.Errorf("asked for twice: %+v", r)
	}
}

// Of what a caller holds already it is told that this is so still: by its ETag whatever may
// have changed, by its version what the ledger recorded.
func TestBatchUnchanged(t *testing.T) {
	w := newWeb(t)
	atp := policy.ATPPolicy{Kits: []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "A", Quantity: 2 * inventory.One}}}}}
	w.promiseBy(t, atp)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.flog.commit(t, w.codecs, "B", 7, map[inventory.Location]int64{"DC1": 5})
	w.run(t, 10)
	var tags []string
	ask := func(more ...string) []batchResult {
		t.Helper()
		body := `{"fields":["atp"],"items":[`
		for i, name := range []string{"A", "B", "KIT"} {
			if body += fmt.Sprintf(`{"item":%q`, name); i < len(more) && more[i] != "" {
				body += "," + more[i]
			}
			body += "},"
		}
		rec := w.post(t, "/v1/atp/batch", strings.TrimSuffix(body, ",")+"]}")
		var got batchAnswer
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK || got.Answered != 3 || len(got.Results) != 3 {
			t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
		}
		tags = nil
		for _, r := range got.Results {
			tags = append(tags, fmt.Sprintf(`"etag":%q`, r.ETag))
			if unchanged := r.Status == http.StatusNotModified; unchanged != (r.Answer == nil) || unchanged != (r.Freshness != nil) || r.ETag == "" {
				t.Errorf("%+v", r)
			}
			if f := r.Freshness; f != nil && (!f.CaughtUp || f.RecordedAt == "") {
				t.Errorf("%s: %+v", r.Item, f)
			}
		}
		return got.Results
	}
	is := func(what string, got []batchResult, status ...int) {
		t.Helper()
		for i := range got {
			if got[i].Status != status[i] {
				t.Errorf("%s, %s: %d, want %d", what, got[i].Item, got[i].Status, status[i])
			}
		}
	}
	is("nothing is held", ask(), 200, 200, 200)
	held := tags
	is("by etag", ask(held...), 304, 304, 304)
	is("by another's etag", ask(held[1], held[0]), 200, 200, 200)
	is("by version", ask(`"since_version":3`, `"since_version":6`, `"since_version":9000000000000`), 304, 200, 200)
	is("none", ask(`"since_version":0,"etag":""`, `"since_version":null,"etag":null`), 200, 200, 200)
	is("either", ask(`"since_version":2,`+held[0], `"since_version":8,"etag":"W/\"x\""`), 304, 304, 200)
	commit := w.flog.commit(t, w.codecs, "A", 4, map[inventory.Location]int64{"DC1": 8})
	if _, err := w.batch(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	is("A has changed, and the kit with it", ask(held...), 200, 304, 200)
	is("since its version", ask(`"since_version":3`, `"since_version":7`), 200, 304, 200)
	// What no record says is seen by etag alone.
	held = tags
	atp.Version = 2
	w.promiseBy(t, atp)
	is("another policy", ask(held...), 200, 200, 200)
	is("another policy, by version", ask(`"since_version":4`, `"since_version":7`), 304, 304, 200)
}

// What a caller may not ask of a batch is refused at its place, and the rest answered at
// theirs.
func TestBatchRefusesInPlace(t *testing.T) {
	w := newWeb(t)
	for i, item := range []string{"A", "B"} {
		w.flog.commit(t, w.codecs, item, int64(i+1), map[inventory.Location]int64{"DC1": int64(i + 1)})
	}
	w.run(t, 10)
	w.admits(t, &Config{Access: policy.Access{Principals: []policy.Principal{principal("acme", "atp:read:entity=acme")}}})
	rec := w.post(t, "/v1/atp/batch", `{"items":[{"item":"A","entity":"other"},{"item":"A"},{"item":"B","entity":"other"},{"item":"B"}]}`, "X-Api-Key", "acme")
	var got batchAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || len(got.Results) != 4 || got.Answered != 2 || got.Failed != 2 {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	for i := range got.Results {
		r := &got.Results[i]
		if i%2 == 0 {
			if r.Status != http.StatusForbidden || r.Answer != nil || r.Problem.Code != "insufficient_scope" {
				t.Errorf("%d, of another entity: %+v", i, r)
			}
			continue
		}
		if a := answerOf(t, *r); r.Status != http.StatusOK || a == nil || a.Item != r.Item || a.ATP != fmt.Sprint((i+1)/2) {
			t.Errorf("%d: %+v", i, r)
		}
	}
}

func TestBatchProblems(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	many := strings.TrimSuffix(strings.Repeat(`{"item":"A"},`, maxBatch+1), ",")
	for _, tt := range []struct {
		body, code, pointer string
		status              int
	}{
		{`{"items":[]}`, "bad_batch", "/items", 400},
		{`{"items":[` + many + `]}`, "bad_batch", "/items", 400},
		{`{"items":[{"item":"A"},{"item":""}]}`, "bad_item", "/items/1/item", 400},
		{`{"items":[{"item":"A","entity":"` + strings.Repeat("e", 256) + `"}]}`, "bad_parameter", "/items/0/entity", 400},
		{`{"items":[{"item":"A","etag":"` + strings.Repeat("e", 256) + `"}]}`, "bad_parameter", "/items/0/etag", 400},
		{`{"items":[{"item":"A"},{"item":"A","since_version":-1}]}`, "bad_parameter", "/items/1/since_version", 400},
		{`{"items":[{"item":"A"}],"on":"soon"}`, "bad_day", "/on", 400},
		{`{"items":[{"item":"A"}],"group":"web","channel":"shop"}`, "conflicting_parameters", "", 400},
		{`{"items":[{"item":"A"}],"color":"red"}`, "bad_body", "/color", 400},
		{`{"items":[{"item":"A"}]} {}`, "bad_body", "", 400},
		{`{"items":`, "bad_body", "", 400},
		{`{"items":[{"item":"` + strings.Repeat("x", maxBatchBody) + `"}]}`, "body_too_large", "", 413},
	} {
		rec := w.post(t, "/v1/atp/batch", tt.body)
		var p problemBody
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != tt.status || p.Code != tt.code || p.Pointer != tt.pointer {
			t.Errorf("%.60s: %d %+v", tt.body, rec.Code, p)
		}
	}
	if rec := w.post(t, "/v1/atp/batch", `{"items":[{"item":"A"}]}`, "Content-Type", "text/plain"); rec.Code != 415 {
		t.Errorf("of another type: %d %s", rec.Code, rec.Body)
	}
	for coding, status := range map[string]int{"gzip": 415, "identity": 200} {
		if rec := w.post(t, "/v1/atp/batch", `{"items":[{"item":"A"}]}`, "Content-Encoding", coding); rec.Code != status {
			t.Errorf("coded as %s: %d %s", coding, rec.Code, rec.Body)
		}
	}
	w.mini.FlushAll()
	if rec := w.post(t, "/v1/atp/batch", `{"items":[{"item":"A"},{"item":"NOPE"}]}`); rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("with nothing loaded: %d %s", rec.Code, rec.Body)
	}
}
