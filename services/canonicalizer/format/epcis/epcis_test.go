package epcis

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

func units(body string) []format.Unit {
	return slices.Collect(Parse([]byte(body), &policy.Source{}))
}

func codes(us []format.Unit) string {
	var got []string
	for _, u := range us {
		if u.Fault == nil {
			got = append(got, "ok")
		} else {
			got = append(got, u.Fault.Code)
		}
	}
	return strings.Join(got, " ")
}

func wire(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// One event in the bindings; all of them have one tree.
const (
	jsonld = `{"@context":["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",{"ex":"http://ns.example.com/epcis/"}],
 "type":"EPCISDocument","schemaVersion":"2.0","creationDate":"2026-01-02T03:04:05Z","epcisBody":{"eventList":[{
 "type":"ObjectEvent","eventID":"urn:uuid:1","eventTime":"2026-01-02T03:04:05Z","eventTimeZoneOffset":"+02:00","recordTime":"2026-01-02T04:00:00Z","action":"ADD",
 "bizStep":"shipping","disposition":"https://ref.gs1.org/cbv/Disp-in_transit","persistentDisposition":{"set":["damaged"]},
 "epcList":["urn:epc:id:sgtin:0614141.107346.2017"],
 "quantityList":[{"epcClass":"urn:epc:class:lgtin:4012345.012345.9","quantity":200.50,"uom":"KGM"},{"epcClass":"urn:epc:idpat:sgtin:4012345.098765.*"}],
 "readPoint":{"id":"urn:epc:id:sgln:0614141.00777.0"},"bizLocation":{"id":"urn:epc:id:sgln:0614141.00888.0"},
 "bizTransactionList":[{"type":"po","bizTransaction":"http://x.example/po/1"},{"bizTransaction":"urn:2"}],
 "sourceList":[{"type":"owning_party","source":"urn:s"}],"destinationList":[{"type":"location","destination":"urn:d"}],
 "errorDeclaration":{"declarationTime":"2026-01-03T00:00:00Z","reason":"incorrect_data","correctiveEventIDs":["urn:uuid:2"],"ex:why":"x"},
 "ilmd":{"ex:best":"2027-01-01"},"ex:my":"field","ex:deep":{"ex:a":"1","ex:b":["2","3"]}}]}}`

	xml2 = `<?xml version="1.0"?><epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" xmlns:ex="http://ns.example.com/epcis" schemaVersion="2.0" creationDate="2026-01-02T03:04:05Z">
<EPCISBody><EventList><ObjectEvent><eventTime>2026-01-02T03:04:05Z</eventTime><recordTime>2026-01-02T04:00:00Z</recordTime><eventTimeZoneOffset>+02:00</eventTimeZoneOffset>
<eventID>urn:uuid:1</eventID><errorDeclaration><declarationTime>2026-01-03T00:00:00Z</declarationTime><reason>urn:epcglobal:cbv:er:incorrect_data</reason>
<correctiveEventIDs><correctiveEventID>urn:uuid:2</correctiveEventID></correctiveEventIDs><ex:why>x</ex:why></errorDeclaration>
<epcList><epc> urn:epc:id:sgtin:0614141.107346.2017 </epc></epcList><action>ADD</action><bizStep>urn:epcglobal:cbv:bizstep:shipping</bizStep>
<disposition>urn:epcglobal:cbv:disp:in_transit</disposition><persistentDisposition><set>urn:epcglobal:cbv:disp:damaged</set></persistentDisposition>
<readPoint><id>urn:epc:id:sgln:0614141.00777.0</id></readPoint><bizLocation><id>urn:epc:id:sgln:0614141.00888.0</id></bizLocation>
<bizTransactionList><bizTransaction type="urn:epcglobal:cbv:btt:po">http://x.example/po/1</bizTransaction><bizTransaction>urn:2</bizTransaction></bizTransactionList>
QUANTITIES<sourceList><source type="urn:epcglobal:cbv:sdt:owning_party">urn:s</source></sourceList><destinationList><destination type="urn:epcglobal:cbv:sdt:location">urn:d</destination></destinationList>
<ilmd><ex:best>2027-01-01</ex:best></ilmd><ex:my>field</ex:my><ex:deep><ex:a>1</ex:a><ex:b>2</ex:b><ex:b>3</ex:b></ex:deep>
</ObjectEvent></EventList></EPCISBody></epcis:EPCISDocument>`

	quantitiesXML = `<quantityList><quantityElement><epcClass>urn:epc:class:lgtin:4012345.012345.9</epcClass><quantity>200.50</quantity><uom>KGM</uom></quantityElement>` +
		`<quantityElement><epcClass>urn:epc:idpat:sgtin:4012345.098765.*</epcClass></quantityElement></quantityList>`
)

func TestOneTreeForAllBindings(t *testing.T) {
	two := strings.Replace(xml2, "QUANTITIES", quantitiesXML, 1)
	one := strings.NewReplacer("xsd:2", "xsd:1", `"2.0"`, `"1.2"`, "QUANTITIES", "<extension>"+quantitiesXML, "</destinationList>", "</destinationList>",
		"<eventID>", "<baseExtension><eventID>", "</errorDeclaration>", "</errorDeclaration></baseExtension>", "<ilmd>", "<ilmd>", "</ilmd>", "</ilmd></extension>").Replace(xml2)
	want := `{"action":"ADD","bizLocation":"urn:epc:id:sgln:0614141.00888.0","bizStep":"shipping",` +
		`"bizTransactionList":[{"bizTransaction":"http://x.example/po/1","type":"po"},{"bizTransaction":"urn:2","type":null}],"certificationInfo":null,` +
		`"childEPCs":[],"childQuantityList":[],"destinationList":[{"destination":"urn:d","type":"location"}],"disposition":"in_transit",` +
		`"document":{"creationDate":"2026-01-02T03:04:05Z","id":null,"schemaVersion":"2.0"},"epcList":["urn:epc:id:sgtin:0614141.107346.2017"],` +
		`"errorDeclaration":{"correctiveEventIDs":["urn:uuid:2"],"declarationTime":"2026-01-03T00:00:00Z","extensions":{"http://ns.example.com/epcis/why":"x"},"reason":"incorrect_data"},` +
		`"eventID":"urn:uuid:1","eventTime":"2026-01-02T03:04:05Z","eventTimeZoneOffset":"+02:00",` +
		`"extensions":{"http://ns.example.com/epcis/deep":{"http://ns.example.com/epcis/a":"1","http://ns.example.com/epcis/b":["2","3"]},"http://ns.example.com/epcis/my":"field"},` +
		`"ilmd":{"http://ns.example.com/epcis/best":"2027-01-01"},"inputEPCList":[],"inputQuantityList":[],"outputEPCList":[],"outputQuantityList":[],"parentID":null,` +
		`"persistentDisposition":{"set":["damaged"],"unset":[]},"quantityList":[{"epcClass":"urn:epc:class:lgtin:4012345.012345.9","quantity":"200.50","uom":"KGM"},` +
		`{"epcClass":"urn:epc:idpat:sgtin:4012345.098765.*","quantity":null,"uom":null}],"readPoint":"urn:epc:id:sgln:0614141.00777.0","recordTime":"2026-01-02T04:00:00Z",` +
		`"sensorElementList":null,"sourceList":[{"source":"urn:s","type":"owning_party"}],"transformationID":null,"type":"ObjectEvent"}`
	for name, body := range map[string]string{"JSON-LD": jsonld, "XML 2.0": two, "XML 1.2": one} {
		us := units(body)
		if codes(us) != "ok" {
			t.Errorf("%s: %+v", name, us)
			continue
		}
		if got := strings.Replace(wire(t, us[0].Tree), `"1.2"`, `"2.0"`, 1); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
}

func TestWhereEventsAre(t *testing.T) {
	e := `{"type":"TransformationEvent","eventTime":"t"}`
	x := `<EventList><extension><TransformationEvent><eventTime>t</eventTime></TransformationEvent></extension></EventList>`
	for body, want := range map[string]string{
		`{"type":"EPCISDocument"}`: "epcis_none",
		`{"a":1}`:                  "epcis_none",
		`{"type":}`:                "json_syntax",

		e:                       "ok",
		`[` + e + `,` + e + `]`: "ok ok",
		`{"type":"EPCISDocument","epcisBody":{"eventList":[]}}`:                                                                                "",
		`{"type":"EPCISDocument","epcisBody":{"eventList":` + e + `}}`:                                                                         "ok",
		`{"type":"EPCISDocument","epcisBody":{"event":` + e + `}}`:                                                                             "ok",
		`{"type":"EPCISQueryDocument","epcisBody":{"queryResults":{"resultsBody":{"eventList":[` + e + `]}}}}`:                                 "ok",
		`{"@type":"https://ref.gs1.org/epcis/TransformationEvent","eventTime":"t"}`:                                                            "ok",
		`{"type":"EPCISDocument","epcisBody":{"eventList":[1,{"type":"X","eventTime":"t"},{"type":"ObjectEvent","eventTime":"t"},` + e + `]}}`: "epcis_event epcis_event epcis_event ok",
		`{"type":"ObjectEvent","eventTime":"t","action":"MOVE"}`:                                                                               "epcis_event",
		`{"type":"TransformationEvent"}`:                                                                                                       "epcis_event",
		`{"type":"TransformationEvent","eventTime":["t"]}`:                                                                                     "epcis_event",
		`{"type":"TransformationEvent","eventTime":"t","inputQuantityList":[{"quantity":1}]}`:                                                  "epcis_event",
		`{"type":"TransformationEvent","eventTime":"t","sourceList":[{"type":"location"}]}`:                                                    "epcis_event",
		`{"type":"TransformationEvent","eventTime":"t","readPoint":{}}`:                                                                        "epcis_event",
		`{"eventList":[` + strings.Repeat("1,", 20_000) + `1]}`:                                                                                "epcis_events",
		`{"type":"TransformationEvent","eventTime":"t","eventTime":"u"}`:                                                                       "json_duplicate_key",
		x: "ok",
		`<q:EPCISQueryDocument xmlns:q="urn:epcglobal:epcis-query:xsd:1"><EPCISBody><q:QueryResults><resultsBody>` + x + `</resultsBody></q:QueryResults></EPCISBody></q:EPCISQueryDocument>`: "ok",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>` + x + `</s:Body></s:Envelope>`:                                                                             "ok",
		`<TransformationEvent><eventTime>t</eventTime></TransformationEvent>`:                                                                                                                 "ok",
		`<EventList/>`: "",
		`<EventList><ObjectEvent><eventTime>t</eventTime></ObjectEvent><Y/><x:ObjectEvent xmlns:x="urn:x"><eventTime>t</eventTime><action>ADD</action></x:ObjectEvent></EventList>`: "epcis_event epcis_event ok",
		`<TransformationEvent><eventTime>t</eventTime><eventTime>u</eventTime></TransformationEvent>`:                                                                               "epcis_event",
		`<EPCISMasterDataDocument/>`: "epcis_none",
		`<!DOCTYPE a><EventList/>`:   "xml_doctype",
		``:                           "xml_syntax",
	} {
		us := units(body)
		if got := codes(us); got != want {
			t.Errorf("%.200s: %.100s %.300v, want %s", body, got, us, want)
		}
	}
}

func TestQuantities(t *testing.T) {
	us := units(`<EventList xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><QuantityEvent><eventTime>t</eventTime><epcClass>urn:c</epcClass><quantity>7</quantity></QuantityEvent>
<extension><TransformationEvent><eventTime>t</eventTime><inputQuantityList><quantityElement><epcClass>urn:c</epcClass><quantity xsi:nil="true">5</quantity></quantityElement></inputQuantityList></TransformationEvent></extension></EventList>`)
	if codes(us) != "ok ok" {
		t.Fatalf("%+v", us)
	}
	if got := wire(t, us[0].Tree.(map[string]any)["quantityList"]); got != `[{"epcClass":"urn:c","quantity":"7","uom":null}]` {
		t.Error(got)
	}
	if got := wire(t, us[1].Tree.(map[string]any)["inputQuantityList"]); got != `[{"epcClass":"urn:c","quantity":null,"uom":null}]` {
		t.Error(got)
	}
	if e := us[0].Tree.(map[string]any)["extensions"]; len(e.(map[string]any)) != 0 || us[1].Where != "event 2, line 2" {
		t.Errorf("%v %s", e, us[1].Where)
	}
}

func TestContextAnywhere(t *testing.T) {
	us := units(`{"type":"ObjectEvent","eventTime":"t","action":"ADD","a:x":1,"b:y":true,"document":2,"@context":[{"a":{"@id":"urn:a:"}}]}`)
	if got := wire(t, us[0].Tree.(map[string]any)["extensions"]); got != `{"b:y":true,"document":"2","urn:a:x":"1"}` {
		t.Error(got)
	}
}

func TestSensors(t *testing.T) {
	us := units(`<ObjectEvent><eventTime>t</eventTime><action>OBSERVE</action><sensorElementList><sensorElement><sensorMetadata time="t"/><sensorReport type="gs1:Temperature" value="26.0" uom="CEL"/></sensorElement></sensorElementList></ObjectEvent>`)
	if got := wire(t, us[0].Tree.(map[string]any)["sensorElementList"]); got != `[{"sensorMetadata":{"time":"t"},"sensorReport":[{"type":"gs1:Temperature","uom":"CEL","value":"26.0"}]}]` {
		t.Error(got)
	}
}

// Every event has a tree or a fault, and the tree can be written.
func FuzzParse(f *testing.F) {
	f.Add([]byte(jsonld))
	f.Add([]byte(strings.Replace(xml2, "QUANTITIES", quantitiesXML, 1)))
	f.Add([]byte(`[{"type":"QuantityEvent","eventTime":"t","epcClass":"c","quantity":1e2,"@context":{"a":1}},7]`))
	f.Add([]byte(`<EventList><extension><TransformationEvent><eventTime/></TransformationEvent></extension></EventList>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for u := range Parse(body, &policy.Source{}) {
			if u.Where == "" || u.Tree == nil && u.Fault == nil {
				t.Fatalf("%+v", u)
			}
			if _, err := json.Marshal(u.Tree); err != nil {
				t.Fatal(err)
			}
		}
	})
}
