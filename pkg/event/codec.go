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
}

// scratch is memory shared by all codecs of a set.
type scratch struct {
	writers, readers sync.Pool
	words            *words
}

// newCodec binds a table to the versions of a topic. It fails where the table is
// not the latest schema, field by field.
func newCodec[T any](ids *IDs, sc *scratch, topic string, t *table[T]) (codec[T], error) {
	c := codec[T]{topic: topic, table: t, byID: map[uint32]func(*reader, *T){}, scratch: sc}
	versions, err := ids.versions(topic)
	if err != nil {
		return c, err
	}
	latest := false
	for _, v := range versions {
		schema, err := parse(v.text)
		if err != nil {
			return c, fmt.Errorf("event: parsing %s version %d: %w", topic, v.number, err)
		}
		dec, same, err := t.bind(schema)
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

func (c *codec[T]) append(dst []byte, x *T) ([]byte, error) {
	w, ok := c.scratch.writers.Get().(*writer)
	if !ok {
		w = &writer{}
	}
	w.b, w.err = append(w.b[:0], 0), nil
	w.b = binary.BigEndian.AppendUint32(w.b, c.id)
	c.table.enc(w, x)
	if len(w.b) > MaxValue {
		w.fail("%d bytes are more than %d", len(w.b), MaxValue)
	}
	err := w.err
	if err == nil {
		dst = append(dst, w.b...) // into memory of the value's own size, not of the buffer's
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
	r, ok := c.scratch.readers.Get().(*reader)
	if !ok {
		r = &reader{words: c.scratch.words}
	}
	r.b, r.i, r.s, r.err = value, prefixSize, "", nil
	var zero T
	*into = zero
	dec(r, into)
	if r.err == nil && r.i != len(r.b) {
		r.failf("%d bytes too many", len(r.b)-r.i)
	}
	err := r.err
	r.b, r.s, r.err = nil, "", nil
	c.scratch.readers.Put(r)
	if err != nil {
		*into = zero
		return c.undecodable(err)
	}
	return nil
}

func (c *codec[T]) undecodable(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUndecodable, c.topic, err)
}
