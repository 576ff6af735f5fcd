package fixed

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

func parse(body string, f policy.Fixed, encoding string) []format.Unit {
	return slices.Collect(Parse([]byte(body), &policy.Source{Fixed: f, Encoding: encoding}))
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

func wire(t *testing.T, us []format.Unit) string {
	t.Helper()
	var trees []any
	for _, u := range us {
		trees = append(trees, u.Tree)
	}
	b, err := json.Marshal(trees)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var stock = policy.Fixed{Records: []policy.FixedRecord{{Columns: []policy.FixedColumn{
	{Name: "sku", From: 1, Width: 6}, {Name: "qty", From: 7, Width: 5}, {Name: "note", From: 12, Trim: "none"},
}}}}

func TestOneType(t *testing.T) {
	us := parse("A 1   00012 x \r\n\r\nÄB\nLONGSKU123\n\x1a", stock, "")
	want := `[{"note":" x ","qty":"00012","row":1,"sku":"A 1"},{"row":3,"sku":"ÄB"},{"qty":"U123","row":4,"sku":"LONGSK"}]`
	if got := wire(t, us); codes(us) != "ok ok ok" || got != want {
		t.Errorf("%s %s\nwant %s", codes(us), got, want)
	}
	if us := parse("K\xf6ln  1", stock, policy.Latin1); jq.Plain(us[0].Tree).(map[string]any)["sku"] != "Köln" {
		t.Errorf("%+v", us)
	}
	trim := policy.Fixed{Records: []policy.FixedRecord{{Columns: []policy.FixedColumn{{Name: "l", From: 1, Width: 3, Trim: "left"}, {Name: "r", From: 4, Width: 3, Trim: "right"}}}}}
	if got := wire(t, parse(" a  b ", trim, "")); got != `[{"l":"a ","r":" b","row":1}]` {
		t.Error(got)
	}
}

func TestTypes(t *testing.T) {
	f := policy.Fixed{Type: policy.Span{From: 1, Width: 2}, Records: []policy.FixedRecord{
		{Type: "H", Role: policy.HeadRecord, Columns: []policy.FixedColumn{{Name: "date", From: 3, Width: 4}}},
		{Type: "D", Columns: []policy.FixedColumn{{Name: "sku", From: 3}}},
		{Type: "O", Role: policy.BeginRecord, Columns: []policy.FixedColumn{{Name: "order", From: 3}}},
		{Type: "L", Role: policy.PartRecord, Columns: []policy.FixedColumn{{Name: "qty", From: 3}}},
		{Type: "Z", Role: policy.SkipRecord},
	}}
	us := parse("H 0102\nD A\nO 7\nL 1\nL 2\nZ 4\nX\nL 3\nH 0103\nD B", f, "")
	if got := codes(us); got != "ok ok fixed_record_type fixed_part ok" {
		t.Fatal(got)
	}
	want := `[{"head":{"H":{"date":"0102","row":1,"type":"H"}},"row":2,"sku":"A","type":"D"},` +
		`{"head":{"H":{"date":"0102","row":1,"type":"H"}},"order":"7","row":3,"rows":[{"qty":"1","row":4,"type":"L"},{"qty":"2","row":5,"type":"L"}],"type":"O"},` +
		`{"row":7,"type":"X"},{"qty":"3","row":8,"type":"L"},{"head":{"H":{"date":"0103","row":9,"type":"H"}},"row":10,"sku":"B","type":"D"}]`
	if got := wire(t, us); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestLength(t *testing.T) {
	f := stock
	f.Length = 12
	us := parse("A     00001xB     00002yC     0", f, "")
	if got := codes(us); got != "ok ok fixed_length" || jq.Plain(us[1].Tree).(map[string]any)["qty"] != "00002" {
		t.Errorf("%s %s", got, wire(t, us))
	}
}

func TestFaults(t *testing.T) {
	for _, tc := range []struct{ body, encoding, want string }{
		{"", "", ""},
		{"A\xff\nB", "", "invalid_utf8 ok"},
		{"A\x00\nB", "", "fixed_nul ok"},
		{"\xff\xfeA\x00", "", "fixed_encoding"},
		{"\xe9", policy.ASCII, "fixed_encoding"},
		{strings.Repeat("\n", 100_001), "", "fixed_rows"},
	} {
		if got := codes(parse(tc.body, stock, tc.encoding)); got != tc.want {
			t.Errorf("%.20q: %s, want %s", tc.body, got, tc.want)
		}
	}
	f := stock
	f.Length = 1
	if got := codes(parse(strings.Repeat("A", 100_001), f, "")); got != "fixed_rows" {
		t.Error(got)
	}
}

// Each record that is not blank has a tree or a fault.
func FuzzParse(f *testing.F) {
	f.Add(uint8(0), []byte("A     00012x\nB"))
	f.Add(uint8(1), []byte("H1\nD2\nO3\nL4\nX"))
	f.Add(uint8(2), []byte("abcdefgh"))
	f.Add(uint8(3), []byte("\xff\xfeA\x00"))
	cols := []policy.FixedColumn{{Name: "a", From: 2, Width: 3}, {Name: "b", From: 3}}
	sources := []policy.Source{
		{Fixed: stock},
		{Fixed: policy.Fixed{Type: policy.Span{From: 1, Width: 1}, Records: []policy.FixedRecord{
			{Type: "H", Role: policy.HeadRecord, Columns: cols}, {Type: "D", Columns: cols}, {Type: "O", Role: policy.BeginRecord}, {Type: "L", Role: policy.PartRecord, Columns: cols},
		}}},
		{Fixed: policy.Fixed{Length: 3, Records: []policy.FixedRecord{{Columns: cols}}}},
		{Encoding: policy.UTF16, Fixed: stock},
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		n := 0
		for u := range Parse(body, &sources[int(which)%len(sources)]) {
			n++
			if u.Where == "" || u.Tree == nil && u.Fault == nil {
				t.Fatalf("%+v", u)
			}
		}
		if n > len(body)+1 {
			t.Fatalf("%d units of %d bytes", n, len(body))
		}
	})
}
