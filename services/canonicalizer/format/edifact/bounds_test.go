package edifact

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
	head := unb + "UNH+1+X:D:96A:UN'"
	head4 := strings.Replace(head, "UNOC:3", "UNOC:4", 1)
	short := "UNB+'"
	for name, body := range map[string][]byte{
		"10^6 segments":                  fill(head, "A'", ""),
		"as many segments as are read":   []byte(head + strings.Repeat("A+b+c+d+e'", 99_000) + "UNT+99002+1'"),
		"of composites":                  []byte(head + strings.Repeat("A+b:c:d+e'", 99_000) + "UNT+99002+1'"),
		"short elements":                 fill(head, "A"+strings.Repeat("+b", 999)+"'", ""),
		"short composites":               fill(head, "A"+strings.Repeat("+b:c", 999)+"'", ""),
		"long composites":                fill(head, "A"+strings.Repeat("+"+strings.Repeat(":", 99), 999)+"'", ""),
		"repetitions":                    fill(head4, "A"+strings.Repeat("+b*c", 999)+"'", ""),
		"long repetitions":               fill(head4, "A"+strings.Repeat("+"+strings.Repeat("*", 99), 999)+"'", ""),
		"repetitions of composites":      fill(head4, "A"+strings.Repeat("+a:b*a:b", 999)+"'", ""),
		"an element of components":       fill(head+"A+", ":", "'UNT+3+1'"),
		"an element of repetitions":      fill(head4+"A+", "*", "'UNT+3+1'"),
		"a segment of elements":          fill(head+"A", "+", "'UNT+3+1'"),
		"one element":                    fill(head+"A+", "b", "'UNT+3+1'"),
		"release characters":             fill(head+"A+", "?", "'UNT+3+1'"),
		"released terminators":           fill(head+"A+", "?'", "'UNT+3+1'"),
		"released release characters":    fill(head, "??'", ""),
		"release characters, no end":     fill(head+"A+", "??????????'?", ""),
		"elements with a release":        fill(head, "A"+strings.Repeat("+?b", 999)+"'", ""),
		"messages":                       []byte(unb + strings.Repeat("UNH'UNT'", 24_900)),
		"messages of versions":           []byte(unb + strings.Repeat("UNH++:1'UNT'UNH++:2'UNT'", 12_450)),
		"messages without UNT":           []byte(unb + strings.Repeat("UNH'", 24_900)),
		"messages without UNH":           []byte(unb + strings.Repeat("A'UNT'", 49_000)),
		"groups":                         []byte(unb + strings.Repeat("UNG'UNH'UNT'", 24_900)),
		"interchanges":                   fill("", short, ""),
		"interchanges of a message":      []byte(strings.Repeat(short+"UNH'UNT'", 9_900)),
		"service string advices":         fill("", "UNA:+.? '", ""),
		"UNB, no more":                   fill("", "UNB!", ""),
		"line ends inside a segment":     fill(head+"A+", "\n", "'UNT+3+1'"),
		"segments that end at line ends": fill(head, "LIN+A\n", "")[:450_000],
		"a terminator that never comes":  fill(head, "A", ""),
		"blanks":                         fill("", " ", ""),
		"NUL":                            fill(head, "\x00", ""),
		"bytes that are no UTF-8":        fill(head+"A+", "\xff", "'UNT+3+1'"),
		"and in no set":                  fill(strings.Replace(head, "UNOC", "UNOW", 1), "A+\xff'", "UNT+3+1'")[:390_000],
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
