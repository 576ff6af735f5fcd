package atpapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

func hashed(key string) string {
	sum := access.HashKey(key)
	return hex.EncodeToString(sum[:])
}

func principal(name string, scopes ...string) policy.Principal {
	return policy.Principal{Name: name, Scopes: scopes, Keys: []policy.PrincipalKey{{ID: name, SHA256: hashed(name)}}}
}

// admits lets these in and nobody else.
func (w *web) admits(t *testing.T, cfg *Config) {
	t.Helper()
	p, err := newPorter(cfg, cfg.Fetch, slog.New(slog.DiscardHandler), func() time.Time { return w.now })
	if err != nil {
		t.Fatal(err)
	}
	w.api.porter = p
}

// issuer makes tokens.
type issuer struct {
	policy policy.TokenIssuer
	signer jose.Signer
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: priv.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: priv, KeyID: "k"}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{policy.TokenIssuer{
		Name: "idp", Issuer: "https://idp.example", Audience: []string{"stockweave"}, Algorithms: []string{"ES256"}, JWKS: keys, JWKSFile: "keys.json",
	}, s}
}

func (i *issuer) token(t *testing.T, client, scope string, expires time.Time) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": "https://idp.example", "aud": "stockweave", "sub": client, "client_id": client, "scope": scope,
		"exp": expires.Unix(), "iat": expires.Add(-time.Hour).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := i.signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// reads is what the matrix asks of items: a name, its query, and the item of a batch.
type reads struct{ name, item, entity, by, value string }

func (r reads) path() string {
	p := "/v1/atp/" + r.item + "?entity=" + r.entity
	if r.by != "" {
		p += "&" + r.by + "=" + r.value
	}
	return p
}

func (r reads) batch() string {
	by := ""
	if r.by != "" {
		by = fmt.Sprintf(`%q:%q,`, r.by, r.value)
	}
	return fmt.Sprintf(`{%s"items":[{"item":%q,"entity":%q}]}`, by, r.item, r.entity)
}

// byDoors asks the same of the doors that can be asked: status and body by door.
func (r reads) byDoors(t *testing.T, w *web, auth []string) map[string]*httptest.ResponseRecorder {
	t.Helper()
	tenant := r.entity
	if tenant == "acme" {
		tenant = "us-1"
	}
	at := "/inventory/" + tenant + "/v1/availability/"
	switch r.by {
	case "location":
		return map[string]*httptest.ResponseRecorder{
			"D365": w.post(t, d365At+"/exactquery", fmt.Sprintf(
				`{"filters":{"organizationId":[%q],"productId":[%q],"dimensions":["siteId","locationId"],"values":[["1",%q]]},"QueryATP":true}`, r.entity, r.item, r.value), auth...),
			"D365 by parameters": w.get(t, d365At+"?siteId=1&organizationId="+r.entity+"&productId="+r.item+"&locationId="+r.value, auth...),
			"Sterling":           w.post(t, at+"node", fmt.Sprintf(`{"lines":[{"lineId":"1","itemId":%q,"shipNodes":[%q]}]}`, r.item, r.value), auth...),
		}
	case "group":
		return map[string]*httptest.ResponseRecorder{
			"Sterling": w.post(t, at+"network", fmt.Sprintf(`{"distributionGroupId":%q,"lines":[{"lineId":"1","itemId":%q}]}`, r.value, r.item), auth...),
		}
	}
	return nil
}

// TestMatrix: each principal gets what its scopes reach, by every door; whatever they
// do not reach is refused in one and the same way, whether it exists or not, and
// without a look at the store.
func TestMatrix(t *testing.T) {
	w := newWeb(t)
	w.promiseBy(t,
		policy.ATPPolicy{Groups: map[string][]inventory.Location{"web": {"DC1", "DC2"}}},
		policy.Channel{Name: "shop", Entity: "acme", Locations: []inventory.Location{"DC1"}, Listings: map[inventory.Item]string{"A": "L-1"}},
		policy.Channel{Name: "market", Entity: "acme", Locations: []inventory.Location{"DC2"}, Listings: map[inventory.Item]string{"A": "M-1"}},
	)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10, "DC2": 4})
	other := inventory.Position{Key: inventory.Key{Entity: "other", Item: "A"}, Location: "DC1"}
	other.States[inventory.OnHand] = 7 * inventory.One
	w.flog.put(t, w.codecs, 4, []inventory.Position{other})
	w.run(t, 10)
	openDoors(t, w.api)
	idp := newIssuer(t)
	all := principal("all", "atp:read")
	all.Clients = []policy.PrincipalClient{{Issuer: "idp", ID: "app"}}
	w.admits(t, &Config{
		Keys: []Key{{"old", hashed("old")}},
		Access: policy.Access{Issuers: []policy.TokenIssuer{idp.policy}, Principals: []policy.Principal{
			all, principal("acme", "atp:read:entity=acme"), principal("shop", "atp:read:entity=acme:channel=shop"),
			principal("dc1", "atp:read:location=DC1"), principal("both", "atp:read:channel=shop", "atp:read:location=DC2"),
			principal("sender", "messages:write"), principal("booker", "reservations:write"), principal("prover", "atp:explain"),
		}},
	})
	asked := []reads{
		{"item", "A", "acme", "", ""},
		{"unknown item", "NOPE", "acme", "", ""},
		{"shop", "A", "acme", "channel", "shop"},
		{"not listed in shop", "NOPE", "acme", "channel", "shop"},
		{"market", "A", "acme", "channel", "market"},
		{"unknown channel", "A", "acme", "channel", "NOPE"},
		{"DC1", "A", "acme", "location", "DC1"},
		{"DC2", "A", "acme", "location", "DC2"},
		{"unknown location", "A", "acme", "location", "NOPE"},
		{"group", "A", "acme", "group", "web"},
		{"unknown group", "A", "acme", "group", "NOPE"},
		{"other entity", "A", "other", "", ""},
		{"other entity, shop", "A", "other", "channel", "shop"},
		{"other entity, DC1", "A", "other", "location", "DC1"},
		{"unknown entity", "A", "NOPE", "", ""},
	}
	found := map[string]bool{"item": true, "shop": true, "market": true, "DC1": true, "DC2": true, "group": true, "other entity": true, "other entity, DC1": true}
	every := make([]string, 0, len(asked))
	acme := []string{"item", "unknown item", "shop", "not listed in shop", "market", "unknown channel", "DC1", "DC2", "unknown location", "group", "unknown group"}
	for _, r := range asked {
		every = append(every, r.name)
	}
	later := w.now.Add(time.Hour)
	shop := []string{"shop", "not listed in shop"}
	for _, who := range []struct {
		name, credential string
		may              []string
	}{
		{"old key", "old", every},
		{"all", "all", every},
		{"acme", "acme", acme},
		{"shop", "shop", shop},
		{"dc1", "dc1", []string{"DC1", "other entity, DC1"}},
		{"both", "both", append([]string{"DC2", "other entity, shop"}, shop...)},
		{"token", idp.token(t, "app", "atp:read", later), every},
		{"token of the shop", idp.token(t, "app", "atp:read:channel=shop:entity=acme", later), shop},
		{"token of sending", idp.token(t, "app", "messages:write", later), nil},
		{"sender", "sender", nil},
		{"booker", "booker", nil},
		{"prover", "prover", nil},
	} {
		refused := map[string]map[string]bool{} // by dialect
		check := func(of, by string, status int, body string) {
			t.Helper()
			may := slices.Contains(who.may, of)
			switch {
			case may && found[of] != (status == http.StatusOK), !may && status != http.StatusForbidden, may && status == http.StatusForbidden:
				t.Errorf("%s, %s by %s: %d %s", who.name, of, by, status, body)
			case !may:
				dialect, _, _ := strings.Cut(by, " ")
				if refused[dialect] == nil {
					refused[dialect] = map[string]bool{}
				}
				refused[dialect][body] = true
			}
		}
		auth := []string{"Authorization", "Bearer " + who.credential}
		for _, r := range asked {
			for dialect, rec := range r.byDoors(t, w, auth) {
				status := rec.Code
				if text := rec.Body.String(); status == http.StatusOK && !strings.Contains(text, "uantit") { // there is nothing
					status = http.StatusNotFound
				}
				check(r.name, dialect, status, rec.Body.String())
			}
			rec := w.get(t, r.path(), auth...)
			check(r.name, "/v1 item", rec.Code, rec.Body.String())
			rec = w.post(t, "/v1/atp/batch", r.batch(), auth...)
			var got batchAnswer
			if rec.Code != http.StatusOK {
				check(r.name, "/v1 batch", rec.Code, rec.Body.String())
				continue
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || len(got.Results) != 1 {
				t.Fatalf("%v in %s", err, rec.Body)
			}
			body, err := json.Marshal(got.Results[0].Problem)
			if err != nil {
				t.Fatal(err)
			}
			check(r.name, "/v1 batch", got.Results[0].Status, string(body)+"\n")
		}
		for dialect, ways := range refused {
			if len(ways) > 1 {
				t.Errorf("%s is refused in several ways by %s: %v", who.name, dialect, ways)
			}
		}
		if len(who.may) < len(every) && len(refused) != 3 {
			t.Errorf("%s is refused by %d dialects", who.name, len(refused))
		}
	}
	// A channel that is all one may read is read of its own locations alone.
	for credential, want := range map[string]int{"all": 2, "acme": 2, "shop": 1} {
		var a answer
		if err := json.Unmarshal(w.get(t, "/v1/atp/A?channel=shop", "X-Api-Key", credential).Body.Bytes(), &a); err != nil || len(a.Locations) != want {
			t.Errorf("%s sees %d locations of the channel, want %d: %v", credential, len(a.Locations), want, err)
		}
	}
	w.mini.Close()
	if rec := w.get(t, "/v1/atp/A?channel=market", "X-Api-Key", "shop"); rec.Code != http.StatusForbidden || rec.Header().Get("WWW-Authenticate") != `Bearer error="insufficient_scope"` {
		t.Errorf("refused after a look at the store: %d %s", rec.Code, rec.Body)
	}
}

// Nobody comes in without a credential that holds.
func TestCredentials(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	idp := newIssuer(t)
	app := principal("app", "atp:read")
	app.Clients = []policy.PrincipalClient{{Issuer: "idp", ID: "app"}}
	w.admits(t, &Config{
		Keys:   []Key{{"other", strings.Repeat("00", 32)}, {"shop", hashed("right")}, {"shop", hashed("next")}, {"again", hashed("right")}},
		Access: policy.Access{Issuers: []policy.TokenIssuer{idp.policy}, Principals: []policy.Principal{app}},
	})
	good := idp.token(t, "app", "atp:read", w.now.Add(time.Hour))
	for _, tt := range []struct {
		header, value, code string
	}{
		{"X-API-Key", "right", ""},
		{"X-API-Key", "next", ""},
		{"Authorization", "Bearer right", ""},
		{"Authorization", "Bearer " + good, ""},
		{"X-API-Key", "wrong", "bad_key"},
		{"Authorization", "Basic right", "bad_key"},
		{"X-API-Key", "", "bad_key"},
		{"Accept", "*/*", "bad_key"},
		{"Authorization", "Bearer " + good[:len(good)-4] + "AAAA", "bad_token"},
		{"Authorization", "Bearer " + idp.token(t, "app", "atp:read", w.now.Add(-time.Hour)), "bad_token"},
		{"Authorization", "Bearer " + idp.token(t, "stranger", "atp:read", w.now.Add(time.Hour)), "bad_token"},
	} {
		for _, path := range []string{"/v1/atp/A", "/v1/atp/NOPE"} {
			rec := w.get(t, path, tt.header, tt.value)
			if want := tt.code; want != "" && (rec.Code != http.StatusUnauthorized || !strings.Contains(rec.Body.String(), `"code":"`+want+`"`)) ||
				want == "" && rec.Code == http.StatusUnauthorized {
				t.Errorf("%s %.20q: %d %s, want %s", tt.header, tt.value, rec.Code, rec.Body, tt.code)
			}
		}
	}
	// The document is for everybody.
	if rec := w.get(t, "/openapi.json"); rec.Code != http.StatusOK {
		t.Errorf("the document: %d", rec.Code)
	}
	// Asked for, a credential is needed though nobody has one.
	w.admits(t, &Config{Principals: true})
	if rec := w.get(t, "/v1/atp/A"); rec.Code != http.StatusUnauthorized {
		t.Errorf("without principals: %d", rec.Code)
	}
}

// A principal asks as often as its rate says, whatever others do, and is told when to
// come again.
func TestRates(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	slow, busy := principal("slow", "atp:read"), principal("busy", "atp:read")
	slow.Rate = policy.Rate{PerSecond: 0.5, Burst: 2}
	busy.Rate = policy.Rate{Concurrent: 1}
	w.admits(t, &Config{Access: policy.Access{Principals: []policy.Principal{slow, busy, principal("free", "atp:read")}}})
	for i, want := range []int{200, 200, 429} {
		rec := w.get(t, "/v1/atp/A", "X-Api-Key", "slow")
		if rec.Code != want || rec.Header().Get("RateLimit-Policy") != `"partner";q=2;w=4` || !strings.HasPrefix(rec.Header().Get("RateLimit"), fmt.Sprintf(`"partner";r=%d;t=`, max(0, 1-i))) {
			t.Errorf("request %d: %d %v", i, rec.Code, rec.Header())
		}
		if want == 429 && (rec.Header().Get("Retry-After") != "2" || !strings.Contains(rec.Body.String(), "rate_limited")) {
			t.Errorf("refused: %v %s", rec.Header(), rec.Body)
		}
		if rec := w.get(t, "/v1/atp/A", "X-Api-Key", "free"); rec.Code != 200 || rec.Header().Get("RateLimit") != "" {
			t.Errorf("another: %d %v", rec.Code, rec.Header())
		}
	}
	w.now = w.now.Add(2 * time.Second)
	if rec := w.get(t, "/v1/atp/A", "X-Api-Key", "slow"); rec.Code != 200 {
		t.Errorf("after the wait: %d %s", rec.Code, rec.Body)
	}
	for range 3 { // one after the other
		if rec := w.get(t, "/v1/atp/A", "X-Api-Key", "busy"); rec.Code != 200 {
			t.Errorf("one at a time: %d %s", rec.Code, rec.Body)
		}
	}
	under, bad := w.api.porter.enter(t.Context(), http.Header{"X-Api-Key": {"busy"}})
	if bad != nil {
		t.Fatal(bad)
	}
	leave, bad := w.api.porter.rate(http.Header{}, under)
	if bad != nil {
		t.Fatal(bad)
	}
	if rec := w.get(t, "/v1/atp/A", "X-Api-Key", "busy"); rec.Code != 429 || !strings.Contains(rec.Body.String(), "too_many_concurrent") || rec.Header().Get("Retry-After") != "1" {
		t.Errorf("two at a time: %d %s", rec.Code, rec.Body)
	}
	leave()
	if rec := w.get(t, "/v1/atp/A", "X-Api-Key", "busy"); rec.Code != 200 {
		t.Errorf("after it left: %d %s", rec.Code, rec.Body)
	}
}
