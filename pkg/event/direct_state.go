package event

import (
	"encoding/binary"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

// Straight code for the piece of the state that every event reads and most write.

// Sizes of elements, in bytes: all of a Seen, the least of the others.
const (
	seenSize         = 13 // verdicts are below 64
	minEntry         = 6
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
	encodeZeroable(w, &x.Order, orderTable.enc)
	w.quantity(x.Delta)
}

func decodeEntry(r *reader, x *inv.Entry) {
	x.At = inv.Instant(r.long())
	x.Location = inv.Location(r.word())
	x.State = inv.Account(r.below(inv.NumStates))
	x.Count = r.flag()
	x.Includes = uint8(r.below(256))
	decodeZeroable(r, &x.Order, orderTable.dec)
	x.Delta = r.quantity()
}

func encodeLocationState(w *writer, x *inv.LocationState) {
	w.text(string(x.Location))
	encodeStates(w, &x.States)
	w.optQuantity(x.Safety, x.HasSafety)
	w.long(x.Version)
	encodeAll(w, x.Reserved, encodeBucket)
	encodeAll(w, x.Supply, encodeBucket)
	encodeZeroable(w, &x.LastCount, countMarkTable.enc)
	w.long(x.JournalCount)
	encodeZeroable(w, &x.Trimmed, trimmedTable.enc)
}

func decodeLocationState(r *reader, x *inv.LocationState) {
	x.Location = inv.Location(r.word())
	decodeStates(r, &x.States)
	x.Safety, x.HasSafety = r.optQuantity()
	x.Version = r.long()
	x.Reserved = decodeAll(r, minBucket, decodeBucket)
	x.Supply = decodeAll(r, minBucket, decodeBucket)
	decodeZeroable(r, &x.LastCount, countMarkTable.dec)
	x.JournalCount = r.long()
	decodeZeroable(r, &x.Trimmed, trimmedTable.dec)
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

func encodeHead(w *writer, x *inv.Head) {
	w.long(x.Fence.Lineage)
	w.long(x.Fence.Offset)
	w.b = binary.BigEndian.AppendUint64(w.b, x.Fence.IDHash)
	w.optLong(int64(x.Clock))
	w.long(x.Version)
	w.optQuantity(x.Safety, x.HasSafety)
	encodeAll(w, x.Locations, encodeLocationState)
	w.count(len(x.Split))
	if len(x.Split) > 0 {
		for _, l := range x.Split {
			w.text(string(l))
		}
		w.null()
	}
	encodeAll(w, x.IDs, encodeSeen)
	w.long(x.IDCount)
	w.optLong(int64(x.Latest))
	encodeAll(w, x.Journal, encodeEntry)
	encodeOutside(w, &x.Outside)
	encodeZeroable(w, &x.Window, windowTable.enc)
	encodeZeroable(w, &x.Book, bookTable.enc)
	encodeZeroable(w, &x.Queue, queueTable.enc)
	w.optLong(int64(x.Viewed))
	encodeZeroable(w, &x.Frozen, frozenTable.enc)
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
