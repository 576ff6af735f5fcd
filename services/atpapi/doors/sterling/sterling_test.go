package sterling

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
	"github.com/stockweave/stockweave/services/atpapi/doors/doorstest"
)

var now = time.Date(2026, 12, 1, 10, 55, 6, 515e6, time.UTC)

func today() inventory.Day { return inventory.Day(now.Unix() / 86400) }

func newDoor(t *testing.T, change ...func(*Config)) *Door {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Tenants, cfg.Groups = map[string]inventory.Entity{"us-1": "acme"}, map[string]string{"US_Group": "web"}
	for _, f := range change {
		f(&cfg)
	}
	d, err := New(&cfg)
	if err != nil || d == nil {
		t.Fatal(err)
	}
	return d
}

// tell answers as a reader does.
func tell(asks []doors.Ask) []doors.Told {
	out := make([]doors.Told, len(asks))
	for i, a := range asks {
		atp := func(n string) { out[i].Quantities = map[string]string{"atp": n} }
		switch {
		case a.Key.Item == "Mouse" && a.Quantity != 0:
			if a.Quantity == 37*inventory.One+1 {
				out[i].From = "2026-12-05"
			}
			atp("37")
		case a.Key.Item == "Mouse" && a.On != 0:
			atp("50.5")
		case a.Key.Item == "Mouse" && (a.Location == "Node01" || a.Group == "web"):
			atp("37")
		case a.Key.Item == "Mouse" && a.Location == "Node02":
			atp("0")
		case a.Key.Item == "Cheese" && a.On != 0:
			atp("8")
		case a.Key.Item == "Cheese": // nor is it known since when
			atp("0")
		case a.Key.Item == "Mouse":
			out[i].Fault = &doors.Fault{Status: 404, Code: "unknown_location"}
		default:
			out[i].Fault = &doors.Fault{Status: 404, Code: "unknown_item"}
		}
	}
	return out
}

func TestAvailability(t *testing.T) {
	var node NodeRequest
	doorstest.Read(t, "node.json", &node)
	q, bad := newDoor(t).Node("acme", &node, today())
	if bad != nil {
		t.Fatal(bad)
	}
	if len(q.Asks) != 4 || q.Asks[1] != (doors.Ask{Key: inventory.Key{Entity: "acme", Item: "Mouse"}, Location: "Node02"}) {
		t.Errorf("asks %+v", q.Asks)
	}
	told := tell(q.Asks)
	if later := q.Later(told); len(later) != 0 {
		t.Errorf("asks %+v", later)
	}
	a, bad := q.Answer(told, nil, now)
	if bad != nil {
		t.Fatal(bad)
	}
	doorstest.Same(t, "node.answer.json", a)

	var network NetworkRequest
	doorstest.Read(t, "network.json", &network)
	q, bad = newDoor(t, func(c *Config) { c.Horizon = 30 }).Network("acme", &network, today())
	if bad != nil {
		t.Fatal(bad)
	}
	if len(q.Asks) != 6 || q.Asks[1] != (doors.Ask{Key: inventory.Key{Entity: "acme", Item: "Mouse"}, Group: "web", On: today() + 30}) || q.Asks[2].Group != "EU" {
		t.Errorf("asks %+v", q.Asks)
	}
	told = tell(q.Asks)
	later := q.Later(told)
	if len(later) != 2 || later[1].Quantity != 1 || later[1].On != 0 {
		t.Errorf("asks %+v", later)
	}
	if a, bad = q.Answer(told, tell(later), now); bad != nil {
		t.Fatal(bad)
	}
	doorstest.Same(t, "network.answer.json", a)
	for i := range told {
		told = tell(q.Asks)
		told[i].Fault = &doors.Fault{Status: 404, Code: "unknown_group"}
		if a, bad := q.Answer(told, tell(later), now); i < 4 && (bad == nil || bad.Code != "unknown_group") {
			t.Errorf("ask %d: %+v", i, a)
		}
	}
}

func TestReserve(t *testing.T) {
	var in ReserveRequest
	doorstest.Read(t, "reserve.json", &in)
	holds, bad := newDoor(t).Holds("acme", "tx", &in)
	seconds := int64(900)
	if want := []doors.Hold{
		{Name: "acme|tx|1", Key: inventory.Key{Entity: "acme", Item: "Mouse"}, Location: "Node01", Quantity: "2", Seconds: &seconds},
		{Name: "acme|tx|2", Key: inventory.Key{Entity: "acme", Item: "Cheese"}, Location: "Node02", Quantity: "0.25", Seconds: &seconds},
	}; bad != nil || !reflect.DeepEqual(holds, want) {
		t.Errorf("%v %+v", bad, holds)
	}
	name := func(entity inventory.Entity, transaction, line string) string {
		in.Lines[0].LineID = line
		holds, bad := newDoor(t).Holds(entity, transaction, &in)
		if bad != nil {
			t.Fatal(bad)
		}
		return holds[0].Name
	}
	if a, b, c := name("acme", "a", "b c"), name("acme", "a b", "c"), name("other", "a", "b c"); a == b || a == c {
		t.Errorf("requests of one name: %q %q %q", a, b, c)
	}
	in.Lines[0].LineID = "1"
	contended := doors.Held{Fault: &doors.Fault{Status: 409, Code: "contended", Detail: "it fits but for what others may yet give up"}}
	away := doors.Held{Fault: &doors.Fault{Status: 503, Code: "reservations_unavailable"}}
	a, bad := Reserved(&in, []doors.Held{{ID: "0123.abc", Quantity: "2"}, contended})
	if bad != nil {
		t.Fatal(bad)
	}
	doorstest.Same(t, "reserve.answer.json", a)
	if _, bad := Reserved(&in, []doors.Held{away, away}); bad != away.Fault {
		t.Errorf("nothing is known and said as %v", bad)
	}
	if a, bad := Reserved(&in, []doors.Held{away, contended}); bad != nil || a.Lines[0].Code != "reservations_unavailable" {
		t.Errorf("%v %+v", bad, a)
	}
}

func TestRefused(t *testing.T) {
	nodes := `"` + strings.Repeat(`N","`, 309) + `N"`
	line := func(more string) string {
		return `{"lines":[{"lineId":"1","itemId":"A","shipNodes":["N"]` + more + `}]}`
	}
	for body, code := range map[string]string{
		`{}`: "bad_lines",
		`{"lines":[{"lineId":"1","itemId":"A"}]}`:                                                                 "bad_parameter",
		`{"lines":[{"lineId":"1","itemId":"A","shipNodes":[""]}]}`:                                                "bad_parameter",
		`{"lines":[{"lineId":"1","shipNodes":["N"]}]}`:                                                            "missing_dimension",
		`{"lines":[{"itemId":"A","shipNodes":["N"]}]}`:                                                            "bad_line_id",
		`{"lines":[{"lineId":"1","itemId":"A","shipNodes":["N"]},{"lineId":"1","itemId":"B","shipNodes":["N"]}]}`: "bad_line_id",
		`{"lines":[{"lineId":"1","itemId":"A","shipNodes":[` + nodes + `]}]}`:                                     "too_many_actions",
		line(`,"unitOfMeasure":"DOZEN"`):                                                                          "unknown_unit",
		line(`,"productClass":"OPEN_BOX"`):                                                                        "unknown_product_class",
		line(`,"deliveryMethod":"DRONE"`):                                                                         "bad_parameter",
		`{"segment":"ONLINE","lines":[{"lineId":"1","itemId":"A","shipNodes":["N"]}]}`:                            "unknown_segment",
		`{"segmentType":"CHANNEL","lines":[{"lineId":"1","itemId":"A","shipNodes":["N"]}]}`:                       "unknown_segment",
		`{"considerSafetyStock":false,"lines":[{"lineId":"1","itemId":"A","shipNodes":["N"]}]}`:                   "safety_stock_kept",
	} {
		var in NodeRequest
		doorstest.Strict(t, []byte(body), &in)
		q, bad := newDoor(t).Node("acme", &in, today())
		if bad == nil || bad.Code != code || bad.Status != 400 {
			t.Errorf("%.120s: %v %+v, want %s", body, bad, q, code)
		}
		if bad != nil && code == "too_many_actions" {
			doorstest.Same(t, "errors.json", []Refused{Refuse(bad), Refuse(&doors.Fault{Status: 401, Code: "bad_token", Detail: "the token is not valid here"})})
		}
	}
	for body, code := range map[string]string{
		`{}`: "bad_lines",
		`{"lines":[{"lineId":"1","itemId":"A"}]}`:                                                       "bad_parameter",
		`{"distributionGroupId":"G","considerSafetyStock":false,"lines":[{"lineId":"1","itemId":"A"}]}`: "safety_stock_kept",
		`{"distributionGroupId":"G","lines":[{"lineId":"1"}]}`:                                          "missing_dimension",
		`{"lines":[` + strings.Repeat(`{},`, 100) + `{}]}`:                                              "too_many_actions",
	} {
		var in NetworkRequest
		doorstest.Strict(t, []byte(body), &in)
		if q, bad := newDoor(t).Network("acme", &in, today()); bad == nil || bad.Code != code {
			t.Errorf("%.120s: %v %+v, want %s", body, bad, q, code)
		}
	}
	for body, code := range map[string]string{
		`{}`: "bad_lines",
		`{"lines":[` + strings.Repeat(`{},`, 100) + `{}]}`:                                                       "too_many_actions",
		`{"timeToExpire":-1,"lines":[{"lineId":"1","itemId":"A","shipNode":"N","quantity":1}]}`:                  "bad_hold",
		`{"timeToExpire":9223372036854775807,"lines":[{"lineId":"1","itemId":"A","shipNode":"N","quantity":1}]}`: "bad_hold",
		`{"segment":"S","lines":[{"lineId":"1","itemId":"A","shipNode":"N","quantity":1}]}`:                      "unknown_segment",
		`{"lines":[{"lineId":"1","itemId":"A","quantity":1}]}`:                                                   "group_reservation",
		`{"lines":[{"lineId":"1","itemId":"A","shipNode":"N","distributionGroup":"G","quantity":1}]}`:            "group_reservation",
		`{"lines":[{"lineId":"1","itemId":"A","shipNode":"N","quantity":0}]}`:                                    "bad_quantity",
		`{"lines":[{"lineId":"1","itemId":"A","shipNode":"N"}]}`:                                                 "bad_quantity",
		`{"lines":[{"lineId":"1","itemId":"A","shipNode":"N","unitOfMeasure":"KG","quantity":1}]}`:               "unknown_unit",
	} {
		var in ReserveRequest
		doorstest.Strict(t, []byte(body), &in)
		if h, bad := newDoor(t).Holds("acme", "tx", &in); bad == nil || bad.Code != code {
			t.Errorf("%.120s: %v %+v, want %s", body, bad, h, code)
		}
	}
}

func TestConfig(t *testing.T) {
	cfg := DefaultConfig()
	if d, err := New(&cfg); d != nil || err != nil {
		t.Errorf("by default the door is open: %v", err)
	}
	if _, ok := (*Door)(nil).Entity("us-1"); ok {
		t.Error("a shut door lets in")
	}
	cfg = Config{Tenants: map[string]inventory.Entity{"": "acme"}, Item: "{productClass}-{colour}", Horizon: -1}
	_, err := New(&cfg)
	for _, want := range []string{"tenants:", "{colour}", "{itemId}", "horizon:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has not %s", err, want)
		}
	}
	d := newDoor(t, func(c *Config) { c.Item = "{itemId}|{productClass}" })
	if k, bad := d.key("acme", &Line{LineID: "1", ItemID: "A", ProductClass: "OPEN_BOX"}); bad != nil || k.Item != "A|OPEN_BOX" {
		t.Errorf("%v %v", k, bad)
	}
	if k, bad := d.key("acme", &Line{LineID: "1", ItemID: "A"}); bad == nil {
		t.Errorf("without a class it is %v", k)
	}
	if e, ok := d.Entity("us-2"); ok || e != "" {
		t.Error("another tenant is let in")
	}
}
