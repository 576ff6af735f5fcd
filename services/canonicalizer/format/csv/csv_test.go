package csv

import (
	"slices"
	"strings"
	"testing"

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
	first, second := us[0].Tree.(map[string]any), us[1].Tree.(map[string]any)
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

func FuzzParse(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"))
	f.Add([]byte("a;b\n\"1;2\n"))
	f.Add([]byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, body []byte) {
		n := 0
		for u := range Parse(body, &policy.Source{CSV: policy.CSV{Comment: "#"}}) {
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
