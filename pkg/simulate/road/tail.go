// Package road follows the platform from the outside, as its partners and data
// teams see it: it sends a scenario's messages through the door and reads every
// topic to tell when everything sent has come to rest. The demo and the
// end-to-end tests share it.
package road

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// A Tail follows every topic of the road from the outside, as a data team would,
// and remembers what it saw. It is safe for concurrent use.
type Tail struct {
	codecs  *event.Codecs
	now     func() time.Time
	Visible func(inventory.Position) // called for each position, from its own goroutine's reader

	sync.Mutex           // held while the fields below are read
	last       time.Time // of the latest record on any topic
	Raws       int
	Events     []Event
	Outcomes   []inventory.Outcome
	Positions  map[string]inventory.Position
	History    []inventory.Position
	Postings   map[string]event.Posting
	Results    map[string]event.PostingResult
	Offers     map[string]event.Offer
	Confirmed  map[string]event.OfferResult
	Receipts   map[string]event.Receipt
	Dead       []event.DeadLetter
	Parked     []event.ParkedLine
}

// Event is a canonical event and when the log had it.
type Event struct {
	inventory.Event
	At time.Time
}

// NewTail makes a Tail that has seen nothing.
func NewTail(codecs *event.Codecs, now func() time.Time) *Tail {
	return &Tail{
		codecs: codecs, now: now, last: now(),
		Positions: map[string]inventory.Position{}, Postings: map[string]event.Posting{}, Results: map[string]event.PostingResult{},
		Offers: map[string]event.Offer{}, Confirmed: map[string]event.OfferResult{}, Receipts: map[string]event.Receipt{},
	}
}

// Follow makes one reader a topic.
func (t *Tail) Follow(kafka stream.Config) ([]service.Task, error) {
	apply := map[string]func(*stream.Record) error{
		event.TopicRaw:     func(*stream.Record) error { t.Raws++; return nil },
		event.TopicRawBulk: func(*stream.Record) error { t.Raws++; return nil },
		event.TopicEvents: func(r *stream.Record) error {
			var e inventory.Event
			if err := t.codecs.DecodeEvent(r.Value, &e); err != nil {
				return err
			}
			if e.Kind == inventory.KindControl || e.Kind == inventory.KindSetting {
				return nil
			}
			t.Events = append(t.Events, Event{e, r.Timestamp})
			return nil
		},
		event.TopicOutcomes: func(r *stream.Record) error {
			var o inventory.Outcome
			if err := t.codecs.DecodeOutcome(r.Value, &o); err != nil {
				return err
			}
			if o.EventKind != inventory.KindSetting {
				t.Outcomes = append(t.Outcomes, o)
			}
			return nil
		},
		event.TopicPositions: func(r *stream.Record) error {
			var p inventory.Position
			if err := t.codecs.DecodePosition(r.Value, &p); err != nil {
				return err
			}
			t.Positions[string(r.Key)] = p
			t.History = append(t.History, p)
			if t.Visible != nil {
				t.Visible(p)
			}
			return nil
		},
		event.TopicPostings: func(r *stream.Record) error {
			var p event.Posting
			if err := t.codecs.DecodePosting(r.Value, &p); err != nil {
				return err
			}
			t.Postings[p.ID] = p
			return nil
		},
		event.TopicResults: func(r *stream.Record) error {
			var p event.PostingResult
			if err := t.codecs.DecodeResult(r.Value, &p); err != nil {
				return err
			}
			t.Results[p.PostingID] = p
			return nil
		},
		event.TopicOffers: func(r *stream.Record) error {
			var o event.Offer
			if err := t.codecs.DecodeOffer(r.Value, &o); err != nil {
				return err
			}
			t.Offers[string(r.Key)] = o
			return nil
		},
		event.TopicConfirmed: func(r *stream.Record) error {
			var o event.OfferResult
			if err := t.codecs.DecodeOfferResult(r.Value, &o); err != nil {
				return err
			}
			t.Confirmed[o.Channel+"|"+o.Key.String()] = o
			return nil
		},
		event.TopicReceipts: func(r *stream.Record) error {
			var c event.Receipt
			if err := t.codecs.DecodeReceipt(r.Value, &c); err != nil {
				return err
			}
			if c.Line != 0 { // of a line that was run again: it waits no more
				of := t.Receipts[c.RawID]
				of.Parked, of.Rejected, of.Milestones = of.Parked-1, of.Rejected+c.Rejected, of.Milestones+c.Milestones
				of.EventIDs = slices.Concat(of.EventIDs, c.EventIDs)
				c = of
			}
			t.Receipts[c.RawID] = c
			return nil
		},
		event.TopicParked: func(r *stream.Record) error {
			if r.Value == nil {
				t.Parked = slices.DeleteFunc(t.Parked, func(p event.ParkedLine) bool { return event.ParkedKey(&p) == string(r.Key) })
				return nil
			}
			var p event.ParkedLine
			if err := t.codecs.DecodeParked(r.Value, &p); err != nil {
				return err
			}
			t.Parked = append(t.Parked, p)
			return nil
		},
	}
	for _, topic := range []string{
		event.TopicDeadCanonicalizer, event.TopicDeadATP, event.TopicDeadATPAPI, event.TopicDeadERPWriter, event.TopicDeadChannel,
	} {
		apply[topic] = func(r *stream.Record) error {
			var d event.DeadLetter
			if err := t.codecs.DecodeDeadLetter(r.Value, &d); err != nil {
				return err
			}
			t.Dead = append(t.Dead, d)
			return nil
		}
	}
	tasks := make([]service.Task, 0, len(apply))
	for topic, f := range apply {
		table, err := stream.NewTable(stream.TableConfig{
			Config: kafka, Topic: topic, ReadCommitted: true,
			Apply: func(r *stream.Record) error {
				if r.Value == nil && topic != event.TopicParked {
					return nil
				}
				t.Lock()
				defer t.Unlock()
				t.last = t.now()
				if err := f(r); err != nil {
					return fmt.Errorf("following %s: %w", topic, err)
				}
				return nil
			},
		})
		if err != nil {
			return nil, fmt.Errorf("following %s: %w", topic, err)
		}
		tasks = append(tasks, table.Run)
	}
	return tasks, nil
}

// quiet is how long nothing may arrive before the road counts as at rest: longer
// than a planner or publisher takes from what it reads to what it writes.
const quiet = 250 * time.Millisecond

// settled says whether everything sent has come to rest, and if not, why.
func (t *Tail) settled(sent []string) string {
	t.Lock()
	defer t.Unlock()
	ids := 0
	for _, raw := range sent {
		r, ok := t.Receipts[raw]
		if !ok {
			return "message " + raw + " has no receipt yet"
		}
		ids += len(r.EventIDs)
	}
	switch {
	case len(t.Events) < ids:
		return fmt.Sprintf("%d events of %d on the log", len(t.Events), ids)
	case len(t.Outcomes) < len(t.Events):
		return fmt.Sprintf("%d outcomes for %d events", len(t.Outcomes), len(t.Events))
	}
	for id := range t.Postings {
		if _, ok := t.Results[id]; !ok {
			return "posting " + id + " has no result yet"
		}
	}
	for key, o := range t.Offers {
		if c, ok := t.Confirmed[o.Channel+"|"+o.Key.String()]; !ok || c.Version < o.Version {
			return "offer " + key + " is not confirmed yet"
		}
	}
	if since := t.now().Sub(t.last); since < quiet {
		return fmt.Sprintf("a record arrived %d ms ago", since.Milliseconds())
	}
	return ""
}

// Settle waits until the road is at rest.
func (t *Tail) Settle(ctx context.Context, sent []string, within time.Duration) error {
	deadline := t.now().Add(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		why := t.settled(sent)
		if why == "" {
			return nil
		}
		if t.now().After(deadline) {
			return fmt.Errorf("not at rest after %s: %s", within, why)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
