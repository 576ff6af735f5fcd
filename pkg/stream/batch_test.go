package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readBatches reads batches as the client does what a broker hands out.
func readBatches(wire []byte) ([]*Record, error) {
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.RecordBatches = wire
	fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: "t"}, &rp, kgo.DefaultDecompressor(), nil)
	return fp.Records, fp.Err
}

// batchOf holds the records, of which each must be as long as it was said to be.
func batchOf(t *testing.T, recs []*Record) *batch {
	t.Helper()
	b := new(batch)
	b.begin(nil)
	for i, rec := range recs {
		size, before := recordSize(rec, b.n), len(b.wire)
		b.add(rec, size)
		body, prefix := binary.Varint(b.wire[before:])
		if got := len(b.wire) - before - prefix; int(body) != size || got != size || prefix != varintSize(size) {
			t.Fatalf("record %d: its size is %d, that on the wire %d, and it takes %d", i, size, body, got)
		}
	}
	return b
}

// sameRecord tells what is not the same in what the processor decides of a record.
// Nothing and an empty value are two things.
func sameRecord(got, want *Record) error {
	same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	if !same(got.Key, want.Key) {
		return fmt.Errorf("key %.40q, want %.40q (nothing: %v, %v)", got.Key, want.Key, got.Key == nil, want.Key == nil)
	}
	if !same(got.Value, want.Value) {
		return fmt.Errorf("value %.40q, want %.40q (nothing: %v, %v)", got.Value, want.Value, got.Value == nil, want.Value == nil)
	}
	if !slices.EqualFunc(got.Headers, want.Headers, func(a, b RecordHeader) bool { return a.Key == b.Key && same(a.Value, b.Value) }) {
		return fmt.Errorf("headers %.80q, want %.80q", got.Headers, want.Headers)
	}
	return nil
}

func sameRecords(t *testing.T, got, want []*Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if err := sameRecord(got[i], want[i]); err != nil {
			t.Errorf("record %d: %v", i, err)
		}
	}
}

func compressorOf(t *testing.T, c Compression) kgo.Compressor {
	t.Helper()
	all, err := c.compressor()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// oddRecords are all that a record may be made of, with lengths on both sides of where
// their own length takes another byte.
func oddRecords() []*Record {
	recs := []*Record{
		{},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("k")},                     // a tombstone
		{Key: []byte("k"), Value: []byte{}},    // is not an empty value
		{Value: []byte("v"), Partition: 7},     // a partition is not the record's
		{Value: []byte("v"), Topic: "topic 1"}, // nor is a topic
		{Headers: []RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("2")}}},
		{Headers: []RecordHeader{{}, {Key: "nothing"}, {Key: "empty", Value: []byte{}}, {Value: []byte("no key")}}},
		{Key: []byte{0, 0xff, 0x80}, Value: []byte("\x00\x7f\xff"), Headers: []RecordHeader{{Key: "é\xff", Value: []byte{0}}}},
		{Headers: make([]RecordHeader, 64)},
	}
	for _, n := range []int{1, 62, 63, 64, 65, 127, 128, 8190, 8191, 8192, 8193, 1 << 20} {
		text := bytes.Repeat([]byte("stock "), n/6+1)[:n]
		recs = append(recs,
			&Record{Value: text}, &Record{Key: text}, &Record{Key: text[:1], Value: text},
			&Record{Headers: []RecordHeader{{Key: string(text)}}}, &Record{Headers: []RecordHeader{{Key: "h", Value: text}}})
	}
	for n := 50; n < 70; n++ { // the length of the record itself
		recs = append(recs, &Record{Value: make([]byte, n)})
	}
	for n := 8170; n < 8200; n++ {
		recs = append(recs, &Record{Value: make([]byte, n)})
	}
	return recs
}

var compressions = []Compression{"", CompressSnappy, CompressLz4, CompressZstd, CompressNone}

// What is sealed is what the client reads: the records, and who wrote them.
func TestBatchIsReadBack(t *testing.T) {
	want := oddRecords()
	for _, c := range compressions {
		t.Run("compression "+string(c), func(t *testing.T) {
			b := batchOf(t, want)
			s := stamp{producerID: producerID{math.MaxInt64 - 5, math.MaxInt16 - 1}, seq: math.MaxInt32 - 2, at: 1_700_000_000_123}
			wire, compressed := b.seal(nil, compressorOf(t, c), new(bytes.Buffer), s)
			if compressed != (c != CompressNone) {
				t.Errorf("compressed: %v", compressed)
			}
			var rb kmsg.RecordBatch
			if err := rb.ReadFrom(wire); err != nil {
				t.Fatal(err)
			}
			if rb.FirstOffset != 0 || int(rb.Length) != len(wire)-12 || rb.PartitionLeaderEpoch != -1 || rb.Magic != 2 ||
				rb.LastOffsetDelta != b.n-1 || rb.NumRecords != b.n || rb.FirstTimestamp != s.at || rb.MaxTimestamp != s.at ||
				rb.ProducerID != s.id || rb.ProducerEpoch != s.epoch || rb.FirstSequence != s.seq || rb.Attributes&^7 != 0x10 ||
				rb.CRC != int32(crc32.Checksum(wire[21:], crc32.MakeTable(crc32.Castagnoli))) {
				rb.Records = nil
				t.Errorf("header %+v", rb)
			}
			got, err := readBatches(wire)
			if err != nil {
				t.Fatal(err)
			}
			sameRecords(t, got, want)
			for i, rec := range got {
				if rec.Offset != int64(i) || rec.Timestamp.UnixMilli() != s.at || rec.ProducerID != s.id || rec.ProducerEpoch != s.epoch || !rec.Attrs.IsTransactional() {
					t.Fatalf("record %d: %+v", i, rec)
				}
			}
		})
	}
}

// A batch whose answer is lost is sealed again, and must then be the same.
func TestBatchIsSealedAgain(t *testing.T) {
	for _, c := range compressions {
		b := batchOf(t, oddRecords()[:20])
		var room bytes.Buffer
		s := stamp{producerID: producerID{7, 3}, seq: 11, at: 5}
		first, _ := b.seal(nil, compressorOf(t, c), &room, s)
		first = slices.Clone(first)
		again, _ := b.seal(make([]byte, 0, len(first)), compressorOf(t, c), &room, s)
		if !bytes.Equal(first, again) {
			t.Errorf("compression %q: %d bytes, then %d others", c, len(first), len(again))
		}
	}
}

// Whichever byte is another one on the way, the records are not taken.
func TestFlippedByteIsNoticed(t *testing.T) {
	for _, c := range []Compression{CompressNone, CompressSnappy} {
		b := batchOf(t, []*Record{{Key: []byte("key"), Value: bytes.Repeat([]byte("value"), 20)}, {Value: []byte("other")}})
		wire, _ := b.seal(nil, compressorOf(t, c), new(bytes.Buffer), stamp{producerID: producerID{id: 1}, seq: 5, at: 9})
		if _, err := readBatches(wire); err != nil {
			t.Fatal(err)
		}
		for i := 17; i < len(wire); i++ { // before that stands nothing of the producer's but lengths
			bad := slices.Clone(wire)
			bad[i] ^= 0x10
			if got, err := readBatches(bad); err == nil {
				t.Errorf("compression %q: byte %d is another one, and %d records are read", c, i, len(got))
			}
		}
	}
}

// Sequence numbers go on as brokers count them
// (org.apache.kafka.common.record.DefaultRecordBatch.incrementSequence).
func TestNextSeq(t *testing.T) {
	for _, c := range []struct{ seq, n, want int32 }{
		{0, 1, 1},
		{41, 1, 42},
		{math.MaxInt32 - 1, 1, math.MaxInt32},
		{math.MaxInt32, 1, 0},
		{math.MaxInt32, 2, 1},
		{math.MaxInt32 - 1, 3, 1},
		{math.MaxInt32, math.MaxInt32, math.MaxInt32 - 1},
		{0, math.MaxInt32, math.MaxInt32},
	} {
		if got := nextSeq(c.seq, c.n); got != c.want {
			t.Errorf("%d records behind %d is %d, want %d", c.n, c.seq, got, c.want)
		}
	}
}

// By default a batch that a sample says is not worth it is left as it is, and where it
// is; one that is small, or whose compression was asked for, is not sampled.
func TestCompressedWhereWorthwhile(t *testing.T) {
	noise := func(n, of int) []byte { // of each ten bytes so many are noise
		rng := rand.NewChaCha8([32]byte{1})
		b := make([]byte, n)
		_, _ = rng.Read(b)
		for i := range b {
			if i%100 >= 10*of {
				b[i] = 'x'
			}
		}
		return b
	}
	for _, tc := range []struct {
		name       string
		c          Compression
		value      []byte
		compressed bool
	}{
		{"text", "", bytes.Repeat([]byte("stock "), 20_000), true},
		{"noise", "", noise(100_000, 10), false},
		{"shrinks by two fifths", "", noise(100_000, 6), false},
		{"shrinks by two thirds", "", noise(100_000, 3), true},
		{"shrinks by two fifths, small", "", noise(4*sample-200, 6), true},
		{"shrinks by two fifths, asked for", CompressSnappy, noise(100_000, 6), true},
		{"noise, small", "", noise(1_000, 10), false},
		{"noise, asked for", CompressLz4, noise(100_000, 10), false},
		{"text, none", CompressNone, bytes.Repeat([]byte("stock "), 20_000), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := []*Record{{Value: tc.value}}
			b := batchOf(t, want)
			memory := make([]byte, 0, len(b.wire))
			wire, compressed := b.seal(memory, compressorOf(t, tc.c), new(bytes.Buffer), stamp{})
			if compressed != tc.compressed || (wire[22]&7 != 0) != tc.compressed || (len(wire) < len(b.wire)) != tc.compressed {
				t.Errorf("compressed %v, attributes %x, %d bytes of %d", compressed, wire[22], len(wire), len(b.wire))
			}
			if in := &wire[0] == &memory[:1][0]; in != tc.compressed {
				t.Errorf("compressed %v, stands in the memory given: %v", compressed, in)
			}
			got, err := readBatches(wire)
			if err != nil {
				t.Fatal(err)
			}
			sameRecords(t, got, want)
		})
	}
}

// FuzzBatch makes records of the input, and a batch of the records: it is read back as
// it was.
func FuzzBatch(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add([]byte("\x00\x01a\x02bc\x03\x04head\x00\x00\xff"), uint8(1))
	f.Add(bytes.Repeat([]byte{1, 0, 1, 63, 1, 64, 1, 65}, 300), uint8(2))
	f.Add(bytes.Repeat([]byte{9, 0xff}, 500), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, how uint8) {
		next := func() (n int) {
			if len(in) > 0 {
				n, in = int(in[0]), in[1:]
			}
			return n
		}
		piece := func() []byte { // of up to 16 KiB
			kind := next()
			if kind%4 == 0 {
				return nil
			}
			n := next()
			if kind%4 == 1 {
				n <<= 6
			}
			if kind%4 == 2 && n <= len(in) {
				b := in[:n:n]
				in = in[n:]
				return b
			}
			return bytes.Repeat([]byte{byte(kind)}, n)
		}
		var want []*Record
		for len(in) > 0 && len(want) < 500 {
			rec := &Record{Key: piece(), Value: piece()}
			for range next() % 5 {
				rec.Headers = append(rec.Headers, RecordHeader{Key: string(piece()), Value: piece()})
			}
			want = append(want, rec)
		}
		if len(want) == 0 {
			return // there is no empty batch
		}
		b := batchOf(t, want)
		wire, _ := b.seal(nil, compressorOf(t, compressions[int(how)%len(compressions)]), new(bytes.Buffer), stamp{producerID: producerID{1, 2}, seq: 3, at: 4})
		got, err := readBatches(wire)
		if err != nil {
			t.Fatal(err)
		}
		sameRecords(t, got, want)
	})
}
