//go:build synctests

package stream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A writer stands until the group has what stood in the topic, and no longer.
func TestBrake(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		k, err := NewBrake(b.config(""), group, topicIn)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		if err := k.Wait(context.Background()); err != nil {
			t.Fatal(err) // an empty topic
		}
		b.put(0, "a", "b")
		b.put(1, "c")

		done := make(chan error, 1)
		wait := func(ctx context.Context) { go func() { done <- k.Wait(ctx) }() }
		held := func(why string) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("not held %s: %v", why, err)
			default:
			}
		}
		wait(context.Background())
		held("by a group that has never read")
		b.setGroupOffset(1, 1)
		held("by one partition")
		b.put(0, "d", "e") // others write on: they do not count
		b.setGroupOffset(0, 2)
		if err := <-done; err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithCancel(context.Background())
		wait(ctx)
		held("by what was appended since")
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("a stopped wait ends with %v", err)
		}
	})
}
