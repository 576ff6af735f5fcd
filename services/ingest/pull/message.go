package pull

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// RawID is the id of what was read from the other side: the same record in the same
// state has the same id, whoever reads it and how often. It is a UUID version 8 (RFC
// 9562 §5.8) in 32 hex digits, of a SHA-256 over the parts with their lengths.
func RawID(parts ...string) string {
	all := make([][]byte, len(parts))
	for i, p := range parts {
		all[i] = []byte(p)
	}
	return idempotent.ID(all...)
}

// ContentHash tells two states of a record apart that have one version: a version is a
// time of the other side, and two changes may share it.
func ContentHash(body []byte) string {
	sum := sha256.Sum256(body)
	return string(sum[:])
}

// Limit is the largest message of the source, bytes.
func Limit(src *policy.Source) int {
	if n := src.Limits.MaxBytes; n > 0 {
		return n
	}
	return policy.MaxMessage
}

// message is a record as a push of it would have been. One that is too large cannot go
// into the log: what says so goes in its place, which no mapping takes for stock, so
// that it ends in the dead letters and not in nothing.
func (f *Feed) message(r *Record) (raw *event.RawMessage, refused bool) {
	body := r.Body
	if size := max(len(body), r.Size); size > Limit(f.Source) {
		refused = true
		note, err := json.Marshal(map[string]any{"refused": CodeTooLarge, "list": r.List, "id": r.ID, "version": r.Version, "bytes": size, "limit": Limit(f.Source)})
		if err == nil {
			body = note
		}
	}
	dedupe := r.ID
	if r.List != "" {
		dedupe = r.List + "," + r.ID
	}
	if r.Version != "" {
		dedupe += "@" + r.Version
	}
	return &event.RawMessage{
		ID:     RawID(string(f.Source.Name), "pull", r.List, r.ID, r.Version, ContentHash(r.Body)),
		Source: f.Source.Name, StreamKey: Short(r.StreamKey), DedupeKey: Short(dedupe),
		ContentType: r.ContentType, Body: body, ReceivedAt: inventory.Instant(f.Now().UnixMilli()),
	}, refused
}

// maxKey bounds keys of records, bytes.
const maxKey = 255

// Short is a text as a key: as it is, or, where it is too long, its beginning and a
// hash of all of it.
func Short(s string) string {
	if len(s) <= maxKey {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	tail := "#" + hex.EncodeToString(sum[:16])
	return s[:maxKey-len(tail)] + tail
}
