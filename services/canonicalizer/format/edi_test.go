package format

import (
	"fmt"
	"strings"
	"testing"
)

// TestValues makes values that share memory and never each other's content.
func TestValues(t *testing.T) {
	var v Values
	for range 2 {
		for i := range 10_000 {
			if s := fmt.Sprint(i); v.Text(s) != s {
				t.Fatalf("%s became %v", s, v.Text(s))
			}
		}
	}
	if v.Text("") != nil || v.Text("longer than four") != "longer than four" {
		t.Error("empty, or long")
	}
	a, b := v.List(2, 100), v.List(3, 100)
	a = append(a, "behind a")
	for i := range b {
		if b[i] != nil {
			t.Errorf("b[%d] is %v", i, b[i])
		}
	}
	if len(a) != 3 || len(b) != 3 || len(v.List(10_000, 1)) != 10_000 {
		t.Error("lengths")
	}
}

func TestUnwrap(t *testing.T) {
	line := strings.Repeat("x", 80)
	for _, tc := range []struct{ in, out string }{
		{"", ""},
		{line, line},
		{line + "\n" + line, line + "\n" + line}, // one line end proves nothing
		{line + "\n" + line + "\n" + "end", line + line + "end"},
		{line + "\r\n" + line + "\r\n" + "end\r\n", line + line + "end"},
		{line + "\n" + line + "\n" + line + "\n\n", line + line + line},
		{line + "\n" + line[1:] + "\n" + line, line + "\n" + line[1:] + "\n" + line},
		{line + "\n" + line + "y\n" + "end", line + "\n" + line + "y\n" + "end"},
		{"short\nshort\nshort\n", "short\nshort\nshort\n"},
	} {
		if got := Unwrap(tc.in); got != tc.out {
			t.Errorf("%q: %q, want %q", tc.in, got, tc.out)
		}
	}
}

func TestTornAt(t *testing.T) {
	for _, tc := range []struct{ in, first, second string }{
		{"N1*ST*A\r\n  N3*B", "N1*ST*A\r", "N3*B"},
		{"N1*A\n\n\t N10*B", "N1*A", "N10*B"},
		{"REF*A\nand more\nQTY*17", "REF*A\nand more", "QTY*17"},
		{"REF*A\nand more*text", "", ""},
		{"REF*A\nABCD*B", "", ""}, // four letters are no tag
		{"REF*A\nA*B", "", ""},
		{"REF*A\n12*B", "", ""},
		{"REF*A\nQTY:17", "", ""},
		{"REF*A\n", "", ""},
		{"REF*A", "", ""},
	} {
		end, next := TornAt(tc.in, "*")
		if tc.first == "" {
			if end >= 0 {
				t.Errorf("%q is torn at %d", tc.in, end)
			}
			continue
		}
		if end < 0 || tc.in[:end] != tc.first || tc.in[next:] != tc.second {
			t.Errorf("%q: %d, %d", tc.in, end, next)
		}
	}
}
