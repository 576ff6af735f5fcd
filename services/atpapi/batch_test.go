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
		{`{"items":[{"item":"A"}],"on":"soon"}`, "bad_day", "/on", 400},
		{`{"items":[{"item":"A"}],"group":"web","channel":"shop"}`, "conflicting_parameters", "", 400},
		{`{"items":[{"item":"A"}],"color":"red"}`, "bad_body", "", 400},
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
	w.mini.FlushAll()
	if rec := w.post(t, "/v1/atp/batch", `{"items":[{"item":"A"},{"item":"NOPE"}]}`); rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("with nothing loaded: %d %s", rec.Code, rec.Body)
	}
}
