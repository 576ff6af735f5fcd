package schemas

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/avro"
)

func TestNames(t *testing.T) {
	names, err := fs.Glob(files, "*/*")
	if err != nil {
		t.Fatal(err)
	}
	all := All()
	if len(all) == 0 || len(all) != len(names) {
		t.Fatalf("All returns %d schemas, there are %d files", len(all), len(names))
	}
	for _, s := range all {
		if want := path.Join(s.Topic, strconv.Itoa(s.Version)+".avsc"); !slices.Contains(names, want) {
			t.Errorf("%s is not a file", want)
		}
	}
	for topic, history := range byTopic(all) {
		for i, s := range history {
			if s.Version != i+1 {
				t.Errorf("%s: version %d where %d is next", topic, s.Version, i+1)
			}
		}
		latest, ok := Latest(topic)
		if !ok || latest != history[len(history)-1] {
			t.Errorf("%s: Latest is version %d", topic, latest.Version)
		}
	}
	if s, ok := Latest("no.such.topic"); ok {
		t.Errorf("Latest of an unknown topic is %v", s)
	}
	if s := Subject("a.v1"); s != "a.v1-value" {
		t.Errorf("subject %q", s)
	}
}

// TestFullTransitive is what the registry will check: each version reads all
// before it, and all before it read it.
func TestFullTransitive(t *testing.T) {
	for topic, history := range byTopic(All()) {
		if err := fullTransitive(history); err != nil {
			t.Errorf("%s: %v", topic, err)
		}
	}
}

func TestHouseRules(t *testing.T) {
	all := All()
	for _, s := range all {
		for _, fault := range lint(s.Text) {
			t.Errorf("%s version %d: %s", s.Topic, s.Version, fault)
		}
	}
	for _, fault := range oneDefinition(all) {
		t.Error(fault)
	}
}

func TestDeadLettersAreOneSchema(t *testing.T) {
	want, ok := Latest("atp.deadletter.v1")
	if !ok {
		t.Fatal("atp.deadletter.v1 has no schema")
	}
	for topic := range byTopic(All()) {
		if got, _ := Latest(topic); strings.HasSuffix(topic, ".deadletter.v1") && got.Text != want.Text {
			t.Errorf("%s differs from %s", topic, want.Topic)
		}
	}
}

func byTopic(all []Schema) map[string][]Schema {
	m := map[string][]Schema{}
	for _, s := range all {
		m[s.Topic] = append(m[s.Topic], s)
	}
	return m
}

func fullTransitive(history []Schema) error {
	parsed := make([]*avro.Schema, len(history))
	for i, s := range history {
		p, err := avro.Parse(s.Text)
		if err != nil {
			return fmt.Errorf("version %d: %w", s.Version, err)
		}
		for j, before := range parsed[:i] {
			if err := avro.CheckCompatibility(before, p); err != nil {
				return fmt.Errorf("version %d cannot read version %d: %w", s.Version, history[j].Version, err)
			}
			if err := avro.CheckCompatibility(p, before); err != nil {
				return fmt.Errorf("version %d cannot read version %d: %w", history[j].Version, s.Version, err)
			}
		}
		parsed[i] = p
	}
	return nil
}

// lint returns what breaks the rules of README.md.
func lint(text string) []string {
	var root map[string]any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		return []string{err.Error()}
	}
	var faults []string
	fail := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if root["type"] != "record" {
		return []string{"a value is one record"}
	}
	if root["namespace"] != "io.stockweave.v1" {
		fail("namespace is %v", root["namespace"])
	}
	fields, _ := root["fields"].([]any)
	if len(fields) == 0 || !isKind(fields[0]) {
		fail("the first field is not kind, a string")
	}
	walk(root, "", fail)
	return faults
}

func isKind(f any) bool {
	m, _ := f.(map[string]any)
	return m["name"] == "kind" && m["type"] == "string"
}

func walk(typ any, at string, fail func(string, ...any)) {
	switch typ := typ.(type) {
	case []any:
		if len(typ) != 2 || typ[0] != "null" {
			fail("%s: a union is [null, X] only", at)
			return
		}
		walk(typ[1], at, fail)
	case map[string]any:
		walkNamed(typ, at, fail)
	}
}

func walkNamed(typ map[string]any, at string, fail func(string, ...any)) {
	logical := typ["logicalType"]
	switch typ["type"] {
	case "enum", "map":
		fail("%s: no %s", at, typ["type"])
	case "array":
		walk(typ["items"], at, fail)
	case "record":
		if typ["doc"] == nil {
			fail("%s: record %v has no doc", at, typ["name"])
		}
		fields, _ := typ["fields"].([]any)
		for _, f := range fields {
			field, _ := f.(map[string]any)
			walkField(field, fmt.Sprintf("%s.%v", typ["name"], field["name"]), fail)
		}
	case "bytes":
		if logical != "decimal" || typ["precision"] != 18.0 || typ["scale"] != 4.0 {
			fail("%s: a quantity is decimal(18,4)", at)
		}
	case "int":
		if logical != "date" {
			fail("%s: int may be date, not %v", at, logical)
		}
	case "long":
		if logical != "timestamp-millis" {
			fail("%s: long may be timestamp-millis, not %v", at, logical)
		}
	case "fixed":
	default:
		fail("%s: type %v", at, typ["type"])
	}
}

func walkField(f map[string]any, at string, fail func(string, ...any)) {
	if doc, _ := f["doc"].(string); doc == "" {
		fail("%s: no doc", at)
	}
	def, has := f["default"]
	switch typ := f["type"].(type) {
	case []any:
		if !has || def != nil {
			fail("%s: a nullable field has default null", at)
		}
	case map[string]any:
		if empty, ok := def.([]any); typ["type"] == "array" && (!ok || len(empty) != 0) {
			fail("%s: an array has default []", at)
		}
	}
	// A reader leaves a field that the writer lacks at its zero value.
	if has && !slices.ContainsFunc([]any{nil, false, "", 0.0, []any{}}, func(zero any) bool { return reflect.DeepEqual(zero, def) }) {
		fail("%s: default %v is not the zero value", at, def)
	}
	walk(f["type"], at, fail)
}

// oneDefinition compares the records of equal name in all latest versions.
func oneDefinition(all []Schema) []string {
	var faults []string
	seen, where := map[string]any{}, map[string]string{}
	for topic := range byTopic(all) {
		s, _ := Latest(topic)
		var root any
		if err := json.Unmarshal([]byte(s.Text), &root); err != nil {
			return []string{err.Error()}
		}
		collect(root, func(name string, def any) {
			if before, ok := seen[name]; ok && !reflect.DeepEqual(before, def) {
				faults = append(faults, fmt.Sprintf("%s has one definition in %s and another in %s", name, where[name], topic))
			}
			seen[name], where[name] = def, topic
		})
	}
	return faults
}

// collect calls found for every named type, with its nested definitions cut down
// to their names.
func collect(typ any, found func(name string, def any)) any {
	switch typ := typ.(type) {
	case []any:
		out := make([]any, len(typ))
		for i := range typ {
			out[i] = collect(typ[i], found)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, v := range typ {
			if k != "namespace" && k != "default" {
				v = collect(v, found)
			}
			if k != "namespace" {
				out[k] = v
			}
		}
		name, _ := typ["name"].(string)
		if kind := typ["type"]; name != "" && (kind == "record" || kind == "fixed") {
			found(name, out)
			return name
		}
		return out
	}
	return typ
}
