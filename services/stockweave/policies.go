package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	codecs, _, err := connected(ctx, cfg)
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
// (DESIGN §6). Ids are functions of the version, so applying twice changes nothing.
func applyPolicies(ctx context.Context, kafka stream.Config, codecs *event.Codecs, set *policy.Set, now func() time.Time) (int, error) {
	at := inventory.Instant(now().UnixMilli())
	contents, err := published(set, at)
	if err != nil {
		return 0, err
	}
	if contents, err = newContent(ctx, kafka, codecs, contents); err != nil {
		return 0, err
	}
	sources, err := changedSources(ctx, kafka, codecs, set, at)
	if err != nil {
		return 0, err
	}
	permits, err := changedAccess(ctx, kafka, codecs, set, at)
	if err != nil {
		return 0, err
	}
	contents = append(append(contents, sources...), permits...)
	producer, err := stream.NewProducer(kafka)
	if err != nil {
		return 0, fmt.Errorf("opening producer: %w", err)
	}
	defer producer.Close()
	for i := range contents {
		c := &contents[i]
		value, err := codecs.AppendPolicy(nil, c)
		if err != nil {
			return 0, fmt.Errorf("encoding policy %s: %w", c.Name, err)
		}
		key := fmt.Appendf(nil, "%s@%d", c.Name, c.Version)
		if err := producer.Produce(ctx, &stream.Record{Topic: event.TopicPolicies, Key: key, Value: value}); err != nil {
			return 0, fmt.Errorf("publishing policy %s: %w", c.Name, err)
		}
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
	events := kafka.Physical(event.TopicEvents)
	topics, err := admin.Topics(ctx, events)
	if err != nil {
		return 0, fmt.Errorf("counting the partitions of %s: %w", event.TopicEvents, err)
	}
	byNumber, err := stream.NewProducer(kafka, stream.WithOwnPartition())
	if err != nil {
		return 0, fmt.Errorf("opening producer: %w", err)
	}
	defer byNumber.Close()
	controls := make([]*stream.Record, topics[events].Partitions)
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

// published is what a version stands for: the ledger policy, which workers read, the
// policy of promises, which readers and publishers read, and the settings of keys, which they take from the log and which stand there only so
// that one version never means two things.
func published(set *policy.Set, at inventory.Instant) ([]event.PolicyContent, error) {
	settings, err := json.Marshal(set.ATP.SafetyStock)
	if err != nil {
		return nil, fmt.Errorf("encoding settings: %w", err)
	}
	sum := sha256.Sum256(settings)
	v := set.Ledger.Version
	return []event.PolicyContent{
		{Name: policy.LedgerName, Version: v, Hash: set.LedgerHash, Content: set.LedgerContent, At: at},
		{Name: policy.ATPName, Version: v, Hash: set.ATPHash, Content: set.ATPContent, At: at},
		{Name: settingsName, Version: v, Hash: hex.EncodeToString(sum[:]), Content: settings, At: at},
	}, nil
}

// settingsName is that of the settings in policies.v1.
const settingsName = "settings"

// newContent is what is not published yet: the time of a record is from when on its version
// holds. Another content for a version that is published already is refused: a replay
// would decide otherwise than the original did (Invariant 8).
func newContent(ctx context.Context, kafka stream.Config, codecs *event.Codecs, contents []event.PolicyContent) ([]event.PolicyContent, error) {
	known := map[string]string{}
	err := readTable(ctx, kafka, event.TopicPolicies, func(rec *stream.Record) error {
		var c event.PolicyContent
		if err := codecs.DecodePolicy(rec.Value, &c); err != nil {
			return fmt.Errorf("decoding policy %s: %w", rec.Key, err)
		}
		if c.Version == contents[0].Version {
			known[c.Name] = c.Hash
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var fresh []event.PolicyContent
	for _, c := range contents {
		hash, ok := known[c.Name]
		if ok && hash != c.Hash {
			return nil, fmt.Errorf("%w: version %d of policy %s is published with another content: a changed one needs a new version of the ledger policy",
				errMisuse, c.Version, c.Name)
		}
		if !ok {
			fresh = append(fresh, c)
		}
	}
	return fresh, nil
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
	return &stream.Record{
		Topic: event.TopicEvents, Key: []byte(k.String()), Value: value, Headers: event.HeadersOf[stream.RecordHeader](&e, operatorURN),
	}, nil
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
	return &stream.Record{
		Topic: event.TopicEvents, Partition: partition, Key: []byte(event.ControlKey), Value: value,
		Headers: event.HeadersOf[stream.RecordHeader](&e, operatorURN),
	}, nil
}
