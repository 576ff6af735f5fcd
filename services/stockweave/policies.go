package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// operator is the source of what an operator's command writes.
const operator inventory.Source = "stockweave-policies"

func policiesApply(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("policies apply", stderr)
	path := fs.String("config", "", "configuration file")
	if err := parse(fs, args); err != nil {
		return err
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	cfg.Kafka.Log = newLog(stderr, cfg.level())
	set, err := policy.Load(cfg.PoliciesDir)
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	codecs, err := loadCodecs(ctx, cfg.Kafka)
	if err != nil {
		return err
	}
	n, err := applyPolicies(ctx, cfg.Kafka, codecs, set, time.Now)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "ledger policy version %d, %d settings\n", set.Ledger.Version, n)
	return nil
}

// applyPolicies publishes what atp decides by, in the order that lets a worker
// find what the log names: first the content to policies.v1, then the settings of
// single keys and one control record to each partition of inventory.events
// (DESIGN §6). Ids are functions of the version, so applying twice changes nothing,
// and a safety stock changed without a new version is a visible conflict.
func applyPolicies(ctx context.Context, kafka stream.Config, codecs *event.Codecs, set *policy.Set, now func() time.Time) (int, error) {
	if err := sameContent(ctx, kafka, codecs, set); err != nil {
		return 0, err
	}
	at := inventory.Instant(now().UnixMilli())
	producer, err := stream.NewProducer(kafka)
	if err != nil {
		return 0, fmt.Errorf("opening producer: %w", err)
	}
	defer producer.Close()
	content, err := codecs.AppendPolicy(nil, &event.PolicyContent{
		Name: policy.LedgerName, Version: set.Ledger.Version, Hash: set.LedgerHash, Content: set.LedgerContent, At: at,
	})
	if err != nil {
		return 0, fmt.Errorf("encoding the ledger policy: %w", err)
	}
	key := fmt.Appendf(nil, "%s@%d", policy.LedgerName, set.Ledger.Version)
	if err := producer.Produce(ctx, &stream.Record{Topic: event.TopicPolicies, Key: key, Value: content}); err != nil {
		return 0, fmt.Errorf("publishing the ledger policy: %w", err)
	}

	settings := make([]*stream.Record, 0, len(set.ATP.SafetyStock))
	for _, s := range set.ATP.SafetyStock {
		rec, err := settingRecord(codecs, s, set.Ledger.Version, at)
		if err != nil {
			return 0, err
		}
		settings = append(settings, rec)
	}
	if err := producer.Produce(ctx, settings...); err != nil {
		return 0, fmt.Errorf("publishing settings: %w", err)
	}

	admin, err := stream.NewAdmin(kafka)
	if err != nil {
		return 0, fmt.Errorf("connecting to kafka: %w", err)
	}
	defer admin.Close()
	topics, err := admin.Topics(ctx, event.TopicEvents)
	if err != nil {
		return 0, fmt.Errorf("counting the partitions of %s: %w", event.TopicEvents, err)
	}
	byNumber, err := stream.NewProducer(kafka, stream.WithOwnPartition())
	if err != nil {
		return 0, fmt.Errorf("opening producer: %w", err)
	}
	defer byNumber.Close()
	controls := make([]*stream.Record, topics[event.TopicEvents].Partitions)
	for p := range int32(len(controls)) {
		if controls[p], err = controlRecord(codecs, set, p, at); err != nil {
			return 0, err
		}
	}
	if err := byNumber.Produce(ctx, controls...); err != nil {
		return 0, fmt.Errorf("publishing control records: %w", err)
	}
	return len(settings), nil
}

// sameContent refuses another content for a version that is published already: a
// replay would decide otherwise than the original did (Invariant 8).
func sameContent(ctx context.Context, kafka stream.Config, codecs *event.Codecs, set *policy.Set) error {
	published := ""
	err := readTable(ctx, kafka, event.TopicPolicies, func(rec *stream.Record) error {
		var c event.PolicyContent
		if err := codecs.DecodePolicy(rec.Value, &c); err != nil {
			return fmt.Errorf("decoding policy %s: %w", rec.Key, err)
		}
		if c.Name == policy.LedgerName && c.Version == set.Ledger.Version {
			published = c.Hash
		}
		return nil
	})
	if err != nil {
		return err
	}
	if published != "" && published != set.LedgerHash {
		return fmt.Errorf("%w: ledger policy version %d is published with another content: a changed policy needs a new version",
			errMisuse, set.Ledger.Version)
	}
	return nil
}

func settingRecord(codecs *event.Codecs, s policy.SafetyStock, version int64, at inventory.Instant) (*stream.Record, error) {
	k := inventory.Key{Entity: s.Entity, Item: s.Item}
	doc := inventory.Document{Type: "safety_stock", Number: inventory.PositionKey(k, s.Location), Revision: strconv.FormatInt(version, 10)}
	e := inventory.Event{
		ID: event.EventID(operator, doc), Kind: inventory.KindSetting, Key: k, Source: operator, Document: doc,
		OccurredAt: at, OccurredBasis: "receipt", ReceivedAt: at,
		Setting: &inventory.Setting{Location: s.Location, SafetyStock: s.Quantity},
	}
	value, err := codecs.AppendEvent(nil, &e)
	if err != nil {
		return nil, fmt.Errorf("encoding the safety stock of %s: %w", k, err)
	}
	return &stream.Record{Topic: event.TopicEvents, Key: []byte(k.String()), Value: value}, nil
}

func controlRecord(codecs *event.Codecs, set *policy.Set, partition int32, at inventory.Instant) (*stream.Record, error) {
	doc := inventory.Document{
		Type: "policy", Number: policy.LedgerName, Revision: strconv.FormatInt(set.Ledger.Version, 10),
		Line: strconv.Itoa(int(partition)),
	}
	e := inventory.Event{
		ID: event.EventID(operator, doc), Kind: inventory.KindControl, Source: operator, Document: doc,
		OccurredAt: at, OccurredBasis: "receipt", ReceivedAt: at,
		Control: &inventory.Control{PolicyVersion: set.Ledger.Version, PolicyHash: set.LedgerHash},
	}
	value, err := codecs.AppendEvent(nil, &e)
	if err != nil {
		return nil, fmt.Errorf("encoding the control record of partition %d: %w", partition, err)
	}
	return &stream.Record{Topic: event.TopicEvents, Partition: partition, Key: []byte(event.ControlKey), Value: value}, nil
}
