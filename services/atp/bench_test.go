package atp

import (
	"fmt"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

type everybody struct{}

func (everybody) Ledger(int64, string) (*inventory.Policy, error) { return &inventory.Policy{}, nil }

// BenchmarkStep is one event decided and flushed, without the log: what the
// service itself adds to a bare loop. Ten events a key, one a transaction.
func BenchmarkStep(b *testing.B) {
	const keys, each = 5_000, 10
	codecs := event.TestCodecs()
	p := &processor{codecs: codecs, policies: everybody{}}
	var recs []*stream.Record
	for n := range keys * each {
		k := inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprintf("item-%06d", n%keys))}
		d := inventory.Document{Type: "944", Number: fmt.Sprintf("R%09d", n), Line: "1"}
		e := inventory.Event{
			ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: k, Source: "wms", Document: d,
			OccurredAt: inventory.Instant(1_790_000_000_000 + n), OccurredBasis: "document", ReceivedAt: 1_790_000_000_000,
			Movement: &inventory.Movement{Type: inventory.Receipt, Location: inventory.Location(fmt.Sprintf("DC%d", n/keys%4)), Quantity: inventory.One},
			Trace:    inventory.Trace{RawID: "0192f0c1a2b3c4d5e6f708192a3b4c5d", RawLine: 1, MappingVersion: "1", MasterVersion: 1, UnitFactor: inventory.One},
		}
		value, err := codecs.AppendEvent(nil, &e)
		if err != nil {
			b.Fatal(err)
		}
		recs = append(recs, &stream.Record{
			Topic: event.TopicEvents, Key: []byte(k.String()), Value: value, Offset: int64(n), Timestamp: time.UnixMilli(1_790_000_000_000 + int64(n)),
		})
	}
	states := map[string]*stream.State{}
	out, bytes := 0, 0
	emit := func(r *stream.Record) { out++; bytes += len(r.Value) }
	header := &stream.Header{Lineage: 1}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n == len(recs) {
			n = 0
			clear(states)
		}
		rec := recs[n]
		n++
		st := states[string(rec.Key)]
		if st == nil {
			st = stream.NewState(string(rec.Key))
			states[string(rec.Key)] = st
		}
		if err := p.Step(stream.Input{Record: rec, Lineage: 1, Header: header}, st, emit); err != nil {
			b.Fatal(err)
		}
		if err := p.Flush(st, emit); err != nil {
			b.Fatal(err)
		}
		st.Merge()
	}
	b.ReportMetric(float64(out)/float64(b.N), "out/op")
	b.ReportMetric(float64(bytes)/float64(b.N), "B-out/op")
}
