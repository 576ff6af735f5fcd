package x12

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
)

// fill repeats a text up to the largest message.
func fill(head, part, tail string) []byte {
	n := (policy.MaxMessage - len(head) - len(tail)) / len(part)
	return []byte(head + strings.Repeat(part, n) + tail)
}

// TestBounds reads messages made to cost much: none allocates more than 64 MiB in
// all, which is more than it holds at any moment, nor takes more than a second.
func TestBounds(t *testing.T) {
	whole := interchange("*", ">", "~", aSet, 1)
	head := whole[:strings.Index(whole, "ST*")]
	isa := head[:strings.Index(head, "GS*")]
	short := "ISA" + strings.Repeat("*", 16) + ">~"
	many := strings.Repeat("ST~SE~", 49_000)
	for name, body := range map[string][]byte{
		"10^6 segments":                      fill(head+"ST*945*1~", "~A", "~"),
		"as many segments as are read":       []byte(head + "ST*945*1~" + strings.Repeat("A*b*c*d*e~", 99_000) + "SE*99002*1~"),
		"and long elements":                  []byte(head + "ST*945*1~" + strings.Repeat("A*bcdefg~", 99_000) + "SE*99002*1~"),
		"short elements":                     fill(head+"ST*945*1~A", "*b", "~SE*3*1~"),
		"a segment of empty elements":        fill(head+"ST*945*1~A", "*", "~SE*3*1~"),
		"segments of empty elements":         fill(head+"ST*945*1~", "A"+strings.Repeat("*", 999)+"~", ""),
		"segments of different elements":     []byte(head + "ST*945*1~" + different(900_000) + "SE*3*1~"),
		"one element":                        fill(head+"ST*945*1~A*", "b", "~SE*3*1~"),
		"sets":                               []byte(head + many),
		"sets in groups":                     fill(isa, "GS~ST~SE~", "")[:33_000*9],
		"sets without SE":                    []byte(head + strings.Repeat("ST~", 99_000)),
		"interchanges":                       fill("", short, ""),
		"interchanges of a set":              []byte(strings.Repeat(short+"ST~SE~", 9_900)),
		"ISA, no more":                       fill("", "ISA*", ""),
		"ISA with other separators":          fill("", "ISA!ISA#ISA%", ""),
		"line ends inside a segment":         fill(head+"ST*945*1~A*", "\n", "~SE*3*1~"),
		"segments that end at line ends":     fill(head+"ST*945*1~", "N1*A\n", "~SE*3*1~")[:400_000],
		"line ends and no terminator":        fill(head+"ST*945*1~", "N1*A\n", "")[:400_000],
		"a terminator that never comes":      fill(head+"ST*945*1~", "A", ""),
		"blanks":                             fill("", " ", ""),
		"NUL":                                fill(head, "\x00", ""),
		"bytes that are no UTF-8":            fill(head+"ST*945*1~A*", "\xff", "~SE*3*1~"),
		"separators of three bytes":          fill(strings.NewReplacer("*", "…", "~", "¶").Replace(head+"ST*945*1~A"), "…b", ""),
		"another interchange, shorter parts": []byte(whole + strings.NewReplacer("*", "|", "~", "\n").Replace(head) + strings.Repeat("A\n", 400_000)),
	} {
		t.Run(name, func(t *testing.T) {
			if len(body) > policy.MaxMessage {
				t.Fatalf("%d bytes", len(body))
			}
			least := time.Hour
			for range 3 { // the machine may be busy with something else
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				start := time.Now()
				n := 0
				for range Parse(body, &policy.Source{}) {
					n++
				}
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				if total := after.TotalAlloc - before.TotalAlloc; total > 64<<20 {
					t.Fatalf("%d MiB for %d bytes", total>>20, len(body))
				}
				if n == 0 {
					t.Fatal("nothing")
				}
				if least = min(least, took); raceEnabled || least < time.Second/2 {
					break
				}
			}
			if !raceEnabled && least > time.Second {
				t.Errorf("%v", least)
			}
		})
	}
}

// different are segments whose elements are all different.
func different(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		b.WriteString("A*")
		b.WriteByte(byte('a' + i%26))
		b.WriteByte(byte('a' + i/26%26))
		b.WriteByte(byte('a' + i/676%26))
		b.WriteByte(byte('a' + i/17576%26))
		b.WriteString("x*")
		b.WriteByte(byte('a' + i/7%26))
		b.WriteString("12345~")
	}
	return b.String()
}
