package stream

import (
	"bytes"
	"testing"
)

// A replaced value's memory serves a later value, and never one that still stands.
func TestRoomIsOfReplacedValuesOnly(t *testing.T) {
	st := NewState("g")
	put := func(key string, b byte, n int) {
		st.Put(key, append(st.Room(n), bytes.Repeat([]byte{b}, n)...))
	}
	put("a", 'a', 100)
	put("b", 'b', 100)
	st.Merge()
	first := &st.Get("a")[0]

	put("a", 'A', 120)
	if &st.Get("a")[0] == first {
		t.Fatal("a staged value stands in the memory of the committed one")
	}
	st.Drop() // an abort: the committed value is as it was
	if got := st.Get("a"); !bytes.Equal(got, bytes.Repeat([]byte{'a'}, 100)) {
		t.Fatalf("after an abort a is %q", got)
	}

	put("a", 'A', 120)
	st.Merge() // the first value is no more
	put("c", 'c', 128)
	st.Merge()
	if &st.Get("c")[0] != first {
		t.Error("the memory of a replaced value was not used again")
	}
	for key, want := range map[string][]byte{"a": bytes.Repeat([]byte{'A'}, 120), "b": bytes.Repeat([]byte{'b'}, 100), "c": bytes.Repeat([]byte{'c'}, 128)} {
		if got := st.Get(key); !bytes.Equal(got, want) {
			t.Errorf("%s is %q", key, got)
		}
	}

	same := st.Get("a")
	st.Put("a", same) // what was read is put again
	st.Merge()
	put("d", 'd', 128)
	if got := st.Get("a"); !bytes.Equal(got, bytes.Repeat([]byte{'A'}, 120)) {
		t.Errorf("a value put again is %q", got)
	}
}

// A class serves what is at most its capacity, and no class before it does.
func TestSpareClass(t *testing.T) {
	sizes := []int{64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048}
	if len(sizes) != spareClasses {
		t.Fatalf("%d classes", spareClasses)
	}
	for n := 1; n <= 2100; n++ {
		want := 0
		for want < len(sizes) && sizes[want] < n {
			want++
		}
		if got := spareClass(n); got != want {
			t.Fatalf("%d bytes are of class %d, not %d", n, got, want)
		}
		if want < len(sizes) && spareSize(want) != sizes[want] {
			t.Fatalf("class %d has %d bytes", want, spareSize(want))
		}
	}
	var s spare
	for n := 64; n < 4096; n += 7 { // memory of any capacity goes where it is large enough
		s.take(make([]byte, 0, n), nil)
	}
	for c, kept := range s.classes {
		for _, b := range kept {
			if cap(b) < spareSize(c) || cap(b) >= 2*spareSize(c) {
				t.Fatalf("%d bytes in class %d", cap(b), c)
			}
		}
	}
}
