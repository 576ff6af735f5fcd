// Package explain tells where an item's numbers come from: every contribution to
// what stands at its locations, taken from the outcomes in the order of the log,
// and the claims and supply lines beside them (Invariant 9). It adds the
// contributions up by itself and compares the sums with state and positions.
//
// It may run beside live services: everything is read as of one moment, that of the
// item's state.
//
// Nothing finds an item's records but reading its partition. Read goes through those of
// state and of positions, and through that of outcomes from its beginning or, within a
// Budget, back from its end; Then, which needs positions alone, through outcomes since
// the time asked for.
package explain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Config says what to explain.
type Config struct {
	Kafka  stream.Config
	Reads  *stream.RestoreReads // in the place of Kafka, where it is set
	Codecs *event.Codecs
	Key    inventory.Key
	// Locations are told about; none: all.
	Locations []inventory.Location
	// Limit bounds the contributions kept for each location, the last ones; those
	// before are one sum. It is above zero.
	Limit int
	// When narrows the contributions. Of another one than now there are no claims,
	// supply and positions.
	When When
	Now  inventory.Instant // needed of a When
	// Budget bounds what is read. With one of records, outcomes are read from the last back,
	// until there are as many contributions as the Limit.
	Budget Budget
	Spent  *Spent // counts what is read, where it is set

	kept keeps // zero: what the constants say; another one for tests
}

// States are quantities by state at a location.
type States = [inventory.NumStates]inventory.Quantity

// Contribution is what one outcome did at a location.
type Contribution struct {
	Outcome inventory.Outcome // its moves are those at the location
	At      int64             // offset of the outcome among outcomes
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

	later States // what happened after the time asked for, or was recorded after it
}

// Item is the explanation of one item.
type Item struct {
	Key       inventory.Key
	Partition int32
	Fence     inventory.Fence
	Version   int64
	When      When
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
	*log
	cfg   Config
	item  *Item
	at    map[inventory.Location]*Location
	state map[inventory.Location]*inventory.LocationState
	whole bool
	clock clock
	first int64 // version after the item's first outcome at hand; -1: none is
	all   bool  // the outcomes at hand are all that the log has
}

// Read explains an item. What does not add up is in the answer; an error says that
// there is none.
func Read(ctx context.Context, cfg Config) (*Item, error) {
	if cfg.Limit < 1 {
		return nil, errors.New("explain: the limit must be above 0")
	}
	if cfg.kept == (keeps{}) {
		cfg.kept = keeps{maxKeptNeeded, maxKeptBytes}
	}
	l := &log{codecs: cfg.Codecs, key: cfg.Key, budget: cfg.Budget, spent: cfg.Spent}
	end, err := openLog(ctx, cfg.Kafka, cfg.Reads, l)
	if err != nil {
		return nil, err
	}
	defer end()
	r := &reader{
		log: l, cfg: cfg, whole: true, first: -1,
		item: &Item{Key: cfg.Key, Partition: l.partition, When: cfg.When},
		at:   map[inventory.Location]*Location{}, state: map[inventory.Location]*inventory.LocationState{},
	}
	// State first: outcomes and positions of the transactions that made it are written
	// with it, so they are all there (EXACTLY-ONCE §3).
	if err := r.readState(ctx); err != nil {
		return nil, fmt.Errorf("reading state: %w", err)
	}
	// Outcomes last: they have what the others leave of the budget.
	if err := r.readPositions(ctx); err != nil {
		return nil, fmt.Errorf("reading positions: %w", err)
	}
	if err := r.readOutcomes(ctx); err != nil {
		return nil, fmt.Errorf("reading outcomes: %w", err)
	}
	r.finish()
	return r.item, nil
}

// wanted says whether a location is asked for.
func (r *reader) wanted(l inventory.Location) bool {
	return len(r.cfg.Locations) == 0 || slices.Contains(r.cfg.Locations, l)
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
	err := r.fold(ctx, event.TopicState, func(rec *stream.Record) error {
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
	for _, key := range slices.Sorted(maps.Keys(values)) {
		var piece inventory.Piece
		if err := r.codecs.DecodeState([]byte(key), values[key], &piece); err != nil {
			return fmt.Errorf("%w: state %s: %w", ErrUnreadable, key, err)
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
	if err := r.codecs.DecodeStateHeader(header, &h); err != nil {
		return fmt.Errorf("%w: the partition header: %w", ErrUnreadable, err)
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

// readPositions takes each location's latest position of the state or before.
func (r *reader) readPositions(ctx context.Context) error {
	return r.positions(ctx, func(p *inventory.Position) {
		if r.wanted(p.Location) && !beyond(&r.item.Fence, p.Lineage, p.Offset) {
			r.place(p.Location).Position = *p
		}
	})
}

// Positions reads the latest positions of an item, by location: of a kit's parts,
// for one.
func Positions(ctx context.Context, kafka stream.Config, codecs *event.Codecs, key inventory.Key) ([]inventory.Position, error) {
	l := &log{codecs: codecs, key: key}
	end, err := openLog(ctx, kafka, nil, l)
	if err != nil {
		return nil, err
	}
	defer end()
	all := map[inventory.Location]inventory.Position{}
	if err := l.positions(ctx, func(p *inventory.Position) { all[p.Location] = *p }); err != nil {
		return nil, fmt.Errorf("reading positions of %s: %w", key, err)
	}
	ps := make([]inventory.Position, 0, len(all))
	for _, k := range slices.Sorted(maps.Keys(all)) {
		ps = append(ps, all[k])
	}
	return ps, nil
}
