package atp

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// What one call leaves to the next must not show: a transaction's records are its
// own, though the memory was another's before.
func TestMemoryOfAnotherTransactionDoesNotShow(t *testing.T) {
	codecs := event.TestCodecs()
	p := &processor{codecs: codecs, policies: everybody{}}
	const at = inventory.Instant(1_790_000_000_000) // of all: one batch
	for n := range 3 {
		k := inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprint("item-", n))}
		d := inventory.Document{Type: "944", Number: fmt.Sprint("R", n)}
		e := inventory.Event{
			ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: k, Source: "wms", Document: d,
			OccurredAt: at, OccurredBasis: "document", ReceivedAt: at,
			Movement: &inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: inventory.One},
		}
		value, err := codecs.AppendEvent(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		rec := &stream.Record{Topic: event.TopicEvents, Key: []byte(k.String()), Value: value, Offset: int64(n), Timestamp: time.UnixMilli(int64(at))}
		var out []stream.Record
		emit := func(r *stream.Record) { out = append(out, copyOf(r)) }
		st := stream.NewState(k.String())
		if err := p.Step(stream.Input{Record: rec, Lineage: 1, Header: &stream.Header{Lineage: 1}}, st, emit); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(st, emit); err != nil {
			t.Fatal(err)
		}
		if len(out) != 2 {
			t.Fatalf("%d records", len(out))
		}
		for _, r := range out {
			var hs []event.Header
			for _, h := range r.Headers {
				hs = append(hs, event.Header{Key: h.Key, Value: h.Value})
			}
			if ce := event.ParseCE(hs); ce.ID != e.ID || ce.Time != at || ce.Source != source {
				t.Errorf("transaction %d, %s: %+v", n, r.Topic, ce)
			}
		}
		var o inventory.Outcome
		if err := codecs.DecodeOutcome(out[0].Value, &o); err != nil {
			t.Fatal(err)
		}
		if o.EventID != e.ID || len(o.Moves) != 1 || o.Moves[0].To.Location != "DC1" {
			t.Errorf("transaction %d: outcome %s with moves %+v", n, o.EventID, o.Moves)
		}
	}
}

// copyOf is an output to be looked at later: the runner copies what it is given, too.
func copyOf(r *stream.Record) stream.Record {
	c := *r
	c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	c.Headers = slices.Clone(r.Headers)
	for i := range c.Headers {
		c.Headers[i].Value = bytes.Clone(c.Headers[i].Value)
	}
	return c
}
