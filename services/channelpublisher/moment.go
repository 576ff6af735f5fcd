package channelpublisher

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
)

// moment is all that changes what is promised of the same facts: the policy, the
// overrides that hold, the owners that are silent, and the calendar days.
type moment struct {
	promises *policy.Promises // nil: nothing was evaluated yet
	epoch    int
	silent   []bool          // by the policy's rules for silent owners
	days     []inventory.Day // at each of the locations channels sell from, in their order
}

// moment is the present one.
func (e *evaluator) moment() moment {
	now := e.now()
	m := moment{promises: e.policies.Get()}
	m.epoch = m.promises.Epoch(inventory.Instant(now.UnixMilli()))
	m.silent = e.heard.Silent(m.promises.Silence(), inventory.Instant(now.UnixMilli()))
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
	day := !slices.Equal(m.days, p.seen.days)
	var hushed []*inventory.SilenceRule // whose owner has fallen silent, or speaks again
	if !all {
		hushed = m.hushed(&p.seen)
	}
	if !all && !day && hushed == nil {
		return
	}
	for k, it := range p.items {
		if all || day && it.dated() || it.in(hushed) {
			p.dirty[k] = true
		}
	}
	for _, k := range e.kitsOf(p, m.promises) {
		p.dirty[k] = true
	}
	p.seen = m
}

// refreshViews marks what another view changes, while one takes a silent owner's
// place. It needs the lock.
func (e *evaluator) refreshViews(p *partition) {
	keys, now, ok := e.views.Since(p.views)
	p.views = now
	if !p.seen.viewed() {
		return // all is marked when one begins to
	}
	promises := p.seen.promises
	if !ok {
		keys = slices.AppendSeq(keys, maps.Keys(p.items))
		keys = append(keys, promises.Parts()...)
	}
	var mine []inventory.Key // kits
	for _, k := range keys {
		if p.items[k] != nil {
			p.dirty[k] = true
		}
		with := promises.KitsWith(k)
		if len(with) > 0 && mine == nil {
			mine = e.kitsOf(p, promises)
		}
		for _, kit := range with {
			if slices.Contains(mine, kit) {
				p.dirty[kit] = true
			}
		}
	}
}

// viewed says whether a view takes a silent owner's place.
func (m *moment) viewed() bool {
	rules := m.promises.Silence()
	for i := range rules {
		if m.silent[i] && rules[i].Then == inventory.SilenceFallback {
			return true
		}
	}
	return false
}

// hushed are the rules by which owners are silent now and were not before, or the
// other way round. Both moments are of one policy.
func (m *moment) hushed(before *moment) []*inventory.SilenceRule {
	var out []*inventory.SilenceRule
	rules := m.promises.Silence()
	for i := range rules {
		if m.silent[i] != before.silent[i] {
			out = append(out, &rules[i])
		}
	}
	return out
}

// in says whether one of the rules is about a location of the item.
func (i *item) in(rules []*inventory.SilenceRule) bool {
	for _, r := range rules {
		for l, p := range i.at {
			if r.Matches(p.Key.Entity, l) {
				return true
			}
		}
	}
	return false
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
