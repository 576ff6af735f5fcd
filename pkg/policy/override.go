package policy

import (
	"errors"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Override is a number that a person put in the place of the computed one. An empty
// part of its scope means any. Times are RFC 3339.
type Override struct {
	Kind     inventory.OverrideKind `yaml:"kind" json:"kind"`
	Entity   inventory.Entity       `yaml:"entity" json:"entity,omitempty"`
	Item     inventory.Item         `yaml:"item" json:"item,omitempty"`
	Location inventory.Location     `yaml:"location" json:"location,omitempty"`
	Channel  string                 `yaml:"channel" json:"channel,omitempty"`
	Quantity inventory.Quantity     `yaml:"quantity" json:"quantity,omitempty"` // set_quantity
	From     string                 `yaml:"from" json:"from,omitempty"`         // always when empty
	Until    string                 `yaml:"until" json:"until,omitempty"`       // not included
	Author   string                 `yaml:"author" json:"author"`
	Reason   string                 `yaml:"reason" json:"reason,omitempty"`
	MadeAt   string                 `yaml:"made_at" json:"made_at,omitempty"` // the one made last decides
}

// inventory is the override as Promise takes it.
func (o *Override) inventory() (inventory.Override, error) {
	out := inventory.Override{
		Kind: o.Kind, Entity: o.Entity, Item: o.Item, Location: o.Location, Channel: o.Channel, Quantity: o.Quantity,
		Author: o.Author, Reason: o.Reason,
	}
	var errs []error
	for _, f := range []struct {
		field, text string
		into        *inventory.Instant
	}{{"from", o.From, &out.From}, {"until", o.Until, &out.Until}, {"made_at", o.MadeAt, &out.MadeAt}} {
		if f.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, f.text)
		if err != nil || t.Unix() <= 0 {
			errs = append(errs, &Fault{Field: f.field, Code: CodeBadTime, Reason: "RFC 3339, with its offset"})
			continue
		}
		*f.into = inventory.Instant(t.UnixMilli())
	}
	return out, errors.Join(errs...)
}

func (o *Override) validate(fs *faults, field string) {
	in, err := o.inventory()
	for _, e := range flatten(err) {
		if f, ok := errors.AsType[*Fault](e); ok {
			fs.add(f.Code, field+"."+f.Field, "%s", f.Reason)
		}
	}
	if f := in.Fault(); f != nil && err == nil {
		fs.add(string(f.Code), field+"."+f.Field, "%s", f.Detail)
	}
}

// zoneOf is an IANA time zone. "Local" is none: it is another one on each machine.
func zoneOf(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") {
		return nil, errors.New("no IANA time zone")
	}
	return time.LoadLocation(name)
}
