package channelpublisher

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// maxOffers bounds the offers appended at once.
const maxOffers = 2000

// offer evaluates what is dirty and appends what changed. Items of which only
// parts of a commit are here wait, unless it is known that no more comes. It needs
// the lock.
func (e *evaluator) offer(ctx context.Context, p *partition, complete bool) error {
	if !p.live || len(p.dirty) == 0 {
		return nil
	}
	promises := e.policies.Get()
	channels := promises.Channels()
	o := offering{e: e, p: p}
	for _, k := range slices.SortedFunc(maps.Keys(p.dirty), compareKeys) {
		f, ok := e.factsOf(p, promises, k, complete)
		if !ok {
			continue
		}
		o.done = append(o.done, k)
		for i := range channels {
			if offer, ok := e.evaluate(promises, &channels[i], k, f); ok {
				if err := o.add(offer); err != nil {
					return err
				}
			}
		}
		if len(o.recs) >= maxOffers {
			if err := o.flush(ctx); err != nil {
				return err
			}
		}
	}
	return o.flush(ctx)
}

// offering are offers on their way to the log.
type offering struct {
	e      *evaluator
	p      *partition
	offers []event.Offer
	recs   []*stream.Record
	done   []inventory.Key
}

func (o *offering) add(offer event.Offer) error {
	rec, err := offerRecord(o.e.codecs, &offer)
	if err != nil {
		return err
	}
	o.offers, o.recs = append(o.offers, offer), append(o.recs, rec)
	return nil
}

func (o *offering) flush(ctx context.Context) error {
	if err := o.e.produce(ctx, o.recs...); err != nil {
		return fmt.Errorf("appending offers: %w", err)
	}
	// Only what is durable counts as offered.
	for i := range o.offers {
		o.e.board.put(offerKey(o.offers[i].Channel, o.offers[i].Key), o.offers[i], -1)
	}
	for _, k := range o.done {
		delete(o.p.dirty, k)
	}
	o.e.count.offers.Add(float64(len(o.offers)))
	o.offers, o.recs, o.done = nil, nil, nil
	return nil
}

// known are the positions of an item, and of a kit's parts.
type known map[inventory.Key][]inventory.Position

func (f known) positions(k inventory.Key) []inventory.Position { return f[k] }

// factsOf are the facts of an item or kit; false while more of them is to come.
func (e *evaluator) factsOf(p *partition, promises *policy.Promises, k inventory.Key, complete bool) (known, bool) {
	it := p.items[k]
	if it != nil && !complete && !it.whole() {
		return nil, false
	}
	f := known{k: it.positions()}
	if parts := promises.Kit(k); len(parts) > 0 {
		return f, e.addParts(p, k, parts, f, complete)
	}
	return f, true
}

// evaluate computes what a channel should show of an item; ok is false when that
// stands already, or when the channel has nothing to do with the item.
func (e *evaluator) evaluate(promises *policy.Promises, c *policy.Channel, k inventory.Key, f known) (o event.Offer, ok bool) {
	last, offered := e.board.get(offerKey(c.Name, k))
	if !offered && (!c.Sells(k) || !f.at(c.Locations)) {
		return o, false // never there, never offered
	}
	now := e.now()
	today := func(l inventory.Location) inventory.Day { return e.day(promises, now, k.Entity, l) }
	o = event.Offer{Channel: c.Name, Key: k, Listing: c.Listing(k.Item), At: inventory.Instant(now.UnixMilli())}
	if c.Sells(k) { // what it lists no more stays there, with nothing to sell
		o.Quantity = inventory.Promise(promises.Question(&policy.Ask{
			Key: k, Channel: c, Now: o.At, Today: today, Heard: e.heard.Heard, Views: e.views.Of,
			Positions: f.positions,
		})).Quantity
	}
	var day inventory.Day
	for _, l := range c.Locations {
		day = max(day, today(l))
	}
	of := promises.Facts(k, f.positions)
	o.Day, o.Version, o.PolicyVersion, o.EventID, o.RecordedAt = place.Date(day), of.Version, of.PolicyVersion, of.EventID, of.RecordedAt
	if offered && len(promises.Kit(k)) > 0 && o.PolicyVersion > last.PolicyVersion {
		// Of other parts the last change may be older. What the channel shows must not
		// look newer than what another policy makes of it.
		o.Version = max(o.Version, last.Version)
	}
	if offered && last.Quantity == o.Quantity && last.Listing == o.Listing {
		return o, false
	}
	if offered && markOf(&last).Compare(markOf(&o)) > 0 {
		// Somebody has offered from newer facts: this partition is not ours any more.
		e.logger.Warn("a newer offer stands", slog.String("channel", c.Name), slog.String("item", k.String()))
		return o, false
	}
	return o, true
}

// at says whether any of it is or was at one of the locations.
func (f known) at(locations []inventory.Location) bool {
	for _, ps := range f {
		for i := range ps {
			if slices.Contains(locations, ps[i].Location) {
				return true
			}
		}
	}
	return false
}
