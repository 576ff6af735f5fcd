package atpapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/services/atpapi/doors/d365"
	"github.com/stockweave/stockweave/services/atpapi/doors/sterling"
)

// TestBodyFaults: what is wrong with a body is said by its place and in words of JSON.
func TestBodyFaults(t *testing.T) {
	for _, tt := range []struct {
		into                  any
		body, pointer, detail string
	}{
		{&batchRequest{}, ``, "", "the body: no JSON, at byte 0: unexpected end of JSON input"},
		{&batchRequest{}, `{"items":[{"item":"A"}`, "", "the body: no JSON, at byte 22: unexpected end of JSON input"},
		{&batchRequest{}, `{"items":[{"item":"A"],}`, "", "the body: no JSON, at byte 22: invalid character ']' after object key:value pair"},
		{&batchRequest{}, `[]`, "", "the body: has to be an object"},
		{&batchRequest{}, ` null `, "", "the body: null is none"},
		{&batchRequest{}, `{"items":"A"}`, "/items", "/items: has to be an array"},
		{&batchRequest{}, `{"items":[{"item":"A"},7]}`, "/items/1", "/items/1: has to be an object"},
		{&batchRequest{}, `{"items":[{"item":"A"},{"item":7}]}`, "/items/1/item", "/items/1/item: has to be a text"},
		{&batchRequest{}, `{"items":[{"item":"A","colour":{"x":1}}]}`, "/items/0/colour", "/items/0/colour: there is no such field"},
		{&batchRequest{}, `{"a/b~c":1,"items":[]}`, "/a~1b~0c", "/a~1b~0c: there is no such field"},
		{&batchRequest{}, `{"ITEMS":[{"Item":true}]}`, "/ITEMS/0/Item", "/ITEMS/0/Item: has to be a text"},
		{&batchRequest{}, `{"max_age_ms":1.5}`, "/max_age_ms", "/max_age_ms: has to be a whole number"},
		{&batchRequest{}, `{"fields":["atp",null,[]]}`, "/fields/2", "/fields/2: has to be a text"},
		{&batchRequest{}, `{"` + strings.Repeat("x", 300) + `":1}`, "", "the body: there is no field \"" + strings.Repeat("x", 64) + "\"…"},
		{&reserveRequest{}, `{"lines":[{"priority":300}]}`, "/lines/0/priority", "/lines/0/priority: has to be a whole number from 0 to 255"},
		{&subscriptionChange{}, `{"enabled":"yes"}`, "/enabled", "/enabled: has to be true or false"},
		{&d365.IndexQuery{}, `{"returnNegative":true,"filters":{"siteId":["1",2]}}`, "/filters/siteId/1", "/filters/siteId/1: has to be a text"},
		{&[]d365.Reserve{}, `[{},{"id":1}]`, "/1/id", "/1/id: has to be a text"},
		{&sterling.ReserveRequest{}, `{"lines":[{"lineId":"1","quantity":"many"}]}`, "/lines/0/quantity", "/lines/0/quantity: has to be a number"},
	} {
		got := decodeStrict([]byte(tt.body), tt.into)
		if got == nil || got.pointer != tt.pointer || got.detail != tt.detail {
			t.Errorf("%.60s: %+v, want %q, %q", tt.body, got, tt.pointer, tt.detail)
		}
	}
	for _, body := range []string{`{"items":[null]}`, `{"items":null,"fields":null,"max_age_ms":null,"entity":null}`} {
		if got := decodeStrict([]byte(body), &batchRequest{}); got != nil {
			t.Errorf("%s: %+v", body, got)
		}
	}
}

// FuzzBodyFaults: whatever is no body of a kind is refused in words of JSON, and a pointer
// leads to something that stands in it.
func FuzzBodyFaults(f *testing.F) {
	for _, seed := range []string{
		`{"items":[{"item":"A","entity":"acme"}],"on":"2026-11-24","fields":["atp"],"max_age_ms":5}`, `{"items":[{"item":7}]}`, `{"a/b~c":{}}`, `[[`, `{"items":[{}]} {}`, `{"":1}`,
		`{"mode":"all","hold":9,"lines":[{"item":"A","quantity":"1","priority":-1}]}`, `{"lines":{"0":null}}`, "{\"\xff\":1}", `{"ſ":1}`, `{"item\u017f":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range []any{&batchRequest{}, &reserveRequest{}, &extendRequest{}, &subscribeRequest{}, &d365.ExactQuery{}, &[]d365.Unreserve{}, &sterling.NodeRequest{}} {
			bad := decodeStrict(body, into)
			if bad == nil {
				continue
			}
			for _, word := range []string{"Go ", "struct", "json:", "atpapi."} {
				if said, _, _ := strings.Cut(bad.detail, "/"); strings.Contains(said, word) {
					t.Errorf("%T of %q: %s", into, body, bad.detail)
				}
			}
			if bad.pointer != "" && !leads(body, bad.pointer) {
				t.Errorf("%T of %q: nothing stands at %q", into, body, bad.pointer)
			}
			if bad.detail == "the body: not as documented" {
				t.Errorf("%T of %q: it is not said why", into, body)
			}
			if f := reflect.New(reflect.TypeOf(into).Elem()).Interface(); json.Unmarshal(body, f) == nil && bad.pointer == "" && !strings.Contains(bad.detail, "field") && !strings.Contains(bad.detail, "null is none") {
				t.Errorf("%T of %q is taken without: %s", into, body, bad.detail)
			}
		}
	})
}

// leads says whether something stands at a pointer of a JSON text. Of a name that stands
// twice any will do.
func leads(body []byte, pointer string) bool {
	at := []json.RawMessage{body}
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		var next []json.RawMessage
		for _, v := range at {
			v, n := bytes.TrimSpace(v), -1
			eachOf(v, func(member string, of []byte) *bodyFault {
				if n++; v[0] == '{' && member == name || v[0] == '[' && part == strconv.Itoa(n) {
					next = append(next, of)
				}
				return nil
			})
		}
		at = next
	}
	return len(at) > 0
}
