package feed

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestBookmark: a text says what was written, and any other text nothing.
func TestBookmark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 64).Draw(t, "partitions")
		b := &Bookmark{Topic: strings.Repeat("0a", 16), Moment: rapid.Uint32().Draw(t, "moment")}
		for range n {
			next := rapid.Int64Range(0, 1<<40).Draw(t, "next")
			b.Next = append(b.Next, next)
			b.Floor = append(b.Floor, next+rapid.Int64Range(0, 1<<20).Draw(t, "ahead"))
		}
		text := b.String()
		got, err := ParseBookmark(text)
		if err != nil || !reflect.DeepEqual(got, b) {
			t.Fatalf("%+v, %v, want %+v", got, err, b)
		}
		i := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		for _, bad := range []string{text[:i], text + "A", text[:i] + "!" + text[i+1:], text[:i] + string(text[i]^1) + text[i+1:]} {
			if got, err := ParseBookmark(bad); !errors.Is(err, ErrBookmark) {
				t.Fatalf("%s is %+v, %v", bad, got, err)
			}
		}
	})
}

// TestRing holds it against all that was ever added.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ring{buf: make([]Change, rapid.IntRange(1, 5).Draw(t, "size"))}
		var all []int64
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			r.add(Change{Offset: r.next + rapid.Int64Range(0, 2).Draw(t, "gap")})
			all = append(all, r.next-1)
			if rapid.Bool().Draw(t, "show") {
				r.visible = rapid.Int64Range(r.visible, r.next).Draw(t, "visible")
			}
			from := rapid.Int64Range(r.from, r.next).Draw(t, "from")
			var want, got []int64
			for _, o := range all {
				if o >= from && o < r.visible {
					want = append(want, o)
				}
			}
			next, whole := r.each(from, func(c *Change) bool {
				got = append(got, c.Offset)
				return true
			})
			if !whole || next != max(from, r.visible) || !reflect.DeepEqual(got, want) {
				t.Fatalf("from %d: %v up to %d, want %v", from, got, next, want)
			}
			if r.unseen > r.from {
				t.Fatalf("unseen %d beyond %d", r.unseen, r.from)
			}
		}
	})
}
