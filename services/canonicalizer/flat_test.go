package canonicalizer

import (
	"strings"
	"testing"
)

// Tables as inventory systems export them: what comes out, or the code of what keeps
// them from being read.
func TestFlat(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"english", "SKU,Warehouse,On Hand,Unit\nA-1,DC1,\"1,250\",EA\n", "count on_hand 1250 EA [sku:A-1] @DC1"},
		{"german, decimal comma", "Artikelnummer;Lagerort;Verfügbarer Bestand;ME;Stichtag\nA-1;0001;1.250,5;ST;2026-11-02\n", "count available 1250.5 ST [sku:A-1] @0001 2026-11-02"},
		{"french, tabs", "Référence\tEntrepôt\tQté\tUnité\nA-1\tPAR\t3\tPCE\n", "count on_hand 3 PCE [sku:A-1] @PAR"},
		{"spanish", "código|almacén|existencias\nA-1|MAD|7\n", "count on_hand 7  [sku:A-1] @MAD"},
		{"two numbers of one item", "ean,item no.,stock\n4006381333931,A-1,2\n", "count on_hand 2  [gtin:4006381333931 sku:A-1] @"},
		{"what is available of what is on hand", "sku,qty on hand,reserved,available\nA-1,10,3,7\n", "milestone available 7  [sku:A-1] @, count on_hand 10  [sku:A-1] @"},
		{"a comma in a name", "sku,description,quantity\nA-1,\"bolt, long\",2\n", "count on_hand 2  [sku:A-1] @"},
		{"byte order mark", "\ufeffsku;qty\nA-1;1,5\n", "count on_hand 1.5  [sku:A-1] @"},
		{"an empty cell", "sku,quantity\nA-1,\nA-2,4\n", "no_quantity, count on_hand 4  [sku:A-2] @"},
		{"western Europe", "Artikel;Lager;Bestand;Einheit\nA-1;K\xf6ln;2,5;St\xfcck\n", "count on_hand 2.5 St\u00fcck [sku:A-1] @K\u00f6ln"},
		{"what a spreadsheet calls Unicode text", "\xff\xfes\x00k\x00u\x00\t\x00q\x00t\x00y\x00\n\x00A\x00\t\x002\x00\n\x00", "count on_hand 2  [sku:A] @"},
		{"thousands or a fraction", "sku\tqty\nA-1\t1,250\nA-2\t7\n", "ambiguous_number, count on_hand 7  [sku:A-2] @"},
		{"no fraction of a piece", "sku\tqty\tuom\nA-1\t1,250\tEA\nA-2\t1,250\tKG\n", "ambiguous_number, count on_hand 1250 EA [sku:A-1] @"},
		{"a place by its code and its name", "sku,location name,location code,on hand\nA-1,Main,M1,3\n", "count on_hand 3  [sku:A-1] @M1/Main"},
		{"another number tells", "sku\tqty\nA-1\t1,250\nA-2\t7.5\n", "count on_hand 1250  [sku:A-1] @, count on_hand 7.5  [sku:A-2] @"},
		{"points for thousands, twice", "sku;qty\nA-1;1.250.000\nA-2;1.250\n", "count on_hand 1250000  [sku:A-1] @, count on_hand 1250  [sku:A-2] @"},
		{"a fraction of three digits", "sku;qty\nA-1;0,250\nA-2;1,250\n", "count on_hand 0.250  [sku:A-1] @, count on_hand 1.250  [sku:A-2] @"},
		{"prices", "sku,price,currency\nA-1,9.90,EUR\n", "no_stock_column"},
		{"no item", "warehouse,stock\nDC1,4\n", "no_item_column"},
		{"no header", "A-1,DC1,4\nA-2,DC1,5\n", "no_layout"},
		{"types of rows", "HDR,20261102,ACME\nLIN,A-1,4,EA\nLIN,A-2,5,EA\nTRL,2\n", "no_layout"},
		{"fixed width", "A-1       DC1   0000004\nA-2       DC1   0000005\n", "no_layout"},
		{"nothing", "\n\n", "csv_header"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			facts, problems, err := Facts(t.Context(), flatSource(), []byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range problems {
				if got = append(got, p.Code); p.Reason == "" {
					t.Errorf("%s without a reason", p.Code)
				}
			}
			for _, f := range facts {
				var ids []string
				for _, id := range f.IDs {
					ids = append(ids, id.Type+":"+id.Value)
				}
				got = append(got, strings.TrimSpace(strings.Join([]string{string(f.Kind), f.Status, f.Quantity, f.Unit, "[" + strings.Join(ids, " ") + "]", "@" + strings.Join(f.Locations, "/"), f.OccurredAt}, " ")))
			}
			if s := strings.Join(got, ", "); s != tc.want {
				t.Errorf("%s\nwant %s", s, tc.want)
			}
		})
	}
}

// A reason says what must be declared.
func TestFlatReasons(t *testing.T) {
	for body, want := range map[string]string{
		"HDR,20261102,ACME\nLIN,A-1,4,EA\nLIN,A-2,5,EA\nTRL,2\n": "HDR, LIN, TRL): csv.records",
		"A-1,DC1,4\nA-2,DC1,5\n":                                 "csv.columns",
		"A-1       DC1   0000004\nA-2       DC1   0000005\n":     "fixed width",
		"sku,price\nA-1,9.90\n":                                  "price, sku",
	} {
		_, problems, err := Facts(t.Context(), flatSource(), []byte(body))
		if err != nil || len(problems) == 0 || !strings.Contains(problems[0].Reason, want) {
			t.Errorf("%q: %v, %+v", body, err, problems)
		}
	}
}
