package simulate

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stockweave/stockweave/pkg/inventory"
)

func erpCall(t *testing.T, h http.Handler, method, path, body string, into any) (status int, code string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, bytes.NewReader([]byte(body))))
	var p struct{ Code string }
	_ = json.Unmarshal(w.Body.Bytes(), &p) // a list has no code
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w.Code, p.Code
}

const erpReceipt = `{"reference":"r1","business":"GR-1","lines":[{"item":"A","from":"SUP","to":"DC","quantity":"2.5"}]}`

func TestERPMovesStockWhenPosted(t *testing.T) {
	e := NewERP(ERPOptions{})
	var d ERPDocument
	if status, _ := erpCall(t, e, "POST", "/documents", erpReceipt, &d); status != 200 || d.State != ERPDraft {
		t.Fatalf("status %d, %+v", status, d)
	}
	if q := e.Quantity("A", "DC"); q != 0 {
		t.Fatalf("a draft has moved %s", q)
	}
	changed := e.Changed()
	if status, _ := erpCall(t, e, "POST", "/documents/1/post", "", &d); status != 200 || d.State != ERPPosted {
		t.Fatalf("status %d, %+v", status, d)
	}
	<-changed
	if a, b := e.Quantity("A", "DC"), e.Quantity("A", "SUP"); a != 25_000 || b != -25_000 {
		t.Fatalf("DC %s, SUP %s", a, b)
	}
	var balances []ERPBalance
	erpCall(t, e, "GET", "/quantities", "", &balances)
	if len(balances) != 2 || balances[0] != (ERPBalance{"A", "DC", "2.5"}) {
		t.Fatalf("balances %+v", balances)
	}
	var found []ERPDocument
	if erpCall(t, e, "GET", "/documents?reference=r1", "", &found); len(found) != 1 || found[0].State != ERPPosted {
		t.Fatalf("found %+v", found)
	}
}

func TestERPRefuses(t *testing.T) {
	e := NewERP(ERPOptions{Items: []string{"A"}, Places: []string{"SUP", "DC"}})
	erpCall(t, e, "POST", "/documents", erpReceipt, nil)
	line := func(l string) string { return `{"reference":"r2","lines":[` + l + `]}` }
	for _, c := range []struct {
		name, method, path, body, code string
		status                         int
	}{
		{"a second document under one reference", "POST", "/documents", erpReceipt, "reference_exists", 409},
		{"an unknown item", "POST", "/documents", line(`{"item":"B","from":"SUP","to":"DC","quantity":"1"}`), "unknown_item", 422},
		{"an unknown place", "POST", "/documents", line(`{"item":"A","from":"SUP","to":"X","quantity":"1"}`), "unknown_place", 422},
		{"nothing to move", "POST", "/documents", line(`{"item":"A","from":"SUP","to":"DC","quantity":"0"}`), "bad_quantity", 422},
		{"a negative quantity", "POST", "/documents", line(`{"item":"A","from":"SUP","to":"DC","quantity":"-1"}`), "bad_quantity", 422},
		{"one place", "POST", "/documents", line(`{"item":"A","from":"DC","to":"DC","quantity":"1"}`), "bad_places", 422},
		{"no lines", "POST", "/documents", `{"reference":"r2"}`, "lines_required", 422},
		{"no reference", "POST", "/documents", `{}`, "reference_required", 422},
		{"no JSON", "POST", "/documents", `{"refer`, "bad_request", 400},
		{"an unknown field", "POST", "/documents", `{"colour":1}`, "bad_request", 400},
		{"no such document", "POST", "/documents/9/post", "", "not_found", 404},
		{"no number", "POST", "/documents/x/post", "", "not_found", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, code := erpCall(t, e, c.method, c.path, c.body, nil); status != c.status || code != c.code {
				t.Fatalf("status %d, code %q", status, code)
			}
		})
	}
	if n := len(e.Documents("")); n != 1 {
		t.Fatalf("%d documents", n)
	}
	t.Run("posting twice", func(t *testing.T) {
		erpCall(t, e, "POST", "/documents/1/post", "", nil)
		if status, code := erpCall(t, e, "POST", "/documents/1/post", "", nil); status != 409 || code != "not_a_draft" {
			t.Fatalf("status %d, code %q", status, code)
		}
		if q := e.Quantity("A", "DC"); q != 25_000 {
			t.Fatalf("moved %s", q)
		}
	})
	t.Run("a wrong key", func(t *testing.T) {
		if status, _ := erpCall(t, NewERP(ERPOptions{Key: "k"}), "GET", "/documents", "", nil); status != 401 {
			t.Fatalf("status %d", status)
		}
	})
}

// A fault after success has taken effect, one before has not; both are met once.
func TestERPFaults(t *testing.T) {
	for _, c := range []struct {
		fault  ERPFault
		status int
		moved  inventory.Quantity
	}{
		{FaultErrorAfter, 500, 25_000},
		{FaultErrorBefore, 500, 0},
		{FaultThrottle, 429, 0},
		{FaultUnavailable, 503, 0},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			e := NewERP(ERPOptions{})
			erpCall(t, e, "POST", "/documents", erpReceipt, nil)
			e.Fail(ERPPost, c.fault)
			if status, _ := erpCall(t, e, "POST", "/documents/1/post", "", nil); status != c.status {
				t.Fatalf("status %d", status)
			}
			if q := e.Quantity("A", "DC"); q != c.moved {
				t.Fatalf("moved %s, want %s", q, c.moved)
			}
			erpCall(t, e, "POST", "/documents/1/post", "", nil)
			if q := e.Quantity("A", "DC"); q != 25_000 {
				t.Fatalf("in the end %s", q)
			}
		})
	}
	t.Run("down and up", func(t *testing.T) {
		e := NewERP(ERPOptions{})
		e.Down(true)
		if status, _ := erpCall(t, e, "POST", "/documents", erpReceipt, nil); status != 503 {
			t.Fatalf("status %d", status)
		}
		e.Down(false)
		if status, _ := erpCall(t, e, "POST", "/documents", erpReceipt, nil); status != 200 {
			t.Fatalf("status %d", status)
		}
	})
}
