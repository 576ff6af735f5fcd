package d365

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
)

// Bounds of a request.
const (
	// MaxRecords bounds a bulk request and the rows of an answer.
	MaxRecords = 512
	maxPairs   = 100  // of site and location
	maxAsks    = 4096 // rows, times the days of ATP
)

// Options are what all on-hand queries may say.
type Options struct {
	// DimensionDataSource says whose names the dimensions have. Base dimensions are meant
	// with every data source, and others are not known here.
	DimensionDataSource string   `json:"dimensionDataSource"`
	GroupByValues       []string `json:"groupByValues"`
	ReturnNegative      bool     `json:"returnNegative"`
	QueryATP            bool     `json:"QueryATP"`
	ATPFromDate         string   `json:"ATPFromDate"`
	ATPToDate           string   `json:"ATPToDate"`
}

// IndexQuery is the body of POST …/onhand/indexquery: each site with each location.
type IndexQuery struct {
	Options

	Filters map[string][]string `json:"filters"`
}

// ExactQuery is the body of POST …/onhand/exactquery: the dimensions in the tuples given.
type ExactQuery struct {
	Options

	Filters struct {
		OrganizationID []string   `json:"organizationId"`
		ProductID      []string   `json:"productId"`
		Dimensions     []string   `json:"dimensions"`
		Values         [][]string `json:"values"`
	} `json:"filters"`
}

// Index reads an index query. Today is the day in UTC.
func (d *Door) Index(in *IndexQuery, today inventory.Day) (*Query, *doors.Fault) {
	filters := make(map[string][]string, len(in.Filters))
	spelled := map[string]string{}
	for name, values := range in.Filters {
		folded := strings.ToLower(name)
		if _, twice := filters[folded]; twice {
			return nil, doors.Bad("bad_filters", "%.64q stands twice", name)
		}
		filters[folded], spelled[folded] = values, name
	}
	organizations, products := filters["organizationid"], filters[product]
	delete(filters, "organizationid")
	delete(filters, product)
	for _, name := range d.dimensions {
		if len(filters[name]) == 0 {
			return nil, doors.Bad("missing_dimension", "filters: which %s?", name)
		}
	}
	for name := range filters {
		if !slices.Contains(d.dimensions, name) {
			return nil, unknown(spelled[name])
		}
	}
	if len(filters[site])*len(filters[location]) > maxPairs {
		return nil, doors.Bad("too_many_records", "at most %d pairs of siteId and locationId", maxPairs)
	}
	tuples := [][]string{nil}
	for _, name := range d.dimensions {
		if len(tuples)*len(filters[name]) > MaxRecords {
			return nil, tooMany()
		}
		var longer [][]string
		for _, t := range tuples {
			for _, v := range filters[name] {
				longer = append(longer, append(slices.Clone(t), v))
			}
		}
		tuples = longer
	}
	return d.query(&in.Options, organizations, products, spelled, tuples, today)
}

// Exact reads an exact query. Today is the day in UTC.
func (d *Door) Exact(in *ExactQuery, today inventory.Day) (*Query, *doors.Fault) {
	f := &in.Filters
	spelled, at := map[string]string{}, map[string]int{}
	for i, name := range f.Dimensions {
		folded := strings.ToLower(name)
		if !slices.Contains(d.dimensions, folded) {
			return nil, unknown(name)
		}
		if _, twice := at[folded]; twice {
			return nil, doors.Bad("bad_filters", "%.64q stands twice", name)
		}
		at[folded], spelled[folded] = i, name
	}
	for _, name := range d.dimensions {
		if _, ok := at[name]; !ok {
			return nil, doors.Bad("missing_dimension", "filters.dimensions: %s has to be among them", name)
		}
	}
	if len(f.Values) > MaxRecords {
		return nil, tooMany()
	}
	tuples := make([][]string, len(f.Values))
	for i, values := range f.Values {
		if len(values) != len(f.Dimensions) {
			return nil, doors.Bad("bad_filters", "filters.values: entry %d has %d values for %d dimensions", i, len(values), len(f.Dimensions))
		}
		for _, name := range d.dimensions {
			tuples[i] = append(tuples[i], values[at[name]])
		}
	}
	return d.query(&in.Options, f.OrganizationID, f.ProductID, spelled, tuples, today)
}

// Get reads the parameters of GET …/onhand, which asks as an index query does. A filter
// stands as often as it has values; groupBy is a list with commas.
func (d *Door) Get(values url.Values, today inventory.Day) (*Query, *doors.Fault) {
	in := &IndexQuery{Filters: map[string][]string{}}
	for name, vs := range values {
		one := vs[0]
		switch folded := strings.ToLower(name); folded {
		case "groupby", "returnnegative", "queryatp", "atpfromdate", "atptodate", "dimensiondatasource":
			if len(vs) > 1 {
				return nil, doors.Bad("bad_parameter", "%.64q stands once", name)
			}
			switch folded {
			case "groupby":
				if one != "" {
					in.GroupByValues = strings.Split(one, ",")
				}
			case "returnnegative", "queryatp":
				b, err := strconv.ParseBool(strings.ToLower(one))
				if err != nil {
					return nil, doors.Bad("bad_parameter", "%s is true or false", name)
				}
				if folded == "queryatp" {
					in.QueryATP = b
				} else {
					in.ReturnNegative = b
				}
			case "atpfromdate":
				in.ATPFromDate = one
			case "atptodate":
				in.ATPToDate = one
			}
		default:
			in.Filters[name] = vs
		}
	}
	return d.Index(in, today)
}

func unknown(dimension string) *doors.Fault {
	return doors.Bad("unknown_dimension", "there is no dimension %.64q", dimension)
}

func tooMany() *doors.Fault {
	return doors.Bad("too_many_records", "at most %d records for each request", MaxRecords)
}

// period is the first and the last day of ATP that a query asks for. The first may be over
// where the item is.
func (d *Door) period(o *Options, today inventory.Day) (from, to inventory.Day, bad *doors.Fault) {
	// West of Greenwich it is yesterday yet.
	from, to = today-1, today+inventory.Day(d.days)-1
	for _, x := range []struct {
		name, text string
		into       *inventory.Day
	}{{"ATPFromDate", o.ATPFromDate, &from}, {"ATPToDate", o.ATPToDate, &to}} {
		if x.text == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, x.text)
		if err != nil {
			return 0, 0, doors.Bad("bad_day", "%s: a day such as 2026-12-01", x.name)
		}
		*x.into = inventory.Day(t.Unix() / int64(24*time.Hour/time.Second))
		if x.into == &from {
			from = max(from, today-1) // what is over is not told
			if o.ATPToDate == "" {
				to = max(to, from+inventory.Day(d.days)-1)
			}
		}
	}
	if to < from-1 || to-from > maxDays {
		return 0, 0, doors.Bad("bad_day", "ATPToDate: from ATPFromDate or today on, and at most %d days behind it", maxDays)
	}
	return from, to, nil
}
