package policy

import (
	"errors"
	"strings"
	"testing"
)

func TestAcks(t *testing.T) {
	for _, tc := range []struct {
		acks Acks
		src  Source
		want string // fields at fault
	}{
		{Acks{}, Source{Format: FormatJSON}, ""},
		{Acks{X12: "997", TA1: "always"}, Source{Format: FormatX12}, ""},
		{Acks{X12: "999"}, Source{Format: FormatX12}, ""},
		{Acks{CONTRL: true}, Source{Format: FormatEDIFACT}, ""},
		{Acks{X12: "998", TA1: "never"}, Source{Format: FormatX12}, "acks.x12 acks.ta1"},
		{Acks{TA1: "error"}, Source{Format: FormatX12}, "acks.ta1"},
		{Acks{X12: "997", CONTRL: true}, Source{Format: FormatCSV}, "acks.x12 acks.contrl"},
		{Acks{X12: "997"}, Source{Format: FormatX12, X12: X12{Bare: true}}, "acks.x12"},
	} {
		var got []string
		for _, err := range tc.acks.validate(&tc.src) {
			f, ok := errors.AsType[*Fault](err)
			if !ok {
				t.Fatal(err)
			}
			got = append(got, f.Field)
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%+v of %s: %q, want %q", tc.acks, tc.src.Format, s, tc.want)
		}
	}
}
