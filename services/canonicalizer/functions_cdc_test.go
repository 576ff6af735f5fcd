package canonicalizer

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/stockweave/stockweave/services/canonicalizer/jsontext"
)

// FuzzCDC reads anything as a change of a row: never a panic, kind and op are ones that are
// documented, row is the side they say, the tree is left as it was, and what comes out is JSON
// and the same again.
func FuzzCDC(f *testing.F) {
	for _, s := range []string{
		`{"before":null,"after":{"id":1,"q":2.50},"source":{"schema":"inv","table":"stock","lsn":7,"ts_ms":1000,"snapshot":"false"},"op":"c","ts_ms":2000}`,
		`{"before":{"id":1,"a":"x"},"after":{"id":1,"a":"__debezium_unavailable_value","c":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="},"source":{},"op":"u"}`,
		`{"schema":{"fields":[{"field":"after","fields":[{"field":"q","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}},
			{"field":"v","name":"io.debezium.data.VariableScaleDecimal"},{"field":"d","name":"io.debezium.time.Date"},
			{"field":"t","name":"io.debezium.time.MicroTimestamp"},{"field":"c","name":"io.debezium.time.MicroTime"}]}]},
			"payload":{"after":{"q":"MDk=","v":{"scale":1,"value":"ew=="},"d":20455,"t":1767323045123456,"c":3600000001},"source":{"file":"b.1","pos":4},"op":"c"}}`,
		`null`, `{"schema":null,"payload":null}`, `{"id":1}`, `[1]`,
		`{"id":1,"q":2,"__op":"u","__table":"stock","__source_ts_ms":1000,"__deleted":"true"}`,
		`{"database":"d","table":"t","type":"update","ts":1,"xid":7,"xoffset":2,"data":{"id":1,"q":5},"old":{"q":4}}`,
		`{"id":"u","aggregatetype":"order","aggregateid":"7","type":"placed","payload":"{\"q\":1.10}","tenant":"x"}`,
	} {
		f.Add([]byte(s))
	}
	kinds := []string{"debezium", "maxwell", "outbox", "row", "tombstone"}
	ops := []string{"insert", "update", "delete", "read", "truncate", "other"}
	f.Fuzz(func(t *testing.T, body []byte) {
		tree, fault := jsontext.Read(body)
		if fault != nil {
			return
		}
		got, ok := cdc(tree, nil).(map[string]any)
		if !ok {
			if _, isObject := tree.(map[string]any); isObject || tree == nil {
				t.Fatalf("%.200s is no change", body)
			}
			return
		}
		if again, _ := jsontext.Read(body); !reflect.DeepEqual(tree, again) {
			t.Fatalf("the tree was changed: %v", tree)
		}
		kind, _ := got["kind"].(string)
		op, _ := got["op"].(string)
		if !slices.Contains(kinds, kind) || !slices.Contains(ops, op) {
			t.Fatalf("%s %s", kind, op)
		}
		side := "after"
		if op == "delete" {
			side = "before"
		}
		if !reflect.DeepEqual(got["row"], got[side]) {
			t.Fatalf("row is %v, %s %v", got["row"], side, got[side])
		}
		if row, _ := got["row"].(map[string]any); kind == "debezium" {
			for column, v := range row {
				if v == unavailable || v == unavailable64 {
					t.Fatalf("%s has a value that did not travel", column)
				}
			}
		}
		a, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(cdc(tree, nil))
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Fatalf("%s\nand then %s", a, b)
		}
	})
}
