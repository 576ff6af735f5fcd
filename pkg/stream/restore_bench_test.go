package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

type jsonHeaders struct{}

func (jsonHeaders) EncodeHeader(h Header) ([]byte, error) { return json.Marshal(h) }

func (jsonHeaders) DecodeHeader(b []byte) (h Header, err error) { return h, json.Unmarshal(b, &h) }

type nothing struct{}

func (nothing) Group(rec *Record) (string, error)       { return string(rec.Key), nil }
func (nothing) Step(Input, *State, func(*Record)) error { return nil }
func (nothing) Flush(*State, func(*Record)) error       { return nil }
func noDeadLetter(DeadLetter) (*Record, error)          { return &Record{Topic: "dead"}, nil }
func benchRecord(n, partition int, value []byte) *kgo.Record {
	return &kgo.Record{Topic: "state", Partition: int32(partition), Key: fmt.Appendf(nil, "acme|item-%07d|h", n), Value: value} //nolint:gosec // small
}

// BenchmarkRestore is a full restore of 100,000 items over six partitions whose
// changelog has each of them twice, with the broker in the same process.
func BenchmarkRestore(b *testing.B) {
	const items = 100_000
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(benchPartitions, "in", "state"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	cfg := RunnerConfig{
		Config: Config{Brokers: c.ListenAddrs(), Instance: "0"}, Group: "g", Input: "in", State: "state", AnyTimestamp: true,
		Dead: noDeadLetter, Codec: jsonHeaders{}, GroupOf: benchGroup, StoreVersion: 1, Processor: nothing{},
	}
	r, err := NewRunner(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if r.reads, err = NewRestoreReads(cfg.Config); err != nil {
		b.Fatal(err)
	}
	defer r.reads.Close()
	ctx := context.Background()
	facts, err := r.facts(ctx)
	if err != nil {
		b.Fatal(err)
	}
	cl, err := cfg.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2 {
		for n := range items {
			value := make([]byte, 400+rng.IntN(600))
			for i := range value {
				value[i] = byte(rng.UintN(16)) // compresses by half, as state does
			}
			cl.Produce(ctx, benchRecord(n, n%benchPartitions, value), nil)
		}
	}
	for p := range int32(benchPartitions) {
		header, err := json.Marshal(Header{
			Lineage: 1, Cluster: facts.input.cluster, TopicID: facts.input.idString(), Topic: "in", Partition: p,
			Partitions: benchPartitions, Partitioner: headerPartitioner, StoreVersion: 1, AppliedThrough: -1,
		})
		if err != nil {
			b.Fatal(err)
		}
		cl.Produce(ctx, &kgo.Record{Topic: "state", Partition: p, Key: []byte(HeaderKey), Value: header}, nil)
	}
	if err := cl.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var (
			wg     sync.WaitGroup
			groups atomic.Int64
			read   atomic.Int64
		)
		slots := make(chan struct{}, restoresAtOnce)
		for p := range int32(benchPartitions) {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				none := false
				res, records, err := r.restoreOnce(ctx, facts, p, &none)
				if err != nil {
					b.Error(err)
					return
				}
				groups.Add(int64(len(res.store.groups)))
				read.Add(int64(records))
			})
		}
		wg.Wait()
		if groups.Load() != items || read.Load() != 2*items+benchPartitions {
			b.Fatalf("%d items of %d records", groups.Load(), read.Load())
		}
	}
	b.ReportMetric(float64(b.N)*items/b.Elapsed().Seconds(), "items/s")
}
