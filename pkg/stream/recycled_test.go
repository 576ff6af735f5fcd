//go:build synctests

package stream

import (
	"errors"
	"testing"
)

// The memory of what was read is used again once its transaction has committed, and
// not when it has not: until then the processor, the outputs and the client may all
// point into it.
func TestReadMemoryIsUsedAgainAfterACommitOnly(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		var read []*Record
		boom := true
		p := &counter{
			step: func(in Input, _ *State) error { read = append(read, in.Record); return nil },
			after: func(in Input, _ *State) error {
				if in.Offset == 3 && boom {
					boom = false
					return errors.New("boom")
				}
				return nil
			},
			flush: func(*State) error {
				for _, rec := range read {
					if rec.Value == nil {
						t.Error("a record is gone before its transaction has ended")
					}
				}
				return nil
			},
		}
		b.put(0, "a=1", "b=2", "a=3", "a=4", "b=5")
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		w.stop()
		b.wantOut(0, "a1 b1 a2 a3 b2")
		if len(read) != 4+5 {
			t.Fatalf("%d records read", len(read))
		}
		for i, rec := range read {
			if aborted := i < 4; aborted != (rec.Value != nil) {
				t.Errorf("record %d: value %q", i, rec.Value)
			}
		}
	})
}
