package atpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/feed"
	"github.com/stockweave/stockweave/services/atpapi/hooks"
)

// scopeOf is what a subscription is about.
func scopeOf(s *event.Subscription) query {
	return query{key: inventory.Key{Entity: s.Entity}, location: s.Location, group: s.Group, channel: s.Channel, narrow: s.Narrow}
}

// streamOf is the stream of changes that a subscription's messages are made of.
func streamOf(s *event.Subscription) *subscription {
	out := &subscription{like: scopeOf(s)}
	for _, it := range s.Items {
		if out.named == nil {
			out.named = map[inventory.Item]bool{}
		}
		out.named[inventory.Item(it)] = true
		out.items = append(out.items, inventory.Item(it))
	}
	return out
}

// follow has a courier deliver what changes, from where it stands, until ctx is done or
// something fails. It is a stream of changes as any other (ADR 32), whose reader takes as
// long for each message as it is tried: what falls out of memory meanwhile is read from the
// log again, of each item the latest.
func (s *subscribers) follow(ctx context.Context, es *event.Subscription, c *hooks.Courier) error {
	sub := streamOf(es)
	if bad := s.visitor(es.Owner).subscribe(&sub.like); bad != nil {
		return bad
	}
	if text := c.Bookmark(); text != "" {
		from, err := feed.ParseBookmark(text)
		if err != nil {
			return fmt.Errorf("reading where subscription %s stands: %w", es.ID, err)
		}
		sub.from = from
	}
	st, bad := s.changes.begin(ctx, sub)
	if bad != nil {
		return bad
	}
	defer st.close()
	m := &messages{s: st, id: es.ID, most: s.cfg.MaxChanges, sending: map[inventory.Item]bool{}}
	for _, it := range c.Sending() {
		m.sending[inventory.Item(it)] = true
		st.add(inventory.Key{Entity: es.Entity, Item: inventory.Item(it)}, 0)
	}
	// What was under way comes first, and by itself: so it has the same id.
	slices.SortStableFunc(st.order, func(a, b inventory.Key) int { return m.rank(a.Item) - m.rank(b.Item) })
	m.deliver = func(b *hooks.Batch) error { return c.Deliver(ctx, b) }
	m.reread = func(keys []inventory.Key) ([]told, bool) { return st.reread(ctx, keys) }
	m.passed = func(bookmark string, settle bool) {
		if c.Passed(bookmark); settle {
			c.Settle(ctx)
		}
	}
	st.out = m
	_, err := st.run(ctx, math.MaxInt64)
	return err
}

// messages is an output that a courier delivers.
type messages struct {
	s       *changeStream
	id      string // of the subscription
	most    int    // items of one message
	sending map[inventory.Item]bool
	deliver func(*hooks.Batch) error
	reread  func(keys []inventory.Key) ([]told, bool)
	passed  func(bookmark string, settle bool)
}

func (m *messages) rank(it inventory.Item) int {
	if m.sending[it] {
		return 0
	}
	return 1
}

func (m *messages) pause() {}

func (m *messages) last(told) {} // whoever comes next goes on

func (m *messages) beat(id string) error {
	m.passed(id, true)
	return nil
}

func (m *messages) tell(events []told) error {
	m.s.tail.Release() // a receiver may be away for days
	for len(events) > 0 {
		n := m.together(events)
		of := events[:n:n]
		events = events[n:]
		b := &hooks.Batch{From: of[0].from}
		for i := range of {
			if of[i].id != "" {
				b.To = of[i].id
			}
		}
		keys := keysOf(of)
		for _, k := range keys {
			b.Items = append(b.Items, string(k.Item))
		}
		b.Make = func(again bool) (*hooks.Message, error) {
			if again && len(keys) > 0 {
				if now, ok := m.reread(keys); ok { // else what is known is the newest there is
					of = now
				}
			}
			return m.message(of)
		}
		if of[0].name == eventOpen {
			m.passed(b.To, false)
			continue
		}
		if err := m.deliver(b); err != nil {
			return err
		}
	}
	return nil
}

// together is how many of the first events are told in one message.
func (m *messages) together(events []told) int {
	first := keysOf(events[:1])
	if len(first) == 0 {
		return 1
	}
	n := 1
	for ; n < min(len(events), m.most); n++ {
		if next := keysOf(events[n : n+1]); len(next) == 0 || m.rank(next[0].Item) != m.rank(first[0].Item) {
			break
		}
	}
	return n
}

// keysOf are the items that events are of.
func keysOf(events []told) []inventory.Key {
	var out []inventory.Key
	for i := range events {
		switch e := events[i].data.(type) {
		case *changeEvent:
			out = append(out, inventory.Key{Entity: inventory.Entity(e.Entity), Item: inventory.Item(e.Item)})
		case problemEvent:
			out = append(out, inventory.Key{Entity: inventory.Entity(e.Entity), Item: inventory.Item(e.Item)})
		}
	}
	return out
}

// changedData is the data of atp.changed.
type changedData struct {
	Subscription string         `json:"subscription"`
	Changes      []*changeEvent `json:"changes"`
	Problems     []problemEvent `json:"problems,omitempty"`
}

// reasonData is the data of atp.recheck and atp.reset.
type reasonData struct {
	Subscription string `json:"subscription"`
	reasonOf
}

// message makes one of events; nil of none.
func (m *messages) message(events []told) (*hooks.Message, error) {
	if len(events) == 0 {
		return nil, nil //nolint:nilnil // there is nothing to tell
	}
	if why, ok := events[0].data.(reasonOf); ok {
		typ := hooks.TypeRecheck
		if events[0].name == eventReset {
			typ = hooks.TypeReset
		}
		return said(typ, reasonData{m.id, why}, why)
	}
	data, bare := changedData{Subscription: m.id, Changes: []*changeEvent{}}, changedData{}
	for i := range events {
		switch e := events[i].data.(type) {
		case *changeEvent:
			data.Changes = append(data.Changes, e)
			b := *e
			b.Freshness = nil
			bare.Changes = append(bare.Changes, &b)
		case problemEvent:
			data.Problems = append(data.Problems, e)
			bare.Problems = append(bare.Problems, e)
		}
	}
	return said(hooks.TypeChanged, data, bare)
}

func said(typ string, data, says any) (*hooks.Message, error) {
	b, err := json.Marshal(says)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	return &hooks.Message{Type: typ, Data: data, Says: b}, nil
}

// reread is what there is to tell of items now; false: what is read from stands before what
// was told already.
func (s *changeStream) reread(ctx context.Context, keys []inventory.Key) ([]told, bool) {
	qs := make([]query, len(keys))
	for i, k := range keys {
		qs[i] = s.sub.like
		qs[i].key = k
	}
	got := s.reader.readHeld(ctx, qs)
	floor := slices.Clone(s.sent.Floor)
	var events []told
	for i, k := range keys {
		if !s.stands(got, k, floor) {
			return nil, false
		}
		delete(s.told, k) // so that it is told though it is the same
		if e, ok := s.event(k, &got.results[i]); ok {
			events = append(events, e)
		}
	}
	s.sent.Floor = floor
	return events, true
}
