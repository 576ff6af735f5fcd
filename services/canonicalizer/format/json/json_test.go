package json

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/jsontext"
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
		"":                                "json_syntax: line 1 column 1: it ends",
		"{\n \"a\": 1,\n}":                "json_syntax: line 3 column 1: a comma behind the last member",
		"[1,]":                            "json_syntax: line 1 column 4: a comma behind the last element",
		"{}{}":                            "json_syntax: line 1 column 3: something follows",
		"1 2":                             "json_syntax: line 1 column 3",
		"[1 2]":                           "json_syntax: line 1 column 4: '2' where a comma",
		"[1,\n// x\n2]":                   "json_syntax: line 2 column 1 at /1: a comment",
		"[1,/* x */2]":                    "json_syntax: line 1 column 4 at /1: a comment",
		"# x\n1":                          "json_syntax: line 1 column 1: a comment",
		"{'a':1}":                         "json_syntax: line 1 column 2: a single quote",
		"{a:1}":                           "json_syntax: line 1 column 2",
		"{\"a\" 1}":                       "json_syntax: line 1 column 6 at /a: '1' where a colon",
		"01":                              "json_syntax: line 1 column 1: a number with a leading zero",
		"-":                               "json_syntax",
		"1.":                              "json_syntax",
		".5":                              "json_syntax",
		"1e":                              "json_syntax",
		"tru":                             "json_syntax",
		"truefalse":                       "json_syntax",
		"\"a":                             "json_syntax: line 1 column 3: a string that does not end",
		"\"\\":                            "json_syntax: line 1 column 3: a string that does not end",
		"\"\\x\"":                         "json_syntax: line 1 column 2: an escape",
		"\"\\u12g4\"":                     "json_syntax: line 1 column 2: an escape",
		"\"\n\"":                          "json_syntax: line 1 column 2: control character",
		"NaN":                             "json_number: line 1 column 1",
		"{\"q\":[Infinity]}":              "json_number: line 1 column 7 at /q/0",
		"-Infinity":                       "json_number: line 1 column 1",
		"+1":                              "json_number",
		"1e1000000000":                    "json_number: line 1 column 1: the exponent of 1e1000000000 is beyond 400",
		"[1,-0.1E-401]":                   "json_number: line 1 column 4 at /1: the exponent",
		"1e" + strings.Repeat("9", 1000):  "json_number",
		strings.Repeat("1", 129):          "json_number",
		"\"x\x00\"":                       "json_nul: line 1 column 3",
		"{\"a\":\"x\\u0000\"}":            "json_nul: line 1 column 8 at /a",
		"\"\\ud800\"":                     "json_surrogate: line 1 column 2",
		"\"\\udc00\\ud800\"":              "json_surrogate",
		"\"\\ud800\\u0041\"":              "json_surrogate",
		"{\"a\":1,\n\"a\":2}":             "json_duplicate_key: line 2 column 1 at /a",
		"{\"b\":{\"\\u0061\":1,\"a\":2}}": "json_duplicate_key: line 1 column 18 at /b/a",
		"\"\xff\"":                        "invalid_utf8: line 1 column 2",
		"\xff\xfe1\x00":                   "json_encoding",
		"\xfe\xff\x001":                   "json_encoding",
		"{\x00}\x00":                      "json_encoding",
		"\x00{\x00}":                      "json_encoding",
		"\x00\x00\x00{":                   "json_encoding",
		strings.Repeat("[", 65) + "1" + strings.Repeat("]", 65): "json_too_deep: line 1 column 65",
		strings.Repeat("[", 200_000):                            "json_too_deep",
		"[" + strings.Repeat(`{"":0},`, 140_000) + "0]":         "json_too_large",
	} {
		for u := range Parse([]byte(body), &policy.Source{}) {
			if u.Fault == nil || u.Tree != nil || !strings.HasPrefix(u.Fault.Code+": "+u.Fault.Reason, want) {
				t.Errorf("%.30q: %+v, want %s", body, u.Fault, want)
			}
		}
	}
}

// Numbers keep their text: whoever reads them as a double loses the last digits.
func TestExact(t *testing.T) {
	for _, n := range []string{"9007199254740993", "0.1000000000000000055", "1.10", "-0", "12E+2", "1e400", strings.Repeat("9", 128)} {
		tree, fault := jsontext.Read([]byte("{\"n\":" + n + "}"))
		if fault != nil || tree.(map[string]any)["n"] != json.Number(n) {
			t.Errorf("%s: %v %+v", n, tree, fault)
		}
	}
	tree, fault := jsontext.Read([]byte(`"\ud83d\ude00\"\\\/\b\f\n\r\t\u00e4é"`))
	if fault != nil || tree != "😀\"\\/\b\f\n\r\täé" {
		t.Errorf("%q %+v", tree, fault)
	}
	if _, fault := jsontext.Read([]byte(strings.Repeat("[", 64) + strings.Repeat("]", 64))); fault != nil {
		t.Errorf("64 deep: %+v", fault)
	}
}

func TestLines(t *testing.T) {
	body := "\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"a\":}\n[\xff]\n{\"a\":[1,\n2"
	var got []string
	for u := range Lines([]byte(body), &policy.Source{}) {
		if u.Fault == nil {
			got = append(got, u.Where)
		} else {
			got = append(got, u.Where+" "+u.Fault.Code+" "+u.Fault.Reason)
		}
	}
	want := []string{
		"line 1", "line 4 json_syntax line 4 column 6 at /a: '}' where a value should be", "line 5 invalid_utf8 line 5 column 2: not UTF-8",
		"line 6 json_syntax line 6 column 9 at /a/1: it ends where a value should be", "line 7",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	for body, want := range map[string]string{strings.Repeat("\n", 100_001): "ndjson_lines", "\xff\xfe": "json_encoding"} {
		for u := range Lines([]byte(body), &policy.Source{}) {
			if u.Fault == nil || u.Fault.Code != want {
				t.Errorf("%.10q: %+v", body, u.Fault)
			}
		}
	}
}

// What this reader takes, encoding/json takes and means the same by; what it
// refuses as no JSON, encoding/json refuses.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,{"b":null}]}`, `[1,2`, `"\ud83d\ude00"`, `"\ud800"`, `{"a":1,"a":2}`, `[1e1000000000]`, "[1]\x00", `[-0.5E+7,true,false]`, "\xff\xfe{\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for u := range Parse(body, &policy.Source{}) {
			body := bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
			if u.Fault != nil {
				if u.Fault.Code == "json_syntax" && json.Valid(body) {
					t.Fatalf("JSON refused: %+v", u.Fault)
				}
				continue
			}
			a, err := json.Marshal(u.Tree)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			d := json.NewDecoder(bytes.NewReader(body))
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

// Each line is a unit with a tree or a fault, or blank.
func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n\n[1"))
	f.Add([]byte("null\r\n\"\\ud800\""))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, lines := 0, 0
		for u := range Lines(body, &policy.Source{}) {
			n++
			if u.Where == "" || u.Fault != nil && u.Tree != nil {
				t.Fatalf("%+v", u)
			}
		}
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			if len(bytes.Trim(line, " \t\r")) > 0 {
				lines++
			}
		}
		if n > lines || n == 0 && lines > 1 {
			t.Fatalf("%d units of %d lines", n, lines)
		}
	})
}
