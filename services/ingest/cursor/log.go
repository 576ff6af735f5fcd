package cursor

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Log is the Store in Kafka. Load reads on to the end of the key's partition first, so
// it sees what every process saved before.
type Log struct {
	codecs  *event.Codecs
	topic   string // as the cluster calls it
	reads   *stream.RestoreReads
	produce func(ctx context.Context, recs ...*stream.Record) error
	now     func() time.Time

	mu    sync.Mutex
	parts map[int32]*part
	count int32 // partitions; 0: not asked yet
}

// part is what was read of a partition.
type part struct {
	next int64
	vals map[string][]byte
}

// NewLog connects lazily. produce returns when its records are durable.
func NewLog(cfg stream.Config, codecs *event.Codecs, produce func(context.Context, ...*stream.Record) error, now func() time.Time) (*Log, error) {
	reads, err := stream.NewRestoreReads(cfg)
	if err != nil {
		return nil, fmt.Errorf("opening cursors: %w", err)
	}
	return &Log{
		codecs: codecs, topic: cfg.Physical(event.TopicCursors), reads: reads, produce: produce, now: now, parts: map[int32]*part{},
	}, nil
}

// Close ends the reader.
func (l *Log) Close() { l.reads.Close() }

// Load implements Store.
func (l *Log) Load(ctx context.Context, key string) ([]byte, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		_, n, err := l.reads.Topic(ctx, l.topic)
		if err != nil {
			return nil, false, fmt.Errorf("asking for the cursors' topic: %w", err)
		}
		l.count = n
	}
	id := stream.Partition([]byte(key), l.count)
	p := l.parts[id]
	if p == nil {
		start, err := l.reads.LogStart(ctx, l.topic, id)
		if err != nil {
			return nil, false, fmt.Errorf("loading cursors: %w", err)
		}
		p = &part{next: start, vals: map[string][]byte{}}
	}
	end, err := l.reads.HighWatermark(ctx, l.topic, id)
	if err != nil {
		return nil, false, fmt.Errorf("loading cursors: %w", err)
	}
	err = l.reads.Each(ctx, l.topic, id, p.next, end, func(rec *stream.Record) error { return l.apply(p, rec) })
	if err != nil {
		delete(l.parts, id) // compacted underneath, say: from the start the next time
		return nil, false, fmt.Errorf("loading cursors: %w", err)
	}
	p.next = max(p.next, end)
	l.parts[id] = p
	v, found := p.vals[key]
	return bytes.Clone(v), found, nil
}

func (l *Log) apply(p *part, rec *stream.Record) error {
	if rec.Value == nil {
		delete(p.vals, string(rec.Key))
		return nil
	}
	var c event.Cursor
	if err := l.codecs.DecodeCursor(rec.Value, &c); err != nil {
		return fmt.Errorf("decoding cursor %s: %w", rec.Key, err)
	}
	p.vals[string(rec.Key)] = bytes.Clone(c.Value)
	return nil
}

// Save implements Store.
func (l *Log) Save(ctx context.Context, key string, value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, key, len(value))
	}
	rec := &stream.Record{Topic: event.TopicCursors, Key: []byte(key)}
	if len(value) > 0 {
		at := inventory.Instant(l.now().UnixMilli())
		var err error
		if rec.Value, err = l.codecs.AppendCursor(nil, &event.Cursor{Key: key, Value: value, At: at}); err != nil {
			return fmt.Errorf("encoding cursor %s: %w", key, err)
		}
		for _, h := range (event.CE{ID: fmt.Sprintf("%s@%d", key, at), Source: "/stockweave/ingest", Type: "ingest.cursor", Time: at}).Headers() {
			rec.Headers = append(rec.Headers, stream.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	if err := l.produce(ctx, rec); err != nil {
		return fmt.Errorf("saving cursor %s: %w", key, err)
	}
	return nil
}
