package d365

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
	"github.com/stockweave/stockweave/services/atpapi/doors/doorstest"
)

// today is 2026-12-01.
var today = inventory.Day(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC).Unix() / 86400)

func newDoor(t *testing.T, change ...func(*Config)) *Door {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Environments, cfg.Organizations = []string{"env"}, map[string]inventory.Entity{"usmf": "acme"}
	cfg.Item = "{productId}-{colorId}"
	for _, f := range change {
		f(&cfg)
	}
	d, err := New(&cfg)
	if err != nil || d == nil {
		t.Fatal(err)
	}
	return d
}

// tell answers as a reader does: of T-shirts at 11, kits of socks at 12, and bikes by day.
func tell(asks []doors.Ask) []doors.Told {
	out := make([]doors.Told, len(asks))
	for i, a := range asks {
		switch {
		case a.Key.Item == "T-shirt-red" && a.Location == "11":
			out[i].Quantities = map[string]string{"atp": "7.5", "on_hand": "-2.5", "reserved": "1", "supply": "30", "picked": "4"}
		case a.Key.Item == "Socks-red" && a.Location == "12":
			out[i].Quantities = map[string]string{"atp": "3"}
		case a.Key.Item == "Bike-Red" && a.On == today:
			out[i].Fault = doors.Bad("day_past", "")
		case a.Key.Item == "Bike-Red" && a.On == today+2:
			out[i].Quantities = map[string]string{"atp": "12"}
		case a.Key.Item == "Bike-Red":
			out[i].Quantities = map[string]string{"atp": "5"}
		case a.Location == "11":
			out[i].Fault = &doors.Fault{Status: 404, Code: "unknown_item"}
		default:
			out[i].Fault = &doors.Fault{Status: 404, Code: "unknown_location"}
		}
	}
	return out
}

func TestQueries(t *testing.T) {
	d := newDoor(t)
	var index, atp IndexQuery
	var exact ExactQuery
	doorstest.Read(t, "index.json", &index)
	doorstest.Read(t, "atp.json", &atp)
	doorstest.Read(t, "exact.json", &exact)
	byIndex := func(in *IndexQuery) func() (*Query, *doors.Fault) {
		return func() (*Query, *doors.Fault) { return d.Index(in, today) }
	}
	byGet := func(text string) func() (*Query, *doors.Fault) {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		return func() (*Query, *doors.Fault) { return d.Get(values, today) }
	}
	for _, tt := range []struct {
		answer string
		asks   int
		entity inventory.Entity
		query  func() (*Query, *doors.Fault)
	}{
		{"index.answer.json", 4, "acme", byIndex(&index)},
		{"atp.answer.json", 4, "acme", byIndex(&atp)},
		{"exact.answer.json", 2, "SCM_IV", func() (*Query, *doors.Fault) { return d.Exact(&exact, today) }},
		{"index.answer.json", 4, "acme", byGet("organizationId=usmf&productId=T-shirt&productId=Socks&siteId=1&locationId=11&locationId=12&ColorId=red&groupBy=ColorId&returnNegative=true")},
		{"atp.answer.json", 4, "acme", byGet("organizationId=usmf&productId=Bike&SiteId=1&LocationId=11&ColorId=Red&QueryATP=true&ATPFromDate=2026-12-01&ATPToDate=2026-12-03")},
	} {
		q, bad := tt.query()
		if bad != nil {
			t.Fatal(bad)
		}
		if len(q.Asks) != tt.asks || q.Asks[0].Key.Entity != tt.entity {
			t.Errorf("%s: asks %+v", tt.answer, q.Asks)
		}
		rows, bad := q.Answer(tell(q.Asks))
		if bad != nil {
			t.Fatal(bad)
		}
		doorstest.Same(t, tt.answer, rows)
	}
}

// What cannot be told of one row is told of none.
func TestAnswerFails(t *testing.T) {
	d := newDoor(t)
	var in IndexQuery
	doorstest.Read(t, "atp.json", &in)
	q, bad := d.Index(&in, today)
	if bad != nil {
		t.Fatal(bad)
	}
	for i := range q.Asks {
		told := tell(q.Asks)
		told[i].Fault = &doors.Fault{Status: 400, Code: "day_too_far"}
		if _, bad := q.Answer(told); bad == nil || bad.Code != "day_too_far" {
			t.Errorf("ask %d: %v", i, bad)
		}
	}
	// Without days it is from today, or yesterday where that is, for as long as configured.
	in.ATPFromDate, in.ATPToDate = "", ""
	if q, bad = d.Index(&in, today); bad != nil || len(q.Asks) != 1+8 || q.Asks[1].On != today-1 || q.Asks[8].On != today+6 {
		t.Errorf("%v %+v", bad, q)
	}
	in.ATPFromDate = "2026-12-20"
	if q, bad = d.Index(&in, today); bad != nil || len(q.Asks) != 1+7 || q.Asks[1].On != today+19 {
		t.Errorf("%v %+v", bad, q)
	}
	in.ATPFromDate, in.ATPToDate = "2020-01-01", "2026-12-01"
	if q, bad = d.Index(&in, today); bad != nil || len(q.Asks) != 1+2 {
		t.Errorf("%v %+v", bad, q)
	}
	in.ATPToDate = "2020-01-02" // all of it is over
	if q, bad = d.Index(&in, today); bad == nil {
		t.Errorf("%+v", q)
	}
}

func TestBadQueries(t *testing.T) {
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"x",`, n), ",") }
	numbered := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`"` + time.Duration(i).String() + `",`)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	const whole = `"organizationId":["o"],"productId":["p"],"siteId":["1"],"locationId":["L"],"colorId":["c"]`
	for body, code := range map[string]string{
		`{}`: "missing_dimension",
		`{"filters":{` + whole + `,"sizeId":["s"]}}`:                                                                                                 "unknown_dimension",
		`{"filters":{` + whole + `,"SITEID":["s"]}}`:                                                                                                 "bad_filters",
		`{"filters":{` + whole + `},"groupByValues":["sizeId"]}`:                                                                                     "unknown_dimension",
		`{"filters":{"organizationId":["o","u"],"productId":["p"],"siteId":["1"],"locationId":["L"],"colorId":["c"]}}`:                               "bad_filters",
		`{"filters":{"productId":["p"],"siteId":["1"],"locationId":["L"],"colorId":["c"]}}`:                                                          "bad_filters",
		`{"filters":{"organizationId":[""],"productId":["p"],"siteId":["1"],"locationId":["L"],"colorId":["c"]}}`:                                    "bad_filters",
		`{"filters":{"organizationId":["o"],"productId":[],"siteId":["1"],"locationId":["L"],"colorId":["c"]}}`:                                      "too_many_records",
		`{"filters":{"organizationId":["o"],"productId":["p"],"siteId":[],"locationId":["L"],"colorId":["c"]}}`:                                      "missing_dimension",
		`{"filters":{"organizationId":["o"],"productId":["p"],"siteId":[""],"locationId":["L"],"colorId":["c"]}}`:                                    "missing_dimension",
		`{"filters":{"organizationId":["o"],"productId":["p"],"siteId":["1"],"locationId":[""],"colorId":["c"]}}`:                                    "missing_dimension",
		`{"filters":{"organizationId":["o"],"productId":["p"],"siteId":["1"],"locationId":["L"],"colorId":["c-d"]}}`:                                 "ambiguous_dimensions",
		`{"filters":{"organizationId":["o"],"productId":["p"],"siteId":["1","2"],"locationId":["L"],"colorId":["c"]}}`:                               "ambiguous_dimensions",
		`{"filters":{"organizationId":["o"],"productId":["p","p"],"siteId":["1"],"locationId":["L"],"colorId":["c"]}}`:                               "ambiguous_dimensions",
		`{"filters":{"organizationId":["o"],"productId":["p"],"siteId":["1"],"locationId":["L"],"colorId":["c","d"]}}`:                               "bad_group_by",
		`{"filters":{"organizationId":["o"],"productId":["p"],"siteId":["1"],"locationId":[` + many(101) + `],"colorId":["c"]}}`:                     "too_many_records",
		`{"filters":{"organizationId":["o"],"productId":[` + many(513) + `],"siteId":["1"],"locationId":["L"],"colorId":["c"]}}`:                     "too_many_records",
		`{"filters":{"organizationId":["o"],"productId":["p"],"siteId":["1"],"locationId":["L"],"colorId":[` + many(513) + `]}}`:                     "too_many_records",
		`{"ATPToDate":"1.12.","filters":{` + whole + `}}`:                                                                                            "bad_day",
		`{"QueryATP":true,"ATPFromDate":"1.12.","filters":{` + whole + `}}`:                                                                          "bad_day",
		`{"QueryATP":true,"ATPToDate":"2030-01-01","filters":{` + whole + `}}`:                                                                       "bad_day",
		`{"QueryATP":true,"ATPFromDate":"2026-12-30","ATPToDate":"2026-12-01","filters":{` + whole + `}}`:                                            "bad_day",
		`{"QueryATP":true,"filters":{"organizationId":["o"],"productId":[` + numbered(512) + `],"siteId":["1"],"locationId":["L"],"colorId":["c"]}}`: "too_many_records",
	} {
		var in IndexQuery
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			t.Fatal(err)
		}
		if q, bad := newDoor(t).Index(&in, today); bad == nil || bad.Code != code || bad.Status != 400 {
			t.Errorf("%.150s: %v %+v, want %s", body, bad, q, code)
		}
	}
	for body, code := range map[string]string{
		`{}`: "missing_dimension",
		`{"filters":{"dimensions":["siteId","locationId","colorId","sizeId"]}}`:                                                                        "unknown_dimension",
		`{"filters":{"dimensions":["siteId","locationId","colorId","siteid"]}}`:                                                                        "bad_filters",
		`{"filters":{"dimensions":["siteId","locationId"]}}`:                                                                                           "missing_dimension",
		`{"filters":{"organizationId":["o"],"productId":["p"],"dimensions":["siteId","locationId","colorId"]}}`:                                        "bad_filters",
		`{"filters":{"organizationId":["o"],"productId":["p"],"dimensions":["siteId","locationId","colorId"],"values":[["1","L"]]}}`:                   "bad_filters",
		`{"filters":{"organizationId":["o"],"productId":["p"],"dimensions":["siteId","locationId","colorId"],"values":[["1","","c"]]}}`:                "missing_dimension",
		`{"filters":{"organizationId":["o"],"productId":["p"],"dimensions":["siteId","locationId","colorId"],"values":[["1","L","c"],["2","L","c"]]}}`: "ambiguous_dimensions",
	} {
		var in ExactQuery
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			t.Fatal(err)
		}
		if q, bad := newDoor(t).Exact(&in, today); bad == nil || bad.Code != code {
			t.Errorf("%s: %v %+v, want %s", body, bad, q, code)
		}
	}
	for text, code := range map[string]string{
		"organizationId=o&productId=p&siteId=1&locationId=L&colorId=c&groupBy=a&groupBy=b": "bad_parameter",
		"organizationId=o&productId=p&siteId=1&locationId=L&colorId=c&returnNegative=yes":  "bad_parameter",
		"organizationId=o&productId=p&siteId=1&locationId=L&colorId=c&sizeId=s":            "unknown_dimension",
		"organizationId=o&productId=p&siteId=1&locationId=L&colorId=c&siteid=2":            "bad_filters",
		"": "missing_dimension",
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if q, bad := newDoor(t).Get(values, today); bad == nil || bad.Code != code {
			t.Errorf("%s: %v %+v, want %s", text, bad, q, code)
		}
	}
}

func TestRecords(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.Hold = time.Hour })
	var in Reserve
	doorstest.Read(t, "reserve.json", &in)
	h, bad := d.Hold(&in)
	hour := int64(3600)
	want := &doors.Hold{Name: in.OrganizationID + "|reserve-0", Key: inventory.Key{Entity: "acme", Item: "T-shirt-red"}, Location: "11", Quantity: "1.5", Seconds: &hour}
	if bad != nil || !reflect.DeepEqual(h, want) || d.Kept() {
		t.Errorf("%v %+v", bad, h)
	}
	if !newDoor(t).Kept() {
		t.Error("what the configuration says nothing of lapses")
	}
	in.Quantities, in.Quantity, in.Modifier, in.QuantityDataSource = map[string]map[string]json.Number{"iv": {"SoftReserved": "2"}}, "", "", ""
	if h, bad = d.Hold(&in); bad != nil || h.Quantity != "2" {
		t.Errorf("%v %+v", bad, h)
	}
	var un Unreserve
	doorstest.Read(t, "unreserve.json", &un)
	r, bad := d.Release(&un)
	if bad != nil || *r != (Release{"0123.abc", "acme", 2 * inventory.One}) {
		t.Fatalf("%v %+v", bad, r)
	}
	exact := *r
	exact.Excess = 0
	doorstest.Same(t, "records.json", []Record{
		Reserved("reserve-0", &doors.Held{ID: "0123.abc", Quantity: "1.5"}),
		Reserved("reserve-0", &doors.Held{Fault: &doors.Fault{Status: 409, Code: "denied", Detail: "1 of T-shirt-red can be granted"}}),
		Released(&un, r), Released(&un, &exact),
	})
}

func TestBadRecords(t *testing.T) {
	no := false
	for i, tt := range []struct {
		change func(*Reserve)
		code   string
	}{
		{func(r *Reserve) { r.ID = "" }, "bad_record"},
		{func(r *Reserve) { r.ID = strings.Repeat("x", 256) }, "bad_record"},
		{func(r *Reserve) { r.IfCheckAvailForReserv = &no }, "unchecked_reservation"},
		{func(r *Reserve) { r.OrganizationID = "" }, "bad_filters"},
		{func(r *Reserve) { r.ProductID = "" }, "missing_dimension"},
		{func(r *Reserve) { r.ProductID = strings.Repeat("x", 253) }, "missing_dimension"},
		{func(r *Reserve) { r.Dimensions["sizeId"] = "s" }, "unknown_dimension"},
		{func(r *Reserve) { r.Dimensions["SITEID"] = "s" }, "bad_record"},
		{func(r *Reserve) { delete(r.Dimensions, "siteId") }, "missing_dimension"},
		{func(r *Reserve) { r.Modifier = "onOrder" }, "unknown_measure"},
		{func(r *Reserve) { r.QuantityDataSource = "pos" }, "unknown_measure"},
		{func(r *Reserve) { r.Quantity = "-1" }, "bad_quantity"},
		{func(r *Reserve) { r.Quantity = "" }, "bad_quantity"},
		{func(r *Reserve) { r.Quantity = "1e3" }, "bad_quantity"},
		{func(r *Reserve) { r.Quantities = map[string]map[string]json.Number{"iv": {"softreserved": "1"}} }, "bad_quantity"},
		{func(r *Reserve) {
			r.Quantity, r.Modifier = "", ""
			r.Quantities = map[string]map[string]json.Number{"iv": {"softreserved": "1", "softreservordered": "1"}}
		}, "bad_quantity"},
	} {
		var in Reserve
		doorstest.Read(t, "reserve.json", &in)
		tt.change(&in)
		if h, bad := newDoor(t).Hold(&in); bad == nil || bad.Code != tt.code {
			t.Errorf("%d: %v %+v, want %s", i, bad, h, tt.code)
		}
	}
	for i, tt := range []struct {
		change func(*Unreserve)
		code   string
	}{
		{func(u *Unreserve) { u.ID = "" }, "bad_record"},
		{func(u *Unreserve) { u.OrganizationID = "" }, "bad_filters"},
		{func(u *Unreserve) { u.Dimensions["sizeId"] = "s" }, "unknown_dimension"},
		{func(u *Unreserve) { u.Dimensions["siteid"] = "" }, "missing_dimension"},
		{func(u *Unreserve) { u.ReservationID = "0123.abc" }, "unknown_reservation"},
		{func(u *Unreserve) { u.ReservationID = "0123.abc~0" }, "unknown_reservation"},
		{func(u *Unreserve) { u.OffsetQty = "" }, "bad_quantity"},
		{func(u *Unreserve) { u.OffsetQty = "9" }, "partial_unreserve"},
	} {
		var in Unreserve
		doorstest.Read(t, "unreserve.json", &in)
		tt.change(&in)
		if r, bad := newDoor(t).Release(&in); bad == nil || bad.Code != tt.code {
			t.Errorf("%d: %v %+v, want %s", i, bad, r, tt.code)
		}
	}
}

func TestConfig(t *testing.T) {
	cfg := DefaultConfig()
	if d, err := New(&cfg); d != nil || err != nil || d.Admits("") {
		t.Errorf("by default the door is open: %v", err)
	}
	cfg = Config{Environments: []string{""}, Item: "{siteId}", Location: "{productId}", Measures: map[string]string{"atp": "atp", "a.b": "nothing"}, Hold: -1}
	_, err := New(&cfg)
	for _, want := range []string{"environments:", "item:", "location:", `"atp"`, `"nothing"`, "hold:", "days:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has not %s", err, want)
		}
	}
	d := newDoor(t, func(c *Config) { c.Location, c.Item = "{siteId}/{locationId}/{styleId}", "X-{productId}" })
	if !slices.Equal(d.dimensions, []string{"siteid", "locationid", "styleid"}) || !d.Admits("env") || d.Admits("other") {
		t.Errorf("%+v", d)
	}
	item, loc, bad := d.names("p", func(name string) string { return name })
	if bad != nil || item != "X-p" || loc != "siteid/locationid/styleid" {
		t.Errorf("%v %s %s", bad, item, loc)
	}
}
