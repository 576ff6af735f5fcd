package canonicalizer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// idocXML puts segments into an IDoc of a message type.
func idocXML(message, body string) string {
	return fmt.Sprintf(`<X01><IDOC BEGIN="1"><EDI_DC40 SEGMENT="1"><IDOCTYP>X01</IDOCTYP><MESTYP>%s</MESTYP><DOCNUM>0007</DOCNUM></EDI_DC40>%s</IDOC></X01>`, message, body)
}

func TestStandardIDoc(t *testing.T) {
	t.Parallel()
	move := func(fields string) string {
		return idocXML("WMMBXY", "<E1MBXYH><BUDAT>20261102</BUDAT><E1MBXYI><MATNR>000000000000004711</MATNR><WERKS>1000</WERKS><LGORT>0001</LGORT><ERFMG>5.000</ERFMG><ERFME>EA</ERFME>"+fields+"</E1MBXYI></E1MBXYH>")
	}
	const ids = "[MATNR:4711 MATNR:000000000000004711]"
	delivery := func(message, marks string) string {
		return idocXML(message, "<E1EDL20><VBELN>0080000001</VBELN>"+marks+"<E1EDT13><QUALF>015</QUALF><ISDD>20261102</ISDD></E1EDT13>"+
			"<E1EDL24><POSNR>000010</POSNR><MATNR>M-1</MATNR><WERKS>1000</WERKS><LGORT>0001</LGORT><LFIMG>0</LFIMG><VRKME>EA</VRKME></E1EDL24>"+
			"<E1EDL24><POSNR>900001</POSNR><HIPOS>000010</HIPOS><MATNR>M-1</MATNR><WERKS>1000</WERKS><LGORT>0001</LGORT><CHARG>B1</CHARG><LFIMG>3.000</LFIMG><VRKME>EA</VRKME></E1EDL24></E1EDL20>")
	}
	order := "<E1EDK01><BELNR>X</BELNR></E1EDK01><E1EDK02><QUALF>001</QUALF><BELNR>O1</BELNR><DATUM>20261101</DATUM></E1EDK02>" +
		"<E1EDP01><POSEX>10</POSEX><MENGE>4</MENGE><MENEE>PCE</MENEE><E1EDP20><WMENG>3</WMENG><EDATU>20261110</EDATU></E1EDP20><E1EDP19><QUALF>002</QUALF><IDTNR>V-1</IDTNR></E1EDP19></E1EDP01>"
	standardReads(t, "idoc", []standardCase{
		{"receipt", move("<BWART>101</BWART>"), []string{"movement/receipt received 5.000 EA " + ids + " @1000/0001 2026-11-02"}},
		{"receipt taken back", move("<BWART>102</BWART>"), []string{"movement/return_to_vendor received 5.000 EA " + ids + " @1000/0001 2026-11-02"}},
		{"receipt to be taken back", move("<XSTOB>X</XSTOB><BWART>101</BWART>"), []string{"movement/return_to_vendor received 5.000 EA " + ids + " @1000/0001 2026-11-02"}},
		{"a reversal to be taken back", move("<XSTOB>X</XSTOB><BWART>262</BWART>"), []string{"!unknown_movement_type"}},
		{"issue to an order", move("<BWART>261</BWART>"), []string{"movement/adjustment consumed -5.000 EA " + ids + " @1000/0001 2026-11-02"}},
		{"transfer in one step", move("<BWART>311</BWART><UMLGO>0002</UMLGO>"), []string{
			"movement/transfer_out transfer_out 5.000 EA " + ids + " @1000/0001 2026-11-02",
			"movement/transfer_in transfer_in 5.000 EA " + ids + " @1000/0002 2026-11-02",
		}},
		{"loss in a count", move("<BWART>702</BWART>"), []string{"movement/adjustment adjusted -5.000 EA " + ids + " @1000/0001 2026-11-02"}},
		{"scrap", move("<BWART>551</BWART>"), []string{"movement/scrap adjusted 5.000 EA " + ids + " @1000/0001 2026-11-02"}},
		{"no movement type", move(""), []string{"!no_movement_type"}},
		{"a type nobody knows", move("<BWART>999</BWART>"), []string{"!unknown_movement_type"}},
		{
			"MBGMCR", idocXML("MBGMCR", "<E1MBGMCR><E1BP2017_GM_HEAD_01><PSTNG_DATE>20261102</PSTNG_DATE></E1BP2017_GM_HEAD_01><E1BP2017_GM_CODE><GM_CODE>01</GM_CODE></E1BP2017_GM_CODE>"+
				"<E1BP2017_GM_ITEM_CREATE><MATERIAL>M-1</MATERIAL><PLANT>1000</PLANT><MOVE_TYPE>101</MOVE_TYPE><ENTRY_QNT>2</ENTRY_QNT><ENTRY_UOM>EA</ENTRY_UOM><PO_NUMBER>45</PO_NUMBER></E1BP2017_GM_ITEM_CREATE></E1MBGMCR>"),
			[]string{"movement/receipt received 2 EA [MATNR:M-1] @1000 2026-11-02"},
		},
		{
			"a test run", idocXML("MBGMCR", "<E1MBGMCR><TESTRUN>X</TESTRUN><E1BP2017_GM_ITEM_CREATE><MATERIAL>M-1</MATERIAL><PLANT>1000</PLANT><MOVE_TYPE>101</MOVE_TYPE><ENTRY_QNT>2</ENTRY_QNT></E1BP2017_GM_ITEM_CREATE></E1MBGMCR>"),
			[]string{"!simulation"},
		},
		{"picked, in a batch", delivery("SHPCON", "<E1EDL18><QUALF>PIC</QUALF></E1EDL18>"), []string{"movement/pick picked 3.000 EA [MATNR:M-1] @1000/0001 2026-11-02"}},
		{"goods issue posted", delivery("WHSCON", "<E1EDL18><QUALF>PIC</QUALF></E1EDL18><E1EDL18><QUALF>PGI</QUALF></E1EDL18>"), []string{"movement/ship shipped 3.000 EA [MATNR:M-1] @1000/0001 2026-11-02"}},
		{"inbound confirmed", delivery("WHSCON", "<LFART>EL</LFART>"), []string{"movement/receipt received 3.000 EA [MATNR:M-1] @1000/0001 2026-11-02"}},
		{"inbound confirmed, by E1EDL21", delivery("SHPCON", "<E1EDL21><LFART>EL</LFART></E1EDL21>"), []string{"movement/receipt received 3.000 EA [MATNR:M-1] @1000/0001 2026-11-02"}},
		{
			"advice", delivery("DESADV", "<E1ADRM1><PARTNER_Q>WE</PARTNER_Q><PARTNER_ID>W1</PARTNER_ID></E1ADRM1><E1EDL41><QUALI>001</QUALI><BSTNR>45</BSTNR></E1EDL41>"),
			[]string{"supply/expected shipped 3.000 EA [MATNR:M-1] @W1 2026-11-02"},
		},
		{"order", idocXML("ORDERS", order), []string{"demand/ordered ordered 4 PCE [002:V-1] @ 2026-11-01"}},
		{"answer", idocXML("ORDRSP", order), []string{"milestone acked 3 PCE [002:V-1] @ 2026-11-01"}},
		{"material", idocXML("MATMAS", "<E1MARAM><MATNR>000000000000009876</MATNR><MEINS>ST</MEINS><E1MARMM><MEINH>KAR</MEINH><UMREZ>12</UMREZ><UMREN>1</UMREN></E1MARMM></E1MARAM>"), []string{"item    [] @"}},
		{"of no use here", idocXML("INVOIC", "<E1EDK01/>"), []string{"!unsupported_set"}},
	})
}

// A flat file of SAP's own segments needs no dictionary.
func TestStandardIDocFlat(t *testing.T) {
	t.Parallel()
	at := func(record string, offset int, text string) string {
		return fmt.Sprintf("%-*s", offset, record)[:offset] + text
	}
	control := func(basic, message string) string {
		return at(at(at("EDI_DC40  1000000000000000007", 39, basic), 99, message), 520, "")
	}
	segment := func(name string, fields map[int]string) string {
		record := at(name, 30, "1000000000000000007")
		for _, offset := range slices.Sorted(maps.Keys(fields)) {
			record = at(record, 63+offset, fields[offset])
		}
		return record
	}
	number := 0
	file := func(basic, message string, segments ...string) string {
		out := control(basic, message)
		for _, s := range segments {
			number++
			level, rest, _ := strings.Cut(s, ">")
			out += "\n" + rest[:49] + fmt.Sprintf("%06d      0%s", number, level) + rest[63:]
		}
		return out
	}
	standardReads(t, "idoc", []standardCase{
		{"order", file("ORDERS05", "ORDERS",
			"1>"+segment("E2EDK01005", map[int]string{0: "000", 83: "4500000001"}),
			"1>"+segment("E2EDK02", map[int]string{0: "001", 3: "PO-1", 44: "20261101"}),
			"1>"+segment("E2EDKA1003", map[int]string{0: "WE", 3: "W1"}),
			"1>"+segment("E2EDP01007", map[int]string{0: "000010", 6: "001", 11: "4.000", 26: "PCE", 311: "1000", 383: "0001"}),
			"2>"+segment("E2EDP20001", map[int]string{0: "4.000", 30: "20261110"}),
			"2>"+segment("E2EDP19001", map[int]string{0: "002", 3: "V-1", 38: "A widget"}),
		), []string{"demand/ordered ordered 4.000 PCE [002:V-1] @1000/0001 2026-11-01"}},
		{"inbound delivery confirmed", file("DELVRY03", "SHPCON",
			"1>"+segment("E2EDL20004", map[int]string{0: "0180000001"}),
			"2>"+segment("E2EDL21001", map[int]string{0: "EL"}),
			"2>"+segment("E2EDT13001", map[int]string{0: "015", 27: "20261030", 61: "20261102"}),
			"2>"+segment("E2EDL24006", map[int]string{0: "000010", 6: "000000000000004711", 136: "1000", 140: "0001", 144: "B1", 176: "3.000", 191: "ST", 273: "000000"}),
		), []string{"movement/receipt received 3.000 ST [MATNR:4711 MATNR:000000000000004711] @1000/0001 2026-11-02"}},
		{"goods movement", file("WMMBID02", "WMMBXY",
			"1>"+segment("E2MBXYH", map[int]string{0: "20261102", 8: "20261102"}),
			"2>"+segment("E2MBXYI001", map[int]string{2: "M-1", 20: "1000", 24: "0001", 38: "261", 115: "5.000", 130: "KG"}),
		), []string{"movement/adjustment consumed -5.000 KG [MATNR:M-1] @1000/0001 2026-11-02"}},
		{"material", file("MATMAS05", "MATMAS",
			"1>"+segment("E2MARAM009", map[int]string{0: "004", 3: "000000000000009876", 109: "ST"}),
			"2>"+segment("E2MARMM004", map[int]string{3: "KAR", 6: "12", 11: "1"}),
		), []string{"item    [] @"}},
		{"a movement of a layout of its own", file("MBGMCR03", "MBGMCR", "1>"+segment("E2BP2017_GM_ITEM_CREATE", map[int]string{0: "M-1"})), []string{"!no_movement_type"}},
	})
}
