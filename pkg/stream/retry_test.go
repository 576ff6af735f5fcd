//go:build synctests

package stream

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that still writes the markers of one transaction refuses the batches of
// the next for a moment. The worker must not stand still for longer than that.
func TestRefusedBatchIsSentAgainSoon(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		h := b.c.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.ConcurrentTransactions,
			When: func(r kmsg.Request) bool { q, ok := r.(*kmsg.ProduceRequest); return ok && q.TransactionID != nil },
		})
		b.put(0, "a")
		began := time.Now()
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
		if h.Hits() == 0 {
			t.Fatal("the fault was not met")
		}
		b.wantOut(0, "a1 a2")
		w.stop()
	})
}
