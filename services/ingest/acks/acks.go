// Package acks serves a partner's acknowledgements from partner.acks: what he sent, was
// it readable. The door decides who asks; a handler is for one source.
package acks

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const (
	// maxPage bounds the documents of one answer, maxBytes their bodies together.
	maxPage  = 100
	maxBytes = 1 << 20
	// maxLook bounds the records looked at for one answer: sources share partitions.
	maxLook  = 50_000
	patience = 10 * time.Second
)

// errFull ends a page.
var errFull = errors.New("the page is full")

// Log is where acknowledgements stand.
type Log interface {
	// Topic says how many partitions a topic has.
	Topic(ctx context.Context, topic string) (id string, partitions int32, err error)
	LogStart(ctx context.Context, topic string, partition int32) (int64, error)
	HighWatermark(ctx context.Context, topic string, partition int32) (int64, error)
	Each(ctx context.Context, topic string, partition int32, from, until int64, f func(*stream.Record) error) error
}

// Reader reads acknowledgements. It is safe for concurrent use.
type Reader struct {
	log    Log
	codecs *event.Codecs
}

// NewReader reads from log, such as a stream.RestoreReads, which it does not close.
func NewReader(log Log, codecs *event.Codecs) *Reader { return &Reader{log, codecs} }

// Document is an acknowledgement as it is served.
type Document struct {
	ID          string `json:"id"`
	Document    string `json:"document"` // 997, 999, TA1, CONTRL or STATUS
	Status      string `json:"status"`
	MessageID   string `json:"message_id"` // of the message it answers, as it was accepted
	Interchange string `json:"interchange,omitempty"`
	Control     int32  `json:"control"`
	ReceivedAt  string `json:"received_at"` // RFC 3339
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
	Encoding    string `json:"encoding,omitempty"` // base64, where the body is no UTF-8
	After       string `json:"after"`              // asks for what follows it
}

// Page is an answer; After asks for what follows it, and is there also where nothing
// new is.
type Page struct {
	Acks  []Document `json:"acks"`
	After string     `json:"after"`
	More  bool       `json:"more"`
}

// Read returns the acknowledgements of a source behind a place, the oldest first.
func (r *Reader) Read(ctx context.Context, source inventory.Source, after int64) (Page, error) {
	page := Page{Acks: []Document{}}
	next, more, err := r.Each(ctx, source, after, func(a *event.PartnerAck, behind int64) error {
		page.Acks = append(page.Acks, documentOf(a, behind))
		return nil
	})
	page.After, page.More = strconv.FormatInt(next, 10), more
	return page, err
}

// Each calls f for the acknowledgements of a source behind a place, the oldest first and
// as many as a page has; behind is the place of what follows it. next is that of what
// follows them all, and more says that there is something. The acknowledgement is f's for
// the call; an error of f's ends it and is returned.
func (r *Reader) Each(ctx context.Context, source inventory.Source, after int64, f func(a *event.PartnerAck, behind int64) error) (next int64, more bool, err error) {
	_, parts, err := r.log.Topic(ctx, event.TopicAcks)
	if err != nil {
		return 0, false, fmt.Errorf("looking at %s: %w", event.TopicAcks, err)
	}
	p := stream.Partition([]byte(inventory.Escape(string(source))), parts)
	start, err := r.log.LogStart(ctx, event.TopicAcks, p)
	if err != nil {
		return 0, false, fmt.Errorf("looking at %s: %w", event.TopicAcks, err)
	}
	end, err := r.log.HighWatermark(ctx, event.TopicAcks, p)
	if err != nil {
		return 0, false, fmt.Errorf("looking at %s: %w", event.TopicAcks, err)
	}
	from := max(start, after)
	until := min(end, from+maxLook)
	next, size := max(from, min(until, end)), 0
	seen := map[string]bool{}
	if from < until {
		err = r.log.Each(ctx, event.TopicAcks, p, from, until, func(rec *stream.Record) error {
			var a event.PartnerAck
			if err := r.codecs.DecodeAck(rec.Value, &a); err != nil {
				return fmt.Errorf("decoding acknowledgement at offset %d: %w", rec.Offset, err)
			}
			if a.Source != source || seen[a.ID] { // written twice, the same bytes
				return nil
			}
			if len(seen) == maxPage || size > 0 && size+len(a.Body) > maxBytes {
				next = rec.Offset
				return errFull
			}
			seen[a.ID] = true
			size += len(a.Body)
			return f(&a, rec.Offset+1)
		})
		if err != nil && !errors.Is(err, errFull) {
			return 0, false, fmt.Errorf("reading %s: %w", event.TopicAcks, err)
		}
	}
	return next, next < end, nil
}

func documentOf(a *event.PartnerAck, after int64) Document {
	d := Document{
		ID: a.ID, Document: a.Document, Status: a.Status, MessageID: a.RawID, Interchange: a.Interchange, Control: a.Control,
		ReceivedAt:  time.UnixMilli(int64(a.At)).UTC().Format(time.RFC3339Nano),
		ContentType: a.ContentType, Body: string(a.Body), After: strconv.FormatInt(after, 10),
	}
	if !utf8.Valid(a.Body) {
		d.Body, d.Encoding = base64.StdEncoding.EncodeToString(a.Body), "base64"
	}
	return d
}

// Handler answers GET /v1/acks/{source}?after=: the path's source must be one the
// caller may read, which the door has seen to (Invariant 10). fail writes a problem.
func (r *Reader) Handler(fail func(w http.ResponseWriter, status int, code, detail string)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		after := int64(0)
		if s := req.URL.Query().Get("after"); s != "" {
			var err error
			if after, err = strconv.ParseInt(s, 10, 64); err != nil || after < 0 {
				fail(w, http.StatusBadRequest, "bad_after", "after is what an answer before said, or is left out")
				return
			}
		}
		ctx, cancel := context.WithTimeout(req.Context(), patience)
		defer cancel()
		page, err := r.Read(ctx, inventory.Source(req.PathValue("source")), after)
		if err != nil {
			fail(w, http.StatusServiceUnavailable, "acks_unavailable", "acknowledgements cannot be read now")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(page) // who asked is gone: he asks again
	}
}
