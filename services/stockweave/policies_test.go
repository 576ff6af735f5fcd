package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// emptyLog is a Kafka without topics, and the address of an empty registry.
func emptyLog(t *testing.T) (kafka stream.Config, registry string) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	schemas := srfake.New()
	t.Cleanup(schemas.Close)
	return stream.Config{Brokers: cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}, schemas.URL()
}

// withTopics applies topics and schemas.
func withTopics(t *testing.T, kafka stream.Config, registry string) *event.Codecs {
	t.Helper()
	if _, err := applyTopics(t.Context(), kafka, &registryConfig{URL: registry}, topicsConfig{ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	codecs, err := loadCodecs(t.Context(), kafka)
	if err != nil {
		t.Fatal(err)
	}
	return codecs
}

// Topics, schemas and policies may be applied again at any time: what is published stays as
// it is, with its time; a version of the ledger policy never gets another content.
func TestApplyTwice(t *testing.T) {
	kafka, registry := emptyLog(t)
	set, err := policy.Load(shippedPolicies)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		codecs := withTopics(t, kafka, registry)
		if _, err := applyPolicies(t.Context(), kafka, codecs, set, time.Now); err != nil {
			t.Fatal(err)
		}
	}
	reads, err := stream.NewRestoreReads(kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	written := map[string]int{}
	if _, err := reads.Fold(t.Context(), event.TopicPolicies, 0, func(rec *stream.Record) error {
		written[string(rec.Key)]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for key, n := range written {
		if n != 1 {
			t.Errorf("%s is written %d times", key, n)
		}
	}
	if len(written) < 3 {
		t.Errorf("written: %v", written)
	}
	codecs, err := loadCodecs(t.Context(), kafka)
	if err != nil {
		t.Fatal(err)
	}
	set.Ledger.Origins = append(set.Ledger.Origins, "another")
	if set.LedgerContent, set.LedgerHash, err = policy.EncodeLedger(set.Ledger); err != nil {
		t.Fatal(err)
	}
	_, err = applyPolicies(t.Context(), kafka, codecs, set, time.Now)
	if !errors.Is(err, errMisuse) || !strings.Contains(err.Error(), "new version") {
		t.Fatalf("another content for the same version: got %v", err)
	}
	if set, err = policy.Load(shippedPolicies); err != nil {
		t.Fatal(err)
	}
	set.ATP.SafetyStock[0].Quantity++
	if _, err = applyPolicies(t.Context(), kafka, codecs, set, time.Now); !errors.Is(err, errMisuse) || !strings.Contains(err.Error(), "settings") {
		t.Fatalf("another safety stock for the same version: got %v", err)
	}
	set.Ledger.Version++
	if set.LedgerContent, set.LedgerHash, err = policy.EncodeLedger(set.Ledger); err != nil {
		t.Fatal(err)
	}
	if _, err := applyPolicies(t.Context(), kafka, codecs, set, time.Now); err != nil {
		t.Fatal(err)
	}
}

// Topics that are not what they should be are never changed in place.
func TestApplyRefusesOtherPartitions(t *testing.T) {
	kafka, registry := emptyLog(t)
	withTopics(t, kafka, registry)
	_, err := applyTopics(t.Context(), kafka, &registryConfig{URL: registry}, topicsConfig{ReplicationFactor: 1, Partitions: 12})
	if err == nil || !strings.Contains(err.Error(), "6 partitions instead of 12") {
		t.Fatalf("got %v", err)
	}
}

// One mapping_version never means two mappings: a source that reads messages otherwise
// than the one published is refused, nothing of the set is published, and with another
// version it goes out. An item more in its cross-reference needs none.
func TestOneMappingVersionIsOneMapping(t *testing.T) {
	kafka, registry := emptyLog(t)
	codecs := withTopics(t, kafka, registry)
	dir := copied(t)
	file := filepath.Join(dir, "sources", "wms-count.yaml")
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, old, now string
		refused        bool
		version        int64
	}{
		{"first", "", "", false, 1},
		{"again", "", "", false, 1},
		{"another mapping", "quantity: $r.quantity", "quantity: $r.qty", true, 1},
		{"another balance", "covers: [on_hand]", "covers: [on_hand, damaged]", true, 1},
		{"an item", "default_location: DC1", "default_location: DC1\nitems: [{type: vendor, value: \"1\", item: SKU-1}]", false, 2},
		{"the item means another", "default_location: DC1", "default_location: DC1\nitems: [{type: vendor, value: \"1\", item: SKU-2}]", true, 2},
		{"another mapping, another version", "quantity: $r.quantity", "quantity: $r.qty", true, 2},
	} {
		text := strings.Replace(string(first), tc.old, tc.now, 1)
		if strings.HasSuffix(tc.name, "another version") {
			text, tc.refused, tc.version = strings.Replace(text, `mapping_version: "1"`, `mapping_version: "2"`, 1), false, 3
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := policy.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = applyPolicies(t.Context(), kafka, codecs, set, time.Now)
		if tc.refused != errors.Is(err, errMisuse) || !tc.refused && err != nil || tc.refused && !strings.Contains(err.Error(), "mapping_version") {
			t.Errorf("%s: %v", tc.name, err)
		}
		known, err := readSources(t.Context(), kafka, codecs)
		if err != nil {
			t.Fatal(err)
		}
		if v := known.newest["wms-count"].Version; v != tc.version {
			t.Errorf("%s: version %d, want %d", tc.name, v, tc.version)
		}
	}
}
