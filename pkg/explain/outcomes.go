package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

const (
	// maxWindow is how many offsets of outcomes are read at a time when they are read from
	// the last back, and partWindow which part of the budget is, so that little of it is
	// spent on what it does not reach through.
	maxWindow, partWindow = 50_000, 16
	// maxKept bounds the outcomes of the item that are kept until the first of them is
	// found, but for those of one window.
	maxKept = 20_000
	// maxKeptNeeded and maxKeptBytes, of their records' values, bound them whatever a
	// question needs.
	maxKeptNeeded, maxKeptBytes = 100_000, 32 << 20
)

// keeps is how many outcomes are kept at most, and of how many bytes their values are.
type keeps struct {
	outcomes int
	bytes    int64
}

func (k keeps) within(most keeps) bool { return k.outcomes <= most.outcomes && k.bytes <= most.bytes }

// readOutcomes adds up what the item's outcomes moved, as far as its state has come.
func (r *reader) readOutcomes(ctx context.Context) error {
	start, end, err := r.span(ctx, event.TopicOutcomes)
	if err != nil {
		return err
	}
	if start > 0 {
		r.partly(fmt.Sprintf("retention took the outcomes before offset %d", start))
	}
	floor := end
	if !r.cfg.When.Now() {
		if floor, err = r.floor(ctx, r.cfg.When.since(), start, end); err != nil {
			return err
		}
	}
	if r.budget.Records > 0 {
		err = r.back(ctx, start, floor, end)
	} else {
		r.all = true
		err = r.outcomes(ctx, start, end, r.tell)
	}
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if r.all && !r.whole && r.begins() {
		r.whole, r.item.Incomplete = true, ""
	}
	if !r.cfg.When.Now() && !r.whole && floor == start {
		return r.forgotten(ctx, r.cfg.When, start, end, r.cfg.Now)
	}
	return nil
}

// back reads outcomes from the last one back until there are as many contributions as
// are wanted, and all from the floor on, or the budget is spent, or as many are kept as may
// be. ErrTooMuch is where that is above the floor.
func (r *reader) back(ctx context.Context, start, floor, end int64) error {
	if r.spent.Records+end-floor > r.budget.Records {
		return ErrTooMuch
	}
	var found []entry
	var kept keeps
	contributions, from, full := 0, end, false
	window := min(maxWindow, max(1, r.budget.Records/partWindow))
	for from > start && !full {
		to, next := from, max(start, from-window)
		if to > floor {
			next = max(next, floor)
		}
		var more []entry
		err := r.outcomes(ctx, next, to, func(e *entry) error {
			more = append(more, *e)
			kept.outcomes, kept.bytes = kept.outcomes+1, kept.bytes+e.size
			for len(more) > 0 && !kept.within(r.cfg.kept) {
				if to > floor {
					return ErrTooMuch
				}
				// The last ones tell: the first of the window are as if not read.
				full, next = true, more[0].at+1
				kept.outcomes, kept.bytes = kept.outcomes-1, kept.bytes-more[0].size
				more[0], more = entry{}, more[1:]
			}
			told := false
			e.places(func(l inventory.Location) { told = told || r.wanted(l) })
			if told && r.tells(e, e.RecordedAt) {
				contributions++
			}
			return nil
		})
		if errors.Is(err, ErrTooMuch) && from <= floor { // what was read before tells
			break
		}
		if err != nil {
			return err
		}
		from, found = next, append(more, found...)
		if from <= floor && (contributions >= r.cfg.Limit || len(found) >= maxKept) {
			break
		}
	}
	if r.all = from == start; !r.all {
		r.partly(fmt.Sprintf("outcomes before offset %d were not read", from))
	}
	for i := range found {
		if err := r.tell(&found[i]); err != nil {
			return err
		}
	}
	return nil
}

// begins says whether the outcomes at hand are all the item ever had, though the log
// does not begin with it: their first is that of its first version, and what they moved
// is what stands.
func (r *reader) begins() bool {
	if r.first < 0 || r.first > 1 {
		return false
	}
	for name, st := range r.state { // in any order: all have to agree
		if !r.wanted(name) {
			continue
		}
		var told States
		if p := r.at[name]; p != nil {
			told = plus(p.Balance(), p.later)
		}
		if told != st.States {
			return false
		}
	}
	return true
}

// tell takes one outcome, in the order of the log.
func (r *reader) tell(e *entry) error {
	// A rejected event leaves no trace in the state, its fence included. Every other
	// outcome comes in the order of the log, and those of events set aside before
	// right behind the one that let them go.
	if e.Kind != inventory.Rejected && beyond(&r.item.Fence, e.Lineage, e.Offset) {
		return errEnough
	}
	if r.first < 0 && e.Kind != inventory.Rejected { // which has no version
		r.first = e.Version
	}
	r.add(e)
	return nil
}

// tells says whether the outcome is one of the time asked for: it was known, and a
// part of it had happened.
func (r *reader) tells(e *entry, known inventory.Instant) bool {
	m := &r.cfg.When
	if !m.known(known) {
		return false
	}
	moves := e.moves()
	return len(moves) == 0 && (m.AsOf == 0 || e.OccurredAt <= m.AsOf) ||
		slices.ContainsFunc(moves, func(mv inventory.Move) bool { return m.happened(&mv) })
}

// add posts one outcome to the balances of the locations it moved something at.
func (r *reader) add(e *entry) {
	now := r.clock.pass(e)
	moves, moved := e.moves(), false
	tells := r.tells(e, now)
	e.places(func(l inventory.Location) {
		moved = true
		if !r.wanted(l) {
			return
		}
		p := r.place(l)
		c := Contribution{Outcome: e.Outcome, At: e.at, Balance: p.Balance()}
		c.Outcome.Moves = nil
		for i := range moves {
			did, here := effect(&moves[i], l)
			switch {
			case !here:
			case tells && r.cfg.When.happened(&moves[i]):
				c.Balance = plus(c.Balance, did)
				c.Outcome.Moves = append(c.Outcome.Moves, moves[i])
			default:
				p.later = plus(p.later, did)
			}
		}
		if len(c.Outcome.Moves) == 0 {
			return
		}
		p.Contributions = append(p.Contributions, c)
		if len(p.Contributions) > r.cfg.Limit {
			p.Skipped = p.Contributions[0].Balance
			p.Contributions = slices.Delete(p.Contributions, 0, 1)
			p.Earlier++
		}
	})
	if moved || !tells {
		return
	}
	r.item.Others = append(r.item.Others, e.Outcome)
	if len(r.item.Others) > r.cfg.Limit {
		r.item.Others = slices.Delete(r.item.Others, 0, 1)
		r.item.OthersBefore++
	}
}

// Balance is what the contributions come to: what stands there, or stood there at the
// when asked for.
func (l *Location) Balance() States {
	if n := len(l.Contributions); n > 0 {
		return l.Contributions[n-1].Balance
	}
	return l.Skipped
}
