package atpapi

import (
	"fmt"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// places knows the locations from master.locations. It is safe for concurrent use.
type places struct {
	codecs *event.Codecs

	mu    sync.RWMutex
	byKey map[string]place
}

type place struct {
	zone        *time.Location
	publishable bool
}

func newPlaces(c *event.Codecs) *places { return &places{codecs: c, byKey: map[string]place{}} }

// apply takes one record of the table.
func (p *places) apply(rec *stream.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rec.Value == nil {
		delete(p.byKey, string(rec.Key))
		return nil
	}
	var m event.MasterLocation
	if err := p.codecs.DecodeLocation(rec.Value, &m); err != nil {
		return fmt.Errorf("decoding location %q: %w", rec.Key, err)
	}
	zone, err := time.LoadLocation(m.Zone)
	if err != nil {
		zone = time.UTC // the canonicalizer lets no unknown zone in
	}
	p.byKey[placeKey(m.Entity, m.Location)] = place{zone: zone, publishable: m.Publishable}
	return nil
}

// of is what is known of a location. One without a master record is in UTC and
// counted: leaving its stock out would hide it.
func (p *places) of(e inventory.Entity, l inventory.Location) place {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if pl, ok := p.byKey[placeKey(e, l)]; ok {
		return pl
	}
	return place{zone: time.UTC, publishable: true}
}

func placeKey(e inventory.Entity, l inventory.Location) string {
	return inventory.Escape(string(e)) + "|" + inventory.Escape(string(l))
}

// dayAt is the calendar day of an instant in a zone.
func dayAt(t time.Time, zone *time.Location) inventory.Day {
	y, m, d := t.In(zone).Date()
	return inventory.Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// date writes a day as 2006-01-02.
func date(d inventory.Day) string {
	return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly)
}
