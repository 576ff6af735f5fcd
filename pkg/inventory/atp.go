package inventory

// free is what a location could give were nothing due: its stock, less what is held
// back, less what leaves once parked events are applied.
func free(p *Position) Quantity {
	return saturate(saturate(p.States[OnHand], -p.SafetyStock), -max(0, p.ParkedOut))
}

// lastDay is the last one within the horizon.
func lastDay(today Day, horizon int) Day {
	return Day(min(int64(today)+int64(max(0, horizon)), int64(maxDay)))
}

// schedule walks the days on which claims or supply fall due, from today on.
type schedule struct {
	reserved, supply []Bucket
	today, last      Day
	keep             int
	movable          bool // movable claims only
}

func newSchedule(p *Position, today Day, horizon, keepDays int) schedule {
	return schedule{
		reserved: p.Reserved, supply: p.Supply,
		today: today, last: lastDay(today, horizon), keep: max(0, keepDays),
	}
}

// least is the lowest that free stock, as it is before anything is due, falls on
// any day from day on.
func (s *schedule) least(free Quantity, day Day) Quantity {
	least, found := Quantity(0), false
	for {
		next, claims, supply, ok := s.next()
		// Free stays what it is until the day before next. If that is day or later,
		// or nothing more changes, it counts.
		if next > day || !ok {
			if !found || free < least {
				least, found = free, true
			}
		}
		if !ok {
			return least
		}
		free = saturate(saturate(free, supply), -claims)
	}
}

// next is the next day with something due within the horizon, and what is.
func (s *schedule) next() (day Day, claims, supply Quantity, ok bool) {
	day = s.last + 1
	if len(s.reserved) > 0 {
		day = min(day, max(s.today, s.reserved[0].Due))
	}
	if len(s.supply) > 0 {
		day = min(day, max(s.today, s.supply[0].Due))
	}
	if day > s.last {
		return day, 0, 0, false
	}
	for len(s.reserved) > 0 && s.reserved[0].Due <= day {
		if !s.movable || s.reserved[0].Movable {
			claims = saturate(claims, s.reserved[0].Quantity)
		}
		s.reserved = s.reserved[1:]
	}
	for len(s.supply) > 0 && s.supply[0].Due <= day {
		b := &s.supply[0]
		if counts(b.Due, s.today, s.keep) {
			supply = saturate(supply, b.Quantity)
		}
		s.supply = s.supply[1:]
	}
	return day, claims, supply, true
}

// counts says whether supply due on a day counts at all: undated never does, overdue
// only so many days.
func counts(due, today Day, keepDays int) bool {
	return due != 0 && int64(today)-int64(due) <= int64(keepDays)
}

// Component is a part of a kit.
type Component struct {
	ATP    Quantity // signed
	PerKit Quantity // above zero
}

// KitATP is how many whole kits may be promised, signed; One is a kit. A kit
// without components, or with one that takes nothing, promises none.
func KitATP(cs []Component) Quantity {
	if len(cs) == 0 {
		return 0
	}
	least := MaxQuantity
	for _, c := range cs {
		if c.PerKit <= 0 {
			return 0
		}
		n := c.ATP / c.PerKit
		if c.ATP%c.PerKit < 0 {
			n-- // towards minus infinity: half a kit short is a kit short
		}
		least = min(least, n)
	}
	return max(-MaxQuantity/One, min(MaxQuantity/One, least)) * One
}

// ChannelRule says what part of a group's ATP a channel shows.
type ChannelRule struct {
	Share  Quantity // of the group: One is all of it; zero and anything above One is One
	Buffer Quantity // kept back
	Cap    Quantity // shown at most; zero is no cap
	Unit   Quantity // the channel sells multiples of it; zero is One
}

// shared is the channel's share of zero or more.
func (r *ChannelRule) shared(q Quantity) Quantity {
	if r.Share <= 0 || r.Share >= One {
		return q
	}
	return q/One*r.Share + q%One*r.Share/One
}

func (r *ChannelRule) buffered(q Quantity) Quantity { return saturate(q, -max(0, r.Buffer)) }

func (r *ChannelRule) capped(q Quantity) Quantity {
	if r.Cap <= 0 {
		return q
	}
	return min(q, r.Cap)
}

// rounded takes zero or more.
func (r *ChannelRule) rounded(q Quantity) Quantity {
	unit := r.Unit
	if unit <= 0 {
		unit = One
	}
	return q - q%unit
}
