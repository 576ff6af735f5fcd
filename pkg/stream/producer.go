package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxBuffered bounds the records a producer holds unacked.
const maxBuffered = 50_000

// A Producer appends records idempotently, acked by all in-sync replicas. It never
// sets a timestamp and never cancels what it has begun to write: a cancelled
// produce may be acked without being there. It is safe for concurrent use.
type Producer struct {
	cl  *kgo.Client
	cfg Config
}

type producerOptions struct {
	linger      time.Duration
	manual      func(Config) func(topic string) bool
	compression Compression
	maxBatch    int32
}

// ProducerOption changes a producer's defaults: no linger, partition by key.
type ProducerOption func(*producerOptions)

// WithLinger waits for more records to share a batch.
func WithLinger(d time.Duration) ProducerOption {
	return func(o *producerOptions) { o.linger = d }
}

// WithOwnPartition takes the records of the topics named to the Partition they
// carry; with no topic, all records.
func WithOwnPartition(topics ...string) ProducerOption {
	return func(o *producerOptions) {
		o.manual = func(cfg Config) func(string) bool {
			own := cfg.physicals(topics)
			return func(topic string) bool { return len(own) == 0 || slices.Contains(own, topic) }
		}
	}
}

// WithCompression sets the compression of batches.
func WithCompression(c Compression) ProducerOption {
	return func(o *producerOptions) { o.compression = c }
}

// WithMaxBatch lets a batch, and so a record, be as large as the topics written to
// allow, in bytes; what is larger is refused here. The client's own limit is the
// broker's default, 1,000,012.
func WithMaxBatch(n int32) ProducerOption {
	return func(o *producerOptions) { o.maxBatch = n }
}

// NewProducer connects lazily.
func NewProducer(cfg Config, opts ...ProducerOption) (*Producer, error) {
	o := producerOptions{manual: func(Config) func(string) bool { return func(string) bool { return false } }}
	for _, opt := range opts {
		opt(&o)
	}
	codec, err := o.compression.codec()
	if err != nil {
		return nil, err
	}
	clientOpts := []kgo.Opt{
		kgo.RecordPartitioner(partitioner(o.manual(cfg))),
		kgo.ProducerLinger(o.linger),
		kgo.ProducerBatchCompression(codec),
		kgo.MaxBufferedRecords(maxBuffered),
	}
	if o.maxBatch > 0 {
		clientOpts = append(clientOpts, kgo.ProducerBatchMaxBytes(o.maxBatch))
	}
	cl, err := cfg.client(clientOpts...)
	if err != nil {
		return nil, err
	}
	return &Producer{cl, cfg}, nil
}

// Produce appends the records and returns when all are acked, or one has failed.
// When ctx ends before, what becomes of the records is unknown: they may still be
// written. The records are the producer's from here on.
func (p *Producer) Produce(ctx context.Context, recs ...*Record) error {
	if len(recs) == 0 {
		return nil
	}
	for p.cl.BufferedProduceRecords() >= maxBuffered {
		if pause(ctx, time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("waiting for room: %w", ctx.Err())
		}
	}
	for _, rec := range recs {
		if err := p.cfg.leaks(rec.Topic); err != nil {
			return err
		}
	}
	a := newAcks(len(recs))
	for _, rec := range recs {
		rec.Topic = p.cfg.Physical(rec.Topic)
		p.cl.Produce(context.WithoutCancel(ctx), rec, a.promise)
	}
	return a.wait(ctx)
}

// Ping reports whether a broker answers.
func (p *Producer) Ping(ctx context.Context) error {
	if err := p.cl.Ping(ctx); err != nil {
		return fmt.Errorf("pinging brokers: %w", err)
	}
	return nil
}

// Close gives what is under way a moment and ends the producer.
func (p *Producer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.cl.Flush(ctx) // what is not acked was never promised to anybody
	p.cl.Close()
}

// acks waits for a known number of records.
type acks struct {
	left atomic.Int64
	all  chan struct{}

	mu   sync.Mutex
	errs []error
}

func newAcks(n int) *acks {
	a := &acks{all: make(chan struct{})}
	a.left.Store(int64(n))
	return a
}

func (a *acks) promise(rec *Record, err error) {
	if err != nil {
		a.mu.Lock()
		if len(a.errs) < 8 { // enough to see
			a.errs = append(a.errs, fmt.Errorf("writing to %s: %w", rec.Topic, err))
		}
		a.mu.Unlock()
	}
	if a.left.Add(-1) == 0 {
		close(a.all)
	}
}

func (a *acks) wait(ctx context.Context) error {
	select {
	case <-a.all:
	case <-ctx.Done():
		return fmt.Errorf("waiting for acks: %w", ctx.Err())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.errs...)
}
