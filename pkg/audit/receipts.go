package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// keptMargin is how much later than what is kept of a topic a receipt must be to be
// held against it: what a message becomes is written before its receipt, and
// retention takes whole segments.
const keptMargin = 24 * time.Hour

// A joiner holds the receipts of raw messages against what stands (Invariant 2): the
// lines of each add up, and its rejected lines, its milestones and its parked lines are
// there; one that was parked waits, or a receipt of its own says what it became. Nothing
// is held of a message that has none of them.
type joiner struct {
	a      *auditor
	report *Report
	seed   maphash.Seed
	dead   list            // rejected lines, in the canonicalizer's dead letters
	stones list            // milestones
	parked list            // lines that were parked
	ends   map[int32]int64 // of the receipts as they were read first
}

// list is what receipts say stands on some topics.
type list struct {
	what  string
	owed  map[uint64]*owed    // by the raw id
	above map[uint64]struct{} // lines seen from number 64 on, by raw id and line
	kept  int64               // the time from which on all of the topics is there
}

// owed are the lines of a message: how many there must be, and how many were seen. A
// message canonicalized twice has them twice.
type owed struct {
	partition int32 // of the receipt
	offset    int64
	at        int64
	lines     int32
	seen      int32
	low       uint64 // which of numbers 1 to 63
}

// joinReceipts reads the receipts first: what they name was durable before.
func (a *auditor) joinReceipts(ctx context.Context) (*Report, error) {
	j := &joiner{
		a: a, report: &Report{}, seed: maphash.MakeSeed(),
		dead: newList("dead letters of the canonicalizer"), stones: newList("milestones"), parked: newList("parked lines, or receipts of what they became"),
		ends: map[int32]int64{},
	}
	if _, err := j.each(ctx, event.TopicReceipts, j.receipt); err != nil {
		return nil, err
	}
	var err error
	if j.dead.kept, err = j.each(ctx, event.TopicDeadCanonicalizer, j.letter); err != nil {
		return nil, err
	}
	for _, topic := range event.MilestoneTopics() {
		kept, err := j.each(ctx, topic, j.milestone)
		if err != nil {
			return nil, err
		}
		j.stones.kept = max(j.stones.kept, kept)
	}
	// A line that waits no more since the receipts were read has its own behind them.
	if _, err := j.each(ctx, event.TopicParked, j.line); err != nil {
		return nil, err
	}
	if err := j.rest(ctx); err != nil {
		return nil, err
	}
	j.settle(&j.dead)
	j.settle(&j.stones)
	j.settle(&j.parked)
	return j.report, j.name(ctx)
}

func newList(what string) list {
	return list{what: what, owed: map[uint64]*owed{}, above: map[uint64]struct{}{}}
}

// each calls f with every record of a topic, and returns the time from which on all of
// it is there: 0 where nothing is gone.
func (j *joiner) each(ctx context.Context, topic string, f func(*stream.Record) error) (kept int64, err error) {
	_, partitions, err := j.a.reads.Topic(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("looking at %s: %w", topic, err)
	}
	for p := range partitions {
		end, err := j.a.stableEnd(ctx, topic, p)
		if err != nil {
			return 0, fmt.Errorf("reading %s partition %d: %w", topic, p, err)
		}
		if topic == event.TopicReceipts {
			j.ends[p] = end
		}
		first := int64(math.MaxInt64)
		start, err := j.a.each(ctx, topic, p, end, func(rec *stream.Record) error {
			first = min(first, rec.Timestamp.UnixMilli())
			return f(rec)
		})
		switch {
		case errGone(err): // while it was read
			first = math.MaxInt64
		case err != nil:
			return 0, fmt.Errorf("reading %s partition %d: %w", topic, p, err)
		}
		if start > 0 || err != nil {
			kept = max(kept, first)
		}
	}
	return kept, nil
}

func (j *joiner) receipt(rec *stream.Record) error {
	var r event.Receipt
	fault := Finding{
		Invariant: 2, Topic: event.TopicReceipts, Partition: rec.Partition, Offset: rec.Offset, Key: string(rec.Key),
		Seen: fmt.Sprintf("%s partition %d offset %d", event.TopicReceipts, rec.Partition, rec.Offset), at: rec.Timestamp.UnixMilli(),
	}
	if err := j.a.cfg.Codecs.DecodeReceipt(rec.Value, &r); err != nil {
		fault.Check, fault.Expected, fault.Found = UnreadableRecord, "a receipt", err.Error()
		j.find(fault)
		return nil
	}
	if j.report.Milestones += int(r.Milestones); r.Line == 0 {
		j.report.Receipts++
		j.parked.owe(j.id(r.RawID), rec, r.Parked)
	} else {
		j.see(&j.parked, r.RawID, r.Line)
	}
	if !r.Adds() {
		fault.EventID, fault.Check, fault.Expected = r.RawID, ReceiptSum, fmt.Sprintf("%d lines", r.Lines)
		fault.Found = fmt.Sprintf("%d events, %d rejected, %d parked, %d masters, %d milestones", len(r.EventIDs), r.Rejected, r.Parked, r.Masters, r.Milestones)
		j.find(fault)
	}
	j.dead.owe(j.id(r.RawID), rec, r.Rejected)
	j.stones.owe(j.id(r.RawID), rec, r.Milestones)
	return nil
}

func (j *joiner) id(raw string) uint64 { return maphash.String(j.seed, raw) }

// owe takes what a receipt says. Of several of one message the largest number holds:
// before each its lines were durable.
func (l *list) owe(raw uint64, rec *stream.Record, lines int32) {
	switch o := l.owed[raw]; {
	case lines <= 0:
	case o == nil:
		l.owed[raw] = &owed{partition: rec.Partition, offset: rec.Offset, at: rec.Timestamp.UnixMilli(), lines: lines}
	case lines > o.lines:
		o.partition, o.offset, o.at, o.lines = rec.Partition, rec.Offset, rec.Timestamp.UnixMilli(), lines
	}
}

func (j *joiner) letter(rec *stream.Record) error {
	var d event.DeadLetter
	if err := j.a.cfg.Codecs.DecodeDeadLetter(rec.Value, &d); err != nil {
		return fmt.Errorf("decoding dead letter at partition %d offset %d: %w", rec.Partition, rec.Offset, err)
	}
	j.see(&j.dead, d.RawID, d.Line)
	return nil
}

func (j *joiner) milestone(rec *stream.Record) error {
	var m event.Milestone
	if err := j.a.cfg.Codecs.DecodeMilestone(rec.Value, &m); err != nil {
		return fmt.Errorf("decoding milestone at partition %d offset %d: %w", rec.Partition, rec.Offset, err)
	}
	j.see(&j.stones, m.Trace.RawID, m.Trace.RawLine)
	return nil
}

func (j *joiner) line(rec *stream.Record) error {
	if rec.Value == nil {
		return nil // it waits no more; its receipt tells
	}
	var l event.ParkedLine
	if err := j.a.cfg.Codecs.DecodeParked(rec.Value, &l); err != nil {
		return fmt.Errorf("decoding parked line at partition %d offset %d: %w", rec.Partition, rec.Offset, err)
	}
	j.see(&j.parked, l.RawID, l.Line)
	return nil
}

// rest reads the receipts of lines that ran again after the receipts were read.
func (j *joiner) rest(ctx context.Context) error {
	for p, from := range j.ends {
		end, err := j.a.stableEnd(ctx, event.TopicReceipts, p)
		if err == nil {
			err = j.a.reads.Each(ctx, event.TopicReceipts, p, from, end, func(rec *stream.Record) error {
				var r event.Receipt
				if j.a.cfg.Codecs.DecodeReceipt(rec.Value, &r) == nil && r.Line != 0 {
					j.see(&j.parked, r.RawID, r.Line)
				}
				return nil
			})
		}
		if err != nil && !errGone(err) {
			return fmt.Errorf("reading the last of %s partition %d: %w", event.TopicReceipts, p, err)
		}
	}
	return nil
}

// see counts each line of a message once; number 0 is none.
func (j *joiner) see(l *list, raw string, line int32) {
	id := j.id(raw)
	o := l.owed[id]
	switch {
	case o == nil || line <= 0:
		return
	case line < 64:
		if o.low&(1<<line) != 0 {
			return
		}
		o.low |= 1 << line
	default:
		place := maphash.Bytes(j.seed, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, id), uint32(line)))
		if _, twice := l.above[place]; twice {
			return
		}
		l.above[place] = struct{}{}
	}
	o.seen++
}

// settle finds the lines that are not there. There may be more than owed: of a
// message that is canonicalized again under other master data.
func (j *joiner) settle(l *list) {
	gone := 0
	for _, o := range l.owed {
		if o.seen >= o.lines {
			continue
		}
		if l.kept > 0 && (l.kept == math.MaxInt64 || o.at < l.kept+keptMargin.Milliseconds()) {
			gone++
			continue
		}
		j.find(Finding{
			Invariant: 2, Check: LineMissing, Topic: event.TopicReceipts, Partition: o.partition, Offset: o.offset, at: o.at,
			Seen: l.what, Expected: fmt.Sprintf("%d lines of the message", o.lines), Found: fmt.Sprintf("%d", o.seen),
		})
	}
	if gone > 0 {
		j.report.Notes = append(j.report.Notes, fmt.Sprintf("of %d messages retention has taken %s", gone, l.what))
	}
}

// find keeps the earliest faults.
func (j *joiner) find(f Finding) {
	j.report.Bad++
	fs := &j.report.Findings
	i, _ := slices.BinarySearchFunc(*fs, f, byTime)
	if i < maxFindings {
		*fs = slices.Insert(*fs, i, f)
		*fs = (*fs)[:min(len(*fs), maxFindings)]
	}
}

// name looks up the messages of which only the receipt's place is known.
func (j *joiner) name(ctx context.Context) error {
	for i := range j.report.Findings {
		f := &j.report.Findings[i]
		if f.Key != "" {
			continue
		}
		rec, err := j.one(ctx, f.Partition, f.Offset)
		if errGone(err) || err == nil && rec == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking up the receipt at offset %d: %w", f.Offset, err)
		}
		var r event.Receipt
		if j.a.cfg.Codecs.DecodeReceipt(rec.Value, &r) == nil {
			f.Key, f.EventID = string(rec.Key), r.RawID
		}
	}
	return nil
}

func (j *joiner) one(ctx context.Context, partition int32, offset int64) (*stream.Record, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return j.a.feed(ctx, event.TopicReceipts, partition, offset, offset+1, true).next(ctx)
}
