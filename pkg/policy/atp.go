package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// ATPPolicy is policies/atp/*.yaml, all files together: what is held back, how far
// a promise looks, what counts, and what a person decided. Its canonical JSON, with
// the channels, is what policies.v1 carries; quantities are integers there, at scale
// 10^-4.
type ATPPolicy struct {
	// Version is the ledger policy's: one version names all that is published
	// together.
	Version int64 `yaml:"-" json:"version"`
	// SafetyStock goes through the log, key by key.
	SafetyStock []SafetyStock `yaml:"safety_stock" json:"-"`
	// Horizon is how many days ahead a shortfall lowers today's promise; 0 means
	// DefaultHorizon.
	Horizon int `yaml:"horizon" json:"horizon,omitempty"`
	// KeepDays is how many days supply that is overdue still counts.
	KeepDays int `yaml:"keep_days" json:"keep_days,omitempty"`
	// SupplyAt are locations whose supply has terms of its own.
	SupplyAt []SupplyAt `yaml:"supply_at" json:"supply_at,omitempty"`
	// Groups name lists of locations that are promised together.
	Groups map[string][]inventory.Location `yaml:"groups" json:"groups,omitempty"`
	// TimeZones are those of locations whose master record states none.
	TimeZones []TimeZone   `yaml:"time_zones" json:"time_zones,omitempty"`
	Items     []ItemTraits `yaml:"items" json:"items,omitempty"`
	Kits      []Kit        `yaml:"kits" json:"kits,omitempty"`
	Overrides []Override   `yaml:"overrides" json:"overrides,omitempty"`
	// Silence stands in one file: its order counts.
	Silence []Silence `yaml:"silence" json:"silence,omitempty"`
}

// DefaultHorizon of ATP, days.
const DefaultHorizon = 30

// Limits of what is promised by.
const (
	maxDays     = 366
	maxKitParts = 50
)

// Days is the horizon to compute with.
func (p *ATPPolicy) Days() int {
	if p.Horizon == 0 {
		return DefaultHorizon
	}
	return p.Horizon
}

// SafetyStock is held back at a location, or at every location of the item that
// has none of its own. Below zero it lets so much be sold that is not there.
type SafetyStock struct {
	Entity   inventory.Entity   `yaml:"entity"`
	Item     inventory.Item     `yaml:"item"`
	Location inventory.Location `yaml:"location"` // empty: every location
	Quantity inventory.Quantity `yaml:"quantity"` // base units
}

// What supply counts at a location.
const (
	SupplyDated = "dated" // what has a day; undated supply never counts
	SupplyNone  = "none"
)

// SupplyAt says which supply counts at a location.
type SupplyAt struct {
	Location inventory.Location `yaml:"location" json:"location"`
	Counts   string             `yaml:"counts" json:"counts,omitempty"`       // dated when empty
	KeepDays *int               `yaml:"keep_days" json:"keep_days,omitempty"` // the common one when nil
}

// TimeZone is that of a location.
type TimeZone struct {
	Entity   inventory.Entity   `yaml:"entity" json:"entity,omitempty"` // empty: any
	Location inventory.Location `yaml:"location" json:"location"`
	Zone     string             `yaml:"zone" json:"zone"` // IANA
}

// ItemTraits are what a channel's safety stock depends on.
type ItemTraits struct {
	Entity   inventory.Entity   `yaml:"entity" json:"entity"`
	Item     inventory.Item     `yaml:"item" json:"item"`
	Class    string             `yaml:"class" json:"class,omitempty"`
	Velocity inventory.Quantity `yaml:"velocity" json:"velocity,omitempty"` // sales a day, base units
}

// Kit is an item that is sold as its parts.
type Kit struct {
	Entity inventory.Entity `yaml:"entity" json:"entity"`
	Item   inventory.Item   `yaml:"item" json:"item"`
	Parts  []KitPart        `yaml:"parts" json:"parts"`
}

// KitPart is a part of a kit, of the kit's entity.
type KitPart struct {
	Item     inventory.Item     `yaml:"item" json:"item"`
	Quantity inventory.Quantity `yaml:"quantity" json:"quantity"` // in one kit
}

// Validate reports every fault.
func (p *ATPPolicy) Validate() error {
	var fs faults
	if p.Horizon < 0 || p.Horizon > maxDays {
		fs.add(CodeOutOfRange, "horizon", "must be between 0 and %d days", maxDays)
	}
	if p.KeepDays < 0 || p.KeepDays > maxDays {
		fs.add(CodeOutOfRange, "keep_days", "must be between 0 and %d days", maxDays)
	}
	for i, s := range p.SafetyStock {
		field := fmt.Sprintf("safety_stock[%d]", i)
		if s.Entity == "" || s.Item == "" {
			fs.add(CodeRequired, field, "entity and item are required")
		}
		if p.SafetyStock[i].seenIn(p.SafetyStock[:i]) {
			fs.add(CodeDuplicate, field, "stands there twice")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Groups)) {
		locations := p.Groups[name]
		if !nameRule.MatchString(name) {
			fs.add(CodeBadShape, "groups."+name, "a name has lower-case letters, digits, - and _ only, at most 63")
		}
		if len(locations) == 0 {
			fs.add(CodeRequired, "groups."+name, "at least one location")
		}
		for i, l := range locations {
			if slices.Contains(locations[:i], l) {
				fs.add(CodeDuplicate, fmt.Sprintf("groups.%s[%d]", name, i), "%q stands there twice", l)
			}
		}
	}
	for i, s := range p.SupplyAt {
		field := fmt.Sprintf("supply_at[%d]", i)
		if s.Location == "" {
			fs.add(CodeRequired, field+".location", "required")
		}
		if s.Counts != "" && s.Counts != SupplyDated && s.Counts != SupplyNone {
			fs.add(CodeBadShape, field+".counts", "must be dated or none, not %q", s.Counts)
		}
		if s.KeepDays != nil && (*s.KeepDays < 0 || *s.KeepDays > maxDays) {
			fs.add(CodeOutOfRange, field+".keep_days", "must be between 0 and %d days", maxDays)
		}
		if s.KeepDays != nil && s.Counts == SupplyNone {
			fs.add(CodeConflicting, field+".keep_days", "no supply counts there")
		}
	}
	for i, z := range p.TimeZones {
		if _, err := zoneOf(z.Zone); err != nil || z.Location == "" {
			fs.add(CodeBadZone, fmt.Sprintf("time_zones[%d]", i), "a location and an IANA time zone, not %q", z.Zone)
		}
	}
	for i, t := range p.Items {
		field := fmt.Sprintf("items[%d]", i)
		if t.Entity == "" || t.Item == "" {
			fs.add(CodeRequired, field, "entity and item are required")
		}
		if t.Velocity < 0 {
			fs.add(CodeOutOfRange, field+".velocity", "must not be negative")
		}
	}
	for i := range p.Kits {
		p.Kits[i].validate(&fs, fmt.Sprintf("kits[%d]", i))
	}
	for i := range p.Overrides {
		p.Overrides[i].validate(&fs, fmt.Sprintf("overrides[%d]", i))
	}
	p.silence(&fs)
	fs = append(fs, p.twice(nil)...)
	return errors.Join(fs...)
}

func (s *SafetyStock) seenIn(others []SafetyStock) bool {
	return slices.ContainsFunc(others, func(o SafetyStock) bool {
		return o.Entity == s.Entity && o.Item == s.Item && o.Location == s.Location
	})
}

func (k *Kit) validate(fs *faults, field string) {
	if k.Entity == "" || k.Item == "" {
		fs.add(CodeRequired, field, "entity and item are required")
	}
	if len(k.Parts) == 0 || len(k.Parts) > maxKitParts {
		fs.add(CodeOutOfRange, field+".parts", "between 1 and %d parts", maxKitParts)
	}
	for i, part := range k.Parts {
		at := fmt.Sprintf("%s.parts[%d]", field, i)
		if part.Item == "" {
			fs.add(CodeRequired, at+".item", "required")
		}
		if part.Quantity <= 0 || part.Quantity > inventory.MaxQuantity {
			fs.add(CodeOutOfRange, at+".quantity", "must be above zero")
		}
		if part.Item == k.Item {
			fs.add(CodeKitOfKit, at, "a kit is no part of itself")
		}
		if slices.ContainsFunc(k.Parts[:i], func(o KitPart) bool { return o.Item == part.Item }) {
			fs.add(CodeDuplicate, at, "%q stands there twice", part.Item)
		}
	}
}

// twice finds what names a thing that has been named: here, or in before, which is
// another file's. Two files would decide by the order of their names.
func (p *ATPPolicy) twice(before *ATPPolicy) faults {
	if before == nil {
		before = &ATPPolicy{}
	}
	var fs faults
	seen := map[any]bool{}
	check := func(field string, id any, earlier bool) {
		switch {
		case seen[id] && earlier:
			return
		case seen[id]:
			fs.add(CodeDuplicate, field, "stands there twice")
		}
		seen[id] = true
	}
	type (
		kitID    inventory.Key
		traitsID inventory.Key
	)
	type zoneID struct {
		inventory.Entity
		inventory.Location
	}
	for _, of := range []*ATPPolicy{before, p} {
		earlier := of == before
		for i, s := range of.SupplyAt {
			check(fmt.Sprintf("supply_at[%d]", i), s.Location, earlier)
		}
		for i, z := range of.TimeZones {
			check(fmt.Sprintf("time_zones[%d]", i), zoneID{z.Entity, z.Location}, earlier)
		}
		for i, t := range of.Items {
			check(fmt.Sprintf("items[%d]", i), traitsID{t.Entity, t.Item}, earlier)
		}
		for i, k := range of.Kits {
			check(fmt.Sprintf("kits[%d]", i), kitID{k.Entity, k.Item}, earlier)
		}
	}
	return fs
}
