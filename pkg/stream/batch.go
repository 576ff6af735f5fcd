package stream

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"

	"github.com/twmb/franz-go/pkg/kgo"
)

// batch is a record batch under way: room for its header, and its records one behind the
// other, as the log's format has them (Kafka protocol, "Record Batch", magic 2). The header
// is made when it is sealed. All its records bear one timestamp.
type batch struct {
	wire    []byte
	n       int32
	largest origin // of the largest record
	size    int    // of that record's body
}

// origin is the input record an output comes of.
type origin struct {
	part   int32
	offset int64
	shared bool // other records of the transaction may have led to it as well
}

const (
	batchHeader  = 61 // bytes before the records
	batchUncount = 12 // bytes that the batch's own length does not count
	batchChecked = 21 // from there on the checksum covers it
	batchMagic   = 2

	attrTransactional = 0x10
)

// recordSize is the length of a record's body as the n-th of its batch.
func recordSize(rec *Record, n int32) int {
	// Attributes and the difference of time are a byte each.
	size := 2 + varintSize(int(n)) + bytesSize(rec.Key) + bytesSize(rec.Value) + varintSize(len(rec.Headers))
	for i := range rec.Headers {
		h := &rec.Headers[i]
		size += varintSize(len(h.Key)) + len(h.Key) + bytesSize(h.Value)
	}
	return size
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(len(b)) + len(b)
}

// varintSize is the length of a number that is not negative as a zigzag varint.
func varintSize(n int) int { return (bits.Len(uint(n)<<1|1) + 6) / 7 } //nolint:gosec // not negative

// add appends a record whose body has that size.
func (b *batch) add(rec *Record, size int) {
	buf := binary.AppendVarint(b.wire, int64(size))
	buf = append(buf, 0, 0) // attributes, difference of time
	buf = binary.AppendVarint(buf, int64(b.n))
	buf = appendBytes(buf, rec.Key)
	buf = appendBytes(buf, rec.Value)
	buf = binary.AppendVarint(buf, int64(len(rec.Headers)))
	for i := range rec.Headers {
		h := &rec.Headers[i]
		buf = binary.AppendVarint(buf, int64(len(h.Key)))
		buf = append(buf, h.Key...)
		buf = appendBytes(buf, h.Value)
	}
	b.wire = buf
	b.n++
}

func appendBytes(dst, b []byte) []byte {
	if b == nil { // -1: a tombstone is not an empty value
		return append(dst, 1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

// stamp is who writes a batch, and as the how manieth record of its epoch.
type stamp struct {
	producerID
	seq int32
	at  int64 // of all records, Unix ms
}

// begin makes the memory that of an empty batch.
func (b *batch) begin(memory []byte) {
	*b = batch{wire: append(memory[:0], make([]byte, batchHeader)...)}
}

// seal returns the batch as it is sent. Where that makes it shorter it is compressed, and
// stands in memory; else it stands where it stood. A nil compressor compresses nothing.
func (b *batch) seal(memory []byte, c kgo.Compressor, room *bytes.Buffer, s stamp) (wire []byte, compressed bool) {
	codec := kgo.CodecNone
	wire = b.wire
	if c != nil {
		room.Reset()
		if short, by := c.Compress(room, wire[batchHeader:]); len(short) < len(wire)-batchHeader {
			wire, codec, compressed = append(append(memory, wire[:batchHeader]...), short...), by, true
		}
	}
	h := wire[:batchHeader]
	clear(h) // the first offset, 0, is the broker's
	be := binary.BigEndian
	be.PutUint32(h[8:], uint32(len(wire)-batchUncount)) //nolint:gosec // a batch's limit is an int32
	be.PutUint32(h[12:], math.MaxUint32)                // leader epoch: the broker's
	h[16] = batchMagic
	be.PutUint16(h[21:], attrTransactional|uint16(codec)) //nolint:gosec // three bits
	be.PutUint32(h[23:], uint32(b.n-1))                   //nolint:gosec // bits of a number, as what follows
	be.PutUint64(h[27:], uint64(s.at))                    //nolint:gosec // the first timestamp
	be.PutUint64(h[35:], uint64(s.at))                    //nolint:gosec // and the last
	be.PutUint64(h[43:], uint64(s.id))                    //nolint:gosec // producer
	be.PutUint16(h[51:], uint16(s.epoch))                 //nolint:gosec // and its epoch
	be.PutUint32(h[53:], uint32(s.seq))                   //nolint:gosec // and the first sequence number
	be.PutUint32(h[57:], uint32(b.n))                     //nolint:gosec // records
	be.PutUint32(h[17:], crc32.Checksum(wire[batchChecked:], crc32.MakeTable(crc32.Castagnoli)))
	return wire, compressed
}

// nextSeq is the sequence number n records behind seq: it starts anew behind the largest.
func nextSeq(seq, n int32) int32 {
	return int32((int64(seq) + int64(n)) & math.MaxInt32) //nolint:gosec // 31 bits
}
