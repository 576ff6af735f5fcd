package ingest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// tenants have keys and tokens with scopes of their own.
type tenants struct {
	s    *server
	log  *log
	now  time.Time
	priv ed25519.PrivateKey
}

func (x *tenants) clock() time.Time { return x.now }

// newTenants is the door with three more sources, of which "erp" may be written only
// with what the principals have.
func newTenants(t *testing.T, fetch access.Fetch, change func(*policy.Set)) *tenants {
	t.Helper()
	x := &tenants{log: &log{}, now: noon, priv: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: x.priv.Public(), KeyID: "1", Algorithm: "EdDSA"}}})
	if err != nil {
		t.Fatal(err)
	}
	set := testPolicies()
	set.Sources["erp"] = &policy.Source{Name: "erp", Format: policy.FormatJSON, Auth: policy.Auth{Access: true}}
	set.Access = policy.Access{
		Principals: []policy.Principal{
			{Name: "all", Keys: []policy.PrincipalKey{{SHA256: hashed("all-key")}}, Scopes: []string{"messages:write"}},
			{Name: "erp", Keys: []policy.PrincipalKey{{SHA256: hashed("erp-key")}}, Scopes: []string{"messages:write:source=erp"}, Clients: []policy.PrincipalClient{{Issuer: "idp", ID: "erp"}}},
			{Name: "reader", Keys: []policy.PrincipalKey{{SHA256: hashed("reader-key")}}, Scopes: []string{"atp:read", "reservations:write"}},
			{Name: "late", Keys: []policy.PrincipalKey{{SHA256: hashed("late-key"), Expires: "2026-11-02T12:00:00Z"}}, Scopes: []string{"messages:write"}},
			{Name: "early", Keys: []policy.PrincipalKey{{SHA256: hashed("early-key"), NotBefore: "2026-11-02T12:00:01Z"}}, Scopes: []string{"messages:write"}},
		},
		Issuers: []policy.TokenIssuer{{Name: "idp", Issuer: "https://id.example", Audience: []string{"stock"}, Algorithms: []string{"EdDSA"}, JWKS: keys}},
	}
	if change != nil {
		change(set)
	}
	x.s = newTestServer(t, x.log, x.clock)
	known, err := doors(set, func(k string) string { return secrets[k] }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if x.s.porter, err = newPorter(set, known, fetch, slog.New(slog.DiscardHandler), x.clock); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *tenants) token(t *testing.T, client, scope string) string {
	t.Helper()
	sig, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: x.priv}, (&jose.SignerOptions{}).WithHeader("kid", "1"))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": "https://id.example", "aud": "stock", "exp": noon.Add(time.Hour).Unix(), "client_id": client, "scope": scope})
	if err != nil {
		t.Fatal(err)
	}
	obj, err := sig.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := obj.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (x *tenants) send(source, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/v1/messages/"+source, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	x.s.handler().ServeHTTP(w, req)
	return w
}

func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code == http.StatusAccepted {
		return "accepted"
	}
	return readProblem(t, w).Code
}

// Invariant 10: tenant by endpoint by scope. Every crossing is refused, and says
// the same of a source that exists as of one that does not.
func TestWhoMaySendWhat(t *testing.T) {
	x := newTenants(t, nil, nil)
	const ok, key, token, scope = "accepted", "bad_key", "bad_token", "insufficient_scope"
	sources := []string{"erp", "wms", "nobody"}
	for _, tc := range []struct {
		name, key, token string
		want             [3]string
	}{
		{name: "nothing", want: [3]string{key, key, key}},
		{name: "wrong key", key: "guess", want: [3]string{key, key, key}},
		{name: "key of a source", key: "wms-key", want: [3]string{key, ok, key}},
		{name: "key of a principal", key: "erp-key", want: [3]string{ok, scope, scope}},
		{name: "key for all sources", key: "all-key", want: [3]string{ok, ok, scope}},
		{name: "key for other things", key: "reader-key", want: [3]string{scope, scope, scope}},
		{name: "expired key", key: "late-key", want: [3]string{key, key, key}},
		{name: "key of tomorrow", key: "early-key", want: [3]string{key, key, key}},
		{name: "the hash of a key", key: hashed("erp-key"), want: [3]string{key, key, key}},
		{name: "token", token: x.token(t, "erp", "messages:write:source=erp"), want: [3]string{ok, scope, scope}},
		{name: "token that says more than its principal may", token: x.token(t, "erp", "messages:write"), want: [3]string{ok, scope, scope}},
		{name: "token that says less", token: x.token(t, "erp", "atp:read"), want: [3]string{scope, scope, scope}},
		{name: "token of a client nobody has", token: x.token(t, "shop", "messages:write"), want: [3]string{token, token, token}},
		{name: "changed token", token: x.token(t, "erp", "messages:write") + "A", want: [3]string{token, token, token}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers := map[string]string{}
			for i, source := range sources {
				var h []string
				if tc.key != "" {
					h = []string{"X-Api-Key", tc.key}
				}
				if tc.token != "" {
					h = []string{"Authorization", "Bearer " + tc.token}
				}
				before := len(x.log.recs)
				w := x.send(source, "{}", h...)
				got := code(t, w)
				if got != tc.want[i] {
					t.Errorf("%s: %s, want %s", source, got, tc.want[i])
				}
				if in := len(x.log.recs) - before; (in == 1) != (tc.want[i] == ok) || in > 1 {
					t.Errorf("%s: %d messages in the log", source, in)
				}
				if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("%s: no challenge", source)
				}
				if got != ok {
					if other, seen := answers[got]; seen && other != w.Body.String()+fmt.Sprint(w.Header()) {
						t.Errorf("%s is told %s %v, another %s", source, w.Body, w.Header(), other)
					}
					answers[got] = w.Body.String() + fmt.Sprint(w.Header())
				}
				for _, secret := range []string{"erp-key", "all-key", "reader-key", "guess", hashed("erp-key")} {
					if strings.Contains(w.Body.String(), secret) {
						t.Error("the answer repeats a secret")
					}
				}
			}
		})
	}
}

func TestIssuerAway(t *testing.T) {
	var mu sync.Mutex
	fault := errors.New("away")
	var keys []byte
	x := newTenants(t, func(context.Context, string, int64) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		return keys, fault
	}, func(set *policy.Set) {
		i := &set.Access.Issuers[0]
		keys, i.JWKS, i.JWKSURL = i.JWKS, nil, "https://id.example/keys"
	})
	bearer := "Bearer " + x.token(t, "erp", "messages:write")
	for _, source := range []string{"erp", "nobody"} {
		w := x.send(source, "{}", "Authorization", bearer)
		if code(t, w) != "issuer_unavailable" || w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", source, w.Code, w.Body)
		}
	}
	mu.Lock()
	fault = nil
	mu.Unlock()
	x.now = x.now.Add(time.Minute)
	if w := x.send("erp", "{}", "Authorization", bearer); w.Code != 202 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSameKeyOfTwoSources(t *testing.T) {
	set := testPolicies()
	set.Sources["web"].Auth = policy.Auth{APIKeys: []string{hashed("next-key")}}
	known, err := doors(set, func(k string) string { return secrets[k] }, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPorter(set, known, nil, slog.New(slog.DiscardHandler), func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[inventory.Source]bool{"wms": true, "web": true} {
		req := httptest.NewRequest(http.MethodPost, "/", nil)
		req.Header.Set("X-Api-Key", "next-key")
		if _, err := p.admit(http.Header{}, req, source); (err == nil) != want {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// unread is a body that nobody may read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("a body was read")
	return 0, errors.New("read")
}

func TestRateLimits(t *testing.T) {
	x := newTenants(t, nil, func(set *policy.Set) {
		set.Access.Principals[1].Rate = policy.Rate{PerSecond: 1, Burst: 2}
		set.Sources["wms"].Door.Rate = policy.Rate{PerSecond: 0.5, Burst: 1}
	})
	first := x.send("erp", "{}", "X-Api-Key", "erp-key")
	if first.Header().Get("RateLimit-Policy") != `"partner";q=2;w=2` || first.Header().Get("RateLimit") != `"partner";r=1;t=1` {
		t.Errorf("%v", first.Header())
	}
	x.send("erp", "{}", "X-Api-Key", "erp-key")
	req := httptest.NewRequest(http.MethodPost, "/v1/messages/erp", unread{t})
	req.Header.Set("X-Api-Key", "erp-key")
	w := httptest.NewRecorder()
	x.s.handler().ServeHTTP(w, req)
	if w.Code != 429 || code(t, w) != "rate_limited" || w.Header().Get("Retry-After") != "1" || w.Header().Get("RateLimit") != `"partner";r=0;t=2` {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	if w := x.send("erp", "{}", "X-Api-Key", "all-key"); w.Code != 202 {
		t.Errorf("one partner pays for another: %d", w.Code)
	}
	// A partner without a rate is held to the source's.
	if w := x.send("wms", "ISA", "X-Api-Key", "wms-key"); w.Code != 202 || w.Header().Get("RateLimit") != `"source";r=0;t=2` {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := x.send("wms", "ISA", "X-Api-Key", "all-key"); w.Code != 429 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	x.now = x.now.Add(2 * time.Second)
	if w := x.send("wms", "ISA", "X-Api-Key", "wms-key"); w.Code != 202 {
		t.Errorf("%d after a while", w.Code)
	}
}

// Whoever forges signatures does not use up the partner's rate.
func TestForgedRequestsCostThePartnerNothing(t *testing.T) {
	x := newTenants(t, nil, func(set *policy.Set) {
		set.Sources["shop"].Door.Rate = policy.Rate{PerSecond: 0.01, Burst: 1, Concurrent: 1}
	})
	for range 5 {
		if w := x.send("shop", "{}", "X-Signature", signHex("{ }")); code(t, w) != "bad_signature" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if w := x.send("shop", "{}", "X-Signature", signHex("{}")); w.Code != 202 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := x.send("shop", "{}", "X-Signature", signHex("{}")); code(t, w) != "rate_limited" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestConcurrencyLimit(t *testing.T) {
	x := newTenants(t, nil, func(set *policy.Set) { set.Access.Principals[1].Rate = policy.Rate{Concurrent: 1} })
	in, out := make(chan struct{}), make(chan struct{})
	x.s.recv.produce = func(_ context.Context, _ ...*stream.Record) error {
		close(in)
		<-out
		return nil
	}
	done := make(chan int)
	go func() { done <- x.send("erp", "{}", "X-Api-Key", "erp-key").Code }()
	<-in
	w := x.send("erp", "{}", "X-Api-Key", "erp-key")
	if w.Code != 429 || code(t, w) != "too_many_concurrent" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(out)
	if c := <-done; c != 202 {
		t.Error(c)
	}
	x.s.recv.produce = x.log.produce
	if w := x.send("erp", "{}", "X-Api-Key", "erp-key"); w.Code != 202 {
		t.Errorf("the place is not free again: %d", w.Code)
	}
}

func TestDeprecationHeaders(t *testing.T) {
	x := newTenants(t, nil, func(set *policy.Set) {
		set.Sources["wms"].Door.Deprecated = &policy.Deprecated{At: "2026-12-01T00:00:00Z", Sunset: "2027-06-30T23:59:59Z", Link: "https://docs.example/wms"}
	})
	h := x.send("wms", "ISA", "X-Api-Key", "wms-key").Header()
	for name, want := range map[string]string{
		"Deprecation": "@1796083200", "Sunset": "Wed, 30 Jun 2027 23:59:59 GMT", "Link": `<https://docs.example/wms>; rel="deprecation"; type="text/html"`,
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %s, want %s", name, h.Get(name), want)
		}
	}
	if h := x.send("wms", "ISA", "X-Api-Key", "guess").Header(); h.Get("Deprecation") != "" {
		t.Error("a stranger learns of the source")
	}
}

// Sources are published again and again; the keys of issuers are fetched by their own
// time, and a key that two have is still refused.
func TestIssuersStayWhileSourcesChange(t *testing.T) {
	var keys []byte
	asked := 0
	fetch := func(context.Context, string, int64) ([]byte, error) { asked++; return keys, nil }
	x := newTenants(t, fetch, func(set *policy.Set) {
		is := &set.Access.Issuers[0]
		keys, is.JWKS, is.JWKSURL = is.JWKS, nil, "https://id.example/keys"
	})
	token := "Bearer " + x.token(t, "erp", "messages:write:source=erp")
	doors := x.s.porter.hall.Load().doors
	for range 3 {
		if w := x.send("erp", "{}", "Authorization", token); w.Code != http.StatusAccepted {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if err := x.s.porter.enter(doors); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("keys are fetched %d times", asked)
	}
	before := x.s.porter.hall.Load()
	taken := *doors["wms"]
	taken.keys = append(taken.keys, sha256.Sum256([]byte("erp-key")))
	changed := maps.Clone(doors)
	changed["wms"] = &taken
	if x.s.porter.enter(changed) == nil || x.s.porter.hall.Load() != before {
		t.Error("a source has the key of a partner")
	}
}
