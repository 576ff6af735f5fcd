package atp

import "github.com/stockweave/stockweave/pkg/stream"

// arena hands out memory for what a transaction emits, in pieces cut from larger
// chunks. A chunk is never used again: the log's client holds what was cut from it
// until the transaction has ended, and nobody is told when that is.
type arena struct {
	bytes   []byte
	headers []stream.RecordHeader
}

const (
	chunkBytes   = 64 << 10
	chunkHeaders = 1024
	roomBytes    = 4 << 10 // what an output takes at most, as a rule
	roomHeaders  = 8
)

// room is empty memory to append an output to; keep takes what was appended.
func (a *arena) room() []byte {
	if cap(a.bytes)-len(a.bytes) < roomBytes {
		a.bytes = make([]byte, 0, chunkBytes)
	}
	return a.bytes[len(a.bytes):]
}

// keep returns what was appended to room, cut off for good.
func (a *arena) keep(b []byte) []byte {
	if cap(a.bytes)-len(a.bytes) >= len(b) && len(b) > 0 && &b[0] == &a.bytes[len(a.bytes) : len(a.bytes)+1][0] {
		a.bytes = a.bytes[:len(a.bytes)+len(b)]
	}
	return b[:len(b):len(b)]
}

// headerRoom and keepHeaders are the same for headers.
func (a *arena) headerRoom() []stream.RecordHeader {
	if cap(a.headers)-len(a.headers) < roomHeaders {
		a.headers = make([]stream.RecordHeader, 0, chunkHeaders)
	}
	return a.headers[len(a.headers):]
}

func (a *arena) keepHeaders(h []stream.RecordHeader) []stream.RecordHeader {
	if n := len(a.headers) + len(h); len(h) <= roomHeaders && n <= cap(a.headers) {
		a.headers = a.headers[:n]
	}
	return h[:len(h):len(h)]
}
