package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/policy"
)

// What the command prints is a file that the loader takes, and lets the key in until
// it ends; the key stands in the first line and nowhere else.
func TestNewKey(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	if err := newKey(&out, bytes.NewReader(bytes.Repeat([]byte{7}, 32)), now, keyRequest{source: "wms", scopes: "", expires: "24h"}); err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(out.String(), "\n")
	key := strings.TrimPrefix(first, "key: ")
	if !access.WellFormed(key) || strings.Contains(rest, key) {
		t.Fatalf("%s", out.String())
	}
	_, file, _ := strings.Cut(rest, "policies/access/wms.yaml:\n\n")
	file, _, _ = strings.Cut(file, "\nand in the file")
	set, err := policy.LoadFS(fstest.MapFS{
		"access/wms.yaml":  {Data: []byte(file)},
		"sources/wms.yaml": {Data: []byte("name: wms\nentity: acme\nformat: csv\nauth: {access: true}\nmapping_version: \"1\"\nmapping: \"[]\"\n")},
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	for after, want := range map[time.Duration]bool{0: true, 24*time.Hour - 1: true, 24 * time.Hour: false} {
		g, err := set.Access.Guard(nil, nil, func() time.Time { return now.Add(after) })
		if err != nil {
			t.Fatal(err)
		}
		id, err := g.Identify(t.Context(), access.Of(http.Header{"X-Api-Key": {key}}))
		if (err == nil) != want || want && !id.May(access.Need{Permission: access.MessagesWrite, Source: "wms"}) {
			t.Errorf("after %v: %v", after, err)
		}
	}
	sum := access.HashKey(key)
	if !strings.Contains(file, hex.EncodeToString(sum[:])) {
		t.Error("its hash is not there")
	}
}

func TestNewKeyRefuses(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	for _, r := range []keyRequest{
		{},
		{name: "a"},
		{source: "a", scopes: "admin:all"},
		{source: "a", expires: "tomorrow"},
		{source: "a", expires: "-1h"},
		{source: "a", expires: "2020-01-01T00:00:00Z"},
		{source: "a", from: "2h", expires: "1h"},
	} {
		var out bytes.Buffer
		if err := newKey(&out, bytes.NewReader(make([]byte, 32)), now, r); !errors.Is(err, errMisuse) || out.Len() > 0 {
			t.Errorf("%+v: %v, %s", r, err, out.String())
		}
	}
}
