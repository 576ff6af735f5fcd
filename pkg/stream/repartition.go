package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// MovedTopic is a topic of a ledger and its next generation.
type MovedTopic struct {
	From, To  string // as they are called on the cluster
	Spec      TopicSpec
	Compacted bool
	// Empty topics are made and not copied: the input.
	Empty bool
	// Read topics have readers who must have read all of it, and who go on behind the
	// copy: what they have done they need not do again.
	Read bool
}

// Repartition says what to move.
type Repartition struct {
	Partitions int32
	Writers    []string     // groups whose workers append to the input
	Topics     []MovedTopic // of which one is the input and one the state
}

// Moved is what became of a topic.
type Moved struct {
	MovedTopic
	Sum     Sum      // of both sides
	Readers []string // groups that go on behind the copy
}

// Still makes sure that a ledger is at rest: nobody writes to its log or works on it,
// and the state has applied all of it. Else it is a Refused.
func (o *Operator) Still(ctx context.Context, writers []string) ([]Standing, error) {
	for _, group := range writers {
		if err := o.adm.Idle(ctx, group); err != nil {
			return nil, err
		}
	}
	if err := o.quiet(ctx); err != nil {
		return nil, err
	}
	all, err := o.Standings(ctx)
	if err != nil {
		return nil, err
	}
	var no Refused
	for i := range all {
		s := &all[i]
		for _, why := range s.Gaps() {
			no.add("partition %d: %s", s.Partition, why)
		}
		if why, err := o.unapplied(ctx, s); err != nil {
			return all, err
		} else if why != "" {
			no.add("partition %d: the state has applied offset %d and the log ends at %d: %s", s.Partition, s.Applied(), s.End, why)
		}
	}
	return all, no.err()
}

// unappliedMost bounds how many records are counted that are left to apply.
const unappliedMost = 1_000

// unapplied says what of the log a state has not applied, or nothing where that is all.
// Offsets do not tell: markers of transactions, aborted records and what was compacted
// away have some, and are never applied.
func (o *Operator) unapplied(ctx context.Context, s *Standing) (string, error) {
	from := max(s.Applied()+1, s.First)
	if from >= s.End {
		return "", nil
	}
	left, next, err := o.reads.Count(ctx, o.led.Input, s.Partition, from, unappliedMost)
	switch {
	case err != nil:
		return "", err
	case left > unappliedMost:
		return fmt.Sprintf("more than %d records are left to apply", unappliedMost), nil
	case left > 0:
		return fmt.Sprintf("%d records are left to apply", left), nil
	case next < s.End:
		return fmt.Sprintf("a transaction is open from offset %d on", next), nil
	}
	return "", nil
}

// Repartition copies a ledger at rest into topics of another partition count. What
// an earlier, broken attempt has left of these topics is deleted first. The new
// state begins a lineage above all old ones, so that no fence of a key swallows the
// low offsets of the new log. Nobody uses the copy until the aliases name it.
func (o *Operator) Repartition(ctx context.Context, r Repartition) ([]Moved, error) {
	standings, err := o.Still(ctx, r.Writers)
	if err != nil {
		return nil, err
	}
	header, err := o.next(ctx, standings, r)
	if err != nil {
		return nil, err
	}
	readers, err := o.readers(ctx, r.Topics)
	if err != nil {
		return nil, err
	}
	if err := o.renew(ctx, r); err != nil {
		return nil, err
	}
	txn, err := o.operate()
	if err != nil {
		return nil, err
	}
	defer txn.close()
	moved := make([]Moved, 0, len(r.Topics))
	for _, t := range r.Topics {
		m := Moved{MovedTopic: t, Readers: readers[t.From]}
		if !t.Empty {
			from, err := o.reads.meta(ctx, true, t.From)
			if err != nil {
				return moved, err
			}
			if m.Sum, err = o.copyTopic(ctx, txn, t, int32(len(from.leaders)), r.Partitions); err != nil { //nolint:gosec // partition counts are int32
				return moved, err
			}
			back, err := o.sumOf(ctx, t, r.Partitions)
			if err != nil {
				return moved, fmt.Errorf("reading the copy of %s: %w", t.From, err)
			}
			if back != m.Sum {
				return moved, fmt.Errorf("%w: %s holds %d records (%s), its copy %d (%s)", ErrStop, t.From, m.Sum.Records, m.Sum.Text(), back.Records, back.Text())
			}
		}
		moved = append(moved, m)
	}
	if err := o.headers(ctx, txn, r, header); err != nil {
		return moved, err
	}
	for _, m := range moved {
		for _, group := range m.Readers {
			if err := o.behind(ctx, group, m.To); err != nil {
				return moved, err
			}
		}
	}
	// The barrier must still hold: an event beyond it would be in the old log alone.
	again, err := o.Still(ctx, r.Writers)
	if err != nil {
		return moved, err
	}
	if !slices.EqualFunc(standings, again, func(a, b Standing) bool { return a.End == b.End && a.Header == b.Header }) {
		return moved, &Refused{[]string{"the log went on during the copy: stop who writes to it, and start again"}}
	}
	return moved, nil
}

// next is the header of the new lineage, but for its topic and partition.
func (o *Operator) next(ctx context.Context, standings []Standing, r Repartition) (Header, error) {
	h := Header{
		Topic: "", Partitions: r.Partitions, Partitioner: headerPartitioner, StoreVersion: o.led.StoreVersion,
		AppliedThrough: -1, PreviousEnd: -1, Origin: OriginRepartition,
	}
	var no Refused
	if r.Partitions < 1 || r.Partitions > 10_000 {
		no.add("%d partitions", r.Partitions)
	}
	for i := range standings {
		s := &standings[i]
		if s.Header.StoreVersion != o.led.StoreVersion && s.Found {
			no.add("partition %d has store version %d, this build %d", s.Partition, s.Header.StoreVersion, o.led.StoreVersion)
		}
		// A key takes its partition's policy along; it must be one and the same.
		if s.Header.PolicyVersion != standings[0].Header.PolicyVersion {
			no.add("partition %d decides by policy version %d and partition 0 by %d: apply the policies first", s.Partition, s.Header.PolicyVersion, standings[0].Header.PolicyVersion)
		}
		if len(s.Bound) > 0 {
			no.add("partition %d has keys that still need the old log: %v", s.Partition, s.Bound)
		}
		h.Lineage, h.PolicyVersion = max(h.Lineage, s.Header.Lineage), s.Header.PolicyVersion
	}
	h.Lineage++
	cluster, err := o.adm.ClusterID(ctx)
	if err != nil {
		return h, err
	}
	h.Cluster = cluster
	return h, no.err()
}

// headers writes those of every new partition.
func (o *Operator) headers(ctx context.Context, txn *opTxn, r Repartition, h Header) error {
	var input, state string
	for _, t := range r.Topics {
		switch t.From {
		case o.led.Input:
			input = t.To
		case o.led.State:
			state = t.To
		}
	}
	if input == "" || state == "" {
		return errors.New("a repartition moves the input and the state")
	}
	meta, err := o.reads.meta(ctx, true, input)
	if err != nil {
		return err
	}
	h.Topic, h.TopicID = input, meta.idString()
	recs := make([]*Record, r.Partitions)
	for p := range r.Partitions {
		h.Partition = p
		value, err := o.led.Codec.EncodeHeader(h)
		if err != nil {
			return fmt.Errorf("encoding header: %w", err)
		}
		recs[p] = &Record{Topic: state, Partition: p, Key: []byte(HeaderKey), Value: value}
	}
	return txn.write(ctx, recs, nil)
}

// renew makes the new topics, empty.
func (o *Operator) renew(ctx context.Context, r Repartition) error {
	names := make([]string, len(r.Topics))
	specs := make([]TopicSpec, len(r.Topics))
	for i, t := range r.Topics {
		names[i], specs[i] = t.To, t.Spec
		specs[i].Name, specs[i].Partitions = t.To, r.Partitions
	}
	if err := o.adm.DeleteTopics(ctx, names...); err != nil {
		return err
	}
	if _, err := o.adm.EnsureTopics(ctx, false, specs...); err != nil {
		return err
	}
	for _, name := range names {
		if err := o.adm.answers(ctx, name, r.Partitions); err != nil {
			return err
		}
	}
	return nil
}

// readers are the groups that have read topics, by topic. One with something left to
// read is a reason to refuse: it would stay unread.
func (o *Operator) readers(ctx context.Context, topics []MovedTopic) (map[string][]string, error) {
	listed, err := o.adm.adm.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing groups: %w", err)
	}
	by := map[string][]string{}
	var no Refused
	for _, group := range listed.Groups() {
		offsets, err := o.adm.adm.FetchOffsets(ctx, group)
		if err != nil {
			return nil, fmt.Errorf("fetching offsets of group %s: %w", group, err)
		}
		for _, t := range topics {
			parts, reads := offsets[t.From]
			if !t.Read || !reads {
				continue
			}
			if err := o.adm.Idle(ctx, group); err != nil { // its offsets are set below
				return nil, err
			}
			by[t.From] = append(by[t.From], group)
			meta, err := o.reads.meta(ctx, false, t.From)
			if err != nil {
				return nil, err
			}
			for p := range int32(len(meta.leaders)) { //nolint:gosec // partition counts are int32
				from := int64(0)
				if off, ok := parts[p]; ok && off.At > 0 {
					from = off.At
				}
				if _, found, err := o.reads.NextRecord(ctx, t.From, p, from); err != nil {
					return nil, err
				} else if found {
					no.add("group %s has not read all of partition %d of %s", group, p, t.From)
				}
			}
		}
	}
	return by, no.err()
}

// behind puts a reader's group behind everything a topic holds.
func (o *Operator) behind(ctx context.Context, group, topic string) error {
	ends, err := o.adm.EndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	return o.adm.commit(ctx, group, topic, ends)
}

// Align makes a group's offsets fit a state it is to go on with: an offset ahead of
// the state's header is taken back to it. What is read once more is a counted no-op
// for whoever has applied it, so this is safe whichever state the group takes.
func (o *Operator) Align(ctx context.Context) error {
	all, err := o.Standings(ctx)
	if err != nil {
		return err
	}
	var no Refused
	at := make([]int64, len(all))
	for i := range all {
		s := &all[i]
		for _, why := range s.Gaps() {
			no.add("partition %d: %s", s.Partition, why)
		}
		if at[i] = -1; s.Group > s.Applied()+1 {
			at[i] = s.Applied() + 1
		}
	}
	if err := no.err(); err != nil {
		return err
	}
	return o.adm.commit(ctx, o.led.Group, o.led.Input, at)
}
