package erpwriter

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
	byKey map[string]*time.Location // topic key
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
	loc, err := time.LoadLocation(m.Zone)
	if err != nil || m.Zone == "" || m.Deleted {
		delete(z.byKey, string(rec.Key)) // then the ERP's own zone holds
		return nil
	}
	z.byKey[locationKey(m.Entity, m.Location)] = loc
	return nil
}

// of is a zoneOf; UTC when neither is known.
func (z *zones) of(e inventory.Entity, l inventory.Location, other *time.Location) *time.Location {
	z.mu.RLock()
	defer z.mu.RUnlock()
	if loc, ok := z.byKey[locationKey(e, l)]; ok {
		return loc
	}
	if other != nil {
		return other
	}
	return time.UTC
}

func locationKey(e inventory.Entity, l inventory.Location) string {
	return inventory.Escape(string(e)) + "|" + inventory.Escape(string(l))
}
