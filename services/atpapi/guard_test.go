package atpapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// openOperations are for everybody.
var openOperations = []string{"GET /openapi.json", "GET /docs"}

// guarded says which permission an operation needs.
func guarded(op string) access.Permission {
	method, path, _ := strings.Cut(op, " ")
	switch {
	case strings.HasSuffix(path, "/explain"):
		return access.ATPExplain
	case strings.HasPrefix(path, "/v1/subscriptions") && method == http.MethodGet:
		return access.SubscriptionsRead
	case strings.HasPrefix(path, "/v1/subscriptions"):
		return access.SubscriptionsWrite
	case strings.HasPrefix(path, "/v1/reservations") && method == http.MethodGet:
		return access.ReservationsRead
	case strings.Contains(path, "reser"): // unreserve, too
		return access.ReservationsWrite
	}
	return access.ATPRead
}

func keyOf(what string, p access.Permission) string {
	return what + "-" + strings.ReplaceAll(string(p), ":", "-")
}

// TestEveryOperationIsGuarded: each operation of the document wants a credential and its
// permission. Whoever has all others is told so in one way by all operations of a dialect,
// whatever they are asked, and before the store, the log and the ledger, of which there is
// none.
func TestEveryOperationIsGuarded(t *testing.T) {
	w := newWeb(t)
	openDoors(t, w.api)
	w.mini.SetError("looked at")
	principals := []policy.Principal{}
	for _, p := range access.Permissions() {
		var others []string
		for _, o := range access.Permissions() {
			if o != p {
				others = append(others, string(o))
			}
		}
		principals = append(principals, principal(keyOf("not", p), others...), principal(keyOf("only", p), string(p)))
	}
	w.admits(t, &Config{Access: policy.Access{Principals: principals}})
	refused := map[string]map[string]bool{} // by dialect
	fill := strings.NewReplacer("{environmentId}", "env-1", "{tenantId}", "us-1")
	others := regexp.MustCompile(`\{\w+\}`)
	ops := w.doc.Operations()
	for _, op := range ops {
		if slices.Contains(openOperations, op) {
			continue
		}
		method, path, _ := strings.Cut(op, " ")
		ask := func(who string) *httptest.ResponseRecorder {
			req := httptest.NewRequestWithContext(t.Context(), method, others.ReplaceAllString(fill.Replace(path), "x"), strings.NewReader("{}"))
			headers := []string{"Content-Type", "application/json", "Idempotency-Key", "k"}
			if who != "" {
				headers = append(headers, "X-Api-Key", who)
			}
			return w.ask(t, req, headers...)
		}
		if rec := ask(""); rec.Code != http.StatusUnauthorized || !strings.Contains(rec.Body.String(), `"bad_key"`) {
			t.Errorf("%s by nobody: %d %s", op, rec.Code, rec.Body)
		}
		needs := guarded(op)
		rec := ask(keyOf("not", needs))
		if rec.Code != http.StatusForbidden || !strings.Contains(rec.Body.String(), `"insufficient_scope"`) || rec.Header().Get("WWW-Authenticate") != `Bearer error="insufficient_scope"` {
			t.Errorf("%s by all but %s: %d %s", op, needs, rec.Code, rec.Body)
		}
		dialect := strings.Split(path, "/")[1]
		if refused[dialect] == nil {
			refused[dialect] = map[string]bool{}
		}
		refused[dialect][rec.Body.String()] = true
		if rec := ask(keyOf("only", needs)); rec.Code == http.StatusUnauthorized || rec.Code == http.StatusForbidden {
			t.Errorf("%s by %s: %d %s", op, needs, rec.Code, rec.Body)
		}
	}
	for dialect, ways := range refused {
		if len(ways) != 1 {
			t.Errorf("%s is refused in %d ways: %v", dialect, len(ways), ways)
		}
	}
	if len(ops) < 30 || len(refused) != 3 {
		t.Errorf("%d operations, in %d dialects", len(ops), len(refused))
	}
}

// TestOtherTenants: an operation that names an entity, a channel or a location beyond the
// scopes is refused in the same words whether what it names exists or not, before the
// store or the policy is looked at.
func TestOtherTenants(t *testing.T) {
	w := newWeb(t)
	openDoors(t, w.api, func(c *DoorsConfig) {
		c.Sterling.Tenants = map[string]inventory.Entity{"us-1": "acme", "us-2": "other"}
	})
	count, err := newChangesMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.api.changes = newChanges(nil, w.reader, DefaultChanges(), slog.New(slog.DiscardHandler), count)
	w.mini.SetError("looked at")
	w.admits(t, &Config{Access: policy.Access{Principals: []policy.Principal{
		principal("entity", "atp:read:entity=acme", "atp:explain:entity=acme", "reservations:write:entity=acme"),
		principal("channel", "atp:read:entity=acme:channel=shop", "atp:explain:entity=acme:channel=shop"),
		principal("location", "atp:read:entity=acme:location=DC1", "atp:explain:entity=acme:location=DC1"),
	}}})
	// What they may not: of these entities, locations, channels and groups some exist.
	beyond := map[string][]string{
		"entity":   {"entity=other", "entity=NOPE", "entity=other&location=DC1", "entity=other&channel=shop", "entity=NOPE&group=web"},
		"channel":  {"", "channel=market", "channel=NOPE", "location=DC1", "location=NOPE", "group=web", "group=NOPE", "entity=other&channel=shop"},
		"location": {"", "location=DC2", "location=NOPE", "channel=shop", "channel=NOPE", "group=web", "group=NOPE", "entity=other&location=DC1"},
	}
	for who, queries := range beyond {
		said := map[string]bool{}
		hear := func(what string, rec *httptest.ResponseRecorder) {
			t.Helper()
			if rec.Code != http.StatusForbidden {
				t.Errorf("%s, %s: %d %s", who, what, rec.Code, rec.Body)
			}
			said[rec.Body.String()] = true
		}
		for _, q := range queries {
			for _, path := range []string{"/v1/atp?", "/v1/atp/A?", "/v1/atp/NOPE?", "/v1/atp/A?as_of=2026-11-01T00:00:00Z&", "/v1/atp/A/explain?", "/v1/changes?", "/v1/changes?item=NOPE&"} {
				hear(path+q, w.get(t, strings.TrimRight(path+q, "?&"), "X-Api-Key", who))
			}
		}
		if len(said) != 1 {
			t.Errorf("%s is refused in %d ways: %v", who, len(said), said)
		}
	}
	// A tenant of the door is an entity: which ones there are is not said, by none of its ways.
	said := map[string]bool{}
	for _, tenant := range []string{"us-2", "NOPE"} {
		for _, body := range []string{`{"lines":[{"lineId":"1","itemId":"A","shipNodes":["DC1"]}]}`, `{"lines":[]}`, `{`} {
			rec := w.post(t, "/inventory/"+tenant+"/v1/availability/node", body, "X-Api-Key", "entity")
			if rec.Code != http.StatusForbidden {
				t.Errorf("tenant %s, %s: %d %s", tenant, body, rec.Code, rec.Body)
			}
			said[rec.Body.String()] = true
		}
	}
	if len(said) != 1 {
		t.Errorf("tenants are refused in %d ways: %v", len(said), said)
	}
	if rec := w.post(t, "/inventory/us-1/v1/availability/node", `{"lines":[]}`, "X-Api-Key", "entity"); rec.Code != http.StatusBadRequest {
		t.Errorf("its own tenant: %d %s", rec.Code, rec.Body)
	}
}

// TestReservationsOfAnotherEntity: whoever comes as a partner with scopes for other
// entities does nothing with its reservations, and is not told that they are.
func TestReservationsOfAnotherEntity(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r := b.replica()
	openDoors(t, r.api)
	mine := r.reserve("shop", "1", twoA)
	mine.want(t, "granted", 201, "granted")
	whole := r.api.porter
	scoped := func(scopes ...string) {
		t.Helper()
		s, err := access.ParseScopes(scopes)
		if err != nil {
			t.Fatal(err)
		}
		guard, err := access.NewGuard([]access.Principal{{Name: "shop", Scopes: s, Keys: []access.StoredKey{{Hash: access.HashKey(b.keys["shop"])}}}}, nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		r.api.porter = stays(&admission{guard: guard})
	}
	number, _, _ := strings.Cut(mine.ID, ".")
	d365 := `{"id":"u","organizationId":"usmf","reservationId":"` + mine.ID + `~2","OffsetQty":2}`
	scoped("reservations:read:entity=other", "reservations:write:entity=other")
	for _, id := range []string{mine.ID, number, strings.Repeat("0", 32)} {
		r.at(http.MethodGet, id, "", "shop", "").want(t, "read", 404, "unknown_reservation")
		r.at(http.MethodPatch, id, "", "shop", `{"hold":600}`).want(t, "extend", 404, "unknown_reservation")
		r.at(http.MethodPost, id, "/confirm", "shop", "").want(t, "confirm", 404, "unknown_reservation")
		r.at(http.MethodDelete, id, "", "shop", "").want(t, "cancel", 404, "unknown_reservation")
	}
	if status, _, body := r.ask(http.MethodPost, d365At+"/unreserve", d365, "X-Api-Key", b.keys["shop"]); status != 404 || !strings.Contains(string(body), "unknown_reservation") {
		t.Errorf("by D365: %d %s", status, body)
	}
	if status, _, body := r.ask(http.MethodDelete, sterlingAt+"/reservations/"+mine.ID, "", "X-Api-Key", b.keys["shop"]); status != 403 {
		t.Errorf("by Sterling: %d %s", status, body)
	}
	b.wantClaimed("nothing was done", "A", 2)
	scoped("reservations:read:entity=acme")
	r.at(http.MethodGet, mine.ID, "", "shop", "").want(t, "read", 200, "granted")
	scoped("reservations:write:entity=acme:channel=web") // of which channel it is nobody knows
	r.at(http.MethodDelete, mine.ID, "", "shop", "").want(t, "cancel", 204, "")
	b.wantClaimed("given back", "A", 0)
	r.api.porter = whole
}
