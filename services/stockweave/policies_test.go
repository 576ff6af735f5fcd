package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Topics, schemas and policies may be applied again at any time; a version of the
// ledger policy never gets another content.
func TestApplyTwice(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	kafka := stream.Config{Brokers: cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}
	set, err := policy.Load(shippedPolicies)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := applyTopics(t.Context(), kafka, registry.URL(), topicsConfig{ReplicationFactor: 1}); err != nil {
			t.Fatal(err)
		}
		codecs, err := loadCodecs(t.Context(), kafka)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := applyPolicies(t.Context(), kafka, codecs, set, time.Now); err != nil {
			t.Fatal(err)
		}
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
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	kafka := stream.Config{Brokers: cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}
	if _, err := applyTopics(t.Context(), kafka, registry.URL(), topicsConfig{ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	_, err = applyTopics(t.Context(), kafka, registry.URL(), topicsConfig{ReplicationFactor: 1, Partitions: 12})
	if err == nil || !strings.Contains(err.Error(), "6 partitions instead of 12") {
		t.Fatalf("got %v", err)
	}
}
