package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Access is published in versions of its own: once there is some, when it changes, and
// when the last principal goes.
func TestAccessIsPublished(t *testing.T) {
	kafka, registry := emptyLog(t)
	codecs := withTopics(t, kafka, registry)
	dir := copied(t)
	file := filepath.Join(dir, "access", "shop.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	const shop = "name: shop\nscopes: [\"atp:read\"]\nkeys: [{id: sw_1, sha256: 1111111111111111111111111111111111111111111111111111111111111111}]\n"
	for _, tc := range []struct {
		name, text string // empty: no file
		version    int64
		principals int
	}{
		{"none yet", "", 0, 0},
		{"one", shop, 1, 1},
		{"the same", shop, 1, 1},
		{"another key", strings.ReplaceAll(shop, "11", "22"), 2, 1},
		{"none any more", "", 3, 0},
	} {
		_ = os.Remove(file)
		if tc.text != "" {
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		set, err := policy.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := applyPolicies(t.Context(), kafka, codecs, set, time.Now); err != nil {
			t.Fatal(err)
		}
		var newest event.PolicyContent
		err = readTable(t.Context(), kafka, event.TopicPolicies, func(rec *stream.Record) error {
			var c event.PolicyContent
			if err := codecs.DecodePolicy(rec.Value, &c); err != nil {
				return err
			}
			if c.Name == policy.AccessName {
				newest = c
				newest.Content = append([]byte(nil), c.Content...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if newest.Version != tc.version {
			t.Errorf("%s: version %d, want %d", tc.name, newest.Version, tc.version)
		}
		if newest.Version == 0 {
			continue
		}
		a, err := policy.DecodeAccess(newest.Content)
		if err != nil || len(a.Principals) != tc.principals {
			t.Errorf("%s: %+v, %v", tc.name, a, err)
		}
	}
}
