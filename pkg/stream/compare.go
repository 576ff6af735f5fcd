package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Comparison holds two states of the same log beside each other, piece by piece:
// each side as its partition's log stands, at a moment of its own. What events
// between the two moments, or after them, have touched is not compared but named.
type Comparison struct {
	// Alike is what of a piece must be equal byte by byte. It may return value.
	Alike func(key, value []byte) ([]byte, error)
	// Only, when set, are the groups to compare.
	Only map[string]bool
}

// Compared is what a comparison of one partition gave.
type Compared struct {
	Partition     int32
	Live, Shadow  Header
	Equal, Differ int             // pieces
	Moved         map[string]bool // groups that events went on with meanwhile
	First         *Difference     // in the order of keys
}

// Difference is a piece that is not the same on both sides; nil is absent.
type Difference struct {
	Partition    int32
	Key          string
	Live, Shadow []byte
}

// digest stands for a piece; pieces of a partition are held by their digests alone.
type digest [16]byte

// Compare compares a partition of this ledger with that of another one over the same
// input.
func (o *Operator) Compare(ctx context.Context, shadow *Operator, partition int32, c Comparison) (*Compared, error) {
	if o.led.Input != shadow.led.Input {
		return nil, fmt.Errorf("comparing states: one is of %s, the other of %s", o.led.Input, shadow.led.Input)
	}
	res := &Compared{Partition: partition, Moved: map[string]bool{}}
	live, header, err := o.digests(ctx, partition, c)
	if err != nil {
		return nil, err
	}
	res.Live = header
	other, header, err := shadow.digests(ctx, partition, c)
	if err != nil {
		return nil, err
	}
	res.Shadow = header
	// Not only what lies between the two: a piece of the side read first may have been
	// replaced since, and compacted away.
	from := min(res.Live.AppliedThrough, res.Shadow.AppliedThrough) + 1
	first, err := o.reads.LogStart(ctx, o.led.Input, partition)
	if err != nil {
		return nil, err
	}
	end, err := o.reads.StableEnd(ctx, o.led.Input, partition)
	if err != nil {
		return nil, err
	}
	if err := o.reads.Each(ctx, o.led.Input, partition, max(from, first), end, func(rec *Record) error {
		if g := string(rec.Key); c.Only == nil || c.Only[g] {
			res.Moved[g] = true
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var firstKey string
	for _, key := range slices.Sorted(maps.Keys(union(live, other))) {
		if res.Moved[o.led.GroupOf([]byte(key))] {
			continue
		}
		a, has := live[key]
		b, had := other[key]
		if has && had && a == b {
			res.Equal++
			continue
		}
		if res.Differ++; res.Differ == 1 {
			firstKey = key
		}
	}
	if res.Differ > 0 {
		res.First = &Difference{Partition: partition, Key: firstKey}
		if res.First.Live, err = o.piece(ctx, partition, firstKey); err != nil {
			return nil, err
		}
		if res.First.Shadow, err = shadow.piece(ctx, partition, firstKey); err != nil {
			return nil, err
		}
	}
	return res, nil
}

func union(a, b map[string]digest) map[string]digest {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// digests folds a partition's state.
func (o *Operator) digests(ctx context.Context, partition int32, c Comparison) (map[string]digest, Header, error) {
	pieces := map[string]digest{}
	header := Header{AppliedThrough: -1, PreviousEnd: -1}
	_, err := o.reads.Fold(ctx, o.led.State, partition, func(rec *Record) (err error) {
		if string(rec.Key) == HeaderKey {
			header, err = o.led.Codec.DecodeHeader(rec.Value)
			return err
		}
		if c.Only != nil && !c.Only[o.led.GroupOf(rec.Key)] {
			return nil
		}
		if rec.Value == nil {
			delete(pieces, string(rec.Key))
			return nil
		}
		value, err := c.Alike(rec.Key, rec.Value)
		if err != nil {
			return fmt.Errorf("reading %s of %s: %w", rec.Key, o.led.State, err)
		}
		sum := sha256.Sum256(value)
		pieces[string(rec.Key)] = digest(sum[:16])
		return nil
	})
	if err != nil {
		return nil, header, fmt.Errorf("folding partition %d of %s: %w", partition, o.led.State, err)
	}
	return pieces, header, nil
}

// piece reads one piece as it stands.
func (o *Operator) piece(ctx context.Context, partition int32, key string) (value []byte, err error) {
	_, err = o.reads.Fold(ctx, o.led.State, partition, func(rec *Record) error {
		if string(rec.Key) == key {
			value = bytes.Clone(rec.Value)
		}
		return nil
	})
	return value, err
}

// Seed writes the first headers of a shadow of a live ledger, each of a lineage above
// the live one. Partitions that have one already go on with it; one that is of
// another log, or of a lineage no higher, is a Refused.
func (o *Operator) Seed(ctx context.Context, live []Standing) error {
	input, err := o.reads.meta(ctx, true, o.led.Input)
	if err != nil {
		return err
	}
	mine, err := o.Standings(ctx)
	if err != nil {
		return err
	}
	var (
		no   Refused
		recs []*Record
	)
	for i := range mine {
		s := &mine[i]
		switch {
		case s.Found && (len(s.Foreign) > 0 || s.Header.Lineage <= live[i].Header.Lineage):
			no.add("partition %d of %s is a shadow of another state (lineage %d; %s): drop it first",
				s.Partition, o.led.State, s.Header.Lineage, strings.Join(s.Foreign, ", "))
		case s.Found:
		case s.Pieces > 0 || s.Group >= 0:
			no.add("partition %d of %s is torn: drop it first", s.Partition, o.led.State)
		default:
			h := o.header(input, s.Partition)
			h.Lineage = live[i].Header.Lineage + 1
			value, err := o.led.Codec.EncodeHeader(h)
			if err != nil {
				return fmt.Errorf("encoding header: %w", err)
			}
			recs = append(recs, &Record{Topic: o.led.State, Partition: s.Partition, Key: []byte(HeaderKey), Value: value})
		}
	}
	if err := no.err(); err != nil || len(recs) == 0 {
		return err
	}
	txn, err := o.operate()
	if err != nil {
		return err
	}
	defer txn.close()
	return txn.write(ctx, recs, nil)
}

// Reaches reports whether the state, or the group that works on it, has come to an
// offset in every partition: applied is by number, -1 for nothing.
func (o *Operator) Reaches(ctx context.Context, applied []int64) (left int64, err error) {
	for p, want := range applied {
		off, err := o.reads.GroupOffset(ctx, o.led.Group, o.led.Input, int32(p)) //nolint:gosec // partition counts are int32
		if err != nil {
			return 0, err
		}
		left += max(0, want+1-max(off, 0))
	}
	return left, nil
}
