//go:build bench

package bench

import (
	"context"
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
)

// sampled is how many records of each topic stand for all of it.
const sampled = 20_000

// sameOutputs is a run of the floor that writes, for each record, what the service
// wrote for one: an outcome, a position and a head, of the same bytes. It decides
// nothing, so what it costs beyond the floor is the price of the outputs alone.
func (r *rig) sameOutputs(t *testing.T, n int) took {
	t.Helper()
	var outputs [][]output
	for _, topic := range []string{event.TopicOutcomes, event.TopicPositions, event.TopicState} {
		list := r.written(t, topic)
		size := 0
		for i := range list {
			size += len(list[i].Key) + len(list[i].Value)
			for _, h := range list[i].Headers {
				size += len(h.Key) + len(h.Value)
			}
			list[i].Topic = "bench." + topic
		}
		t.Logf("%s: %d bytes a record, %d headers", topic, size/len(list), len(list[0].Headers))
		r.kafka.Create(t, partitions, nil, "bench."+topic)
		outputs = append(outputs, list)
	}
	path := filepath.Join(t.TempDir(), "outputs")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := gob.NewEncoder(f).Encode(outputs); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return r.baselineOf(t, n, "outputs", path)
}

// written are the last records of a topic, headers of partitions left out.
func (r *rig) written(t *testing.T, topic string) []output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cl := r.kafka.Client(t, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd().Relative(-sampled)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	var list []output
	for len(list) < sampled {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %s: %v after %d records", topic, ctx.Err(), len(list))
		}
		fs.EachRecord(func(rec *kgo.Record) {
			if len(rec.Key) > 0 && rec.Key[0] != '|' && len(list) < sampled {
				list = append(list, output{Key: rec.Key, Value: rec.Value, Headers: rec.Headers})
			}
		})
	}
	return list
}

// outputsOf reads what sameOutputs has kept; an empty path is the floor's own output.
func outputsOf(path string) ([][]output, error) {
	if path == "" {
		return [][]output{{{Topic: "bench.baseline", Value: make([]byte, outputBytes)}}}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening outputs: %w", err)
	}
	defer f.Close()
	var out [][]output
	if err := gob.NewDecoder(f).Decode(&out); err != nil {
		return nil, fmt.Errorf("reading outputs: %w", err)
	}
	return out, nil
}
