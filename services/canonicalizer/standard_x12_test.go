package canonicalizer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// standardX12 is a source that has no mapping of its own.
func standardX12() *policy.Source {
	return &policy.Source{Name: "standard", Entity: "acme", Format: policy.FormatX12, Mapping: "x12_lines", MappingVersion: "1", File: "standard", Zone: time.UTC}
}

// x12Message puts sets, each without ST and SE, into an interchange.
func x12Message(set string, bodies ...string) string {
	var b strings.Builder
	b.WriteString("ISA*00*          *00*          *ZZ*W              *ZZ*A              *261102*1015*U*00401*000000001*0*P*>~GS*XX*W*A*20261102*1015*1*X*004010~")
	for i, body := range bodies {
		n := strings.Count(body, "~")
		fmt.Fprintf(&b, "ST*%s*%04d~%sSE*%d*%04d~", set, i+1, body, n+2, i+1)
	}
	fmt.Fprintf(&b, "GE*%d*1~IEA*1*000000001~", len(bodies))
	return b.String()
}

// factText is a fact in one line: kind, type, status, quantity, unit, ids, place, time.
func factText(f *Fact) string {
	ids := make([]string, len(f.IDs))
	for i, id := range f.IDs {
		ids[i] = id.Type + ":" + id.Value
	}
	kind := string(f.Kind)
	if f.Type != "" {
		kind += "/" + f.Type
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s [%s] @%s %s", kind, f.Status, f.Quantity, f.Unit, strings.Join(ids, " "), strings.Join(f.Locations, "|"), f.OccurredAt))
}

type x12Case struct {
	name, set, body string
	want            []string
	attributes      []string // name=value of the first fact
}

// x12Cases are the standard's forms, small, and what they are read as.
func x12Cases() []x12Case {
	return []x12Case{
		{
			"846 of a warehouse", "846",
			"BIA*00*SI*INV-7*20261102*0930~N1*WH*Main*92*WH1~N1*DE*Acme*92*ACME~" +
				"LIN*1*VN*SKU-1*UP*012345678905~QTY*17*100*EA~QTY*QH*7*EA~QTY*63*20*EA~DTM*017*20261110~QTY*57*5*EA~" +
				"LIN*2*VN*SKU-2~QTY*33*40.~UIT*CA~QTY*74*2.*CA~CTT*2~",
			[]string{
				"count on_hand 100 EA [VN:SKU-1 UP:012345678905] @WH1|Main 2026-11-02T09:30:00",
				"count on_hold 7 EA [VN:SKU-1 UP:012345678905] @WH1|Main 2026-11-02T09:30:00",
				"milestone on_order 20 EA [VN:SKU-1 UP:012345678905] @WH1|Main 2026-11-02T09:30:00",
				"count available 40 CA [VN:SKU-2] @WH1|Main 2026-11-02T09:30:00",
				"count damaged 2 CA [VN:SKU-2] @WH1|Main 2026-11-02T09:30:00",
			},
			[]string{"depositor=ACME", "warehouse=WH1", "code=17"},
		},
		{
			"846: one number is the count", "846",
			"BIA*00*MB*INV-8*20261102~LIN**VN*SKU-1~QTY*33*90*EA~QTY*17*100*EA~",
			[]string{
				"milestone available 90 EA [VN:SKU-1] @ 2026-11-02",
				"count on_hand 100 EA [VN:SKU-1] @ 2026-11-02",
			},
			nil,
		},
		{
			"846: lots of an item are no count each", "846",
			"BIA*00*SI*INV-9*20261102~N1*WH**92*WH1~LIN**VN*SKU-1*LT*L1~QTY*17*10*EA~LIN**VN*SKU-1*LT*L2~QTY*17*20*EA~",
			[]string{
				"milestone on_hand 10 EA [VN:SKU-1] @WH1 2026-11-02",
				"milestone on_hand 20 EA [VN:SKU-1] @WH1 2026-11-02",
			},
			[]string{"lot=L1", "flags=listed_twice"},
		},
		{
			"846: places before their quantities", "846",
			"BIA*00*DD*INV-1*261102~DTM*007*261101*2300*ES~N1*SU*Maker*92*V1~LIN**VN*SKU-1~N1*WH*East*92*E~QTY*33*1*EA~N1*WH*West*92*W~QTY*33*2*EA~",
			[]string{
				"count available 1 EA [VN:SKU-1] @E|East 2026-11-01T23:00:00-05:00",
				"count available 2 EA [VN:SKU-1] @W|West 2026-11-01T23:00:00-05:00",
			},
			[]string{"supplier=V1"},
		},
		{
			"846: places behind their quantities", "846",
			"BIA*00*DD*INV-1*20261102~LIN**VN*SKU-1~QTY*33*1*EA~N1*WH**92*E~QTY*33*2*EA~N1*WH**92*W~LIN**VN*SKU-2~QTY*33*3*EA~N1*WH**92*E~",
			[]string{
				"count available 1 EA [VN:SKU-1] @E 2026-11-02",
				"count available 2 EA [VN:SKU-1] @W 2026-11-02",
				"count available 3 EA [VN:SKU-2] @E 2026-11-02",
			},
			nil,
		},
		{
			"846: ids in front of their qualifiers, LIN01 left out", "846",
			"BIA*00*MM*INV-1*20261102~LIN*1*SKU-1*VN*012345678905*UP~QTY*17*1*EA~LIN*VN*SKU-2~QTY*17*2*EA~",
			[]string{
				"count on_hand 1 EA [VN:SKU-1 UP:012345678905] @ 2026-11-02",
				"count on_hand 2 EA [VN:SKU-2] @ 2026-11-02",
			},
			[]string{"flags=qualifier_order"},
		},
		{
			"852 of a shop chain", "852",
			"XQ*H*20261026*20261101~N9*DP*12~N1*BY*Chain*92*CH~N1*RL**92*S1~LIN**UP*012345678905~ZA*QS*12*EA~ZA*QA*30*EA~ZA*QP*6*EA~ZA*QR*5*EA*050*20261028~ZA*QU*1*EA~ZA*QL*9*EA~" +
				"N1*RL**92*S2~LIN**UP*012345678905~ZA*QS*3*EA~ZA*QO*1*EA~CTT*2~",
			[]string{
				"milestone sold 12 EA [UP:012345678905] @S1 2026-11-01",
				"count available 30 EA [UP:012345678905] @S1 2026-11-01",
				"milestone on_order 6 EA [UP:012345678905] @S1 2026-11-01",
				"milestone received 5 EA [UP:012345678905] @S1 2026-10-28",
				"milestone returned 1 EA [UP:012345678905] @S1 2026-11-01",
				"milestone sold 3 EA [UP:012345678905] @S2 2026-11-01",
				"milestone out_of_stock 1 EA [UP:012345678905] @S2 2026-11-01",
			},
			[]string{"period_from=20261026", "buyer=CH"},
		},
		{
			"852 by stores", "852",
			"XQ*H*20261026*20261101~N1*BY*Chain*92*CH~LIN**UP*012345678905~ZA*QS~SDQ*EA*92*S1*4*S2*5~ZA*QA*7*EA~SDQ*EA*92*S3*7~",
			[]string{
				"milestone sold 4 EA [UP:012345678905] @S1 2026-11-01",
				"milestone sold 5 EA [UP:012345678905] @S2 2026-11-01",
				"count available 7 EA [UP:012345678905] @S3 2026-11-01",
			},
			nil,
		},
		{
			"850", "850",
			"BEG*00*SA*PO-1**20261102~DTM*002*20261110~N1*ST*Store*92*S1~PO1*1*10*CA*9.5**VN*SKU-1*UP*012345678905~SLN*1**I*2*EA********VN*PART-1~" +
				"PO1*2*3****IN*77*VN*SKU-2~PO1**4*CT>1>12>EA*1**VN*SKU-3~CTT*3~",
			[]string{
				"demand/ordered ordered 10 CA [VN:SKU-1 UP:012345678905] @ 2026-11-02",
				"demand/ordered ordered 3  [IN:77 VN:SKU-2] @ 2026-11-02",
				"demand/ordered ordered 4 CT [VN:SKU-3] @ 2026-11-02",
			},
			[]string{"ship_to=S1"},
		},
		{
			"850 by stores", "850",
			"BEG*00*SA*PO-2**20261102~N1*BY*Chain*92*CH~PO1*1*30*EA*1**VN*SKU-1~SDQ*EA*92*S1*10*S2*20~PO1*2*7*EA*1**VN*SKU-2~N1*ST*A*92*S1~QTY*11*3*EA~N1*ST*B*92*S2~QTY*11*4*EA~",
			[]string{
				"demand/ordered ordered 10 EA [VN:SKU-1] @ 2026-11-02", "demand/ordered ordered 20 EA [VN:SKU-1] @ 2026-11-02",
				"demand/ordered ordered 3 EA [VN:SKU-2] @ 2026-11-02", "demand/ordered ordered 4 EA [VN:SKU-2] @ 2026-11-02",
			},
			[]string{"ship_to=S1", "buyer=CH"},
		},
		{
			"850 by its schedule", "850",
			"BEG*00*RL*PO-3*7*20261102~PO1*1**EA***VN*SKU-1~SCH*10*EA***002*20261110~SCH*15*CA***002*20261117~PO1*2*9*EA***VN*SKU-2~SCH*4*EA***002*20261110~SCH*5*EA***002*20261117~",
			[]string{
				"demand/ordered ordered 10 EA [VN:SKU-1] @ 2026-11-02", "demand/ordered ordered 15 CA [VN:SKU-1] @ 2026-11-02",
				"demand/ordered ordered 9 EA [VN:SKU-2] @ 2026-11-02",
			},
			nil,
		},
		{"850 cancelled", "850", "BEG*01*SA*PO-1**20261102~PO1*1*10*EA***VN*SKU-1~", []string{"demand/cancelled cancelled 10 EA [VN:SKU-1] @ 2026-11-02"}, nil},
		{
			"860", "860",
			"BCH*04*SA*PO-1**2*20261101*****20261103~N1*ST**92*S1~POC*1*QD*6*6*CA*9.5**VN*SKU-1~POC*2*DI*3*0*EA***VN*SKU-2~POC*3*DI******VN*SKU-3~POC*4*AI*5**EA***VN*SKU-4~",
			[]string{
				"demand/ordered ordered 6 CA [VN:SKU-1] @ 2026-11-03",
				"demand/cancelled order_line_deleted 3 EA [VN:SKU-2] @ 2026-11-03",
				"demand/ordered order_line_deleted 0  [VN:SKU-3] @ 2026-11-03",
				"demand/ordered ordered 5 EA [VN:SKU-4] @ 2026-11-03",
			},
			[]string{"change=QD", "ship_to=S1"},
		},
		{
			"855", "855",
			"BAK*00*AC*PO-1*20261101****SO-9*20261102~N1*ST**92*S1~PO1*1*10*EA***VN*SKU-1~ACK*IA*6*EA*068*20261108~ACK*IB*4*EA*068*20261120~" +
				"PO1*2*3*EA***VN*SKU-2~ACK*IR*3*EA~PO1*3*5*CA***VN*SKU-3~PO1*4*2*EA***VN*SKU-4~ACK*IS*2*EA****VN*SKU-5~PO1*5*1*EA***VN*SKU-6~ACK*ID~",
			[]string{
				"milestone acked 6 EA [VN:SKU-1] @S1 2026-11-02", "milestone backordered 4 EA [VN:SKU-1] @S1 2026-11-02",
				"milestone rejected 3 EA [VN:SKU-2] @S1 2026-11-02",
				"milestone acked 5 CA [VN:SKU-3] @S1 2026-11-02",
				"milestone acked 2 EA [VN:SKU-4] @S1 2026-11-02",
				"milestone cancelled 1 EA [VN:SKU-6] @S1 2026-11-02",
			},
			[]string{"code=IA"},
		},
		{"855 rejected as a whole", "855", "BAK*00*RD*PO-1*20261101****SO-9*20261102~PO1*1*10*EA***VN*SKU-1~", []string{"milestone rejected 10 EA [VN:SKU-1] @ 2026-11-02"}, nil},
		{
			"865", "865",
			"BCA*00*AC*PO-1**1*20261101*****20261103~N1*ST**92*S1~POC*1*CA*8*8*EA***VN*SKU-1~ACK*IQ*7*EA~POC*2*DI*3*0*EA***VN*SKU-2~POC*3*QI*9*9*EA***VN*SKU-3~ACK*IR*9*EA~",
			[]string{
				"milestone acked 7 EA [VN:SKU-1] @S1 2026-11-03", "milestone order_line_deleted 3 EA [VN:SKU-2] @S1 2026-11-03", "milestone rejected 9 EA [VN:SKU-3] @S1 2026-11-03",
			},
			nil,
		},
		{
			"856, shipment order pack item", "856",
			"BSN*00*SH-1*20261102*1015*0001~HL*1**S~TD5**2*SCAC~REF*BM*BOL-1~DTM*011*20261102*0900*CS~DTM*017*20261105~N1*ST*Store*92*S1~N1*SF*Plant*92*P1~" +
				"HL*2*1*O~PRF*PO-1~HL*3*2*P~MAN*GM*00000000000000000017~HL*4*3*I~LIN*1*VN*SKU-1*UP*012345678905~SN1*1*12*EA*40*24*EA~" +
				"HL*5*2*P~MAN*GM*00000000000000000024~HL*6*5*I~LIN**VN*SKU-1~SN1**12*EA~HL*7*1*O~PRF*PO-2~N1*ST*Other*92*S2~HL*8*7*I~LIN**VN*SKU-2~SN1**5*CA~CTT*8~",
			[]string{
				"supply/expected shipped 12 EA [VN:SKU-1 UP:012345678905] @S1|Store 2026-11-02T09:00:00-06:00",
				"supply/expected shipped 12 EA [VN:SKU-1] @S1|Store 2026-11-02T09:00:00-06:00",
				"supply/expected shipped 5 CA [VN:SKU-2] @S2|Other 2026-11-02T09:00:00-06:00",
			},
			[]string{"po=PO-1", "sscc=00000000000000000017", "bol=BOL-1", "ordered=24", "ship_from=P1", "ship_to=S1"},
		},
		{
			"856, packs below the item divide it", "856",
			"BSN*00*SH-2*20261102*1015~HL*1**S~HL*2*1*T~HL*3*2*I~LIN**BP*SKU-1~SN1**176*PC~HL*4*3*P~SN1**76*PC~HL*5*3*P~SN1**100*PC~",
			[]string{"milestone shipped 176 PC [BP:SKU-1] @ 2026-11-02T10:15:00"},
			nil,
		},
		{
			"856, packs carry the quantity of the item above", "856",
			"BSN*00*SH-3*20261102*1015~HL*1**S~HL*2*1*I~LIN**BP*SKU-1~PRF*PO-1~HL*3*2*P~SN1**76*PC~HL*4*2*P~SN1**100*PC~",
			[]string{
				"supply/expected shipped 76 PC [BP:SKU-1] @ 2026-11-02T10:15:00", "supply/expected shipped 100 PC [BP:SKU-1] @ 2026-11-02T10:15:00",
			},
			nil,
		},
		{
			"856, parents left out", "856",
			"BSN*00*SH-4*20261102*1015~HL*1**S~N1*ST**92*S1~HL*2**O~PRF*PO-1~HL*3**P~HL*4**I~LIN**SK*A~SN1**1*EA~HL*5**I~LIN**SK*B~SN1**2*EA~HL*6**O~PRF*PO-2~HL*7**I~LIN**SK*C~SN1**3*EA~",
			[]string{
				"supply/expected shipped 1 EA [SK:A] @S1 2026-11-02T10:15:00", "supply/expected shipped 2 EA [SK:B] @S1 2026-11-02T10:15:00",
				"supply/expected shipped 3 EA [SK:C] @S1 2026-11-02T10:15:00",
			},
			[]string{"po=PO-1", "flags=parent_missing"},
		},
		{
			"856, nothing of a line, and one withdrawn", "856",
			"BSN*00*SH-5*20261102*1015~HL*1**O~PRF*PO-1~HL*2*1*I~LIN**VN*SKU-1~SN1**0*EA**9*EA**IB~",
			[]string{"milestone backordered 9 EA [VN:SKU-1] @ 2026-11-02T10:15:00"},
			nil,
		},
		{
			"856 by stores", "856",
			"BSN*00*SH-6*20261102*1015~HL*1**S~N1*ST**92*DC~HL*2*1*O~PRF*PO-1~HL*3*2*I~LIN**VN*SKU-1~SN1**9*EA~SDQ*EA*92*S1*4*S2*5~",
			[]string{"supply/expected shipped 4 EA [VN:SKU-1] @S1 2026-11-02T10:15:00", "supply/expected shipped 5 EA [VN:SKU-1] @S2 2026-11-02T10:15:00"},
			[]string{"ship_to=S1"},
		},
		{
			"855 by stores", "855",
			"BAK*00*AD*PO-1*20261101****SO-9*20261102~PO1*1*9*EA***VN*SKU-1~SDQ*EA*92*S1*4*S2*5~",
			[]string{"milestone acked 4 EA [VN:SKU-1] @S1 2026-11-02", "milestone acked 5 EA [VN:SKU-1] @S2 2026-11-02"},
			[]string{"ship_to=S1"},
		},
		{"856 cancelled", "856", "BSN*01*SH-5*20261102*1015~HL*1**O~PRF*PO-1~HL*2*1*I~LIN**VN*SKU-1~SN1**4*EA~", []string{"milestone cancelled 4 EA [VN:SKU-1] @ 2026-11-02T10:15:00"}, nil},
		{
			"861", "861",
			"BRA*RC-1*20261102*00*2*1130~PRF*PO-1~DTM*050*20261101~N1*ST**92*WH1~N1*SU**92*V1~RCD*1*95*EA*2*EA*3*EA*01~LIN**VN*SKU-1~RCD*2*10*CA~LIN**VN*SKU-2~PRF*PO-2~",
			[]string{
				"movement/receipt received 95 EA [VN:SKU-1] @WH1 2026-11-01", "milestone returned 2 EA [VN:SKU-1] @WH1 2026-11-01", "milestone in_question 3 EA [VN:SKU-1] @WH1 2026-11-01",
				"movement/receipt received 10 CA [VN:SKU-2] @WH1 2026-11-01",
			},
			[]string{"po=PO-1", "supplier=V1"},
		},
		{
			"861, items in front", "861", "BRA*RC-2*20261102*00*2*1130~N1*ST**92*WH1~LIN*1*VN*SKU-1~RCD**5*EA~LIN*2*VN*SKU-2~RCD**6*EA~",
			[]string{"movement/receipt received 5 EA [VN:SKU-1] @WH1 2026-11-02T11:30:00", "movement/receipt received 6 EA [VN:SKU-2] @WH1 2026-11-02T11:30:00"},
			nil,
		},
		{
			"867", "867",
			"BPT*00*RS-1*20261102*SS~DTM*090*20261001~DTM*091*20261031~N1*DS*Dealer*92*D1~PTD*SS***PO*9~DTM*003*20261005~N1*ST*Clinic*92*C1~QTY*32*5*BX~LIN**MG*SKU-1~QTY*32*6*BX~LIN**MG*SKU-2~" +
				"PTD*BN~QTY*01*1*BX~LIN**MG*SKU-1~PTD*PA~QTY*32*9*BX~LIN**MG*SKU-9~PTD*IB****TO~LIN**MG*SKU-3~QTY*01*2*EA~",
			[]string{
				"milestone sold 5 BX [MG:SKU-1] @D1|Dealer 2026-10-05", "milestone sold 6 BX [MG:SKU-2] @D1|Dealer 2026-10-05",
				"milestone returned 1 BX [MG:SKU-1] @D1|Dealer 2026-10-31", "milestone transfer_out 2 EA [MG:SKU-3] @D1|Dealer 2026-10-31",
			},
			[]string{"ship_to=C1", "transfer=SS"},
		},
		{
			"867, items in front of their quantities", "867",
			"BPT*00*RS-2*20261102~PTD*SS~LIN**MG*SKU-1~QTY*32*5*BX~DTM*003*20261005~QTY*76*1*BX~LIN**MG*SKU-2~QTY*32*6*BX~",
			[]string{
				"milestone sold 5 BX [MG:SKU-1] @ 2026-10-05", "milestone returned 1 BX [MG:SKU-1] @ 2026-11-02", "milestone sold 6 BX [MG:SKU-2] @ 2026-11-02",
			},
			nil,
		},
		{
			"180", "180",
			"BGN*00*RA-1*20261102*1000~N1*ST*Returns*92*RET~PRF*PO-1~BLI*UP*012345678905*2*EA****VN*SKU-1~RDR*CR*DA~N9*RZ*RMA-5~",
			[]string{"milestone return_requested 2 EA [UP:012345678905 VN:SKU-1] @ 2026-11-02T10:00:00"},
			[]string{"ship_to=RET", "po=PO-1", "rma=RMA-5", "disposition=CR", "reason=DA"},
		},
		{
			"940", "940",
			"W05*N*ORD-1*PO-1~N1*WH*Main*92*WH1~N1*ST*Store*92*S1~G62*10*20261103~LX*1~W01*12*CA*000100000010*VN*SKU-1~N9*LT*L1~LX*2~W01*5*EA**VN*SKU-2*UP*012345678905~W76*17~",
			[]string{
				"demand/ordered ordered 12 CA [VN:SKU-1 UPC_CASE:000100000010] @WH1|Main 2026-11-02T10:15:00", "demand/ordered ordered 5 EA [VN:SKU-2 UP:012345678905] @WH1|Main 2026-11-02T10:15:00",
			},
			[]string{"ship_to=S1", "po=PO-1", "lot=L1"},
		},
		{"940 cancelled", "940", "W05*F*ORD-1~W01*12*CA**VN*SKU-1~", []string{"demand/cancelled cancelled 12 CA [VN:SKU-1] @ 2026-11-02T10:15:00"}, nil},
		{
			"943", "943", "W06*N*TR-1*20261102*BOL-1~N1*WH**92*WH1~N1*SF**92*P1~G62*17*20261105~W04*100*EA**VN*SKU-1*LT*L1~W03*100~",
			[]string{"supply/expected in_transit 100 EA [VN:SKU-1] @WH1 2026-11-02"},
			[]string{"lot=L1", "shipment=BOL-1", "ship_from=P1"},
		},
		{
			"944", "944", "W17*N*20261102*RC-1*TR-1~N1*WH**92*WH1~W07*95*EA**VN*SKU-1***L1~W13*3*EA*01~W13*2*EA*02~W07*0*EA**VN*SKU-2~W14*95~",
			[]string{
				"movement/receipt received 95 EA [VN:SKU-1] @WH1 2026-11-02", "milestone damaged 3 EA [VN:SKU-1] @WH1 2026-11-02", "milestone received 0 EA [VN:SKU-2] @WH1 2026-11-02",
			},
			[]string{"lot=L1"},
		},
		{
			"945", "945",
			"W06*N*ORD-1*20261102*SH-1~N1*SF**92*WH1~N1*ST**92*S1~G62*11*20261101~N9*2I*1Z9~LX*1~MAN*GM*17~MAN*CP*1Z8~W12*CC*10*10**EA**VN*SKU-1~LX*2~W12*BO*5*0*5*EA**VN*SKU-2~LX*3~W12*SH*5*0**EA**VN*SKU-3~W03*10~",
			[]string{
				"movement/ship shipped 10 EA [VN:SKU-1] @WH1 2026-11-01", "milestone backordered 5 EA [VN:SKU-2] @WH1 2026-11-01", "demand/allocated shipped 0 EA [VN:SKU-3] @WH1 2026-11-01",
			},
			[]string{"tracking=1Z8", "sscc=17", "ship_to=S1", "ordered=10"},
		},
		{
			"947", "947",
			"W15*20261102*ADJ-1~N1*WH**92*WH1~W19*AA*-3*EA**VN*SKU-1***L1~W19*06*4*EA**VN*SKU-2~W19*05*6*EA**VN*SKU-3~W19*55*2*EA**VN*SKU-4~W19*AU*-1*EA**VN*SKU-5~W19*56*8*EA**VN*SKU-6~W19*AE*0*EA**VN*SKU-7~",
			[]string{
				"movement/adjustment adjusted -3 EA [VN:SKU-1] @WH1 2026-11-02", "movement/adjustment adjusted -4 EA [VN:SKU-2] @WH1 2026-11-02",
				"movement/hold on_hold 6 EA [VN:SKU-3] @WH1 2026-11-02", "movement/release available 2 EA [VN:SKU-4] @WH1 2026-11-02",
				"movement/damage adjusted 1 EA [VN:SKU-5] @WH1 2026-11-02", "movement/adjustment adjusted 8 EA [VN:SKU-6] @WH1 2026-11-02",
				"milestone adjusted 0 EA [VN:SKU-7] @WH1 2026-11-02",
			},
			[]string{"lot=L1", "code=AA"},
		},
		{
			"214", "214",
			"B10*PRO-1*SH-1*SCAC~L11*BOL-1*BM~N1*ST*Store*92*S1~LX*1~AT7*X3*NS***20261102*0800*PT~MS1*PORTLAND*OR*US~MS2*SCAC*T1~AT7*D1*NS***20260702*1430*ET~MS1*BOSTON*MA~AT7***AB*NA*20261103*09*LT~",
			[]string{
				"milestone X3   [bol:BOL-1 tracking:PRO-1 shipment:SH-1] @PORTLAND OR US 2026-11-02T08:00:00-08:00",
				"milestone D1   [bol:BOL-1 tracking:PRO-1 shipment:SH-1] @BOSTON MA 2026-07-02T14:30:00-04:00",
				"milestone AB   [bol:BOL-1 tracking:PRO-1 shipment:SH-1] @ 20261103T09",
			},
			[]string{"scac=SCAC", "equipment=SCACT1", "reason=NS", "ship_to=S1"},
		},
		{"210", "210", "B3**INV-1*SH-1*PP**20261102*123456**20261101*035*SCAC~C3*USD~N1*CN*Store*92*S1~LX*1~", []string{"milestone freight_invoice 1234.56 USD [tracking:INV-1 shipment:SH-1] @ 2026-11-02"}, []string{"consignee=S1"}},
		{"210 of cents", "210", "B3**INV-1*SH-1*PP**20261102*7~", []string{"milestone freight_invoice 0.07  [tracking:INV-1 shipment:SH-1] @ 2026-11-02"}, nil},
		{"990", "990", "B1*SCAC*LOAD-1*20261102*D~N9*CN*PRO-1~", []string{"milestone D   [shipment:LOAD-1 tracking:PRO-1] @ 2026-11-02"}, nil},
		{
			"997", "997", "AK1*SW*17*004010~AK2*945*0001~AK5*A~AK2*945*0002~AK3*W12*5~AK5*R*5~AK9*P*2*2*1~",
			[]string{"milestone accepted   [control:0001] @ 2026-11-02T10:15:00", "milestone rejected   [control:0002] @ 2026-11-02T10:15:00"},
			[]string{"group=17", "set=945"},
		},
		{"999", "999", "AK1*SH*18*005010~AK2*856*0007~IK5*E*5~AK9*E*1*1*1~", []string{"milestone accepted   [control:0007] @ 2026-11-02T10:15:00"}, nil},
		{"997 of a group alone", "997", "AK1*PO*19~AK9*R*3*3*0~", []string{"milestone rejected   [control:19] @ 2026-11-02T10:15:00"}, nil},
	}
}

// TestStandardX12: what each set says, line by line.
func TestStandardX12(t *testing.T) {
	for _, tc := range x12Cases() {
		t.Run(tc.name, func(t *testing.T) {
			facts, problems, err := Facts(t.Context(), standardX12(), []byte(x12Message(tc.set, tc.body)))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				t.Errorf("put aside: %s: %s", p.Code, p.Reason)
			}
			var got []string
			for i := range facts {
				got = append(got, factText(&facts[i]))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			for _, a := range tc.attributes {
				name, value, _ := strings.Cut(a, "=")
				if len(facts) == 0 || attribute(&facts[0], name) != value {
					t.Errorf("want %s in %v", a, facts[0].Attributes)
				}
			}
		})
	}
}

// TestStandardX12Incomplete leaves out each element, and each segment, of every
// document in turn: the mapping says what is missing, or goes on, and never breaks.
func TestStandardX12Incomplete(t *testing.T) {
	p, err := program(standardX12())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range x12Cases() {
		segments := strings.SplitAfter(tc.body, "~")
		for i, segment := range segments[:len(segments)-1] {
			elements := strings.Split(strings.TrimSuffix(segment, "~"), "*")
			cut := [][]string{nil, elements[:1]}
			for n := 1; n < len(elements); n++ {
				without := slices.Clone(elements)
				without[n] = ""
				cut = append(cut, without)
			}
			for _, left := range cut {
				changed := slices.Clone(segments)
				changed[i] = strings.Join(left, "*") + "~"
				if left == nil {
					changed[i] = ""
				}
				body := x12Message(tc.set, strings.Join(changed, ""))
				for u := range p.parse([]byte(body), p.src) {
					r := run{p: p, raw: &event.RawMessage{}}
					lines, err := p.mapping.run(t.Context(), r.input(u.Tree))
					if bad, ok := errors.AsType[*mapError](err); ok && bad.code == "mapping_error" {
						t.Fatalf("%s: segment %d as %q: %v", tc.name, i, changed[i], err)
					}
					for _, v := range lines {
						l, reason := readLine(v)
						if reason != "" || l.kind == kindError && l.code == "" {
							t.Fatalf("%s: segment %d as %q: %s %s", tc.name, i, changed[i], reason, l.reason)
						}
					}
				}
			}
		}
	}
}

// FuzzStandardX12 sends anything as the body of any set: the mapping never breaks, and
// all it gives are lines, the same with jq and without.
func FuzzStandardX12(f *testing.F) {
	p, err := program(standardX12())
	if err != nil {
		f.Fatal(err)
	}
	cases := x12Cases()
	for i, tc := range cases {
		f.Add(uint8(i), tc.body)
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		set := cases[int(which)%len(cases)].set
		for u := range p.parse([]byte(x12Message(set, body)), p.src) {
			if u.Tree == nil {
				continue
			}
			r := run{p: p, raw: &event.RawMessage{}}
			lines, err := p.mapping.run(t.Context(), r.input(u.Tree))
			if bad, ok := errors.AsType[*mapError](err); ok && bad.code == "mapping_error" {
				t.Fatal(err)
			}
			for _, v := range lines {
				l, reason := readLine(v)
				if reason != "" || l.kind == kindError && l.code == "" {
					t.Fatalf("%s %s", reason, l.reason)
				}
			}
			sameWithoutJQ(t, &r, u.Tree, lines, err)
		}
	})
}

// TestStandardX12PutAside: what is no line is put aside under a code, and never
// dropped without one.
func TestStandardX12PutAside(t *testing.T) {
	for _, tc := range []struct{ name, set, body, code string }{
		{"another set", "810", "BIG*20261102*1~", "unsupported_set"},
		{"no lines", "940", "W05*N*ORD-1~", "no_lines"},
		{"quantities that are no stock", "846", "BIA*00*SI*1*20261102~LIN**VN*A~QTY*72*5*EA~", "no_lines"},
		{"no header", "945", "W12*CC*1*1**EA**VN*A~", "no_header"},
		{"an order withdrawn without its lines", "860", "BCH*01*SA*PO-1***20261102~", "whole_order"},
		{"a simulation", "940", "W05*X*ORD-1~W01*1*EA**VN*A~", "simulation"},
		{"a quantity of no item", "856", "BSN*00*1*20261102*1000~HL*1**I~SN1**5*EA~", "no_item"},
		{"run together", "846", "BIA*00*SI*1*20261102~LIN**VN*A~REF*ZZ*DC1QTY*17*403*EA~QTY*63*4*EA~", "x12_run_together"},
		{"an order without a number", "850", "BEG*00*SA***20261102~PO1*1*1*EA***VN*A~", "no_number"},
		{"a status without a code", "214", "B10*1*2*SCAC~LX*1~AT7*****20261102~", "no_status"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, problems, err := Facts(t.Context(), standardX12(), []byte(x12Message(tc.set, tc.body)))
			if err != nil {
				t.Fatal(err)
			}
			if len(problems) != 1 || problems[0].Code != tc.code || problems[0].Reason == "" {
				t.Errorf("%+v, want %s", problems, tc.code)
			}
		})
	}
}

// TestStandardX12Documents: the document makes the event, so a redelivery gives the
// same ones, a correction another revision, and repeated lines are told apart.
func TestStandardX12Documents(t *testing.T) {
	document := func(set, body string) []inventory.Document {
		facts, _, err := Facts(t.Context(), standardX12(), []byte(x12Message(set, body)))
		if err != nil {
			t.Fatal(err)
		}
		var out []inventory.Document
		for i := range facts {
			out = append(out, facts[i].Document)
		}
		return out
	}
	for _, tc := range []struct {
		name, set, body string
		want            []inventory.Document
	}{
		{"order", "850", "BEG*00*SA*PO-1**20261102~PO1*7*1*EA***VN*A~", []inventory.Document{{Type: "850", Number: "PO-1", Line: "7"}}},
		{"its change is the same document, later", "860", "BCH*04*SA*PO-1**2*20261102~POC*7*QI*2**EA***VN*A~", []inventory.Document{{Type: "850", Number: "PO-1", Revision: "2", Line: "7"}}},
		{"replaced", "856", "BSN*05*S*20261102*1015~HL*1**I~LIN**VN*A~SN1**1*EA~", []inventory.Document{{Type: "856", Number: "S", Revision: "202611021015", Line: "1"}}},
		{"the same line twice", "850", "BEG*00*SA*PO-1**20261102~PO1*1*1*EA***VN*A~PO1*1*2*EA***VN*A~", []inventory.Document{{Type: "850", Number: "PO-1", Line: "1"}, {Type: "850", Number: "PO-1", Line: "1#2"}}},
		{"a status twice", "214", "B10*1*2*S~AT7*X6*NS***20261102*0800~AT7*X6*NS***20261102*0900~", []inventory.Document{{Type: "214", Number: "1", Line: "X6 2026-11-02T08:00:00"}, {Type: "214", Number: "1", Line: "X6 2026-11-02T09:00:00"}}},
	} {
		if got := document(tc.set, tc.body); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// TestStandardX12Refs: documents of one order, and of one delivery, share a reference.
func TestStandardX12Refs(t *testing.T) {
	src := standardX12()
	src.Defaults = map[string]string{"order_issuer": "shop", "supply_issuer": "erp", "supply_type": "transfer"}
	order := inventory.Ref{Issuer: "shop", Type: "order", Number: "O-1/R2"}
	supply := inventory.Ref{Issuer: "erp", Type: "transfer", Number: "O-1/R2"}
	for _, tc := range []struct {
		set, body string
		want      inventory.Ref
	}{
		{"850", "BEG*00*RL*O-1*R2*20261102~PO1*1*5*EA***VN*A~", order},
		{"860", "BCH*04*RL*O-1*R2*1*20261102~POC*1*CA*5**EA***VN*A~", order},
		{"940", "W05*N*O-1/R2~W01*5*EA**VN*A~", order},
		{"945", "W06*N*O-1/R2*20261102*S-1~W12*CC*5*5**EA**VN*A~", order},
		{"855", "BAK*00*AC*O-1*20261102*R2~PO1*1*5*EA***VN*A~", supply},
		{"865", "BCA*00*AC*O-1*R2*1*20261102~POC*1*CA*5**EA***VN*A~", supply},
		{"856", "BSN*00*S*20261102*1015~HL*1**O~PRF*O-1*R2~HL*2*1*I~LIN**VN*A~SN1**5*EA~", supply},
		{"856", "BSN*00*S*20261102*1015~HL*1**I~LIN**VN*A*PO*O-1/R2~SN1**5*EA~", supply},
		{"861", "BRA*R*20261102*00*2~PRF*O-1*R2~RCD**5*EA~LIN**VN*A~", supply},
		{"943", "W06*N*O-1/R2*20261102~W04*5*EA**VN*A~", supply},
		{"944", "W17*N*20261102*R-1*O-1/R2~W07*5*EA**VN*A~", supply},
	} {
		facts, _, err := Facts(t.Context(), src, []byte(x12Message(tc.set, tc.body)))
		if err != nil {
			t.Fatal(err)
		}
		if len(facts) != 1 || !slices.Equal(facts[0].Refs, []inventory.Ref{tc.want}) {
			t.Errorf("%s: %+v, want %+v", tc.set, facts, tc.want)
		}
	}
}

// TestStandardX12Events: what facts of the ledger come to when items and places are
// known: events that are whole, and the rest milestones.
func TestStandardX12Events(t *testing.T) {
	_, m := world(t)
	src := standardX12()
	src.Balance = &policy.Balance{Basis: inventory.Physical, Covers: []inventory.Account{inventory.OnHand, inventory.Quarantine, inventory.Damaged}}
	src.DefaultLocation = "DC1"
	supplies := standardX12()
	supplies.Defaults = map[string]string{"orders": "supply", "supply_issuer": "erp"}
	for _, tc := range []struct {
		name, set, body string
		src             *policy.Source
		want            []string
	}{
		{"846", "846", "BIA*00*SI*1*20261102*0900~N1*WH**92*WH01~LIN**SK*SKU-1~QTY*17*5*EA~QTY*QH*2*EA~QTY*63*9*EA~DTM*002*20261110~", src, []string{"count DC1 on_hand 5", "count DC1 quarantine 2", "orders on_order DC1 9 2026-11-10"}},
		{"850", "850", "BEG*00*SA*PO-1**20261102~DTM*002*20261110~N1*ST**92*S1~PO1*1*2*CA***SK*SKU-1~", src, []string{"demand DC1 ordered 24 2026-11-10"}},
		{"850 of our own", "850", "BEG*00*SA*PO-1**20261102~DTM*002*20261110~N1*ST**92*WH01~PO1*1*2*CA***SK*SKU-1~", supplies, []string{"supply DC1 ordered 24 2026-11-10"}},
		{"856", "856", "BSN*00*S*20261102*1015~DTM*017*20261105~HL*1**S~N1*ST**92*WH02~HL*2*1*O~PRF*PO-1~HL*3*2*I~LIN**SK*SKU-1~SN1**5*EA~", src, []string{"supply DC2 expected 5 2026-11-05"}},
		{"861", "861", "BRA*R*20261102*00*2~N1*ST**92*WH01~RCD**5*EA***1*EA*01~LIN**SK*SKU-1~", src, []string{"receipt DC1 5", "shipments in_question DC1 1 "}},
		{"940", "940", "W05*N*O-1~W01*5*EA**SK*SKU-1~", src, []string{"demand DC1 ordered 5 "}},
		{"943", "943", "W06*N*T-1*20261102~N1*WH**92*WH01~G62*17*20261105~W04*5*EA**SK*SKU-1~", src, []string{"supply DC1 expected 5 2026-11-05"}},
		{"944", "944", "W17*N*20261102*R-1*T-1~N1*WH**92*WH01~W07*5*EA**SK*SKU-1~", src, []string{"receipt DC1 5"}},
		{"945", "945", "W06*N*O-1*20261102*S-1~N1*SF**92*WH01~W12*CC*5*5**EA**SK*SKU-1~W12*SH*5*0**EA**SK*SKU-2~", src, []string{"ship DC1 5", "demand DC1 allocated 0 "}},
		{"947", "947", "W15*20261102*A-1~N1*WH**92*WH01~W19*AA*-3*EA**SK*SKU-1~W19*05*2*EA**SK*SKU-1~W19*55*1*EA**SK*SKU-1~W19*AU*-1*EA**SK*SKU-1~", src, []string{"adjustment DC1 -3 AA physical count", "hold DC1 2", "release DC1 1", "damage DC1 1"}},
		{"214", "214", "B10*P*S*C~AT7*D1*NS***20261102*0800~MS1*BOSTON*MA~", src, []string{"shipments D1"}},
		{"997", "997", "AK1*SH*1~AK2*856*0001~AK5*A~AK9*A*1*1*1~", src, []string{"shipments accepted"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := program(tc.src)
			if err != nil {
				t.Fatal(err)
			}
			res := read(t, p, m, x12Message(tc.set, tc.body))
			for _, d := range res.Rejected {
				t.Errorf("rejected: %s: %s", d.Code, d.Reason)
			}
			for _, d := range res.Parked {
				t.Errorf("parked: %s", d.Reason)
			}
			var got []string
			day := func(d inventory.Day) string {
				if d == 0 {
					return ""
				}
				return time.Unix(int64(d)*86_400, 0).UTC().Format(time.DateOnly)
			}
			for i := range res.Events {
				e := &res.Events[i]
				switch {
				case e.Movement != nil:
					got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Movement.Type, e.Movement.Location, e.Movement.Quantity, e.Movement.Reason)))
				case e.Count != nil:
					got = append(got, fmt.Sprintf("count %s %s %s", e.Count.Location, e.Count.Balances[0].State, e.Count.Balances[0].Quantity))
				case e.Demand != nil:
					got = append(got, fmt.Sprintf("demand %s %s %s %s", e.Demand.Location, e.Demand.Stage, e.Demand.Quantity, day(e.Demand.Due)))
				case e.Supply != nil:
					got = append(got, fmt.Sprintf("supply %s %s %s %s", e.Supply.Location, e.Supply.Stage, e.Supply.Quantity, day(e.Supply.Due)))
				}
			}
			for i := range res.Milestones {
				if x := &res.Milestones[i]; x.HasQuantity {
					got = append(got, fmt.Sprintf("%s %s %s %s %s", x.About, x.Status, x.Location, x.Quantity, day(x.Due)))
				} else {
					got = append(got, x.About+" "+x.Status)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestCorpusStandardX12 reads the X12 documents of the corpus by the standard mapping:
// every fact that is certain is found, none is read that is not there, and no document
// is dropped without a word.
func TestCorpusStandardX12(t *testing.T) {
	if _, err := os.Stat(filepath.Join(corpus, "manifest.tsv")); err != nil {
		t.Skipf("SKIPPED: the corpus of real messages is not here: %v", err)
	}
	score, err := ScoreFolder(t.Context(), corpus, func(kind string) *policy.Source {
		if !strings.HasPrefix(kind, "x12/") {
			return nil
		}
		return Choose(&policy.Set{})(kind)
	})
	if err != nil {
		t.Fatal(err)
	}
	seen, found := 0, 0
	for i := range score.Documents {
		s := &score.Documents[i]
		if !strings.HasPrefix(s.Kind, "x12/") {
			continue
		}
		seen++
		if s.Quiet && s.Facts > 0 {
			t.Errorf("%s: neither a fact nor a reason", s.File)
		}
		complain := t.Logf
		if s.Gated {
			complain = t.Errorf
			found += s.Facts - len(s.Missed)
		}
		for _, m := range s.Missed {
			complain("%s: missed %s", s.File, m)
		}
		for _, w := range s.Wrong {
			complain("%s: wrong %s", s.File, w)
		}
	}
	if seen == 0 || found == 0 {
		t.Errorf("%d documents, %d certain facts found", seen, found)
	}
}
