package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// sessionTimeout and heartbeatInterval are those of every group (§1). A
	// transaction times out well before its session does, so that a member that
	// lost its session has no transaction left open.
	sessionTimeout     = 15 * time.Second
	heartbeatInterval  = 2 * time.Second
	transactionTimeout = 6 * time.Second

	// maxDecompressed bounds what one batch may unpack to.
	maxDecompressed = 64 << 20
)

// Compression of produced batches.
type Compression string

// The compressions a producer may choose. Snappy costs least for its gain and is
// the default.
const (
	CompressSnappy Compression = "snappy"
	CompressLz4    Compression = "lz4"
	CompressZstd   Compression = "zstd"
	CompressNone   Compression = "none"
)

func (c Compression) codec() (kgo.CompressionCodec, error) {
	switch c {
	case "", CompressSnappy:
		return kgo.SnappyCompression(), nil
	case CompressLz4:
		return kgo.Lz4Compression(), nil
	case CompressZstd:
		return kgo.ZstdCompression(), nil
	case CompressNone:
		return kgo.NoCompression(), nil
	}
	return kgo.NoCompression(), fmt.Errorf("unknown compression %q", string(c))
}

// compressor compresses the batches of a Runner; nil compresses nothing.
func (c Compression) compressor() (kgo.Compressor, error) {
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	all, err := kgo.DefaultCompressor(codec)
	if err != nil || all == nil || c != "" {
		return all, err
	}
	return worthwhile{all}, nil
}

// worthwhile leaves batches as they are of which a sample does not shrink to half. A head
// of the ledger is hashes and differences for the most part: it shrinks by two fifths, and
// that took a sixteenth of the worker's processor time (ADR 47).
type worthwhile struct{ kgo.Compressor }

// sample is the piece of a batch, from its start, that stands for all of it.
const sample = 8 << 10

// Compress is kgo.Compressor's.
func (w worthwhile) Compress(dst *bytes.Buffer, src []byte, flags ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	if len(src) > 4*sample {
		if short, _ := w.Compressor.Compress(dst, src[:sample], flags...); len(short) > sample/2 {
			return src, kgo.CodecNone
		}
		dst.Reset()
	}
	return w.Compressor.Compress(dst, src, flags...)
}

// Validate reports every fault at once, each under its name in the configuration file. No
// file is read.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("kafka.brokers: at least one is required"))
	}
	if c.Dialer != nil && c.TLS.Enabled {
		errs = append(errs, errors.New("kafka.tls: a dialer and TLS exclude each other"))
	}
	errs = append(errs, c.TLS.Validate("kafka.tls"), c.SASL.validate("kafka.sasl", c.TLS.Enabled))
	return errors.Join(errs...)
}

func (c Config) logger() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// client opens a client with what all of them share, then opts.
func (c Config) client(opts ...kgo.Opt) (*kgo.Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	opts, err := c.options(opts...)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("opening client: %w", err)
	}
	return cl, nil
}

// fetchWait is how long a broker may hold an empty fetch. A partition that is
// resumed after its restore joins the broker's next fetch, so this bounds how long
// it sits idle when nothing else flows (the client's default is 5 s).
const fetchWait = 250 * time.Millisecond

// options are those that all clients share, then more. Every client is made of them: TLS
// and SASL are here and nowhere else. An error is that of a file.
func (c Config) options(more ...kgo.Opt) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("stockweave"),
		kgo.MaxDecompressBatchBytes(maxDecompressed),
		kgo.FetchMaxWait(fetchWait),
		kgo.WithLogger(clientLog{c.logger()}),
	}
	if c.MaxBatch != nil {
		opts = append(opts, kgo.ProducerBatchMaxBytesFn(c.maxBatch()))
	}
	if c.Dialer != nil {
		opts = append(opts, kgo.Dialer(c.Dialer))
	}
	secured, err := c.TLS.Load("kafka.tls")
	if err != nil {
		return nil, err
	}
	if secured != nil {
		opts = append(opts, kgo.DialTLSConfig(secured))
	}
	who, err := c.SASL.mechanism("kafka.sasl")
	if err != nil {
		return nil, err
	}
	if who != nil {
		opts = append(opts, kgo.SASL(who))
	}
	return append(opts, more...), nil
}

// clientLog hands the client's warnings to slog.
type clientLog struct{ log *slog.Logger }

func (clientLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	at := slog.LevelWarn
	if level == kgo.LogLevelError {
		at = slog.LevelError
	}
	l.log.LogAttrs(context.Background(), at, "kafka client",
		slog.String("message", msg), slog.Any("details", keyvals))
}

// partitioner sends records by number for the topics manual names, and by the
// key's murmur2 otherwise. A nil manual means every topic.
func partitioner(manual func(topic string) bool) kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
		if manual == nil || manual(topic) {
			return func(r *kgo.Record, _ int) int { return int(r.Partition) }
		}
		return func(r *kgo.Record, n int) int { return int(Partition(r.Key, int32(n))) } //nolint:gosec // partition counts are int32
	})
}

// fetchFault says what an error of a poll means: nil to go on, an ErrStop, or an
// error that ends this session.
//
// The client recovers from what is transient by itself and only mentions it. What
// must stop is everything by which records would be skipped or applied twice:
// data loss (the client rewinds on its own and goes on), an offset that is gone,
// a topic that was recreated, and a static identity that somebody else took.
func fetchFault(topic string, partition int32, err error) error {
	var (
		loss *kgo.ErrDataLoss
		big  *kgo.ErrDecompressTooLarge
	)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, kgo.ErrClientClosed):
		return err
	case errors.As(err, &loss),
		errors.As(err, &big),
		errors.Is(err, kerr.OffsetOutOfRange),
		errors.Is(err, kerr.UnknownTopicID),
		errors.Is(err, kerr.UnknownTopicOrPartition),
		errors.Is(err, kerr.InconsistentTopicID),
		errors.Is(err, kerr.FencedInstanceID),
		errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.GroupAuthorizationFailed),
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.CorruptMessage):
		return fmt.Errorf("%w: reading %s partition %d: %w", ErrStop, topic, partition, err)
	}
	return nil
}

// pause waits for d or for ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// backoff grows from 10 ms to 2 s; n is the count of failures so far.
func backoff(n int) time.Duration {
	return min(10*time.Millisecond<<min(max(n-1, 0), 8), 2*time.Second)
}
