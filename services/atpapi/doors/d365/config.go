// Package d365 translates the dialect of Dynamics 365 Inventory Visibility: on-hand
// queries with and without ATP, and soft reservations.
//
// Sources of the shapes, read as published on Microsoft Learn: "Inventory Visibility
// public APIs" (paths, fields and samples of indexquery, exactquery, the GET query,
// reserve, unreserve and their bulk forms; 512 records a bulk request, at most 100 pairs
// of site and location; reservationId, processingStatus success and partialSuccess,
// totalInvalidOffsetQtyByReservId) and "On-hand change schedules and available to
// promise" (QueryATP, ATPFromDate, ATPToDate, atpQuantities). What they leave open is
// decided here, and said where it is: the body of an error, and a record that fails
// (processingStatus "failed").
//
// Field names and names of dimensions are taken in any case, as the published samples
// write them.
package d365

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
)

// Config says how the dialect's names are ours.
type Config struct {
	// Environments are the ids that may stand in the path. Without any the door is shut.
	Environments []string `yaml:"environments"`
	// Organizations are entities by organizationId; one that is not here is the entity of
	// its own name.
	Organizations map[string]inventory.Entity `yaml:"organizations"`
	// Item is how productId and further dimensions make an item: {productId}-{colorId}.
	Item string `yaml:"item"`
	// Location is how siteId, locationId and further dimensions make a location.
	Location string `yaml:"location"`
	// Measures are what answers have, "data source.measure", and the quantity of ours that
	// each is; empty: see DefaultMeasures.
	Measures map[string]string `yaml:"measures"`
	// Days is how many days of ATP are answered where a query does not say until when.
	Days int `yaml:"days"`
	// Hold is for how long stock is held; zero, as in the dialect: until it is given back
	// or served.
	Hold time.Duration `yaml:"hold"`
}

// DefaultConfig is what holds where the file says nothing: the door is shut.
func DefaultConfig() Config {
	return Config{Item: "{productId}", Location: "{locationId}", Days: 7}
}

// DefaultMeasures are the published names that have a meaning here.
func DefaultMeasures() map[string]string {
	return map[string]string{
		"iv.availabletoreserve": doors.ATP, "iv.softreserved": doors.Reserved, "fno.physicalinvent": inventory.OnHand.String(), "fno.ordered": doors.Supply,
	}
}

// maxDays bounds the days of ATP of one query.
const maxDays = 180

// Names of dimensions, in lower case.
const (
	product  = "productid"
	site     = "siteid"
	location = "locationid"
)

// Door translates. It does not change, so it is safe for concurrent use.
type Door struct {
	environments   []string
	organizations  map[string]inventory.Entity
	item, location *doors.Template
	dimensions     []string // all that there are: site and location first, the others sorted
	measures       map[string]string
	atp            []string // the measures that are ATP
	days           int
	hold           time.Duration
}

// New reads a configuration; nil where the door is shut. Its error names every fault.
func New(cfg *Config) (*Door, error) {
	d := &Door{environments: cfg.Environments, organizations: cfg.Organizations, measures: cfg.Measures, days: cfg.Days, hold: cfg.Hold}
	if len(d.measures) == 0 {
		d.measures = DefaultMeasures()
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var err error
	if d.item, err = doors.ParseTemplate(cfg.Item); err != nil {
		bad("item: %w", err)
	} else if !slices.Contains(d.item.Names(), product) {
		bad("item: {productId} has to be in it")
	}
	if d.location, err = doors.ParseTemplate(cfg.Location); err != nil {
		bad("location: %w", err)
	} else if slices.Contains(d.location.Names(), product) || !slices.Contains(d.location.Names(), location) {
		bad("location: {locationId} has to be in it, and {productId} not")
	}
	for _, name := range slices.Sorted(maps.Keys(d.measures)) {
		quantity := d.measures[name]
		source, measure, ok := strings.Cut(name, ".")
		if !ok || source == "" || measure == "" {
			bad("measures: %q is no data source, point and measure", name)
		}
		if !doors.Known(quantity) {
			bad("measures: %q is no quantity", quantity)
		}
		if quantity == doors.ATP {
			d.atp = append(d.atp, name)
		}
	}
	if d.days < 1 || d.days > maxDays {
		bad("days: between 1 and %d", maxDays)
	}
	if d.hold < 0 {
		bad("hold: zero or more")
	}
	if slices.Contains(d.environments, "") {
		bad("environments: an id is not empty")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(d.environments) == 0 {
		return nil, nil //nolint:nilnil // there is no door
	}
	d.dimensions = []string{site, location}
	var more []string
	for _, name := range slices.Concat(d.item.Names(), d.location.Names()) {
		if name != product && name != site && name != location && !slices.Contains(more, name) {
			more = append(more, name)
		}
	}
	slices.Sort(more)
	d.dimensions = append(d.dimensions, more...)
	return d, nil
}

// Admits says whether an id of the path is one of the door's.
func (d *Door) Admits(environment string) bool {
	return d != nil && slices.Contains(d.environments, environment)
}

// entity is whose an organisation's items are.
func (d *Door) entity(organization string) (inventory.Entity, *doors.Fault) {
	if organization == "" || len(organization) > doors.MaxName {
		return "", doors.Bad("bad_filters", "organizationId: one, of 1 to %d bytes", doors.MaxName)
	}
	if e, ok := d.organizations[organization]; ok {
		return e, nil
	}
	return inventory.Entity(organization), nil
}

// names makes an item and a location of the values of dimensions.
func (d *Door) names(productID string, value func(dimension string) string) (inventory.Item, inventory.Location, *doors.Fault) {
	item, bad := d.item.Fill(func(name string) string {
		if name == product {
			return productID
		}
		return value(name)
	})
	if bad != nil {
		return "", "", bad
	}
	loc, bad := d.location.Fill(value)
	return inventory.Item(item), inventory.Location(loc), bad
}
