package x12

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

// bigMessage is a 945 of about a megabyte, as a warehouse writes it.
func bigMessage() []byte {
	var b strings.Builder
	n := 0
	for b.Len() < 1_000_000 {
		n++
		fmt.Fprintf(&b, "LX*%d~\nW12*CC*%d*%d**EA*0123456%05d*VN*SKU-%06d**LOT%d~\nN9*PO*PO-%08d~\nN9*2I*1Z%016d~\n", n, n%90+1, n%90, n, n*7, n%13, n*3, n*11)
	}
	set := "ST*945*0001~\nW06*N*ORDER-1*20261102*SHIP-1~\n" + b.String() + fmt.Sprintf("SE*%d*0001~\n", n*4+3)
	return []byte(interchange("*", ">", "~", set, 1))
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

// BenchmarkRead is the envelopes alone: what the segments cost before their tree.
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
