package audit_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/audit"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// none has no pieces: a ledger of few events keeps all it needs in hand.
type none struct{ memory }

// BenchmarkAudit is an audit of a million movements of 100,000 items, in six
// partitions, with a state that was never compacted. The log is in this process and
// shares its processors. Run it with -benchtime 1x.
func BenchmarkAudit(b *testing.B) {
	const events, items, partitions, commit = 1_000_000, 100_000, 6, 10_000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cluster.Close)
	cfg := stream.Config{Brokers: cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}
	admin, err := stream.NewAdmin(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close()
	var specs []stream.TopicSpec
	for _, s := range event.TopicSpecs() {
		specs = append(specs, stream.TopicSpec{Name: s.Name, Partitions: partitions, Replicas: 1})
	}
	if _, err := admin.EnsureTopics(b.Context(), false, specs...); err != nil {
		b.Fatal(err)
	}
	reads, err := stream.NewRestoreReads(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer reads.Close()
	id, _, err := reads.Topic(b.Context(), event.TopicEvents)
	if err != nil {
		b.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(1_000_000))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()

	codecs := event.TestCodecs()
	ledgers := make([]*inventory.Ledger, items)
	next := [partitions]int64{}
	var recs []*kgo.Record
	var bytes int
	put := func(topic string, part int32, key string, value []byte, at inventory.Instant) {
		bytes += len(value)
		recs = append(recs, &kgo.Record{Topic: topic, Partition: part, Key: []byte(key), Value: value, Timestamp: time.UnixMilli(int64(at))})
	}
	var touched []int
	flush := func() {
		for _, n := range touched {
			led := ledgers[n]
			part := stream.Partition([]byte(led.Key().String()), partitions)
			led.Changed(func(p inventory.Piece) {
				put(event.TopicState, part, inventory.StateKey(led.Key(), p.Kind, p.N...), must(codecs.AppendState(nil, &p)), start)
			})
			for _, p := range led.ChangedPositions() {
				put(event.TopicPositions, part, inventory.PositionKey(p.Key, p.Location), must(codecs.AppendPosition(nil, &p)), start)
			}
			led.ClearChanged()
		}
		touched = touched[:0]
		if err := client.ProduceSync(b.Context(), recs...).FirstErr(); err != nil {
			b.Fatal(err)
		}
		recs = recs[:0]
	}
	for n := range events {
		i := n % items
		if ledgers[i] == nil {
			ledgers[i] = inventory.NewLedger(inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprintf("ITEM-%06d", i))}, &none{})
		}
		led := ledgers[i]
		e := movement(led.Key(), fmt.Sprint("R", n), inventory.Movement{
			Type: inventory.Receipt, Location: inventory.Location(fmt.Sprintf("DC%d", n/items%8)), Quantity: inventory.Quantity(n%100+1) * one,
		})
		part := stream.Partition([]byte(led.Key().String()), partitions)
		at := inventory.Instant(start + n)
		put(event.TopicEvents, part, led.Key().String(), must(codecs.AppendEvent(nil, e)), at)
		e.RecordedAt = at
		out, err := led.Apply(&inventory.Policy{}, e, inventory.At{Lineage: 1, Partition: part, Offset: next[part]})
		if err != nil {
			b.Fatal(err)
		}
		next[part]++
		put(event.TopicOutcomes, part, led.Key().String(), must(codecs.AppendOutcome(nil, &out)), at)
		if touched = append(touched, i); len(touched) == commit {
			flush()
		}
	}
	for p := range int32(partitions) {
		put(event.TopicState, p, stream.HeaderKey, must(codecs.AppendStateHeader(nil, &event.StateHeader{
			Lineage: 1, TopicID: id, Topic: event.TopicEvents, Partition: p, Partitions: partitions, StoreVersion: 1, AppliedThrough: next[p] - 1,
		})), start)
	}
	flush()
	ledgers = nil
	runtime.GC()

	for b.Loop() {
		report, err := audit.Run(b.Context(), audit.Config{Kafka: cfg, Codecs: codecs, Group: "atp"})
		if err != nil {
			b.Fatal(err)
		}
		if report.First() != nil || report.Events != events || report.Items != items {
			b.Fatalf("first %+v, %d events, %d items", report.First(), report.Events, report.Items)
		}
	}
	b.ReportMetric(float64(bytes)/(1<<20), "MiB-log")
}
