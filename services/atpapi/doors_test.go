package atpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/promisetest"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/services/atpapi/doors/d365"
	"github.com/stockweave/stockweave/services/atpapi/doors/sterling"
)

const (
	d365At     = "/api/environment/env-1/onhand"
	sterlingAt = "/inventory/us-1/v1"
)

// openDoors opens both doors.
func openDoors(t *testing.T, a *api, change ...func(*DoorsConfig)) {
	t.Helper()
	cfg := DefaultDoors()
	cfg.D365.Environments, cfg.D365.Organizations = []string{"env-1"}, map[string]inventory.Entity{"usmf": "acme"}
	cfg.Sterling.Tenants = map[string]inventory.Entity{"us-1": "acme", "other": "other", "NOPE": "NOPE"}
	cfg.Sterling.Groups, cfg.Sterling.Horizon = map[string]string{"US": promisetest.Group}, 10
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if a.dialects, err = cfg.open(); err != nil {
		t.Fatal(err)
	}
}

// decoded is the body of a 200.
func decoded[T any](t testing.TB, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var out T
	if rec.Code != http.StatusOK || json.Unmarshal(rec.Body.Bytes(), &out) != nil {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return out
}

// Whatever the policy and the positions, no door says another number than GET /v1/atp.
func TestDoorsSayWhatATPSays(t *testing.T) {
	w := newWeb(t)
	w.flog.put(t, w.codecs, 1, nil)
	w.run(t, 100)
	version := int64(1)
	told := 0
	rapid.Check(t, func(rt *rapid.T) {
		c := promisetest.Draw(rt)
		entity := string(c.Key.Entity)
		openDoors(t, w.api, func(cfg *DoorsConfig) {
			cfg.D365.Organizations, cfg.Sterling.Tenants = map[string]inventory.Entity{"usmf": c.Key.Entity}, map[string]inventory.Entity{"us-1": c.Key.Entity}
		})
		version++
		w.promiseBy(t, c.ATP, c.Channels...)
		if _, err := w.batch(t.Context(), w.flog.put(t, w.codecs, version, c.Positions)); err != nil {
			rt.Fatal(err)
		}
		today := w.api.today()
		says := func(by, name string, on inventory.Day) string {
			q := "/v1/atp/" + string(c.Key.Item) + "?entity=" + entity + "&" + by + "=" + name
			if on != 0 {
				q += "&on=" + place.Date(on)
			}
			rec := w.get(t, q)
			if rec.Code != http.StatusOK {
				return ""
			}
			return decoded[answer](t, rec).ATP
		}
		same := func(what, got, want string) {
			rt.Helper()
			if got != want {
				rt.Fatalf("%s is %q, and %q by GET /v1/atp", what, got, want)
			}
			told++
		}
		larger := func(a, b string) string {
			x, err := inventory.ParseQuantity(a)
			y, worse := inventory.ParseQuantity(b)
			if err != nil || worse != nil {
				rt.Fatal(err, worse)
			}
			return max(x, y).String()
		}
		for _, loc := range []string{"A", "B", "C", "NOPE"} {
			want := says("location", loc, 0)
			rows := decoded[[]d365.Row](t, w.post(t, d365At+"/indexquery", fmt.Sprintf(
				`{"filters":{"organizationId":["usmf"],"productId":[%q],"siteId":["1"],"locationId":[%q]},"QueryATP":true,"returnNegative":true}`, c.Key.Item, loc)))
			lines := decoded[sterling.Answer](t, w.post(t, sterlingAt+"/availability/node", fmt.Sprintf(
				`{"lines":[{"lineId":"1","itemId":%q,"shipNodes":[%q]}]}`, c.Key.Item, loc))).Lines
			if want == "" {
				if len(rows) != 0 || len(*lines[0].Nodes) != 0 {
					rt.Fatalf("%s: %+v %+v", loc, rows, *lines[0].Nodes)
				}
				continue
			}
			same("D365 at "+loc, rows[0].Quantities["iv"]["availabletoreserve"].String(), want)
			for day, m := range rows[0].ATPQuantities {
				d, err := dayOf(strings.TrimSuffix(day, "T00:00:00Z"))
				if err != nil {
					rt.Fatal(err)
				}
				same("D365 at "+loc+" on "+day, m["iv"]["availabletoreserve"].String(), says("location", loc, d))
			}
			if len(rows[0].ATPQuantities) < 6 {
				rt.Fatalf("days %v", rows[0].ATPQuantities)
			}
			same("Sterling at "+loc, (*lines[0].Nodes)[0].Onhand.String(), want)
			same("Sterling at "+loc+", by the horizon", (*lines[0].Nodes)[0].Total.String(), larger(want, says("location", loc, today+10)))
		}
		if want := says("group", promisetest.Group, 0); want != "" {
			lines := decoded[sterling.Answer](t, w.post(t, sterlingAt+"/availability/network", fmt.Sprintf(
				`{"distributionGroupId":"US","lines":[{"lineId":"1","itemId":%q}]}`, c.Key.Item))).Lines
			same("Sterling", (*lines[0].Groups)[0].Onhand.String(), want)
			same("Sterling, by the horizon", (*lines[0].Groups)[0].Total.String(), larger(want, says("group", promisetest.Group, today+10)))
		}
	})
	if told < 100 {
		t.Errorf("only %d numbers were compared", told)
	}
}

// The doors of the whole service, over a cluster and a Redis.
func TestDoorsOfTheService(t *testing.T) {
	r := newRoad(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 10, "DC2": 4})
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), func(cfg *Config) {
		cfg.ATP = policy.ATPPolicy{Groups: map[string][]inventory.Location{"web": {"DC1", "DC2"}}}
		cfg.Doors.D365.Environments, cfg.Doors.Sterling.Tenants = []string{"env-1"}, map[string]inventory.Entity{"us-1": "acme"}
	})
	eventually(t, "the item is there", func() bool {
		status, _ := get(t, url, "A")
		return status == http.StatusOK
	})
	const row = `{"productId":"A","dimensions":{"locationid":"%s","siteid":"1"},"quantities":{"fno":{"ordered":0,"physicalinvent":%d},"iv":{"availabletoreserve":%d,"softreserved":0}}}`
	both := "[" + fmt.Sprintf(row, "DC1", 10, 10) + "," + fmt.Sprintf(row, "DC2", 4, 4) + "]"
	for _, tt := range []struct{ method, path, body, want string }{
		{http.MethodPost, d365At + "/indexquery", `{"filters":{"organizationId":["acme"],"productId":["A","B"],"siteId":["1"],"locationId":["DC1","DC2"]}}`, both},
		{http.MethodPost, d365At + "/exactquery", `{"filters":{"organizationId":["acme"],"productId":["A"],"dimensions":["siteId","locationId"],"values":[["1","DC1"],["1","DC2"]]}}`, both},
		{http.MethodGet, d365At + "?organizationId=acme&productId=A&siteId=1&locationId=DC1&locationId=DC2", "", both},
		{http.MethodPost, sterlingAt + "/availability/network", `{"distributionGroupId":"web","lines":[{"lineId":"7","itemId":"A"}]}`, `"totalAvailableQuantity":14,"onhandAvailableQuantity":14,`},
		{http.MethodPost, sterlingAt + "/availability/node", `{"lines":[{"lineId":"7","itemId":"A","shipNodes":["DC2"]}]}`, `{"lines":[{"lineId":"7","shipNodeAvailability":[{"shipNode":"DC2","totalAvailableQuantity":4,"onhandAvailableQuantity":4,`},
	} {
		if status, body := fetched(t, tt.method, url+tt.path, tt.body); status != http.StatusOK || !strings.Contains(string(body), tt.want) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, status, body)
		}
	}
}

// Whatever is wrong is said in the dialect, with the stable code.
func TestDoorsRefuse(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	const (
		filters = `{"filters":{"organizationId":["usmf"],"productId":["A"],"siteId":["1"],"locationId":["DC1"]}}`
		lines   = `{"lines":[{"lineId":"1","itemId":"A","shipNodes":["DC1"]}]}`
	)
	refused := func(path, body string, status int, code string, headers ...string) {
		t.Helper()
		rec := w.post(t, path, body, headers...)
		var d d365.Record
		var s sterling.Refused
		into, words := any(&s), func() bool { return s.Code == code && s.Message != "" && s.Error == "" }
		switch {
		case strings.HasPrefix(path, "/api"):
			into, words = &d, func() bool {
				return d.Code == code && d.StatusCode == status && d.Status == "failed" && d.Message != ""
			}
		case status == 401 || status == 403:
			words = func() bool { return s.Code == code && s.Error == code && s.Description != "" && s.Message == "" }
		}
		if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil || rec.Code != status || !words() {
			t.Errorf("%s %.80s: %d %s, want %d %s", path, body, rec.Code, rec.Body, status, code)
		}
	}
	// Shut, as by default.
	refused(d365At+"/indexquery", filters, 404, "unknown_environment")
	refused(sterlingAt+"/availability/node", lines, 404, "unknown_tenant")
	openDoors(t, w.api)
	refused("/api/environment/env-2/onhand/indexquery", filters, 404, "unknown_environment")
	refused(d365At+"/indexquery", filters, 400, "unknown_version", "Api-Version", "9.0")
	refused(d365At+"/indexquery", filters, 400, "unknown_version", "Api-Version", "")
	refused(d365At+"/indexquery", `{"filter":{}}`, 400, "bad_body")
	refused(d365At+"/indexquery", `{"filters":{"colorId":["red"]}}`, 400, "missing_dimension")
	refused(d365At+"/exactquery", `{"filters":{"dimensions":["colorId"]}}`, 400, "unknown_dimension")
	refused(d365At+"/indexquery", filters, 415, "unsupported_media_type", "Content-Type", "text/plain")
	refused(d365At+"/indexquery", strings.Repeat(" ", maxBatchBody+1), 413, "body_too_large")
	refused("/inventory/us-2/v1/availability/node", lines, 404, "unknown_tenant")
	refused(sterlingAt+"/availability/node", `{"lines":[{"shipNode":"N"}]}`, 400, "bad_body")
	refused(sterlingAt+"/availability/network", `{"distributionGroupId":"NOPE","lines":[{"lineId":"1","itemId":"A"}]}`, 404, "unknown_group")
	refused(sterlingAt+"/availability/network", `{"distributionGroupId":"NOPE","lines":[]}`, 400, "bad_lines")
	refused(d365At+"/reserve", `{}`, 503, "reservations_unavailable")
	refused(sterlingAt+"/reservations", `{}`, 503, "reservations_unavailable")
	if rec := w.get(t, d365At+"?siteId=%zz"); rec.Code != 400 || !strings.Contains(rec.Body.String(), "bad_query") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.get(t, d365At+"?organizationId=usmf&productId=A&siteId=1&locationId=DC1&colorId=red"); rec.Code != 400 || !strings.Contains(rec.Body.String(), "unknown_dimension") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.admits(t, &Config{Access: policy.Access{Principals: []policy.Principal{principal("booker", "reservations:write")}}})
	refused(d365At+"/indexquery", filters, 401, "bad_key")
	refused(sterlingAt+"/availability/node", lines, 401, "bad_key")
	refused(d365At+"/indexquery", filters, 403, "insufficient_scope", "Authorization", "Bearer booker")
	refused(sterlingAt+"/availability/node", lines, 403, "insufficient_scope", "Authorization", "Bearer booker")
	w.admits(t, &Config{Keys: []Key{{"all", hashed("all")}}})
	w.mini.SetError("LOADING")
	for _, path := range []string{d365At + "/indexquery", sterlingAt + "/availability/node"} {
		body := filters
		if strings.HasPrefix(path, "/inventory") {
			body = lines
		}
		refused(path, body, 503, "redis_unavailable", "Authorization", "Bearer all")
	}
}

// Each code that a door says by itself is documented.
func TestDoorsAreDocumented(t *testing.T) {
	said := regexp.MustCompile(`(?:Bad\(|Code: )"([a-z_0-9]+)"`)
	n := 0
	for _, pattern := range []string{"doors*.go", "doors/*.go", "doors/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range said.FindAllStringSubmatch(string(b), -1) {
				if n++; !strings.HasSuffix(name, "_test.go") && !strings.Contains(string(openAPI), "`"+m[1]+"`") {
					t.Errorf("%s: %s is not documented", name, m[1])
				}
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d found", n)
	}
}

// The configuration that the manual shows is one, and what it leaves out is as by default.
func TestDoorsOfTheManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/doors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manual), "```yaml\n")
	shown, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no configuration is shown")
	}
	load := func(text string) Config {
		t.Helper()
		name := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := struct {
			ATPAPI Config `yaml:"atp_api"`
		}{DefaultConfig()}
		if err := service.LoadConfig(name, &cfg); err != nil {
			t.Fatal(err)
		}
		return cfg.ATPAPI
	}
	cfg := load(shown)
	open, err := cfg.Doors.open()
	if err != nil || open.d365 == nil || open.sterling == nil || cfg.Doors.D365.Organizations["usmf"] != "acme" || cfg.Doors.Sterling.Horizon != 30 {
		t.Errorf("%v %+v", err, cfg.Doors)
	}
	cfg = load("atp_api: {doors: {d365: {environments: [x]}}}")
	if open, err = cfg.Doors.open(); err != nil || open.d365 == nil || open.sterling != nil || cfg.Doors.D365.Item != "{productId}" {
		t.Errorf("%v %+v", err, cfg.Doors)
	}
	cfg = load("atp_api: {doors: {d365: {item: x}, sterling: {item: y}}}")
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "atp_api.doors.d365: item:") || !strings.Contains(err.Error(), "atp_api.doors.sterling: item:") {
		t.Errorf("%v", err)
	}
}
