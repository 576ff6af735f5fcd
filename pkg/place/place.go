// Package place knows the locations of master.locations: their time zones, and so
// their calendar days, and what may be shown of them. The services that read the
// topic share it.
package place

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Place is what the master data says of a location.
type Place struct {
	Zone        *time.Location // nil where the master data states none that is known
	Publishable bool
}

// Places is filled by a stream.Table over master.locations. It is safe for
// concurrent use.
type Places struct {
	codecs *event.Codecs

	mu      sync.RWMutex
	byKey   map[string]Place // by the topic's key
	since   map[string]inventory.Instant
	changes atomic.Int64
}

// New makes Places that know nothing yet.
func New(c *event.Codecs) *Places {
	return &Places{codecs: c, byKey: map[string]Place{}, since: map[string]inventory.Instant{}}
}

// Apply takes one record of the topic.
func (p *Places) Apply(rec *stream.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes.Add(1)
	at := inventory.Instant(max(0, rec.Timestamp.UnixMilli()))
	if rec.Value == nil {
		p.put(string(rec.Key), nil, at)
		return nil
	}
	var m event.MasterLocation
	if err := p.codecs.DecodeLocation(rec.Value, &m); err != nil {
		return fmt.Errorf("decoding location %q: %w", rec.Key, err)
	}
	k := key(m.Entity, m.Location)
	if m.Deleted {
		p.put(k, nil, at)
		return nil
	}
	pl := Place{Publishable: m.Publishable}
	if zone, err := time.LoadLocation(m.Zone); err == nil && m.Zone != "" {
		pl.Zone = zone // the canonicalizer lets no unknown zone in
	}
	p.put(k, &pl, at)
	return nil
}

// put takes what is known of a location from a time on; nil: nothing. It needs the lock.
func (p *Places) put(k string, now *Place, at inventory.Instant) {
	before, had := p.byKey[k]
	_, known := p.since[k]
	if !known || had != (now != nil) || had && !before.same(now) {
		p.since[k] = at
	}
	if now == nil {
		delete(p.byKey, k)
		return
	}
	p.byKey[k] = *now
}

func (pl *Place) same(o *Place) bool {
	if pl.Publishable != o.Publishable || (pl.Zone == nil) != (o.Zone == nil) {
		return false
	}
	return pl.Zone == nil || pl.Zone.String() == o.Zone.String()
}

// Since is from when on all that is said of a location has been so, at the latest: the
// time of the record that changed it last, of those that were read. 0: there is none.
func (p *Places) Since(e inventory.Entity, l inventory.Location) inventory.Instant {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.since[key(e, l)]
}

// Changes counts the records taken. While it stays the same, so does all else that is said.
func (p *Places) Changes() int64 { return p.changes.Load() }

// Of is what is known of a location; false where it has no master record.
func (p *Places) Of(e inventory.Entity, l inventory.Location) (Place, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	pl, ok := p.byKey[key(e, l)]
	return pl, ok
}

// Zone is a location's time zone; other where its own is not known, and UTC where
// that is nil too.
func (p *Places) Zone(e inventory.Entity, l inventory.Location, other *time.Location) *time.Location {
	if pl, ok := p.Of(e, l); ok && pl.Zone != nil {
		return pl.Zone
	}
	if other != nil {
		return other
	}
	return time.UTC
}

// Day is the calendar day of an instant at a location.
func (p *Places) Day(t time.Time, e inventory.Entity, l inventory.Location) inventory.Day {
	return DayAt(t, p.Zone(e, l, nil))
}

func key(e inventory.Entity, l inventory.Location) string {
	return inventory.Escape(string(e)) + "|" + inventory.Escape(string(l))
}

// DayAt is the calendar day of an instant in a zone.
func DayAt(t time.Time, zone *time.Location) inventory.Day {
	y, m, d := t.In(zone).Date()
	return inventory.Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// Date writes a day as 2006-01-02.
func Date(d inventory.Day) string {
	return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly)
}
