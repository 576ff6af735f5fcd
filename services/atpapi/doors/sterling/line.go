package sterling

import (
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
)

// maxActions is the published limit of a request.
const maxActions = 100

// Line is what all lines say.
type Line struct {
	LineID         string `json:"lineId"`
	ItemID         string `json:"itemId"`
	UnitOfMeasure  string `json:"unitOfMeasure"`
	ProductClass   string `json:"productClass"`
	DeliveryMethod string `json:"deliveryMethod"` // SHP or PICK: our numbers are the same of both
}

// key is the item of a line; what the template does not name has to be what items are.
func (d *Door) key(entity inventory.Entity, l *Line) (inventory.Key, *doors.Fault) {
	names := d.item.Names()
	at := func(what string) string { return "line " + l.LineID + ": " + what }
	switch {
	case l.LineID == "" || len(l.LineID) > doors.MaxName:
		return inventory.Key{}, doors.Bad("bad_line_id", "lineId: 1 to %d bytes", doors.MaxName)
	case l.UnitOfMeasure != "" && !slices.Contains(names, unit) && !slices.Contains(d.cfg.Units, l.UnitOfMeasure):
		return inventory.Key{}, doors.Bad("unknown_unit", "%s", at("items have no unitOfMeasure "+short(l.UnitOfMeasure)))
	case l.ProductClass != "" && !slices.Contains(names, productClass) && !slices.Contains(d.cfg.ProductClasses, l.ProductClass):
		return inventory.Key{}, doors.Bad("unknown_product_class", "%s", at("items have no productClass "+short(l.ProductClass)))
	case l.DeliveryMethod != "" && l.DeliveryMethod != "SHP" && l.DeliveryMethod != "PICK":
		return inventory.Key{}, doors.Bad("bad_parameter", "%s", at("deliveryMethod is SHP or PICK"))
	}
	of := map[string]string{itemID: l.ItemID, unit: l.UnitOfMeasure, productClass: l.ProductClass}
	item, bad := d.item.Fill(func(name string) string { return of[name] })
	if bad != nil {
		bad.Detail = at(bad.Detail)
		return inventory.Key{}, bad
	}
	return inventory.Key{Entity: entity, Item: inventory.Item(item)}, nil
}

// short bounds what of a request is said again.
func short(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most]
	}
	return s
}

// place bounds the name of a node or group.
func place(what, name string) *doors.Fault {
	if name == "" || len(name) > doors.MaxName {
		return doors.Bad("bad_parameter", "%s: 1 to %d bytes", what, doors.MaxName)
	}
	return nil
}

// lines refuses too many actions, no lines, and two of n lines with one id.
func lines(actions, n int, id func(i int) string) *doors.Fault {
	if actions > maxActions {
		return doors.Bad("too_many_actions", "Number of actions in input (%d) is greater than the tenant limit of %d.", actions, maxActions)
	}
	if n == 0 {
		return doors.Bad("bad_lines", "lines: at least one")
	}
	seen := make(map[string]bool, n)
	for i := range n {
		if seen[id(i)] {
			return doors.Bad("bad_line_id", "lineId %s stands twice", short(id(i)))
		}
		seen[id(i)] = true
	}
	return nil
}

// Segments are parts of supply, of which there are none here.
type Segments struct {
	Segment     string `json:"segment"`
	SegmentType string `json:"segmentType"`
}

func (s *Segments) fault() *doors.Fault {
	if s.Segment != "" || s.SegmentType != "" {
		return doors.Bad("unknown_segment", "there is no segment %s", short(s.Segment+s.SegmentType))
	}
	return nil
}
