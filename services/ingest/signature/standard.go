package signature

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// standard is Standard Webhooks 1.0.0: webhook-signature has signatures with a blank
// between them, each "v1,<base64 of an HMAC-SHA256>" or "v1a,<base64 of an Ed25519
// signature>", over "<webhook-id>.<webhook-timestamp>.<body>".
type standard struct {
	shared [][]byte
	public []ed25519.PublicKey
	within time.Duration
}

// newStandard reads secrets in the forms of the specification: whsec_ and base64, the
// same without its prefix, or whpk_ and base64 of an Ed25519 public key.
func newStandard(secrets []string, within time.Duration) (*standard, error) {
	v := &standard{within: within}
	for i, s := range secrets {
		text, public := strings.CutPrefix(s, "whpk_")
		if !public {
			text = strings.TrimPrefix(s, "whsec_")
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("secret %d is not whsec_ or whpk_ and base64", i+1)
		}
		switch {
		case public && len(key) != ed25519.PublicKeySize:
			return nil, fmt.Errorf("secret %d is no Ed25519 public key of %d bytes", i+1, ed25519.PublicKeySize)
		case public:
			v.public = append(v.public, key)
		case len(key) < 16:
			return nil, fmt.Errorf("secret %d has %d bytes, too few for a key", i+1, len(key))
		default:
			v.shared = append(v.shared, key)
		}
	}
	return v, nil
}

func (v *standard) Verify(_ context.Context, r *Request, now time.Time) (Claim, error) {
	id, ok1 := one(r.Header, "Webhook-Id")
	stamp, ok2 := one(r.Header, "Webhook-Timestamp")
	text, ok3 := one(r.Header, "Webhook-Signature")
	// An id with a full stop would let a message be read as one of another id.
	if !ok1 || !ok2 || !ok3 || len(id) > 255 || strings.Contains(id, ".") {
		return Claim{}, ErrBad
	}
	macs, signatures, ok := parseStandard(text)
	at, isTime := seconds(stamp)
	if !ok || !isTime {
		return Claim{}, ErrBad
	}
	head := []byte(id + "." + stamp + ".")
	fits := signs(v.shared, macs, head, r.Body)
	if !fits && len(v.public) > 0 && len(signatures) > 0 {
		signed := append(slices.Clip(head), r.Body...)
		for _, key := range v.public {
			for _, s := range signatures {
				fits = ed25519.Verify(key, signed, s) || fits
			}
		}
	}
	if !fits {
		return Claim{}, ErrBad
	}
	return Claim{ID: id}, fresh(at, now, v.within)
}

// parseStandard reads the header; signatures of versions to come are skipped.
func parseStandard(text string) (macs, signatures [][]byte, ok bool) {
	for field := range strings.FieldsSeq(text) {
		version, value, found := strings.Cut(field, ",")
		if !found {
			return nil, nil, false
		}
		if version != "v1" && version != "v1a" {
			continue
		}
		if len(macs)+len(signatures) == maxStated {
			return nil, nil, false
		}
		if version == "v1" {
			b, isDigest := digest(value, "", false)
			if !isDigest {
				return nil, nil, false
			}
			macs = append(macs, b)
			continue
		}
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil || len(b) != ed25519.SignatureSize {
			return nil, nil, false
		}
		signatures = append(signatures, b)
	}
	return macs, signatures, len(macs)+len(signatures) > 0
}
