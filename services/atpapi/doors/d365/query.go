package d365

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/services/atpapi/doors"
)

// Query is an on-hand query that was read.
type Query struct {
	// Asks are the questions it comes to, whose answers go to Answer in this order.
	Asks []doors.Ask

	door     *Door
	rows     []row
	negative bool
	each     int // asks of a row: of today, and of each day of ATP
	from     inventory.Day
}

// row is an answer to come: of a product in its dimensions.
type row struct {
	product    string
	dimensions map[string]string // as the answer spells them
}

// query makes the questions of an item in each tuple of dimensions, which are in the
// order of d.dimensions.
func (d *Door) query(o *Options, organizations, products []string, spelled map[string]string, tuples [][]string, today inventory.Day) (*Query, *doors.Fault) {
	if len(organizations) != 1 {
		return nil, doors.Bad("bad_filters", "organizationId: one of them")
	}
	entity, bad := d.entity(organizations[0])
	switch {
	case bad != nil:
		return nil, bad
	case len(products) == 0:
		return nil, doors.Bad("too_many_records", "productId: all products are not answered here, name them; GET /v1/atp lists them")
	case len(tuples) == 0:
		return nil, doors.Bad("bad_filters", "filters: no values")
	case len(products)*len(tuples) > MaxRecords:
		return nil, tooMany()
	}
	if bad := d.grouped(o.GroupByValues, tuples); bad != nil {
		return nil, bad
	}
	q := &Query{door: d, negative: o.ReturnNegative || o.QueryATP, each: 1}
	from, to, bad := d.period(o, today)
	if bad != nil {
		return nil, bad
	}
	if o.QueryATP {
		q.from, q.each = from, 1+int(to-from)+1
		if len(products)*len(tuples)*q.each > maxAsks {
			return nil, doors.Bad("too_many_records", "at most %d rows times days: narrow the filters, or ATPFromDate and ATPToDate", maxAsks)
		}
	}
	type place struct {
		item     inventory.Item
		location inventory.Location
	}
	seen := map[place]bool{}
	for _, p := range products {
		for _, t := range tuples {
			value := func(name string) string { return t[slices.Index(d.dimensions, name)] }
			for i, v := range t {
				if v == "" || len(v) > doors.MaxName {
					return nil, doors.Bad("missing_dimension", "%s: 1 to %d bytes", d.dimensions[i], doors.MaxName)
				}
			}
			item, loc, bad := d.names(p, value)
			if bad != nil {
				return nil, bad
			}
			// What stands twice would be added up by whoever asks.
			if seen[place{item, loc}] {
				return nil, doors.Bad("ambiguous_dimensions", "item %.64q at %.64q is asked for twice: by two sites, say", item, loc)
			}
			seen[place{item, loc}] = true
			r := row{p, map[string]string{}}
			for i, name := range d.dimensions {
				out := name
				if s := spelled[name]; s != "" && name != site && name != location {
					out = s
				}
				r.dimensions[out] = t[i]
			}
			q.rows = append(q.rows, r)
			ask := doors.Ask{Key: inventory.Key{Entity: entity, Item: item}, Location: loc}
			q.Asks = append(q.Asks, ask)
			for i := range q.each - 1 {
				ask.On = q.from + inventory.Day(i)
				q.Asks = append(q.Asks, ask)
			}
		}
	}
	return q, nil
}

// grouped refuses to add up: rows are by all dimensions that there are.
func (d *Door) grouped(by []string, tuples [][]string) *doors.Fault {
	var folded []string
	for _, name := range by {
		f := strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(d.dimensions, f) {
			return unknown(name)
		}
		folded = append(folded, f)
	}
	for i, name := range d.dimensions {
		if name == site || name == location || slices.Contains(folded, name) {
			continue
		}
		for _, t := range tuples {
			if t[i] != tuples[0][i] {
				return doors.Bad("bad_group_by", "groupByValues: %s has to be among them, since several are asked for and quantities are not added up", name)
			}
		}
	}
	return nil
}

// Measures are quantities by data source and name.
type Measures map[string]map[string]json.Number

func (m Measures) set(name, quantity string) {
	source, measure, _ := strings.Cut(name, ".")
	if m[source] == nil {
		m[source] = map[string]json.Number{}
	}
	m[source][measure] = json.Number(quantity)
}

// Row is what is on hand of a product in its dimensions.
type Row struct {
	// ATPQuantities are what may be promised on a day, by its midnight. The changes
	// scheduled (quantitiesByDate) are not told.
	ATPQuantities map[string]Measures `json:"atpQuantities,omitempty"`
	ProductID     string              `json:"productId"`
	Dimensions    map[string]string   `json:"dimensions"`
	Quantities    Measures            `json:"quantities"`
}

// Answer makes the rows of the answers to the query's Asks: of what is recorded, as the
// dialect does. Without returnNegative and QueryATP a negative quantity is left out; what
// may be promised is never one.
func (q *Query) Answer(told []doors.Told) ([]Row, *doors.Fault) {
	rows := []Row{}
	for i := range q.rows {
		of := told[i*q.each : (i+1)*q.each]
		if of[0].Missing() {
			continue
		}
		r := Row{ProductID: q.rows[i].product, Dimensions: q.rows[i].dimensions, Quantities: Measures{}}
		if of[0].Fault != nil {
			return nil, of[0].Fault
		}
		for name, quantity := range q.door.measures {
			if n, ok := of[0].Quantities[quantity]; ok && (q.negative || !strings.HasPrefix(n, "-")) {
				r.Quantities.set(name, n)
			}
		}
		for j := range of[1:] {
			t := &of[1+j]
			if t.Fault != nil && (t.Missing() || t.Fault.Code == "day_past") {
				continue
			}
			if t.Fault != nil {
				return nil, t.Fault
			}
			if r.ATPQuantities == nil {
				r.ATPQuantities = map[string]Measures{}
			}
			m := Measures{}
			for _, name := range q.door.atp {
				m.set(name, t.Quantities[doors.ATP])
			}
			r.ATPQuantities[place.Date(q.from+inventory.Day(j))+"T00:00:00Z"] = m
		}
		rows = append(rows, r)
	}
	return rows, nil
}
