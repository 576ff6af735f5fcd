package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// ATPPolicy is policies/atp/*.yaml, all files together.
type ATPPolicy struct {
	SafetyStock []SafetyStock `yaml:"safety_stock"`
	// Horizon is how many days ahead a shortfall lowers today's promise; 0 means
	// DefaultHorizon.
	Horizon int `yaml:"horizon"`
	// KeepDays is how many days supply that is overdue still counts.
	KeepDays int `yaml:"keep_days"`
	// Groups name lists of locations that are promised together.
	Groups map[string][]inventory.Location `yaml:"groups"`
}

// DefaultHorizon of ATP, days.
const DefaultHorizon = 30

// SafetyStock is held back at a location, or at every location of the item that
// has none of its own.
type SafetyStock struct {
	Entity   inventory.Entity   `yaml:"entity"`
	Item     inventory.Item     `yaml:"item"`
	Location inventory.Location `yaml:"location"` // empty: every location
	Quantity inventory.Quantity `yaml:"quantity"` // base units
}

// Validate reports every fault.
func (p *ATPPolicy) Validate() error {
	var errs []error
	if p.Horizon < 0 || p.Horizon > 366 {
		errs = append(errs, &Fault{Field: "horizon", Reason: "must be between 0 and 366 days"})
	}
	if p.KeepDays < 0 || p.KeepDays > 366 {
		errs = append(errs, &Fault{Field: "keep_days", Reason: "must be between 0 and 366 days"})
	}
	for i, s := range p.SafetyStock {
		field := fmt.Sprintf("safety_stock[%d]", i)
		if s.Entity == "" || s.Item == "" {
			errs = append(errs, &Fault{Field: field, Reason: "entity and item are required"})
		}
		if s.Quantity < 0 {
			errs = append(errs, &Fault{Field: field + ".quantity", Reason: "must not be negative"})
		}
		if slices.ContainsFunc(p.SafetyStock[:i], func(o SafetyStock) bool {
			return o.Entity == s.Entity && o.Item == s.Item && o.Location == s.Location
		}) {
			errs = append(errs, &Fault{Field: field, Reason: "stands there twice"})
		}
	}
	for name, locations := range p.Groups {
		if len(locations) == 0 {
			errs = append(errs, &Fault{Field: "groups." + name, Reason: "at least one location"})
		}
	}
	return errors.Join(errs...)
}
