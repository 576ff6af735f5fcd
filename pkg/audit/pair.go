package audit

import (
	"context"
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// outcomes hands out a partition's outcomes, decoded.
type outcomes struct {
	p   *part
	in  *feed
	rec *stream.Record // nil at the end
}

func (o *outcomes) advance(ctx context.Context) error {
	for {
		rec, err := o.in.next(ctx)
		if o.rec = rec; err != nil || rec == nil {
			return err
		}
		err = o.p.a.cfg.Codecs.DecodeOutcome(rec.Value, &o.p.outcome)
		if err == nil {
			return nil
		}
		o.p.find(o.p.item(rec.Key), Finding{
			Invariant: 2, Check: UnreadableRecord, Offset: o.p.item(rec.Key).offset, Seen: o.p.seenOutcome(rec),
			Expected: "an outcome", Found: err.Error(),
		})
	}
}

func (p *part) seenOutcome(rec *stream.Record) string {
	return fmt.Sprintf("%s partition %d offset %d", event.TopicOutcomes, p.id, rec.Offset)
}

// pair walks events and outcomes side by side, both in the order of the log, and
// folds. Invariant 2: each event has one outcome or one dead letter.
func (p *part) pair(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start, err := p.a.reads.LogStart(ctx, event.TopicEvents, p.id)
	if err != nil {
		return err
	}
	end, err := p.a.reads.LastStable(ctx, event.TopicEvents, p.id)
	if err != nil {
		return err
	}
	p.report.Waiting = max(0, end-p.through-1)
	begin, err := p.a.reads.LogStart(ctx, event.TopicOutcomes, p.id)
	if err != nil {
		return err
	}
	until, err := p.a.stableEnd(ctx, event.TopicOutcomes, p.id)
	if err != nil {
		return err
	}
	if p.whole = begin == 0; !p.whole {
		p.incomplete("the head of %s was deleted by retention: it begins at offset %d, so sums, versions and events before it are not checked", event.TopicOutcomes, begin)
	}
	if start > 0 {
		p.incomplete("the head of %s was deleted by retention: it begins at offset %d, so events before it are not checked", event.TopicEvents, start)
	}
	if !p.whole || start > 0 {
		p.policy = -1
	}
	out := &outcomes{p: p, in: p.a.feed(ctx, event.TopicOutcomes, p.id, begin, until, true)}
	if err := out.advance(ctx); err != nil {
		return err
	}
	// What stands before the first common event, or is of an earlier lineage, whose
	// offsets are of another log, is folded and not paired.
	first, earlier := start, 0
	for ; out.rec != nil && (p.outcome.Lineage < p.header.Lineage || p.outcome.Offset < start); earlier++ {
		p.fold(out.rec, nil, 0)
		if p.outcome.Lineage < p.header.Lineage {
			first = -1
		}
		if err := out.advance(ctx); err != nil {
			return err
		}
	}
	if earlier > 0 {
		p.report.Notes = append(p.report.Notes, fmt.Sprintf("partition %d: %d outcomes are of events that are gone or of an earlier lineage: folded, not paired", p.id, earlier))
	}
	if first < 0 || !p.whole {
		first = p.through + 1
		if out.rec != nil {
			first = max(start, p.outcome.Offset)
		}
	}
	if err := p.walk(ctx, out, first); err != nil {
		return err
	}
	if p.unjudged > 0 {
		p.incomplete("%d events have no outcome, the first at offset %d, and %s no longer reaches back to say whether they had a dead letter", p.unjudged, p.doubt, event.TopicDeadATP)
	}
	if got := p.header.PolicyVersion; p.policy >= 0 && got != p.policy {
		p.find(nil, Finding{
			Invariant: 8, Check: PolicyVersion, Offset: p.through, Seen: event.TopicState + " " + stream.HeaderKey,
			Expected: fmt.Sprintf("policy version %d, as the log says", p.policy), Found: fmt.Sprintf("version %d", got),
		})
	}
	return nil
}

func (p *part) walk(ctx context.Context, out *outcomes, first int64) error {
	p.pairing = true
	defer func() { p.pairing = false }()
	last := int64(-1) // paired
	in := p.a.feed(ctx, event.TopicEvents, p.id, first, p.through+1, false)
	for {
		rec, err := in.next(ctx)
		if err != nil {
			return err
		}
		upto := p.through + 1
		if rec != nil {
			upto = rec.Offset
		}
		for out.rec != nil && (p.outcome.Offset < upto || p.outcome.Lineage < p.header.Lineage) {
			if p.waited(out.rec, first) {
				p.fold(out.rec, nil, 0)
			} else {
				p.stray(out.rec, last)
			}
			if err := out.advance(ctx); err != nil {
				return err
			}
		}
		if rec == nil {
			// What is left is of events beyond the state, but for repeats among it.
			for out.rec != nil {
				if p.outcome.Offset <= p.through && !p.waited(out.rec, first) {
					p.stray(out.rec, last)
				}
				if err := out.advance(ctx); err != nil {
					return err
				}
			}
			return nil
		}
		if out.rec == nil || p.outcome.Offset > rec.Offset {
			p.without(rec)
			continue
		}
		last = rec.Offset
		if err := p.with(rec, out.rec); err != nil {
			return err
		}
		if err := out.advance(ctx); err != nil {
			return err
		}
	}
}

// waited says whether the outcome at hand is that of an event set aside before: where
// the outcomes do not reach back, of any before the first that is paired.
func (p *part) waited(rec *stream.Record, first int64) bool {
	return p.item(rec.Key).waiting(&p.outcome) || !p.whole && p.outcome.Offset < first
}

// stray is an outcome whose turn it is not.
func (p *part) stray(rec *stream.Record, last int64) {
	f := Finding{
		Invariant: 2, Check: StrayOutcome, Offset: p.outcome.Offset, EventID: p.outcome.EventID, at: int64(p.outcome.RecordedAt),
		Seen: p.seenOutcome(rec), Expected: "outcomes of events in the log alone", Found: "an outcome of an event that is not in it",
	}
	if p.outcome.Offset <= last {
		f.Check, f.Expected, f.Found = DoubledOutcome, "one outcome", "another one"
	}
	p.find(p.item(rec.Key), f)
}

// without is an event that has no outcome: a control record, a dead letter, or lost.
func (p *part) without(rec *stream.Record) {
	ev := &p.event.Event
	err := p.a.cfg.Codecs.DecodeEventInto(rec.Value, &p.event)
	control := string(rec.Key) == event.ControlKey
	switch {
	case p.letters[rec.Offset]:
		p.report.Events++
		p.report.DeadLetters++
		return
	case control && err == nil && ev.Control != nil:
		p.report.Controls++
		if ev.Control.Snapshot == nil { // the end of one says nothing of a policy
			p.policy = ev.Control.PolicyVersion
		}
		return
	case p.cut:
		p.report.Events++
		if p.unjudged++; p.unjudged == 1 {
			p.doubt = rec.Offset
		}
		return
	}
	p.report.Events++
	f := Finding{
		Invariant: 2, Check: MissingOutcome, Offset: rec.Offset, at: rec.Timestamp.UnixMilli(), Key: string(rec.Key),
		Seen: event.TopicOutcomes, Expected: "one outcome or one dead letter", Found: "none",
	}
	if err == nil {
		f.EventID = string(append([]byte(nil), ev.ID...))
	}
	if len(rec.Key) == 0 || control {
		p.find(nil, f)
		return
	}
	p.find(p.item(rec.Key), f)
}

// with is an event and its outcome.
func (p *part) with(rec, out *stream.Record) error {
	p.report.Events++
	ev := &p.event.Event
	if err := p.a.cfg.Codecs.DecodeEventInto(rec.Value, &p.event); err != nil || string(rec.Key) == event.ControlKey {
		p.find(p.item(out.Key), Finding{
			Invariant: 2, Check: StrayOutcome, Offset: rec.Offset, EventID: p.outcome.EventID, at: rec.Timestamp.UnixMilli(), Seen: p.seenOutcome(out),
			Expected: "no outcome of a record that is no event of an item", Found: string(p.outcome.Kind),
		})
		return nil
	}
	if p.letters[rec.Offset] {
		p.find(p.item(rec.Key), Finding{
			Invariant: 2, Check: DoubledOutcome, Offset: rec.Offset, EventID: p.outcome.EventID, at: rec.Timestamp.UnixMilli(), Seen: p.seenOutcome(out),
			Expected: "an outcome or a dead letter", Found: "both",
		})
	}
	ev.RecordedAt = inventory.Instant(rec.Timestamp.UnixMilli())
	original, at, ok := event.ParseCopyOf(rec.Headers)
	if p.copy = ok && original < rec.Offset && p.outcome.RecordedAt == min(ev.RecordedAt, at); p.copy {
		ev.RecordedAt = p.outcome.RecordedAt
	}
	p.fold(out, ev, rec.Offset)
	return nil
}
