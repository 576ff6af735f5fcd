package stream

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecyclerClasses(t *testing.T) {
	for n := 1; n < 40<<20; n += 1 + n/7 {
		c := classOf(n)
		if c >= recycleClasses {
			if n <= classSize(recycleClasses-1) {
				t.Errorf("%d has no class", n)
			}
			continue
		}
		if size := classSize(c); size < n || n > recycleLeast && size > n+n/4+1 {
			t.Errorf("%d is served by %d", n, size)
		}
		if got := classOf(classSize(c)); got != c {
			t.Errorf("class %d of %d comes back as %d", c, classSize(c), got)
		}
	}
}

// What the client asks for must have room for the whole batch, and nothing must be
// kept whose capacity is not that of a class: the client grows what is too small and
// gives that back.
func TestRecyclerLendsWhatABatchNeeds(t *testing.T) {
	var r recycler
	batch := bytes.Repeat([]byte("stock"), 5_000)
	packed := snappy(t, batch)
	if got := cap(r.GetDecompressBytes(packed, kgo.CodecSnappy)); got < len(batch) {
		t.Errorf("%d bytes for %d", got, len(batch))
	}
	for _, c := range []struct {
		packed []byte
		codec  kgo.CompressionCodecType
	}{
		{packed, kgo.CodecLz4},
		{nil, kgo.CodecSnappy},
		{[]byte{0}, kgo.CodecSnappy},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, kgo.CodecSnappy}, // says it unpacks to more than is allowed
	} {
		if got := r.GetDecompressBytes(c.packed, c.codec); got != nil {
			t.Errorf("%d bytes for % x as %v", cap(got), c.packed, c.codec)
		}
	}
	r.PutDecompressBytes(make([]byte, 0, 1_000))
	if got := cap(r.GetDecompressBytes(snappy(t, make([]byte, 900)), kgo.CodecSnappy)); got != 1024 {
		t.Errorf("%d bytes from a foreign slice", got)
	}
	if got := cap(r.GetRecords(700)); got != 768 {
		t.Errorf("%d records for 700", got)
	}
}

func snappy(t *testing.T, b []byte) []byte {
	t.Helper()
	c, err := kgo.DefaultCompressor(kgo.SnappyCompression())
	if err != nil {
		t.Fatal(err)
	}
	packed, codec := c.Compress(new(bytes.Buffer), b)
	if codec != kgo.CodecSnappy {
		t.Fatal(codec)
	}
	return packed
}
