package canonicalizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
)

type standardCase struct {
	name, body string
	want       []string
}

// standardReads holds what a standard's mapping reads from whole documents; a text
// after "!" is the code of a part that gave no fact.
func standardReads(t *testing.T, kind string, cases []standardCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, ok := standardOf(kind)
			if !ok {
				t.Fatalf("no standard %s", kind)
			}
			src := &policy.Source{Name: "standard", Entity: "acme", Format: s.format, Mapping: s.mapping, MappingVersion: "1", File: "standard", Zone: time.UTC}
			src.XML.Doctype = policy.DoctypeIgnore
			facts, problems, err := Facts(t.Context(), src, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range facts {
				got = append(got, factText(&facts[i]))
			}
			for _, p := range problems {
				got = append(got, "!"+p.Code)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n  %s\nwant\n  %s\n%v", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "), problems)
			}
		})
	}
}

// edifactMessage puts the segments of a message, divided by ', into an interchange.
func edifactMessage(set, body string) string {
	return fmt.Sprintf("UNB+UNOC:3+A:14+B:14+261102:1015+1'UNH+1+%s:D:96A:UN'%sUNT+%d+1'UNZ+1+1'", set, body, strings.Count(body, "'")+2)
}

func TestStandardEDIFACT(t *testing.T) {
	t.Parallel()
	standardReads(t, "edifact", []standardCase{
		{"a place of all of a line", edifactMessage("INVRPT",
			"BGM+35+R1+9'DTM+137:20261101:102'NAD+BY+B1::92'LIN+1++SKU-1:SA'LOC+14+W2'INV+++1'QTY+145:10:PCE'INV++2+1'QTY+145:2:PCE'"), []string{
			"count on_hand 10 PCE [SA:SKU-1] @W2 2026-11-01",
			"count damaged 2 PCE [SA:SKU-1] @W2 2026-11-01",
		}},
		{"stock and movements", edifactMessage("INVRPT",
			"BGM+35+R1+9'DTM+137:20261101:102'NAD+WH+W1::92'LIN+1++SKU-1:SA'QTY+145:10:PCE'INV++2'QTY+145:2:PCE'INV+1+1+4'QTY+1:3:PCE'LIN+2++SKU-2:SA'LOC+14+W2'QTY+17:4:PCE'"), []string{
			"count on_hand 10 PCE [SA:SKU-1] @W1 2026-11-01",
			"count damaged 2 PCE [SA:SKU-1] @W1 2026-11-01",
			"movement/adjustment adjusted -3 PCE [SA:SKU-1] @W1 2026-11-01",
			"count on_hand 4 PCE [SA:SKU-2] @W2 2026-11-01",
		}},
		{"order with places of delivery", edifactMessage("ORDERS",
			"BGM+220+O1+9'DTM+137:20261101:102'LIN+1++4000862141404:SRV'PIA+1+IN-1:IN'PIA+3+OTHER:SA'QTY+21:9'LOC+7+P1'QTY+11:4'LOC+7+P2'QTY+11:5'UNS+S'"), []string{
			"demand/ordered ordered 4  [SRV:4000862141404 IN:IN-1] @ 2026-11-01",
			"demand/ordered ordered 5  [SRV:4000862141404 IN:IN-1] @ 2026-11-01",
		}},
		{"change of an order", edifactMessage("ORDCHG", "BGM+230+C1+4'DTM+137:20261102:102'RFF+ON:O1'LIN+1+2+S1:SA'QTY+21:9'LIN+2+3+S2:SA'QTY+21:7'UNS+S'"), []string{
			"demand/cancelled order_line_deleted 9  [SA:S1] @ 2026-11-02",
			"demand/ordered ordered 7  [SA:S2] @ 2026-11-02",
		}},
		{"answer to an order", edifactMessage("ORDRSP", "BGM+231+A1+4'DTM+137:20261102:102'RFF+ON:O1'LIN+1+3+S1:SA'QTY+21:9:PCE'QTY+12:6:PCE'QTY+83:3:PCE'LIN+2+7+S2:SA'UNS+S'"), []string{
			"milestone acked 6 PCE [SA:S1] @ 2026-11-02",
			"milestone backordered 3 PCE [SA:S1] @ 2026-11-02",
			"milestone rejected   [SA:S2] @ 2026-11-02",
		}},
		{"despatch in packages", edifactMessage("DESADV",
			"BGM+351+D1+9'DTM+137:202611020900:203'RFF+ON:P1'NAD+DP+W1::9'CPS+1'CPS+2+1'PAC+1++CT'PCI+33E'GIN+BJ+340123456789012345'LIN+1++S1:SA'QTY+12:5:PCE'LIN+2++S2:SA'QTY+12:0:PCE'"), []string{
			"supply/expected shipped 5 PCE [SA:S1] @W1 2026-11-02T09:00:00",
			"milestone shipped 0 PCE [SA:S2] @W1 2026-11-02T09:00:00",
		}},
		{"receipt", edifactMessage("RECADV",
			"BGM+632+R1+9'DTM+137:20261102:102'DTM+50:20261101:102'RFF+ON:P1'NAD+DP+W1::9'LIN+1++S1:SA'QTY+12:10'QTY+194:7'QTY+195:2'QTY+124:1'"), []string{
			"movement/receipt received 7  [SA:S1] @W1 2026-11-01",
			"milestone rejected 2  [SA:S1] @W1 2026-11-01",
			"milestone damaged 1  [SA:S1] @W1 2026-11-01",
		}},
		{"sales by place", edifactMessage("SLSRPT", "BGM+73+S1+9'DTM+137:20261102:102'LOC+162+ST1'LIN+1++S1:SA'QTY+153:3'QTY+152:8'LOC+162+ST2'LIN+1++S1:SA'QTY+153:4'"), []string{
			"milestone sold 3  [SA:S1] @ST1 2026-11-02",
			"milestone on_hand 8  [SA:S1] @ST1 2026-11-02",
			"milestone sold 4  [SA:S1] @ST2 2026-11-02",
		}},
		{"states of a consignment", edifactMessage("IFTSTA", "BGM+77+T1+9'DTM+137:20261102:102'CNI+1+C1'STS+1+21'DTM+334:202611011450:203'LOC+5+NLRTM:::Rotterdam'STS+1+49'GID+1'GIN+BJ+340123456789012345'"), []string{
			"milestone 21   [shipment:C1] @NLRTM|Rotterdam 2026-11-01T14:50:00",
			"milestone 49   [shipment:C1 sscc:340123456789012345] @ 2026-11-02",
		}},
		{"acknowledgement", edifactMessage("CONTRL", "UCI+77+A:14+B:14+7'UCM+1+ORDERS:D:96A:UN+4+12'"), []string{"milestone rejected   [control:1] @ 202611021015"}},
		{"of no use here", edifactMessage("INVOIC", "BGM+380+I1'"), []string{"!unsupported_set"}},
	})
}
