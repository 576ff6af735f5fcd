package canonicalizer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// maxRetries bounds the lines of one poll of a partition of raw.retry.
const maxRetries = 500

// retrying is what runs parked lines again: the table of those that wait, and the
// worker of those that may go.
type retrying struct {
	table  *stream.Table
	worker *stream.Worker
	reads  *stream.RestoreReads
}

// newRetrying wires it for h, whose sources, masters and producers it shares. It waits
// for the ledger before each append, as the bulk class does: a load of master data
// makes many lines ready at once.
func newRetrying(cfg *Config, env service.Env, h *handler, wait func(context.Context) error) (*retrying, error) {
	waiting := newWaits(maxWaits)
	h.waits = waiting
	h.masters.came = waiting.came
	h.retries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stockweave_canonicalizer_retried_lines_total", Help: "Parked lines that were run again, by source and what became of them.",
	}, []string{"source", "became"})
	if env.Metrics != nil {
		if err := errors.Join(env.Metrics.Register(h.retries), env.Metrics.Register(newWaitsCollector(waiting, env.Now))); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	again := *h
	again.wait, again.chunk = wait, bulkChunk
	reads, err := stream.NewRestoreReads(cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting for parked lines: %w", err)
	}
	u := &unparker{
		h: h, waits: waiting, produce: h.produce, now: env.Now, each: eachLook(cfg.RetryRate),
		read: func(ctx context.Context, partition int32, from, until int64, f func(*stream.Record) error) error {
			return reads.Each(ctx, event.TopicParked, partition, from, until, f)
		},
		whole: func(ctx context.Context, partition int32, f func(*stream.Record) error) error {
			_, err := reads.Fold(ctx, event.TopicParked, partition, f)
			return err
		},
	}
	out := &retrying{reads: reads}
	if out.table, err = stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicParked, Apply: u.apply}); err == nil {
		out.worker, err = stream.NewWorker(stream.WorkerConfig{
			Config: cfg.Kafka, Group: cfg.Group + "-retry", Topics: []string{event.TopicRetry},
			Dead: deadLetter(cfg.Codecs), Batch: again.retry, MaxRecords: maxRetries,
			Check: u.check, CheckEvery: checkEvery, OwnPartition: []string{event.TopicParked},
		})
	}
	if err != nil {
		reads.Close()
		return nil, fmt.Errorf("building what runs parked lines again: %w", err)
	}
	return out, nil
}

// eachLook is how many lines one look sends for so many a second.
func eachLook(rate int) int { return max(1, rate*int(checkEvery)/int(time.Second)) }

// parkedParts is the number of partitions in which parked lines stand and run again.
func parkedParts(ctx context.Context, cfg stream.Config) (int32, error) {
	reads, err := stream.NewRestoreReads(cfg)
	if err != nil {
		return 0, fmt.Errorf("connecting for %s: %w", event.TopicParked, err)
	}
	defer reads.Close()
	_, parked, err := reads.Topic(ctx, event.TopicParked)
	if err != nil {
		return 0, fmt.Errorf("counting the partitions of %s: %w", event.TopicParked, err)
	}
	_, retry, err := reads.Topic(ctx, event.TopicRetry)
	if err != nil {
		return 0, fmt.Errorf("counting the partitions of %s: %w", event.TopicRetry, err)
	}
	if parked != retry {
		return 0, fmt.Errorf("%s has %d partitions, %s %d: they must have the same number", event.TopicParked, parked, event.TopicRetry, retry)
	}
	return parked, nil
}
