package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// reservationFile says where unlocated demand is served from and what requests may
// take. How far a promise looks, and which day it is where, is the ATP policy's; here
// it stands as the log carries it. Readers go by the zone of a location's master
// record first: a location that is not at UTC is to be named in the policy as well, or
// what is granted is of another day than what is shown.
type reservationFile struct {
	Ranks      []rankFile         `yaml:"ranks" json:"ranks,omitempty"`
	Split      bool               `yaml:"split" json:"split,omitempty"`
	PartnerCap inventory.Quantity `yaml:"partner_cap" json:"partner_cap,omitempty"`
	ItemCap    inventory.Quantity `yaml:"item_cap" json:"item_cap,omitempty"`
	MaxClaims  int32              `yaml:"max_claims" json:"max_claims,omitempty"`
	Tombstone  span               `yaml:"tombstone" json:"tombstone,omitempty"`

	Horizon  int            `yaml:"-" json:"horizon,omitempty"`
	KeepDays int            `yaml:"-" json:"keep_days,omitempty"`
	SupplyAt []supplyAtFile `yaml:"-" json:"supply_at,omitempty"`
	Zones    []zoneFile     `yaml:"-" json:"zones,omitempty"`
}

type rankFile struct {
	Entity    inventory.Entity     `yaml:"entity" json:"entity,omitempty"`
	Channel   string               `yaml:"channel" json:"channel,omitempty"`
	Locations []inventory.Location `yaml:"locations" json:"locations"`
}

type supplyAtFile struct {
	Location inventory.Location `json:"location"`
	None     bool               `json:"none,omitempty"`
	KeepDays int                `json:"keep_days,omitempty"`
}

type zoneFile struct {
	Entity    inventory.Entity     `json:"entity,omitempty"`
	Locations []inventory.Location `json:"locations"`
	Offsets   []offsetFile         `json:"offsets"`
}

type offsetFile struct {
	From    inventory.Instant `json:"from"`
	Minutes int32             `json:"minutes"`
}

// policy is the file's policy; none is the zero value.
func (f *reservationFile) policy() inventory.ReservationPolicy {
	var p inventory.ReservationPolicy
	if f == nil {
		return p
	}
	for _, r := range f.Ranks {
		p.Ranks = append(p.Ranks, inventory.SourceRank(r))
	}
	p.Split, p.PartnerCap, p.ItemCap = f.Split, f.PartnerCap, f.ItemCap
	p.MaxClaims, p.Tombstone = f.MaxClaims, inventory.Instant(f.Tombstone)
	p.Terms = inventory.Terms{Horizon: f.Horizon, KeepDays: f.KeepDays}
	for _, s := range f.SupplyAt {
		if p.Terms.At == nil {
			p.Terms.At = map[inventory.Location]inventory.SupplyTerms{}
		}
		p.Terms.At[s.Location] = inventory.SupplyTerms{None: s.None, KeepDays: s.KeepDays}
	}
	for _, z := range f.Zones {
		days := inventory.ZoneDays{Entity: z.Entity, Locations: z.Locations}
		for _, o := range z.Offsets {
			days.Offsets = append(days.Offsets, inventory.Offset(o))
		}
		p.Zones = append(p.Zones, days)
	}
	return p
}

// setReservations is the opposite of policy.
func (f *ledgerFile) setReservations(p *inventory.ReservationPolicy) {
	x := reservationFile{
		Split: p.Split, PartnerCap: p.PartnerCap, ItemCap: p.ItemCap, MaxClaims: p.MaxClaims, Tombstone: span(p.Tombstone),
		Horizon: p.Terms.Horizon, KeepDays: p.Terms.KeepDays,
	}
	for _, r := range p.Ranks {
		x.Ranks = append(x.Ranks, rankFile(r))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Terms.At)) {
		s := p.Terms.At[name]
		x.SupplyAt = append(x.SupplyAt, supplyAtFile{Location: name, None: s.None, KeepDays: s.KeepDays})
	}
	for _, z := range p.Zones {
		zone := zoneFile{Entity: z.Entity, Locations: z.Locations}
		for _, o := range z.Offsets {
			zone.Offsets = append(zone.Offsets, offsetFile(o))
		}
		x.Zones = append(x.Zones, zone)
	}
	if x.Split || x.PartnerCap != 0 || x.ItemCap != 0 || x.MaxClaims != 0 || x.Tombstone != 0 || x.Horizon != 0 || x.KeepDays != 0 ||
		len(x.Ranks)+len(x.SupplyAt)+len(x.Zones) > 0 {
		f.Reservations = &x
	}
}

// terms are those of the policy's dates and supply.
func (p *ATPPolicy) terms() inventory.Terms {
	t := inventory.Terms{Horizon: p.Days(), KeepDays: p.KeepDays}
	for _, s := range p.SupplyAt {
		at := inventory.SupplyTerms{None: s.Counts == SupplyNone, KeepDays: p.KeepDays}
		if s.KeepDays != nil {
			at.KeepDays = *s.KeepDays
		}
		if t.At == nil {
			t.At = map[inventory.Location]inventory.SupplyTerms{}
		}
		t.At[s.Location] = at
	}
	return t
}

// The years for which the ledger knows the offsets of zones. What a zone does later is
// not decided yet; a policy published then carries what is.
const (
	firstYear = 2020
	lastYear  = 2045
)

// grants gives the ledger's reservations the terms and days of ATP.
func (l *loader) grants(set *Set) {
	r := &set.Ledger.Reservations
	l.checkReservations(r)
	l.checkLimits(&set.Ledger.Limits)
	r.Terms = set.ATP.terms()
	type zoneID struct {
		entity inventory.Entity
		name   string
	}
	by := map[zoneID][]inventory.Location{}
	for _, z := range set.ATP.TimeZones {
		id := zoneID{z.Entity, z.Zone}
		by[id] = append(by[id], z.Location)
	}
	for id, locations := range by {
		zone, err := zoneOf(id.name)
		if err != nil {
			continue // a fault of the ATP policy, found there
		}
		slices.Sort(locations)
		r.Zones = append(r.Zones, inventory.ZoneDays{Entity: id.entity, Locations: locations, Offsets: offsets(zone)})
	}
	slices.SortFunc(r.Zones, func(a, b inventory.ZoneDays) int {
		return cmp.Or(strings.Compare(string(a.Entity), string(b.Entity)), slices.Compare(a.Locations, b.Locations))
	})
}

// offsets are what the clocks of a zone are ahead of UTC, from when on.
func offsets(zone *time.Location) []inventory.Offset {
	var os []inventory.Offset
	end := time.Date(lastYear, 1, 1, 0, 0, 0, 0, time.UTC)
	for t := time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC); t.Before(end); {
		_, seconds := t.In(zone).Zone()
		if minutes := int32(seconds / 60); len(os) == 0 || os[len(os)-1].Minutes != minutes { //nolint:gosec // within a day
			os = append(os, inventory.Offset{From: inventory.Instant(t.UnixMilli()), Minutes: minutes})
		}
		_, next := t.In(zone).ZoneBounds()
		switch {
		case next.IsZero():
			return os
		case next.After(t):
			t = next.UTC()
		default: // where rules take over from tables, a bound may be the day itself
			t = t.AddDate(0, 0, 1)
		}
	}
	return os
}

func (l *loader) checkReservations(p *inventory.ReservationPolicy) {
	file := l.ledgerFile
	if file == "" {
		return
	}
	for _, c := range []struct {
		field string
		q     inventory.Quantity
	}{{"partner_cap", p.PartnerCap}, {"item_cap", p.ItemCap}} {
		if c.q < 0 {
			l.fault(file, "reservations."+c.field, "below zero")
		}
	}
	type scope struct {
		entity  inventory.Entity
		channel string
	}
	seen := map[scope]bool{}
	for i, r := range p.Ranks {
		if s := (scope{r.Entity, r.Channel}); seen[s] {
			l.fault(file, fmt.Sprintf("reservations.ranks[%d]", i), "an earlier one is of the same entity and channel")
		} else {
			seen[s] = true
		}
	}
}
