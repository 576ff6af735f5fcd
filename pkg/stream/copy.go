package stream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Sum is a checksum of a set of records that does not depend on their order, nor on
// the partitions they stand in.
type Sum struct {
	Records int64
	hash    [4]uint64
}

// add takes a record in; what makes it is its key and its value.
func (s *Sum) add(rec *Record) {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(rec.Key)))
	h.Write(n[:])
	h.Write(rec.Key)
	h.Write(rec.Value)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	s.Records++
	for i := range s.hash {
		s.hash[i] += binary.BigEndian.Uint64(sum[8*i:])
	}
}

// Text is the checksum in hex.
func (s *Sum) Text() string { return fmt.Sprintf("%016x%016x", s.hash[0], s.hash[1]) }

// kept calls f, in the order of the log, for the records of a topic that a fold of it
// keeps: of a compacted one the last of each key, of another one all. Headers of
// state are none of them.
func (o *Operator) keptOf(ctx context.Context, topic string, compacted bool, partition int32, f func(*Record) error) error {
	var last map[string]int64
	if compacted {
		last = map[string]int64{}
		if _, err := o.reads.Fold(ctx, topic, partition, func(rec *Record) error {
			last[string(rec.Key)] = rec.Offset
			return nil
		}); err != nil {
			return err
		}
	}
	_, err := o.reads.Fold(ctx, topic, partition, func(rec *Record) error {
		if compacted && (rec.Value == nil || last[string(rec.Key)] != rec.Offset || string(rec.Key) == HeaderKey) {
			return nil
		}
		return f(rec)
	})
	return err
}

// A copy in transactions of at most this much.
const (
	copyRecords = 5_000
	copyBytes   = 4 << 20
)

// copyTopic copies what a topic holds into an empty one of another partition count,
// each key to its partition there. Order is kept within each key.
func (o *Operator) copyTopic(ctx context.Context, txn *opTxn, t MovedTopic, from, to int32) (Sum, error) {
	var (
		sum  Sum
		recs []*Record
		size int
	)
	flush := func() error {
		if len(recs) == 0 {
			return nil
		}
		err := txn.write(ctx, recs, nil)
		recs, size = recs[:0], 0
		return err
	}
	for p := range from {
		if err := o.keptOf(ctx, t.From, t.Compacted, p, func(rec *Record) error {
			sum.add(rec)
			recs = append(recs, &Record{
				Topic: t.To, Partition: Partition([]byte(o.led.GroupOf(rec.Key)), to),
				Key: rec.Key, Value: rec.Value, Headers: rec.Headers, Timestamp: rec.Timestamp,
			})
			if size += len(rec.Key) + len(rec.Value); len(recs) < copyRecords && size < copyBytes {
				return nil
			}
			return flush()
		}); err != nil {
			return sum, fmt.Errorf("copying partition %d of %s: %w", p, t.From, err)
		}
	}
	if err := flush(); err != nil {
		return sum, fmt.Errorf("copying %s: %w", t.From, err)
	}
	return sum, nil
}

// sumOf reads a copy back, and makes sure that every key stands in its partition.
func (o *Operator) sumOf(ctx context.Context, t MovedTopic, partitions int32) (Sum, error) {
	var sum Sum
	for p := range partitions {
		if err := o.keptOf(ctx, t.To, t.Compacted, p, func(rec *Record) error {
			if want := Partition([]byte(o.led.GroupOf(rec.Key)), partitions); want != p {
				return fmt.Errorf("%w: %s stands in partition %d of %s, not in %d", ErrStop, rec.Key, p, t.To, want)
			}
			sum.add(rec)
			return nil
		}); err != nil {
			return sum, err
		}
	}
	return sum, nil
}
