//go:build synctests

package stream

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Commits are Commit apart, what they take included; a worker that is behind takes
// records for all of it.
func TestCommitsAreACadenceApart(t *testing.T) {
	const commit, ending = 20 * time.Millisecond, 8 * time.Millisecond
	for _, c := range []struct {
		name        string
		each        int // records a millisecond
		least, most time.Duration
	}{
		{"in step", 1, commit - 2*time.Millisecond, commit + 3*time.Millisecond},
		{"behind", 80, commit + ending - 2*time.Millisecond, commit + ending + 3*time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				var ends []time.Time
				b.c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
					b.c.KeepControl()
					ends = append(ends, time.Now())
					b.c.SleepControl(func() { time.Sleep(ending) })
					return nil, nil, false
				})
				w := b.runner("0", &counter{}, func(cfg *RunnerConfig) { cfg.Commit = commit })
				for range 600 {
					keys := make([]string, c.each)
					for i := range keys {
						keys[i] = "a"
					}
					b.put(0, keys...)
					time.Sleep(time.Millisecond)
				}
				w.stop()
				if len(ends) < 15 {
					t.Fatalf("%d commits", len(ends))
				}
				ends = ends[5 : len(ends)-2]
				apart := ends[len(ends)-1].Sub(ends[0]) / time.Duration(len(ends)-1)
				if apart < c.least || apart > c.most {
					t.Errorf("commits are %s apart, want %s to %s", apart, c.least, c.most)
				}
			}, kfake.SleepOutOfOrder())
		})
	}
}
