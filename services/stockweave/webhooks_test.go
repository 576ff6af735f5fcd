package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/outbound"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/signature"
)

// What Stockweave signs, its own door for Standard Webhooks takes, by the new secret and by
// the old one, and nothing that was touched.
func TestWebhooksAreTakenByTheDoor(t *testing.T) {
	now := time.Unix(1796039573, 0)
	old, err := outbound.NewSecret(strings.NewReader(strings.Repeat("o", 32)))
	if err != nil {
		t.Fatal(err)
	}
	present, err := outbound.NewSecret(strings.NewReader(strings.Repeat("n", 32)))
	if err != nil {
		t.Fatal(err)
	}
	var keys [][]byte
	for _, s := range []string{present, old} {
		key, err := outbound.ParseSecret(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	body := []byte(`{"type":"atp.changed","timestamp":"2026-11-30T12:00:00.000Z","data":{}}`)
	h := outbound.Signed(keys, "0123456789abcdef0123456789abcdef", now, body)
	for _, secret := range []string{present, old} {
		v, err := signature.New(&policy.Signature{Scheme: policy.SchemeStandard}, []string{secret}, nil)
		if err != nil {
			t.Fatal(err)
		}
		claim, err := v.Verify(t.Context(), &signature.Request{Method: http.MethodPost, Header: h, Body: body}, now.Add(time.Minute))
		if err != nil || claim.ID != "0123456789abcdef0123456789abcdef" {
			t.Errorf("%+v %v", claim, err)
		}
		touched := append([]byte(" "), body...)
		if _, err := v.Verify(t.Context(), &signature.Request{Method: http.MethodPost, Header: h, Body: touched}, now); err == nil {
			t.Error("another body is taken")
		}
		if _, err := v.Verify(t.Context(), &signature.Request{Method: http.MethodPost, Header: h, Body: body}, now.Add(time.Hour)); err == nil {
			t.Error("an old message is taken")
		}
	}
}
