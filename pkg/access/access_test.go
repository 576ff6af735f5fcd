package access

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func at(t *time.Time) func() time.Time { return func() time.Time { return *t } }

func scopes(t *testing.T, texts ...string) Scopes {
	t.Helper()
	s, err := ParseScopes(texts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func key(t *testing.T, seed byte) string {
	t.Helper()
	k, err := NewKey(bytes.NewReader(bytes.Repeat([]byte{seed}, keyEntropy)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestKeyForm(t *testing.T) {
	for _, seed := range []byte{0, 1, 0xff} {
		k := key(t, seed)
		if !WellFormed(k) || len(k) != keyLen {
			t.Errorf("%q is no key", k)
		}
		if id := KeyID(k); len(id) != 12 || !strings.HasPrefix(k, id) {
			t.Errorf("id %q", id)
		}
		for i := range k {
			b := []byte(k)
			b[i] ^= 1
			if WellFormed(string(b)) {
				t.Errorf("%q has one character changed and is a key", b)
			}
		}
	}
	if _, err := NewKey(bytes.NewReader(make([]byte, keyEntropy-1))); err == nil {
		t.Error("a key of too little randomness")
	}
}

func TestKeysHoldForTheirTime(t *testing.T) {
	old, next := key(t, 1), key(t, 2)
	now := noon
	g, err := NewGuard([]Principal{{
		Name: "shop", Scopes: scopes(t, "messages:write:source=shop"),
		Keys: []StoredKey{
			{Hash: HashKey(old), Expires: noon.Add(time.Hour)},
			{Hash: HashKey(next), NotBefore: noon.Add(time.Minute)},
		},
	}}, nil, at(&now))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		after time.Duration
		key   string
		ok    bool
	}{
		{0, old, true},
		{0, next, false},
		{time.Minute, old, true},
		{time.Minute, next, true}, // while one replaces the other
		{time.Hour - 1, old, true},
		{time.Hour, old, false},
		{time.Hour, next, true},
		{0, key(t, 3), false},
		{0, fmt.Sprintf("%x", HashKey(old)), false},
	} {
		now = noon.Add(tc.after)
		id, err := g.Identify(t.Context(), Of(header("X-Api-Key", tc.key)))
		if (err == nil) != tc.ok || !tc.ok && !errors.Is(err, ErrBadKey) || tc.ok && id.Principal.Name != "shop" {
			t.Errorf("after %v, %.12s: %v", tc.after, tc.key, err)
		}
	}
}

func TestKeyOfTwoIsRefused(t *testing.T) {
	k := StoredKey{Hash: HashKey("x")}
	_, err := NewGuard([]Principal{{Name: "a", Keys: []StoredKey{k}}, {Name: "b", Keys: []StoredKey{k}}}, nil, time.Now)
	if err == nil || !strings.Contains(err.Error(), "b") {
		t.Error(err)
	}
}

func TestCredential(t *testing.T) {
	for _, tc := range []struct {
		name string
		h    http.Header
		want string
		jwt  bool
	}{
		{"none", header(), "", false},
		{"key", header("X-Api-Key", "k"), "k", false},
		{"bearer", header("Authorization", "bEaReR  k "), "k", false},
		{"both the same", header("Authorization", "Bearer k", "X-Api-Key", "k"), "k", false},
		{"both, two", header("Authorization", "Bearer k", "X-Api-Key", "l"), "", false},
		{"two of one", header("X-Api-Key", "k", "X-Api-Key", "l"), "", false},
		{"two bearers", header("Authorization", "Bearer k", "Authorization", "Bearer l"), "", false},
		{"basic", header("Authorization", "Basic azpr"), "", false},
		{"basic beside a key", header("Authorization", "Basic azpr", "X-Api-Key", "k"), "", false},
		{"no text", header("Authorization", "Bearer "), "", false},
		{"two words", header("Authorization", "Bearer a b"), "", false},
		{"control", header("X-Api-Key", "a\x00b"), "", false},
		{"long", header("X-Api-Key", strings.Repeat("k", maxCredential+1)), "", false},
		{"token", header("Authorization", "Bearer eyJh.eyJi.c"), "eyJh.eyJi.c", true},
		{"a token is no key", header("X-Api-Key", "eyJh.eyJi.c"), "eyJh.eyJi.c", false},
	} {
		if c := Of(tc.h); c.text != tc.want || c.jwt != tc.jwt {
			t.Errorf("%s: %q %v", tc.name, c.text, c.jwt)
		}
	}
}

func TestCredentialIsNotPrinted(t *testing.T) {
	c := Of(header("X-Api-Key", "hush-hush"))
	if s := fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c); strings.Contains(s, "hush") {
		t.Error(s)
	}
}

func TestScopes(t *testing.T) {
	for _, tc := range []struct {
		scope string
		need  Need
		want  bool
	}{
		{"messages:write:source=wms", Need{Permission: MessagesWrite, Source: "wms"}, true},
		{"messages:write:source=wms", Need{Permission: MessagesWrite, Source: "shop"}, false},
		{"messages:write:source=wms", Need{Permission: MessagesWrite}, false},
		{"messages:write", Need{Permission: MessagesWrite, Source: "shop"}, true},
		{"messages:write", Need{Permission: ATPRead}, false},
		{"atp:read:entity=acme:channel=web", Need{Permission: ATPRead, Entity: "acme", Channel: "web"}, true},
		{"atp:read:channel=web:entity=acme", Need{Permission: ATPRead, Entity: "acme", Channel: "market"}, false},
		{"atp:read:channel=web", Need{Permission: ATPRead, Entity: "acme"}, false}, // all channels are more than one
		{"atp:read:entity=a%3Ab", Need{Permission: ATPRead, Entity: "a:b"}, true},
		{"reservations:read", Need{Permission: ReservationsWrite}, false},
	} {
		s := scopes(t, tc.scope)
		if s.Allow(tc.need) != tc.want {
			t.Errorf("%s allows %+v: %v", tc.scope, tc.need, !tc.want)
		}
		if again, err := ParseScope(s[0].String()); err != nil || again != s[0] {
			t.Errorf("%s reads back as %s, %v", tc.scope, again, err)
		}
	}
	for _, bad := range []string{
		"", "messages", "messages:", "messages:read", "admin:all", "*", "messages:write:", "messages:write:source", "messages:write:source=",
		"messages:write:channel=web", "messages:write:source=a:source=b", "atp:read:entity=a b", "atp:read:entity=%zz", "atp:read:entity=*",
		"messages:write:source=" + strings.Repeat("a", maxScope),
	} {
		if s, err := ParseScope(bad); err == nil {
			t.Errorf("%q is a scope: %v", bad, s)
		}
	}
	if (Identity{}).May(Need{Permission: ATPRead}) || (Identity{}).HasOf(ATPRead, "acme") {
		t.Error("nobody may something")
	}
	owner := &Principal{Scopes: scopes(t, "atp:read:entity=acme:channel=web", "reservations:read", "messages:write")}
	for _, tc := range []struct {
		id     Identity
		p      Permission
		entity string
		want   bool
	}{
		{Identity{Principal: owner}, ATPRead, "acme", true},
		{Identity{Principal: owner}, ATPRead, "other", false},
		{Identity{Principal: owner}, ATPRead, "", false},
		{Identity{Principal: owner}, ReservationsRead, "other", true},
		{Identity{Principal: owner}, ReservationsRead, "", true},
		{Identity{Principal: owner}, ReservationsWrite, "acme", false},
		{Identity{Principal: owner, token: true, narrowed: scopes(t, "reservations:read:entity=acme")}, ReservationsRead, "acme", true},
		{Identity{Principal: owner, token: true, narrowed: scopes(t, "reservations:read:entity=acme")}, ReservationsRead, "other", false},
		{Identity{Principal: owner, token: true, narrowed: scopes(t, "atp:read")}, ATPRead, "other", false},
		{Identity{Principal: owner, token: true}, ATPRead, "acme", false},
	} {
		if tc.id.HasOf(tc.p, tc.entity) != tc.want {
			t.Errorf("%s of %q, narrowed to %v: %v", tc.p, tc.entity, tc.id.narrowed, !tc.want)
		}
	}
}

func FuzzCredential(f *testing.F) {
	f.Add("Bearer x", "y")
	f.Add("bearer eyJhbGciOiJub25lIn0.e30.", "")
	g, err := NewGuard(nil, nil, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, auth, key string) {
		h := http.Header{}
		if auth != "" {
			h["Authorization"] = []string{auth}
		}
		if key != "" {
			h["X-Api-Key"] = []string{key}
		}
		c := Of(h)
		if len(c.text) > maxCredential || !visible(c.text) {
			t.Errorf("%q", c.text)
		}
		if _, err := g.Identify(t.Context(), c); err == nil {
			t.Error("nobody is somebody")
		}
		_, _ = readToken(c.text)
	})
}

func FuzzScope(f *testing.F) {
	f.Add("atp:read:entity=acme:channel=web")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseScope(s)
		if err != nil {
			return
		}
		if b, err := ParseScope(a.String()); err != nil || a != b {
			t.Errorf("%q reads back as %q: %v", s, a, err)
		}
	})
}
