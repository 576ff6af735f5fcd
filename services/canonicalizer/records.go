package canonicalizer

import (
	"fmt"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// ceSource names this service as the source of its records.
const ceSource = "/stockweave/canonicalizer"

// writer turns a result into records.
type writer struct {
	codecs *event.Codecs
	input  *stream.Record
	trace  string
	at     inventory.Instant
	out    []*stream.Record

	// Memory of the records of a message: they are written together.
	stamp []byte // at, as headers state it
	bytes []byte
	heads []stream.RecordHeader
	recs  []stream.Record

	parkedIn int32 // partition of canonicalizer.parked for the message's stream
}

// records are a result's own: everything but the receipt, which comes when these
// are durable. A record of inventory.events never carries a timestamp: the log's
// own is the ledger's time (EXACTLY-ONCE §6).
func (w *writer) records(r *Result) error {
	for i := range r.Items {
		m := &r.Items[i]
		value, err := w.codecs.AppendItem(nil, m)
		if err != nil {
			return fmt.Errorf("encoding item %s: %w", m.Key, err)
		}
		w.add(event.TopicItems, m.Key.String(), value, fmt.Sprintf("%s@%d", m.Key, m.Version), "master.item")
	}
	for i := range r.Locations {
		m := &r.Locations[i]
		value, err := w.codecs.AppendLocation(nil, m)
		if err != nil {
			return fmt.Errorf("encoding location %s: %w", m.Location, err)
		}
		key := inventory.Escape(string(m.Entity)) + "|" + inventory.Escape(string(m.Location))
		w.add(event.TopicLocations, key, value, fmt.Sprintf("%s@%d", key, m.Version), "master.location")
	}
	w.out = slices.Grow(w.out, len(r.Events))
	for i := range r.Events {
		ev := &r.Events[i]
		value, err := w.event(ev)
		if err != nil {
			return fmt.Errorf("encoding event %s: %w", ev.ID, err)
		}
		key := w.key(ev.Key)
		w.out = append(w.out, w.record(event.TopicEvents, key, value, ev.ID, event.TypeOf(ev)))
	}
	for i := range r.Milestones {
		m := &r.Milestones[i]
		value, err := w.codecs.AppendMilestone(nil, m)
		if err != nil {
			return fmt.Errorf("encoding milestone %s: %w", m.ID, err)
		}
		topic, _ := event.MilestoneTopic(m.About) // that it has one, the codec has seen
		key := inventory.Escape(string(m.Entity)) + "|" + inventory.Escape(m.Document.Type) + "|" + inventory.Escape(m.Document.Number)
		w.add(topic, key, value, m.ID, "milestone")
	}
	for i := range r.Parked {
		p := &r.Parked[i]
		value, err := w.codecs.AppendParked(nil, p)
		if err != nil {
			return fmt.Errorf("encoding parked line %s: %w", p.ID, err)
		}
		w.add(event.TopicParked, event.ParkedKey(p), value, p.ID, "canonicalizer.parked")
		w.out[len(w.out)-1].Partition = w.parkedIn
	}
	for i := range r.Rejected {
		if err := w.dead(&r.Rejected[i]); err != nil {
			return err
		}
	}
	for i := range r.Open {
		if err := w.dead(&r.Open[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) dead(d *event.DeadLetter) error {
	d.Topic, d.Partition, d.Offset, d.Key = w.input.Topic, w.input.Partition, w.input.Offset, w.input.Key
	value, err := w.codecs.AppendDeadLetter(nil, d)
	if err != nil {
		return fmt.Errorf("encoding dead letter %s: %w", d.ID, err)
	}
	w.add(event.TopicDeadCanonicalizer, string(w.input.Key), value, d.ID, "canonicalizer.deadletter")
	return nil
}

func (w *writer) receipt(r *event.Receipt) (*stream.Record, error) {
	value, err := w.codecs.AppendReceipt(nil, r)
	if err != nil {
		return nil, fmt.Errorf("encoding receipt of %s: %w", r.RawID, err)
	}
	return w.make(event.TopicReceipts, string(w.input.Key), value, r.RawID, "canonicalizer.receipt"), nil
}

func (w *writer) add(topic, key string, value []byte, id, typ string) {
	w.out = append(w.out, w.make(topic, key, value, id, typ))
}

// Sizes of the pieces of memory that records share.
const (
	bytesPiece  = 32 << 10 // several values: they are of a few hundred bytes
	recordPiece = 128
)

// event is an event's value.
func (w *writer) event(ev *inventory.Event) ([]byte, error) {
	w.room(bytesPiece / 16)
	from := len(w.bytes)
	b, err := w.codecs.AppendEvent(w.bytes, ev)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says of which
	}
	w.bytes = b
	return b[from:len(b):len(b)], nil
}

// key is the key of an item's events.
func (w *writer) key(k inventory.Key) []byte {
	w.room(bytesPiece / 16)
	from := len(w.bytes)
	w.bytes = k.Append(w.bytes)
	return w.bytes[from:len(w.bytes):len(w.bytes)]
}

// room is for so many bytes more.
func (w *writer) room(n int) {
	if cap(w.bytes)-len(w.bytes) < n {
		w.bytes = make([]byte, 0, bytesPiece)
	}
}

func (w *writer) make(topic, key string, value []byte, id, typ string) *stream.Record {
	return w.record(topic, []byte(key), value, id, typ)
}

func (w *writer) record(topic string, key, value []byte, id, typ string) *stream.Record {
	if w.stamp == nil {
		w.stamp = event.AppendStamp(make([]byte, 0, len("2006-01-02T15:04:05.000Z")), w.at)
	}
	if len(w.recs) == 0 {
		n := min(max(1, cap(w.out)-len(w.out)), recordPiece)
		heads := 6 * n
		if w.trace == "" {
			heads = 5 * n
		}
		w.recs, w.heads = make([]stream.Record, n), make([]stream.RecordHeader, 0, heads)
	}
	from := len(w.heads)
	w.heads = event.AppendCE(w.heads, event.CE{ID: id, Source: ceSource, Type: typ, Time: w.at, TraceParent: w.trace}, w.stamp)
	rec := &w.recs[0]
	w.recs = w.recs[1:]
	*rec = stream.Record{Topic: topic, Key: key, Value: value, Headers: w.heads[from:len(w.heads):len(w.heads)]}
	return rec
}

// deadLetter is for inputs the worker itself gives up on.
func deadLetter(c *event.Codecs) stream.DeadLetters {
	return func(d stream.DeadLetter) (*stream.Record, error) {
		w := writer{codecs: c, input: d.Record, trace: traceOf(d.Record), at: inventory.Instant(d.Record.Timestamp.UnixMilli())}
		err := w.dead(&event.DeadLetter{
			ID: event.PlaceID(d.Record.Topic, d.Record.Partition, d.Record.Offset), Service: serviceName,
			Code: d.Code, Reason: shorten(d.Reason, maxReason), Value: d.Record.Value, At: w.at,
		})
		if err != nil {
			return nil, err
		}
		return w.out[0], nil
	}
}

// traceOf is the W3C trace a record belongs to, empty when it has none.
func traceOf(rec *stream.Record) string {
	for _, h := range rec.Headers {
		if h.Key == event.TraceParent {
			return string(h.Value)
		}
	}
	return ""
}
