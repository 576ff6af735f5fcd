package policy

import (
	"slices"
	"strings"
	"testing"
)

func of(format, options string) string {
	return strings.Replace(source, "format: csv", "format: "+format, 1) + options
}

func TestFormatOptions(t *testing.T) {
	set, err := LoadFS(folder(map[string]string{
		"sources/a.yaml": of("fixed", `encoding: iso-8859-1
fixed:
  length: 80
  type: {from: 1, width: 2}
  records:
    - {type: H, role: head, columns: [{name: date, from: 3, width: 8}]}
    - {type: D, columns: [{name: sku, from: 3, width: 10, trim: right}, {name: rest, from: 13}]}
`),
		"sources/b.yaml": strings.Replace(of("csv", `csv:
  type: 2
  records:
    - {type: H, role: begin, columns: [order, kind]}
    - {type: L, role: part, columns: [order, kind, qty]}
    - {type: T, role: skip}
`), "name: wms", "name: b", 1),
		"sources/c.yaml":    strings.Replace(of("idoc", "idoc: {dictionary: dict.csv}\n"), "name: wms", "name: c", 1),
		"sources/dict.csv":  "\ufeffSegment,type,field,offset,length\nE1EDL24,x,POSNR,0,6\nE1EDL24,x,MATNR,6,18\nE1EDL20,x,VBELN,0,10\n",
		"sources/d.yaml":    strings.Replace(of("xml", "xml: {unit: /Orders/*, doctype: ignore}\n"), "name: wms", "name: d", 1),
		"sources/e.yaml":    strings.Replace(of("ndjson", ""), "name: wms", "name: e", 1),
		"sources/epcs.yaml": strings.Replace(of("epcis", ""), "name: wms", "name: f", 1),
	}))
	if err != nil {
		t.Fatal(err)
	}
	a := set.Sources["wms"]
	if a.Encoding != Latin1 || a.Fixed.Length != 80 || a.Fixed.Type != (Span{1, 2}) || len(a.Fixed.Records) != 2 || a.Fixed.Records[1].Columns[0].Trim != "right" {
		t.Errorf("%+v", a.Fixed)
	}
	if b := set.Sources["b"].CSV; b.Type != 2 || b.Records[0].Role != BeginRecord || !slices.Equal(b.Records[1].Columns, []string{"order", "kind", "qty"}) {
		t.Errorf("%+v", b)
	}
	if f := set.Sources["c"].IDoc.Fields; len(f) != 2 || !slices.Equal(f["E1EDL24"], []IDocField{{"POSNR", 0, 6}, {"MATNR", 6, 18}}) {
		t.Errorf("%+v", f)
	}
	if d := set.Sources["d"].XML; d.Unit != "/Orders/*" || d.Doctype != DoctypeIgnore {
		t.Errorf("%+v", d)
	}
}

func TestFormatFaults(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"no such encoding":     {of("csv", "encoding: ebcdic\n"), "encoding"},
		"JSON is UTF-8":        {of("json", "encoding: iso-8859-1\n"), "encoding: the json format is not read in iso-8859-1"},
		"doctype":              {of("xml", "xml: {doctype: fetch}\n"), "xml.doctype"},
		"path":                 {of("xml", "xml: {unit: Orders}\n"), "xml.unit"},
		"path with a hole":     {of("xml", "xml: {unit: /a//b}\n"), "xml.unit"},
		"header and columns":   {of("csv", "csv: {header: [a], columns: [a]}\n"), "csv: only one of header, columns and records"},
		"columns twice":        {of("csv", "csv: {columns: [a, a]}\n"), `csv.columns[1]: "a" stands there twice`},
		"upper case":           {of("csv", "csv: {columns: [A]}\n"), "csv.columns[0]: a name in lower case"},
		"a name of the row":    {of("csv", "csv: {columns: [row]}\n"), "csv.columns[0]: row is a name of the row itself"},
		"a type without":       {of("csv", "csv: {type: 2}\n"), "csv.type"},
		"type twice":           {of("csv", "csv: {records: [{type: A}, {type: A}]}\n"), `csv.records[1].type: "A" stands there twice`},
		"no such role":         {of("csv", "csv: {records: [{type: A, role: tail}]}\n"), "csv.records.0.role"},
		"no records":           {of("fixed", ""), "fixed.records: required for the fixed format"},
		"nothing tells apart":  {of("fixed", "fixed: {records: [{type: A}, {type: B}]}\n"), "fixed.type: several record types, and nothing tells them apart"},
		"no type":              {of("fixed", "fixed: {type: {from: 1, width: 1}, records: [{columns: [{name: a, from: 1}]}]}\n"), "fixed.records[0].type: required"},
		"from zero":            {of("fixed", "fixed: {records: [{columns: [{name: a, from: 0}]}]}\n"), "from"},
		"no such dictionary":   {of("idoc", "idoc: {dictionary: x.csv}\n"), "idoc.dictionary"},
		"too long":             {of("idoc", "idoc: {dictionary: d.csv}\n"), "line 2 of the dictionary: wants a segment, a field, an offset from 0 and a length within 1000"},
		"a dictionary outside": {of("idoc", "idoc: {dictionary: ../../etc/passwd}\n"), "idoc.dictionary"},
	} {
		_, err := LoadFS(folder(map[string]string{"sources/a.yaml": tc.body, "sources/d.csv": "segment,field,offset,length\nA,F,990,11\n"}))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

func TestIDocDictionary(t *testing.T) {
	for body, want := range map[string]string{
		"":                                     "header",
		"segment,field,offset\n":               `no column "length"`,
		"segment,field,offset,length\nA,F,x,1": "line 2",
		"segment,field,offset,length\nA,F,0,1\nA,F,1,1":          "line 3 of the dictionary: A has F already",
		"segment,field,offset,length\nA,F\n":                     "reading the dictionary",
		"segment,field,offset,length\nA,F,9223372036854775807,1": "line 2",
	} {
		if _, err := ReadIDocDictionary(strings.NewReader(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", body, err, want)
		}
	}
}
