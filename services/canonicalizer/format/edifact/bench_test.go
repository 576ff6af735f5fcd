package edifact

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

// bigMessage is a DESADV of about a megabyte.
func bigMessage() []byte {
	var b strings.Builder
	n := 0
	for b.Len() < 1_000_000 {
		n++
		fmt.Fprintf(&b, "LIN+%d++54100131%05d:EN'\nPIA+1+SKU-%06d:SA::91'\nIMD+F++:::CHOCOLATE BAR 100G'\nQTY+12:%d:PCE'\nRFF+ON:PO-%08d:%d'\n", n, n%99999, n*7, n%90, n, n)
	}
	return []byte(unb + "UNH+1+DESADV:D:96A:UN:EAN005'\nBGM+351+D1+9'\n" + b.String() + fmt.Sprintf("UNT+%d+1'\nUNZ+1+7'\n", n*5+3))
}

func BenchmarkParse(b *testing.B) {
	body := bigMessage()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		for u := range Parse(body, &policy.Source{}) {
			if u.Fault != nil {
				b.Fatal(u.Fault)
			}
		}
	}
}

// BenchmarkRead is the envelopes alone.
func BenchmarkRead(b *testing.B) {
	body := bigMessage()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if in, faults := Read(body); len(in) != 1 || len(faults) != 0 {
			b.Fatal(faults)
		}
	}
}
