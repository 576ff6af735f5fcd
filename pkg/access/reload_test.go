package access

import (
	"context"
	"errors"
	"testing"
	"time"
)

// An issuer by the same terms is the one there was, with the keys it has; by other terms
// it is a new one.
func TestIssuersGoOn(t *testing.T) {
	fetch := func(context.Context, string, int64) ([]byte, error) { return nil, errors.New("away") }
	terms := func(name, audience string) IssuerConfig {
		return IssuerConfig{
			Name: name, Issuer: "https://" + name + ".example", Audience: []string{audience}, Algorithms: []string{"ES256"},
			URL: "https://" + name + ".example/keys", ScopeClaim: "scope", ClientClaim: "client_id",
			Scopes: map[string]Scopes{"read": scopes(t, "atp:read")},
		}
	}
	first, err := Issuers(nil, []IssuerConfig{terms("a", "x"), terms("b", "x")}, fetch)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGuard(nil, first, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	next, err := Issuers(g, []IssuerConfig{terms("b", "y"), terms("a", "x"), terms("c", "x")}, fetch)
	if err != nil {
		t.Fatal(err)
	}
	if next[1] != first[0] {
		t.Error("an issuer by the same terms begins anew")
	}
	if next[0] == first[1] {
		t.Error("an issuer goes on by terms that were changed")
	}
	bad := terms("a", "x")
	bad.URL = "http://a.example/keys"
	if _, err := Issuers(g, []IssuerConfig{bad}, fetch); err == nil {
		t.Error("keys without TLS")
	}
}
