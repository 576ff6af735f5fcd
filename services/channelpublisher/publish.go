package channelpublisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
)

// Codes of results.
const (
	codeStale       = "stale"            // the channel shows a newer offer
	codeNoReadBack  = "no_read_back"     // the channel cannot be asked
	codeNotShown    = "not_shown"        // accepted, but it still shows something else
	codeThrottled   = "throttled"        // no room before the attempts ran out
	codeUnreachable = "unreachable"      // no usable answer before the attempts ran out
	codeChanged     = "changed_by_hand"  // it showed another value under our offer
	codeBadListing  = "bad_listing"      // no channel could have such a listing
	codeReadRefused = "read_back_failed" // accepted, then the reading was refused
)

// publisher brings one channel to its latest offers. Publishing is at-least-once
// with compare-and-set and read-back: effectively once, not exactly (Invariant 7).
type publisher struct {
	name    string
	channel channel.Channel
	board   *board
	codecs  *event.Codecs
	budget  *budget
	cfg     *Config
	produce func(context.Context, ...*stream.Record) error
	now     func() time.Time
	logger  *slog.Logger
	count   *metrics

	mu    sync.Mutex
	parts map[int32]*shown
}

// shown is what this process knows of the listings of one partition. One goroutine
// at a time works on a partition; mu is for what it does side by side.
type shown struct {
	mu     sync.Mutex
	last   map[string]last // by record key
	cursor string          // where reconciling goes on
}

// last is what became of a listing's offer.
type last struct {
	mark     channel.Mark
	quantity inventory.Quantity
	status   string
	code     string
}

func (s *shown) get(key string) (last, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.last[key]
	return l, ok
}

func (s *shown) set(key string, l last) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[key] = l
}

func (p *publisher) of(id int32) *shown {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.parts[id]
	if s == nil {
		s = &shown{last: map[string]last{}}
		p.parts[id] = s
	}
	return s
}

// lost forgets a partition that another member has now.
func (p *publisher) lost(_ string, id int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.parts, id)
}

// batch publishes the offers of one partition that one poll brought: the latest
// value per listing wins, zero-outs and low cover go first.
func (p *publisher) batch(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	newest := map[string]event.Offer{}
	for _, rec := range recs {
		if rec.Value == nil {
			continue // an offer taken off the log; the listing keeps its value
		}
		var o event.Offer
		if err := p.codecs.DecodeOffer(rec.Value, &o); err != nil {
			return nil, stream.Reject("undecodable", err)
		}
		key := string(rec.Key)
		if offerKey(o.Channel, o.Key) != key {
			return nil, stream.Rejectf("key_mismatch", "the key is not that of the offer")
		}
		if o.Channel != p.name {
			continue
		}
		old, ok := newest[key]
		if ok {
			p.count.behind.WithLabelValues(p.name).Inc()
		}
		if !ok || markOf(&old).Compare(markOf(&o)) <= 0 {
			newest[key] = o
		}
	}
	if len(newest) == 0 {
		return nil, nil
	}
	s := p.of(recs[0].Partition)
	todo := make([]event.Offer, 0, len(newest))
	var results []event.OfferResult
	for key, o := range newest {
		// The log may hold a newer one already, in a poll to come.
		if b, ok := p.board.get(key); ok && cmp.Or(markOf(&b).Compare(markOf(&o)), cmp.Compare(b.At, o.At)) > 0 {
			p.count.behind.WithLabelValues(p.name).Inc()
			o = b
		}
		if l, ok := s.get(key); ok && l.mark == markOf(&o) && l.quantity == o.Quantity && settled(l.status) {
			// Done by the reconciler, or by a try of this batch whose results were not
			// acked: say so again, without a call.
			results = append(results, p.result(&o, event.Confirmed, "", "", o.Quantity))
			continue
		}
		todo = append(todo, o)
	}
	slices.SortFunc(todo, func(a, b event.Offer) int {
		return cmp.Or(cmp.Compare(a.Quantity, b.Quantity), strings.Compare(a.Key.String(), b.Key.String()))
	})
	called, err := p.all(ctx, s, todo)
	if err != nil {
		return nil, err
	}
	results = append(results, called...)
	out := make([]*stream.Record, len(results))
	for i := range results {
		if out[i], err = resultRecord(p.codecs, &results[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// settled says whether a status needs nothing more.
func settled(status string) bool { return status == event.Confirmed || status == event.Corrected }

// all publishes offers in order, a few side by side.
func (p *publisher) all(ctx context.Context, s *shown, todo []event.Offer) ([]event.OfferResult, error) {
	results := make([]event.OfferResult, len(todo))
	errs := make([]error, len(todo))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(p.cfg.Concurrent, len(todo)) {
		wg.Go(func() {
			for i := range next {
				results[i], errs[i] = p.one(ctx, s, &todo[i], event.Confirmed)
			}
		})
	}
	for i := range todo {
		next <- i
	}
	close(next)
	wg.Wait()
	return results, errors.Join(errs...)
}

// one publishes an offer and reads it back; done is the status when it is there:
// confirmed, or corrected where a value changed by hand was put right. The error is
// only that of a context that ended; everything else is a result.
func (p *publisher) one(ctx context.Context, s *shown, o *event.Offer, done string) (event.OfferResult, error) {
	key := offerKey(o.Channel, o.Key)
	if o.Listing == "" || o.Listing == "." || o.Listing == ".." {
		return p.settle(s, key, o, event.Refused, codeBadListing, "", 0), nil
	}
	var expect channel.CompareAndSet
	if l, ok := s.get(key); ok && settled(l.status) {
		expect.Current = &channel.Value{Quantity: l.quantity, Mark: l.mark}
	}
	co := channel.Offer{Channel: o.Channel, Key: o.Key, Listing: o.Listing, Quantity: o.Quantity, Mark: markOf(o), At: o.At}
	code, reason := codeUnreachable, ""
	var seen inventory.Quantity
	for attempt := range p.cfg.Attempts {
		if attempt > 0 {
			if err := sleep(ctx, p.backoff(attempt)); err != nil {
				return event.OfferResult{}, err
			}
		}
		err := p.call(ctx, "publish", func() error { return p.channel.Publish(ctx, co, expect) })
		if ctx.Err() != nil {
			return event.OfferResult{}, ctx.Err()
		}
		var (
			no   *channel.Refusal
			wait *channel.Throttled
		)
		switch {
		case errors.As(err, &no):
			return p.settle(s, key, o, event.Refused, no.Code, no.Reason, 0), nil
		case errors.As(err, &wait):
			code, reason = codeThrottled, err.Error()
			p.budget.hold(min(wait.After, p.cfg.MostWait))
			continue
		}
		// Accepted, refused as older, or nobody knows: what it shows decides.
		v, rerr := p.read(ctx, o.Listing)
		if ctx.Err() != nil {
			return event.OfferResult{}, ctx.Err()
		}
		switch {
		case rerr == nil && v.Mark.Compare(co.Mark) > 0, rerr == nil && errors.Is(err, channel.ErrStale) && v.Quantity != o.Quantity:
			return p.settle(s, key, o, event.Refused, codeStale, "the channel shows a newer offer", v.Quantity), nil
		case rerr == nil && v.Quantity == o.Quantity && (v.Mark == co.Mark || v.Mark == channel.Mark{} || err == nil):
			doneCode := ""
			if done == event.Corrected {
				doneCode = codeChanged
			}
			return p.settle(s, key, o, done, doneCode, "", v.Quantity), nil
		case errors.Is(rerr, channel.ErrNoReadBack) && err == nil:
			return p.settle(s, key, o, event.Unconfirmed, codeNoReadBack, "", 0), nil
		case errors.Is(rerr, channel.ErrNoReadBack) && errors.Is(err, channel.ErrStale):
			return p.settle(s, key, o, event.Refused, codeStale, "the channel says that a newer offer stands", 0), nil
		case err == nil && (rerr == nil || errors.Is(rerr, channel.ErrUnknownListing)):
			code, reason, seen = codeNotShown, "", v.Quantity
		case err == nil && errors.As(rerr, &no):
			code, reason = codeReadRefused, no.Error()
		case err != nil:
			code, reason = codeUnreachable, err.Error()
		default:
			code, reason = codeUnreachable, rerr.Error()
		}
	}
	return p.settle(s, key, o, event.Unconfirmed, code, reason, seen), nil
}

// read asks what the channel shows.
func (p *publisher) read(ctx context.Context, listing string) (v channel.Value, err error) {
	err = p.call(ctx, "read", func() (err error) {
		v, err = p.channel.Read(ctx, listing)
		return err
	})
	return v, err
}

// call makes one call within the channel's rate budget.
func (p *publisher) call(ctx context.Context, kind string, f func() error) error {
	if err := p.budget.wait(ctx); err != nil {
		return err
	}
	err := f()
	p.count.calls.WithLabelValues(p.name, kind, outcomeOf(err)).Inc()
	return err
}

func outcomeOf(err error) string {
	var (
		no   *channel.Refusal
		wait *channel.Throttled
	)
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, channel.ErrStale):
		return "stale"
	case errors.Is(err, channel.ErrUnknownListing):
		return "unknown_listing"
	case errors.Is(err, channel.ErrNoReadBack):
		return "no_read_back"
	case errors.As(err, &no):
		return "refused"
	case errors.As(err, &wait):
		return "throttled"
	}
	return "failed"
}

// backoff doubles from the first wait to the most.
func (p *publisher) backoff(attempt int) time.Duration {
	d := p.cfg.FirstWait
	for range attempt - 1 {
		if d *= 2; d >= p.cfg.MostWait {
			return p.cfg.MostWait
		}
	}
	return d
}

// settle remembers and returns a result.
func (p *publisher) settle(s *shown, key string, o *event.Offer, status, code, reason string, seen inventory.Quantity) event.OfferResult {
	s.set(key, last{mark: markOf(o), quantity: o.Quantity, status: status, code: code})
	p.count.results.WithLabelValues(p.name, status, code).Inc()
	if status != event.Confirmed {
		p.logger.Warn("offer not confirmed", slog.String("channel", p.name), slog.String("listing", o.Listing),
			slog.String("status", status), slog.String("code", code), slog.String("reason", reason))
	}
	return p.result(o, status, code, reason, seen)
}

func (p *publisher) result(o *event.Offer, status, code, reason string, seen inventory.Quantity) event.OfferResult {
	return event.OfferResult{
		Channel: o.Channel, Key: o.Key, Version: o.Version, Quantity: o.Quantity, Seen: seen,
		Status: status, Code: code, Reason: reason, At: inventory.Instant(p.now().UnixMilli()),
	}
}

// reconcile reads back what the channel shows in one partition and puts right what
// was changed underneath or never confirmed (Invariant 7). It goes on where it
// stopped the last time, and stops when new offers have waited long enough.
func (p *publisher) reconcile(ctx context.Context, _ string, id int32) error {
	s := p.of(id)
	until := p.now().Add(p.cfg.ReconcileFor)
	for _, key := range p.board.after(p.name, id, s.cursor) {
		if p.now().After(until) {
			return nil
		}
		r, ok, err := p.compare(ctx, s, key)
		if err != nil {
			return err
		}
		if ok {
			rec, err := resultRecord(p.codecs, &r)
			if err != nil {
				return err
			}
			if err := p.produce(ctx, rec); err != nil {
				return fmt.Errorf("appending result: %w", err)
			}
		}
		s.cursor = key
	}
	s.cursor = "" // all looked at: from the beginning the next time
	return nil
}

// compare looks at one listing; ok is false when there is nothing to say.
func (p *publisher) compare(ctx context.Context, s *shown, key string) (r event.OfferResult, ok bool, err error) {
	o, found := p.board.get(key)
	if !found {
		return r, false, nil
	}
	before, known := s.get(key)
	known = known && before.mark == markOf(&o)
	earlier := known && before.quantity != o.Quantity // another offer of the same facts, policy and day
	known = known && !earlier
	if known && before.status == event.Refused && before.code == codeBadListing {
		return r, false, nil
	}
	v, rerr := p.read(ctx, o.Listing)
	switch {
	case ctx.Err() != nil:
		return r, false, ctx.Err()
	case errors.Is(rerr, channel.ErrNoReadBack):
		if known && before.status == event.Unconfirmed && before.code != codeNoReadBack {
			r, err = p.one(ctx, s, &o, event.Confirmed) // it was never even accepted
			return r, err == nil, err
		}
		return r, false, nil
	case rerr != nil && !errors.Is(rerr, channel.ErrUnknownListing):
		return r, false, nil // counted; the next round asks again
	case rerr == nil && v.Mark.Compare(markOf(&o)) > 0:
		if known && before.status == event.Refused && before.code == codeStale {
			return r, false, nil
		}
		return p.settle(s, key, &o, event.Refused, codeStale, "the channel shows a newer offer", v.Quantity), true, nil
	case rerr == nil && v.Quantity == o.Quantity:
		if known && settled(before.status) {
			return r, false, nil
		}
		return p.settle(s, key, &o, event.Confirmed, "", "", v.Quantity), true, nil
	}
	if known && before.status == event.Refused {
		return r, false, nil // it said no to this very offer
	}
	// It shows our offer's mark with another value, or showed the value before:
	// somebody changed it underneath.
	done := event.Confirmed
	ours := earlier && v.Quantity == before.quantity
	if rerr == nil && !ours && (v.Mark == markOf(&o) || known && settled(before.status)) {
		done = event.Corrected
	}
	if r, err = p.one(ctx, s, &o, done); err != nil {
		return r, false, err
	}
	if r.Status == event.Corrected {
		r.Seen = v.Quantity // what stood there, not what stands now
	}
	return r, true, nil
}
