// Package channeltest is what every channel adapter must pass, against whatever
// stands for its channel.
package channeltest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
)

// Fault is what the counterpart does to the next call that sets a value.
type Fault string

// The faults a counterpart must be able to act out.
const (
	TimeoutAfter Fault = "timeout_after" // it takes effect, no answer comes
	ErrorAfter   Fault = "error_after"   // it takes effect, the answer is an error of its own
	ErrorBefore  Fault = "error_before"  // nothing happened, the same answer
	Throttle     Fault = "throttle"
	Refuse       Fault = "refuse" // for good
	Redirect     Fault = "redirect"
	Huge         Fault = "huge" // an answer that does not end
)

// Subject is an adapter and its counterpart.
type Subject struct {
	Channel channel.Channel // with a timeout of about half a second
	// Shown is what the counterpart shows, false when nothing.
	Shown func(listing string) (inventory.Quantity, bool)
	// SetByHand changes what it shows, past the adapter.
	SetByHand func(listing string, q inventory.Quantity)
	// Fail scripts the next call that sets a value.
	Fail func(Fault)
	// NoReadBack: the channel cannot be asked.
	NoReadBack bool
}

// Run puts an adapter through the contract of channel.Channel. fresh makes a new
// pair for each case.
func Run(t *testing.T, fresh func(t *testing.T) Subject) {
	mark := func(v int64) channel.Mark {
		return channel.Mark{Version: v, PolicyVersion: 1, Day: "2026-11-24"}
	}
	offer := func(q inventory.Quantity, m channel.Mark) channel.Offer {
		return channel.Offer{
			Channel: "shop", Key: inventory.Key{Entity: "acme", Item: "A"}, Listing: "L 1/ä?#", Quantity: q, Mark: m,
		}
	}
	publish := func(t *testing.T, s Subject, o channel.Offer) error {
		t.Helper()
		return s.Channel.Publish(t.Context(), o, channel.CompareAndSet{})
	}
	shows := func(t *testing.T, s Subject, o channel.Offer, want inventory.Quantity) {
		t.Helper()
		if got, ok := s.Shown(o.Listing); !ok || got != want {
			t.Errorf("the channel shows %s (%v), want %s", got, ok, want)
		}
		v, err := s.Channel.Read(t.Context(), o.Listing)
		if s.NoReadBack {
			if !errors.Is(err, channel.ErrNoReadBack) {
				t.Errorf("reading back: %v, want ErrNoReadBack", err)
			}
			return
		}
		if err != nil || v.Quantity != want {
			t.Errorf("read back %s, %v, want %s", v.Quantity, err, want)
		}
	}

	t.Run("publishes and reads back", func(t *testing.T) {
		s := fresh(t)
		o := offer(125_000, mark(1))
		if err := publish(t, s, o); err != nil {
			t.Fatal(err)
		}
		shows(t, s, o, 125_000)
		o.Quantity, o.Mark = 0, mark(2)
		if err := publish(t, s, o); err != nil {
			t.Fatal(err)
		}
		shows(t, s, o, 0)
	})
	t.Run("the same offer again changes nothing", func(t *testing.T) {
		s := fresh(t)
		o := offer(50_000, mark(1))
		for range 3 {
			if err := publish(t, s, o); err != nil {
				t.Fatal(err)
			}
		}
		shows(t, s, o, 50_000)
	})
	t.Run("an older offer never overwrites a newer", func(t *testing.T) {
		s := fresh(t)
		newer := offer(50_000, channel.Mark{Version: 10, PolicyVersion: 2, Day: "2026-11-24"})
		if err := publish(t, s, newer); err != nil {
			t.Fatal(err)
		}
		for _, m := range []channel.Mark{
			{Version: 9, PolicyVersion: 9, Day: "2026-11-30"}, {Version: 10, PolicyVersion: 1, Day: "2026-11-30"}, {Version: 10, PolicyVersion: 2, Day: "2026-11-23"},
		} {
			if err := publish(t, s, offer(990_000, m)); !errors.Is(err, channel.ErrStale) {
				t.Errorf("mark %+v: %v, want ErrStale", m, err)
			}
		}
		shows(t, s, newer, 50_000)
	})
	t.Run("a value changed by hand is seen and can be put right", func(t *testing.T) {
		s := fresh(t)
		o := offer(50_000, mark(3))
		if err := publish(t, s, o); err != nil {
			t.Fatal(err)
		}
		s.SetByHand(o.Listing, 770_000)
		shows(t, s, o, 770_000)
		if err := publish(t, s, o); err != nil {
			t.Fatal(err)
		}
		shows(t, s, o, 50_000)
	})
	t.Run("an unknown listing", func(t *testing.T) {
		s := fresh(t)
		_, err := s.Channel.Read(t.Context(), "never set")
		if want := channel.ErrUnknownListing; !s.NoReadBack && !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	})
	for _, f := range []Fault{TimeoutAfter, ErrorAfter, ErrorBefore, Huge} {
		t.Run(string(f)+" leaves it open", func(t *testing.T) {
			s := fresh(t)
			o := offer(50_000, mark(1))
			s.Fail(f)
			// Far beyond the adapter's own timeout: whoever gets here was never let go.
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := s.Channel.Publish(ctx, o, channel.CompareAndSet{})
			var (
				no   *channel.Refusal
				wait *channel.Throttled
			)
			if err == nil || errors.Is(err, channel.ErrStale) || errors.As(err, &no) || errors.As(err, &wait) {
				t.Errorf("got %v, want an error that decides nothing", err)
			}
			if ctx.Err() != nil {
				t.Error("it has no timeout of its own")
			}
			if err := publish(t, s, o); err != nil {
				t.Fatalf("again: %v", err)
			}
			shows(t, s, o, 50_000)
		})
	}
	t.Run("throttled", func(t *testing.T) {
		s := fresh(t)
		s.Fail(Throttle)
		var wait *channel.Throttled
		if err := publish(t, s, offer(50_000, mark(1))); !errors.As(err, &wait) || wait.After <= 0 {
			t.Errorf("got %v, want Throttled with a time", err)
		}
	})
	for _, f := range []Fault{Refuse, Redirect} {
		t.Run(string(f)+" is for good", func(t *testing.T) {
			s := fresh(t)
			s.Fail(f)
			var no *channel.Refusal
			if err := publish(t, s, offer(50_000, mark(1))); !errors.As(err, &no) || no.Code == "" {
				t.Errorf("got %v, want a refusal with a code", err)
			}
		})
	}
}
