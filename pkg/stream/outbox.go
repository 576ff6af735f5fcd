package stream

import (
	"fmt"
	"slices"
)

// outbox holds the outputs of the open transaction as the record batches they will be,
// a lane for each topic and partition. What is added is copied. Its memory serves one
// transaction after the other.
type outbox struct {
	limit func(topic string) int32
	lanes map[int32]*[]*lane // by partition
	near  *[]*lane           // those of the partition added to last
	part  int32              // that near is of
	used  []*lane            // with outputs, in order of first touch
	free  [][]byte           // memory for records of batches

	step    uint64  // grows with each keep and each back
	touched []*lane // by the outputs since then
	refused *refusal
}

// lane is what goes to one partition of one topic.
type lane struct {
	topic string
	part  int32
	limit int // of a batch, bytes

	batches []batch // the last one is being filled
	before  laneMark
	step    uint64 // that before is of

	sent  int   // batches acked
	tried bool  // the next one was sent, and what became of it is not known
	seq   int32 // of the next batch
	end   int64 // offset behind the last acked record; -1 when not known
}

// laneMark is where a lane stood.
type laneMark struct {
	batches int
	bytes   int // of the last batch
	last    batch
}

// refusal is an output that no batch can hold.
type refusal struct {
	topic string
	size  int // of its value, bytes
	from  origin
	step  uint64
}

// keepFree bounds the memory that is kept for batches to come, bytes: what the outputs of
// some ten thousand events take. More is let go of when a large transaction has ended.
const keepFree = 16 << 20

// reset forgets everything.
func (o *outbox) reset() {
	for _, l := range o.used {
		for i := range l.batches {
			o.free = append(o.free, l.batches[i].wire)
		}
		clear(l.batches)
		l.batches, l.sent, l.tried, l.end = l.batches[:0], 0, false, -1
	}
	kept := 0
	o.free = slices.DeleteFunc(o.free, func(b []byte) bool {
		kept += cap(b)
		return kept > keepFree
	})
	o.used, o.touched, o.refused = o.used[:0], o.touched[:0], nil
	o.step++
}

// restart is for an epoch of the producer in which nothing was written yet.
func (o *outbox) restart() {
	for _, lanes := range o.lanes {
		for _, l := range *lanes {
			l.seq = 0
		}
	}
}

// add takes an output over.
func (o *outbox) add(rec *Record, part int32, from origin) {
	l := o.lane(rec.Topic, part)
	if l.step != o.step {
		l.step = o.step
		l.before = l.mark()
		o.touched = append(o.touched, l)
	}
	if !o.put(l, rec, from) && o.refused == nil {
		o.refused = &refusal{rec.Topic, len(rec.Value), from, o.step}
	}
}

// keep makes what was added since the last keep or back stay.
func (o *outbox) keep() {
	o.touched = o.touched[:0]
	o.step++
}

// back takes out what was added since the last keep or back.
func (o *outbox) back() {
	for _, l := range o.touched {
		o.cut(l, l.before)
	}
	if o.refused != nil && o.refused.step == o.step {
		o.refused = nil
	}
	o.used = slices.DeleteFunc(o.used, func(l *lane) bool { return len(l.batches) == 0 })
	o.keep()
}

func (o *outbox) lane(topic string, part int32) *lane {
	if o.near == nil || o.part != part {
		if o.lanes == nil {
			o.lanes = map[int32]*[]*lane{}
		}
		if o.near = o.lanes[part]; o.near == nil {
			o.near = new([]*lane)
			o.lanes[part] = o.near
		}
		o.part = part
	}
	for _, l := range *o.near {
		if l.topic == topic {
			if len(l.batches) == 0 {
				o.used = append(o.used, l)
				o.open(l)
			}
			return l
		}
	}
	l := &lane{topic: topic, part: part, limit: int(o.limit(topic)), end: -1}
	o.open(l)
	*o.near = append(*o.near, l)
	o.used = append(o.used, l)
	return l
}

// end is the offset behind the last record that was written for a partition of a topic; -1
// when not known.
func (o *outbox) end(topic string, part int32) int64 {
	if lanes := o.lanes[part]; lanes != nil {
		for _, l := range *lanes {
			if l.topic == topic {
				return l.end
			}
		}
	}
	return -1
}

// open begins another batch of a lane.
func (o *outbox) open(l *lane) *batch {
	var memory []byte
	if n := len(o.free); n > 0 {
		memory, o.free = o.free[n-1], o.free[:n-1]
	}
	l.batches = append(l.batches, batch{})
	b := &l.batches[len(l.batches)-1]
	b.begin(memory)
	return b
}

// put appends a record to a lane; false when no batch can hold it.
func (o *outbox) put(l *lane, rec *Record, from origin) bool {
	b := &l.batches[len(l.batches)-1]
	size := recordSize(rec, b.n)
	if b.n > 0 && len(b.wire)+varintSize(size)+size > l.limit {
		b = o.open(l)
		size = recordSize(rec, 0)
	}
	if b.n == 0 && batchHeader+varintSize(size)+size > l.limit {
		return false
	}
	b.add(rec, size)
	if size > b.size {
		b.size, b.largest = size, from
	}
	return true
}

func (l *lane) mark() laneMark {
	b := l.batches[len(l.batches)-1]
	return laneMark{batches: len(l.batches), bytes: len(b.wire), last: b}
}

// cut takes a lane back to where it stood.
func (o *outbox) cut(l *lane, m laneMark) {
	for i := m.batches; i < len(l.batches); i++ {
		o.free = append(o.free, l.batches[i].wire)
	}
	clear(l.batches[m.batches:])
	l.batches = l.batches[:m.batches]
	b := &l.batches[m.batches-1]
	m.last.wire = b.wire[:m.bytes] // it may stand in other memory by now
	*b = m.last
	if m.batches == 1 && b.n == 0 {
		o.free = append(o.free, b.wire)
		clear(l.batches)
		l.batches = l.batches[:0]
	}
}

func (r *refusal) Error() string {
	return fmt.Sprintf("output of %d bytes for %s: %v", r.size, r.topic, ErrTooLarge)
}

// Unwrap returns ErrTooLarge.
func (r *refusal) Unwrap() error { return ErrTooLarge }
