package signature

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/mail"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// keys are secrets as a scheme reads them.
func keys(secrets []string, read func(string) []byte) [][]byte {
	out := make([][]byte, 0, len(secrets))
	for _, s := range secrets {
		out = append(out, read(s))
	}
	return out
}

func plain(s string) []byte { return []byte(s) }

// compatible is a secret in NFKD, as EasyPost's libraries read it.
func compatible(s string) []byte { return norm.NFKD.Bytes([]byte(s)) }

// signs says whether a key makes one of the stated digests out of the parts. All keys
// are tried against all digests, whichever fits.
func signs(keys [][]byte, stated [][]byte, parts ...[]byte) bool {
	ok := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		for _, p := range parts {
			mac.Write(p)
		}
		sum := mac.Sum(nil)
		for _, s := range stated {
			ok = hmac.Equal(s, sum) || ok
		}
	}
	return ok
}

// bodyMAC is an HMAC-SHA256 over the body in one header: Shopify, WooCommerce and
// AfterShip in base64, Square in base64 with its own URL before the body, EasyPost in hex
// behind its prefix.
type bodyMAC struct {
	headers []string // the first of them that is there
	prefix  string
	hex     bool
	before  []byte // signed before the body
	keys    [][]byte
}

func (v *bodyMAC) Verify(_ context.Context, r *Request, _ time.Time) (Claim, error) {
	for _, name := range v.headers {
		if len(r.Header.Values(name)) == 0 {
			continue
		}
		text, ok := one(r.Header, name)
		if !ok {
			break
		}
		stated, ok := digest(text, v.prefix, v.hex)
		if !ok || !signs(v.keys, [][]byte{stated}, v.before, r.Body) {
			break
		}
		return Claim{}, nil
	}
	return Claim{}, ErrBad
}

// digest reads a SHA-256 behind a prefix.
func digest(text, prefix string, isHex bool) ([]byte, bool) {
	text, ok := strings.CutPrefix(strings.TrimSpace(text), prefix)
	if !ok {
		return nil, false
	}
	var b []byte
	var err error
	if isHex {
		b, err = hex.DecodeString(text)
	} else {
		b, err = base64.StdEncoding.DecodeString(text)
	}
	return b, err == nil && len(b) == sha256.Size
}

// timestamped is "t=<seconds>,v1=<hex>" over "<seconds>.<body>": Shippo's
// Shippo-Auth-Signature, and others in a header of their own. Several v1 stand there
// while the sender changes its secret.
type timestamped struct {
	header string
	keys   [][]byte
	within time.Duration
}

func (v *timestamped) Verify(_ context.Context, r *Request, now time.Time) (Claim, error) {
	text, ok := one(r.Header, v.header)
	if !ok {
		return Claim{}, ErrBad
	}
	stamp, stated, ok := parseTimestamped(text)
	if !ok {
		return Claim{}, ErrBad
	}
	at, ok := seconds(stamp)
	if !ok || !signs(v.keys, stated, []byte(stamp), []byte{'.'}, r.Body) {
		return Claim{}, ErrBad
	}
	return Claim{ID: atTime(stamp, r.Body)}, fresh(at, now, v.within)
}

// maxStated bounds the signatures of one header.
const maxStated = 8

// parseTimestamped reads the header; schemes other than v1 are skipped, and a second
// time is none.
func parseTimestamped(text string) (stamp string, stated [][]byte, ok bool) {
	for field := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case !found:
			return "", nil, false
		case name == "t" && stamp == "":
			stamp = value
		case name == "t":
			return "", nil, false
		case name == "v1":
			b, isDigest := digest(value, "", true)
			if !isDigest || len(stated) == maxStated {
				return "", nil, false
			}
			stated = append(stated, b)
		}
	}
	return stamp, stated, stamp != "" && len(stated) > 0
}

// easyPost2 is EasyPost's second scheme: X-Hmac-Signature-V2 is "hmac-sha256-hex="
// and the HMAC over X-Timestamp (RFC 2822), the method, X-Path and the body, one
// behind the other.
type easyPost2 struct {
	keys   [][]byte
	path   string // what X-Path must be; the path called when empty
	within time.Duration
}

func (v *easyPost2) Verify(_ context.Context, r *Request, now time.Time) (Claim, error) {
	text, ok1 := one(r.Header, "X-Hmac-Signature-V2")
	stamp, ok2 := one(r.Header, "X-Timestamp")
	path, ok3 := one(r.Header, "X-Path")
	if !ok1 || !ok2 || !ok3 {
		return Claim{}, ErrBad
	}
	stated, ok := digest(text, "hmac-sha256-hex=", true)
	if !ok || !signs(v.keys, [][]byte{stated}, []byte(stamp), []byte(r.Method), []byte(path), r.Body) {
		return Claim{}, ErrBad
	}
	// Signed for another address under the same secret it is no message of this source.
	want := v.path
	if want == "" {
		want = r.Path
	}
	at, err := mail.ParseDate(stamp)
	if err != nil || path != want {
		return Claim{}, ErrBad
	}
	return Claim{ID: atTime(stamp, r.Body)}, fresh(at, now, v.within)
}

// atTime is the id of a message whose sender signs a time and no id: the same bytes
// signed at the same time are the same message.
func atTime(stamp string, body []byte) string {
	sum := sha256.Sum256(body)
	return stamp + " " + hex.EncodeToString(sum[:])
}
