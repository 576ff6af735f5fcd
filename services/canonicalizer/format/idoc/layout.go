package idoc

import "github.com/stockweave/stockweave/pkg/policy"

// layouts are where fields of SAP's own segments stand in their data, by segment type
// (WE60; released segments only grow at their end, so that one layout serves all of
// their versions). Here are the fields that tell what a document says of stock, of the
// basic types ORDERS, DELVRY, SHPMNT, MATMAS, WMMBID and MBGMCR: a flat file of these
// needs no dictionary. That of a source goes before it.
var layouts = map[string][]policy.IDocField{
	"E1EDK01": {{Name: "ACTION", Offset: 0, Length: 3}, {Name: "CURCY", Offset: 4, Length: 3}, {Name: "BSART", Offset: 79, Length: 4}, {Name: "BELNR", Offset: 83, Length: 35}},
	"E1EDK02": {{Name: "QUALF", Offset: 0, Length: 3}, {Name: "BELNR", Offset: 3, Length: 35}, {Name: "POSNR", Offset: 38, Length: 6}, {Name: "DATUM", Offset: 44, Length: 8}, {Name: "UZEIT", Offset: 52, Length: 6}},
	"E1EDK03": {{Name: "IDDAT", Offset: 0, Length: 3}, {Name: "DATUM", Offset: 3, Length: 8}, {Name: "UZEIT", Offset: 11, Length: 6}},
	"E1EDKA1": partner,
	"E1EDPA1": partner,
	"E1EDP01": {
		{Name: "POSEX", Offset: 0, Length: 6},
		{Name: "ACTION", Offset: 6, Length: 3},
		{Name: "MENGE", Offset: 11, Length: 15},
		{Name: "MENEE", Offset: 26, Length: 3},
		{Name: "PMENE", Offset: 44, Length: 3},
		{Name: "UEPOS", Offset: 184, Length: 6},
		{Name: "ABGRU", Offset: 212, Length: 2},
		{Name: "WERKS", Offset: 311, Length: 4},
		{Name: "LGORT", Offset: 383, Length: 4},
	},
	"E1EDP02": {{Name: "QUALF", Offset: 0, Length: 3}, {Name: "BELNR", Offset: 3, Length: 35}, {Name: "ZEILE", Offset: 38, Length: 6}, {Name: "DATUM", Offset: 44, Length: 8}},
	"E1EDP03": {{Name: "IDDAT", Offset: 0, Length: 3}, {Name: "DATUM", Offset: 3, Length: 8}, {Name: "UZEIT", Offset: 11, Length: 6}},
	"E1EDP19": {{Name: "QUALF", Offset: 0, Length: 3}, {Name: "IDTNR", Offset: 3, Length: 35}, {Name: "KTEXT", Offset: 38, Length: 70}},
	"E1EDP20": {{Name: "WMENG", Offset: 0, Length: 15}, {Name: "AMENG", Offset: 15, Length: 15}, {Name: "EDATU", Offset: 30, Length: 8}, {Name: "EZEIT", Offset: 38, Length: 6}},

	"E1EDL20": {
		{Name: "VBELN", Offset: 0, Length: 10},
		{Name: "VSTEL", Offset: 10, Length: 4},
		{Name: "LGNUM", Offset: 24, Length: 3},
		{Name: "BOLNR", Offset: 149, Length: 35},
		{Name: "TRAID", Offset: 188, Length: 20},
		{Name: "LIFEX", Offset: 218, Length: 35},
	},
	"E1EDL21": {{Name: "LFART", Offset: 0, Length: 4}},
	"E1EDL18": {{Name: "QUALF", Offset: 0, Length: 3}, {Name: "PARAM", Offset: 3, Length: 20}},
	"E1EDL19": {{Name: "QUALF", Offset: 0, Length: 3}, {Name: "PARAM", Offset: 3, Length: 20}},
	"E1EDT13": {
		{Name: "QUALF", Offset: 0, Length: 3},
		{Name: "NTANF", Offset: 27, Length: 8},
		{Name: "NTANZ", Offset: 35, Length: 6},
		{Name: "NTEND", Offset: 41, Length: 8},
		{Name: "NTENZ", Offset: 49, Length: 6},
		{Name: "ISDD", Offset: 61, Length: 8},
		{Name: "ISDZ", Offset: 69, Length: 6},
		{Name: "IEDD", Offset: 75, Length: 8},
		{Name: "IEDZ", Offset: 83, Length: 6},
	},
	"E1ADRM1": {{Name: "PARTNER_Q", Offset: 0, Length: 3}, {Name: "PARTNER_ID", Offset: 4, Length: 17}, {Name: "NAME1", Offset: 55, Length: 40}},
	"E1EDL24": {
		{Name: "POSNR", Offset: 0, Length: 6},
		{Name: "MATNR", Offset: 6, Length: 18},
		{Name: "MATWA", Offset: 24, Length: 18},
		{Name: "WERKS", Offset: 136, Length: 4},
		{Name: "LGORT", Offset: 140, Length: 4},
		{Name: "CHARG", Offset: 144, Length: 10},
		{Name: "KDMAT", Offset: 154, Length: 22},
		{Name: "LFIMG", Offset: 176, Length: 15},
		{Name: "VRKME", Offset: 191, Length: 3},
		{Name: "LGMNG", Offset: 194, Length: 15},
		{Name: "MEINS", Offset: 209, Length: 3},
		{Name: "HIPOS", Offset: 273, Length: 6},
		{Name: "EAN11", Offset: 302, Length: 18},
		{Name: "VFDAT", Offset: 872, Length: 8},
	},
	"E1EDL37": {{Name: "EXIDV", Offset: 0, Length: 20}},
	"E1EDL41": {{Name: "QUALI", Offset: 0, Length: 3}, {Name: "BSTNR", Offset: 3, Length: 35}, {Name: "BSTDT", Offset: 38, Length: 8}},
	"E1EDL43": {{Name: "QUALF", Offset: 0, Length: 1}, {Name: "BELNR", Offset: 1, Length: 35}, {Name: "POSNR", Offset: 36, Length: 6}, {Name: "DATUM", Offset: 42, Length: 8}},
	"E1EDT20": {{Name: "TKNUM", Offset: 0, Length: 10}},

	"E1MARAM": {{Name: "MSGFN", Offset: 0, Length: 3}, {Name: "MATNR", Offset: 3, Length: 18}, {Name: "LVORM", Offset: 76, Length: 1}, {Name: "MEINS", Offset: 109, Length: 3}},
	"E1MAKTM": {{Name: "MSGFN", Offset: 0, Length: 3}, {Name: "SPRAS", Offset: 3, Length: 1}, {Name: "MAKTX", Offset: 4, Length: 40}},
	"E1MARMM": {{Name: "MSGFN", Offset: 0, Length: 3}, {Name: "MEINH", Offset: 3, Length: 3}, {Name: "UMREZ", Offset: 6, Length: 5}, {Name: "UMREN", Offset: 11, Length: 5}, {Name: "EAN11", Offset: 16, Length: 18}},

	"E1MBXYH": {{Name: "BLDAT", Offset: 0, Length: 8}, {Name: "BUDAT", Offset: 8, Length: 8}, {Name: "XBLNR", Offset: 16, Length: 16}},
	"E1MBXYI": {
		{Name: "XSTOB", Offset: 1, Length: 1},
		{Name: "MATNR", Offset: 2, Length: 18},
		{Name: "WERKS", Offset: 20, Length: 4},
		{Name: "LGORT", Offset: 24, Length: 4},
		{Name: "CHARG", Offset: 28, Length: 10},
		{Name: "BWART", Offset: 38, Length: 3},
		{Name: "INSMK", Offset: 41, Length: 1},
		{Name: "SOBKZ", Offset: 42, Length: 1},
		{Name: "SHKZG", Offset: 84, Length: 1},
		{Name: "ERFMG", Offset: 115, Length: 15},
		{Name: "ERFME", Offset: 130, Length: 3},
		{Name: "EBELN", Offset: 151, Length: 10},
		{Name: "EBELP", Offset: 161, Length: 5},
		{Name: "KOSTL", Offset: 254, Length: 10},
		{Name: "AUFNR", Offset: 264, Length: 12},
		{Name: "UMMAT", Offset: 307, Length: 18},
		{Name: "UMWRK", Offset: 325, Length: 4},
		{Name: "UMLGO", Offset: 329, Length: 4},
	},
	"E1BP2017_GM_HEAD_01": {{Name: "PSTNG_DATE", Offset: 0, Length: 8}, {Name: "DOC_DATE", Offset: 8, Length: 8}, {Name: "REF_DOC_NO", Offset: 16, Length: 16}},
	"E1BP2017_GM_CODE":    {{Name: "GM_CODE", Offset: 0, Length: 2}},
}

// partner is that of E1EDKA1 and E1EDPA1.
var partner = []policy.IDocField{{Name: "PARVW", Offset: 0, Length: 3}, {Name: "PARTN", Offset: 3, Length: 17}, {Name: "LIFNR", Offset: 20, Length: 17}, {Name: "NAME1", Offset: 37, Length: 35}}
