package csv

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

func units(body string, c policy.CSV) []format.Unit {
	return slices.Collect(Parse([]byte(body), &policy.Source{CSV: c}))
}

func TestRows(t *testing.T) {
	us := units("\xef\xbb\xbf SKU ,Qty\r\n\r\n\"a,\"\"b\"\"\nc\", 5 \r\n#x,1\nd,\n", policy.CSV{Header: []string{"sku", "QTY"}, Comment: "#"})
	if len(us) != 2 {
		t.Fatalf("%+v", us)
	}
	first, second := jq.Plain(us[0].Tree).(map[string]any), jq.Plain(us[1].Tree).(map[string]any)
	if first["sku"] != "a,\"b\"\nc" || first["qty"] != "5" || first["row"] != 3 {
		t.Errorf("%v", first)
	}
	if second["sku"] != "d" || second["qty"] != nil || us[1].Where != "row 6" {
		t.Errorf("%v at %s", second, us[1].Where)
	}
}

func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		csv        policy.CSV
		want       string
	}{
		{"empty", "", policy.CSV{}, "csv_header"},
		{"header alone", "a,b\n", policy.CSV{}, ""},
		{"column twice", "a,A\n", policy.CSV{}, "csv_header"},
		{"column without a name", "a,\n", policy.CSV{}, "csv_header"},
		{"column missing", "a,b\n", policy.CSV{Header: []string{"c"}}, "csv_header"},
		{"UTF-16", "\xff\xfea\x00", policy.CSV{}, "csv_encoding"},
		{"too short, too long, right", "a,b\n1\n1,2,3\n1,2\n", policy.CSV{}, "csv_ragged csv_ragged ok"},
		{"bare quote", "a,b\nx\"y,1\n1,2\n", policy.CSV{}, "csv_quote ok"},
		{"open quote to the end", "a,b\n1,2\n\"x,1\n1,2\n", policy.CSV{}, "ok csv_quote"},
		{"not UTF-8", "a,b\n\xff,1\n1,2\n", policy.CSV{}, "invalid_utf8 ok"},
		{"the same fault in the next row", "a,b\n\xff,1\n\xff,1\nx\x00,1\nx\x00,1\n x,1\nx,1\n", policy.CSV{}, "invalid_utf8 invalid_utf8 csv_nul csv_nul ok ok"},
		{"semicolons", "a;b\n1;2\n", policy.CSV{Delimiter: ";"}, "ok"},
		{"too many rows", "a\n" + strings.Repeat("1\n", format.MaxRows), policy.CSV{}, "csv_rows"},
		{"too many columns", strings.Repeat("a,", 300), policy.CSV{}, "csv_header"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, u := range units(tc.body, tc.csv) {
				if u.Fault == nil {
					got = append(got, "ok")
				} else {
					got = append(got, u.Fault.Code)
				}
			}
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("%s, want %s", s, tc.want)
			}
		})
	}
}

// What a row has not is not in its tree: whoever sees it refused sees how much of it came.
func TestShortRows(t *testing.T) {
	us := units("a,b,row\n,2,7\n1\n3,,\n", policy.CSV{})
	for i, want := range []string{`{"a":null,"b":"2","row":"7"}`, `{"a":"1","row":3}`, `{"a":"3","b":null,"row":null}`} {
		if got, _ := json.Marshal(us[i].Tree); string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(uint8(0), []byte("a,b\n1,2\n"))
	f.Add(uint8(0), []byte("a;b\n\"1;2\n"))
	f.Add(uint8(0), []byte("\xff\xfe"))
	f.Add(uint8(1), []byte("\xff\xfea\x00"))
	f.Add(uint8(2), []byte("H;1\nD;1;\"x\ny\"\nO;1\nL;2\nQ"))
	f.Add(uint8(3), []byte("K\xf6ln\t1,5\n"))
	sources := []policy.Source{
		{CSV: policy.CSV{Comment: "#"}},
		{Encoding: policy.UTF16},
		{CSV: policy.CSV{Delimiter: ";", Records: []policy.Record{
			{Type: "H", Role: policy.HeadRecord, Columns: []string{"k", "b"}},
			{Type: "D", Columns: []string{"k", "x", "y"}},
			{Type: "O", Role: policy.BeginRecord, Columns: []string{"k"}},
			{Type: "L", Role: policy.PartRecord, Columns: []string{"k", "q"}},
		}}},
		{Encoding: policy.Latin1, CSV: policy.CSV{Delimiter: "\t", Columns: []string{"a", "b"}}},
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		n := 0
		for u := range Parse(body, &sources[int(which)%len(sources)]) {
			n++
			if u.Fault == nil && u.Tree == nil {
				t.Fatal("a unit with neither tree nor fault")
			}
		}
		if n > len(body)+1 {
			t.Fatalf("%d units of %d bytes", n, len(body))
		}
	})
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

func TestWhatCannotBeReadHasNoTree(t *testing.T) {
	for _, u := range units("a,b\nx\"y,1\n", policy.CSV{}) {
		if u.Tree != nil {
			t.Errorf("%#v", u)
		}
	}
}

func TestEncodings(t *testing.T) {
	for _, tc := range []struct{ name, encoding, body, want string }{
		{"latin-1", policy.Latin1, "a\nK\xf6ln \xa4", "Köln ¤"},
		{"windows-1252", policy.Windows1252, "a\n5 \x80", "5 €"},
		{"a mark goes before what the source says", policy.Latin1, "\xef\xbb\xbfa\nK\xc3\xb6ln", "Köln"},
		{"UTF-16, little end first", policy.UTF16, "\xff\xfea\x00\n\x00=\xd8\x00\xde", "😀"},
		{"UTF-16, big end first", policy.UTF16, "\xfe\xff\x00a\x00\n\x00\xe9", "é"},
		{"ascii", policy.ASCII, "a\nx", "x"},
	} {
		us := slices.Collect(Parse([]byte(tc.body), &policy.Source{Encoding: tc.encoding}))
		if len(us) != 1 || us[0].Fault != nil || jq.Plain(us[0].Tree).(map[string]any)["a"] != tc.want {
			t.Errorf("%s: %+v", tc.name, us)
		}
	}
	for _, tc := range []struct{ encoding, body string }{
		{policy.UTF16, "a\x00"},
		{policy.UTF16, "\xff\xfea"},
		{policy.UTF16, "\xff\xfe\x00\xd8a\x00"},
		{policy.UTF16, "\xff\xfe\x00\xd8"},
		{policy.Latin1, "\xff\xfea\x00"},
		{policy.ASCII, "a\n\xe9"},
		{"ebcdic", "a"},
	} {
		if got := codes(slices.Collect(Parse([]byte(tc.body), &policy.Source{Encoding: tc.encoding}))); got != "csv_encoding" {
			t.Errorf("%s %q: %s", tc.encoding, tc.body, got)
		}
	}
}

func TestColumnsOfTheSource(t *testing.T) {
	us := units("A|1\n|\n\"B|\nC\"|2|3\nD\x00|1\n", policy.CSV{Delimiter: "|", Columns: []string{"sku", "qty"}})
	if got := codes(us); got != "ok ok csv_ragged csv_nul" {
		t.Fatal(got)
	}
	first, third := jq.Plain(us[0].Tree).(map[string]any), jq.Plain(us[2].Tree).(map[string]any)
	if first["sku"] != "A" || first["qty"] != "1" || first["row"] != 1 || third["sku"] != "B|\nC" {
		t.Errorf("%v %v", first, third)
	}
	if us := units("a\tb\n1,5\t\"x\ty\"\n", policy.CSV{Delimiter: "\t"}); jq.Plain(us[0].Tree).(map[string]any)["b"] != "x\ty" {
		t.Errorf("%+v", us)
	}
}

func TestRecordTypes(t *testing.T) {
	c := policy.CSV{Type: 2, Records: []policy.Record{
		{Type: "F", Role: policy.HeadRecord, Columns: []string{"file", "kind"}},
		{Type: "H", Role: policy.HeadRecord, Columns: []string{"batch", "kind", "date"}},
		{Type: "D", Columns: []string{"batch", "kind", "sku"}},
		{Type: "O", Role: policy.BeginRecord, Columns: []string{"order", "kind"}},
		{Type: "L", Role: policy.PartRecord, Columns: []string{"order", "kind", "qty"}},
		{Type: "T", Role: policy.SkipRecord},
	}}
	us := units(strings.Join([]string{
		"f,F", "1,H,today", "1,D,a", "2,H,later", "2,D,b", "7,O", "7,L,3", "7,L,4", "8,O", "9,T,1,2,3", "9,L,1", "f2,F", "3,D,c",
		"4,H", "4,D,d", "5,Q", "9,O", "9,L", "x",
	}, "\n"), c)
	if got := codes(us); got != "ok ok ok ok csv_part ok csv_ragged csv_ragged csv_record_type csv_ragged csv_record_type" {
		t.Fatalf("%s %+v", got, us)
	}
	at := func(i int, path ...string) any {
		v := us[i].Tree
		for _, p := range path {
			v = jq.Field(v, p)
		}
		return v
	}
	for _, tc := range []struct{ got, want any }{
		{at(0, "sku"), "a"},
		{at(0, "type"), "D"},
		{at(0, "head", "H", "date"), "today"},
		{at(0, "head", "F", "file"), "f"},
		{at(1, "head", "H", "date"), "later"},
		{at(1, "head", "F", "file"), "f"},
		{len(at(2, "rows").([]any)), 2},
		{jq.Field(at(2, "rows").([]any)[1], "qty"), "4"},
		{at(2, "row"), 6},
		{len(at(3, "rows").([]any)), 0},
		{at(5, "head", "F", "file"), "f2"},
		{at(5, "head", "H"), nil}, // a new file has no batch yet
	} {
		if tc.got != tc.want {
			t.Errorf("%v, want %v", tc.got, tc.want)
		}
	}
	if r := us[7].Fault.Reason; !strings.Contains(r, "row 15: the head before it cannot be read: row 14: 2 fields") {
		t.Error(r)
	}
}

// TestLent: rows whose memory comes again are those that have their own, one by one; the
// rows of a table of several types are never made of the same memory, for heads and parts
// are kept.
func TestLent(t *testing.T) {
	shown := func(u format.Unit) string {
		tree, err := json.Marshal(u.Tree)
		if err != nil {
			t.Fatal(err)
		}
		s := u.Where + " " + string(tree)
		if u.Fault != nil {
			s += " " + u.Fault.Code + ": " + u.Fault.Reason
		}
		return s
	}
	types := policy.CSV{Records: []policy.Record{
		{Type: "H", Role: policy.HeadRecord, Columns: []string{"k", "no"}},
		{Type: "B", Role: policy.BeginRecord, Columns: []string{"k", "a"}},
		{Type: "P", Role: policy.PartRecord, Columns: []string{"k", "b"}},
	}}
	for _, c := range []struct {
		body string
		csv  policy.CSV
	}{
		{"a,b,row\n1,2,3\n,,\n1\n1,2,3,4\n\"x\",\"y\nz\",\n5,6,7\n", policy.CSV{}},
		{"a,b\n\xff,1\nx\x00,1\n x,1\nx,1\n\"q,1\n", policy.CSV{}},
		{"H,1\nB,2\nP,3\nP,4\nB,5\nH,6\nB,7\nP,8\nQ,9\n", types},
	} {
		src := &policy.Source{CSV: c.csv}
		var own []format.Unit
		for u := range Part([]byte(c.body), src, 5) {
			own = append(own, u)
		}
		n := 0
		for u := range Lent([]byte(c.body), src, 5) {
			if n < len(own) && shown(u) != shown(own[n]) {
				t.Errorf("unit %d is %s, want %s", n, shown(u), shown(own[n]))
			}
			n++
		}
		if n != len(own) {
			t.Errorf("%d units of %d", n, len(own))
		}
	}
}
