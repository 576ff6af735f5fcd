package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/signature"
)

// door is a source with its secrets, ready to check requests.
type door struct {
	src    *policy.Source
	asks   bool                // for a key or a token
	keys   [][sha256.Size]byte // hashes of its own keys
	secret []byte              // of the HMAC; nil: no signature is asked for
	types  []string            // content types it takes
	signed *signing            // by a scheme of a name; nil: by none
}

// doors reads every source's secrets; the error names all that are missing.
func doors(set *policy.Set, getenv func(string) string, fetch signature.Fetch) (map[inventory.Source]*door, error) {
	out := map[inventory.Source]*door{}
	var errs []error
	var err error
	for _, name := range slices.Sorted(maps.Keys(set.Sources)) {
		src := set.Sources[name]
		if !src.Knocks() {
			continue // ingest fetches from it
		}
		d := &door{src: src, types: contentTypes(src)}
		for _, k := range src.Auth.APIKeys {
			sum, err := hex.DecodeString(k)
			if err != nil || len(sum) != sha256.Size {
				errs = append(errs, fmt.Errorf("source %s: auth.api_keys: not a SHA-256", name))
				continue
			}
			d.keys = append(d.keys, [sha256.Size]byte(sum))
		}
		secret := func(env string) string {
			v := getenv(env)
			if v == "" {
				errs = append(errs, fmt.Errorf("source %s: environment variable %s is not set", name, env))
			}
			return v
		}
		if env := src.Auth.APIKeyEnv; env != "" {
			d.keys = append(d.keys, sha256.Sum256([]byte(secret(env))))
		}
		if h := src.Auth.HMAC; h != nil {
			d.secret = []byte(secret(h.SecretEnv))
		}
		if d.signed, err = newSigning(src, secret, fetch); err != nil {
			errs = append(errs, err)
		}
		d.asks = len(d.keys) > 0 || src.Auth.Access
		if !d.asks && d.secret == nil && d.signed == nil {
			errs = append(errs, fmt.Errorf("source %s: neither key nor signature: anybody could send", name))
		}
		out[name] = d
	}
	return out, errors.Join(errs...)
}

// signatureOK checks the signature over the raw body, where the source has one,
// before anybody parses a byte of it.
func (d *door) signatureOK(h http.Header, body []byte) bool {
	if d.secret == nil {
		return true
	}
	rule := d.src.Auth.HMAC
	stated, ok := strings.CutPrefix(strings.TrimSpace(h.Get(rule.Header)), rule.Prefix)
	if !ok {
		return false
	}
	var got []byte
	var err error
	if rule.Encoding == "hex" {
		got, err = hex.DecodeString(stated)
	} else {
		got, err = base64.StdEncoding.DecodeString(stated)
	}
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, d.secret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// contentTypes are those a source may send; what states none is taken.
func contentTypes(src *policy.Source) []string {
	if len(src.ContentTypes) > 0 {
		return src.ContentTypes
	}
	switch src.Format {
	case policy.FormatJSON:
		return []string{"application/json"}
	case policy.FormatNDJSON:
		return []string{"application/x-ndjson", "application/ndjson", "application/jsonl", "text/plain", "application/octet-stream"}
	case policy.FormatXML:
		return []string{"application/xml", "text/xml", "application/soap+xml"}
	case policy.FormatIDoc:
		return []string{"application/xml", "text/xml", "application/soap+xml", "text/plain", "application/octet-stream"}
	case policy.FormatEPCIS:
		return []string{"application/ld+json", "application/json", "application/xml", "text/xml", "application/soap+xml"}
	case policy.FormatFixed:
		return []string{"text/plain", "application/octet-stream"}
	case policy.FormatCSV:
		return []string{"text/csv", "text/plain", "application/octet-stream"}
	case policy.FormatX12:
		return []string{"application/edi-x12", "text/plain", "application/octet-stream"}
	case policy.FormatEDIFACT:
		return []string{"application/edifact", "text/plain", "application/octet-stream"}
	}
	return nil
}

// charsetOK says whether a source may send text in a character set: UTF-8 and what
// is part of it, the encoding its policy names, and of XML what its parser reads,
// for the document itself says which.
func charsetOK(src *policy.Source, charset string) bool {
	charset = strings.ToLower(charset)
	if charset == policy.UTF8 || charset == policy.ASCII || charset == src.Encoding {
		return true
	}
	switch src.Format {
	case policy.FormatXML, policy.FormatIDoc, policy.FormatEPCIS:
		return slices.Contains(policy.Encodings(), charset)
	}
	return false
}
