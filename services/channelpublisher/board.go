package channelpublisher

import (
	"slices"
	"sync"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// board is the latest offer of every listing: what channels should show. It
// follows channel.offers and is safe for concurrent use.
type board struct {
	codecs *event.Codecs

	mu     sync.RWMutex
	offers map[string]posted // by record key
}

// posted is an offer and the partition it stands in, -1 while it is only known
// from having been written.
type posted struct {
	offer     event.Offer
	partition int32
}

func newBoard(c *event.Codecs) *board { return &board{codecs: c, offers: map[string]posted{}} }

// apply takes one record of the table. An unreadable one is passed over here: the
// publisher sends it to the dead letters.
func (b *board) apply(rec *stream.Record) error {
	if rec.Value == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.offers, string(rec.Key))
		return nil
	}
	var o event.Offer
	if err := b.codecs.DecodeOffer(rec.Value, &o); err != nil || offerKey(o.Channel, o.Key) != string(rec.Key) {
		return nil //nolint:nilerr // see above
	}
	b.put(string(rec.Key), o, rec.Partition)
	return nil
}

// put keeps the offer with the greatest mark; of equals the last. What somebody
// who has lost his partition still writes changes nothing.
func (b *board) put(key string, o event.Offer, partition int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, ok := b.offers[key]
	if ok && partition < 0 {
		partition = old.partition
	}
	if ok && markOf(&old.offer).Compare(markOf(&o)) > 0 {
		if partition >= 0 {
			old.partition = partition
			b.offers[key] = old
		}
		return
	}
	b.offers[key] = posted{o, partition}
}

func (b *board) get(key string) (event.Offer, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p, ok := b.offers[key]
	return p.offer, ok
}

// after lists the keys of a channel's offers in a partition that come after a key,
// in order.
func (b *board) after(channel string, partition int32, key string) []string {
	var keys []string
	b.mu.RLock()
	for k, p := range b.offers {
		if p.partition == partition && p.offer.Channel == channel && k > key {
			keys = append(keys, k)
		}
	}
	b.mu.RUnlock()
	slices.Sort(keys)
	return keys
}
