package channelpublisher

import (
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
)

// moment is all that changes what is promised of the same facts: the policy, the
// overrides that hold, and the calendar days.
type moment struct {
	promises *policy.Promises // nil: nothing was evaluated yet
	epoch    int
	days     []inventory.Day // at each of the locations channels sell from, in their order
}

// moment is the present one.
func (e *evaluator) moment() moment {
	now := e.now()
	m := moment{promises: e.policies.Get()}
	m.epoch = m.promises.Epoch(inventory.Instant(now.UnixMilli()))
	channels := m.promises.Channels()
	for i := range channels {
		for _, l := range channels[i].Locations {
			m.days = append(m.days, e.day(m.promises, now, channels[i].Entity, l))
		}
	}
	return m
}

// day is the calendar day at a location.
func (e *evaluator) day(p *policy.Promises, now time.Time, en inventory.Entity, l inventory.Location) inventory.Day {
	return place.DayAt(now, e.zones.Zone(en, l, p.Zone(en, l)))
}

// refresh marks what another moment may change. It needs the lock.
func (e *evaluator) refresh(p *partition) {
	m := e.moment()
	all := m.promises != p.seen.promises || m.epoch != p.seen.epoch
	if !all && slices.Equal(m.days, p.seen.days) {
		return
	}
	for k, it := range p.items {
		if all || it.dated() {
			p.dirty[k] = true
		}
	}
	for _, k := range e.kitsOf(p, m.promises) {
		p.dirty[k] = true
	}
	p.seen = m
}

// dated says whether the item's number may be another one on another day.
func (i *item) dated() bool {
	for _, p := range i.at {
		if len(p.Reserved) > 0 || len(p.Supply) > 0 {
			return true
		}
	}
	return false
}

func compareKeys(a, b inventory.Key) int { return strings.Compare(a.String(), b.String()) }
