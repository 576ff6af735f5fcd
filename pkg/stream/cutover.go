package stream

import (
	"context"
	"fmt"
	"slices"
)

// A Cut is what an operator says of one partition of a cutover.
type Cut struct {
	Partition int32
	Old       int64 // AppliedThrough of the state, -1 where it has applied nothing
	Start     int64 // offset of the new log at which to go on; FromFirst
}

// FromFirst as the Start of a Cut is the first record the new log has.
const FromFirst = -1

// A Cutover is a plan: what would be written.
type Cutover struct {
	Standings []Standing // of all partitions
	Cuts      []Cut      // of those that need it, their Start resolved
	Headers   []Header   // of the Cuts, as they would be written
}

// PlanCutover looks at every partition and plans new lineages for those whose state
// does not go on with the log at hand. starts says where, by partition: FromFirst
// where it says nothing. A Refused says why it cannot be done.
func (o *Operator) PlanCutover(ctx context.Context, starts map[int32]int64) (*Cutover, error) {
	input, err := o.reads.meta(ctx, true, o.led.Input)
	if err != nil {
		return nil, err
	}
	standings, err := o.Standings(ctx)
	if err != nil {
		return nil, err
	}
	plan := &Cutover{Standings: standings}
	var no Refused
	if len(standings) != len(input.leaders) {
		// Keys move with a count: their state would not be where they are.
		no.add("%s has %d partitions, its state %d: a cutover moves no keys, a repartition does", o.led.Input, len(input.leaders), len(standings))
		return plan, no.err()
	}
	for i := range standings {
		s := &standings[i]
		if len(s.Gaps()) == 0 {
			if _, said := starts[s.Partition]; said {
				no.add("partition %d goes on by itself after offset %d: there is nothing to cut over", s.Partition, s.Applied())
			}
			continue
		}
		start, said := starts[s.Partition]
		if !said || start == FromFirst {
			start = s.First
		}
		h := o.header(input, s.Partition)
		if s.Found {
			h.Lineage, h.PolicyVersion = s.Header.Lineage+1, s.Header.PolicyVersion
		}
		h.Origin, h.PreviousEnd, h.Start, h.AppliedThrough = OriginCutover, s.Applied(), start, start-1
		plan.Cuts = append(plan.Cuts, Cut{Partition: s.Partition, Old: s.Applied(), Start: start})
		plan.Headers = append(plan.Headers, h)
		o.cuttable(s, start, len(input.leaders), &no)
	}
	for p := range starts {
		if p < 0 || int(p) >= len(standings) {
			no.add("there is no partition %d", p)
		}
	}
	slices.Sort(no.Reasons)
	return plan, no.err()
}

// cuttable refuses what no cutover may paper over.
func (o *Operator) cuttable(s *Standing, start int64, partitions int, no *Refused) {
	switch {
	case !s.Found && (s.Pieces > 0 || s.Group >= 0):
		no.add("partition %d has state or a group offset and no header: state was lost, and a cutover would hide it", s.Partition)
	case s.Found && s.Header.StoreVersion != o.led.StoreVersion:
		no.add("partition %d has store version %d, this build %d", s.Partition, s.Header.StoreVersion, o.led.StoreVersion)
	case s.Found && s.Header.Partition != s.Partition:
		no.add("partition %d holds the state of partition %d", s.Partition, s.Header.Partition)
	case s.Found && int(s.Header.Partitions) != partitions:
		no.add("partition %d is of a log of %d partitions: a cutover moves no keys, a repartition does", s.Partition, s.Header.Partitions)
	case len(s.Bound) > 0:
		no.add("partition %d has keys that still need the old log: %v", s.Partition, s.Bound)
	}
	if start < s.First || start > s.End {
		no.add("partition %d: the log at hand holds offsets %d to %d and cannot go on at %d", s.Partition, s.First, s.End, start)
	}
}

// Cutover carries a plan out: new headers, and the group's offsets with them, in one
// transaction. It plans again once nobody can be at work any more, and refuses where
// what it then sees is not what the operator states.
func (o *Operator) Cutover(ctx context.Context, stated []Cut) (*Cutover, error) {
	if err := o.quiet(ctx); err != nil {
		return nil, err
	}
	starts := map[int32]int64{}
	olds := map[int32]int64{}
	for _, c := range stated {
		starts[c.Partition], olds[c.Partition] = c.Start, c.Old
	}
	// The operator's own identity first: of two operators one is fenced, and what the
	// other has written is seen below.
	txn, err := o.operate()
	if err != nil {
		return nil, err
	}
	defer txn.close()
	if _, _, err := txn.cl.ProducerID(ctx); err != nil {
		return nil, fmt.Errorf("becoming the operator: %w", err)
	}
	plan, err := o.PlanCutover(ctx, starts)
	if err != nil {
		return plan, err
	}
	var no Refused
	for _, c := range plan.Cuts {
		old, said := olds[c.Partition]
		switch {
		case !said:
			no.add("partition %d needs a cutover too, and nothing is stated of it: its state has applied offset %d", c.Partition, c.Old)
		case old != c.Old:
			no.add("partition %d has applied offset %d, not %d as stated", c.Partition, c.Old, old)
		}
	}
	if len(plan.Cuts) == 0 {
		no.add("every partition goes on by itself: there is nothing to cut over")
	}
	if err := no.err(); err != nil {
		return plan, err
	}
	recs := make([]*Record, len(plan.Headers))
	offsets := &groupOffsets{group: o.led.Group, topic: o.led.Input, at: map[int32]int64{}}
	for i, h := range plan.Headers {
		value, err := o.led.Codec.EncodeHeader(h)
		if err != nil {
			return plan, fmt.Errorf("encoding header: %w", err)
		}
		recs[i] = &Record{Topic: o.led.State, Partition: h.Partition, Key: []byte(HeaderKey), Value: value}
		offsets.at[h.Partition] = h.AppliedThrough + 1
	}
	if err := o.adm.Idle(ctx, o.led.Group); err != nil {
		return plan, err
	}
	if err := txn.write(ctx, recs, offsets); err != nil {
		return plan, err
	}
	return plan, o.took(ctx, plan.Headers)
}

// took makes sure that headers stand as they were written.
func (o *Operator) took(ctx context.Context, headers []Header) error {
	now, err := o.Standings(ctx)
	if err != nil {
		return err
	}
	for _, h := range headers {
		if s := now[h.Partition]; s.Header != h {
			return fmt.Errorf("%w: header of partition %d is %+v after it was written as %+v", ErrStop, h.Partition, s.Header, h)
		}
	}
	return nil
}
