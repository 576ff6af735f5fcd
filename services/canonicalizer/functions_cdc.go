package canonicalizer

import (
	"encoding/base64"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/jsontext"
)

// cdcFunctions read changes of database rows, over the formats json and ndjson.
func cdcFunctions() []jq.Function {
	return []jq.Function{
		{Name: "cdc", Min: 0, Max: 0, Call: cdc},
		{Name: "cdc_decimal", Min: 1, Max: 1, Call: cdcDecimal},
	}
}

// unavailable is what Debezium writes for a value that was stored out of line and
// did not change (its default of unavailable.value.placeholder).
const unavailable = "__debezium_unavailable_value"

var unavailable64 = base64.StdEncoding.EncodeToString([]byte(unavailable))

// cdc reads one change, whoever captured it:
//
//	{kind, op, before, after, row, unchanged: [column], schema, table, at, position, snapshot}
//
// kind is debezium (2.x, with or without its schema, also flattened by
// ExtractNewRecordState), maxwell, outbox, row (nothing around it) or tombstone
// (null); op insert, update, delete, read (of a snapshot), truncate or other. row is
// after, of a delete before; null where the change does not say which row it was.
// Columns whose value did not travel are taken from before, or named in unchanged.
// With a schema, decimals, dates and times come out as texts; times without a zone
// have none. An outbox row is {id, aggregate, aggregate_id, type, payload} in row,
// with a payload in JSON parsed.
func cdc(v any, _ []any) any {
	v = jq.Plain(v) // one of a row or two, which is looked into deeply
	out := map[string]any{
		"kind": "row", "op": "insert", "before": nil, "after": v, "unchanged": []any{},
		"schema": nil, "table": nil, "at": nil, "position": nil, "snapshot": false,
	}
	m, ok := v.(map[string]any)
	switch {
	case v == nil:
		out["kind"], out["op"] = "tombstone", "delete"
	case !ok:
		return &cdcError{jq.TypeOf(v)}
	default:
		change(out, m)
	}
	out["row"] = out["after"]
	if out["op"] == "delete" {
		out["row"] = out["before"]
	}
	return out
}

type cdcError struct{ typ string }

func (e *cdcError) Error() string { return "cdc: wants an object or null, not " + e.typ }

func change(out, m map[string]any) {
	var schema map[string]any
	if p, ok := m["payload"]; ok && len(m) <= 2 {
		if s, isSchema := m["schema"].(map[string]any); isSchema || m["schema"] == nil {
			if p == nil {
				out["kind"], out["op"], out["after"] = "tombstone", "delete", nil
				return
			}
			if inner, isObject := p.(map[string]any); isObject {
				schema, m = s, inner
			}
		}
	}
	_, hasOp := m["op"].(string)
	_, data := m["data"].(map[string]any)
	switch {
	case hasOp && (has(m, "before") || has(m, "after") || has(m, "source")):
		debezium(out, m, schema)
	case data && has(m, "type") && has(m, "table"), has(m, "database") && has(m, "type") && has(m, "ts"):
		maxwell(out, m)
	case has(m, "__op") || has(m, "__deleted"):
		flattened(out, m, schema)
	case has(m, "payload") && has(m, "id") && has(m, "type"):
		outbox(out, m)
	default:
		out["after"] = decoded(m, schema)
	}
}

func has(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

var debeziumOps = map[string]string{"c": "insert", "u": "update", "d": "delete", "r": "read", "t": "truncate"}

func debezium(out, m, schema map[string]any) {
	out["kind"] = "debezium"
	op, _ := m["op"].(string)
	out["op"] = operation(debeziumOps, op)
	before := fill(out, image(m["before"], fieldSchema(schema, "before")), nil)
	after := image(m["after"], fieldSchema(schema, "after"))
	out["before"], out["after"] = before, fill(out, after, before)
	source, _ := m["source"].(map[string]any)
	out["schema"], out["table"] = firstText(source, "schema", "db"), firstText(source, "table", "collection")
	out["at"] = nil
	for _, ts := range []any{source["ts_ms"], m["ts_ms"]} {
		if out["at"] == nil && ts != nil {
			out["at"] = epoch(ts, []any{"ms"})
		}
	}
	snapshot, _ := asText(source["snapshot"])
	out["snapshot"] = op == "r" || snapshot != "" && snapshot != "false"
	if b, ok := source["snapshot"].(bool); ok {
		out["snapshot"] = b || op == "r"
	}
	out["position"] = position(source, "lsn", "scn", "change_lsn")
	if file := position(source, "file"); file != nil {
		out["position"] = file.(string) + ":" + textOf(source["pos"]) //nolint:forcetypeassert // position gives texts
	}
}

func operation(names map[string]string, op string) string {
	if name, ok := names[op]; ok {
		return name
	}
	return "other"
}

func textOf(v any) string {
	s, _ := asText(v)
	return s
}

func position(m map[string]any, keys ...string) any {
	for _, k := range keys {
		if s := textOf(m[k]); s != "" {
			return s
		}
	}
	return nil
}

func firstText(m map[string]any, keys ...string) any {
	for _, k := range keys {
		if s, ok := m[k].(string); ok && s != "" {
			return s
		}
	}
	return nil
}

func image(v any, schema map[string]any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	return decoded(m, schema)
}

// fill puts values that did not travel in their places.
func fill(out map[string]any, after, before any) any {
	a, ok := after.(map[string]any)
	if !ok {
		return after
	}
	b, _ := before.(map[string]any)
	unchanged := []any{}
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if s, ok := a[k].(string); !ok || s != unavailable && s != unavailable64 {
			continue
		}
		old, known := b[k]
		if s, ok := old.(string); !known || ok && (s == unavailable || s == unavailable64) {
			delete(a, k)
			unchanged = append(unchanged, k)
			continue
		}
		a[k] = old
	}
	out["unchanged"] = unchanged
	return a
}

func flattened(out, m, schema map[string]any) {
	out["kind"] = "debezium"
	op := textOf(m["__op"])
	row := map[string]any{}
	for k, v := range decoded(m, schema) {
		if !strings.HasPrefix(k, "__") {
			row[k] = v
		}
	}
	out["op"] = operation(debeziumOps, op)
	if deleted := m["__deleted"]; deleted == true || deleted == "true" {
		out["op"] = "delete"
	} else if op == "" {
		out["op"] = "update" // an insert or an update: it does not say
	}
	out["after"] = fill(out, row, nil)
	if out["op"] == "delete" {
		out["before"], out["after"] = out["after"], nil
	}
	for _, k := range []string{"__source_ts_ms", "__ts_ms"} {
		if out["at"] == nil && m[k] != nil {
			out["at"] = epoch(m[k], []any{"ms"})
		}
	}
	out["table"] = firstText(m, "__table", "__source_table")
	out["snapshot"] = op == "r"
}

var maxwellOps = map[string]string{"insert": "insert", "update": "update", "delete": "delete", "bootstrap-insert": "read"}

func maxwell(out, m map[string]any) {
	out["kind"] = "maxwell"
	typ, _ := m["type"].(string)
	out["op"] = operation(maxwellOps, typ)
	data, _ := m["data"].(map[string]any)
	out["after"] = nil
	if data != nil {
		out["after"] = maps.Clone(data)
	}
	switch out["op"] {
	case "delete":
		out["before"], out["after"] = out["after"], nil
	case "update":
		// old has only what changed.
		before := maps.Clone(data)
		if before == nil {
			before = map[string]any{}
		}
		old, _ := m["old"].(map[string]any)
		maps.Copy(before, old)
		out["before"] = before
	}
	out["schema"], out["table"] = firstText(m, "database"), firstText(m, "table")
	if m["ts"] != nil {
		out["at"] = epoch(m["ts"], []any{"s"})
	}
	out["snapshot"] = typ == "bootstrap-insert"
	if x := textOf(m["xid"]); x != "" {
		out["position"] = x + "/" + textOf(m["xoffset"])
	}
	if p := textOf(m["position"]); p != "" {
		out["position"] = p
	}
}

func outbox(out, m map[string]any) {
	out["kind"] = "outbox"
	payload := m["payload"]
	if s, ok := payload.(string); ok {
		if tree, fault := jsontext.Read([]byte(s)); fault == nil {
			payload = tree
		}
	}
	pick := func(keys ...string) any {
		for _, k := range keys {
			if v, ok := m[k]; ok {
				return v
			}
		}
		return nil
	}
	row := map[string]any{
		"id": m["id"], "type": m["type"], "payload": payload,
		"aggregate": pick("aggregate", "aggregatetype", "aggregate_type"), "aggregate_id": pick("aggregate_id", "aggregateid"),
	}
	for k, v := range m {
		if _, ok := row[k]; !ok {
			row[k] = v
		}
	}
	out["after"] = row
}

// fieldSchema is the schema of a field of a Connect struct.
func fieldSchema(schema map[string]any, name string) map[string]any {
	fields, _ := schema["fields"].([]any)
	for _, f := range fields {
		if m, ok := f.(map[string]any); ok && m["field"] == name {
			return m
		}
	}
	return nil
}

// decoded is a row with its logical types as texts; without a schema as it is.
func decoded(m, schema map[string]any) map[string]any {
	out := maps.Clone(m)
	fields, _ := schema["fields"].([]any)
	for _, f := range fields {
		field, _ := f.(map[string]any)
		name, _ := field["field"].(string)
		if v, ok := out[name]; ok && v != nil && v != unavailable && v != unavailable64 {
			out[name] = logical(v, field)
		}
	}
	return out
}

// Units of Debezium's and Kafka Connect's logical types of time.
var (
	timestamps = map[string]string{
		"io.debezium.time.Timestamp": "ms", "io.debezium.time.MicroTimestamp": "us", "io.debezium.time.NanoTimestamp": "ns",
		"org.apache.kafka.connect.data.Timestamp": "ms",
	}
	clocks = map[string]string{
		"io.debezium.time.Time": "ms", "io.debezium.time.MicroTime": "us", "io.debezium.time.NanoTime": "ns", "org.apache.kafka.connect.data.Time": "ms",
	}
)

// logical decodes a value by the name of its schema. A value that does not fit
// comes out as it is.
func logical(v any, schema map[string]any) any {
	name, _ := schema["name"].(string)
	switch name {
	case "org.apache.kafka.connect.data.Decimal":
		parameters, _ := schema["parameters"].(map[string]any)
		return cdcDecimal(v, []any{parameters["scale"]})
	case "io.debezium.data.VariableScaleDecimal":
		if m, ok := v.(map[string]any); ok {
			return cdcDecimal(m["value"], []any{m["scale"]})
		}
		return v
	case "io.debezium.time.Date", "org.apache.kafka.connect.data.Date":
		return epoch(v, []any{"d"})
	}
	n, err := strconv.ParseInt(textOf(v), 10, 64)
	if err != nil {
		return v
	}
	if unit, ok := timestamps[name]; ok {
		if t, _ := since(n, unit); t.Year() >= 0 && t.Year() <= 9999 {
			return t.Format("2006-01-02T15:04:05.999999999")
		}
		return v
	}
	if unit, ok := clocks[name]; ok {
		t, _ := since(n, unit)
		return t.Format("15:04:05.999999999")
	}
	return v
}

// cdc_decimal($scale) is the text of a decimal that Connect writes as the base64 of
// its unscaled bytes (two's complement, big end first); a number or a text of digits
// (decimal.handling.mode string, double) stays.
func cdcDecimal(v any, args []any) any {
	scale, err := strconv.Atoi(textOf(args[0]))
	s, ok := v.(string)
	if !ok || err != nil || scale < 0 || scale > 100 {
		return v
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) == 0 || len(b) > 64 {
		return v
	}
	n := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	sign, text := "", n.String()
	if n.Sign() < 0 {
		sign, text = "-", text[1:]
	}
	if len(text) <= scale {
		text = strings.Repeat("0", scale+1-len(text)) + text
	}
	if scale == 0 {
		return sign + text
	}
	return sign + text[:len(text)-scale] + "." + text[len(text)-scale:]
}
