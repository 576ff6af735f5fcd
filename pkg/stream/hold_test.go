//go:build synctests

package stream

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Each partition has one run at a time, all have one before long, and a run has ended
// before another begins.
func TestHold(t *testing.T) {
	inBubble(t, 4, func(b *bubble) {
		var mu sync.Mutex
		runs, by := map[int32]int{}, map[int32]string{}
		start := func(name string) (stop func()) {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() {
				done <- Hold(ctx, b.config(""), "holders", topicIn, func(ctx context.Context, partition int32) {
					mu.Lock()
					runs[partition]++
					by[partition] = name
					if runs[partition] > 1 {
						t.Errorf("partition %d has %d runs", partition, runs[partition])
					}
					mu.Unlock()
					<-ctx.Done()
					time.Sleep(time.Second) // it takes its time
					mu.Lock()
					runs[partition]--
					mu.Unlock()
				})
			}()
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		shared := func(names ...string) func() bool {
			return func() bool {
				mu.Lock()
				defer mu.Unlock()
				n, of := 0, map[string]bool{}
				for p, k := range runs {
					n += k
					if k > 0 {
						of[by[p]] = true
					}
				}
				return n == 4 && len(of) == len(names)
			}
		}
		stopA := start("a")
		b.until("a holds all", shared("a"))
		stopB := start("b")
		b.until("a and b share", shared("a", "b"))
		stopA()
		b.until("b holds all", shared("b"))
		stopB()
		mu.Lock()
		defer mu.Unlock()
		for p, n := range runs {
			if n != 0 {
				t.Errorf("partition %d still runs", p)
			}
		}
	})
}
