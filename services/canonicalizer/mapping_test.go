package canonicalizer

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

func TestCompile(t *testing.T) {
	for program, want := range map[string]string{
		`[]`:                                     "",
		`.tree | [.a | strptime("%Y") | mktime]`: "",
		`[now]`:                                  "now is not allowed",
		`[.x | localtime]`:                       "localtime is not allowed",
		`def f: [input]; f`:                      "input is not allowed",
		`reduce .[] as $x (0; env)`:              "env is not allowed",
		`[$ENV.PATH]`:                            "$ENV is not allowed",
		`import "a" as a; []`:                    "modules are not allowed",
		"[\n  .a |\n]":                           "line 3 column",
		`[nosuch]`:                               "nosuch",
		strings.Repeat(" ", 300_000):             "longer than",
	} {
		_, err := compile(&policy.Source{File: "sources/x.yaml", Mapping: program})
		if want == "" && err != nil {
			t.Errorf("%.40s: %v", program, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "sources/x.yaml: ")) {
			t.Errorf("%.40s: %v, want %q", program, err, want)
		}
	}
}

func runProgram(t *testing.T, program, input string) ([]any, error) {
	t.Helper()
	m, err := compile(&policy.Source{Mapping: program})
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(input))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return m.run(t.Context(), map[string]any{"tree": v})
}

func TestRun(t *testing.T) {
	for _, tc := range []struct {
		name, program, input string
		want                 []any
		code                 string
	}{
		{"exact numbers", `[.tree.a]`, `{"a":12345678901234567.12345678901234567890}`, []any{json.Number("12345678901234567.12345678901234567890")}, ""},
		{"nothing", `empty`, `1`, nil, "bad_mapping"},
		{"no array", `{}`, `1`, nil, "bad_mapping"},
		{"two arrays", `[],[]`, `1`, nil, "bad_mapping"},
		{"error", `error("x")`, `1`, nil, "mapping_error"},
		{"error after the array", `[], error("x")`, `1`, nil, "mapping_error"},
		{"own code", `reject("my_code"; "why")`, `1`, nil, "my_code"},
		{"own code that is none", `reject("My Code!"; "why")`, `1`, nil, "mapping_error"},
		{"each", `each(.tree[]; .row + 1)`, `[1,"a"]`, []any{2, map[string]any{
			"kind": "error", "at": nil, "code": nil, "reason": `cannot add: string ("a") and number (1)`,
		}}, ""},
		{"table", `[" CA=12; PL=4=8;" | table | to_entries[] | .value]`, `1`, []any{"12", "4=8"}, ""},
		{"loops", `.tree | loops("B") | map(length)`, `[{"id":"A"},{"id":"B"},{"id":"C"},{"id":"B"}]`, []any{1, 2, 1}, ""},
		{"loops of nothing", `.tree | loops(["B"]) | map(length)`, `[]`, []any{0}, ""},
		{"loops of no segments", `.tree | loops("B")`, `[1]`, nil, "mapping_error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := runProgram(t, tc.program, tc.input)
			var bad *mapError
			if errors.As(err, &bad); (bad == nil) != (tc.code == "") || bad != nil && bad.code != tc.code {
				t.Fatalf("error %v, want %q", err, tc.code)
			}
			if tc.code == "" && !reflect.DeepEqual(jq.Plain(got), any(tc.want)) {
				t.Errorf("%#v, want %#v", got, tc.want)
			}
		})
	}
}

// A mapping that does not end is stopped, and one whose service stops is no fault
// of the message.
func TestRunStops(t *testing.T) {
	m, err := compile(&policy.Source{Mapping: `last(repeat(0))`})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var bad *mapError
	if _, err := m.run(ctx, nil); !errors.As(err, &bad) || bad.code != "mapping_timeout" {
		t.Errorf("%v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := m.run(stopped, nil); errors.As(err, &bad) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestX12IDs(t *testing.T) {
	for _, tc := range []struct{ name, segment, call, want string }{
		{"pairs and case code", `["W07","5","EA","100","VN","A","UP","200","LOT"]`, `x12_ids(3; [4, 6]; 8)`, `VN:A UP:200 UPC_CASE:100 lot=LOT`},
		{"reversed, end of the segment", `["W07","5","CA","100","UP","A-1","VN"]`, `x12_ids(3; [4, 6]; 8)`, `UP:100 VN:A-1 flags=qualifier_order`},
		{"reversed, over the lot", `["W12","CC","1","1","0","CA","100","UP","A-1","VN"]`, `x12_ids(6; [7, 17]; 9)`, `UP:100 VN:A-1 flags=qualifier_order`},
		{"a lot that looks like a qualifier stays one", `["W12","CC","1","1","0","CA",null,"VN","A-1","VN"]`, `x12_ids(6; [7, 17]; 9)`, `VN:A-1 lot=VN`},
		{"a numeric id under UP is no reversal", `["W07","5","CA","100","UP","200","VN"]`, `x12_ids(3; [4, 6]; 8)`, `UP:200 UPC_CASE:100 flags=qualifier_without_id`},
		{"nothing", `["W07","5","EA"]`, `x12_ids(3; [4, 6]; 8)`, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := runProgram(t, `[.tree | `+tc.call+` | ((.ids | map(.type + ":" + .value))
				+ [if .lot then "lot=" + .lot else empty end] + (.flags | map("flags=" + .))) | join(" ")]`, `{"id":"W07","e":`+tc.segment+`}`)
			if err != nil {
				t.Fatal(err)
			}
			if got[0] != tc.want {
				t.Errorf("%q, want %q", got[0], tc.want)
			}
		})
	}
}

func TestX12When(t *testing.T) {
	for in, want := range map[[3]string]any{
		{"20261102", "", ""}:           "2026-11-02",
		{"261102", "", ""}:             "2026-11-02",
		{"20261102", "1430", ""}:       "2026-11-02T14:30:00",
		{"20261102", "143015", "LT"}:   "2026-11-02T14:30:15",
		{"20261102", "14301525", "UT"}: "2026-11-02T14:30:15.25Z",
		{"20261102", "1430", "ed"}:     "2026-11-02T14:30:00-04:00",
		{"20261399", "", ""}:           "20261399",
		{"20261102", "14x0", ""}:       "20261102T14x0",
		{"", "1430", ""}:               nil,
	} {
		if got := x12When(nil, []any{in[0], in[1], in[2]}); got != want {
			t.Errorf("%v = %v, want %v", in, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	src := func(date string) *policy.Source { return &policy.Source{Zone: zone, AsOf: policy.AsOf{Date: date}} }
	for _, tc := range []struct{ text, date, want string }{
		{"2026-11-02T10:00:00Z", "", "2026-11-02T10:00:00Z"},
		{"2026-11-02T10:00:00.123456+02:00", "", "2026-11-02T08:00:00.123Z"},
		{"2026-11-02 10:00", "", "2026-11-02T15:00:00Z"}, // standard time
		{"2026-07-02T10:00:00", "", "2026-07-02T14:00:00Z"},
		{"20261102T1430", "", "2026-11-02T19:30:00Z"},
		{"202611021430", "", "2026-11-02T19:30:00Z"},
		{"2026-11-02", "", "2026-11-02T05:00:00Z"},
		{"20261102", "noon", "2026-11-02T17:00:00Z"},
		{"2026-11-01", "end", "2026-11-02T04:59:59.999Z"}, // a day of 25 hours
		{"2026-02-30", "", ""},
		{"1969-12-31", "", ""},
		{"02/11/2026", "", ""},
		{strings.Repeat("2", 100), "", ""},
	} {
		at, err := parseTime(tc.text, src(tc.date))
		got := ""
		if err == nil {
			got = time.UnixMilli(int64(at)).UTC().Format("2006-01-02T15:04:05.999Z")
		}
		if got != tc.want {
			t.Errorf("%s %s = %s (%v), want %s", tc.text, tc.date, got, err, tc.want)
		}
	}
	for text, want := range map[string]inventory.Day{"": 0, "2026-11-02": 20759, "20261102": 20759, "2026-11-02T23:00:00-05:00": 20759} {
		if got, err := parseDay(text); err != nil || got != want {
			t.Errorf("day %q = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"tomorrow", "2026-11-023", "2026-13-01"} {
		if _, err := parseDay(text); err == nil {
			t.Errorf("day %q is accepted", text)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, tc := range []struct {
		q, factor, want string
		code            string
	}{
		{"2.5", "12", "30", ""},
		{"-3", "0.5", "-1.5", ""},
		{"0.0001", "0.0001", "", "quantity_precision"},
		{"99999999999999.9999", "1", "99999999999999.9999", ""},
		{"99999999999999", "2", "", "quantity_overflow"},
		{"99999999999999.9999", "99999999999999.9999", "", "quantity_overflow"},
	} {
		q, err := inventory.ParseQuantity(tc.q)
		if err != nil {
			t.Fatal(err)
		}
		f, err := inventory.ParseQuantity(tc.factor)
		if err != nil {
			t.Fatal(err)
		}
		got, code := times(q, f)
		if code != tc.code || code == "" && got.String() != tc.want {
			t.Errorf("%s × %s = %s %q, want %s %q", tc.q, tc.factor, got, code, tc.want, tc.code)
		}
	}
}

// A misspelt field of a line must not pass as absent.
func TestReadLineIsStrict(t *testing.T) {
	for line, want := range map[string]string{
		`{"kind":"demand","document":{"type":"o","number":"1"},"locaton":"X"}`: "locaton: is no field of it",
		`{"kind":"demand","document":{"type":"o"}}`:                            "document: type and number are both needed: they make the event's id",
		`{"kind":"setting"}`: "kind: setting comes from policies, never from a message",
		`{"kind":"what"}`:    "kind: must be movement, count, demand, supply, milestone, item or location",
		`{"kind":"milestone","document":{"type":"o","number":"1"},"milestone":{"about":"orders"}}`:                           "status: a milestone needs one",
		`{"kind":"milestone","status":"s","document":{"type":"o","number":"1"},"milestone":{"about":"o"}}`:                   "milestone.about: must be orders, shipments or returns",
		`{"kind":"milestone","status":"s","document":{"type":"o","number":"1"},"milestone":{"of":"x"}}`:                      "milestone.of: is no field of it",
		`{"kind":"demand","document":{"type":"o","number":"1"},"milestone":{"about":"orders"}}`:                              "milestone: is no field of it",
		`{"kind":"demand","document":{"type":"o","number":1},"ids":[{"value":"1"}]}`:                                         "ids[0].type: required",
		`{"kind":"demand","document":{"type":"o","number":1},"quantity":[]}`:                                                 "quantity: must be a text",
		`{"kind":"demand","document":{"type":"o","number":1},"demand":{"movable":"yes"}}`:                                    "demand.movable: must be true or false",
		`{"kind":"demand","document":{"type":"o","number":1},"attributes":{"a":"x","lot":[]}}`:                               "attributes.lot: must be a text",
		`{"kind":"count","document":{"type":"o","number":1},"count":{"balances":[{"state":"on_hand"},{"state":true}]}}`:      "count.balances[1].state: must be a text",
		`{"kind":"count","document":{"type":"o","number":1},"count":{"balances":[{"state":"on_hand"}],"sequence":"x"}}`:      "count.sequence: must be a whole number",
		`{"kind":"count","document":{"type":"o","number":1},"count":{"balances":[{"state":"on_hand"},{"state":"a"}],"x":1}}`: "count.x: is no field of it",
		`{"kind":"item","item":"A"}`: "base_unit: required",
		`7`:                          "a line must be an object",
	} {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if _, got := readLine(v); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
