package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// CodeUndecodable is the stable code for a value that cannot be read.
const CodeUndecodable = "undecodable"

// Errors of codecs.
var (
	// ErrUndecodable is every failure to read a value.
	ErrUndecodable = errors.New("undecodable")
	// ErrUnknownSchema is the failure, an ErrUndecodable too, to know the schema a
	// value was written with: a start after topics apply may know it.
	ErrUnknownSchema = errors.New("unknown schema id")
)

// prefixSize is that of the Confluent wire format: a zero byte, then the schema
// id as four bytes, big endian.
const prefixSize = 5

// keepScratch is the largest buffer kept for the next value.
const keepScratch = 64 << 10

// codec writes the values of one topic and reads every version of them.
type codec[T any] struct {
	topic   string
	table   *table[T]
	id      uint32 // of our latest version
	byID    map[uint32]func(r *reader, x *T)
	scratch *scratch
	decoded bool // its texts come out of decoded events: see writer
}

// scratch is memory shared by all codecs of a set.
type scratch struct {
	writers, readers sync.Pool
	words            *words
}

// ofTheLedger says whether the ledger alone writes a topic, out of events it has
// decoded.
func ofTheLedger(topic string) bool {
	return topic == TopicOutcomes || topic == TopicPositions || topic == TopicState
}

// newCodec binds a table to the versions of a topic. It fails where the table is
// not the latest schema, field by field.
func newCodec[T any](ids *IDs, sc *scratch, topic string, t *table[T]) (codec[T], error) {
	c := codec[T]{topic: topic, table: t, byID: map[uint32]func(*reader, *T){}, scratch: sc, decoded: ofTheLedger(topic)}
	versions, err := ids.versions(topic)
	if err != nil {
		return c, err
	}
	latest := false
	for _, v := range versions {
		dec, same, err := t.bind(v.schema)
		if err != nil {
			return c, fmt.Errorf("event: reading %s version %d: %w", topic, v.number, err)
		}
		c.byID[uint32(v.id)] = dec
		if v.ours {
			c.id, latest = uint32(v.id), same
		}
	}
	if !latest {
		return c, fmt.Errorf("event: the fields of %s are not those of its latest schema", topic)
	}
	return c, nil
}

// roomy is the spare capacity from which a value is encoded where it belongs;
// with less it is encoded aside first and copied.
const roomy = 1 << 10

func (c *codec[T]) append(dst []byte, x *T) ([]byte, error) {
	return c.appendBy(dst, x, roomy, c.table.enc)
}

// appendBy is append by an encoder that writes what the table's would, with another
// room than roomy.
func (c *codec[T]) appendBy(dst []byte, x *T, room int, enc func(*writer, *T)) ([]byte, error) {
	w, ok := c.scratch.writers.Get().(*writer)
	if !ok {
		w = &writer{}
	}
	own := w.b
	from := 0
	inPlace := cap(dst)-len(dst) >= room
	if inPlace {
		w.b, from = dst, len(dst)
	} else {
		w.b = own[:0]
	}
	w.err, w.decoded = nil, c.decoded
	w.b = binary.BigEndian.AppendUint32(append(w.b, 0), c.id)
	enc(w, x)
	if len(w.b)-from > MaxValue {
		w.fail("%d bytes are more than %d", len(w.b)-from, MaxValue)
	}
	err := w.err
	switch {
	case err != nil:
	case inPlace:
		dst = w.b
	default:
		dst = append(dst, w.b...) // into memory of the value's own size, not of the buffer's
	}
	if inPlace {
		w.b = own
	}
	if cap(w.b) <= keepScratch {
		c.scratch.writers.Put(w)
	}
	if err != nil {
		return dst, fmt.Errorf("encoding %s: %w", c.topic, err)
	}
	return dst, nil
}

func (c *codec[T]) decode(value []byte, into *T) error {
	r, ok := c.scratch.readers.Get().(*reader)
	if !ok {
		r = &reader{words: c.scratch.words}
	}
	err := c.read(r, value, into)
	c.scratch.readers.Put(r)
	return err
}

// read is decode by a reader of the caller's.
func (c *codec[T]) read(r *reader, value []byte, into *T) error {
	if len(value) < prefixSize || value[0] != 0 || len(value) > MaxValue {
		return c.undecodable(errors.New("not a value in the Confluent wire format"))
	}
	id := binary.BigEndian.Uint32(value[1:])
	dec := c.table.dec
	if id != c.id {
		if dec = c.byID[id]; dec == nil {
			return c.undecodable(fmt.Errorf("%w: %d", ErrUnknownSchema, id))
		}
	}
	r.b, r.i, r.s, r.nth, r.err = value, prefixSize, "", 0, nil
	var zero T
	*into = zero
	dec(r, into)
	if r.err == nil && r.i != len(r.b) {
		r.failf("%d bytes too many", len(r.b)-r.i)
	}
	err := r.err
	r.b, r.s, r.err = nil, "", nil
	if err != nil {
		*into = zero
		return c.undecodable(err)
	}
	return nil
}

func (c *codec[T]) undecodable(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUndecodable, c.topic, err)
}
