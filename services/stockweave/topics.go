package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/registry"
	"github.com/stockweave/stockweave/pkg/stream"
)

// applyTimeout bounds one apply.
const applyTimeout = 2 * time.Minute

func topicsApply(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("topics apply", stderr)
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
	ids, err := applyTopics(ctx, cfg.Kafka, &cfg.Registry, cfg.Topics)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d topics, %d schemas\n", len(event.TopicSpecs()), len(ids))
	return nil
}

// applyTopics creates what is missing, refuses what differs, registers every
// schema version and publishes {subject, version, fingerprint, id} to schemas.v1,
// so that services start with the registry down.
func applyTopics(ctx context.Context, kafka stream.Config, schemas *registryConfig, topics topicsConfig) ([]event.SchemaID, error) {
	admin, err := stream.NewAdmin(kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	defer admin.Close()
	specs := make([]stream.TopicSpec, 0, len(event.TopicSpecs()))
	for _, s := range event.TopicSpecs() {
		partitions := s.Partitions
		if topics.Partitions > 0 && partitions > 1 {
			partitions = topics.Partitions
		}
		if topics.ReplicationFactor > 1 {
			// Durable means more than one copy (Invariant 1), and one replica may be away.
			s.Configs["min.insync.replicas"] = strconv.Itoa(int(topics.ReplicationFactor) - 1)
		}
		specs = append(specs, stream.TopicSpec{
			Name: s.Name, Partitions: partitions, Replicas: topics.ReplicationFactor, Configs: s.Configs,
		})
	}
	results, err := admin.EnsureTopics(ctx, false, specs...)
	if err != nil {
		return nil, fmt.Errorf("applying topics: %w", err)
	}
	var differ []error
	for _, r := range results {
		for _, d := range r.Differences {
			differ = append(differ, fmt.Errorf("topic %s: %s", r.Name, d))
		}
	}
	if err := errors.Join(differ...); err != nil {
		return nil, fmt.Errorf("topics are not what they should be, and are never changed in place:\n%w", err)
	}
	client, err := schemas.client()
	if err != nil {
		return nil, fmt.Errorf("connecting to the registry: %w", err)
	}
	ids, err := registry.Register(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("registering schemas: %w", err)
	}
	if err := publishIDs(ctx, kafka, ids); err != nil {
		return nil, err
	}
	return ids, nil
}

func publishIDs(ctx context.Context, kafka stream.Config, ids []event.SchemaID) error {
	producer, err := stream.NewProducer(kafka)
	if err != nil {
		return fmt.Errorf("opening producer: %w", err)
	}
	defer producer.Close()
	recs := make([]*stream.Record, 0, len(ids))
	for _, id := range ids {
		value, err := event.EncodeSchemaID(id)
		if err != nil {
			return fmt.Errorf("encoding schema id of %s: %w", id.Subject, err)
		}
		recs = append(recs, &stream.Record{Topic: event.TopicSchemas, Key: fmt.Appendf(nil, "%s|%d", id.Subject, id.Version), Value: value})
	}
	if err := producer.Produce(ctx, recs...); err != nil {
		return fmt.Errorf("publishing schema ids: %w", err)
	}
	return nil
}

// loadCodecs reads schemas.v1 to its end.
func loadCodecs(ctx context.Context, kafka stream.Config) (*event.Codecs, error) {
	ids := event.NewIDs()
	err := readTable(ctx, kafka, event.TopicSchemas, func(rec *stream.Record) error {
		id, err := event.DecodeSchemaID(rec.Value)
		if err != nil {
			return fmt.Errorf("decoding schema id %s: %w", rec.Key, err)
		}
		ids.Add(id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	codecs, err := event.NewCodecs(ids)
	if err != nil {
		return nil, fmt.Errorf("schemas are not registered yet (run: stockweave topics apply): %w", err)
	}
	return codecs, nil
}

// readTable calls apply with every record of a compacted topic up to its end now,
// tombstones apart.
func readTable(ctx context.Context, kafka stream.Config, topic string, apply func(*stream.Record) error) error {
	table, err := stream.NewTable(stream.TableConfig{Config: kafka, Topic: topic, Apply: func(rec *stream.Record) error {
		if rec.Value == nil {
			return nil
		}
		return apply(rec)
	}})
	if err != nil {
		return fmt.Errorf("opening %s: %w", topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- table.Run(ctx) }()
	select {
	case <-table.Loaded():
		cancel()
		err = <-done
	case err = <-done:
		if err == nil {
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", topic, err)
	}
	return nil
}
