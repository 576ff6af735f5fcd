//go:build synctests

package stream

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// marked appends records to a partition, each in a transaction of its own: its marker
// leaves a gap behind it.
func (b *bubble) marked(partition int32, keys ...string) {
	b.t.Helper()
	cl, err := b.config("").client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("marks"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	for _, k := range keys {
		if err := cl.BeginTransaction(); err != nil {
			b.t.Fatal(err)
		}
		if err := cl.ProduceSync(context.Background(), &Record{Topic: topicIn, Partition: partition, Key: []byte(k)}).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
		if err := cl.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
			b.t.Fatal(err)
		}
	}
}

// Several gaps within one transaction are believed as one is.
func TestGapsInOneTransaction(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		b.marked(0, "a", "a", "b", "a")
		w := b.runner("0", new(counter))
		b.until("commit", func() bool { return b.groupOffset(0) == 7 })
		b.wantOut(0, "a1 a2 b1 a3")
		if got := w.metric("gaps_total", ""); got != 3 {
			t.Errorf("%v gaps counted", got)
		}
		w.stop()
	})
}

// A gap is believed when two readings agree on where it ends.
func TestGapThatDiffers(t *testing.T) {
	p := &partition{pos: 5}
	for i, tc := range []struct {
		offset  int64
		believe bool
	}{{9, false}, {7, false}, {7, true}, {5, true}} {
		if err := p.doubt([]*Record{{Offset: tc.offset}}); (err == nil) != tc.believe {
			t.Errorf("reading %d: %v", i, err)
		}
	}
}
