package gs1

import (
	"errors"
	"testing"
)

// Numbers and pairs of forms that GS1 publishes: General Specifications §7.9, EPC
// Tag Data Standard §7, Digital Link.
func TestParse(t *testing.T) {
	for s, want := range map[string]ID{
		"urn:epc:id:sgtin:0614141.812345.6789":                                    {GTIN, "80614141123458", "", "6789"},
		"urn:epc:id:sgtin:0614141.112345.400":                                     {GTIN, "10614141123459", "", "400"},
		"urn:epc:id:sgtin:0614141.107346.32a%2Fb":                                 {GTIN, "10614141073464", "", "32a/b"},
		"urn:epc:idpat:sgtin:4012345.098765.*":                                    {GTIN, "04012345987652", "", ""},
		"urn:epc:class:lgtin:4012345.012345.998877":                               {GTIN, "04012345123456", "998877", ""},
		"urn:epc:id:sgln:0614141.12345.400":                                       {GLN, "0614141123452", "", "400"},
		"urn:epc:id:sgln:0614141.07346.0":                                         {GLN, "0614141073467", "", ""},
		"urn:epc:id:pgln:0614141.12345":                                           {GLN, "0614141123452", "", ""},
		"urn:epc:id:sscc:0614141.1234567890":                                      {SSCC, "106141412345678908", "", ""},
		"urn:epc:id:grai:0614141.12345.400":                                       {GRAI, "0614141123452", "", "400"},
		"urn:epc:id:giai:0614141.12345400":                                        {GIAI, "061414112345400", "", ""},
		"urn:epc:id:gdti:0614141.12345.400":                                       {GDTI, "0614141123452", "", "400"},
		"urn:epc:id:gsrn:0614141.1234567890":                                      {GSRN, "061414112345678902", "", ""},
		"https://id.gs1.org/01/70614141123451/10/998877":                          {GTIN, "70614141123451", "998877", ""},
		"https://example.com/x/01/09506000134352/22/2A/10/ABC/21/1%2F2?17=261231": {GTIN, "09506000134352", "ABC", "1/2"},
		"http://id.gs1.org/01/9506000134352":                                      {GTIN, "09506000134352", "", ""},
		"https://id.gs1.org/00/106141412345678908":                                {SSCC, "106141412345678908", "", ""},
		"https://id.gs1.org/414/0614141123452/254/400":                            {GLN, "0614141123452", "", "400"},
		"https://id.gs1.org/417/0614141123452":                                    {GLN, "0614141123452", "", ""},
		"https://id.gs1.org/8003/00614141123452400":                               {GRAI, "0614141123452", "", "400"},
		"https://id.gs1.org/8004/061414112345400":                                 {GIAI, "061414112345400", "", ""},
		"https://id.gs1.org/253/0614141123452400":                                 {GDTI, "0614141123452", "", "400"},
		"https://x.example/00/7/01/09506000134352":                                {GTIN, "09506000134352", "", ""},
		"(01)09506000134352(10)ABC(21)12":                                         {GTIN, "09506000134352", "ABC", "12"},
		"(10)ABC(01)09506000134352":                                               {GTIN, "09506000134352", "ABC", ""},
		" (00)106141412345678908 ":                                                {SSCC, "106141412345678908", "", ""},
		"(414)0614141123452(254)400":                                              {GLN, "0614141123452", "", "400"},
		"(8018)061414112345678902":                                                {GSRN, "061414112345678902", "", ""},
	} {
		if got, err := Parse(s); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", s, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for s, want := range map[string]error{
		"":                                     ErrNotGS1,
		"SKU-1":                                ErrNotGS1,
		"urn:uuid:374d95fc-9457-4a51-bd6a-0bb": ErrNotGS1,
		"urn:epc:id:usdod:2S194.12345678901":   ErrNotGS1,
		"urn:epc:id:":                          ErrNotGS1,
		"https://example.com/product/7":        ErrNotGS1,
		"https://example.com/%zz":              ErrNotGS1,
		"(99)x":                                ErrNotGS1,
		"(01)":                                 ErrBad,
		"(01x)1":                               ErrNotGS1,
		"urn:epc:id:sgtin:0614141.81234.6789":  ErrBad, // a digit short
		"urn:epc:id:sgtin:0614141.812345":      ErrBad,
		"urn:epc:id:sgtin:0614141.812345.":     ErrBad,
		"urn:epc:id:sgtin:0614141.812345.%zz":  ErrBad,
		"urn:epc:id:sgtin:06141.81234567.1":    ErrBad,
		"urn:epc:id:sgtin:061414A.812345.1":    ErrBad,
		"urn:epc:id:sgtin:0614141812345..1":    ErrBad,
		"urn:epc:idpat:sgtin:0614141.812345.7": ErrBad,
		"https://id.gs1.org/01/70614141123452": ErrBad, // check digit
		"https://id.gs1.org/00/1061414123456":  ErrBad,
		"https://id.gs1.org/414/0614141123453": ErrBad,
		"(8003)106141411234521":                ErrBad,
		"(253)06141411234":                     ErrBad,
		"(8004)1":                              ErrBad,
	} {
		if got, err := Parse(s); !errors.Is(err, want) {
			t.Errorf("%s: %+v %v, want %v", s, got, err, want)
		}
	}
}

func TestCheckDigits(t *testing.T) {
	for _, s := range []string{"4006381333931", "036000291452", "73513537", "96385074", "09506000134352", "106141412345678908", "0614141123452", "9501101530003"} {
		if !Valid(s) {
			t.Errorf("%s is right", s)
		}
		for d := byte('0'); d <= '9'; d++ {
			if other := s[:len(s)-1] + string(d); d != s[len(s)-1] && Valid(other) {
				t.Errorf("%s is wrong", other)
			}
		}
	}
	for s, want := range map[string]string{"73513537": "00000073513537", "036000291452": "00036000291452", "4006381333931": "04006381333931", "4006381333932": "", "123": "", "": "", "400638133393x": ""} {
		if got, _ := GTIN14(s); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}

// An identifier that is taken has the length of its type and a right check digit.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"urn:epc:id:sgtin:0614141.812345.6789", "https://id.gs1.org/01/70614141123451/10/998877", "(01)09506000134352(10)A", "urn:epc:id:giai:0614141.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err != nil {
			return
		}
		if n := map[string]int{GTIN: 14, GLN: 13, SSCC: 18, GRAI: 13, GDTI: 13, GSRN: 18}[id.Type]; n > 0 && (len(id.Value) != n || !Valid(id.Value)) {
			t.Fatalf("%q: %+v", s, id)
		}
	})
}
