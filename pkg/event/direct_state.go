package event

import (
	"encoding/binary"
	"math/bits"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

// Straight code for the piece of the state that every event reads and most write.

// Sizes of elements, in bytes: all of a Seen, the least of the others.
const (
	seenSize         = 13 // verdicts are below 64
	minEntry         = 7
	minLocationState = 8
)

func encodeSeen(w *writer, x *inv.Seen) {
	w.b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(w.b, x.ID), x.Content)
	w.b = append(w.b, byte(x.Verdict)<<1)
}

func decodeSeen(r *reader, x *inv.Seen) {
	if from, to := r.skip(seenSize); from != to {
		x.ID = binary.BigEndian.Uint64(r.b[from:])
		x.Content = binary.BigEndian.Uint32(r.b[from+8:])
		if v := r.b[from+12]; v&1 != 0 || v > 126 {
			r.failf("verdict %#x", v)
		} else {
			x.Verdict = inv.Verdict(v >> 1)
		}
	}
}

func encodeEntry(w *writer, x *inv.Entry) {
	w.long(int64(x.At))
	w.text(string(x.Location))
	if x.State >= inv.NumStates {
		w.fail("%w: %d", inv.ErrAccount, x.State)
	}
	w.long(int64(x.State))
	w.flag(x.Count)
	w.long(int64(x.Includes))
	encodeBody(w, x.Order, orderTable.enc)
	w.quantity(x.Delta)
	w.long(int64(x.Document))
}

func decodeEntry(r *reader, x *inv.Entry) {
	x.At = inv.Instant(r.long())
	x.Location = inv.Location(r.word())
	x.State = inv.Account(r.below(inv.NumStates))
	x.Count = r.flag()
	x.Includes = uint8(r.below(256))
	x.Order = decodeBody(r, orderTable.dec)
	x.Delta = r.quantity()
	x.Document = r.int()
}

func encodeLocationState(w *writer, x *inv.LocationState) {
	w.text(string(x.Location))
	encodeStates(w, &x.States)
	m := x.More
	if m == nil {
		m = new(inv.LocationMore)
	}
	w.optQuantity(m.Safety, m.HasSafety)
	w.long(x.Version)
	encodeAll(w, m.Reserved, encodeBucket)
	encodeAll(w, m.Supply, encodeBucket)
	encodeBody(w, m.LastCount, countMarkTable.enc)
	w.long(m.JournalCount)
	encodeBody(w, m.Trimmed, trimmedTable.enc)
}

func decodeLocationState(r *reader, x *inv.LocationState) {
	x.Location = inv.Location(r.word())
	decodeStates(r, &x.States)
	var m inv.LocationMore
	m.Safety, m.HasSafety = r.optQuantity()
	x.Version = r.long()
	m.Reserved = decodeAll(r, minBucket, decodeBucket)
	m.Supply = decodeAll(r, minBucket, decodeBucket)
	m.LastCount = decodeBody(r, countMarkTable.dec)
	m.JournalCount = r.long()
	m.Trimmed = decodeBody(r, trimmedTable.dec)
	if !m.IsZero() {
		x.More = new(m)
	}
}

func encodeOutside(w *writer, x *inv.Outside) {
	for _, q := range x {
		w.quantity(q)
	}
}

func decodeOutside(r *reader, x *inv.Outside) {
	for i := range x {
		x[i] = r.quantity()
	}
}

func encodeHead(w *writer, x *inv.Head) { encodeHeadBy(w, x, nil) }

// HeadMemo remembers where the parts of a head stand in its last encoding, so that
// the next one copies those that are the same. The zero value remembers nothing. One
// goroutine uses it.
type HeadMemo struct {
	size         int32   // of the encoding
	ends         []int32 // of the locations, the first being where they begin
	ids, journal span
}

// Touch reads a little of the memo, as inventory.Ledger.Touch of a ledger.
func (m *HeadMemo) Touch() int {
	n := int(m.size)
	if len(m.ends) > 0 {
		n += int(m.ends[0])
	}
	return n
}

// span is where the elements of a list stand.
type span struct{ begin, end, n int32 }

// headParts is the use of a memo for one encoding.
type headParts struct {
	memo *HeadMemo
	prev []byte // the encoding it remembers
	same inv.Same
	from int // where the new one begins in the writer
}

// encodeHeadBy is encodeHead that copies what is the same, and remembers. Nil parts do
// neither.
func encodeHeadBy(w *writer, x *inv.Head, p *headParts) {
	w.long(x.Fence.Lineage)
	w.long(x.Fence.Offset)
	w.b = binary.BigEndian.AppendUint64(w.b, x.Fence.IDHash)
	w.optLong(int64(x.Clock))
	w.long(x.Version)
	w.optQuantity(x.Safety, x.HasSafety)
	p.locations(w, x.Locations)
	w.count(len(x.Split))
	if len(x.Split) > 0 {
		for _, l := range x.Split {
			w.text(string(l))
		}
		w.null()
	}
	if p == nil {
		encodeAll(w, x.IDs, encodeSeen)
	} else {
		tail(w, p, x.IDs, p.same.IDs, &p.memo.ids, encodeSeen)
	}
	w.long(x.IDCount)
	w.optLong(int64(x.Latest))
	if p == nil {
		encodeAll(w, x.Journal, encodeEntry)
	} else {
		tail(w, p, x.Journal, p.same.Journal, &p.memo.journal, encodeEntry)
	}
	encodeOutside(w, &x.Outside)
	encodeZeroable(w, &x.Window, windowTable.enc)
	encodeZeroable(w, &x.Book, bookTable.enc)
	encodeZeroable(w, &x.Queue, queueTable.enc)
	w.optLong(int64(x.Viewed))
	encodeZeroable(w, &x.Frozen, frozenTable.enc)
}

// locations is encodeAll of a head's locations.
func (p *headParts) locations(w *writer, ls []inv.LocationState) {
	if p == nil {
		encodeAll(w, ls, encodeLocationState)
		return
	}
	m := p.memo
	if len(ls) == 0 {
		m.ends = m.ends[:0]
		w.null()
		return
	}
	w.count(len(ls))
	added := p.same.Added
	known := len(m.ends) > 0 && len(m.ends)-1+bits.OnesCount64(added) == len(ls) && len(ls) <= inv.MaxHeadLocations
	var was [inv.MaxHeadLocations + 1]int32 // ends is written over; an added one takes a place in it
	if known {
		copy(was[:], m.ends)
	}
	if cap(m.ends) <= len(ls) {
		m.ends = make([]int32, 0, len(ls)+8)
	}
	m.ends = append(m.ends[:0], p.at(w))
	old := 0
	for i := range ls {
		if known && p.same.Locations&(1<<i) != 0 {
			w.b = append(w.b, p.prev[was[old]:was[old+1]]...)
		} else {
			encodeLocationState(w, &ls[i])
		}
		if added&(1<<i) == 0 {
			old++
		}
		m.ends = append(m.ends, p.at(w))
	}
	w.null()
}

// at is how far the new encoding has come.
func (p *headParts) at(w *writer) int32 { return int32(len(w.b) - p.from) } //nolint:gosec // a value is at most MaxValue

// tail is encodeAll of a list that grows at its end: the first same of its elements
// are those that stood at at, if those were as many.
func tail[V any](w *writer, p *headParts, vs []V, same int, at *span, enc func(*writer, *V)) {
	if len(vs) == 0 {
		*at = span{}
		w.null()
		return
	}
	w.count(len(vs))
	begin := p.at(w)
	if same == int(at.n) && same <= len(vs) {
		w.b = append(w.b, p.prev[at.begin:at.end]...)
	} else {
		same = 0
	}
	for i := same; i < len(vs); i++ {
		enc(w, &vs[i])
	}
	*at = span{begin, p.at(w), int32(len(vs))} //nolint:gosec // at most MaxElements
	w.null()
}

func decodeHead(r *reader, x *inv.Head) {
	x.Fence.Lineage = r.long()
	x.Fence.Offset = r.long()
	if from, to := r.skip(8); from != to {
		x.Fence.IDHash = binary.BigEndian.Uint64(r.b[from:])
	}
	x.Clock = inv.Instant(r.optLong())
	x.Version = r.long()
	x.Safety, x.HasSafety = r.optQuantity()
	x.Locations = decodeAll(r, minLocationState, decodeLocationState)
	x.Split = decodeList(r, decodeLocationName)
	x.IDs = decodeAll(r, seenSize, decodeSeen)
	x.IDCount = r.long()
	x.Latest = inv.Instant(r.optLong())
	x.Journal = decodeAll(r, minEntry, decodeEntry)
	decodeOutside(r, &x.Outside)
	decodeZeroable(r, &x.Window, windowTable.dec)
	decodeZeroable(r, &x.Book, bookTable.dec)
	decodeZeroable(r, &x.Queue, queueTable.dec)
	x.Viewed = inv.Instant(r.optLong())
	decodeZeroable(r, &x.Frozen, frozenTable.dec)
}

func decodeLocationName(r *reader) inv.Location { return inv.Location(r.word()) }
