package inventory

import "testing"

// TestKeyAppend: a key is appended as it is written.
func TestKeyAppend(t *testing.T) {
	for _, k := range []Key{{}, {"acme", "SKU-1"}, {"a|b", "c%d"}, {"a", "b|c"}, {"a\x00", "\x7f"}} {
		if got := string(k.Append([]byte("x"))); got != "x"+k.String() {
			t.Errorf("%q is appended as %q", k.String(), got)
		}
	}
}
