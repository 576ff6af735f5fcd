package erpwriter

import (
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// ceSource names this service as the source of its records.
const ceSource = "/stockweave/erp-writer"

// postingRecord is a plan as it stands on erp.postings.
func postingRecord(c *event.Codecs, p *event.Posting, trace string) (*stream.Record, error) {
	value, err := c.AppendPosting(nil, p)
	if err != nil {
		return nil, fmt.Errorf("encoding posting %s: %w", p.ID, err)
	}
	ce := event.CE{ID: p.ID, Source: ceSource, Type: "erp.posting", Time: p.At, TraceParent: trace}
	return &stream.Record{Topic: event.TopicPostings, Key: []byte(postingKey(p)), Value: value, Headers: headers(ce)}, nil
}

// resultRecord is a result as it stands on erp.results, under the posting's key.
func resultRecord(c *event.Codecs, key []byte, r *event.PostingResult, trace string) (*stream.Record, error) {
	value, err := c.AppendResult(nil, r)
	if err != nil {
		return nil, fmt.Errorf("encoding result of %s: %w", r.PostingID, err)
	}
	ce := event.CE{ID: r.PostingID, Source: ceSource, Type: "erp.result", Time: r.At, TraceParent: trace}
	return &stream.Record{Topic: event.TopicResults, Key: key, Value: value, Headers: headers(ce)}, nil
}

// deadLetter is an input this service cannot decode, kept whole with its reason.
func deadLetter(c *event.Codecs, d stream.DeadLetter) (*stream.Record, error) {
	letter := event.DeadLetter{
		ID: event.PlaceID(d.Record.Topic, d.Record.Partition, d.Record.Offset), Service: "erp-writer",
		Code: d.Code, Reason: d.Reason,
		Topic: d.Record.Topic, Partition: d.Record.Partition, Offset: d.Record.Offset,
		Key: d.Record.Key, Value: d.Record.Value, At: inventory.Instant(d.Record.Timestamp.UnixMilli()),
	}
	value, err := c.AppendDeadLetter(nil, &letter)
	if err != nil {
		return nil, fmt.Errorf("encoding dead letter: %w", err)
	}
	return &stream.Record{Topic: event.TopicDeadERPWriter, Key: d.Record.Key, Value: value}, nil
}

func headers(ce event.CE) []stream.RecordHeader {
	hs := ce.Headers()
	out := make([]stream.RecordHeader, len(hs))
	for i, h := range hs {
		out[i] = stream.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return out
}

// traceOf is the W3C trace a record belongs to, empty when it has none.
func traceOf(rec *stream.Record) string {
	for _, h := range rec.Headers {
		if h.Key == event.TraceParent {
			return string(h.Value)
		}
	}
	return ""
}
