package stream

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// A snapshot file is a head, blocks and a trailer:
//
//	head     magic, version u32, length u32, CRC u32 of it all, JSON of snapshotHead
//	block    length u32 (never 0), CRC u32 of the payload, payload
//	trailer  0 u32, until u64, blocks u64, groups u64, pieces u64, CRC u32 of what
//	         is before it in the file, CRC u32 of the trailer so far, magic
//
// The payloads, one behind the other, are groups: the number of pieces, the length
// of the name, the name, and for each piece the lengths of key and value, key and
// value. Keys ascend within a group. A block ends behind a piece. A group that is
// there twice counts as it is there last. Numbers are little-endian, the
// lengths in payloads uvarints, CRCs are CRC-32C.
const (
	snapshotMagic   = "SWSTATE\n"
	snapshotVersion = 1

	snapshotBlock    = 1 << 20 // from this size on a block ends
	maxSnapshotBlock = 64 << 20
	maxSnapshotHead  = 64 << 10

	headPrefix   = len(snapshotMagic) + 4 + 4 + 4
	blockPrefix  = 4 + 4
	trailerBytes = 4 + 4*8 + 4 + 4 + len(snapshotMagic)
)

// Reasons why a snapshot does not serve; each is a label of the metric too.
var (
	errSnapshotAbsent  = errors.New("absent")
	errSnapshotTorn    = errors.New("torn")    // not whole, or not what was written
	errSnapshotForeign = errors.New("foreign") // of another log, layout or version
	errSnapshotShort   = errors.New("short")   // the log no longer has all that follows it
	errSnapshotOld     = errors.New("old")     // tombstones that follow it may be gone
)

func torn(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errSnapshotTorn, fmt.Errorf(format, args...))
}

func foreign(what string, got, want any) error {
	return fmt.Errorf("%w: it is of %s %v, here it is %v", errSnapshotForeign, what, got, want)
}

// snapshotHead says what a snapshot is of, and where it stands.
type snapshotHead struct {
	Cluster      string `json:"cluster"`
	Input        string `json:"input"`
	InputID      string `json:"input_id"`
	State        string `json:"state"`
	StateID      string `json:"state_id"`
	Partition    int32  `json:"partition"`
	Partitions   int32  `json:"partitions"`
	StoreVersion int32  `json:"store_version"`

	Lineage  int64  `json:"lineage"`
	Applied  int64  `json:"applied_through"`
	Header   []byte `json:"header"`    // the partition's, as the changelog has it
	From     int64  `json:"from"`      // everything committed below it is in the snapshot
	LogStart int64  `json:"log_start"` // of the changelog when the state was first read from it
	Epoch    int32  `json:"epoch"`     // leader epoch of the changelog when the snapshot began; -1 when not known
	Taken    int64  `json:"taken"`     // when it began, ms since 1970 UTC
}

// matches compares all that must be equal.
func (h *snapshotHead) matches(want *snapshotHead) error {
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"cluster", h.Cluster, want.Cluster},
		{"input topic", h.Input, want.Input},
		{"input topic id", h.InputID, want.InputID},
		{"state topic", h.State, want.State},
		{"state topic id", h.StateID, want.StateID},
		{"partition", h.Partition, want.Partition},
		{"partition count", h.Partitions, want.Partitions},
		{"store version", h.StoreVersion, want.StoreVersion},
	} {
		if c.got != c.want {
			return foreign(c.what, c.got, c.want)
		}
	}
	return nil
}

// extend continues a CRC-32C, checksum begins one. The table is the library's own.
func extend(sum uint32, b []byte) uint32 {
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b)
}

func checksum(b []byte) uint32 { return extend(0, b) }

// blockHead is what stands before a block's payload.
func blockHead(payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, blockPrefix), uint32(len(payload))) //nolint:gosec // at most maxSnapshotBlock
	return binary.LittleEndian.AppendUint32(b, checksum(payload))
}

func appendSnapshotHead(b []byte, h *snapshotHead) ([]byte, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding head of snapshot: %w", err)
	}
	if len(body) > maxSnapshotHead {
		return nil, fmt.Errorf("head of snapshot is %d bytes, over %d", len(body), maxSnapshotHead)
	}
	at := len(b)
	b = append(b, snapshotMagic...)
	b = binary.LittleEndian.AppendUint32(b, snapshotVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body))) //nolint:gosec // bounded above
	sum := extend(checksum(b[at:]), body)
	b = binary.LittleEndian.AppendUint32(b, sum)
	return append(b, body...), nil
}

// snapshotPrefix reads what stands before the head's JSON: its length and CRC.
func snapshotPrefix(b []byte) (length int, sum uint32, err error) {
	if string(b[:len(snapshotMagic)]) != snapshotMagic {
		return 0, 0, torn("it does not begin as a snapshot does")
	}
	version := binary.LittleEndian.Uint32(b[len(snapshotMagic):])
	n := binary.LittleEndian.Uint32(b[len(snapshotMagic)+4:])
	switch {
	case version != snapshotVersion:
		return 0, 0, foreign("format version", version, snapshotVersion)
	case n > maxSnapshotHead:
		return 0, 0, torn("a head of %d bytes", n)
	}
	return int(n), binary.LittleEndian.Uint32(b[len(snapshotMagic)+8:]), nil
}

func decodeSnapshotHead(prefix, body []byte, sum uint32) (*snapshotHead, error) {
	if extend(checksum(prefix[:headPrefix-4]), body) != sum {
		return nil, torn("checksum of its head")
	}
	h := new(snapshotHead)
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(h); err != nil {
		return nil, torn("reading its head: %w", err)
	}
	return h, nil
}

// snapshotTrailer closes a snapshot: without it the file is torn.
type snapshotTrailer struct {
	until  int64 // the tail must be read at least to here
	blocks uint64
	groups uint64
	pieces uint64
	sum    uint32 // of the file before it
}

// appendSnapshotTrailer appends a trailer; before is the CRC of the file so far.
func appendSnapshotTrailer(b []byte, t *snapshotTrailer, before uint32) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.until)) //nolint:gosec // an offset
	b = binary.LittleEndian.AppendUint64(b, t.blocks)
	b = binary.LittleEndian.AppendUint64(b, t.groups)
	b = binary.LittleEndian.AppendUint64(b, t.pieces)
	b = binary.LittleEndian.AppendUint32(b, before)
	b = binary.LittleEndian.AppendUint32(b, checksum(b[at:]))
	return append(b, snapshotMagic...)
}

func decodeSnapshotTrailer(b []byte) (*snapshotTrailer, error) {
	sum := len(b) - len(snapshotMagic) - 4
	if string(b[sum+4:]) != snapshotMagic {
		return nil, torn("it does not end as a snapshot does")
	}
	if binary.LittleEndian.Uint32(b[sum:]) != checksum(b[:sum]) {
		return nil, torn("checksum of its trailer")
	}
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(b[4+8*i:]) }
	if binary.LittleEndian.Uint32(b) != 0 || u64(0) > math.MaxInt64 {
		return nil, torn("its trailer is not one")
	}
	return &snapshotTrailer{
		until: int64(u64(0)), blocks: u64(1), groups: u64(2), pieces: u64(3), //nolint:gosec // checked above
		sum: binary.LittleEndian.Uint32(b[4+4*8:]),
	}, nil
}
