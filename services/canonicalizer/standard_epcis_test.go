package canonicalizer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
)

// standardEPCIS is a source that has no mapping of its own.
func standardEPCIS() *policy.Source {
	return &policy.Source{Name: "standard", Entity: "acme", Format: policy.FormatEPCIS, Mapping: "epcis_lines", MappingVersion: "1", File: "standard", Zone: time.UTC}
}

func epcisDocument(event string) []byte {
	return fmt.Appendf(nil, `{"@context":"https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld","type":"EPCISDocument","schemaVersion":"2.0","creationDate":"2026-11-02T12:00:00Z",`+
		`"epcisBody":{"eventList":[{"eventTime":"2026-11-02T09:00:00Z","eventTimeZoneOffset":"+00:00","eventID":"urn:uuid:1",%s}]}}`, event)
}

func TestEPCISLines(t *testing.T) {
	const when = " 2026-11-02T09:00:00Z"
	for _, tc := range []struct {
		name, event string
		want        []string
		problem     string // code
	}{
		{
			"objects seen at a read point, a lot of a class", `"type":"ObjectEvent","action":"OBSERVE","bizStep":"shipping","disposition":"in_transit","epcList":["urn:epc:id:sgtin:4012345.011111.7"],
			"quantityList":[{"epcClass":"urn:epc:class:lgtin:4012345.011111.L1","quantity":2.5,"uom":"KGM"}],"readPoint":{"id":"urn:epc:id:sgln:4012345.00001.0"}`,
			[]string{
				"milestone shipping/in_transit 1  [sgtin:4012345.011111.7 gtin:04012345111118] @sgln:4012345.00001.0|4012345000016|gln:4012345000016|urn:epc:id:sgln:4012345.00001.0" + when,
				"milestone shipping/in_transit 2.5 KGM [lgtin:4012345.011111.L1 gtin:04012345111118] @sgln:4012345.00001.0|4012345000016|gln:4012345000016|urn:epc:id:sgln:4012345.00001.0" + when,
			},
			"",
		},
		{
			"the business location goes before the read point; no disposition", `"type":"ObjectEvent","action":"ADD","bizStep":"commissioning","epcList":["https://id.gs1.org/01/04012345111118/21/9"],"readPoint":{"id":"urn:x:r"},"bizLocation":{"id":"urn:x:b"}`,
			[]string{"milestone commissioning 1  [gtin:04012345111118 epc:https://id.gs1.org/01/04012345111118/21/9] @urn:x:b" + when},
			"",
		},
		{
			"a place by its Digital Link, whose check digit is wrong", `"type":"ObjectEvent","action":"ADD","bizStep":"storing","epcList":["https://id.gs1.org/01/04012345111118/21/9"],"bizLocation":{"id":"https://id.gs1.org/414/4012345000017/254/1"}`,
			[]string{"milestone storing 1  [gtin:04012345111118 epc:https://id.gs1.org/01/04012345111118/21/9] @4012345000017|gln:4012345000017|https://id.gs1.org/414/4012345000017/254/1" + when},
			"",
		},
		{
			"a transformation consumes and produces", `"type":"TransformationEvent","inputQuantityList":[{"epcClass":"urn:epc:idpat:sgtin:4012345.011111.*","quantity":3}],"outputEPCList":["urn:epc:id:sgtin:4012345.011111.8"]`,
			[]string{
				"milestone consumed -3  [idpat:sgtin:4012345.011111.* gtin:04012345111118] @" + when,
				"milestone produced 1  [sgtin:4012345.011111.8 gtin:04012345111118] @" + when,
			},
			"",
		},
		{
			"an aggregation is about its children", `"type":"AggregationEvent","action":"ADD","bizStep":"packing","parentID":"urn:epc:id:sscc:4012345.0000000001","childEPCs":["urn:epc:id:sgtin:4012345.011111.7"]`,
			[]string{"milestone packing 1  [sgtin:4012345.011111.7 gtin:04012345111118] @" + when},
			"",
		},
		{
			"or, without any, about its parent", `"type":"AggregationEvent","action":"DELETE","bizStep":"unpacking","parentID":"urn:epc:id:sscc:4012345.0000000001"`,
			[]string{"milestone unpacking 1  [sscc:4012345.0000000001 sscc:040123450000000016] @" + when},
			"",
		},
		{"what is declared in error", `"type":"ObjectEvent","action":"OBSERVE","epcList":["urn:epc:id:sgtin:4012345.011111.7"],"errorDeclaration":{"declarationTime":"2026-11-02T10:00:00Z","reason":"incorrect_data"}`, nil, "declared_in_error"},
		{"a person is no goods", `"type":"ObjectEvent","action":"OBSERVE","epcList":["urn:epc:id:gsrn:4012345.0000000001"]`, nil, "no_goods"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			facts, problems, err := Facts(t.Context(), standardEPCIS(), epcisDocument(tc.event))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range facts {
				got = append(got, factText(&facts[i]))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
			if code := ""; len(problems) > 0 || tc.problem != "" {
				if len(problems) > 0 {
					code = problems[0].Code
				}
				if code != tc.problem {
					t.Errorf("put aside: %v, want %s", problems, tc.problem)
				}
			}
		})
	}
}
