package ingest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// ceSource names this service as the source of its records.
const ceSource = "/stockweave/ingest"

// DedupeHeader carries the sender's own message id on raw.messages.
const DedupeHeader = "dedupe_key"

// maxHeader bounds what is kept of any request header, bytes.
const maxHeader = 255

type server struct {
	cfg     Config
	doors   map[inventory.Source]*door
	log     *slog.Logger
	now     func() time.Time
	random  io.Reader
	produce func(ctx context.Context, recs ...*stream.Record) error
	gate    *gate
	slots   chan struct{} // requests under way

	requests *prometheus.CounterVec
	took     prometheus.Observer
}

func (s *server) handler() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = writeProblem
	e.IPExtractor = echo.ExtractIPDirect() // a header could say anything
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
		s.log.Error("request failed", slog.Any("err", err), slog.String("stack", string(stack)))
		return err
	}}))
	e.POST("/v1/messages/:source", s.post)
	return e
}

type accepted struct {
	ID string `json:"id"`
}

func (s *server) post(c echo.Context) error {
	name := inventory.Source(c.Param("source"))
	d := s.doors[name]
	id, err := s.take(c.Request(), d, c.RealIP())
	code, label := "accepted", string(name)
	if d == nil {
		label = "unknown" // names from outside make no series
	}
	if p, ok := errors.AsType[*problem](err); ok {
		code = p.Code
	} else if err != nil {
		code = "internal"
		s.log.Error("taking a message failed", slog.String("source", label), slog.Any("err", err))
	}
	s.requests.WithLabelValues(label, code).Inc()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, accepted{id}) //nolint:wrapcheck // echo's own
}

// take checks a request and makes its message durable; the id is the message's.
func (s *server) take(r *http.Request, d *door, remote string) (string, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return "", later("overloaded", "too many requests under way", int(s.cfg.RetryAfter.Seconds()))
	}
	if !d.keyOK(r.Header) {
		return "", badKey()
	}
	body, err := readBody(r, d.limit())
	if err != nil {
		return "", err
	}
	if !d.signatureOK(r.Header, body) {
		return "", badSignature()
	}
	// Whoever sends is known from here on; before, nothing is said about content.
	if err := d.checkContent(r.Header, body); err != nil {
		return "", err
	}
	if !s.gate.open(r.Context()) {
		return "", s.unavailable()
	}
	raw, err := s.message(r, d.src, body, remote)
	if err != nil {
		return "", err
	}
	rec, err := record(s.cfg.Codecs, d.src.LatencyClass, raw, traceParent(r.Header))
	if err != nil {
		return "", err
	}
	// Invariant 1: no 202 before every in-sync replica has the message. A sender
	// that hangs up does not stop it, and one that is told 503 may send again: the
	// events of both have the same ids.
	started := s.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.cfg.AckTimeout)
	defer cancel()
	if err := s.produce(ctx, rec); err != nil {
		s.gate.close()
		s.log.Error("the log did not take a message", slog.String("source", string(d.src.Name)), slog.Any("err", err))
		return "", s.unavailable()
	}
	s.took.Observe(s.now().Sub(started).Seconds())
	return raw.ID, nil
}

func (s *server) unavailable() *problem {
	return later("kafka_unavailable", "the message may not be stored; send it again", int(s.cfg.RetryAfter.Seconds()))
}

func (d *door) limit() int {
	if n := d.src.Limits.MaxBytes; n > 0 {
		return n
	}
	return policy.MaxMessage
}

func readBody(r *http.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return nil, tooLarge(limit)
	}
	// One byte more than allowed tells an exact fit from too much; chunked requests
	// state no length.
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "incomplete_body", "the body ended before its time")
	}
	if len(body) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}

func (d *door) checkContent(h http.Header, body []byte) error {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return newProblem(http.StatusUnsupportedMediaType, "unsupported_encoding", "send the body as it is, without Content-Encoding")
	}
	if ct := h.Get("Content-Type"); ct != "" {
		typ, params, err := mime.ParseMediaType(ct)
		if err != nil || !slices.Contains(d.types, typ) {
			return newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "the source sends "+strings.Join(d.types, ", "))
		}
		if set := params["charset"]; set != "" && !charsetOK(d.src, set) {
			return newProblem(http.StatusUnsupportedMediaType, "unsupported_charset", "the source does not send in this charset")
		}
	}
	if len(strings.TrimSpace(string(body))) == 0 {
		return newProblem(http.StatusBadRequest, "empty_body", "there is no message")
	}
	return nil
}

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
		raw.Filename = kept(path.Base(strings.ReplaceAll(f, "\\", "/")))
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

// record is the raw message on the topic of its latency class.
func record(c *event.Codecs, class string, raw *event.RawMessage, trace string) (*stream.Record, error) {
	topic, encode := event.TopicRaw, c.AppendRaw
	if class == policy.LatencyBulk {
		topic, encode = event.TopicRawBulk, c.AppendRawBulk
	}
	value, err := encode(nil, raw)
	if err != nil {
		return nil, fmt.Errorf("encoding raw message: %w", err)
	}
	ce := event.CE{ID: raw.ID, Source: ceSource, Type: "raw.message", Time: raw.ReceivedAt, TraceParent: trace}
	hs := ce.Headers()
	headers := make([]stream.RecordHeader, 0, len(hs)+1)
	for _, h := range hs {
		headers = append(headers, stream.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if raw.DedupeKey != "" {
		headers = append(headers, stream.RecordHeader{Key: DedupeHeader, Value: []byte(raw.DedupeKey)})
	}
	key := inventory.Escape(string(raw.Source)) + "|" + inventory.Escape(raw.StreamKey)
	return &stream.Record{Topic: topic, Key: []byte(key), Value: value, Headers: headers}, nil
}
