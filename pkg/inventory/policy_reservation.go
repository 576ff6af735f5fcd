package inventory

// ReservationPolicy says where unlocated demand is served from and what requests may
// take. The zero value: every location of the item by name, one location a line, no
// end to the horizon, no caps.
type ReservationPolicy struct {
	// Ranks are tried in order; the first that matches says which locations serve
	// unlocated demand, the best first. Where none matches, all locations of the item
	// do, by name.
	Ranks []SourceRank
	// Split lets a line that no location can serve whole be served by several.
	Split bool
	// Terms are those of ATP. A horizon of zero has no end.
	Terms Terms
	// Zones say which day it is where. Elsewhere days are UTC's.
	Zones []ZoneDays

	PartnerCap Quantity // tentative at most for one partner and item; 0: no cap
	ItemCap    Quantity // tentative at most of one item; 0: no cap
	MaxClaims  int32    // open claims of one item; 0: MaxClaims
	// Tombstone is how long a cancelled reservation refuses a try that comes late, ms;
	// 0: DefaultTombstone.
	Tombstone Instant
}

// SourceRank ranks the locations that serve unlocated demand.
type SourceRank struct {
	Entity    Entity // empty: any
	Channel   string // empty: any
	Locations []Location
}

// ZoneDays are the locations of one time zone, with what its clocks are ahead of UTC.
type ZoneDays struct {
	Entity    Entity     // empty: any; one of the item's own entity comes first
	Locations []Location // sorted
	Offsets   []Offset   // by From; before the first, its minutes hold
}

// Offset is how far clocks are ahead of UTC from a moment on.
type Offset struct {
	From    Instant
	Minutes int32
}

// Defaults of a ReservationPolicy.
const (
	MaxClaims        = 20_000
	DefaultTombstone = Instant(10 * 60 * 1000)
)

// maxSplit is how many locations serve one line at most, so that a claim stays small.
const maxSplit = 8

func (p *ReservationPolicy) maxClaims() int32 {
	if p.MaxClaims > 0 {
		return p.MaxClaims
	}
	return MaxClaims
}

func (p *ReservationPolicy) tombstone() Instant {
	if p.Tombstone > 0 {
		return p.Tombstone
	}
	return DefaultTombstone
}

// ranked are the locations that serve unlocated demand; none: no rank matches.
func (p *ReservationPolicy) ranked(e Entity, channel string) []Location {
	for i := range p.Ranks {
		r := &p.Ranks[i]
		if (r.Entity == "" || r.Entity == e) && (r.Channel == "" || r.Channel == channel) {
			return r.Locations
		}
	}
	return nil
}

// Today is the day at a location of an entity.
func (p *ReservationPolicy) Today(e Entity, name Location, now Instant) Day {
	var zone *ZoneDays
	for i := range p.Zones {
		z := &p.Zones[i]
		if (z.Entity == e || z.Entity == "" && zone == nil) && containsSorted(z.Locations, name) {
			if zone = z; z.Entity == e {
				break
			}
		}
	}
	if zone != nil && len(zone.Offsets) > 0 {
		minutes := zone.Offsets[0].Minutes
		for _, o := range zone.Offsets {
			if o.From > now {
				break
			}
			minutes = o.Minutes
		}
		now += Instant(minutes) * 60_000
	}
	return Day(max(0, now) / dayMillis)
}

const dayMillis = 24 * 60 * 60 * 1000

// fits is what may be promised from a location for a delivery on day: ATP, signed.
func (p *ReservationPolicy) fits(pos *Position, today, day Day) Quantity {
	q := Question{
		Key: pos.Key, Positions: []Position{*pos}, Day: day, Terms: p.Terms,
		Today: func(Location) Day { return today },
	}
	if q.Terms.Horizon == 0 {
		q.Terms.Horizon = int(maxDay)
	}
	return q.location(q.Key, &q.Positions[0]).ATP
}
