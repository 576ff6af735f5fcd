package event

import "testing"

func TestCopyOf(t *testing.T) {
	hs := AppendCopyOf([]Header{{Key: "ce_id", Value: []byte("x")}}, 1234, 1_790_000_000_123)
	if offset, at, ok := ParseCopyOf(hs); !ok || offset != 1234 || at != 1_790_000_000_123 {
		t.Fatalf("read back as %d, %d, %v", offset, at, ok)
	}
	for _, v := range []string{"", "12", "x 12", "-1 12", "12 0", "12 x", "12 13 14"} {
		if _, _, ok := ParseCopyOf([]Header{{Key: CopyOf, Value: []byte(v)}}); ok {
			t.Errorf("%q is taken for a copy", v)
		}
	}
	if _, _, ok := ParseCopyOf([]Header{{Key: "other", Value: []byte("1 2")}}); ok {
		t.Error("a record without the header is taken for a copy")
	}
}
