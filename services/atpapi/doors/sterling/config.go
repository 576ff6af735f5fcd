// Package sterling translates the dialect of IBM Sterling Inventory Visibility (part of
// Sterling Intelligent Promising): availability of nodes and of networks, version 1, and
// reservations.
//
// Sources of the shapes: the API reference at developer.ibm.com ("IBM Inventory
// Visibility APIs": paths under /inventory/{tenantId}/v1, Transaction-Id), IBM
// Documentation, "Line limit examples for the inventory reservation and availability
// APIs" (100 actions, an action being an item at a place; the text and the field of the
// error), and the request and answer types that IBM's open client code for it declares
// (lines, shipNodeAvailability, networkAvailabilities, reservedQuantity; error and
// error_description of 401 and 403). What they leave open is decided here: what a line
// of a reservation says that was refused.
package sterling

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
)

// Config says how the dialect's names are ours. A ship node is the location of its name.
type Config struct {
	// Tenants are whose items are asked about, by the tenantId of the path. Without any
	// the door is shut.
	Tenants map[string]inventory.Entity `yaml:"tenants"`
	// Item is how itemId, and perhaps unitOfMeasure and productClass, make an item.
	Item string `yaml:"item"`
	// Units are the units of measure that are the base unit of items, where Item does not
	// name unitOfMeasure.
	Units []string `yaml:"units"`
	// ProductClasses are those that items are of, where Item does not name productClass.
	ProductClasses []string `yaml:"product_classes"`
	// Groups are ours by distribution group; one that is not here is the group of its own
	// name.
	Groups map[string]string `yaml:"groups"`
	// Horizon is how many days ahead future availability is looked for; 0: none is told.
	Horizon int `yaml:"horizon"`
}

// DefaultConfig is what holds where the file says nothing: the door is shut.
func DefaultConfig() Config {
	return Config{Item: "{itemId}", Units: []string{"EACH", "UNIT"}, ProductClasses: []string{"GOOD", "NEW"}}
}

// maxHorizon bounds the horizon, days.
const maxHorizon = 365

// Names of the parts of an item, in lower case.
const (
	itemID       = "itemid"
	unit         = "unitofmeasure"
	productClass = "productclass"
)

// Door translates. It does not change, so it is safe for concurrent use.
type Door struct {
	cfg  Config
	item *doors.Template
}

// New reads a configuration; nil where the door is shut. Its error names every fault.
func New(cfg *Config) (*Door, error) {
	d := &Door{cfg: *cfg}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var err error
	if d.item, err = doors.ParseTemplate(cfg.Item); err != nil {
		bad("item: %w", err)
	} else {
		for _, name := range d.item.Names() {
			if name != itemID && name != unit && name != productClass {
				bad("item: {%s} is none of itemId, unitOfMeasure and productClass", name)
			}
		}
		if !slices.Contains(d.item.Names(), itemID) {
			bad("item: {itemId} has to be in it")
		}
	}
	for tenant, entity := range cfg.Tenants {
		if tenant == "" || entity == "" {
			bad("tenants: neither a tenant nor its entity is empty")
		}
	}
	if cfg.Horizon < 0 || cfg.Horizon > maxHorizon {
		bad("horizon: between 0 and %d", maxHorizon)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(cfg.Tenants) == 0 {
		return nil, nil //nolint:nilnil // there is no door
	}
	return d, nil
}

// Entity is whose items a tenant's are; false: it is none of the door's.
func (d *Door) Entity(tenant string) (inventory.Entity, bool) {
	if d == nil {
		return "", false
	}
	e, ok := d.cfg.Tenants[tenant]
	return e, ok
}
