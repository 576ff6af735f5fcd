package stream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	benchPartitions = 6
	benchItems      = 1_000_000
)

// benchStore is a partition's share of a million items, each with a head and, every
// second one, a location of its own: 400 to 1,000 bytes an item.
func benchStore(partition int) *store {
	rng := rand.New(rand.NewPCG(uint64(partition), 1))
	l := &loader{st: newStore()}
	value := make([]byte, 1000)
	for i := range value {
		value[i] = byte(rng.UintN(256))
	}
	for i := range benchItems / benchPartitions {
		group := fmt.Sprintf("acme|item-%07d", i*benchPartitions+partition)
		l.put(group, group+"|h", value[:340+rng.IntN(300)])
		if i%2 == 0 {
			l.put(group, group+"|l|DC1", value[:60+rng.IntN(300)])
		}
	}
	return l.st
}

func benchSnapshot(tb testing.TB, path string, st *store) int64 {
	w, err := createSnapshot(path, testHead())
	if err != nil {
		tb.Fatal(err)
	}
	for _, g := range st.groups {
		if w.add(g); w.full() {
			if err := w.flush(false); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := w.close(120); err != nil {
		tb.Fatal(err)
	}
	return w.size
}

// BenchmarkSnapshotWrite writes one partition of a million items over six.
func BenchmarkSnapshotWrite(b *testing.B) {
	st := benchStore(0)
	path := filepath.Join(b.TempDir(), "0")
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(benchSnapshot(b, path, st))
	}
}

// BenchmarkSnapshotStart reads a million items over six partitions, as many at once
// as a worker restores. Compare s/op with the bar of 2 s.
func BenchmarkSnapshotStart(b *testing.B) {
	dir := b.TempDir()
	var size int64
	for p := range benchPartitions {
		size += benchSnapshot(b, filepath.Join(dir, fmt.Sprint(p)), benchStore(p))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		var wg sync.WaitGroup
		slots := make(chan struct{}, restoresAtOnce)
		stores := make([]*store, benchPartitions)
		for p := range benchPartitions {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				f, err := os.Open(filepath.Join(dir, fmt.Sprint(p)))
				if err != nil {
					b.Error(err)
					return
				}
				defer f.Close()
				info, err := f.Stat()
				if err != nil {
					b.Error(err)
					return
				}
				snap, err := readSnapshot(context.Background(), f, info.Size(), any1)
				if err != nil {
					b.Error(err)
					return
				}
				stores[p] = snap.store
			})
		}
		wg.Wait()
		items := 0
		for _, st := range stores {
			if st != nil {
				items += len(st.groups)
			}
		}
		if items < benchItems-benchPartitions {
			b.Fatalf("%d items", items)
		}
	}
	b.ReportMetric(float64(b.N)*benchItems/b.Elapsed().Seconds(), "items/s")
}

// BenchmarkChangelogLoad applies the records of a full restore, each key twice: the
// restore's part of it, on one core, without the broker and the client.
func BenchmarkChangelogLoad(b *testing.B) {
	var recs []*kgo.Record
	for range 2 {
		st := benchStore(0)
		for _, g := range st.groups {
			for _, p := range g.pieces {
				recs = append(recs, &kgo.Record{Key: []byte(p.key), Value: append([]byte(nil), p.value...)})
			}
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
	b.ReportAllocs()
	for b.Loop() {
		l := &loader{st: newStore()}
		for _, rec := range recs {
			l.put(benchGroup(rec.Key), stringOf(rec.Key), rec.Value)
		}
	}
	b.ReportMetric(float64(b.N)*benchItems/benchPartitions/b.Elapsed().Seconds(), "items/s")
}

func benchGroup(key []byte) string { return stringOf(key[:len("acme|item-0000000")]) }
