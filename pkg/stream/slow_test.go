//go:build synctests

package stream

import (
	"context"
	"testing"
	"time"
)

// Steps that take long make smaller transactions, not ones that time out for ever; when they
// are quick again, so are large transactions back.
func TestSlowSteps(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		const many, cold = 40_000, 8_000
		recs := make([]*Record, many)
		for i := range recs {
			recs[i] = &Record{Topic: topicIn, Key: []byte("a")}
		}
		if err := b.cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		p := &counter{step: func(in Input, _ *State) error {
			if in.Offset < cold {
				time.Sleep(time.Millisecond)
			}
			return nil
		}}
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == many })
		if got := b.state(0)["a|h"]; got != "40000" {
			t.Errorf("counted %s", got)
		}
		w.stop()
		if w.r.most != defaultMaxRecords {
			t.Errorf("still no more than %d records in a transaction", w.r.most)
		}
	})
}
