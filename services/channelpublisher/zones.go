package channelpublisher

import (
	"fmt"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// zones knows each location's time zone from master.locations. It is safe for
// concurrent use.
type zones struct {
	codecs *event.Codecs

	mu    sync.RWMutex
	byKey map[string]*time.Location
}

func newZones(c *event.Codecs) *zones { return &zones{codecs: c, byKey: map[string]*time.Location{}} }

// apply takes one record of the table.
func (z *zones) apply(rec *stream.Record) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if rec.Value == nil {
		delete(z.byKey, string(rec.Key))
		return nil
	}
	var m event.MasterLocation
	if err := z.codecs.DecodeLocation(rec.Value, &m); err != nil {
		return fmt.Errorf("decoding location %q: %w", rec.Key, err)
	}
	zone, err := time.LoadLocation(m.Zone)
	if err != nil {
		zone = time.UTC // the canonicalizer lets no unknown zone in
	}
	z.byKey[zoneKey(m.Entity, m.Location)] = zone
	return nil
}

// day is the calendar day of an instant at a location, in UTC where its zone is
// not known.
func (z *zones) day(t time.Time, e inventory.Entity, l inventory.Location) inventory.Day {
	z.mu.RLock()
	zone, ok := z.byKey[zoneKey(e, l)]
	z.mu.RUnlock()
	if !ok {
		zone = time.UTC
	}
	y, m, d := t.In(zone).Date()
	return inventory.Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func zoneKey(e inventory.Entity, l inventory.Location) string {
	return inventory.Escape(string(e)) + "|" + inventory.Escape(string(l))
}

// date writes a day as 2006-01-02.
func date(d inventory.Day) string {
	return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly)
}
