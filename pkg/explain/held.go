package explain

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Gap says why the position of a past time is not told.
type Gap string

const (
	// GapCompacted is of a position that the log does not hold any more.
	GapCompacted Gap = "compacted"
	// GapCommit is of a time between the events of one commit, which writes positions
	// as of its last.
	GapCommit Gap = "within_commit"
	// GapUnsettled is of a log whose topics have not come equally far yet.
	GapUnsettled Gap = "unsettled"
	// GapTooMuch is of positions that the budget, or the time, does not reach through.
	GapTooMuch Gap = "too_much"
)

// within is the longest that outcomes of one transaction are written apart. It is far
// above the time a transaction may take.
const within = clocksApart

// bound is what outcomes tell of the item's version at the time.
type bound struct {
	known     bool // an outcome of before the time is at hand
	version   int64
	written   inventory.Instant // when the last known one was
	after     bool              // one of after the time is at hand: these are the first's
	next      int64             // version after it
	nextAt    inventory.Fence   // its place among events
	nextWrite inventory.Instant
}

// pass takes an outcome that is known at the time, or is not.
func (b *bound) pass(e *entry, known bool) {
	switch {
	case known:
		b.known, b.version, b.written = true, max(b.version, e.Version), e.written
	case !b.after:
		b.after, b.next, b.nextWrite = true, e.Version, e.written
		b.nextAt = inventory.Fence{Lineage: e.Lineage, Offset: e.Offset}
	}
}

// near are the positions of a location around the time; nil: none is at hand.
type near struct {
	below *inventory.Position // the last of version lo or before
	at    *inventory.Position // of version hi, where that is another one
	above *inventory.Position // the first of after hi
}

// held looks for the positions as they stood: those of the version that the item had,
// which is lo or hi. A position says which one it took the place of, so it is known
// whether the one before it that is at hand was the last, whatever was compacted away.
type held struct {
	bound
	lo, hi int64
	cut    bool // outcomes of the transaction before may be gone
	by     inventory.Instant
	latest int64 // version of the item, by its outcomes
	max    int64 // of positions at hand
	all    bool  // those of the log are at hand, as far as outcomes reach or further
	first  int64 // of those of after hi; 0: none is at hand
	ends   [2]bool
	past   bool // a position of version hi is of before the first outcome of after the time
	at     map[inventory.Location]*near
}

func newHeld(t *then, cut bool) *held {
	h := &held{bound: t.bound, cut: cut, by: t.m.KnownAt, latest: t.version, at: map[inventory.Location]*near{}}
	switch {
	case !h.after:
		h.lo, h.hi = t.version, t.version
	case h.known:
		h.lo, h.hi = h.version, h.version
	default: // whether the first outcome of after the time changed a position is not said
		h.lo, h.hi = h.next-1, h.next
	}
	return h
}

// take looks at a position, which may come twice.
func (h *held) take(p *inventory.Position) {
	n := h.at[p.Location]
	if n == nil {
		n = &near{}
		h.at[p.Location] = n
	}
	keep := func(into **inventory.Position, better bool) {
		if *into == nil || better {
			one := *p
			*into = &one
		}
	}
	h.max = max(h.max, p.Version)
	switch {
	case p.Version <= h.lo:
		h.ends[0] = h.ends[0] || p.Version == h.lo
		keep(&n.below, n.below != nil && p.Version > n.below.Version)
	case p.Version == h.hi:
		h.ends[1] = true
		h.past = h.past || cmp.Or(cmp.Compare(p.Lineage, h.nextAt.Lineage), cmp.Compare(p.Offset, h.nextAt.Offset)) < 0
		keep(&n.at, false)
	default:
		if h.first == 0 || p.Version < h.first {
			h.first = p.Version
		}
		keep(&n.above, n.above != nil && p.Version < n.above.Version)
	}
}

// of is the position of a location as it stood; nil: there was none.
func (h *held) of(name inventory.Location) (*inventory.Position, Gap) {
	n := h.at[name]
	if n == nil {
		return nil, GapUnsettled // its outcomes are there, and no position
	}
	p, next, first := n.below, n.above, h.first
	same := h.known || !h.after // the version is lo
	ends := same && h.ends[0]   // with it a commit
	version := h.lo
	switch {
	case h.past:
		version, same, ends = h.hi, true, true
		if n.at != nil {
			p = n.at
		}
	case h.ends[1]:
		first = h.hi
		if n.at != nil {
			next = n.at
		}
	}
	apart := !h.cut
	if h.known {
		apart = h.nextWrite-h.written > within
	}
	switch {
	case p != nil && p.RecordedAt > h.by, next != nil && !h.after, next == nil && !h.all && h.max < h.latest:
		return nil, GapUnsettled // outcomes and positions do not reach equally far
	case p != nil && p.Version == version && same, next == nil:
		return p, ""
	case next.Version == first && !ends && !apart:
		return nil, GapCommit // of which some events may be of before the time
	case next.Previous == inventory.NoPrevious && p == nil:
		return nil, ""
	case p != nil && next.Previous > 0 && next.Previous <= p.Version:
		return p, ""
	}
	return nil, GapCompacted
}

// hold tells the positions of the locations as they stood, from those that are at hand
// and, where these do not tell, from all of the log.
func (t *then) hold(ctx context.Context, l *log, cfg *ThenConfig, cut bool) error {
	h := newHeld(t, cut)
	for i := range cfg.Positions {
		h.take(&cfg.Positions[i])
	}
	if t.put(h, cfg) {
		return nil
	}
	// A transaction whose outcomes are at hand was pending at most when this begins, and
	// is waited for.
	err := l.positions(ctx, h.take)
	h.all = err == nil
	if err != nil && !errors.Is(err, ErrTooMuch) && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	if !t.put(h, cfg) && err != nil {
		for _, s := range t.at { // in any order
			if s.gap == GapCompacted || s.gap == GapUnsettled {
				s.gap = GapTooMuch
			}
		}
	}
	return nil
}

// put says whether all that is asked for is told.
func (t *then) put(h *held, cfg *ThenConfig) bool {
	all := true
	for name, s := range t.at { // in any order
		s.position, s.gap = h.of(name)
		if s.gap == "" && (s.position == nil && s.States != States{} || s.position != nil && s.position.States != s.States) {
			s.position, s.gap = nil, GapUnsettled // what outcomes and positions tell has to agree
		}
		if s.gap != "" && (len(cfg.Locations) == 0 || slices.Contains(cfg.Locations, name)) {
			all = false
		}
	}
	return all
}
