package idoc

import (
	"bytes"
	"encoding/json"
	"fmt"
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

const control = `<EDI_DC40 SEGMENT="1"><TABNAM>EDI_DC40</TABNAM><DOCNUM>7</DOCNUM><IDOCTYP>DELVRY01</IDOCTYP><MESTYP>SHPCON</MESTYP></EDI_DC40>`

func TestXML(t *testing.T) {
	us := units(`<DELVRY01><IDOC BEGIN="1">` + control + `<E1EDL20 SEGMENT="1"><VBELN> 0080 </VBELN><X/><E1EDL22 SEGMENT="1"/><E1EDL24><POSNR>10</POSNR><E1EDL19><QUALF>PIC</QUALF></E1EDL19></E1EDL24></E1EDL20></IDOC></DELVRY01>`)
	want := `{"control":{"DOCNUM":"7","IDOCTYP":"DELVRY01","MESTYP":"SHPCON","TABNAM":"EDI_DC40"},"extension":null,"message":"SHPCON","number":"7","root":"DELVRY01",` +
		`"segments":[{"VBELN":"0080","X":null,"id":"E1EDL20","pos":1,"segments":[{"id":"E1EDL22","pos":2,"segments":[]},` +
		`{"POSNR":"10","id":"E1EDL24","pos":3,"segments":[{"QUALF":"PIC","id":"E1EDL19","pos":4,"segments":[]}]}]}],"type":"DELVRY01"}`
	if got := wire(t, us[0].Tree); codes(us) != "ok" || got != want {
		t.Errorf("%s %s\nwant %s", codes(us), got, want)
	}
}

func TestWhatStandsAround(t *testing.T) {
	idoc := "<IDOC>" + control + "<E1A><F>1</F></E1A></IDOC>"
	for _, tc := range []struct{ body, want, root string }{
		{"<T>" + idoc + idoc + "</T>", "ok ok", "T"},
		{idoc, "ok", ""},
		{"<IDOCBEGIN>" + control + "<E1A><F>1</F></E1A></IDOCBEGIN>", "ok", "IDOCBEGIN"},
		{"<W>" + control + "<E1A/>" + control + "<E1B/></W>", "ok ok", "W"},
		{`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><T>` + idoc + "</T></s:Body></s:Envelope>", "ok", "T"},
		{"<all><T>" + idoc + "</T><U>" + idoc + "</U></all>", "ok ok", ""},
		{"<IDOC><E1A/>" + control + "<E1B/></IDOC>", "idoc_control ok", ""},
		{"<IDOC><E1A/></IDOC>", "idoc_control", ""},
		{"<IDOC><EDI_DC40/><E1A/></IDOC>", "idoc_control", ""},
		{"<IDOC>" + control + "<E1A><F>1</F><F>2</F></E1A></IDOC>", "idoc_field_twice", ""},
		{"<IDOC>" + control + "<E1A>x<F>1</F></E1A></IDOC>", "idoc_structure", ""},
		{"<T><E1A/></T>", "idoc_none", ""},
		{"<T>", "xml_syntax", ""},
		{"<!DOCTYPE T><T/>", "xml_doctype", ""},
		{"", "xml_syntax", ""},
	} {
		us := units(tc.body)
		if got := codes(us); got != tc.want {
			t.Errorf("%s: %s %+v, want %s", tc.body, got, us[0].Fault, tc.want)
		}
		if tc.root != "" && us[0].Tree.(map[string]any)["root"] != tc.root {
			t.Errorf("%s: root %v", tc.body, us[0].Tree)
		}
	}
}

// record is a flat record of n characters: texts at their offsets.
func record(n int, texts map[int]string) string {
	r := []rune(strings.Repeat(" ", n))
	for at, s := range texts {
		copy(r[at:], []rune(s))
	}
	return string(r)
}

func flatControl(number string) string {
	return record(524, map[int]string{0: "EDI_DC40", 10: "100", 13: number, 39: "DELVRY03", 99: "DESADV", 148: "SAPX", 378: "20260102", 386: "030405", 504: "SER"})
}

func flatData(name, number, segment, parent, level, data string) string {
	return record(1063, map[int]string{0: name, 30: "100", 33: number, 49: segment, 55: parent, 61: level, 63: data})
}

func TestFlat(t *testing.T) {
	doc := flatControl("0000000000000007") + flatData("E2EDL20004", "0000000000000007", "000001", "000000", "02", "0080012345  Köln") +
		flatData("E2EDL24", "0000000000000007", "000002", "000001", "03", "000010MAT 1") +
		flatData("ZORDER", "0000000000000007", "000003", "000000", "02", "x  ")
	src := &policy.Source{IDoc: policy.IDoc{Fields: map[string][]policy.IDocField{
		"E1EDL24": {{Name: "POSNR", Length: 6}, {Name: "MATNR", Offset: 6, Length: 18}, {Name: "WERKS", Offset: 24, Length: 4}},
	}}}
	want := `[{"BOLNR":null,"LGNUM":null,"LIFEX":null,"SDATA":"0080012345  Köln","TRAID":null,"VBELN":"0080012345","VSTEL":"Kö","definition":"E2EDL20004","id":"E1EDL20","pos":1,"segments":[` +
		`{"MATNR":"MAT 1","POSNR":"000010","WERKS":null,"definition":"E2EDL24","id":"E1EDL24","pos":2,"segments":[]}]},{"SDATA":"x","id":"ZORDER","pos":3,"segments":[]}]`
	lines := ""
	for _, r := range [][2]int{{0, 524}, {524, 1587}, {1587, 2650}, {2650, 3713}} {
		lines += strings.TrimRight(string([]rune(doc)[r[0]:r[1]]), " ") + "\r\n"
	}
	for name, body := range map[string]string{"one piece": doc, "one piece and a line end": doc + "\r\n", "lines without blanks": lines, "two": doc + doc, "mark": "\xef\xbb\xbf" + lines} {
		us := slices.Collect(Parse([]byte(body), src))
		if codes(us[:1]) != "ok" || (name == "two") != (len(us) == 2) {
			t.Errorf("%s: %s %+v", name, codes(us), us[0].Fault)
			continue
		}
		for _, u := range us {
			tree := u.Tree.(map[string]any)
			if got := wire(t, tree["segments"]); got != want {
				t.Errorf("%s: %s\nwant %s", name, got, want)
			}
			c := tree["control"].(map[string]any)
			if tree["type"] != "DELVRY03" || tree["message"] != "DESADV" || tree["number"] != "0000000000000007" || c["SNDPOR"] != "SAPX" || c["CREDAT"] != "20260102" ||
				c["CRETIM"] != "030405" || c["SERIAL"] != "SER" || c["TEST"] != nil {
				t.Errorf("%s: %v", name, tree)
			}
		}
	}
	latin := strings.Replace(lines, "ö", "\xf6", 1)
	if us := slices.Collect(Parse([]byte(latin), &policy.Source{Encoding: policy.Latin1})); codes(us) != "ok" ||
		!strings.Contains(wire(t, us[0].Tree), "Köln") {
		t.Errorf("latin-1: %+v", us)
	}
}

func TestFlatFaults(t *testing.T) {
	head := flatControl("7")
	chain := head
	for i := 1; i <= 40; i++ {
		chain += flatData("A", "7", fmt.Sprintf("%06d", i), fmt.Sprintf("%06d", i-1), "", "")
	}
	for name, tc := range map[string]struct{ body, want string }{
		"breaks off":             {head + flatData("A", "7", "000001", "000000", "01", "x")[:800], "idoc_structure"},
		"another number":         {head + flatData("A", "8", "000001", "000000", "01", ""), "idoc_number"},
		"no such parent":         {head + flatData("A", "7", "000001", "000009", "01", ""), "idoc_hierarchy"},
		"one twice":              {head + flatData("A", "7", "000001", "", "1", "") + flatData("A", "7", "000001", "", "1", ""), "idoc_hierarchy"},
		"a level too far":        {head + flatData("A", "7", "000001", "", "2", ""), "idoc_hierarchy"},
		"no name":                {head + flatData("", "7", "000001", "", "1", "x"), "idoc_structure"},
		"too deep":               {chain, "idoc_too_deep"},
		"old control":            {"EDI_DC    " + head[10:], "idoc_control"},
		"nothing said":           {record(524, map[int]string{0: "EDI_DC40"}), "idoc_control"},
		"UTF-16":                 {"\xff\xfeE\x00D\x00I\x00_\x00", "idoc_encoding"},
		"not UTF-8":              {head + "\n" + "A\xff", "invalid_utf8"},
		"NUL":                    {head + "\nA\x00", "idoc_encoding"},
		"the next one is right":  {head + flatData("A", "8", "000001", "000000", "01", "") + head, "idoc_number ok"},
		"records without number": {head + "\n" + strings.Repeat("A\n", 20_001), "idoc_segments"},
	} {
		if got := codes(units(tc.body)); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	// Levels alone will do.
	us := units(head + flatData("A", "7", "1", "", "1", "") + flatData("B", "7", "2", "", "2", "") + flatData("C", "7", "3", "", "2", "") + flatData("D", "7", "4", "", "1", ""))
	if got := wire(t, us[0].Tree.(map[string]any)["segments"]); got !=
		`[{"SDATA":null,"id":"A","pos":1,"segments":[{"SDATA":null,"id":"B","pos":2,"segments":[]},{"SDATA":null,"id":"C","pos":3,"segments":[]}]},{"SDATA":null,"id":"D","pos":4,"segments":[]}]` {
		t.Error(got)
	}
}

// Layouts stand within the data of a segment, their fields one behind the other.
func TestLayouts(t *testing.T) {
	for segment, fields := range layouts {
		end := 0
		for _, f := range fields {
			if f.Offset < end || f.Length < 1 || f.Offset+f.Length > dataLength-dataAt {
				t.Errorf("%s: %+v behind %d", segment, f, end)
			}
			end = f.Offset + f.Length
		}
	}
}

func TestSegmentType(t *testing.T) {
	for name, want := range map[string]string{
		"E2EDL20005": "E1EDL20", "E2EDK01": "E1EDK01", "E2EDL20": "E1EDL20", "Z2ORD001": "Z1ORD", "E1EDL20": "E1EDL20", "ZSEG": "ZSEG", "E2A": "E2A", "E2BP2017_GM_HEAD_01000": "E1BP2017_GM_HEAD_01",
	} {
		if got := segmentType(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Every IDoc has a tree or a fault, and the tree of the same body is the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte("<T><IDOC>" + control + `<E1A SEGMENT="1"><F>1</F><E1B/></E1A></IDOC></T>`))
	f.Add([]byte("<W>" + control + "<A/>" + control + "<B><C><D/></C></B></W>"))
	f.Add([]byte(flatControl("7") + flatData("E2A000", "7", "000001", "000000", "01", "x")))
	f.Add([]byte(strings.TrimRight(flatControl("7"), " ") + "\nE2A                           1000000000000000007000001000000\nB"))
	f.Add([]byte("\xff\xfeE\x00D\x00I\x00"))
	src := &policy.Source{IDoc: policy.IDoc{Fields: map[string][]policy.IDocField{"E1A": {{Name: "F", Offset: 999, Length: 1}}}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		n := 0
		for u := range Parse(body, src) {
			n++
			if u.Where == "" || u.Tree == nil && u.Fault == nil {
				t.Fatalf("%+v", u)
			}
			if _, err := json.Marshal(u.Tree); err != nil {
				t.Fatal(err)
			}
		}
		if n == 0 && len(bytes.TrimSpace(body)) > 0 {
			t.Fatal("nothing comes out")
		}
	})
}
