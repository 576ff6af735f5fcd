package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// ThenConfig says what of the past to tell.
type ThenConfig struct {
	Kafka  stream.Config
	Reads  *stream.RestoreReads // in the place of Kafka, where it is set
	Codecs *event.Codecs
	Key    inventory.Key
	When   When // not now
	Now    inventory.Instant
	// Positions are the item's, each of any time; what was written before Since is in
	// them.
	Positions []inventory.Position
	Since     inventory.Instant
	// Held asks for the positions as they stood, too: of a KnownAt alone. They are told
	// of Locations; none: all.
	Held      bool
	Locations []inventory.Location
	Budget    Budget
	Spent     *Spent // counts what is read, where it is set
}

// Past is what stood at a past time.
type Past struct {
	Partition int32
	From, To  int64 // outcomes read: from, and up to below
	Version   int64 // of the item, now
	Locations []Stood
}

// Stood is what stood at a location: nothing where it was not known yet.
type Stood struct {
	Location inventory.Location
	States   States
	// Position is all that was known of it, where that was asked for; nil: nothing was,
	// or, with a Gap, it is not told.
	Position *inventory.Position
	Gap      Gap
}

// stood follows a location back to the time.
type stood struct {
	States
	base    States // as the position has it
	version int64  // of the position: it has the outcomes up to that
	told    States // of the base, by the outcomes at hand

	position *inventory.Position
	gap      Gap
}

// Then tells what stood at a past time, from the positions and the outcomes written since:
// of those that a position has, what is after the time is taken off it, and of
// those it has not yet what is not is put to it. An item has a version an outcome that
// moves something, so it is known which those are.
//
// It is told only where the log has outcomes of before the time, or all of the item;
// else the error is a *ForgottenError.
func Then(ctx context.Context, cfg ThenConfig) (*Past, error) {
	l := &log{codecs: cfg.Codecs, key: cfg.Key, budget: cfg.Budget, spent: cfg.Spent}
	end, err := openLog(ctx, cfg.Kafka, cfg.Reads, l)
	if err != nil {
		return nil, err
	}
	defer end()
	start, until, err := l.span(ctx, event.TopicOutcomes)
	if err != nil {
		return nil, fmt.Errorf("looking at the outcomes: %w", err)
	}
	since := cfg.When.since()
	floor, err := l.floor(ctx, since, start, until)
	if err != nil {
		return nil, err
	}
	from := floor
	if cfg.Held { // with what one transaction wrote before
		if from, err = l.floor(ctx, since-within, start, until); err != nil {
			return nil, err
		}
	}
	if before := cfg.Since - clocksApart; before < since {
		further, err := l.floor(ctx, before, start, until)
		if err != nil {
			return nil, err
		}
		from = min(from, further)
	}
	if cfg.Budget.Records > 0 && until-from > cfg.Budget.Records {
		return nil, ErrTooMuch
	}
	t := &then{m: cfg.When, at: map[inventory.Location]*stood{}, first: -1}
	for i := range cfg.Positions {
		p := &cfg.Positions[i]
		t.at[p.Location] = &stood{States: p.States, base: p.States, version: p.Version}
		t.version = max(t.version, p.Version)
	}
	if err := l.outcomes(ctx, from, until, t.take); err != nil {
		return nil, fmt.Errorf("reading outcomes: %w", err)
	}
	if floor == start && !t.whole() {
		return nil, l.forgotten(ctx, cfg.When, start, until, cfg.Now)
	}
	if cfg.Held {
		if err := t.hold(ctx, l, &cfg, from == start && start > 0 && !t.whole()); err != nil {
			return nil, fmt.Errorf("reading positions: %w", err)
		}
	}
	out := &Past{Partition: l.partition, From: from, To: until, Version: t.version}
	for name, s := range t.at { // in any order: sorted below
		out.Locations = append(out.Locations, Stood{name, s.States, s.position, s.gap})
	}
	slices.SortFunc(out.Locations, func(a, b Stood) int { return strings.Compare(string(a.Location), string(b.Location)) })
	return out, nil
}

type then struct {
	m       When
	at      map[inventory.Location]*stood
	clock   clock
	version int64
	first   int64 // version after the item's first outcome at hand; -1: none is
	bound   bound
}

func (t *then) take(e *entry) error {
	if e.Kind == inventory.Rejected { // it moves nothing
		if e.Version > 0 { // it had waited, and is dropped
			t.version = max(t.version, e.Version)
			t.bound.pass(e, t.m.known(inventory.Instant(t.clock)))
		}
		return nil
	}
	if t.first < 0 {
		t.first = e.Version
	}
	t.version = max(t.version, e.Version)
	known := t.m.known(t.clock.pass(e))
	t.bound.pass(e, known)
	moves := e.moves()
	e.places(func(name inventory.Location) {
		s := t.at[name]
		if s == nil {
			s = &stood{}
			t.at[name] = s
		}
		had := e.Version <= s.version
		for i := range moves {
			did, here := effect(&moves[i], name)
			if !here {
				continue
			}
			if had {
				s.told = plus(s.told, did)
			}
			switch told := known && t.m.happened(&moves[i]); {
			case told && !had:
				s.States = plus(s.States, did)
			case !told && had:
				s.States = minus(s.States, did)
			}
		}
	})
	return nil
}

// whole says whether the outcomes at hand are all the item ever had: their first is that
// of its first version, and what they moved is what stands.
func (t *then) whole() bool {
	if t.first < 0 || t.first > 1 {
		return false
	}
	for _, s := range t.at { // in any order: all have to agree
		if s.told != s.base {
			return false
		}
	}
	return true
}
