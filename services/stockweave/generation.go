package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// topicsName is that of generations in policies.v1.
const topicsName = "topics"

// A generation says which topics are meant by the names that services use. It is one
// record of policies.v1, so that all of its topics are switched at once; the newest
// holds, and to go back is to publish an older content anew. Services resolve it when
// they start and end when a newer one appears.
type generation struct {
	Number  int64
	Aliases stream.Aliases
}

// generations reads all of them, the newest last. The first is that of the names as
// they are.
func generations(ctx context.Context, kafka stream.Config, codecs *event.Codecs) ([]generation, error) {
	all := map[int64]generation{0: {}}
	err := readTable(ctx, kafka, event.TopicPolicies, func(rec *stream.Record) error {
		g, ok, err := decodeGeneration(codecs, rec)
		if ok {
			all[g.Number] = g
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	sorted := make([]generation, 0, len(all))
	for _, n := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, all[n])
	}
	return sorted, nil
}

func decodeGeneration(codecs *event.Codecs, rec *stream.Record) (generation, bool, error) {
	var c event.PolicyContent
	if err := codecs.DecodePolicy(rec.Value, &c); err != nil {
		return generation{}, false, fmt.Errorf("decoding policy %s: %w", rec.Key, err)
	}
	if c.Name != topicsName {
		return generation{}, false, nil
	}
	g := generation{Number: c.Version}
	if err := json.Unmarshal(c.Content, &g.Aliases); err != nil {
		return g, false, fmt.Errorf("decoding generation %d of topics: %w", c.Version, err)
	}
	return g, true, nil
}

// current is the newest generation.
func current(ctx context.Context, kafka stream.Config, codecs *event.Codecs) (generation, error) {
	all, err := generations(ctx, kafka, codecs)
	if err != nil {
		return generation{}, err
	}
	return all[len(all)-1], nil
}

// connected is what every command on a running platform begins with: codecs and the
// generation of topics, which cfg.Kafka then resolves.
func connected(ctx context.Context, cfg *Config) (*event.Codecs, generation, error) {
	codecs, err := loadCodecs(ctx, cfg.Kafka)
	if err != nil {
		return nil, generation{}, err
	}
	g, err := current(ctx, cfg.Kafka, codecs)
	if err != nil {
		return nil, generation{}, err
	}
	cfg.Kafka.Aliases = g.Aliases
	return codecs, g, nil
}

// publishGeneration makes aliases the generation after another one.
func publishGeneration(ctx context.Context, kafka stream.Config, codecs *event.Codecs, after generation, aliases stream.Aliases, now time.Time) (generation, error) {
	content, err := json.Marshal(aliases)
	if err != nil {
		return generation{}, fmt.Errorf("encoding aliases: %w", err)
	}
	newest, err := current(ctx, kafka, codecs)
	if err != nil {
		return generation{}, err
	}
	if newest.Number != after.Number {
		return generation{}, fmt.Errorf("generation %d of topics was published meanwhile", newest.Number)
	}
	sum := sha256.Sum256(content)
	g := generation{Number: after.Number + 1, Aliases: aliases}
	value, err := codecs.AppendPolicy(nil, &event.PolicyContent{
		Name: topicsName, Version: g.Number, Hash: hex.EncodeToString(sum[:]), Content: content, At: inventory.Instant(now.UnixMilli()),
	})
	if err != nil {
		return generation{}, fmt.Errorf("encoding generation %d of topics: %w", g.Number, err)
	}
	producer, err := stream.NewProducer(kafka)
	if err != nil {
		return generation{}, fmt.Errorf("opening producer: %w", err)
	}
	defer producer.Close()
	rec := &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "%s@%d", topicsName, g.Number), Value: value}
	if err := producer.Produce(ctx, rec); err != nil {
		return generation{}, fmt.Errorf("publishing generation %d of topics: %w", g.Number, err)
	}
	return g, nil
}

// errSwitched ends a service that works on topics which are not meant any more.
var errSwitched = errors.New("a newer generation of topics holds: start again")

// watchGeneration is the task that ends a service when its topics were switched.
func watchGeneration(kafka stream.Config, codecs *event.Codecs, resolved int64, log *slog.Logger) (service.Task, error) {
	table, err := stream.NewTable(stream.TableConfig{Config: kafka, Topic: event.TopicPolicies, Apply: func(rec *stream.Record) error {
		if rec.Value == nil {
			return nil
		}
		switch g, ok, err := decodeGeneration(codecs, rec); {
		case err != nil:
			return err
		case ok && g.Number > resolved:
			log.Warn("topics were switched", slog.Int64("generation", g.Number), slog.Int64("resolved", resolved))
			return errSwitched
		}
		return nil
	}})
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", event.TopicPolicies, err)
	}
	return table.Run, nil
}
