package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// errNotStored is what a transport is told when the log did not take its messages,
// or not all of them: it comes again with all. Their ids, and so their events, are
// the same then, or events of one document with the same ids.
var errNotStored = errors.New("the log did not take the messages")

// receiver makes messages durable: the one way into the log, of every transport. It
// is safe for concurrent use.
type receiver struct {
	codecs  *event.Codecs
	log     *slog.Logger
	now     func() time.Time
	produce func(ctx context.Context, recs ...*stream.Record) error
	gate    *gate
	wait    time.Duration // for the log's ack
	took    prometheus.Observer
}

// accept makes messages of one source durable, on the topic of its latency class and all
// of one stream in their order; trace is the trace context of the request they came in.
// It returns nil when the log has all of them, and errNotStored when it may not.
func (r *receiver) accept(ctx context.Context, src *policy.Source, trace string, raws ...*event.RawMessage) error {
	recs := make([]*stream.Record, 0, len(raws))
	for _, raw := range raws {
		rec, err := record(r.codecs, src.LatencyClass, raw, trace)
		if err != nil {
			return err
		}
		recs = append(recs, rec)
	}
	return r.put(ctx, recs)
}

func (r *receiver) put(ctx context.Context, recs []*stream.Record) error {
	if !r.gate.open(ctx) {
		return errNotStored
	}
	started := r.now()
	within, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	if err := r.produce(within, recs...); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", errNotStored, ctx.Err()) // it says nothing of the log
		}
		r.gate.close()
		r.log.Error("the log did not take messages", slog.Int("messages", len(recs)), slog.Any("err", err))
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	r.took.Observe(r.now().Sub(started).Seconds())
	return nil
}

// record is the raw message on the topic of its latency class.
func record(c *event.Codecs, class string, raw *event.RawMessage, trace string) (*stream.Record, error) {
	topic, encode := event.TopicRaw, c.AppendRaw
	if class == policy.LatencyBulk || class == policy.LatencyScheduled {
		topic, encode = event.TopicRawBulk, c.AppendRawBulk
	}
	value, err := encode(nil, raw)
	if err != nil {
		return nil, fmt.Errorf("encoding raw message: %w", err)
	}
	ce := event.CE{ID: raw.ID, Source: ceSource, Type: "raw.message", Time: raw.ReceivedAt, TraceParent: trace}
	hs := ce.Headers()
	headers := make([]stream.RecordHeader, 0, len(hs)+1)
	for _, h := range hs {
		headers = append(headers, stream.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if raw.DedupeKey != "" {
		headers = append(headers, stream.RecordHeader{Key: DedupeHeader, Value: []byte(raw.DedupeKey)})
	}
	key := inventory.Escape(string(raw.Source)) + "|" + inventory.Escape(raw.StreamKey)
	return &stream.Record{Topic: topic, Key: []byte(key), Value: value, Headers: headers}, nil
}
