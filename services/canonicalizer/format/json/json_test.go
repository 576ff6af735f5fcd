package json

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

func TestRead(t *testing.T) {
	for u := range Parse([]byte("\xef\xbb\xbf{\"a\":[1.10,null,true,\"x\"],\"n\":123456789012345678901234567890}"), &policy.Source{}) {
		want := map[string]any{
			"a": []any{json.Number("1.10"), nil, true, "x"}, "n": json.Number("123456789012345678901234567890"),
		}
		if u.Fault != nil || !reflect.DeepEqual(u.Tree, want) {
			t.Errorf("%v %+v", u.Tree, u.Fault)
		}
	}
}

func TestFaults(t *testing.T) {
	for body, want := range map[string]string{
		"":                                "json_syntax: line 1 column 1",
		"{\n \"a\": 1,\n}":                "json_syntax: line 3 column",
		"{}{}":                            "json_syntax: line 1 column",
		"[1 2]":                           "json_syntax: line 1 column",
		"01":                              "json_syntax",
		"\"\x00\"":                        "json_syntax",
		"{\"a\":1,\n\"a\":2}":             "json_duplicate_key: line 2 column",
		"{\"b\":{\"\\u0061\":1,\"a\":2}}": "json_duplicate_key",
		"\"\xff\"":                        "invalid_utf8: line 1 column 2",
		strings.Repeat("[", 65) + "1" + strings.Repeat("]", 65): "json_too_deep",
		strings.Repeat("[", 200_000):                            "json_syntax",
	} {
		for u := range Parse([]byte(body), &policy.Source{}) {
			if u.Fault == nil || !strings.HasPrefix(u.Fault.Code+": "+u.Fault.Reason, want) {
				t.Errorf("%.30q: %+v, want %s", body, u.Fault, want)
			}
		}
	}
}

// What this reader takes, encoding/json takes and means the same by.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}]}`))
	f.Add([]byte(`[1,2`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for u := range Parse(body, &policy.Source{}) {
			if u.Fault != nil {
				continue
			}
			a, err := json.Marshal(u.Tree)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(string(body), "\xef\xbb\xbf")))
			d.UseNumber()
			if err := d.Decode(&v); err != nil {
				t.Fatalf("taken, but %v", err)
			}
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if string(a) != string(b) {
				t.Fatalf("%s against %s", a, b)
			}
		}
	})
}
