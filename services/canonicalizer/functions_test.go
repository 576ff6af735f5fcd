package canonicalizer

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/jsontext"
)

// jq runs a program on a JSON text; an error comes out as its text.
func runJQ(t *testing.T, program, input string) string {
	t.Helper()
	m, err := compile(&policy.Source{File: "test", Mapping: "[.tree | " + program + "]"})
	if err != nil {
		t.Fatal(err)
	}
	tree, fault := jsontext.Read([]byte(input))
	if fault != nil {
		t.Fatal(fault)
	}
	out, err := m.run(t.Context(), map[string]any{"tree": tree})
	if err != nil {
		return "error: " + err.Error()
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(b), "["), "]")
}

func TestFunctions(t *testing.T) {
	order := `{"Order":[{"@id":"7","Line":[{"Qty":[{"#text":" 5 "}]},{"Qty":[{"#nil":true}],"{urn:x}Qty":[{"#text":"9"}]}],"Empty":[{}],"Name":[{"#text":"x","@lang":" de "}]}]}`
	for _, tc := range []struct{ program, input, want string }{
		{`nodes("Order/Line") | length`, order, `2`},
		{`nodes("/Order/*") | length`, order, `4`},
		{`nodes("Nothing/Here")`, order, `[]`},
		{`nodes(["Order","Line","{urn:x}Qty"]) | map(text)`, order, `["9"]`},
		{`text("Order/Line/Qty")`, order, `"5"`},
		{`text("Order/@id")`, order, `"7"`},
		{`text("Order/Name/@lang")`, order, `"de"`},
		{`text("Order/Empty")`, order, `null`},
		{`text("Order/No/@id")`, order, `null`},
		{`.Order[0].Line[1] | text("Qty")`, order, `null`},
		{`.Order[0].Nothing | text("x")`, order, `null`},
		{`.Order[0].Name[0] | text`, order, `"x"`},
		{`nodes("a")`, `"x"`, `error: mapping_error: nodes: wants an element, not string`},
		{`nodes("a")`, `[1]`, `error: mapping_error: nodes: wants elements, not number`},
		{`nodes(1)`, order, `error: mapping_error: nodes: a path is a text or an array of names, not number`},
		{`from_xml | text("a/b")`, `"<a><b>1</b></a>"`, `"1"`},
		{`from_xml`, `"<a>"`, `error: mapping_error: from_xml: xml_syntax: line 1 column 4: it ends inside <a>, which begins at line 1`},

		{
			`map(decimal(","))`, `["1.250,5-","-1.250,50","1 250,5","1250","1'250'000","+7,5",",5","1,","1.25,0","1,2,3","x","",null,12,"5 -"]`,
			`["-1250.5","-1250.50","1250.5","1250","1250000","7.5","0.5","1","1.25,0","1,2,3","x","",null,"12","-5"]`,
		},
		{`map(decimal("."))`, `["1,250.5","500.000-","12.5",0.10]`, `["1250.5","-500.000","12.5","0.10"]`},
		{`decimal(";")`, `"1"`, `error: mapping_error: decimal: the mark is "." or ","`},
		{`map(implied(2))`, `["0001250","5","-125","125-","0","x","1.5",null,"00"]`, `["12.50","0.05","-1.25","-1.25","0.00","x","1.5",null,"0.00"]`},
		{`map(implied(0))`, `["0007","000"]`, `["7","0"]`},
		{`epoch("s")`, `1561480673`, `"2019-06-25T16:37:53Z"`},
		{`epoch("ms")`, `"1596001099434"`, `"2020-07-29T05:38:19.434Z"`},
		{`epoch("us"), epoch("ns")`, `1596001099434001`, `"2020-07-29T05:38:19.434001Z","1970-01-19T11:20:01.099434001Z"`},
		{`epoch("d")`, `18000`, `"2019-04-14"`},
		{`map(epoch("d"))`, `[9223372036854775807,-9223372036854775808,"x",null,1.5]`, `[9223372036854775807,-9223372036854775808,"x",null,1.5]`},
		{`epoch("y")`, `1`, `error: mapping_error: epoch: the unit is s, ms, us, ns or d`},
		{`sap_when(.[0]; .[1])`, `["20260102","030405"]`, `"2026-01-02T03:04:05"`},
		{`sap_when(.[0]; .[1])`, `["00000000","000000"]`, `null`},
		{`sap_when(.[0]; .[1])`, `["20260102",null]`, `"2026-01-02"`},
		{`map(alpha)`, `["000000000010004741","0000X001","000",null]`, `["10004741","0000X001","0",null]`},
		{`map(gtin14)`, `["036000291452","4006381333931",73513537,"4006381333932",null]`, `["00036000291452","04006381333931","00000073513537",null,null]`},
		{`gs1`, `"urn:epc:class:lgtin:4012345.012345.998877"`, `{"lot":"998877","serial":null,"type":"gtin","value":"04012345123456"}`},
		{`gs1`, `"SKU-1"`, `null`},
		{`gs1`, `"urn:epc:id:sgtin:1.2.3"`, `error: mapping_error: gs1: a wrong GS1 identifier: "urn:epc:id:sgtin:1.2.3" has no company prefix of 6 to 12 digits or not 3 parts`},
		{`map(tonumber)`, `["5","1.50"," 7 ",3]`, `[5,1.50,7,3]`},
		{`map(tonumber)`, `["0005","+5","-007.50","000",".5","5.","00.10e2"]`, `[5,5,-7.50,0,0.5,5,0.10e2]`},
		{`map(digest) | .[0] == .[1], .[0] != .[2], (.[0] | length)`, `[{"a":1,"b":[2.50]},{"b":[2.50],"a":1},{"a":1,"b":[2.5]}]`, `true,true,32`},
		{`tonumber`, `"1x"`, `error: mapping_error: tonumber: "1x" is no number`},
		{`tonumber`, `"` + strings.Repeat("9", 129) + `"`, `error: mapping_error: tonumber: "9999999999999999999999999999999999999999" is no number`},
		{`tonumber | . + 1`, `"` + strings.Repeat("9", 128) + `"`, `1` + strings.Repeat("0", 128)},
		{`tonumber`, `"1e1000000000"`, `error: mapping_error: tonumber: "1e1000000000" is no number`},
		{`fromjson`, `"{\"a\":1.10}"`, `{"a":1.10}`},
		{`fromjson`, `"{\"a\":1,\"a\":2}"`, `error: mapping_error: fromjson: json_duplicate_key: line 1 column 8 at /a: "a" stands there twice`},
		{`[range(3)], [range(1;3)], [range(5;0;-2)]`, `null`, `[0,1,2],[1,2],[5,3,1]`},
	} {
		if got := runJQ(t, tc.program, tc.input); got != tc.want {
			t.Errorf("%s of %.60s: %s\nwant %s", tc.program, tc.input, got, tc.want)
		}
	}
}

// What a message says must not decide what its mapping costs.
func TestBoundedArithmetic(t *testing.T) {
	digits := strings.Repeat("9", 1_000_000)
	for program, input := range map[string]string{
		`tonumber + 1`:                   `"` + digits + `"`,
		`fromjson + 1`:                   `"` + digits + `"`,
		`(fromjson | .n) * 2`:            `"{\"n\":1e1000000000}"`,
		`tonumber | . * . | floor`:       `"1e1000000000"`,
		`. * 10 | tostring`:              `1e400`,
		`[range(tonumber)] | length`:     `"1e18"`,
		`[range(.)] | length`:            `1e400`,
		`[range(0; 1e9; 1e-9)] | length`: `null`,
	} {
		started := time.Now()
		out := runJQ(t, program, input)
		if took := time.Since(started); took > time.Second {
			t.Errorf("%s took %s: %.100s", program, took, out)
		}
	}
}

func TestCDC(t *testing.T) {
	for _, tc := range []struct{ name, input, want string }{
		{
			"insert", `{"before":null,"after":{"id":1,"q":2.50},"source":{"schema":"inv","table":"stock","lsn":7,"ts_ms":1000,"snapshot":"false"},"op":"c","ts_ms":2000}`,
			`{"after":{"id":1,"q":2.50},"at":"1970-01-01T00:00:01Z","before":null,"kind":"debezium","op":"insert","position":"7","row":{"id":1,"q":2.50},"schema":"inv","snapshot":false,"table":"stock","unchanged":[]}`,
		},
		{
			"delete without its row", `{"before":null,"after":null,"source":{"db":"d","file":"b.1","pos":4},"op":"d","ts_ms":2000}`,
			`{"after":null,"at":"1970-01-01T00:00:02Z","before":null,"kind":"debezium","op":"delete","position":"b.1:4","row":null,"schema":"d","snapshot":false,"table":null,"unchanged":[]}`,
		},
		{
			"snapshot", `{"after":{"id":1},"source":{"snapshot":"last"},"op":"r"}`,
			`{"after":{"id":1},"at":null,"before":null,"kind":"debezium","op":"read","position":null,"row":{"id":1},"schema":null,"snapshot":true,"table":null,"unchanged":[]}`,
		},
		{
			"values that did not travel", `{"before":{"id":1,"a":"x"},"after":{"id":1,"a":"__debezium_unavailable_value","b":"__debezium_unavailable_value","c":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="},"source":{},"op":"u"}`,
			`{"after":{"a":"x","id":1},"at":null,"before":{"a":"x","id":1},"kind":"debezium","op":"update","position":null,"row":{"a":"x","id":1},"schema":null,"snapshot":false,"table":null,"unchanged":["b","c"]}`,
		},
		{
			"delete of values that did not travel", `{"before":{"id":1,"a":"__debezium_unavailable_value"},"after":null,"source":{},"op":"d"}`,
			`{"after":null,"at":null,"before":{"id":1},"kind":"debezium","op":"delete","position":null,"row":{"id":1},"schema":null,"snapshot":false,"table":null,"unchanged":["a"]}`,
		},
		{
			"update of what neither side has", `{"before":{"id":1,"a":"__debezium_unavailable_value"},"after":{"id":1,"a":"__debezium_unavailable_value"},"source":{},"op":"u"}`,
			`{"after":{"id":1},"at":null,"before":{"id":1},"kind":"debezium","op":"update","position":null,"row":{"id":1},"schema":null,"snapshot":false,"table":null,"unchanged":["a"]}`,
		},
		{
			"with its schema", `{"schema":{"type":"struct","fields":[{"field":"after","type":"struct","fields":[
			{"field":"q","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}},
			{"field":"n","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"4"}},
			{"field":"v","type":"struct","name":"io.debezium.data.VariableScaleDecimal"},
			{"field":"d","type":"int32","name":"io.debezium.time.Date"},{"field":"t","type":"int64","name":"io.debezium.time.MicroTimestamp"},
			{"field":"m","type":"int64","name":"io.debezium.time.Timestamp"},{"field":"c","type":"int64","name":"io.debezium.time.MicroTime"},{"field":"s","type":"string"},{"field":"z","type":"int32","name":"io.debezium.time.Date"}]}]},
			"payload":{"before":null,"after":{"q":"MDk=","n":"/w==","v":{"scale":1,"value":"ew=="},"d":20455,"t":1767323045123456,"m":1767323045000,"c":3600000001,"s":"x","z":null},"source":{},"op":"c"}}`,
			`{"after":{"c":"01:00:00.000001","d":"2026-01-02","m":"2026-01-02T03:04:05","n":"-0.0001","q":"123.45","s":"x","t":"2026-01-02T03:04:05.123456","v":"12.3","z":null},` +
				`"at":null,"before":null,"kind":"debezium","op":"insert","position":null,"row":{"c":"01:00:00.000001","d":"2026-01-02","m":"2026-01-02T03:04:05","n":"-0.0001","q":"123.45","s":"x","t":"2026-01-02T03:04:05.123456","v":"12.3","z":null},` +
				`"schema":null,"snapshot":false,"table":null,"unchanged":[]}`,
		},
		{"tombstone", `null`, `{"after":null,"at":null,"before":null,"kind":"tombstone","op":"delete","position":null,"row":null,"schema":null,"snapshot":false,"table":null,"unchanged":[]}`},
		{"tombstone with its schema", `{"schema":null,"payload":null}`, `{"after":null,"at":null,"before":null,"kind":"tombstone","op":"delete","position":null,"row":null,"schema":null,"snapshot":false,"table":null,"unchanged":[]}`},
		{
			"flattened", `{"id":1,"q":2,"__op":"u","__table":"stock","__source_ts_ms":1000,"__deleted":"false"}`,
			`{"after":{"id":1,"q":2},"at":"1970-01-01T00:00:01Z","before":null,"kind":"debezium","op":"update","position":null,"row":{"id":1,"q":2},"schema":null,"snapshot":false,"table":"stock","unchanged":[]}`,
		},
		{
			"flattened delete", `{"id":1,"__deleted":"true"}`,
			`{"after":null,"at":null,"before":{"id":1},"kind":"debezium","op":"delete","position":null,"row":{"id":1},"schema":null,"snapshot":false,"table":null,"unchanged":[]}`,
		},
		{
			"maxwell update", `{"database":"d","table":"t","type":"update","ts":1,"xid":7,"xoffset":2,"data":{"id":1,"q":5},"old":{"q":4}}`,
			`{"after":{"id":1,"q":5},"at":"1970-01-01T00:00:01Z","before":{"id":1,"q":4},"kind":"maxwell","op":"update","position":"7/2","row":{"id":1,"q":5},"schema":"d","snapshot":false,"table":"t","unchanged":[]}`,
		},
		{
			"maxwell delete", `{"database":"d","table":"t","type":"delete","ts":1,"data":{"id":1}}`,
			`{"after":null,"at":"1970-01-01T00:00:01Z","before":{"id":1},"kind":"maxwell","op":"delete","position":null,"row":{"id":1},"schema":"d","snapshot":false,"table":"t","unchanged":[]}`,
		},
		{
			"maxwell of another kind", `{"database":"d","table":"t","type":"table-alter","ts":1}`,
			`{"after":null,"at":"1970-01-01T00:00:01Z","before":null,"kind":"maxwell","op":"other","position":null,"row":null,"schema":"d","snapshot":false,"table":"t","unchanged":[]}`,
		},
		{
			"outbox", `{"id":"u","aggregatetype":"order","aggregateid":"7","type":"placed","payload":"{\"q\":1.10}","tenant":"x"}`,
			`{"after":{"aggregate":"order","aggregate_id":"7","aggregateid":"7","aggregatetype":"order","id":"u","payload":{"q":1.10},"tenant":"x","type":"placed"},"at":null,"before":null,"kind":"outbox","op":"insert","position":null,` +
				`"row":{"aggregate":"order","aggregate_id":"7","aggregateid":"7","aggregatetype":"order","id":"u","payload":{"q":1.10},"tenant":"x","type":"placed"},"schema":null,"snapshot":false,"table":null,"unchanged":[]}`,
		},
		{"a row", `{"id":1}`, `{"after":{"id":1},"at":null,"before":null,"kind":"row","op":"insert","position":null,"row":{"id":1},"schema":null,"snapshot":false,"table":null,"unchanged":[]}`},
		{"no object", `[1]`, `error: mapping_error: cdc: wants an object or null, not array`},
	} {
		if got := runJQ(t, "cdc", tc.input); got != tc.want {
			t.Errorf("%s: %s\nwant %s", tc.name, got, tc.want)
		}
	}
	if got := runJQ(t, `map(cdc_decimal(3))`, `["AA==","gAA=","fw==","12.5","!",null,7]`); got != `["0.000","-32.768","0.127","12.5","!",null,7]` {
		t.Error(got)
	}
}

// A change must not change the tree it is read from: other units may share it.
func TestCDCLeavesItsInput(t *testing.T) {
	input := `{"before":{"a":"x"},"after":{"a":"__debezium_unavailable_value"},"op":"u"}`
	tree, _ := jsontext.Read([]byte(input))
	cdc(tree, nil)
	again, _ := jsontext.Read([]byte(input))
	if !reflect.DeepEqual(tree, again) {
		t.Errorf("%v", tree)
	}
}
