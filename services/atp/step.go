package atp

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// maxPieceBytes is the largest state record a transaction may write; beyond it
// the step fails and the runner isolates and diverts the record.
const maxPieceBytes = 256 << 10

// source is the CloudEvents source of everything this service says.
const source = "urn:stockweave:atp"

// CloudEvents types of what this service writes.
const (
	typeOutcome  = "inventory.outcome"
	typePosition = "inventory.position"
	typeView     = "inventory.view"
)

// Policies gives the content of a ledger policy version.
type Policies interface {
	Ledger(version int64, hash string) (*inventory.Policy, error)
}

// processor folds canonical events into ledgers. It keeps nothing between calls:
// what it knows of a key lives in the stream.State it is handed.
type processor struct {
	codecs   *event.Codecs
	policies Policies
	answers  *answers          // nil: nobody is told
	remind   *reminders        // nil: time alone decides nothing
	policy   *inventory.Policy // the one last used: a version's content never changes

	// What follows is memory that one call leaves to the next, and no more: each
	// use begins with an empty value.
	positions []inventory.Position
	event     event.Buf
	outcome   inventory.Outcome
	scratch   inventory.Scratch
	piece     inventory.Piece
	stampOf   inventory.Instant // the time that stamp writes
	stamp     []byte

	// Of what is emitted: emit copies it.
	out   stream.Record
	value []byte
	key   []byte
	ce    []stream.RecordHeader
}

// ledger is the decoded state of one key, in one piece of memory: most events find
// it cold.
type ledger struct {
	inventory.Ledger
	pieces    pieces
	memo      event.HeadMemo    // of the head that stands in pieces
	partition int32             // of its last event
	wakes     inventory.Instant // as the reminders know it
	frozen    inventory.Instant // the same
}

// Group is the ledger an event belongs to: its key, or none for a control record.
func (p *processor) Group(rec *stream.Record) (string, error) {
	switch {
	case len(rec.Key) == 0:
		return "", stream.Rejectf("no_key", "record has no key")
	case string(rec.Key) == event.ControlKey:
		return "", nil
	}
	return unsafe.String(unsafe.SliceData(rec.Key), len(rec.Key)), nil // as good as the record
}

// Step decides one event and says so in one outcome (Invariant 2).
func (p *processor) Step(in stream.Input, st *stream.State, emit func(*stream.Record)) error {
	return p.decide(in, st, "", emit)
}

// decide is Step, or with a reason to freeze the key of the event, that of Divert.
func (p *processor) decide(in stream.Input, st *stream.State, freeze inventory.Code, emit func(*stream.Record)) error {
	ev := &p.event.Event
	if err := p.codecs.DecodeEventInto(in.Value, &p.event); err != nil {
		return stream.Reject("undecodable", err)
	}
	ev.RecordedAt = inventory.Instant(in.Timestamp.UnixMilli())
	if st == nil || st.Group() == "" {
		return p.control(in, ev, emit)
	}
	if ev.Kind == inventory.KindControl {
		return stream.Rejectf("control_with_key", "control record under key %q", st.Group())
	}
	led, ok := st.Object().(*ledger)
	if !ok {
		var err error
		if led, err = p.open(st, ev); err != nil {
			return err
		}
	} else if ev.Key != led.Key() {
		return stream.Rejectf("key_mismatch", "event of %q under key %q", ev.Key.String(), st.Group())
	}
	led.pieces.st, led.partition = st, in.Partition

	// EXACTLY-ONCE §4: at or below the fence an event is a counted no-op.
	switch noop, err := led.Noop(in.Lineage, in.Offset, ev.ID); {
	case err != nil:
		return fmt.Errorf("fence of %s at offset %d: %w: %w", st.Group(), in.Offset, stream.ErrStop, err)
	case noop:
		return stream.ErrNoop
	}

	if p.policy == nil || p.policy.Version != in.Header.PolicyVersion {
		policy, err := p.policies.Ledger(in.Header.PolicyVersion, "")
		if err != nil {
			return fmt.Errorf("policy of partition %d: %w: %w", in.Partition, stream.ErrStop, err)
		}
		p.policy = policy
	}
	at := inventory.At{Lineage: in.Lineage, Partition: in.Partition, Offset: in.Offset}
	if led.Frozen().Since != 0 {
		copied(in, ev, &at)
	}
	var err error
	if freeze != "" {
		led.Freeze(&p.outcome, p.policy, ev, at, freeze)
	} else {
		err = led.ApplyWith(&p.scratch, &p.outcome, p.policy, ev, at)
	}
	if led.pieces.err != nil {
		return fmt.Errorf("reading state of %s: %w: %w", st.Group(), stream.ErrStop, led.pieces.err)
	}
	if err != nil {
		fault, ok := errors.AsType[*inventory.Fault](err)
		if !ok {
			return fmt.Errorf("applying event %s: %w", ev.ID, err)
		}
		p.outcome = rejected(ev, fault, in)
	}

	if p.value, err = p.codecs.AppendOutcome(p.value[:0], &p.outcome); err != nil {
		return fmt.Errorf("encoding outcome of %s: %w", ev.ID, err)
	}
	p.out = stream.Record{
		Topic: event.TopicOutcomes, Key: in.Key, Value: p.value,
		Headers: p.headers(ev.ID, typeOutcome, ev.RecordedAt, in.Headers),
	}
	emit(&p.out)
	if err := p.answer(in, ev, emit); err != nil {
		return err
	}
	return p.alsoSay(led.Also(), in, emit)
}

// open decodes the ledger of an event's key.
func (p *processor) open(st *stream.State, ev *inventory.Event) (*ledger, error) {
	if ev.Key.String() != st.Group() {
		return nil, stream.Rejectf("key_mismatch", "event of %q under key %q", ev.Key.String(), st.Group())
	}
	key := inventory.Key{Entity: ev.Key.Entity, Item: inventory.Item(strings.Clone(string(ev.Key.Item)))} // outlives the event
	led := &ledger{pieces: pieces{st: st, codecs: p.codecs, key: key}}
	led.pieces.headKey = st.Own(st.Group() + "|" + inventory.PieceHead)
	led.Open(key, &led.pieces)
	if err := led.pieces.err; err != nil {
		return nil, fmt.Errorf("reading state of %s: %w: %w", st.Group(), stream.ErrStop, err)
	}
	led.wakes, led.frozen = -1, -1 // not known
	st.SetObject(led)
	return led, nil
}

// control takes a record for the whole partition: a full snapshot is complete, or from
// here on decide by another policy. A worker without the content stops the partition,
// so that a replay decides as the original did (EXACTLY-ONCE §6).
func (p *processor) control(in stream.Input, ev *inventory.Event, emit func(*stream.Record)) error {
	if ev.Kind != inventory.KindControl || ev.Control == nil {
		return stream.Rejectf("not_control", "%s event under the control key", ev.Kind)
	}
	if ev.Control.Snapshot != nil { // it says nothing of a policy
		return p.ended(in, ev, emit)
	}
	if _, err := p.policies.Ledger(ev.Control.PolicyVersion, ev.Control.PolicyHash); err != nil {
		return fmt.Errorf("policy for partition %d: %w: %w", in.Partition, stream.ErrStop, err)
	}
	in.Header.PolicyVersion = ev.Control.PolicyVersion
	return nil
}

// rejected is the outcome of an event the ledger refuses: visible, and nothing
// changed but that it was seen.
func rejected(ev *inventory.Event, f *inventory.Fault, in stream.Input) inventory.Outcome {
	return inventory.Outcome{
		Kind: inventory.Rejected, Codes: []inventory.Code{f.Code}, Detail: f.Error(),
		EventID: ev.ID, EventKind: ev.Kind, Key: ev.Key, Source: ev.Source, Document: ev.Document, Refs: ev.Refs,
		OccurredAt: ev.OccurredAt, RecordedAt: ev.RecordedAt, PolicyVersion: in.Header.PolicyVersion,
		Trace: ev.Trace, Lineage: in.Lineage, Partition: in.Partition, Offset: in.Offset,
	}
}

// Flush writes the pieces a transaction changed and publishes, once, each
// location it changed.
func (p *processor) Flush(st *stream.State, emit func(*stream.Record)) error {
	led, ok := st.Object().(*ledger)
	if !ok {
		return nil
	}
	var fail error
	led.Changed(func(piece inventory.Piece) {
		key := led.stateKey(piece.Kind, piece.N)
		if piece.Deleted {
			st.Delete(key)
			return
		}
		p.piece = piece
		value, err := p.encode(led, st, key)
		switch {
		case err != nil:
			fail = errors.Join(fail, fmt.Errorf("encoding state %s: %w", key, err))
		case len(value) > maxPieceBytes:
			fail = errors.Join(fail, fmt.Errorf("state %s is %d bytes, over %d: %w", key, len(value), maxPieceBytes, stream.ErrTooLarge))
		default:
			st.Put(key, value)
			if piece.View != nil && p.remind != nil {
				p.remind.variances.stage(led.partition, key, piece.View)
			}
		}
	})
	if fail != nil {
		return fail
	}
	p.positions = led.AppendChangedPositions(p.positions[:0])
	for i := range p.positions {
		pos := &p.positions[i]
		var err error
		if p.value, err = p.codecs.AppendPosition(p.value[:0], pos); err != nil {
			return fmt.Errorf("encoding position of %s: %w", st.Group(), err)
		}
		p.key = append(append(append(p.key[:0], st.Group()...), '|'), inventory.Escape(string(pos.Location))...)
		p.out = stream.Record{
			Topic: event.TopicPositions, Key: p.key, Value: p.value,
			Headers: p.headers(pos.EventID, typePosition, pos.RecordedAt, nil),
		}
		emit(&p.out)
	}
	for _, v := range led.ChangedViews() {
		value, err := p.codecs.AppendView(nil, &v)
		if err != nil {
			return fmt.Errorf("encoding view of %s: %w", st.Group(), err)
		}
		emit(&stream.Record{
			Topic: event.TopicViews, Key: []byte(inventory.PositionKey(v.Key, v.Location) + "|" + inventory.Escape(string(v.Source))),
			Value: value, Headers: p.headers(v.EventID, typeView, v.RecordedAt, nil),
		})
	}
	if at := led.WakeAt(); at != led.wakes && p.remind != nil {
		led.wakes = at
		p.remind.note(led.partition, led.Key(), at)
	}
	if since := led.Frozen().Since; since != led.frozen && p.remind != nil {
		led.frozen = since
		p.remind.froze(led.partition, led.Key(), since)
	}
	led.ClearChanged()
	return nil
}

// headGrowth is by how much a head is longer than the one before, as a rule: an id and
// the journal entries of an event.
const headGrowth = 64

// encode is the value of p.piece, in memory of the state's.
func (p *processor) encode(led *ledger, st *stream.State, key string) ([]byte, error) {
	if p.piece.Head == nil {
		var err error
		p.value, err = p.codecs.AppendState(p.value[:0], &p.piece)
		return append(st.Room(len(p.value)), p.value...), err
	}
	prev := st.Get(key)
	return p.codecs.AppendHead(st.Room(len(prev)+headGrowth), &p.piece, led.Same(), &led.memo, prev)
}

// stateKey is the key of a piece of the ledger.
func (l *ledger) stateKey(kind string, n []string) string {
	if kind == inventory.PieceHead {
		return l.pieces.headKey
	}
	return inventory.StateKey(l.Key(), kind, n...)
}

// headers are the CloudEvents context of a record and the trace it continues. They
// point into the id and into in, which the record then keeps.
func (p *processor) headers(id, typ string, at inventory.Instant, in []stream.RecordHeader) []stream.RecordHeader {
	ce := event.CE{ID: id, Source: source, Type: typ, Time: at}
	for i := range in {
		if in[i].Key == event.TraceParent {
			ce.TraceParent = unsafe.String(unsafe.SliceData(in[i].Value), len(in[i].Value))
		}
	}
	if at != p.stampOf { // records of one batch share their time
		p.stampOf, p.stamp = at, event.AppendStamp(p.stamp[:0], at)
	}
	p.ce = event.AppendCE(p.ce[:0], ce, p.stamp)
	return p.ce
}
