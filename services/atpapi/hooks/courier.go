package hooks

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// Why a subscription is stopped.
const (
	StoppedGone      = "gone"      // the receiver answered 410
	StoppedExhausted = "exhausted" // the last attempt has failed
)

// ErrStopped is a subscription to which nothing more is sent until its owner enables it.
var ErrStopped = errors.New("the subscription is stopped")

const (
	saveAgain = 500 * time.Millisecond // after the log did not take a delivery
	lastWords = 3 * time.Second        // to save where a delivery stands, at its end
	jitter    = 10                     // percent that a wait is longer or shorter
)

// Courier delivers one subscription's messages, one after the other. One goroutine uses it.
type Courier struct {
	hub *hubParts
	sub *atomic.Pointer[Entry]
	d   event.Delivery

	unsaved bool
	since   atomic.Int64 // ms: when the message under way was first to be sent; 0: none is
}

// hubParts is what couriers share.
type hubParts struct {
	cfg    *Config
	poster interface {
		Post(ctx context.Context, s *event.Subscription, id string, body []byte) Result
	}
	save  func(ctx context.Context, d *event.Delivery) error
	bury  func(ctx context.Context, d *event.DeadLetter) error
	place func(id string) int32
	now   func() time.Time
	log   *slog.Logger
	count *metrics
}

// Bookmark is where the subscription stands: everything before it was received.
func (c *Courier) Bookmark() string { return c.d.Bookmark }

// Sending are the items of the message that was under way when its sender ended.
func (c *Courier) Sending() []string { return c.d.Sending }

func (c *Courier) now() inventory.Instant { return inventory.Instant(c.hub.now().UnixMilli()) }

// Deliver returns nil when a message is received, after as many attempts as there may be.
// Before the first the log has what it is about: whoever goes on sends it under the same
// id, if it says the same still. Before each further one it is made again, so that a
// receiver that was away is told what is so, not what was.
func (c *Courier) Deliver(ctx context.Context, b *Batch) error {
	var body []byte
	if c.since.Store(int64(c.now())); c.d.Since != 0 {
		c.since.Store(int64(c.d.Since))
	}
	for again := false; ; again = true {
		waited, err := c.wait(ctx)
		if err != nil {
			return err
		}
		m, err := b.Make(again || waited)
		if err != nil {
			return err
		}
		if m == nil {
			break
		}
		if print := m.print(); body == nil || print != c.d.Print {
			if body, err = m.body(c.hub.now()); err != nil {
				return err
			}
			if print != c.d.Print {
				c.d.Number, c.d.Print = c.d.Number+1, print
			}
			if c.d.Sending = b.Items; b.From != "" {
				c.d.Bookmark = b.From
			}
			if err := c.save(ctx); err != nil {
				return err
			}
		}
		received, err := c.attempt(ctx, body)
		if err != nil {
			return err
		}
		if received {
			c.d.Received = c.now()
			break
		}
	}
	c.since.Store(0)
	c.d.Sending, c.d.Print, c.d.Failed, c.d.Fault, c.d.Since, c.d.Next = nil, "", 0, "", 0, 0
	if b.To != "" {
		c.d.Bookmark = b.To
	}
	c.unsaved = true
	return nil
}

// attempt makes one, and says what comes next.
func (c *Courier) attempt(ctx context.Context, body []byte) (received bool, err error) {
	e := c.sub.Load()
	r := c.hub.poster.Post(ctx, &e.Subscription, messageID(&c.d), body)
	if ctx.Err() != nil && r.Fault != "" {
		return false, ctx.Err() // of ours, not of the receiver's
	}
	if r.Fault == "" {
		c.hub.count.attempts.WithLabelValues("received").Inc()
		return true, nil
	}
	now := c.now()
	if c.d.Failed++; c.d.Since == 0 {
		c.d.Since = now
	}
	c.d.Fault = r.Fault
	result := "failed"
	switch tries := int(c.d.Failed); {
	case r.Fault == faultGone:
		result, c.d.Stopped, c.d.Next = StoppedGone, StoppedGone, 0
	case tries > len(c.hub.cfg.Retries):
		result, c.d.Stopped, c.d.Next = StoppedExhausted, StoppedExhausted, 0
	default:
		c.d.Next = now + inventory.Instant(c.pause(tries, r.After).Milliseconds())
	}
	c.hub.count.attempts.WithLabelValues(result).Inc()
	attrs := []any{
		slog.String("subscription", c.d.ID), slog.String("owner", e.Subscription.Owner), slog.String("host", hostOf(e.Subscription.URL)),
		slog.String("fault", r.Fault), slog.Int("failed", int(c.d.Failed)),
	}
	if c.d.Stopped == "" {
		c.hub.log.Info("a webhook was not received", attrs...)
		return false, c.save(ctx)
	}
	c.since.Store(0)
	c.hub.log.Warn("a subscription is stopped", append(attrs, slog.String("stopped", c.d.Stopped))...)
	if err := c.buried(ctx, e, body); err != nil {
		return false, err
	}
	if err := c.save(ctx); err != nil {
		return false, err
	}
	return false, ErrStopped
}

// buried keeps a message that nobody will take. What it told is told again, as it is
// then, when the subscription is enabled.
func (c *Courier) buried(ctx context.Context, e *Entry, body []byte) error {
	letter := &event.DeadLetter{
		ID: messageID(&c.d), Service: "atp-api", Code: "webhook_" + c.d.Stopped, Reason: "the last fault was " + c.d.Fault,
		Topic: event.TopicSubscriptions, Partition: c.hub.place(c.d.ID), Offset: e.Offset, Key: []byte(c.d.ID), Value: body, At: c.now(),
	}
	return c.insist(ctx, "a dead letter of a webhook cannot be written", func() error { return c.hub.bury(ctx, letter) })
}

// pause is the wait before the next attempt: by the schedule, or longer where the receiver
// said so.
func (c *Courier) pause(failed int, after time.Duration) time.Duration {
	d := c.hub.cfg.Retries[failed-1]
	spread := int64(d) * jitter / 100
	d += time.Duration(rand.Int64N(2*spread+1) - spread) //nolint:gosec // so that receivers are not asked together
	return min(max(d, after), MaxWait)
}

// wait waits for the next attempt.
func (c *Courier) wait(ctx context.Context) (waited bool, err error) {
	d := time.Duration(c.d.Next-c.now()) * time.Millisecond
	if c.d.Next == 0 || d <= 0 {
		return false, ctx.Err()
	}
	return true, sleep(ctx, d)
}

// Passed says that everything before a bookmark was received or is not for this
// subscription.
func (c *Courier) Passed(bookmark string) {
	if bookmark != "" && bookmark != c.d.Bookmark && c.d.Print == "" {
		c.d.Bookmark, c.unsaved = bookmark, true
	}
}

// Settle saves where the subscription stands, unless the log has it. Where that fails it
// stands further back: messages come twice.
func (c *Courier) Settle(ctx context.Context) {
	if c.unsaved {
		if err := c.once(ctx); err != nil && ctx.Err() == nil {
			c.hub.log.Warn("where a subscription stands cannot be saved", slog.String("subscription", c.d.ID), slog.Any("err", err))
		}
	}
}

func (c *Courier) once(ctx context.Context) error {
	d := c.d
	d.At = c.now()
	err := c.hub.save(ctx, &d)
	if err == nil {
		c.unsaved = false
	}
	return err
}

// save returns when the log has it.
func (c *Courier) save(ctx context.Context) error {
	c.unsaved = true
	return c.insist(ctx, "where a subscription stands cannot be saved, trying again", func() error { return c.once(ctx) })
}

func (c *Courier) insist(ctx context.Context, what string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			c.hub.log.Warn(what, slog.String("subscription", c.d.ID), slog.Any("err", err)) //nolint:sloglint // of two texts
		}
		if err := sleep(ctx, saveAgain); err != nil {
			return err
		}
	}
}

// end saves where it stands, though ctx may be over.
func (c *Courier) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	c.Settle(ctx)
}

// hostOf is what of a URL stands in the log: the rest may be a secret.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
}
