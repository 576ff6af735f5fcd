// Package explain tells where an item's numbers come from: every contribution to
// what stands at its locations, taken from the outcomes in the order of the log,
// and the claims and supply lines beside them (Invariant 9). It adds the
// contributions up by itself and compares the sums with state and positions.
//
// It may run beside live services: everything is read as of one moment, that of the
// item's state.
package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// ErrUnknown is returned of an item that has no state.
var ErrUnknown = errors.New("explain: the ledger has no such item")

// Config says what to explain.
type Config struct {
	Kafka    stream.Config
	Codecs   *event.Codecs
	Key      inventory.Key
	Location inventory.Location // empty: all
	// Limit bounds the contributions kept for each location, the last ones; those
	// before are one sum. It is above zero.
	Limit int
}

// States are quantities by state at a location.
type States = [inventory.NumStates]inventory.Quantity

// Contribution is what one outcome did at a location.
type Contribution struct {
	Outcome inventory.Outcome // its moves are those at the location
	Balance States            // after it
}

// Claim is the open claim of a demand line or reservation.
type Claim struct {
	Line     *inventory.Line
	Quantity inventory.Quantity
}

// Supply is what is still to come of a supply line.
type Supply struct {
	Line     *inventory.SupplyLine
	Due      inventory.Day
	Quantity inventory.Quantity
}

// Location is everything that makes the numbers of one.
type Location struct {
	Location      inventory.Location
	Before        States // that which the outcomes at hand do not tell; 0 of a whole log
	Earlier       int    // contributions left out
	Skipped       States // their balance, with Before
	Contributions []Contribution
	Claims        []Claim
	Supply        []Supply
	Position      inventory.Position
}

// Item is the explanation of one item.
type Item struct {
	Key       inventory.Key
	Partition int32
	Fence     inventory.Fence
	Version   int64
	Frozen    inventory.Frozen
	Locations []Location // by name
	// Others are outcomes without a move, the last ones: demand, supply, requests,
	// what was noted, parked or refused.
	Others       []inventory.Outcome
	OthersBefore int      // those left out
	Differences  []string // where the sums are not what stands in state or positions
	Incomplete   string   // why the outcomes do not reach back to the first
}

type reader struct {
	cfg   Config
	reads *stream.RestoreReads
	item  *Item
	at    map[inventory.Location]*Location
	state map[inventory.Location]*inventory.LocationState
	whole bool
}

// Read explains an item. What does not add up is in the answer; an error says that
// there is none.
func Read(ctx context.Context, cfg Config) (*Item, error) {
	if cfg.Limit < 1 {
		return nil, errors.New("explain: the limit must be above 0")
	}
	reads, err := stream.NewRestoreReads(cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	defer reads.Close()
	_, partitions, err := reads.Topic(ctx, event.TopicEvents)
	if err != nil {
		return nil, fmt.Errorf("looking at the log: %w", err)
	}
	r := &reader{
		cfg: cfg, reads: reads, whole: true,
		item: &Item{Key: cfg.Key, Partition: stream.Partition([]byte(cfg.Key.String()), partitions)},
		at:   map[inventory.Location]*Location{}, state: map[inventory.Location]*inventory.LocationState{},
	}
	// State first: outcomes and positions of the transactions that made it are written
	// with it, so they are all there (EXACTLY-ONCE §3).
	if err := r.readState(ctx); err != nil {
		return nil, fmt.Errorf("reading state: %w", err)
	}
	if err := r.readOutcomes(ctx); err != nil {
		return nil, fmt.Errorf("reading outcomes: %w", err)
	}
	if err := r.readPositions(ctx); err != nil {
		return nil, fmt.Errorf("reading positions: %w", err)
	}
	r.finish()
	return r.item, nil
}

// wanted says whether a location is asked for.
func (r *reader) wanted(l inventory.Location) bool {
	return r.cfg.Location == "" || r.cfg.Location == l
}

func (r *reader) place(l inventory.Location) *Location {
	p := r.at[l]
	if p == nil {
		p = &Location{Location: l}
		r.at[l] = p
	}
	return p
}

// readState takes the item's pieces as they stand now.
func (r *reader) readState(ctx context.Context) error {
	prefix := r.cfg.Key.String() + "|"
	values := map[string][]byte{}
	_, err := r.reads.Fold(ctx, event.TopicState, r.item.Partition, func(rec *stream.Record) error {
		key := string(rec.Key)
		switch {
		case key != stream.HeaderKey && !strings.HasPrefix(key, prefix):
		case rec.Value == nil:
			delete(values, key)
		default:
			values[key] = slices.Clone(rec.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.begin(values[stream.HeaderKey]); err != nil {
		return err
	}
	delete(values, stream.HeaderKey)
	known := false
	for _, key := range sorted(values) {
		var piece inventory.Piece
		if err := r.cfg.Codecs.DecodeState([]byte(key), values[key], &piece); err != nil {
			return fmt.Errorf("decoding %s: %w", key, err)
		}
		known = known || piece.Head != nil
		r.take(&piece)
	}
	if !known {
		return ErrUnknown
	}
	return nil
}

// begin takes the partition's header, which says whether the log holds everything.
func (r *reader) begin(header []byte) error {
	if header == nil {
		return ErrUnknown
	}
	var h event.StateHeader
	if err := r.cfg.Codecs.DecodeStateHeader(header, &h); err != nil {
		return fmt.Errorf("decoding the partition header: %w", err)
	}
	if h.Origin != stream.OriginLog {
		r.partly("the partition began with a " + h.Origin)
	}
	return nil
}

func (r *reader) partly(why string) {
	if r.whole {
		r.whole, r.item.Incomplete = false, why
	}
}

func (r *reader) take(piece *inventory.Piece) {
	switch {
	case piece.Head != nil:
		h := piece.Head
		r.item.Fence, r.item.Version, r.item.Frozen = h.Fence, h.Version, h.Frozen
		for i := range h.Locations {
			r.state[h.Locations[i].Location] = &h.Locations[i]
		}
	case piece.Location != nil:
		r.state[piece.Location.Location] = piece.Location
	case piece.Line != nil:
		for _, c := range piece.Line.Claims {
			if r.wanted(c.Location) {
				p := r.place(c.Location)
				p.Claims = append(p.Claims, Claim{piece.Line, c.Quantity})
			}
		}
	case piece.Supply != nil:
		for _, o := range piece.Supply.Open {
			if r.wanted(o.Location) {
				p := r.place(o.Location)
				p.Supply = append(p.Supply, Supply{piece.Supply, o.Due, o.Quantity})
			}
		}
	}
}

// beyond says whether a place in the log is after what the state has applied.
func (r *reader) beyond(lineage, offset int64) bool {
	f := &r.item.Fence
	return cmp.Or(cmp.Compare(lineage, f.Lineage), cmp.Compare(offset, f.Offset)) > 0
}

var errEnough = errors.New("explain: read as far as the state")

// readOutcomes adds up what the item's outcomes moved, as far as its state has come.
func (r *reader) readOutcomes(ctx context.Context) error {
	start, err := r.reads.LogStart(ctx, event.TopicOutcomes, r.item.Partition)
	if err != nil {
		return err
	}
	if start > 0 {
		r.partly(fmt.Sprintf("retention took the outcomes before offset %d", start))
	}
	key := r.cfg.Key.String()
	_, err = r.reads.Fold(ctx, event.TopicOutcomes, r.item.Partition, func(rec *stream.Record) error {
		if string(rec.Key) != key {
			return nil
		}
		var o inventory.Outcome
		if err := r.cfg.Codecs.DecodeOutcome(rec.Value, &o); err != nil {
			return fmt.Errorf("decoding outcome at offset %d: %w", rec.Offset, err)
		}
		// A rejected event leaves no trace in the state, its fence included. Every other
		// outcome comes in the order of the log, and those of events set aside before
		// right behind the one that let them go.
		if o.Kind != inventory.Rejected && r.beyond(o.Lineage, o.Offset) {
			return errEnough
		}
		r.add(&o)
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// add posts one outcome to the balances of the locations it moved something at.
func (r *reader) add(o *inventory.Outcome) {
	moves := o.Moves
	if o.Kind == inventory.Noted { // in shadow they are what would have been
		moves = nil
	}
	var at []inventory.Location
	for i := range moves {
		for _, end := range [2]*inventory.Place{&moves[i].From, &moves[i].To} {
			if end.Account.IsState() && !slices.Contains(at, end.Location) {
				at = append(at, end.Location)
			}
		}
	}
	if len(at) == 0 {
		r.item.Others = append(r.item.Others, *o)
		if len(r.item.Others) > r.cfg.Limit {
			r.item.Others = slices.Delete(r.item.Others, 0, 1)
			r.item.OthersBefore++
		}
		return
	}
	for _, l := range at {
		if !r.wanted(l) {
			continue
		}
		p := r.place(l)
		c := Contribution{Outcome: *o, Balance: p.balance()}
		c.Outcome.Moves = nil
		for i := range moves {
			m := &moves[i]
			here := false
			if m.From.Account.IsState() && m.From.Location == l {
				c.Balance[m.From.Account] -= m.Quantity
				here = true
			}
			if m.To.Account.IsState() && m.To.Location == l {
				c.Balance[m.To.Account] += m.Quantity
				here = true
			}
			if here {
				c.Outcome.Moves = append(c.Outcome.Moves, *m)
			}
		}
		p.Contributions = append(p.Contributions, c)
		if len(p.Contributions) > r.cfg.Limit {
			p.Skipped = p.Contributions[0].Balance
			p.Contributions = slices.Delete(p.Contributions, 0, 1)
			p.Earlier++
		}
	}
}

// balance is what has added up so far.
func (l *Location) balance() States {
	if n := len(l.Contributions); n > 0 {
		return l.Contributions[n-1].Balance
	}
	return l.Skipped
}

// readPositions takes each location's latest position of the state or before.
func (r *reader) readPositions(ctx context.Context) error {
	prefix := r.cfg.Key.String() + "|"
	_, err := r.reads.Fold(ctx, event.TopicPositions, r.item.Partition, func(rec *stream.Record) error {
		if rec.Value == nil || !strings.HasPrefix(string(rec.Key), prefix) {
			return nil
		}
		var p inventory.Position
		if err := r.cfg.Codecs.DecodePosition(rec.Value, &p); err != nil {
			return fmt.Errorf("decoding position at offset %d: %w", rec.Offset, err)
		}
		if p.Key == r.cfg.Key && r.wanted(p.Location) && !r.beyond(p.Lineage, p.Offset) {
			r.place(p.Location).Position = p
		}
		return nil
	})
	return err
}

// Positions reads the latest positions of an item, by location: of a kit's parts,
// for one.
func Positions(ctx context.Context, kafka stream.Config, codecs *event.Codecs, key inventory.Key) ([]inventory.Position, error) {
	reads, err := stream.NewRestoreReads(kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	defer reads.Close()
	_, partitions, err := reads.Topic(ctx, event.TopicPositions)
	if err != nil {
		return nil, fmt.Errorf("looking at the positions: %w", err)
	}
	all := map[string]inventory.Position{}
	prefix := key.String() + "|"
	_, err = reads.Fold(ctx, event.TopicPositions, stream.Partition([]byte(key.String()), partitions), func(rec *stream.Record) error {
		if rec.Value == nil || !strings.HasPrefix(string(rec.Key), prefix) {
			return nil
		}
		var p inventory.Position
		if err := codecs.DecodePosition(rec.Value, &p); err != nil {
			return fmt.Errorf("decoding position at offset %d: %w", rec.Offset, err)
		}
		all[string(rec.Key)] = p
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading positions of %s: %w", key, err)
	}
	ps := make([]inventory.Position, 0, len(all))
	for _, k := range sorted(all) {
		ps = append(ps, all[k])
	}
	return ps, nil
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
