package atpapi

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// listed goes through the pages of a list and counts what is on them, by item.
func (w *web) listed(t *testing.T, query string) (items map[string]int, pages int) {
	t.Helper()
	items = map[string]int{}
	for after := ""; ; {
		rec := w.get(t, "/v1/atp?"+query+after)
		var p struct {
			Items []answer
			Next  string
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != http.StatusOK {
			t.Fatalf("%d %.300s: %v", rec.Code, rec.Body, err)
		}
		pages++
		for i := range p.Items {
			items[p.Items[i].Item]++
		}
		if p.Next == "" {
			return items, pages
		}
		after = "&after=" + url.QueryEscape(p.Next)
	}
}

// Every item of the entity is on a page, and none that was not asked for.
func TestList(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) { testList(t, s, newWebOn(t, event.TestCodecs(), s)) })
}

func testList(t *testing.T, s *store, w *web) {
	t.Helper()
	want := map[string]int64{}
	names := []string{"a|b", "100%", "st*r", "[x]", `back\slash`, "x/y z", "batch"}
	for i := range 300 {
		names = append(names, fmt.Sprintf("I%d", i))
	}
	for i, name := range names {
		w.flog.commit(t, w.codecs, name, int64(i+1), map[inventory.Location]int64{"DC1": int64(i), "DC2": 1})
		want[name] = int64(i)
	}
	for _, e := range []inventory.Entity{"other", "acm*", "acme|x", "[e]"} {
		p := inventory.Position{Key: inventory.Key{Entity: e, Item: inventory.Item("of " + e)}, Location: "DC1"}
		p.States[inventory.OnHand] = inventory.One
		w.flog.put(t, w.codecs, 400, []inventory.Position{p})
	}
	w.run(t, 50)
	same := func(query string, belongs func(name string, n int64) bool) {
		t.Helper()
		got, pages := w.listed(t, query)
		for name, n := range want {
			if belongs(name, n) != (got[name] > 0) {
				t.Errorf("%s: %s is there %d times", query, name, got[name])
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("%s: not asked for: %v", query, got)
		}
		// The in-process Redis puts all on one page.
		if query == "limit=7" && strings.HasSuffix(t.Name(), "/redis") && pages < 300/7/4 {
			t.Errorf("%s: in %d pages", query, pages)
		}
	}
	all := func(string, int64) bool { return true }
	same("", all)
	same("limit=7", all)
	same("entity=acme&limit=1000&fields=item,atp", all)
	same("below=5&limit=7", func(_ string, n int64) bool { return n+1 < 5 })
	same("below=5&location=DC1", func(_ string, n int64) bool { return n < 5 })
	same("below=100000&group=web", all)
	same("channel=shop", all)
	same("channel=shop&entity=other", func(string, int64) bool { return false }) // it sells acme's alone
	since := time.UnixMilli(1_700_000_000_000 + 200).UTC().Format("2006-01-02T15:04:05.000Z")
	same("limit=50&recorded_since="+since, func(name string, _ int64) bool { return slices.Index(names, name)+1 >= 200 })
	if got, _ := w.listed(t, "entity=acm*"); len(got) != 1 || got["of acm*"] == 0 {
		t.Errorf("an entity with a star: %v", got)
	}
	if got, _ := w.listed(t, "entity=%5Be%5D"); len(got) != 1 {
		t.Errorf("an entity in brackets: %v", got)
	}
	if got, pages := w.listed(t, "entity=nobody"); len(got) != 0 || pages == 0 {
		t.Errorf("an entity without items: %v", got)
	}

	nodes, err := s.scanNodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := cursor{life: life(t.Context(), nodes, 0), of: question(url.Values{})}
	next := c.String()
	c.life++
	for query, code := range map[string]string{
		"after=" + next + "&below=5":      "bad_cursor", // of another question
		"after=" + next + "x":             "bad_cursor",
		"after=" + c.String():             "cursor_expired",
		"limit=0":                         "bad_parameter",
		"limit=1001":                      "bad_parameter",
		"below=-1":                        "bad_quantity",
		"recorded_since=soon":             "bad_parameter",
		"quantity=1":                      "unknown_parameter",
		"fields=nothing":                  "unknown_field",
		"channel=NOPE":                    "unknown_channel",
		"group=NOPE":                      "unknown_group",
		"group=web&channel=shop":          "conflicting_parameters",
		"after=" + next + "&limit=50&z=1": "unknown_parameter",
	} {
		if rec := w.get(t, "/v1/atp?"+query); !strings.Contains(rec.Body.String(), `"`+code+`"`) {
			t.Errorf("%s: %d %s, want %s", query, rec.Code, rec.Body, code)
		}
	}
	// The size of a page may change on the way.
	if rec := w.get(t, "/v1/atp?limit=20&after="+next); rec.Code != http.StatusOK {
		t.Errorf("a larger page: %d %s", rec.Code, rec.Body)
	}
	// What was lost is not taken for what is not there.
	if err := s.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if rec := w.get(t, "/v1/atp"); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "not_caught_up") {
		t.Errorf("of an emptied store: %d %s", rec.Code, rec.Body)
	}
}

func TestFields(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10, "DC2": 4})
	w.run(t, 10)
	whole := w.get(t, "/v1/atp/A")
	for fields, want := range map[string]string{
		"atp":                             `{"atp":"14"}`,
		"atp,version,locations.atp":       `{"atp":"14","locations":[{"atp":"10"},{"atp":"4"}],"version":3}`,
		"locations.states.on_hand":        `{"locations":[{"states":{"on_hand":"10"}},{"states":{"on_hand":"4"}}]}`,
		"locations.atp,locations.version": `{"locations":[{"atp":"10","version":3},{"atp":"4","version":3}]}`,
		"override.kind,item":              `{"item":"A"}`,
	} {
		rec := w.get(t, "/v1/atp/A?fields="+fields)
		if strings.TrimSpace(rec.Body.String()) != want || rec.Header().Get("ETag") != whole.Header().Get("ETag") {
			t.Errorf("%s: %d %s, want %s", fields, rec.Code, rec.Body, want)
		}
	}
	for _, both := range []string{"freshness,freshness.age_ms", "freshness.age_ms,freshness"} {
		if rec := w.get(t, "/v1/atp/A?fields="+both); !strings.Contains(rec.Body.String(), "caught_up") {
			t.Errorf("%s: %s", both, rec.Body)
		}
	}
	for _, fields := range []string{"nothing", "atp.x", "locations.nothing", "atp,", ".", "locations.states.on_hand.x", strings.Repeat("atp,", maxFields) + "atp"} {
		if rec := w.get(t, "/v1/atp/A?fields="+fields); rec.Code != http.StatusBadRequest {
			t.Errorf("%.40s: %d %s", fields, rec.Code, rec.Body)
		}
	}
	rec := w.post(t, "/v1/atp/batch", `{"items":[{"item":"A"}],"fields":["atp"]}`)
	if !strings.Contains(rec.Body.String(), `"answer":{"atp":"14"}`) {
		t.Errorf("of a batch: %s", rec.Body)
	}
	rec = w.post(t, "/v1/atp/batch", `{"items":[{"item":"A"}],"fields":["atp","nothing"]}`)
	if !strings.Contains(rec.Body.String(), `"pointer":"/fields/1"`) {
		t.Errorf("of a batch: %s", rec.Body)
	}
}

// An answer that is older than asked for is refused, also one that has not changed.
func TestMaxAge(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	var a answer
	if err := json.Unmarshal(w.get(t, "/v1/atp/A").Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(5 * time.Second)
	age := a.Freshness.AgeMS + 5000
	for _, tt := range []struct {
		most int64
		code string
	}{{age, ""}, {age - 1, "stale"}, {0, "bad_parameter"}, {maxMaxAge + 1, "bad_parameter"}} {
		query := fmt.Sprintf("max_age_ms=%d", tt.most)
		for _, path := range []string{"/v1/atp/A?" + query, "/v1/atp?" + query} {
			rec := w.get(t, path, "If-None-Match", "*")
			if tt.code == "" && rec.Code >= 400 || tt.code != "" && !strings.Contains(rec.Body.String(), tt.code) {
				t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
			}
			if tt.code == "stale" && rec.Header().Get("Retry-After") != "2" {
				t.Errorf("%s: Retry-After %q", path, rec.Header().Get("Retry-After"))
			}
		}
		rec := w.post(t, "/v1/atp/batch", fmt.Sprintf(`{"items":[{"item":"A"}],"max_age_ms":%d}`, tt.most))
		if tt.code == "" && !strings.Contains(rec.Body.String(), `"answered":1`) || tt.code != "" && !strings.Contains(rec.Body.String(), tt.code) {
			t.Errorf("batch, %s: %d %s", query, rec.Code, rec.Body)
		}
	}
}

// A large answer is compressed for who takes it so, and says the same.
func TestCompression(t *testing.T) {
	w := newWeb(t)
	where := map[inventory.Location]int64{}
	for i := range 20 {
		where[inventory.Location(fmt.Sprintf("DC%d", i))] = 1
	}
	w.flog.commit(t, w.codecs, "A", 3, where)
	w.flog.commit(t, w.codecs, "B", 4, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	plain := w.get(t, "/v1/atp/A")
	rec := w.get(t, "/v1/atp/A", "Accept-Encoding", "gzip")
	if rec.Header().Get("Content-Encoding") != "gzip" || rec.Body.Len() >= plain.Body.Len()/2 || rec.Header().Get("Vary") != "Accept-Encoding" || rec.Header().Get("ETag") != plain.Header().Get("ETag") {
		t.Fatalf("%d bytes of %d: %v", rec.Body.Len(), plain.Body.Len(), rec.Header())
	}
	z, err := gzip.NewReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != plain.Body.String() {
		t.Errorf("another answer: %v", err)
	}
	if rec := w.get(t, "/v1/atp/B", "Accept-Encoding", "gzip"); rec.Header().Get("Content-Encoding") != "" || rec.Body.Len() == 0 {
		t.Errorf("a small one: %v", rec.Header())
	}
	if rec := w.get(t, "/v1/atp/A", "Accept-Encoding", "gzip", "If-None-Match", plain.Header().Get("ETag")); rec.Code != http.StatusNotModified || rec.Body.Len() != 0 {
		t.Errorf("unchanged: %d %q", rec.Code, rec.Body)
	}
	for accepts, packed := range map[string]bool{
		"br, gzip;q=0.5": true, "gzip; q=0.001, identity": true, "gzip;q=0": false, "gzip; q=0.000, br": false, "identity": false, "xgzip": false, "": false,
	} {
		if rec := w.get(t, "/v1/atp/A", "Accept-Encoding", accepts); (rec.Header().Get("Content-Encoding") == "gzip") != packed || rec.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %v", accepts, rec.Header())
		}
	}
	if rec := w.get(t, "/v1/atp/A", "Accept-Encoding", "gzip", "Accept", "text/event-stream"); rec.Header().Get("Content-Encoding") != "" {
		t.Errorf("a stream: %v", rec.Header())
	}
}

// A parameter without a value is refused: a channel whose name was lost on the way is
// not answered with the number of all stock.
func TestEmptyParameters(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	for _, name := range []string{"entity", "location", "group", "channel", "on", "fields", "max_age_ms"} {
		for _, path := range []string{"/v1/atp/A", "/v1/atp"} {
			if rec := w.get(t, path+"?"+name+"="); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "bad_parameter") {
				t.Errorf("%s?%s=: %d %s", path, name, rec.Code, rec.Body)
			}
		}
	}
}
