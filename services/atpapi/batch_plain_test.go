package atpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// TestPlainBatchesAreReadAsStrictly: what is read the short way is what decodeStrict reads.
func TestPlainBatchesAreReadAsStrictly(t *testing.T) {
	taken, left := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		piece := func(of ...string) string { return rapid.SampledFrom(of).Draw(t, "piece") }
		odd := rapid.Bool().Draw(t, "odd")
		rare := func() bool { return odd && rapid.IntRange(0, 5).Draw(t, "rare") == 0 }
		text := func() string {
			if rare() {
				return piece(`"acme"`, `"A"`, `""`, `"a\u0041"`, `"é"`, `"<&>"`, "\"\x7f\"", "\"\t\"", "\"\xff\"", `null`, `7`, `"`, `{}`, `"a" "b"`)
			}
			return piece(`"acme"`, `"A"`, `"<&>'/ ~"`, `"2026-11-24"`)
		}
		space := func() string { return piece("", "", " ", "\n\t\r ") }
		object := func(fields ...string) string {
			s := space() + "{" + space() + strings.Join(fields, space()+","+space()) + space()
			if rare() {
				return s + piece("}", "}", "}", ",}", "", "]", "}}")
			}
			return s + "}"
		}
		names := func(of ...string) []string {
			if rare() {
				return rapid.SliceOfN(rapid.SampledFrom(append(of, "Item", "ITEMS", "color", "fields", "")), 0, 3).Draw(t, "names")
			}
			return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 1, 2, rapid.ID[string]).Draw(t, "names")
		}
		var items []string
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			var fields []string
			for _, name := range names("item", "entity") {
				fields = append(fields, `"`+name+`"`+space()+":"+space()+text())
			}
			items = append(items, object(fields...))
		}
		var fields []string
		for _, name := range append(names("entity", "location", "group", "channel", "on", "quantity"), "items") {
			value := text()
			if name == "items" {
				value = "[" + space() + strings.Join(items, ",") + space() + "]"
			}
			fields = append(fields, `"`+name+`"`+space()+":"+space()+value)
		}
		body := object(rapid.Permutation(fields).Draw(t, "fields")...) + space()
		var got, want batchRequest
		if !got.plain(body) {
			left++
			if err := decodeStrict([]byte(body), &want); err == nil && !odd && len(items) > 0 {
				t.Fatalf("%s is plain", body)
			}
			return
		}
		taken++
		if err := decodeStrict([]byte(body), &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %+v, want %+v, %v", body, got, want, err)
		}
	})
	if t.Logf("%d taken, %d left", taken, left); taken < left/10 || left == 0 {
		t.Error("one of both hardly ever")
	}
}

// TestUnusualBatchesAreNotPlain: they are decodeStrict's.
func TestUnusualBatchesAreNotPlain(t *testing.T) {
	const items = `"items":[{"item":"A"}]`
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"items":[]}`, `{"items":[{}]}`, `{"items":null}`, `{` + items + `,}`, `{"items":[{"item":"A"},]}`, `{"items":[{"item":"A",}]}`,
		`{` + items, `{` + items + `} x`, `{` + items + `}{}`, `{` + items + `,` + items + `}`, `{"entity":"a","entity":"b",` + items + `}`,
		`{"items":[{"item":"A","item":"B"}]}`, `{"items":[{"item":"a\u0041"}]}`, `{"items":[{"item":"a\""}]}`, "{\"items\":[{\"item\":\"a\tb\"}]}", "{\"items\":[{\"item\":\"\xff\"}]}",
		`{"items":[{"item":"A","color":"b"}]}`, `{"color":"b",` + items + `}`, `{"items":[{"Item":"A"}]}`, `{"items":[{"item":7}]}`, `{"fields":["atp"],` + items + `}`,
		`{"max_age_ms":5,` + items + `}`, `{"entity":"",` + items + `}`, `{"entity" "a",` + items + `}`, `{"entity":"a" ` + items + `}`,
	} {
		var got batchRequest
		if got.plain(body) {
			t.Errorf("%s is taken: %+v", body, got)
		}
	}
}

// TestBatchesHaveNothingOfOthers: batches that are worked out in the same room, one after
// another and at once, are answered as in a new one.
func TestBatchesHaveNothingOfOthers(t *testing.T) {
	w := newWeb(t)
	for i, item := range []string{"A", "B", "C", "D"} {
		w.flog.commit(t, w.codecs, item, int64(i+1), map[inventory.Location]int64{"DC1": int64(i + 1)})
	}
	w.run(t, 10)
	bodies := []string{
		`{"items":[{"item":"NONE"},{"item":"A","entity":"other"},{"item":"B"},{"item":"C"}]}`,
		`{"items":[{"item":"A"},{"item":"B"},{"item":"C"},{"item":"D"}]}`,
		`{"items":[{"item":"A"},{"item":""}]}`,
		`{"group":"web","items":[{"item":"D"}]}`,
		`{"group":"none","items":[{"item":"D"},{"item":"A"}]}`,
		`{"location":"DC1","fields":["atp"],"items":[{"item":"D"},{"item":"A"},{"item":"A"}]}`,
		`{"location":"DC1","items":[{"item":"D","entity":"acme"},{"item":"D","entity":"nobody"},{"item":"A"}]}`,
		`{"items":[{"item":"D"},{"item":"A"},{"item":"D"}]} x`,
	}
	post := func(body string) string {
		rec := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/atp/batch", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		w.router.ServeHTTP(rec, req)
		return fmt.Sprintf("%d %s", rec.Code, rec.Body)
	}
	want := make([]string, len(bodies))
	for i, body := range bodies {
		w.api.rooms = pool[batchRoom]{} // new ones
		want[i] = post(body)
	}
	var all sync.WaitGroup
	for first := range bodies {
		all.Go(func() {
			for n := range 10 * len(bodies) {
				i := (first + n*3) % len(bodies)
				if got := post(bodies[i]); got != want[i] {
					t.Errorf("%s: %s, want %s", bodies[i], got, want[i])
				}
			}
		})
	}
	all.Wait()
	// And a room that is put back holds nothing.
	in := w.api.rooms.get()
	for n := range in.items[:cap(in.items)] {
		if in.items[:cap(in.items)][n] != (batchItem{}) {
			t.Errorf("item %d: %+v", n, in.items[:cap(in.items)][n])
		}
	}
	for n, got := range in.reading.results[:cap(in.reading.results)] {
		if got != (result{}) {
			t.Errorf("result %d: %+v", n, got)
		}
	}
	for n, a := range in.reading.answers[:cap(in.reading.answers)] {
		if b, err := json.Marshal(&a); err != nil || a.etag != nil || a.body != nil || a.Item != "" {
			t.Errorf("answer %d: %s %v", n, b, err)
		}
	}
	if len(in.reading.at) > 0 || in.reading.promises != nil {
		t.Errorf("%v %v", in.reading.at, in.reading.promises)
	}
}

// TestQueriesAreNoPieceOfABody: what an answer is kept by does not hold the body.
func TestQueriesAreNoPieceOfABody(t *testing.T) {
	w := newWeb(t)
	for _, name := range []string{"location", "group", "channel"} {
		body := fmt.Sprintf(`{%q:"DC1","items":[{"item":"ONE"}]}`, name)
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/atp/batch", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		in := new(batchRoom)
		if _, bad := w.api.queries(req, in); bad != nil {
			t.Fatal(bad)
		}
		at := func(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }
		begin := at(in.items[0].Item) - uintptr(strings.Index(body, "ONE"))
		q := &in.queries[0]
		for _, s := range []string{string(q.location), q.group, q.channel} {
			if s != "" && at(s) >= begin && at(s) < begin+uintptr(len(body)) {
				t.Errorf("%s is a piece of the body", name)
			}
		}
	}
}
