// Package explaintest makes a ledger's log, and all that the ledger makes of it, for
// tests of what is told from it.
package explaintest

import (
	"fmt"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// One is a unit of an item.
const One = inventory.One

// World is a log of one partition, decided by real ledgers. One goroutine uses it.
type World struct {
	Codecs *event.Codecs
	Policy inventory.Policy
	// Behind is by how much the clock of whoever writes outcomes is behind the log's.
	Behind time.Duration
	// Together is how many events of a key are one commit; below 2: each is one.
	Together int
	// Events, Outcomes and Positions are in the order of their topics.
	Events    []*stream.Record
	Outcomes  []*stream.Record
	Positions []*stream.Record

	ledgers map[inventory.Key]*inventory.Ledger
	keys    []inventory.Key
	waiting map[inventory.Key]int   // events of the commit that is open
	commits map[inventory.Key]int64 // version of the last one
	stood   map[string]int64        // by key of a position: version of the location's last change in it
}

// New makes an empty world.
func New() *World {
	return &World{
		Codecs: event.TestCodecs(), ledgers: map[inventory.Key]*inventory.Ledger{},
		waiting: map[inventory.Key]int{}, commits: map[inventory.Key]int64{}, stood: map[string]int64{},
	}
}

// Ledger is that of a key.
func (w *World) Ledger(k inventory.Key) *inventory.Ledger {
	l := w.ledgers[k]
	if l == nil {
		l = inventory.NewLedger(k, nothing{})
		w.ledgers[k] = l
		w.keys = append(w.keys, k)
	}
	return l
}

// Event is an event of a key that happened at a time, under a number of its own.
func Event(k inventory.Key, number string, occurred time.Time) *inventory.Event {
	d := inventory.Document{Type: "test", Number: number}
	return &inventory.Event{
		ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: k, Source: "wms", Document: d,
		OccurredAt: inventory.Instant(occurred.UnixMilli()), OccurredBasis: inventory.BasisDocument,
		Trace: inventory.Trace{RawID: "raw-" + number, RawLine: 1, MappingVersion: "wms@1"},
	}
}

// Move is a movement.
func Move(k inventory.Key, number string, occurred time.Time, m inventory.Movement) *inventory.Event {
	ev := Event(k, number, occurred)
	ev.Movement = &m
	return ev
}

// Count is a count of what can be sold.
func Count(k inventory.Key, number string, asOf time.Time, l inventory.Location, q inventory.Quantity) *inventory.Event {
	ev := Event(k, number, asOf)
	ev.Kind = inventory.KindCount
	ev.Count = &inventory.Count{
		Location: l, Basis: inventory.Sellable, Covers: []inventory.Account{inventory.OnHand},
		Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: q}}, AsOf: ev.OccurredAt, AsOfBasis: inventory.BasisDocument,
	}
	return ev
}

// Order is demand of an order.
func Order(k inventory.Key, number string, occurred time.Time, l inventory.Location, q inventory.Quantity) *inventory.Event {
	ev := Event(k, number, occurred)
	ev.Kind = inventory.KindDemand
	ev.Refs = []inventory.Ref{{Issuer: "shop", Type: "order", Number: number}}
	ev.Demand = &inventory.Demand{Stage: inventory.Ordered, Location: l, Quantity: q, Channel: "shop"}
	return ev
}

// Purchase is supply of a purchase order.
func Purchase(k inventory.Key, number string, occurred time.Time, l inventory.Location, q inventory.Quantity, due inventory.Day) *inventory.Event {
	ev := Event(k, number, occurred)
	ev.Kind = inventory.KindSupply
	ev.Refs = []inventory.Ref{{Issuer: "erp", Type: "purchase_order", Number: number}}
	ev.Supply = &inventory.Supply{Stage: inventory.Ordered, Location: l, Quantity: q, Due: due}
	return ev
}

// Send records an event at a time and writes what comes of it.
func (w *World) Send(recorded time.Time, ev *inventory.Event) (inventory.Outcome, error) {
	offset := int64(len(w.Events))
	value, err := w.Codecs.AppendEvent(nil, ev)
	if err != nil {
		return inventory.Outcome{}, fmt.Errorf("encoding an event: %w", err)
	}
	key := []byte(ev.Key.String())
	w.Events = append(w.Events, &stream.Record{Topic: event.TopicEvents, Key: key, Value: value, Timestamp: recorded})
	at := inventory.Instant(recorded.UnixMilli())
	ev.RecordedAt = at
	l := w.Ledger(ev.Key)
	out, err := l.Apply(&w.Policy, ev, inventory.At{Lineage: 1, Offset: offset})
	if err != nil {
		out = inventory.Outcome{
			Kind: inventory.Rejected, EventID: ev.ID, EventKind: ev.Kind, Key: ev.Key, Source: ev.Source, Document: ev.Document,
			OccurredAt: ev.OccurredAt, RecordedAt: at, Lineage: 1, Offset: offset,
		}
	}
	out.Moves = slices.Clone(out.Moves)
	for _, o := range append([]inventory.Outcome{out}, l.Also()...) {
		if value, err = w.Codecs.AppendOutcome(nil, &o); err != nil {
			return out, fmt.Errorf("encoding an outcome: %w", err)
		}
		w.Outcomes = append(w.Outcomes, &stream.Record{Topic: event.TopicOutcomes, Key: key, Value: value, Timestamp: recorded.Add(-w.Behind)})
	}
	if w.waiting[ev.Key]++; w.waiting[ev.Key] < w.Together {
		return out, nil
	}
	return out, w.Commit(ev.Key, recorded)
}

// Commit writes the positions that events of a key changed since the last one.
func (w *World) Commit(k inventory.Key, recorded time.Time) error {
	l, before := w.Ledger(k), w.commits[k]
	w.commits[k], w.waiting[k] = l.Version(), 0
	var changed []inventory.Position
	for _, p := range l.ChangedPositions() { // since the beginning: nothing clears them
		if now, _ := l.Position(p.Location); now.Version > before {
			changed = append(changed, p)
		}
	}
	for i := range changed {
		p := &changed[i]
		key := inventory.PositionKey(p.Key, p.Location)
		now, _ := l.Position(p.Location)
		if p.Previous = w.stood[key]; p.Previous == 0 {
			p.Previous = inventory.NoPrevious
		}
		w.stood[key] = now.Version
		p.Part, p.Parts = int32(i+1), int32(len(changed)) //nolint:gosec // few
		value, err := w.Codecs.AppendPosition(nil, p)
		if err != nil {
			return fmt.Errorf("encoding a position: %w", err)
		}
		w.Positions = append(w.Positions, &stream.Record{
			Topic: event.TopicPositions, Key: []byte(key), Value: value, Timestamp: recorded,
		})
	}
	return nil
}

// State is the state of all keys as it stands now, behind its header.
func (w *World) State() ([]*stream.Record, error) {
	header := event.StateHeader{
		Lineage: 1, Topic: event.TopicEvents, Partitions: 1, Partitioner: "murmur2", StoreVersion: 1, AppliedThrough: int64(len(w.Events)) - 1,
	}
	value, err := w.Codecs.AppendStateHeader(nil, &header)
	if err != nil {
		return nil, fmt.Errorf("encoding the header: %w", err)
	}
	recs := []*stream.Record{{Topic: event.TopicState, Key: []byte(stream.HeaderKey), Value: value}}
	var fail error
	for _, k := range w.keys {
		w.ledgers[k].Changed(func(p inventory.Piece) {
			if p.Deleted {
				return
			}
			value, err := w.Codecs.AppendState(nil, &p)
			if err != nil {
				fail = fmt.Errorf("encoding a piece of state: %w", err)
			}
			recs = append(recs, &stream.Record{Topic: event.TopicState, Key: []byte(inventory.StateKey(k, p.Kind, p.N...)), Value: value})
		})
	}
	return recs, fail
}

// nothing is an empty store: what a ledger has in hand is all it ever had.
type nothing struct{}

func (nothing) Head() *inventory.Head                                     { return nil }
func (nothing) Location(inventory.Location) *inventory.LocationState      { return nil }
func (nothing) IDs(int64) ([]inventory.Seen, inventory.Instant)           { return nil, 0 }
func (nothing) Journal(inventory.Location, int64) []inventory.Entry       { return nil }
func (nothing) Line(string) *inventory.Line                               { return nil }
func (nothing) SupplyLine(string) *inventory.SupplyLine                   { return nil }
func (nothing) Ref(string) *inventory.RefTarget                           { return nil }
func (nothing) View(inventory.Source, inventory.Location) *inventory.View { return nil }
func (nothing) Kept(string, int64) *inventory.Kept                        { return nil }
func (nothing) Names(string, string, func(string) bool)                   {}
func (nothing) Lines(func(*inventory.Line) bool)                          {}
