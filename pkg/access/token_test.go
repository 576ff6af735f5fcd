package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

type signer struct {
	alg  jose.SignatureAlgorithm
	kid  string
	priv crypto.Signer
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.priv.Public(), KeyID: s.kid, Algorithm: string(s.alg), Use: "sig"}
}

func set(t *testing.T, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signers(t *testing.T) (rs, es, ed signer) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jose.RS256, "r", r}, signer{jose.ES256, "e", e}, signer{jose.EdDSA, "d", d}
}

func good() map[string]any {
	return map[string]any{
		"iss": "https://id.example", "aud": []string{"x", "https://stock.example"}, "exp": noon.Add(time.Hour).Unix(), "nbf": noon.Unix(),
		"iat": noon.Unix(), "client_id": "shop-backend", "scope": "messages:write:source=shop profile wms",
	}
}

func with(claims map[string]any, name string, v any) map[string]any {
	out := maps.Clone(claims)
	if v == nil {
		delete(out, name)
	} else {
		out[name] = v
	}
	return out
}

func (s signer) sign(t *testing.T, claims map[string]any, typ string) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", s.kid)
	if typ != "" {
		opts = opts.WithType(jose.ContentType(typ))
	}
	sig, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.priv}, opts)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := sig.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := obj.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func config(keys []byte) IssuerConfig {
	return IssuerConfig{
		Name: "idp", Issuer: "https://id.example", Audience: []string{"https://stock.example"}, Algorithms: Algorithms(), Keys: keys,
		Leeway: time.Minute, ScopeClaim: "scope", ClientClaim: "client_id",
		Scopes: map[string]Scopes{"wms": {{Permission: MessagesWrite, limits: [4]string{"wms"}}}},
	}
}

func guard(t *testing.T, is *Issuer, now func() time.Time) *Guard {
	t.Helper()
	g, err := NewGuard([]Principal{{
		Name: "shop", Scopes: scopes(t, "messages:write:source=shop", "messages:write:source=wms", "atp:read"), Clients: []Client{{"idp", "shop-backend"}},
	}}, []*Issuer{is}, now)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func bearer(token string) Credential { return Of(header("Authorization", "Bearer "+token)) }

func TestTokens(t *testing.T) {
	rs, es, ed := signers(t)
	stranger, _, _ := signers(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // to be refused
	if err != nil {
		t.Fatal(err)
	}
	small := signer{jose.RS256, "w", weak}
	stranger.kid = rs.kid
	keys := set(t, rs.public(), es.public(), ed.public(), small.public())
	now := noon
	is, err := NewIssuer(config(keys), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := guard(t, is, at(&now))

	part := func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }
	body, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := part(`{"alg":"none"}`) + "." + part(string(body)) + "."
	// A public key taken for a secret: HS256 with what everybody can fetch.
	hs := part(`{"alg":"HS256","kid":"r"}`) + "." + part(string(body))
	mac := hmac.New(sha256.New, keys)
	mac.Write([]byte(hs))
	hs += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	own := part(`{"alg":"EdDSA","jwk":{}}`) + "." + part(string(body)) + ".AAAA"
	rsToken := rs.sign(t, good(), "JWT")
	first, rest, _ := strings.Cut(rsToken, ".")
	_ = first
	swapped := part(`{"alg":"ES256","kid":"r"}`) + "." + rest

	for _, tc := range []struct{ name, token, code string }{
		{"RS256", rsToken, ""},
		{"ES256", es.sign(t, good(), "at+jwt"), ""},
		{"EdDSA", ed.sign(t, good(), ""), ""},
		{"audience as a text", es.sign(t, with(good(), "aud", "https://stock.example"), ""), ""},
		{"within the leeway", es.sign(t, with(good(), "exp", noon.Add(-59*time.Second).Unix()), ""), ""},
		{"none", unsigned, "malformed"},
		{"HS256 with the public key", hs, "malformed"},
		{"a key of its own", own, "malformed"},
		{"another algorithm than its key's", swapped, "key"},
		{"somebody else's signature", stranger.sign(t, good(), ""), "signature"},
		{"a short RSA key", small.sign(t, good(), ""), "key"},
		{"changed claims", es.sign(t, good(), "")[:60] + "A" + es.sign(t, good(), "")[61:], "?"},
		{"expired", es.sign(t, with(good(), "exp", noon.Add(-61*time.Second).Unix()), ""), "expired"},
		{"never expires", es.sign(t, with(good(), "exp", nil), ""), "expiry"},
		{"not yet", es.sign(t, with(good(), "nbf", noon.Add(61*time.Second).Unix()), ""), "early"},
		{"from the future", es.sign(t, with(good(), "iat", noon.Add(61*time.Second).Unix()), ""), "early"},
		{"another issuer", es.sign(t, with(good(), "iss", "https://id.example/"), ""), "issuer"},
		{"another audience", es.sign(t, with(good(), "aud", "https://stock.example.evil"), ""), "audience"},
		{"no audience", es.sign(t, with(good(), "aud", nil), ""), "audience"},
		{"no client", es.sign(t, with(good(), "client_id", nil), ""), "client"},
		{"a client nobody has", es.sign(t, with(good(), "client_id", "other"), ""), "client"},
		{"made for another purpose", es.sign(t, good(), "logout+jwt"), "type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for range 2 { // the second may come from memory
				id, err := g.Identify(t.Context(), bearer(tc.token))
				if tc.code == "" {
					if err != nil || id.Principal.Name != "shop" {
						t.Fatal(err)
					}
					continue
				}
				e, ok := errors.AsType[*TokenError](err)
				if !ok || !errors.Is(err, ErrBadToken) || tc.code != "?" && e.Code != tc.code {
					t.Fatalf("%v, want %s", err, tc.code)
				}
				if id.Principal != nil {
					t.Error("refused, and somebody")
				}
			}
		})
	}

	id, err := g.Identify(t.Context(), bearer(rsToken))
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]bool{"shop": true, "wms": true, "erp": false} {
		if id.May(Need{Permission: MessagesWrite, Source: source}) != want {
			t.Errorf("source %s", source)
		}
	}
	if id.May(Need{Permission: ATPRead}) {
		t.Error("the token does not say so")
	}
	wide, err := g.Identify(t.Context(), bearer(es.sign(t, with(good(), "scope", []string{"messages:write"}), "")))
	if err != nil || !wide.May(Need{Permission: MessagesWrite, Source: "shop"}) || wide.May(Need{Permission: MessagesWrite, Source: "erp"}) {
		t.Error("a token makes more of a principal than it is", err)
	}
	now = noon.Add(time.Hour + 2*time.Minute)
	if _, err := g.Identify(t.Context(), bearer(rsToken)); err == nil {
		t.Error("what is remembered never expires")
	}
}

func TestPinnedAlgorithms(t *testing.T) {
	rs, es, _ := signers(t)
	cfg := config(set(t, rs.public(), es.public()))
	cfg.Algorithms = []string{"ES256"}
	is, err := NewIssuer(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	if _, err := guard(t, is, at(&now)).Identify(t.Context(), bearer(rs.sign(t, good(), ""))); !errors.Is(err, ErrBadToken) {
		t.Error(err)
	}
	for _, alg := range []string{"none", "HS256", "RS512", ""} {
		cfg.Algorithms = []string{alg}
		if _, err := NewIssuer(cfg, nil); err == nil {
			t.Errorf("%q may be pinned", alg)
		}
	}
}

func TestKeySets(t *testing.T) {
	rs, _, _ := signers(t)
	for name, b := range map[string]string{
		"no JSON": "{", "none": `{"keys":[]}`, "only unknown kinds": `{"keys":[{"kty":"XYZ"}]}`,
		"symmetric": `{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}]}`,
		"private":   string(set(t, jose.JSONWebKey{Key: rs.priv, KeyID: "p"})),
		"long":      `{"keys":[` + strings.Repeat(" ", maxKeySet) + `]}`,
	} {
		if _, err := ParseKeys([]byte(b)); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: its error has the secret", name)
		}
	}
	mixed := strings.Replace(string(set(t, rs.public())), `{"keys":[`, `{"keys":[{"kty":"XYZ"},`, 1)
	if ks, err := ParseKeys([]byte(mixed)); err != nil || len(ks.Keys) != 1 {
		t.Error("a key of an unknown kind spoils the set", err)
	}
}

// source hands out keys and counts.
type source struct {
	mu    sync.Mutex
	keys  []byte
	err   error
	asked int
}

func (s *source) fetch(context.Context, string, int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.keys, s.err
}

func (s *source) set(keys []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.err = keys, err
}

func TestKeysAreFetched(t *testing.T) {
	rs, es, _ := signers(t)
	cfg := config(nil)
	cfg.URL = "https://id.example/keys"
	src := &source{err: errors.New("away")}
	is, err := NewIssuer(cfg, src.fetch)
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	g := guard(t, is, at(&now))
	claims := with(good(), "exp", noon.Add(100*time.Hour).Unix())
	old, fresh := rs.sign(t, claims, ""), es.sign(t, claims, "")
	ask := func(token string, want error, asked int) {
		t.Helper()
		if _, err := g.Identify(t.Context(), bearer(token)); !errors.Is(err, want) {
			t.Errorf("at %v: %v, want %v", now.Sub(noon), err, want)
		}
		if src.asked != asked {
			t.Errorf("at %v: asked %d times, want %d", now.Sub(noon), src.asked, asked)
		}
	}
	ask(old, ErrKeysAway, 1)
	ask(old, ErrKeysAway, 1) // not again at once
	now = now.Add(time.Second)
	ask(old, ErrKeysAway, 2)
	now = now.Add(time.Second) // the next wait is longer
	ask(old, ErrKeysAway, 2)
	src.set(set(t, rs.public()), nil)
	now = now.Add(time.Second)
	ask(old, nil, 3)
	ask(old, nil, 3)

	// A new key, not in the set we have: one fetch, and not one for each request.
	ask(fresh, ErrBadToken, 3)
	now = now.Add(fetchAtMost)
	ask(fresh, ErrBadToken, 4)
	ask(fresh, ErrBadToken, 4)
	src.set(set(t, es.public()), nil)
	now = now.Add(fetchAtMost)
	ask(fresh, nil, 5)
	// The old one was withdrawn, and what it vouched for with it.
	ask(old, ErrBadToken, 5)

	// While they cannot be fetched the keys we have hold for a day.
	src.set(nil, errors.New("away"))
	now = now.Add(fetchEvery)
	ask(fresh, nil, 6)
	now = now.Add(keysKept - fetchEvery)
	ask(fresh, nil, 7)
	now = now.Add(time.Second)
	ask(fresh, ErrKeysAway, 7)
}

func TestOneFetchAtATime(t *testing.T) {
	rs, _, _ := signers(t)
	cfg := config(nil)
	cfg.URL = "https://id.example/keys"
	keys := set(t, rs.public())
	started, release := make(chan struct{}), make(chan struct{})
	calls := 0
	is, err := NewIssuer(cfg, func(context.Context, string, int64) ([]byte, error) {
		calls++ // the detector sees two at a time
		close(started)
		<-release
		return keys, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	g := guard(t, is, at(&now))
	token := rs.sign(t, good(), "")
	done := make(chan error)
	go func() { _, err := g.Identify(context.Background(), bearer(token)); done <- err }()
	<-started
	for range 8 {
		if _, err := g.Identify(t.Context(), bearer(token)); !errors.Is(err, ErrKeysAway) {
			t.Errorf("while another fetches: %v", err)
		}
	}
	close(release)
	if err := <-done; err != nil || calls != 1 {
		t.Error(err, calls)
	}
}

func TestVerifiedTokensAreBounded(t *testing.T) {
	rs, _, _ := signers(t)
	is, err := NewIssuer(config(set(t, rs.public())), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 * maxVerified {
		is.remember(is.keys, sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}), Claims{})
	}
	if n := len(is.verified[0]) + len(is.verified[1]); n > 2*maxVerified {
		t.Error(n)
	}
}

func TestHTTPSFetch(t *testing.T) {
	var target string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			_, _ = w.Write([]byte("0123456789"))
		case "/moved":
			http.Redirect(w, r, target, http.StatusFound)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer srv.Close()
	target = srv.URL + "/keys"
	fetch := By(srv.Client())
	if b, err := fetch(t.Context(), srv.URL+"/keys", 10); err != nil || string(b) != "0123456789" {
		t.Error(err)
	}
	for path, limit := range map[string]int64{"/keys": 9, "/moved": 100, "/else": 100} {
		if b, err := fetch(t.Context(), srv.URL+path, limit); err == nil {
			t.Errorf("%s: %q", path, b)
		}
	}
	for _, bad := range []string{"http://id.example/keys", "https:///keys", "https://u:p@id.example/", "file:///etc/passwd", "https://id.example/#x"} {
		cfg := config(nil)
		cfg.URL = bad
		if _, err := NewIssuer(cfg, fetch); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
