package signature

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
)

// Signatures were made with OpenSSL of what each vendor says it signs; B is the body,
// S the secret:
//
//	printf '%s' "$B" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf '%s' "$S" | xxd -p) -binary | base64
//	printf '%s' "$T" "POST" "$PATH" "$B" | ...     # EasyPost's second
//	printf '1755635829.%s' "$B" | ...              # Shippo
//	printf 'msg_1.1755635829.%s' "$B" | ...        # BigCommerce
//	openssl genpkey -algorithm ed25519 -out ed.pem; openssl pkeyutl -sign -inkey ed.pem -rawin -in signed   # v1a
//
// EasyPost's secret is "sécret ﬁ", whose NFKD has an e, a combining acute accent, and f
// and i: the key was given in bytes (73 65 cc81 63 72 65 74 20 66 69). That of Standard
// Webhooks is the example of its libraries.
const (
	testBody  = `{"id":1,"note":"café"}`
	bodySum   = "694d0af521edecf4f4bcdcf02893fb8eeacc2fdea5f421f3e386c9386a05bfca" // printf %s "$B" | sha256sum
	shopifyB  = "W79K0U3HcgQa5IAkxrL4LrGyfUdB4ezb0z8SV86G4hw="
	nextB     = "2ZVBcuvrNi7EhJCFpluBt1GnszKlWZHDsw538mPehw4="
	squareB   = "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og=" // of the tests of Square's own libraries
	easyPost1 = "hmac-sha256-hex=9339b34f10bc5dd929b17e8249ba944f0b063819093b2bf2a4984fba1fb5c275"
	easyPostB = "hmac-sha256-hex=bc9e7fc9c3689eab07dcd1b049eaf74785ce07feb3b77743d6bdd4dc504fc59d"
	shippo    = "35742b2221e057a1724b449dd46f7071802e5f8eb85f5a9837675dd909e5e980"
	bigB      = "v1,dSoO1jGXd/IWF0JuNsGctbQVZ0P35HqALQ5X66FhZ5U="
	splitB    = "v1,hAcfPb3lXNg6Hmfg/+ijtdFWUlW434p0UVpaYHn0sCg="
	edKey     = "whpk_AY8eHVVc5pDtqHYXSuavyTrTEaiNF3zivB5JIH5Lzis="
	edB       = "v1a,3LoSWKMWboVLYksCWoZS8TtojsmUPOlN5/bvoO07HATPcNVQqXWKuoDyOcM0WJrTZ8dWfHN0SQNzXZ/s1WraDg=="
	stdKey    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	stdBody   = `{"test": 2432232314}`
	stdB      = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	stamp     = "Tue, 19 Aug 2025 20:37:09 -0000"
	easyPath  = "/v1/messages/easypost"
	zero64    = "0000000000000000000000000000000000000000000000000000000000000000"
	zeroB     = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)

var (
	signedAt = time.Unix(1755635829, 0)
	stdAt    = time.Unix(1614265330, 0)
)

func TestSchemes(t *testing.T) {
	type h = map[string]string
	standardHeaders := func(sig string) h {
		return h{"Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "Webhook-Timestamp": "1614265330", "Webhook-Signature": sig}
	}
	big := func(id, at, sig string) h {
		return h{"Webhook-Id": id, "Webhook-Timestamp": at, "Webhook-Signature": sig}
	}
	square := func(url string) policy.Signature { return policy.Signature{Scheme: policy.SchemeSquare, URL: url} }
	easy2 := h{"X-Timestamp": stamp, "X-Path": easyPath, "X-Hmac-Signature-V2": easyPostB}
	with := func(in h, name, value string) h {
		out := h{}
		maps.Copy(out, in)
		out[name] = value
		return out
	}
	for _, tc := range []struct {
		name    string
		rule    policy.Signature
		secrets []string
		header  h
		body    string // testBody when empty
		path    string
		now     time.Time
		want    error
		id      string
	}{
		{name: "Shopify", rule: policy.Signature{Scheme: policy.SchemeShopify}, secrets: []string{"shpss_0123456789abcdef"}, header: h{"X-Shopify-Hmac-Sha256": shopifyB}},
		{name: "Shopify, the secret changes", rule: policy.Signature{Scheme: policy.SchemeShopify}, secrets: []string{"shpss_0123456789abcdef", "next-secret"}, header: h{"X-Shopify-Hmac-Sha256": nextB}},
		{name: "Shopify, another body", rule: policy.Signature{Scheme: policy.SchemeShopify}, secrets: []string{"shpss_0123456789abcdef"}, header: h{"X-Shopify-Hmac-Sha256": shopifyB}, body: testBody + "\n", want: ErrBad},
		{name: "Shopify, a secret that is gone", rule: policy.Signature{Scheme: policy.SchemeShopify}, secrets: []string{"next-secret"}, header: h{"X-Shopify-Hmac-Sha256": shopifyB}, want: ErrBad},
		{name: "Shopify, unsigned", rule: policy.Signature{Scheme: policy.SchemeShopify}, secrets: []string{"shpss_0123456789abcdef"}, want: ErrBad},
		{name: "Shopify, empty", rule: policy.Signature{Scheme: policy.SchemeShopify}, secrets: []string{"shpss_0123456789abcdef"}, header: h{"X-Shopify-Hmac-Sha256": ""}, want: ErrBad},
		{name: "Shopify, shortened", rule: policy.Signature{Scheme: policy.SchemeShopify}, secrets: []string{"shpss_0123456789abcdef"}, header: h{"X-Shopify-Hmac-Sha256": shopifyB[:40]}, want: ErrBad},
		{name: "WooCommerce", rule: policy.Signature{Scheme: policy.SchemeWooCommerce}, secrets: []string{"next-secret"}, header: h{"X-WC-Webhook-Signature": nextB}},
		{name: "AfterShip", rule: policy.Signature{Scheme: policy.SchemeAfterShip}, secrets: []string{"next-secret"}, header: h{"aftership-hmac-sha256": nextB}},
		{name: "AfterShip, its newer header", rule: policy.Signature{Scheme: policy.SchemeAfterShip}, secrets: []string{"next-secret"}, header: h{"as-signature-hmac-sha256": nextB}},
		{name: "Square", rule: square("https://example.com/webhook"), secrets: []string{"asdf1234"}, header: h{"x-square-hmacsha256-signature": squareB}, body: `{"hello":"world"}`},
		{name: "Square, another body", rule: square("https://example.com/webhook"), secrets: []string{"asdf1234"}, header: h{"x-square-hmacsha256-signature": squareB}, body: `{"hello": "world"}`, want: ErrBad},
		{name: "Square, another URL", rule: square("https://example.com/webhook/"), secrets: []string{"asdf1234"}, header: h{"x-square-hmacsha256-signature": squareB}, body: `{"hello":"world"}`, want: ErrBad},
		{name: "Square, a URL that moves into the body", rule: square("https://example.com/"), secrets: []string{"asdf1234"}, header: h{"x-square-hmacsha256-signature": squareB}, body: `{"hello":"world"}`, want: ErrBad},
		{name: "Square, the header of before", rule: square("https://example.com/webhook"), secrets: []string{"asdf1234"}, header: h{"X-Square-Signature": squareB}, body: `{"hello":"world"}`, want: ErrBad},
		{name: "EasyPost", rule: policy.Signature{Scheme: policy.SchemeEasyPost}, secrets: []string{"sécret ﬁ"}, header: h{"X-Hmac-Signature": easyPost1}},
		{name: "EasyPost without its prefix", rule: policy.Signature{Scheme: policy.SchemeEasyPost}, secrets: []string{"sécret ﬁ"}, header: h{"X-Hmac-Signature": easyPost1[16:]}, want: ErrBad},
		{name: "EasyPost 2", rule: policy.Signature{Scheme: policy.SchemeEasyPost2}, secrets: []string{"sécret ﬁ"}, header: easy2, path: easyPath, now: signedAt.Add(4 * time.Minute), id: stamp + " " + bodySum},
		{name: "EasyPost 2 behind another path", rule: policy.Signature{Scheme: policy.SchemeEasyPost2, Path: easyPath}, secrets: []string{"sécret ﬁ"}, header: easy2, path: "/x", id: stamp + " " + bodySum},
		{name: "EasyPost 2 for another source", rule: policy.Signature{Scheme: policy.SchemeEasyPost2}, secrets: []string{"sécret ﬁ"}, header: easy2, path: "/v1/messages/other", want: ErrBad},
		{name: "EasyPost 2, another path stated", rule: policy.Signature{Scheme: policy.SchemeEasyPost2}, secrets: []string{"sécret ﬁ"}, header: with(easy2, "X-Path", "/v1/messages/other"), path: "/v1/messages/other", want: ErrBad},
		{name: "EasyPost 2, late", rule: policy.Signature{Scheme: policy.SchemeEasyPost2}, secrets: []string{"sécret ﬁ"}, header: easy2, path: easyPath, now: signedAt.Add(6 * time.Minute), want: ErrStale},
		{name: "EasyPost 2 with the first's signature", rule: policy.Signature{Scheme: policy.SchemeEasyPost2}, secrets: []string{"sécret ﬁ"}, header: with(easy2, "X-Hmac-Signature-V2", easyPost1), path: easyPath, want: ErrBad},
		{name: "Shippo", rule: policy.Signature{Scheme: policy.SchemeShippo}, secrets: []string{"shippo-secret"}, header: h{"Shippo-Auth-Signature": "t=1755635829,v1=" + shippo}, id: "1755635829 " + bodySum},
		{name: "Shippo, two signatures", rule: policy.Signature{Scheme: policy.SchemeShippo}, secrets: []string{"shippo-secret"}, header: h{"Shippo-Auth-Signature": "t=1755635829, v1=" + zero64 + ", v1=" + shippo}, id: "1755635829 " + bodySum},
		{name: "Shippo, another time", rule: policy.Signature{Scheme: policy.SchemeShippo}, secrets: []string{"shippo-secret"}, header: h{"Shippo-Auth-Signature": "t=1755635830,v1=" + shippo}, want: ErrBad},
		{name: "Shippo, late", rule: policy.Signature{Scheme: policy.SchemeShippo}, secrets: []string{"shippo-secret"}, header: h{"Shippo-Auth-Signature": "t=1755635829,v1=" + shippo}, now: signedAt.Add(5*time.Minute + time.Second), want: ErrStale},
		{name: "Shippo, early", rule: policy.Signature{Scheme: policy.SchemeShippo}, secrets: []string{"shippo-secret"}, header: h{"Shippo-Auth-Signature": "t=1755635829,v1=" + shippo}, now: signedAt.Add(-5*time.Minute - time.Second), want: ErrStale},
		{name: "Shippo, a longer tolerance", rule: policy.Signature{Scheme: policy.SchemeShippo, Tolerance: time.Hour}, secrets: []string{"shippo-secret"}, header: h{"Shippo-Auth-Signature": "t=1755635829,v1=" + shippo}, now: signedAt.Add(50 * time.Minute), id: "1755635829 " + bodySum},
		{name: "Shippo, two times", rule: policy.Signature{Scheme: policy.SchemeShippo}, secrets: []string{"shippo-secret"}, header: h{"Shippo-Auth-Signature": "t=1755635829,t=1,v1=" + shippo}, want: ErrBad},
		{name: "a header of its own", rule: policy.Signature{Scheme: policy.SchemeTimestamped, Header: "X-Signature"}, secrets: []string{"shippo-secret"}, header: h{"X-Signature": "t=1755635829,v1=" + shippo}, id: "1755635829 " + bodySum},
		{name: "Standard Webhooks", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{stdKey}, header: standardHeaders(stdB), body: stdBody, now: stdAt, id: "msg_p5jXN8AQM9LWM0D4loKWxJek"},
		{name: "Standard Webhooks, several", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{stdKey}, header: standardHeaders("v9,x " + zeroB + " " + stdB), body: stdBody, now: stdAt, id: "msg_p5jXN8AQM9LWM0D4loKWxJek"},
		{name: "Standard Webhooks, none that fits", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{stdKey}, header: standardHeaders("v9,x " + zeroB), body: stdBody, now: stdAt, want: ErrBad},
		{name: "Standard Webhooks, another version's name", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{stdKey}, header: standardHeaders("v2" + stdB[2:]), body: stdBody, now: stdAt, want: ErrBad},
		{name: "Standard Webhooks, another id", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{stdKey}, header: with(standardHeaders(stdB), "Webhook-Id", "msg_2"), body: stdBody, now: stdAt, want: ErrBad},
		{name: "Standard Webhooks, played again later", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{stdKey}, header: standardHeaders(stdB), body: stdBody, now: stdAt.Add(time.Hour), want: ErrStale},
		{name: "Ed25519", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{stdKey, edKey}, header: big("msg_1", "1755635829", edB), id: "msg_1"},
		{name: "Ed25519, another body", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{edKey}, header: big("msg_1", "1755635829", edB), body: stdBody, want: ErrBad},
		{name: "Ed25519 called v1", rule: policy.Signature{Scheme: policy.SchemeStandard}, secrets: []string{edKey}, header: big("msg_1", "1755635829", "v1"+edB[3:]), want: ErrBad},
		{name: "BigCommerce", rule: policy.Signature{Scheme: policy.SchemeBigCommerce}, secrets: []string{"bc-client-secret"}, header: big("msg_1", "1755635829", bigB), id: "msg_1"},
		{name: "a body that begins like a time", rule: policy.Signature{Scheme: policy.SchemeBigCommerce}, secrets: []string{"bc-client-secret"}, header: big("msg_1", "1755635829", splitB), body: `1755635829.{"a":1}`, id: "msg_1"},
		{name: "an id that moves the full stop", rule: policy.Signature{Scheme: policy.SchemeBigCommerce}, secrets: []string{"bc-client-secret"}, header: big("msg_1.1755635829", "1755635829", splitB), body: `{"a":1}`, want: ErrBad},
		{name: "a time with a sign", rule: policy.Signature{Scheme: policy.SchemeBigCommerce}, secrets: []string{"bc-client-secret"}, header: big("msg_1", "+1755635829", bigB), want: ErrBad},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := New(&tc.rule, tc.secrets, nil)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{}
			for k, x := range tc.header {
				header.Set(k, x)
			}
			r := &Request{Method: http.MethodPost, Path: tc.path, Header: header, Body: []byte(tc.body)}
			if tc.body == "" {
				r.Body = []byte(testBody)
			}
			now := tc.now
			if now.IsZero() {
				now = signedAt
			}
			claim, err := v.Verify(t.Context(), r, now)
			if !errors.Is(err, tc.want) || err != nil && tc.want == nil {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if claim.ID != tc.id && err == nil {
				t.Errorf("id %q, want %q", claim.ID, tc.id)
			}
			// A header that stands twice is not one that was signed.
			if err == nil {
				for k := range tc.header {
					header.Add(k, header.Get(k))
				}
				if _, err := v.Verify(t.Context(), r, now); !errors.Is(err, ErrBad) {
					t.Errorf("headers that stand twice: %v", err)
				}
			}
		})
	}
}

func TestSecretsAreChecked(t *testing.T) {
	for name, tc := range map[string]struct{ scheme, secret string }{
		"empty":          {policy.SchemeShopify, ""},
		"no base64":      {policy.SchemeStandard, "whsec_secret!"},
		"too short":      {policy.SchemeStandard, "whsec_c2VjcmV0"},
		"no public key":  {policy.SchemeStandard, "whpk_c2VjcmV0"},
		"unknown scheme": {"rot13", "secret"},
	} {
		_, err := New(&policy.Signature{Scheme: tc.scheme}, []string{tc.secret}, nil)
		if err == nil || tc.secret != "" && strings.Contains(err.Error(), strings.TrimPrefix(strings.TrimPrefix(tc.secret, "whsec_"), "whpk_")) && tc.secret != "secret" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every scheme that a policy may name has its verifier.
func TestEverySchemeIsKnown(t *testing.T) {
	for _, s := range policy.Schemes() {
		if _, err := New(&policy.Signature{Scheme: s, Header: "X-Signature", Topics: []string{snsTopic}}, []string{stdKey}, nil); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// FuzzHeaders: a header of any form is refused or fits, without panic, and what fits
// is the signature that was made.
func FuzzHeaders(f *testing.F) {
	f.Add("t=1755635829,v1="+shippo, "msg_1", "1755635829", bigB, stamp, []byte(testBody))
	f.Add("t=,v1=", "", "", "v1, v1a,", "Tue", []byte(nil))
	f.Add("v1="+strings.Repeat("a", 64), ".", "-1", strings.Repeat("v1,a ", 100), "\x00", snsBody())
	a := &amazon{pki: newPKI(f, "sns.amazonaws.com")}
	f.Fuzz(func(t *testing.T, sig, id, at, std, date string, body []byte) {
		header := http.Header{
			"Shippo-Auth-Signature": {sig}, "Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {std},
			"X-Timestamp": {date}, "X-Path": {sig}, "X-Hmac-Signature-V2": {std}, "X-Hmac-Signature": {sig}, "X-Shopify-Hmac-Sha256": {std},
		}
		for _, s := range policy.Schemes() {
			v, err := New(&policy.Signature{Scheme: s, Header: "Shippo-Auth-Signature", Topics: []string{snsTopic}}, []string{stdKey}, a.fetch)
			if err != nil {
				t.Fatal(err)
			}
			claim, err := v.Verify(t.Context(), &Request{Method: http.MethodPost, Path: sig, Header: header, Body: body}, signedAt)
			if err == nil && s != policy.SchemeSNS {
				t.Fatalf("%s takes what nobody signed: %+v", s, claim)
			}
		}
	})
}
