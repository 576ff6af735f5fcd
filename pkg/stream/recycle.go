package stream

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A recycler lends the client the memory that it unpacks fetched batches into, and
// takes it back when the transaction that read them has committed: a worker reads
// hundreds of megabytes a minute, which would otherwise all be garbage, each page of
// it touched for the first time. What the collector finds unused goes.
type recycler struct {
	bytes   [recycleClasses]sync.Pool // of *[]byte
	records [recycleClasses]sync.Pool // of *[]Record
}

// Class c holds capacities from recycleLeast<<c/4 on, in steps of a quarter: memory
// is cleared when it is taken back, all of it, so little may be left over.
const (
	recycleLeast   = 64
	recycleClasses = 4 * 18 // up to 16 Mi
)

// classSize is the capacity that serves all sizes of a class.
func classSize(c int) int { return (4 + c%4) * (recycleLeast / 4) << (c / 4) }

// classOf is the class that serves a size; recycleClasses or more for none.
func classOf(n int) int {
	if n <= recycleLeast {
		return 0
	}
	shift := bits.Len(uint(n-1)) - 3 // n-1 is 1xx in binary, and shift bits behind these
	return (shift-4)*4 + (n-1)>>shift - 3
}

// GetDecompressBytes is the client's: memory for what a batch unpacks to, or none
// where its size is not known before.
func (r *recycler) GetDecompressBytes(compressed []byte, codec kgo.CompressionCodecType) []byte {
	if codec != kgo.CodecSnappy {
		return nil
	}
	n, used := binary.Uvarint(compressed) // of the raw format; framed ones begin with 0x82, and are far off
	if used <= 0 || n == 0 || n > maxDecompressed {
		return nil
	}
	return take[byte](&r.bytes, int(n))
}

// PutDecompressBytes is the client's.
func (r *recycler) PutDecompressBytes(b []byte) { give(&r.bytes, b) }

// GetRecords is the client's.
func (r *recycler) GetRecords(n int) []Record { return take[Record](&r.records, n) }

// PutRecords is the client's.
func (r *recycler) PutRecords(rs []Record) { give(&r.records, rs) }

func take[T any](pools *[recycleClasses]sync.Pool, n int) []T {
	c := classOf(n)
	if c >= recycleClasses {
		return nil
	}
	if s, ok := pools[c].Get().(*[]T); ok {
		return *s
	}
	return make([]T, 0, classSize(c))
}

func give[T any](pools *[recycleClasses]sync.Pool, s []T) {
	c := classOf(cap(s))
	if c >= recycleClasses || classSize(c) != cap(s) {
		return // not ours
	}
	s = s[:0]
	pools[c].Put(&s)
}
