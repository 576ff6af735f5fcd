package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// EventID is the id of the event that a line of a source's document states: 32
// hex digits, the first half of SHA-256 over source and document type, number,
// revision and line, each behind its length as four bytes, big endian. A
// redelivery, a replay and a second ingest give the same id; a corrected document
// has another revision and so another id.
//
//nolint:revive // there are other ids: of raw messages, postings, places
func EventID(source inventory.Source, d inventory.Document) string {
	return hashID(string(source), d.Type, d.Number, d.Revision, d.Line)
}

// IDSize is the length of an EventID.
const IDSize = 32

// AppendEventID is EventID into memory of the caller's.
func AppendEventID(b []byte, source inventory.Source, d inventory.Document) []byte {
	return appendHashID(b, string(source), d.Type, d.Number, d.Revision, d.Line)
}

// PlaceID is the id of what has no better one: 32 hex digits, a function of the
// place of a record in the log.
func PlaceID(topic string, partition int32, offset int64) string {
	var place [12]byte
	binary.BigEndian.PutUint32(place[:4], uint32(partition))
	binary.BigEndian.PutUint64(place[4:], uint64(offset))
	return hashID(topic, string(place[:]))
}

func hashID(parts ...string) string {
	var h [IDSize]byte
	return string(appendHashID(h[:0], parts...))
}

func appendHashID(to []byte, parts ...string) []byte {
	var a [256]byte
	b := a[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return hex.AppendEncode(to, sum[:IDSize/2])
}
