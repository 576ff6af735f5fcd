package audit

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// part is the audit of one partition: what its topics say of each item.
type part struct {
	a      *auditor
	id     int32
	report *Report

	header   event.StateHeader
	through  int64 // the last event that the state has applied
	policy   int64 // of the last control record; -1 before the first of a log without a head
	whole    bool  // outcomes reach back to the first
	letters  map[int64]bool
	cut      bool  // dead letters do not reach back to the first
	unjudged int   // events without an outcome, of which a dead letter may be gone
	doubt    int64 // the first of them
	pairing  bool  // events and outcomes are being walked

	items   map[string]*item
	event   event.Buf
	outcome inventory.Outcome
	copy    bool // the event in hand is one that a frozen key took from its copy
}

// partition audits one partition. The order of the reads is that of a restore: the
// group's offset, then the end of the state, then everything that its transactions
// wrote elsewhere.
func (a *auditor) partition(ctx context.Context, id int32) (*Report, error) {
	p := &part{
		a: a, id: id, report: &Report{Outcomes: map[string]int{}},
		items: map[string]*item{}, letters: map[int64]bool{}, through: -1,
	}
	group, err := a.groupOffset(ctx, id)
	if err != nil {
		return nil, err
	}
	header, err := p.readState(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading state: %w", err)
	}
	if ok, err := p.begin(header, group); err != nil || !ok {
		return p.report, err
	}
	steps := []struct {
		what string
		run  func(context.Context) error
	}{
		{"reading dead letters", p.readLetters},
		{"folding outcomes", p.pair},
		{"reading positions", p.readPositions},
		{"comparing the cache", p.compareCache},
	}
	for i, s := range steps {
		if i == len(steps)-1 {
			p.compare()
		}
		if err := s.run(ctx); errGone(err) {
			p.incomplete("retention took records while they were read: %v", err)
			p.report.Findings, p.report.Bad = nil, 0 // of half a log
			return p.report, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	p.report.Items = len(p.items)
	return p.report, p.name(ctx)
}

func (p *part) incomplete(format string, args ...any) {
	p.report.Incomplete = append(p.report.Incomplete, fmt.Sprintf("partition %d: ", p.id)+fmt.Sprintf(format, args...))
}

// find notes a fault: of an item its first alone, since what follows may come of it.
func (p *part) find(it *item, f Finding) {
	if it != nil {
		f.Key = it.key
		if it.bad && !p.replaces(it, &f) {
			return
		}
		if !it.bad {
			it.bad = true
			p.report.Bad++
		}
	} else {
		p.report.Bad++
	}
	f.Topic, f.Partition = event.TopicEvents, p.id
	fs := &p.report.Findings
	i, _ := slices.BinarySearchFunc(*fs, f, func(a, b Finding) int {
		if a.Offset <= b.Offset {
			return -1
		}
		return 1
	})
	if i < maxFindings {
		*fs = slices.Insert(*fs, i, f)
		*fs = (*fs)[:min(len(*fs), maxFindings)]
	}
}

// replaces says whether a fault of an item that has one stands earlier in the log,
// and takes out the other. Faults of outcomes come before what came of them.
func (p *part) replaces(it *item, f *Finding) bool {
	if !p.pairing {
		return false
	}
	fs := &p.report.Findings
	i := slices.IndexFunc(*fs, func(x Finding) bool { return x.Key == it.key })
	if i < 0 || (*fs)[i].Offset <= f.Offset {
		return false
	}
	*fs = slices.Delete(*fs, i, i+1)
	return true
}

// readState keeps the pieces that are compared, as they stand, and returns the
// partition's header.
func (p *part) readState(ctx context.Context) (header []byte, err error) {
	end, err := p.a.stableEnd(ctx, event.TopicState, p.id)
	if err != nil {
		return nil, err
	}
	_, err = p.a.each(ctx, event.TopicState, p.id, end, func(rec *stream.Record) error {
		if string(rec.Key) == stream.HeaderKey {
			header = append(header[:0], rec.Value...)
			return nil
		}
		i := second(rec.Key)
		if i < 0 || i+1 >= len(rec.Key) {
			return nil // not a piece of an item
		}
		it := p.item(rec.Key[:i])
		kind := rec.Key[i+1:]
		switch {
		case string(kind) == inventory.PieceHead:
			it.head.set(rec)
		case bytes.HasPrefix(kind, []byte(inventory.PieceLocation+"|")),
			bytes.HasPrefix(kind, []byte(inventory.PieceLine+"|")),
			bytes.HasPrefix(kind, []byte(inventory.PieceSupply+"|")):
			it.more.set(kind, rec)
		}
		return nil
	})
	return header, err
}

// second is the place of the second '|' of a key, or the key's length where it has
// but one.
func second(key []byte) int {
	first := bytes.IndexByte(key, '|')
	if first < 0 {
		return -1
	}
	if i := bytes.IndexByte(key[first+1:], '|'); i >= 0 {
		return first + 1 + i
	}
	return len(key)
}

// begin takes the header. It is false where there is nothing to audit by it.
func (p *part) begin(header []byte, group int64) (bool, error) {
	if header == nil {
		if group > 0 {
			p.find(nil, Finding{
				Invariant: 8, Check: HeaderBehind, Offset: group - 1, Seen: event.TopicState,
				Expected: "a partition header, since the group stands at offset " + strconv.FormatInt(group, 10), Found: "none",
			})
		}
		return false, nil
	}
	if err := p.a.cfg.Codecs.DecodeStateHeader(header, &p.header); err != nil {
		return false, fmt.Errorf("decoding the partition header: %w", err)
	}
	h := &p.header
	if h.TopicID != p.a.eventsID || h.Partition != p.id {
		p.incomplete("the state is of another log: topic %s partition %d, where this is topic %s", h.TopicID, h.Partition, p.a.eventsID)
		return false, nil
	}
	p.through = h.AppliedThrough
	if group >= 0 && p.through < group-1 {
		p.find(nil, Finding{
			Invariant: 8, Check: HeaderBehind, Offset: group - 1, Seen: event.TopicState + " " + stream.HeaderKey,
			Expected: fmt.Sprintf("applied through %d, where the group stands", group-1), Found: fmt.Sprintf("applied through %d", p.through),
		})
	}
	return true, nil
}

// readLetters remembers which events went to the dead letters instead of having an
// outcome.
func (p *part) readLetters(ctx context.Context) error {
	_, partitions, err := p.a.reads.Topic(ctx, event.TopicDeadATP)
	if err != nil {
		return err
	}
	for id := range partitions {
		end, err := p.a.stableEnd(ctx, event.TopicDeadATP, id)
		if err != nil {
			return err
		}
		start, err := p.a.each(ctx, event.TopicDeadATP, id, end, func(rec *stream.Record) error {
			var d event.DeadLetter
			if err := p.a.cfg.Codecs.DecodeDeadLetter(rec.Value, &d); err != nil {
				return fmt.Errorf("decoding dead letter at partition %d offset %d: %w", id, rec.Offset, err)
			}
			if d.Topic == p.a.cfg.Kafka.Physical(event.TopicEvents) && d.Partition == p.id {
				p.letters[d.Offset] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.cut = p.cut || start > 0
	}
	return nil
}

// readPositions keeps each location's latest position that the state knows of.
func (p *part) readPositions(ctx context.Context) error {
	end, err := p.a.stableEnd(ctx, event.TopicPositions, p.id)
	if err != nil {
		return err
	}
	var pos inventory.Position
	_, err = p.a.each(ctx, event.TopicPositions, p.id, end, func(rec *stream.Record) error {
		i := second(rec.Key)
		if i <= 0 || rec.Value == nil {
			return nil
		}
		it := p.item(rec.Key[:i])
		seen := fmt.Sprintf("%s partition %d offset %d", event.TopicPositions, p.id, rec.Offset)
		if err := p.a.cfg.Codecs.DecodePosition(rec.Value, &pos); err != nil {
			p.find(it, Finding{Invariant: 3, Check: UnreadableRecord, Offset: it.offset, Seen: seen, Expected: "a position", Found: err.Error()})
			return nil
		}
		if string(rec.Key) != inventory.PositionKey(pos.Key, pos.Location) {
			p.find(it, Finding{
				Invariant: 3, Check: PositionDiffers, Offset: it.offset, EventID: pos.EventID, Location: string(pos.Location), Seen: seen,
				Expected: "the key of its position", Found: string(rec.Key),
			})
			return nil
		}
		st := it.stored(string(pos.Location))
		if pos.Offset > p.through && pos.Lineage >= p.header.Lineage {
			st.moved = true
			p.report.Moved++
			return nil
		}
		// Invariant 5: in the log as well no version falls.
		if st.value != nil && pos.Version <= st.version {
			p.find(it, Finding{
				Invariant: 5, Check: PositionVersion, Offset: pos.Offset, EventID: pos.EventID, Location: st.location, Seen: seen,
				Expected: fmt.Sprintf("a version above %d", st.version), Found: fmt.Sprintf("version %d", pos.Version),
			})
		}
		st.value, st.at, st.version = append(st.value[:0], rec.Value...), rec.Offset, pos.Version
		return nil
	})
	return err
}

// name looks up the events of which only the place is known.
func (p *part) name(ctx context.Context) error {
	for i := range p.report.Findings {
		f := &p.report.Findings[i]
		if f.Offset < 0 || f.at != 0 {
			continue
		}
		rec, err := p.one(ctx, f.Offset)
		if errGone(err) || err == nil && rec == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking up the event at offset %d: %w", f.Offset, err)
		}
		f.at = rec.Timestamp.UnixMilli()
		if p.a.cfg.Codecs.DecodeEventInto(rec.Value, &p.event) == nil {
			f.EventID = string(append([]byte(nil), p.event.Event.ID...))
		}
		if f.Key == "" {
			f.Key = string(rec.Key)
		}
	}
	return nil
}

func (p *part) one(ctx context.Context, offset int64) (*stream.Record, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return p.a.feed(ctx, event.TopicEvents, p.id, offset, offset+1, false).next(ctx)
}
