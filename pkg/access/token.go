package access

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Algorithms a token may be signed with (RFC 7518 §3.1, RFC 8037). There is no
// symmetric one and no "none", so that a public key is never taken for a secret.
func Algorithms() []string {
	return []string{string(jose.RS256), string(jose.ES256), string(jose.EdDSA)}
}

// minRSA is the shortest RSA key that is trusted, bits (RFC 7518 §3.3).
const minRSA = 2048

// TokenError is why a token is not trusted, for the log; outside it is ErrBadToken.
type TokenError struct{ Code, Reason string }

func (e *TokenError) Error() string { return "token_" + e.Code + ": " + e.Reason }

// Is makes it an ErrBadToken.
func (e *TokenError) Is(target error) bool { return target == ErrBadToken }

// token is one that was read and not verified.
type token struct {
	parsed    *jwt.JSONWebToken
	kid       string
	algorithm string
	claimed   string // issuer
}

// Claims are what a verified token says.
type Claims struct {
	Client  string // who it was issued to
	Scopes  Scopes
	Expires time.Time
}

func readToken(text string) (*token, error) {
	var algs []jose.SignatureAlgorithm
	for _, a := range Algorithms() {
		algs = append(algs, jose.SignatureAlgorithm(a))
	}
	parsed, err := jwt.ParseSigned(text, algs)
	if err != nil {
		return nil, &TokenError{"malformed", "it is no JWS in compact form signed with an algorithm that is allowed"}
	}
	var c jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil {
		return nil, &TokenError{"malformed", "its claims are no JSON object"}
	}
	h := parsed.Headers[0]
	// RFC 8725 §3.11: a token made for another purpose is not one for access. Both
	// names are in use (RFC 7519 §5.1, RFC 9068 §2.1).
	if stated, ok := h.ExtraHeaders[jose.HeaderType]; ok {
		typ, _ := stated.(string)
		typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
		if typ != "jwt" && typ != "at+jwt" {
			return nil, &TokenError{"type", "it is no token for access"}
		}
	}
	return &token{parsed, h.KeyID, h.Algorithm, c.Issuer}, nil
}

// fits says whether a key may verify a token: by its kind, its use and its size.
// Keys a token brings along (jwk, jku, x5u) are never looked at.
func fits(k *jose.JSONWebKey, t *token) bool {
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != t.algorithm || t.kid != "" && k.KeyID != t.kid {
		return false
	}
	switch pub := k.Key.(type) {
	case *rsa.PublicKey:
		return t.algorithm == string(jose.RS256) && pub.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return t.algorithm == string(jose.ES256) && pub.Curve.Params().BitSize == 256
	case ed25519.PublicKey:
		return t.algorithm == string(jose.EdDSA)
	}
	return false
}

// check reads a token's claims with a key and holds them against the issuer's
// terms. found is false where the signature is another key's.
func (c *IssuerConfig) check(t *token, k *jose.JSONWebKey, now time.Time) (claims Claims, found bool, err error) {
	var std jwt.Claims
	all := map[string]any{}
	if err := t.parsed.Claims(k.Key, &std, &all); err != nil {
		return Claims{}, false, &TokenError{"signature", "the signature does not fit"}
	}
	if std.Expiry == nil {
		return Claims{}, true, &TokenError{"expiry", "it never expires"}
	}
	err = std.ValidateWithLeeway(jwt.Expected{Issuer: c.Issuer, AnyAudience: c.Audience, Time: now}, c.Leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return Claims{}, true, &TokenError{"expired", "it has expired"}
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return Claims{}, true, &TokenError{"early", "it is not valid yet"}
	case errors.Is(err, jwt.ErrInvalidAudience):
		return Claims{}, true, &TokenError{"audience", "it is for somebody else"}
	case err != nil:
		return Claims{}, true, &TokenError{"claims", "its claims do not hold"}
	}
	claims.Expires = std.Expiry.Time().Add(c.Leeway)
	claims.Client, _ = all[c.ClientClaim].(string)
	if claims.Client == "" {
		return Claims{}, true, &TokenError{"client", "it does not say who it was issued to"}
	}
	claims.Scopes, err = c.scopes(all[c.ScopeClaim])
	return claims, true, err
}

// scopes reads a scope claim: a text of words between spaces (RFC 8693 §4.2), or a
// list. Words that are neither scopes of ours nor translated say nothing to us.
func (c *IssuerConfig) scopes(claim any) (Scopes, error) {
	var words []string
	switch v := claim.(type) {
	case string:
		words = strings.Fields(v)
	case []any:
		for _, w := range v {
			if s, ok := w.(string); ok {
				words = append(words, s)
			}
		}
	}
	if len(words) > maxScopes {
		return nil, &TokenError{"scopes", fmt.Sprintf("more than %d scopes", maxScopes)}
	}
	var out Scopes
	for _, w := range words {
		if s, ok := c.Scopes[w]; ok {
			out = append(out, s...)
		} else if s, err := ParseScope(w); err == nil {
			out = append(out, s)
		}
	}
	return slices.Clip(out), nil
}
