// Package signature checks what vendors sign their webhooks with. A request is
// verified as it came over the wire, before anything of it is parsed; only Amazon SNS
// signs from inside its own message, which is then read by a bounded reader.
package signature

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
)

// Why a request is refused. None says which secret was tried or how near it came.
var (
	// ErrBad: the signature is missing, malformed, or does not fit.
	ErrBad = errors.New("the signature is missing or does not fit the body")
	// ErrStale: it fits, and the time in it is outside the tolerance.
	ErrStale = errors.New("the signature fits and its time is outside the tolerance")
	// ErrUnavailable: what is needed to check it cannot be had now; it may be later.
	ErrUnavailable = errors.New("the signature cannot be checked now")
)

// maxHeader bounds a signature header, bytes: several signatures of several schemes
// fit, and there is an end.
const maxHeader = 4096

// Request is what was signed.
type Request struct {
	Method, Path string // as called
	Header       http.Header
	Body         []byte // as it came over the wire
}

// Claim is what a verified signature says beside that the body is the sender's.
type Claim struct {
	// ID is the sender's own id of the message, or the time and the digest of the body,
	// whichever the signature covers: whoever plays a message again cannot change it.
	// The sender itself repeats it when it was not told that the message arrived. It is
	// empty where only the body is signed.
	ID string
	// Confirm is set where the message asks whether its sender may send at all; it
	// holds no facts.
	Confirm func(context.Context) error
}

// Verifier checks requests of one source. It is safe for concurrent use.
type Verifier interface {
	// Verify returns ErrBad, ErrStale or ErrUnavailable where a request is not to be
	// believed. now is the door's time.
	Verify(ctx context.Context, r *Request, now time.Time) (Claim, error)
}

// Fetch gets a resource, without following redirects. Only addresses that a verifier has
// checked are asked for: by HTTPS, but for certificates of authorities, which prove
// themselves.
type Fetch func(ctx context.Context, url string, limit int64) ([]byte, error)

// New is the verifier of a scheme. secrets are the values of its SecretEnvs; an error
// names what is wrong with one, and never the secret.
func New(rule *policy.Signature, secrets []string, fetch Fetch) (Verifier, error) {
	if rule.Scheme == policy.SchemeSNS {
		return newSNS(rule, fetch), nil
	}
	for i, s := range secrets {
		if s == "" {
			return nil, fmt.Errorf("secret %d is empty", i+1)
		}
	}
	switch rule.Scheme {
	case policy.SchemeShopify:
		return &bodyMAC{headers: []string{"X-Shopify-Hmac-Sha256"}, keys: keys(secrets, plain)}, nil
	case policy.SchemeWooCommerce:
		return &bodyMAC{headers: []string{"X-Wc-Webhook-Signature"}, keys: keys(secrets, plain)}, nil
	case policy.SchemeAfterShip:
		// The tracking API's header, and the one of its newer versions and products.
		return &bodyMAC{headers: []string{"Aftership-Hmac-Sha256", "As-Signature-Hmac-Sha256"}, keys: keys(secrets, plain)}, nil
	case policy.SchemeSquare:
		// Square, Verify and validate an event notification: the URL and the body, one
		// behind the other. The older X-Square-Signature is over SHA-1, and not taken.
		return &bodyMAC{headers: []string{"X-Square-Hmacsha256-Signature"}, before: []byte(rule.URL), keys: keys(secrets, plain)}, nil
	case policy.SchemeEasyPost:
		return &bodyMAC{headers: []string{"X-Hmac-Signature"}, prefix: "hmac-sha256-hex=", hex: true, keys: keys(secrets, compatible)}, nil
	case policy.SchemeEasyPost2:
		return &easyPost2{keys: keys(secrets, compatible), path: rule.Path, within: rule.Within()}, nil
	case policy.SchemeShippo:
		return &timestamped{header: "Shippo-Auth-Signature", keys: keys(secrets, plain), within: rule.Within()}, nil
	case policy.SchemeTimestamped:
		return &timestamped{header: rule.Header, keys: keys(secrets, plain), within: rule.Within()}, nil
	case policy.SchemeStandard:
		return newStandard(secrets, rule.Within())
	case policy.SchemeBigCommerce:
		// It signs by Standard Webhooks, with the client secret of the account that made
		// the hook as the key: that, in base64, is what it tells its libraries.
		return &standard{shared: keys(secrets, plain), within: rule.Within()}, nil
	}
	return nil, fmt.Errorf("scheme %q is not known", rule.Scheme)
}

// one is the value of a header that must be there once.
func one(h http.Header, name string) (string, bool) {
	vs := h.Values(name)
	if len(vs) != 1 || vs[0] == "" || len(vs[0]) > maxHeader {
		return "", false
	}
	return vs[0], true
}

// seconds reads a Unix time as vendors write it: digits, no sign, nothing around.
func seconds(s string) (time.Time, bool) {
	if len(s) == 0 || len(s) > 12 {
		return time.Time{}, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return time.Time{}, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(n, 0), err == nil
}

// fresh is nil when a time is near enough to now.
func fresh(at, now time.Time, within time.Duration) error {
	if d := now.Sub(at); d > within || d < -within {
		return ErrStale
	}
	return nil
}
