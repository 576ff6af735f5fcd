package access

import (
	"net/http"
	"strings"
)

// maxCredential bounds a key or a token, bytes.
const maxCredential = 8 << 10

// Credential is what a request proves itself with. Its text is not shown by fmt.
type Credential struct {
	text string
	jwt  bool
}

// String hides the text.
func (c Credential) String() string {
	switch {
	case c.text == "":
		return "none"
	case c.jwt:
		return "a token"
	}
	return "a key"
}

// GoString hides the text.
func (c Credential) GoString() string { return c.String() }

// Of reads the credential of a request: `Authorization: Bearer` (RFC 6750 §2.1)
// with a key or a token, or X-Api-Key with a key. A request with several that are
// not the same has none: two readers could choose two.
func Of(h http.Header) Credential {
	var found string
	add := func(text string) bool {
		text = strings.Trim(text, " \t")
		if text == "" || len(text) > maxCredential || !visible(text) || found != "" && found != text {
			return false
		}
		found = text
		return true
	}
	for _, v := range h.Values("Authorization") {
		scheme, text, ok := strings.Cut(strings.TrimLeft(v, " \t"), " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") || !add(text) {
			return Credential{}
		}
	}
	fromHeader := false
	for _, v := range h.Values("X-Api-Key") {
		if fromHeader = true; !add(v) {
			return Credential{}
		}
	}
	return Credential{text: found, jwt: !fromHeader && looksLikeToken(found)}
}

// visible says whether a text is printable ASCII without spaces.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// looksLikeToken tells a JWS in compact form (RFC 7515 §3.1) from a key: three parts,
// of which the first is an object in base64url.
func looksLikeToken(s string) bool {
	return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2
}
