package feed

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	// MaxBookmark bounds a bookmark's text, bytes: those of more than a thousand
	// partitions are shorter.
	MaxBookmark = 16 << 10

	bookmarkVersion = 1
	topicBytes      = 16
	maxPartitions   = 4096
)

// Bookmark is where a stream of changes stands: everything before Next has been told,
// of facts as new as Floor. It is good on any replica, since both are offsets of the
// topic, and for any filter: it says where, not what.
//
// Its text is base64url (RFC 4648 §5, no padding) of: version 1, the topic's id (16
// bytes), the moment (4 bytes, big-endian), the number of partitions, then for each
// Next and Floor − Next (all uvarint), and the CRC-32C of it all.
type Bookmark struct {
	Topic  string  // id, hex
	Moment uint32  // names the policy, the days and what else decides beside positions
	Next   []int64 // by partition: the first offset that was not told
	Floor  []int64 // by partition, at least Next: facts may not be older
}

// ErrBookmark is a text that is no bookmark of this version.
var ErrBookmark = errors.New("feed: not a bookmark")

// String is the bookmark's text.
func (b *Bookmark) String() string {
	out := make([]byte, 0, 1+topicBytes+4+2+6*len(b.Next)+4)
	out = append(out, bookmarkVersion)
	id, err := hex.DecodeString(b.Topic)
	if err != nil || len(id) != topicBytes {
		id = make([]byte, topicBytes) // of no topic: it leads to a fresh start
	}
	out = append(out, id...)
	out = binary.BigEndian.AppendUint32(out, b.Moment)
	out = binary.AppendUvarint(out, uint64(len(b.Next)))
	for i, next := range b.Next {
		next = max(0, next)
		out = binary.AppendUvarint(out, uint64(next))
		out = binary.AppendUvarint(out, uint64(max(0, b.Floor[i]-next)))
	}
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli()))
	return base64.RawURLEncoding.EncodeToString(out)
}

// ParseBookmark reads a text that somebody sent. Whether the log has such offsets is
// for the caller to see.
func ParseBookmark(text string) (*Bookmark, error) {
	if len(text) > MaxBookmark {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrBookmark, MaxBookmark)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrBookmark)
	}
	if len(raw) < 1+topicBytes+4+1+4 {
		return nil, fmt.Errorf("%w: too short", ErrBookmark)
	}
	body, sum := raw[:len(raw)-4], binary.BigEndian.Uint32(raw[len(raw)-4:])
	if crc32.Checksum(body, castagnoli()) != sum {
		return nil, fmt.Errorf("%w: damaged", ErrBookmark)
	}
	if body[0] != bookmarkVersion {
		return nil, fmt.Errorf("%w: of version %d", ErrBookmark, body[0])
	}
	b := &Bookmark{Topic: hex.EncodeToString(body[1 : 1+topicBytes])}
	body = body[1+topicBytes:]
	b.Moment = binary.BigEndian.Uint32(body)
	body = body[4:]
	bad := false
	number := func() int64 {
		v, n := binary.Uvarint(body)
		if n <= 0 || v > 1<<62 {
			bad, body = true, nil
			return 0
		}
		body = body[n:]
		return int64(v)
	}
	n := number()
	if bad || n < 1 || n > maxPartitions || n > int64(len(body)) {
		return nil, fmt.Errorf("%w: no count of partitions", ErrBookmark)
	}
	b.Next, b.Floor = make([]int64, n), make([]int64, n)
	for i := range b.Next {
		b.Next[i] = number()
		b.Floor[i] = b.Next[i] + number()
	}
	if bad || len(body) > 0 {
		return nil, fmt.Errorf("%w: not as many offsets as partitions", ErrBookmark)
	}
	return b, nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
