package stream

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func outboxOf(limit int32) *outbox {
	o := &outbox{limit: func(string) int32 { return limit }, lanes: map[int32]*[]*lane{}}
	o.reset()
	return o
}

// recordsOf reads a lane as brokers would, and makes sure of its batches: none is empty
// or above the lane's limit.
func recordsOf(t interface{ Fatalf(string, ...any) }, l *lane) (all []*Record) {
	for i := range l.batches {
		b := &l.batches[i]
		if b.n == 0 {
			if i == 0 && len(l.batches) == 1 {
				continue // of a refusal
			}
			if i == len(l.batches)-1 {
				continue
			}
			t.Fatalf("batch %d of %d is empty", i, len(l.batches))
		}
		wire, _ := b.seal(nil, nil, nil, stamp{})
		if len(wire) > l.limit {
			t.Fatalf("batch %d has %d bytes, its limit is %d", i, len(wire), l.limit)
		}
		recs, err := readBatches(slices.Clone(wire))
		if err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
		if len(recs) != int(b.n) {
			t.Fatalf("batch %d holds %d records, and says %d", i, len(recs), b.n)
		}
		all = append(all, recs...)
	}
	return all
}

// contents renders every lane that is used, in their order.
func (o *outbox) contents(t *testing.T) string {
	t.Helper()
	var all []string
	for _, l := range o.used {
		var vs []string
		for _, rec := range recordsOf(t, l) {
			vs = append(vs, string(rec.Value[:min(len(rec.Value), 8)]))
		}
		all = append(all, fmt.Sprintf("%s%d:%s", l.topic, l.part, strings.Join(vs, ",")))
	}
	return strings.Join(all, " ")
}

func (o *outbox) adds(part int32, offset int64, values ...string) {
	for _, v := range values {
		o.add(&Record{Topic: "out", Value: []byte(v)}, part, origin{part: part, offset: offset})
	}
}

func TestOutboxTakesBackAStep(t *testing.T) {
	long := strings.Repeat("x", 100) // two to a batch
	for _, tc := range []struct {
		name string
		kept string // added before, to partition 1
		step func(o *outbox)
		want string
	}{
		{"nothing", "a", func(*outbox) {}, "out1:a"},
		{"behind others in the batch", "a", func(o *outbox) { o.adds(1, 1, "b", "c") }, "out1:a"},
		{"over changes of the batch", "a", func(o *outbox) { o.adds(1, 1, "b"+long, "c"+long, "d"+long, "e"+long, "f"+long) }, "out1:a"},
		{"of a lane touched first", "a", func(o *outbox) { o.adds(0, 1, "b"+long, "c"+long, "d"+long) }, "out1:a"},
		{"of all lanes", "", func(o *outbox) { o.adds(0, 1, "b"); o.adds(1, 1, "b"); o.adds(2, 1, "c") }, ""},
		{"with a refusal", "a", func(o *outbox) { o.adds(1, 1, "b", strings.Repeat("y", 400), "c") }, "out1:a"},
		{"with a refusal first in a lane", "a", func(o *outbox) { o.adds(0, 1, strings.Repeat("y", 400)) }, "out1:a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := outboxOf(330)
			if tc.kept != "" {
				o.adds(1, 0, tc.kept)
			}
			o.keep()
			tc.step(o)
			o.back()
			if got := o.contents(t); got != tc.want || o.refused != nil {
				t.Errorf("holds %q, want %q; refused %v", got, tc.want, o.refused)
			}
			o.back() // there is nothing more to take back
			o.adds(1, 2, "g")
			o.adds(0, 2, "h")
			o.keep()
			o.adds(0, 3, "i")
			o.back()
			want := "out1:g out0:h"
			if tc.kept != "" {
				want = "out1:a,g out0:h"
			}
			if got := o.contents(t); got != want {
				t.Errorf("then holds %q, want %q", got, want)
			}
		})
	}
}

// What a step refused goes with the step, and no other one's.
func TestOutboxRefusalIsOfItsStep(t *testing.T) {
	o := outboxOf(200)
	big := strings.Repeat("x", 200)
	o.adds(0, 1, "a", big, big+big)
	o.keep()
	o.adds(0, 2, big)
	o.back()
	if r := o.refused; r == nil || r.from != (origin{part: 0, offset: 1}) || r.size != 200 || r.topic != "out" || !errors.Is(r, ErrTooLarge) {
		t.Errorf("refused %+v, want the first of offset 1", r)
	}
	o.reset()
	if o.refused != nil {
		t.Error("the next transaction begins with a refusal")
	}
}

// A record that fills a batch to the last byte is taken, one byte more is not.
func TestOutboxLimit(t *testing.T) {
	for _, n := range []int{10, 63, 64, 1_000, 8_191, 8_192} {
		rec := &Record{Topic: "out", Key: []byte("k"), Value: make([]byte, n), Headers: []RecordHeader{{Key: "h", Value: []byte("v")}}}
		whole := batchOf(t, []*Record{rec})
		exact := int32(len(whole.wire)) //nolint:gosec // some thousand
		from := origin{part: 3, offset: 7, shared: true}
		o := outboxOf(exact)
		o.add(rec, 3, from)
		o.add(rec, 3, from)
		if got := recordsOf(t, o.used[0]); o.refused != nil || len(got) != 2 || len(o.used[0].batches) != 2 {
			t.Errorf("%d bytes at a limit of as many: %d records, refused %v", exact, len(got), o.refused)
		}
		o = outboxOf(exact - 1)
		o.add(rec, 3, from)
		if r := o.refused; r == nil || r.from != from || r.size != n || len(recordsOf(t, o.used[0])) != 0 {
			t.Errorf("%d bytes at a limit of one less: refused %+v", exact, r)
		}
		two := batchOf(t, []*Record{rec, rec})
		for less := range int32(2) {
			o = outboxOf(int32(len(two.wire)) - less) //nolint:gosec // some thousand
			o.add(rec, 3, from)
			o.add(rec, 3, from)
			if got := len(o.used[0].batches); got != 1+int(less) || o.refused != nil || len(recordsOf(t, o.used[0])) != 2 {
				t.Errorf("two records at a limit of %d bytes less than they have: %d batches", less, got)
			}
		}
	}
}

// The first record of another batch is as long as it is there: its number in the batch
// takes fewer bytes.
func TestOutboxNumbersAnew(t *testing.T) {
	const n = 300
	o := outboxOf(batchHeader + 1_200) // more than 64 to a batch
	for i := range n {
		o.adds(0, int64(i), fmt.Sprintf("%03d", i))
	}
	recs := recordsOf(t, o.used[0])
	if len(recs) != n || o.used[0].batches[0].n <= 64 || len(o.used[0].batches) < 2 {
		t.Fatalf("%d records in %d batches", len(recs), len(o.used[0].batches))
	}
	for i, rec := range recs {
		if string(rec.Value) != fmt.Sprintf("%03d", i) {
			t.Errorf("record %d is %s", i, rec.Value)
		}
	}
}

// Whoever emits a record may use its memory for the next one.
func TestOutboxCopies(t *testing.T) {
	o := outboxOf(1_000)
	value := []byte("aa")
	rec := &Record{Topic: "out", Key: value, Value: value, Headers: []RecordHeader{{Key: "h", Value: value}}}
	for _, v := range []string{"aa", "bb"} {
		copy(value, v)
		o.add(rec, 0, origin{})
	}
	copy(value, "xx")
	for i, got := range recordsOf(t, o.used[0]) {
		want := []byte([]string{"aa", "bb"}[i])
		if !bytes.Equal(got.Key, want) || !bytes.Equal(got.Value, want) || !bytes.Equal(got.Headers[0].Value, want) {
			t.Errorf("record %d: %+v", i, got)
		}
	}
}

// Transactions alike take no memory beyond the first ones', and of a large one little is
// held on to.
func TestOutboxMemory(t *testing.T) {
	held := func(o *outbox) (n int) {
		for _, b := range o.free {
			n += cap(b)
		}
		return n
	}
	o := outboxOf(10_000)
	rec := &Record{Topic: "out", Value: make([]byte, 900)}
	step := func() {
		for i := range int32(200) {
			o.add(rec, i%4, origin{offset: int64(i)})
			if i%7 == 0 {
				o.back()
			}
			o.keep()
		}
		o.reset()
	}
	for range 3 {
		step()
	}
	before := held(o)
	if n := testing.AllocsPerRun(20, step); n > 1 {
		t.Errorf("%v allocations a transaction", n)
	}
	if after := held(o); after != before || before == 0 {
		t.Errorf("%d bytes held, and then %d", before, after)
	}

	large := &Record{Topic: "out", Value: make([]byte, 9_000)}
	for range 5_000 {
		o.add(large, 0, origin{})
	}
	if len(o.used[0].batches) != 5_000 {
		t.Fatal(len(o.used[0].batches))
	}
	o.reset()
	if n := held(o); n > keepFree || n < keepFree/2 {
		t.Errorf("%d bytes held of a large transaction, the bound is %d", n, keepFree)
	}
	for _, b := range o.free[len(o.free):cap(o.free)] {
		if b != nil {
			t.Fatal("what is let go of is still held")
		}
	}
}

// modelLane is a lane as it ought to be.
type modelLane struct {
	topic string
	part  int32
	recs  []*Record
	from  []origin
}

// outboxModel is an outbox without batches: records in order.
type outboxModel struct {
	kept, open []modelLane // open is kept, and the step under way
	refused    *origin     // that stays
	refusing   *origin     // of the step
}

func (m *outboxModel) lane(topic string, part int32) *modelLane {
	for i := range m.open {
		if m.open[i].topic == topic && m.open[i].part == part {
			return &m.open[i]
		}
	}
	m.open = append(m.open, modelLane{topic: topic, part: part})
	return &m.open[len(m.open)-1]
}

func cloneLanes(ls []modelLane) []modelLane {
	out := make([]modelLane, len(ls))
	for i, l := range ls {
		out[i] = modelLane{l.topic, l.part, slices.Clone(l.recs), slices.Clone(l.from)}
	}
	return out
}

// Any run of outputs, steps that stay and steps that are taken back leaves each lane's
// records in order, whatever batches they came to stand in, over transactions that use
// the same memory.
func TestOutboxAgainstLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int32{150, 400, 9_000}).Draw(t, "limit")
		o := outboxOf(limit)
		m := new(outboxModel)
		var offset int64
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				offset++
				part := rapid.Int32Range(0, 2).Draw(t, "part")
				rec := &Record{Topic: rapid.SampledFrom([]string{"out", "state"}).Draw(t, "topic")}
				if rapid.Bool().Draw(t, "keyed") {
					rec.Key = fmt.Append(nil, "k", offset)
				}
				if n := rapid.OneOf(rapid.IntRange(-1, 70), rapid.IntRange(0, 500)).Draw(t, "length"); n >= 0 {
					rec.Value = bytes.Repeat([]byte{byte('a' + offset%26)}, n)
				}
				for range rapid.IntRange(0, 2).Draw(t, "headers") {
					rec.Headers = append(rec.Headers, RecordHeader{Key: "h", Value: rec.Key})
				}
				from := origin{part: part, offset: offset}
				l := m.lane(rec.Topic, part)
				if alone := batchHeader + recordSize(rec, 0) + varintSize(recordSize(rec, 0)); alone > int(limit) {
					if m.refused == nil && m.refusing == nil {
						m.refusing = &from
					}
				} else {
					l.recs, l.from = append(l.recs, rec), append(l.from, from)
				}
				o.add(rec, part, from)
			},
			"keep": func(*rapid.T) {
				m.kept = cloneLanes(m.open)
				if m.refused == nil {
					m.refused = m.refusing
				}
				m.refusing = nil
				o.keep()
			},
			"back": func(*rapid.T) {
				m.open, m.refusing = cloneLanes(m.kept), nil
				o.back()
			},
			"reset": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "really") == 0 {
					*m = outboxModel{}
					o.reset()
				}
			},
			"": func(t *rapid.T) { m.same(t, o) },
		})
	})
}

// same compares. A lane of which nothing but refusals is left may be there or not.
func (m *outboxModel) same(t *rapid.T, o *outbox) {
	want := m.refused
	if want == nil {
		want = m.refusing
	}
	if (want == nil) != (o.refused == nil) || want != nil && *want != o.refused.from {
		t.Fatalf("refused %+v, want %+v", o.refused, want)
	}
	full := slices.DeleteFunc(slices.Clone(m.open), func(l modelLane) bool { return len(l.recs) == 0 })
	i := 0
	for _, l := range o.used {
		recs := recordsOf(t, l)
		if len(recs) == 0 {
			continue
		}
		at := slices.IndexFunc(full, func(w modelLane) bool { return w.topic == l.topic && w.part == l.part })
		if at < 0 {
			t.Fatalf("%s %d holds %d records too many", l.topic, l.part, len(recs))
		}
		if at != i && m.refused == nil { // after a refusal nothing is written
			t.Fatalf("%s %d is lane %d, want %d", l.topic, l.part, i, at)
		}
		w := full[at]
		i++
		if len(recs) != len(w.recs) {
			t.Fatalf("%s %d holds %d records, want %d", l.topic, l.part, len(recs), len(w.recs))
		}
		for j := range recs {
			if err := sameRecord(recs[j], w.recs[j]); err != nil {
				t.Fatalf("%s %d, record %d: %v", l.topic, l.part, j, err)
			}
		}
		at = 0
		for k := range l.batches {
			b := &l.batches[k]
			size, largest := 0, origin{}
			for n := range b.n {
				if s := recordSize(w.recs[at], n); s > size {
					size, largest = s, w.from[at]
				}
				at++
			}
			if b.size != size || b.largest != largest {
				t.Fatalf("%s %d, batch %d: the largest record is of %+v with %d bytes, want %+v with %d", l.topic, l.part, k, b.largest, b.size, largest, size)
			}
		}
	}
	if i != len(full) {
		t.Fatalf("%d lanes hold records, want %d", i, len(full))
	}
}
