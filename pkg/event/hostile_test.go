package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"reflect"
	"runtime"
	"testing"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

// TestTruncated: every sample, cut at every byte, is refused whole.
func TestTruncated(t *testing.T) {
	for _, s := range samples(testCodecs(t)) {
		value, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		from := 0
		if s.topic == TopicState && s.name != "state-header" {
			from = 1 // of length 0 it is a tombstone
		}
		for n := from; n < len(value); n++ {
			got, err := s.decode(value[:n])
			if !errors.Is(err, ErrUndecodable) || !reflect.ValueOf(got).Elem().IsZero() {
				t.Fatalf("%s cut at %d of %d: %+v, %v", s.name, n, len(value), got, err)
			}
		}
		if _, err := s.decode(append(value, 0)); !errors.Is(err, ErrUndecodable) {
			t.Errorf("%s with a byte too many: %v", s.name, err)
		}
	}
}

func TestUnknownSchema(t *testing.T) {
	c := testCodecs(t)
	value, err := c.AppendOutcome(nil, &inv.Outcome{})
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(value[1:], 4711)
	var o inv.Outcome
	if err := c.DecodeOutcome(value, &o); !errors.Is(err, ErrUndecodable) || !errors.Is(err, ErrUnknownSchema) {
		t.Errorf("unknown id: %v", err)
	}
	// Of another topic is unknown too.
	offer, err := c.AppendOffer(nil, &Offer{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DecodeOutcome(offer, &o); !errors.Is(err, ErrUnknownSchema) {
		t.Errorf("an offer as an outcome: %v", err)
	}
	if err := c.DecodeOutcome([]byte(`{"kind":"applied"}`), &o); !errors.Is(err, ErrUndecodable) || errors.Is(err, ErrUnknownSchema) {
		t.Errorf("JSON: %v", err)
	}
}

// receiptWith is a receipt whose event_ids are the given bytes.
func receiptWith(t *testing.T, c *Codecs, eventIDs []byte) []byte {
	t.Helper()
	value, err := c.AppendReceipt(nil, &Receipt{RawID: "r", Source: "s", EventIDs: nil})
	if err != nil {
		t.Fatal(err)
	}
	var w writer
	w.text("receipt")
	w.some()
	w.text("r")
	w.text("s")
	w.long(0)
	at := prefixSize + len(w.b)
	return bytes.Join([][]byte{value[:at], eventIDs, value[at+1:]}, nil)
}

func longs(vs ...int64) []byte {
	var w writer
	for _, v := range vs {
		w.long(v)
	}
	return w.b
}

// TestArrayHeaders: a few bytes that announce much cost no memory.
func TestArrayHeaders(t *testing.T) {
	c := testCodecs(t)
	a := func(s string) []byte { return append(longs(int64(len(s))), s...) }
	good := map[string][]byte{
		"one block":      bytes.Join([][]byte{longs(2), a("x"), a("y"), longs(0)}, nil),
		"sized block":    bytes.Join([][]byte{longs(-2, 4), a("x"), a("y"), longs(0)}, nil),
		"several blocks": bytes.Join([][]byte{longs(1), a("x"), longs(-1, 2), a("y"), longs(0)}, nil),
	}
	for name, ids := range good {
		var got Receipt
		if err := c.DecodeReceipt(receiptWith(t, c, ids), &got); err != nil || !reflect.DeepEqual(got.EventIDs, []string{"x", "y"}) {
			t.Errorf("%s: %q, %v", name, got.EventIDs, err)
		}
	}
	many := longs(MaxElements)
	for range MaxElements {
		many = append(many, 0)
	}
	bad := map[string][]byte{
		"2^28 elements":            longs(1<<28, 0),
		"2^62 elements":            longs(1<<62, 0),
		"most negative":            longs(math.MinInt64, 0, 0),
		"negative block size":      longs(-1, -1, 0),
		"more than there is":       longs(1000, 0),
		"one more than the limit":  append(many, longs(1, 0, 0)...),
		"an element of 2^30 bytes": longs(1, 1<<30, 0),
		"an element of -1 bytes":   longs(1, -1, 0),
		"a number of 11 bytes":     bytes.Repeat([]byte{0xff}, 11),
		"not UTF-8":                append(longs(1, 1), 0xff, 0),
	}
	for name, ids := range bad {
		value := receiptWith(t, c, ids)
		var got Receipt
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := c.DecodeReceipt(value, &got)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrUndecodable) || got.EventIDs != nil {
			t.Errorf("%s: %d ids, %v", name, len(got.EventIDs), err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > uint64(64<<10+100*len(value)) {
			t.Errorf("%s: %d bytes of memory for %d", name, taken, len(value))
		}
	}
	// Nor do large elements, fewer than the limit.
	var w writer
	w.b = []byte{0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(w.b[1:], c.state.id)
	w.text(inv.PieceHead)
	w.some()
	encodeHead(&w, &inv.Head{})
	w.b = append(w.b[:prefixSize+3+14], longs(MaxElements, 0, 0, 0)...) // in place of no locations
	var piece inv.Piece
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := c.DecodeState([]byte("e|i|h"), w.b, &piece)
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrUndecodable) || !errors.Is(err, errEnd) || taken > 64<<10 {
		t.Errorf("many locations: %d bytes of memory, %v", taken, err)
	}
	// At the limit it reads.
	var got Receipt
	if err := c.DecodeReceipt(receiptWith(t, c, append(many, 0)), &got); err != nil || len(got.EventIDs) != MaxElements {
		t.Errorf("%d ids, %v", len(got.EventIDs), err)
	}
}

// TestBadBytes: primitives that no writer makes.
func TestBadBytes(t *testing.T) {
	tests := map[string]struct {
		b    []byte
		read func(r *reader)
	}{
		"union branch 2":        {[]byte{4}, func(r *reader) { r.some() }},
		"boolean 2":             {[]byte{2}, func(r *reader) { r.flag() }},
		"int of 33 bits":        {longs(math.MaxInt32 + 1), func(r *reader) { r.int() }},
		"decimal of no bytes":   {[]byte{0}, func(r *reader) { r.quantity() }},
		"decimal of nine bytes": {append([]byte{18}, make([]byte, 9)...), func(r *reader) { r.quantity() }},
		"decimal of 19 digits":  {append([]byte{16}, 0x7f, 0, 0, 0, 0, 0, 0, 0), func(r *reader) { r.quantity() }},
		"no account":            {[]byte{2, 'x'}, func(r *reader) { r.account() }},
		"bytes beyond the end":  {[]byte{8, 1, 2}, func(r *reader) { r.blob() }},
		"word of bad UTF-8":     {[]byte{2, 0xc0}, func(r *reader) { r.word() }},
		"a string too long":     {append(longs(MaxBytes+1), make([]byte, MaxBytes+1)...), func(r *reader) { r.text() }},
		"below":                 {longs(6), func(r *reader) { r.below(6) }},
		"nothing":               {nil, func(r *reader) { r.long() }},
	}
	for name, test := range tests {
		r := &reader{b: test.b, words: newWords()}
		test.read(r)
		if r.err == nil {
			t.Errorf("%s is read", name)
		}
		first := r.err
		if r.long() != 0 || r.text() != "" || r.quantity() != 0 || r.block(0, 1) != 0 || !errors.Is(r.err, first) {
			t.Errorf("%s: reading goes on after an error: %v", name, r.err)
		}
	}
}

// quantityBytes is the decimal's payload by the specification, through big.Int.
func quantityBytes(q int64) []byte {
	for n := 1; ; n++ {
		mod := new(big.Int).Lsh(big.NewInt(1), uint(8*n))
		half := new(big.Int).Rsh(mod, 1)
		if v := big.NewInt(q); v.Cmp(half) < 0 && v.Cmp(new(big.Int).Neg(half)) >= 0 {
			return new(big.Int).Mod(new(big.Int).Add(v, mod), mod).FillBytes(make([]byte, n))
		}
	}
}

func FuzzQuantity(f *testing.F) {
	for _, q := range []int64{0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, -32768, -32769, 1 << 23, 1 << 31, 1<<39 - 1, -1 << 47, 1 << 55, int64(inv.MaxQuantity), -int64(inv.MaxQuantity), math.MaxInt64, math.MinInt64} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q int64) {
		var w writer
		w.quantity(inv.Quantity(q))
		if q > int64(inv.MaxQuantity) || q < -int64(inv.MaxQuantity) {
			if !errors.Is(w.err, inv.ErrOverflow) {
				t.Fatalf("%d is written", q)
			}
			return
		}
		want := quantityBytes(q)
		if got := w.b; w.err != nil || int(got[0]) != 2*len(want) || !bytes.Equal(got[1:], want) {
			t.Fatalf("%d: % x, not % x, %v", q, got, want, w.err)
		}
		r := &reader{b: w.b}
		if got := r.quantity(); got != inv.Quantity(q) || r.err != nil || r.i != len(w.b) {
			t.Fatalf("%d reads as %d, %v", q, got, r.err)
		}
		// With a redundant leading byte, as some writers pad, it is the same number.
		if len(want) < 8 {
			padded := append([]byte{byte(2 * (len(want) + 1)), byte(int8(want[0]) >> 7)}, want...)
			r = &reader{b: padded}
			if got := r.quantity(); got != inv.Quantity(q) || r.err != nil {
				t.Fatalf("%d padded reads as %d, %v", q, got, r.err)
			}
		}
	})
}

// FuzzDecode: no bytes break a reader, and what is read is written and read again
// the same.
func FuzzDecode(f *testing.F) {
	c := testCodecs(f)
	all := samples(c)
	for i, s := range all {
		value, err := s.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), value[prefixSize:])
	}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		s := all[int(which)%len(all)]
		value, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		value = append(value[:prefixSize:prefixSize], payload...)
		got, err := s.decode(value)
		if err != nil {
			if !errors.Is(err, ErrUndecodable) || !reflect.ValueOf(got).Elem().IsZero() {
				t.Fatalf("%v, %+v", err, got)
			}
			return
		}
		again, err := encodeAny(c, got)
		if err != nil {
			t.Fatalf("%s is read and not written: %v", s.name, err)
		}
		twice, err := s.decode(again)
		if err != nil || !reflect.DeepEqual(got, twice) {
			t.Fatalf("%s: %+v, then %+v, %v", s.name, got, twice, err)
		}
	})
}

func encodeAny(c *Codecs, x any) ([]byte, error) {
	switch x := x.(type) {
	case *RawMessage:
		return c.AppendRaw(nil, x)
	case *inv.Event:
		return c.AppendEvent(nil, x)
	case *inv.Outcome:
		return c.AppendOutcome(nil, x)
	case *SnapshotEnded:
		return c.AppendSnapshot(nil, x)
	case *inv.Position:
		return c.AppendPosition(nil, x)
	case *inv.View:
		return c.AppendView(nil, x)
	case *Answered:
		return c.AppendAnswer(nil, x)
	case *inv.Piece:
		return c.AppendState(nil, x)
	case *StateHeader:
		return c.AppendStateHeader(nil, x)
	case *MasterItem:
		return c.AppendItem(nil, x)
	case *MasterLocation:
		return c.AppendLocation(nil, x)
	case *PolicyContent:
		return c.AppendPolicy(nil, x)
	case *Posting:
		return c.AppendPosting(nil, x)
	case *PostingResult:
		return c.AppendResult(nil, x)
	case *Offer:
		return c.AppendOffer(nil, x)
	case *OfferResult:
		return c.AppendOfferResult(nil, x)
	case *ParkedLine:
		return c.AppendParked(nil, x)
	case *Mark:
		return c.AppendMark(nil, x)
	case *Subscription:
		return c.AppendSubscription(nil, x)
	case *Delivery:
		return c.AppendDelivery(nil, x)
	case *Cursor:
		return c.AppendCursor(nil, x)
	case *PartnerAck:
		return c.AppendAck(nil, x)
	case *Receipt:
		return c.AppendReceipt(nil, x)
	case *Milestone:
		if _, ok := MilestoneTopic(x.About); !ok {
			x.About = AboutOrders // the fuzzer made it up
		}
		return c.AppendMilestone(nil, x)
	case *DeadLetter:
		if c.dead[x.Service] == nil {
			x.Service = "atp" // the fuzzer made it up
		}
		return c.AppendDeadLetter(nil, x)
	}
	return nil, errors.ErrUnsupported
}
