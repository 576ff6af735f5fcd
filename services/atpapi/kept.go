package atpapi

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
)

// keptAnswers is how many answers are kept with an item: the whole, and a few channels,
// groups or days of it.
const keptAnswers = 4

// kept is an item as it stood in Redis, and answers made of that. Nobody changes the
// positions. It is safe for concurrent use.
type kept struct {
	positions []inventory.Position
	print     uint64 // of what stood there: see printOf

	mu      sync.RWMutex
	answers []*keptAnswer // a full one gives up the oldest
	room    [keptAnswers]*keptAnswer
	oldest  int
}

// keptAnswer is an answer, named, and all it was made from beside the positions. Nobody
// changes it.
type keptAnswer struct {
	of    query
	under under
	days  []zoneDay
	whole answer // without freshness
}

// under is what else than positions, days and silent owners decides what is promised.
type under struct {
	promises weak.Pointer[policy.Promises] // answers are kept longer than policies
	epoch    int                           // of the overrides
	places   int64                         // changes of the locations
}

// zoneDay is the calendar day in a time zone.
type zoneDay struct {
	zone *time.Location
	day  inventory.Day
}

// leaning is what an answer turned out to depend on while it was made. One goroutine uses it.
type leaning struct {
	days    []zoneDay
	silence bool // it was asked whether an owner is silent
}

func (n *leaning) day(z *time.Location, d inventory.Day) {
	if n != nil && !slices.Contains(n.days, zoneDay{z, d}) {
		n.days = append(n.days, zoneDay{z, d})
	}
}

// under is what holds at a time.
func (r *reader) under(p *policy.Promises, now time.Time) under {
	return under{promises: weak.Make(p), epoch: p.Epoch(inventory.Instant(now.UnixMilli())), places: r.places.Changes()}
}

// find is the answer to a query of the item, if it is the one that would be made now.
func (k *kept) find(q *query, u under, now time.Time, c *calendar) *keptAnswer {
	if k == nil {
		return nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, a := range k.answers {
		if a.of.like(q) && a.under == u && c.are(a.days, now) {
			return a
		}
	}
	return nil
}

// calendar says which day it is in a time zone, and remembers it for a second: offsets
// from UTC, and the moments at which they change, are of whole seconds. The zero value is
// ready. It is safe for concurrent use.
type calendar struct {
	now atomic.Pointer[calendarSecond]
}

type calendarSecond struct {
	unix int64
	days []zoneDay
}

// maxCalendar bounds the zones that are remembered.
const maxCalendar = 64

func (c *calendar) day(now time.Time, zone *time.Location) inventory.Day {
	s, unix := c.now.Load(), now.Unix()
	if s == nil || s.unix != unix {
		s = &calendarSecond{unix: unix}
	}
	for i := range s.days {
		if s.days[i].zone == zone {
			return s.days[i].day
		}
	}
	d := place.DayAt(now, zone)
	if len(s.days) < maxCalendar { // who comes at the same time may forget this one
		c.now.Store(&calendarSecond{unix, append(slices.Clone(s.days), zoneDay{zone, d})})
	}
	return d
}

// are says whether it is these days.
func (c *calendar) are(days []zoneDay, now time.Time) bool {
	for i := range days {
		if c.day(now, days[i].zone) != days[i].day {
			return false
		}
	}
	return true
}

// keep takes an answer in, in the place of one to the same query.
func (k *kept) keep(a *keptAnswer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := slices.IndexFunc(k.answers, func(o *keptAnswer) bool { return o.of.like(&a.of) })
	if k.answers == nil {
		k.answers = k.room[:0]
	}
	if at < 0 && len(k.answers) < keptAnswers {
		k.answers = append(k.answers, a)
		return
	}
	if at < 0 {
		at, k.oldest = k.oldest, (k.oldest+1)%keptAnswers
	}
	k.answers[at] = a
}

// size is about what the answers take, bytes.
func (k *kept) size() (sum int64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, a := range k.answers {
		sum += a.size()
	}
	return sum
}

// size is about what it takes, bytes: what is encoded stands once more in the structs.
func (a *keptAnswer) size() int64 {
	const structs, location = 1024, 1024
	return structs + int64(len(a.whole.body)+len(a.whole.Locations)*location)
}

// printOf is a number for what stands of an item in Redis: for anything else, in all
// likelihood, another one.
func printOf(seed maphash.Seed, values map[string]string) (sum uint64) {
	for location, value := range values { // in any order
		sum += bits.RotateLeft64(maphash.String(seed, location), 32) ^ maphash.String(seed, value)
	}
	return sum
}
