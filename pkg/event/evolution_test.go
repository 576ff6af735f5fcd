package event

import (
	"encoding/binary"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	twmb "github.com/twmb/avro"

	inv "github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/schemas"
)

// later is the events' schema as a later build may have it: fields of every type
// before, between and behind ours, in nested records too, and a body of a new kind.
func later(t *testing.T) string {
	t.Helper()
	s, _ := schemas.Latest(TopicEvents)
	text := s.Text
	for _, edit := range [][2]string{
		{`{"name": "id", "type": "string",`, `
			{"name": "n1", "type": ["null", "long"], "default": null},
			{"name": "n2", "type": {"type": "array", "items": ["null", "double"]}, "default": []},
			{"name": "n3", "type": ["null", {"type": "record", "name": "New", "fields": [
				{"name": "a", "type": {"type": "fixed", "name": "F", "size": 3}},
				{"name": "b", "type": {"type": "map", "values": "float"}},
				{"name": "c", "type": ["null", "string", "int"]},
				{"name": "d", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}},
				{"name": "e", "type": {"type": "array", "items": "null"}},
				{"name": "f", "type": "boolean"}, {"name": "g", "type": "bytes"}]}], "default": null},
			{"name": "id", "type": "string",`},
		{`{"name": "number", "type": "string",`, `{"name": "n4", "type": ["null", "string"], "default": null}, {"name": "number", "type": "string",`},
		{`{"name": "reverses",`, `{"name": "n5", "type": ["null", "F"], "default": null}, {"name": "reverses",`},
		{`{"name": "issuer",`, `{"name": "n6", "type": ["null", "int"], "default": null}, {"name": "issuer",`},
	} {
		if !strings.Contains(text, edit[0]) {
			t.Fatalf("no %s in the schema", edit[0])
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	return text
}

// earlier is the events' schema as an earlier build may have had it: without some
// nullable fields and bodies.
func earlier(t *testing.T) string {
	t.Helper()
	s, _ := schemas.Latest(TopicEvents)
	text := s.Text
	for _, field := range []string{`{"name": "revision"`, `{"name": "occurred_basis"`, `{"name": "to_location"`, `{"name": "control"`} {
		from := strings.Index(text, field)
		to := from
		for depth := 0; ; to++ {
			if text[to] == '{' {
				depth++
			} else if text[to] == '}' {
				if depth--; depth == 0 {
					break
				}
			}
		}
		before := strings.TrimRight(text[:from], " \n")
		if after := strings.TrimLeft(text[to+1:], " \n"); strings.HasPrefix(after, ",") {
			text = before + after[1:]
		} else {
			text = strings.TrimSuffix(before, ",") + after
		}
	}
	return text
}

// rewrite turns a value of ours into one written with another schema.
func rewrite(t *testing.T, value []byte, schema string, id uint32, add map[string]any) []byte {
	t.Helper()
	latest, _ := schemas.Latest(TopicEvents)
	ours, err := twmb.Parse(latest.Text)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := twmb.Parse(schema)
	if err != nil {
		t.Fatal(err)
	}
	var generic any
	if _, err := ours.Decode(value[prefixSize:], &generic); err != nil {
		t.Fatal(err)
	}
	m := generic.(map[string]any)
	maps.Copy(m, add)
	payload, err := theirs.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), payload...)
}

func registeredAs(t *testing.T, version, id int32, schema string) *Codecs {
	t.Helper()
	ids := LocalIDs()
	ids.Add(SchemaID{Subject: schemas.Subject(TopicEvents), Version: version, ID: id, Schema: schema})
	c, err := NewCodecs(ids)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestReadsLaterVersions: an old build reads what a new one writes, given its
// schema by schemas.v1.
func TestReadsLaterVersions(t *testing.T) {
	text := later(t)
	c := registeredAs(t, 2, 200, text)
	for _, kind := range []inv.Kind{inv.KindMovement, inv.KindCount, inv.KindDemand} {
		want := filledEvent(kind)
		value, err := c.AppendEvent(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		if id := binary.BigEndian.Uint32(value[1:]); id == 200 {
			t.Fatal("this build writes a version it does not have")
		}
		for _, add := range []map[string]any{
			{},
			{
				"n1": int64(-5), "n2": []any{1.5, nil, 2.5},
				"n3": map[string]any{
					"a": [3]byte{1, 2, 3}, "b": map[string]any{"x": float32(1), "y": float32(2)},
					"c": int32(7), "d": "Y", "e": []any{nil, nil}, "f": true, "g": []byte("g"),
				},
			},
		} {
			newer := rewrite(t, value, text, 200, add)
			var got inv.Event
			if err := c.DecodeEvent(newer, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got  %+v\nwant %+v, %v", kind, got, want, err)
			}
			for n := range newer {
				if err := c.DecodeEvent(newer[:n], &got); !errors.Is(err, ErrUndecodable) {
					t.Fatalf("cut at %d: %v", n, err)
				}
			}
		}
	}
}

func TestReadsEarlierVersions(t *testing.T) {
	text := earlier(t)
	c := registeredAs(t, 99, 300, text)
	want := filledEvent(inv.KindMovement)
	value, err := c.AppendEvent(nil, &want)
	if err != nil {
		t.Fatal(err)
	}
	older := rewrite(t, value, text, 300, nil)
	want.Document.Revision, want.OccurredBasis, want.Movement.ToLocation = "", "", ""
	var got inv.Event
	if err := c.DecodeEvent(older, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
	}
}

// TestHostileSchema: a registered schema costs a reader neither its stack nor its
// time.
func TestHostileSchema(t *testing.T) {
	s, _ := schemas.Latest(TopicEvents)
	recursive := strings.Replace(s.Text, `"fields": [`, `"fields": [
		{"name": "loop", "type": ["null", "EventRecord"], "default": null},`, 1)
	nothing := strings.Replace(s.Text, `"fields": [`, `"fields": [
		{"name": "nothing", "type": {"type": "array", "items": {"type": "array", "items": "null"}}, "default": []},`, 1)
	for name, text := range map[string]string{
		"recursive":      recursive,
		"not Avro":       `{"type": "record"`,
		"another record": strings.Replace(s.Text, `"EventRecord"`, `"Other"`, 1),
		"another type":   strings.Replace(s.Text, `{"name": "id", "type": "string"`, `{"name": "id", "type": "long"`, 1),
		"no longer nullable": strings.Replace(s.Text, `{"name": "occurred_basis", "type": ["null", "string"], "default": null`,
			`{"name": "occurred_basis", "type": "string"`, 1),
	} {
		ids := LocalIDs()
		ids.Add(SchemaID{Subject: schemas.Subject(TopicEvents), Version: 2, ID: 200, Schema: text})
		if _, err := NewCodecs(ids); err == nil || !strings.Contains(err.Error(), "version 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Millions of nothings in a few bytes each: skipped, not visited.
	c := registeredAs(t, 2, 200, nothing)
	ev := filledEvent(inv.KindSetting)
	value, err := c.AppendEvent(nil, &ev)
	if err != nil {
		t.Fatal(err)
	}
	bomb := append(binary.BigEndian.AppendUint32([]byte{0}, 200), longs(MaxElements)...)
	for range MaxElements {
		bomb = append(bomb, longs(MaxElements, 0)...)
	}
	bomb = append(append(bomb, longs(0)...), value[prefixSize:]...)
	var got inv.Event
	if err := c.DecodeEvent(bomb, &got); err != nil || !reflect.DeepEqual(got, ev) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestTablesAreTheSchemas: a table that is not its schema, field by field, stops
// the start.
func TestTablesAreTheSchemas(t *testing.T) {
	if _, err := NewCodecs(LocalIDs()); err != nil {
		t.Fatal(err)
	}
	good := func() []field[inv.Place] { return append([]field[inv.Place](nil), placeTable.fields...) }
	swapped, missing, renamed, retyped := good(), good()[:1], good(), good()
	swapped[0], swapped[1] = swapped[1], swapped[0]
	renamed[1].name = "acount"
	retyped[1] = quantity("account", func(*inv.Place) *inv.Quantity { return new(inv.Quantity) })
	outcomes, _ := schemas.Latest(TopicOutcomes)
	schema, err := parse(outcomes.Text)
	if err != nil {
		t.Fatal(err)
	}
	for name, fields := range map[string][]field[inv.Place]{"swapped": swapped, "missing": missing, "renamed": renamed, "retyped": retyped} {
		place := record("Place", fields...)
		move := append([]field[inv.Move](nil), moveTable.fields...)
		move[1] = one("from", place, func(x *inv.Move) *inv.Place { return &x.From })
		all := append([]field[inv.Outcome](nil), outcomeTable.fields...)
		for i := range all {
			if all[i].name == "moves" {
				all[i] = many("moves", record("Move", move...), func(x *inv.Outcome) *[]inv.Move { return &x.Moves })
			}
		}
		broken := record("OutcomeRecord", all...)
		if _, same, err := broken.bind(schema); same && err == nil {
			t.Errorf("%s: a broken nested table is taken for the schema", name)
		}
		if _, err := newCodec(LocalIDs(), &scratch{}, TopicOutcomes, broken); err == nil {
			t.Errorf("%s: a broken nested table starts", name)
		}
	}
}
