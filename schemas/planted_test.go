package schemas

import (
	"strings"
	"testing"
)

// valueOf is a small topic schema with the given fields behind kind.
func valueOf(fields string) string {
	return `{"type": "record", "name": "T", "namespace": "io.stockweave.v1", "doc": "d", "fields": [
		{"name": "kind", "type": "string", "doc": "d"}` + fields + `]}`
}

const (
	optional = `, {"name": "a", "type": ["null", "string"], "default": null, "doc": "d"}`
	required = `, {"name": "b", "type": "string", "doc": "d"}`
	amount   = `, {"name": "q", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 4}, "doc": "d"}`
)

func TestPlantedVersions(t *testing.T) {
	tests := []struct {
		name    string
		history []string
		fault   string // empty: compatible
	}{
		{"a nullable field is added", []string{"", optional}, ""},
		{"and another one before it", []string{"", optional, strings.ReplaceAll(optional, `"a"`, `"c"`) + optional}, ""},
		{"a nullable field is dropped", []string{optional, ""}, ""},
		{"a required field is added", []string{"", required}, "version 2 cannot read version 1"},
		{"a required field is dropped", []string{required, ""}, "version 1 cannot read version 2"},
		{"a type is widened", []string{
			`, {"name": "n", "type": "int", "doc": "d"}`,
			`, {"name": "n", "type": "long", "doc": "d"}`,
		}, "version 1 cannot read version 2"},
		{"a field becomes nullable", []string{required, strings.ReplaceAll(optional, `"a"`, `"b"`)}, "version 1 cannot read version 2"},
		{"a union grows", []string{
			`, {"name": "u", "type": ["null", "string"], "default": null, "doc": "d"}`,
			`, {"name": "u", "type": ["null", "string", "long"], "default": null, "doc": "d"}`,
		}, "version 1 cannot read version 2"},
		{"a symbol is added to an enum", []string{
			`, {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"]}, "doc": "d"}`,
			`, {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}, "doc": "d"}`,
		}, "version 1 cannot read version 2"},
		{"a name comes back with another type after two versions", []string{
			optional, "", `, {"name": "a", "type": ["null", "long"], "default": null, "doc": "d"}`,
		}, "version 3 cannot read version 1"},
		{"a scale changes", []string{amount, strings.ReplaceAll(amount, `"scale": 4`, `"scale": 2`)}, "version 2 cannot read version 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var history []Schema
			for i, fields := range test.history {
				history = append(history, Schema{Topic: "t", Version: i + 1, Text: valueOf(fields)})
			}
			err := fullTransitive(history)
			switch {
			case test.fault == "" && err != nil:
				t.Fatal(err)
			case test.fault != "" && err == nil:
				t.Fatal("compatible")
			case test.fault != "" && !strings.Contains(err.Error(), test.fault):
				t.Fatalf("%v, not %q", err, test.fault)
			}
		})
	}
}

func TestPlantedFaults(t *testing.T) {
	if faults := lint(valueOf(optional + required + amount)); faults != nil {
		t.Fatal(faults)
	}
	tests := map[string]string{
		`, {"name": "a", "type": ["null", "string"], "doc": "d"}`:                                            "default null",
		`, {"name": "a", "type": ["null", "string"], "default": null}`:                                       "no doc",
		`, {"name": "a", "type": ["string", "null"], "default": "", "doc": "d"}`:                             "a union is",
		`, {"name": "a", "type": ["null", "string", "long"], "default": null, "doc": "d"}`:                   "a union is",
		`, {"name": "a", "type": {"type": "map", "values": "string"}, "doc": "d"}`:                           "no map",
		`, {"name": "a", "type": {"type": "enum", "name": "E", "symbols": ["A"]}, "doc": "d"}`:               "no enum",
		`, {"name": "a", "type": {"type": "array", "items": "string"}, "doc": "d"}`:                          "default []",
		`, {"name": "a", "type": "boolean", "default": true, "doc": "d"}`:                                    "zero value",
		`, {"name": "a", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "d"}`:           "timestamp-millis",
		`, {"name": "a", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9}, "doc": "d"}`:   "decimal(18,4)",
		`, {"name": "a", "type": {"type": "record", "name": "R", "fields": []}, "doc": "d"}`:                 "record R has no doc",
		`, {"name": "a", "type": {"type": "array", "items": {"type": "enum", "name": "E"}}, "default": []}`:  "no enum",
		`, {"name": "a", "type": ["null", {"type": "map", "values": "int"}], "default": null, "doc": "map"}`: "no map",
	}
	for fields, want := range tests {
		if faults := strings.Join(lint(valueOf(fields)), "; "); !strings.Contains(faults, want) {
			t.Errorf("%s: %q, not %q", fields, faults, want)
		}
	}
	if faults := lint(`{"type": "record", "name": "T", "namespace": "io.stockweave.v1", "doc": "d", "fields": []}`); faults == nil {
		t.Error("a value without kind passes")
	}
}
