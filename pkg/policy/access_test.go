package policy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
)

const (
	shopKey = "4f0b5c4a3b8b6d7e1c7a9f1d2e3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d"
	partner = `name: shop-backend
keys: [{id: swk_abcdefgh, sha256: ` + shopKey + `, expires: "2027-01-01T00:00:00Z"}]
scopes: ["messages:write:source=wms"]
rate: {per_second: 5, burst: 10, concurrent: 2}
`
	issuer = `name: idp
issuer: https://id.example
audience: [https://stock.example]
algorithms: [ES256]
jwks_url: https://id.example/keys
scopes: {stock: ["atp:read"]}
`
)

func TestAccess(t *testing.T) {
	set, err := LoadFS(folder(map[string]string{
		"sources/wms.yaml": strings.Replace(source, "api_key_env: WMS_KEY", "access: true", 1),
		"access/a.yaml":    partner + "clients: [{issuer: idp, id: backend}]\n", "issuers/idp.yaml": issuer,
	}))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	g, err := set.Access.Guard(nil, access.HTTPS(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Identify(t.Context(), access.Of(http.Header{"X-Api-Key": {"x"}})); err == nil {
		t.Error("any key")
	}
	if r := set.Access.Rates()["shop-backend"]; r.PerSecond != 5 || r.Burst != 10 || r.Concurrent != 2 {
		t.Errorf("%+v", r)
	}
	if !set.Sources["wms"].Auth.Access {
		t.Error("the source does not say so")
	}
}

func TestAccessFaults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"a key in clear", map[string]string{"access/a.yaml": strings.Replace(partner, shopKey, "secret", 1)}, []string{"access/a.yaml:2:", "keys.0.sha256"}},
		{"no scope", map[string]string{"access/a.yaml": strings.Replace(partner, `"messages:write:source=wms"`, "", 1)}, []string{"access/a.yaml:3:", "scopes"}},
		{"no permission", map[string]string{"access/a.yaml": strings.Replace(partner, "messages:write:source=wms", "admin:all", 1)}, []string{"access/a.yaml:3:", `"admin:all" is no permission`}},
		{"a local time", map[string]string{"access/a.yaml": strings.Replace(partner, "00:00:00Z", "00:00:00+01:00", 1)}, []string{"keys[0].expires: a time in UTC"}},
		{"ends before it begins", map[string]string{"access/a.yaml": strings.Replace(partner, "expires:", `not_before: "2028-01-01T00:00:00Z", expires:`, 1)}, []string{"ends before it begins"}},
		{"a key of two", map[string]string{"access/a.yaml": partner, "access/b.yaml": strings.Replace(partner, "shop-backend", "other", 1)}, []string{"access/b.yaml:2:", "access/a.yaml has this key already"}},
		{"a key of a source", map[string]string{"access/a.yaml": partner, "sources/a.yaml": strings.Replace(source, "api_key_env: WMS_KEY", "api_keys: ["+shopKey+"]", 1)}, []string{"access/a.yaml:2:", "sources/a.yaml has this key already"}},
		{"an unknown issuer", map[string]string{"access/a.yaml": partner + "clients: [{issuer: idp, id: x}]\n"}, []string{"access/a.yaml:5:", `no file of issuers is named "idp"`}},
		{"HS256", map[string]string{"issuers/i.yaml": strings.Replace(issuer, "ES256", "HS256", 1)}, []string{"issuers/i.yaml:4:", "algorithms.0"}},
		{"http", map[string]string{"issuers/i.yaml": strings.Replace(issuer, "jwks_url: https", "jwks_url: http", 1)}, []string{"issuers/i.yaml:5:", "jwks_url"}},
		{"no keys in the file", map[string]string{"issuers/i.yaml": strings.Replace(issuer, "jwks_url: https://id.example/keys", "jwks_file: k.json", 1), "issuers/k.json": `{"keys":[]}`}, []string{"no key of use"}},
		{"a file that is not there", map[string]string{"issuers/i.yaml": strings.Replace(issuer, "jwks_url: https://id.example/keys", "jwks_file: k.json", 1)}, []string{"issuers/i.yaml:5:", "jwks_file"}},
		{"burst without a rate", map[string]string{"sources/a.yaml": source + "door: {rate: {burst: 5}}\n"}, []string{"sources/a.yaml:7:", "door.rate.burst: needs per_second"}},
		{"sunset before deprecation", map[string]string{"sources/a.yaml": source + "door:\n  deprecated: {at: \"2027-01-01T00:00:00Z\", sunset: \"2026-01-01T00:00:00Z\"}\n"}, []string{"sources/a.yaml:8:", "ends before it is deprecated"}},
		{"unique for ever", map[string]string{"sources/a.yaml": source + "door: {unique: 10000h}\n"}, []string{"door.unique: must be between 0 and 8760h"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := LoadFS(folder(tc.files))
			if err == nil {
				t.Fatal("no fault")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\ndoes not say %s", err, w)
				}
			}
		})
	}
}
