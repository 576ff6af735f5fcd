package atp

import (
	"bytes"
	"fmt"
	"testing"
)

// What was kept stays as it is while more is cut, however large it was; after a
// reset the same memory is handed out again.
func TestArena(t *testing.T) {
	var a arena
	for range 3 {
		var kept [][]byte
		for i := range 3000 {
			want := bytes.Repeat([]byte{byte(i)}, i%(2*roomBytes))
			b := a.keep(append(a.room(), want...))
			hs, buf := a.headerRoom(), a.room()
			buf = append(buf, fmt.Sprint(i)...)
			a.keep(buf)
			a.keepHeaders(hs)
			kept = append(kept, b)
		}
		for i, b := range kept {
			if !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, i%(2*roomBytes))) {
				t.Fatalf("output %d has changed", i)
			}
		}
		a.reset()
	}
	if n := len(a.bytes.all); n > keepChunks {
		t.Errorf("%d chunks are kept", n)
	}
	first := a.keep(append(a.room(), 'x'))
	a.reset()
	if again := a.keep(append(a.room(), 'y')); &first[0] != &again[0] {
		t.Error("memory is not used again")
	}
}
