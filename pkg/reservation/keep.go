package reservation

import (
	"context"
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// stepKeep is a confirm that is no part of the run of a request.
const stepKeep = "keep"

// keep is a confirmation under way; the client's lock guards it.
type keep struct {
	left  map[string]int // items without an answer, by the id of their event
	items []kept         // by key
	done  chan struct{}  // closed when nothing is left
}

type kept struct {
	key    inventory.Key
	answer inventory.Answer
}

// Keep confirms all that a request was granted, until a time or, with 0, until it is
// served or cancelled. Nothing is checked again: what was granted is there unless it has
// lapsed in the time of the log. Where one item has, or was cancelled or never granted,
// nothing is kept of the others either, and the reply is Cancelled with the item and its
// code. Where the ledger does not decide (the item is frozen, say) it is Denied, and may
// be asked for again.
//
// Of the request its ID, Partner and the keys of its lines count. When ctx ends before
// the answer, nothing is known; it may be called again.
func (c *Client) Keep(ctx context.Context, r Request, until inventory.Instant) (Reply, error) {
	mine := c.own(r)
	items, err := mine.items()
	if err != nil {
		return Reply{}, err
	}
	k := &keep{left: map[string]int{}, done: make(chan struct{})}
	recs := make([]*stream.Record, len(items))
	for i := range items {
		body := inventory.Reservation{Action: inventory.Confirm, ExpiresAt: until, Siblings: keys(items)}
		ev := mine.event(c.now(), stepKeep, i, items[i].key, body)
		if recs[i], err = c.record(ev); err != nil {
			return Reply{}, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		k.left[ev.ID] = i
		k.items = append(k.items, kept{key: items[i].key})
	}
	if err := c.listen(r.ID, k); err != nil {
		return Reply{}, err
	}
	defer c.deaf(k)
	if err := c.cfg.Log.Produce(ctx, recs...); err != nil {
		return Reply{}, fmt.Errorf("confirming %s: %w", r.ID, err)
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		return Reply{}, fmt.Errorf("waiting for the confirmation of %s: %w", r.ID, ctx.Err())
	}
	reply := k.reply()
	if reply.Status == Cancelled && len(items) > 1 {
		if err := c.Cancel(ctx, r); err != nil {
			return Reply{}, err
		}
	}
	return reply, nil
}

func (c *Client) listen(id string, k *keep) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case c.runs[id] != nil:
		return fmt.Errorf("%w: %s", ErrUnderWay, id)
	}
	for ev := range k.left {
		c.keeps[ev] = k
	}
	return nil
}

func (c *Client) deaf(k *keep) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ev := range k.left {
		delete(c.keeps, ev)
	}
}

// keepAnswered takes an answer to a confirmation; c.mu is held.
func (c *Client) keepAnswered(a *event.Answered) {
	k := c.keeps[a.EventID]
	if k == nil {
		return
	}
	k.items[k.left[a.EventID]].answer = a.Answer
	delete(k.left, a.EventID)
	delete(c.keeps, a.EventID)
	if len(k.left) == 0 {
		close(k.done)
	}
}

// reply is what the answers say together.
func (k *keep) reply() Reply {
	out := Reply{Status: Granted}
	for i := range k.items {
		it := &k.items[i]
		switch it.answer.Verdict {
		case inventory.Confirmed:
			for _, l := range it.answer.Lines {
				out.Lines = append(out.Lines, ReplyLine{it.key, l})
			}
			continue
		case inventory.Lapsed, inventory.VerdictCancelled, inventory.Unknown:
			return Reply{Status: Cancelled, Key: it.key, Code: it.answer.Code}
		case inventory.NoVerdict, inventory.Granted, inventory.VerdictDenied, inventory.Contended:
		}
		out = Reply{Status: Denied, Key: it.key, Code: it.answer.Code}
	}
	if out.Status != Granted {
		out.Lines = nil
	}
	return out
}
