package ingest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// store makes messages of a request durable. Invariant 1: no 202 before every in-sync
// replica has them. A sender that hangs up does not stop it, and one that is told 503
// may send again: the events of both have the same ids.
func (s *server) store(r *http.Request, src *policy.Source, raws ...*event.RawMessage) error {
	if err := s.recv.accept(context.WithoutCancel(r.Context()), src, traceParent(r.Header), raws...); err != nil {
		if errors.Is(err, errNotStored) {
			return later("kafka_unavailable", "the message may not be stored; send it again", int(s.cfg.RetryAfter.Seconds()))
		}
		return err
	}
	s.messages.WithLabelValues(string(src.Name), "accepted").Add(float64(len(raws)))
	return nil
}

// message is a raw message with a body, and what the request says of it.
func (s *server) message(r *http.Request, src *policy.Source, body []byte, remote string) (*event.RawMessage, error) {
	now := s.now()
	id, err := newID(now, s.random)
	if err != nil {
		return nil, err
	}
	raw := &event.RawMessage{
		ID: id, Source: src.Name, StreamKey: streamKey(src, body), ContentType: kept(r.Header.Get("Content-Type")),
		Body: body, ReceivedAt: inventory.Instant(now.UnixMilli()), RemoteAddr: remote,
	}
	if src.DedupeHeader != "" {
		raw.DedupeKey = kept(r.Header.Get(src.DedupeHeader))
	}
	for _, name := range src.Headers {
		if v := kept(r.Header.Get(name)); v != "" {
			raw.Headers = append(raw.Headers, inventory.Attribute{Name: name, Value: v})
		}
	}
	if f := r.Header.Get("X-Filename"); f != "" {
		raw.Filename = filename(f)
	}
	return raw, nil
}

func kept(s string) string {
	if len(s) > maxHeader {
		s = s[:maxHeader]
	}
	return strings.ToValidUTF8(s, "")
}

// newID is a UUID version 7 (RFC 9562 §5.7) in 32 hex digits: every receipt gets
// its own, also of the same body again. It sorts by time of receipt.
func newID(now time.Time, random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return hex.EncodeToString(b[:]), nil
}
