package event

import (
	"errors"
	"fmt"
	"maps"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/schemas"
)

// Codecs turn records into values and back. They are safe for concurrent use.
//
// AppendX appends the Confluent prefix and the Avro value to dst and returns it;
// after an error dst is as it was. DecodeX overwrites its target, reads every
// released version and every newer one that schemas.v1 describes, and fails with
// ErrUndecodable; the target is then zero. Bytes fields of a decoded record alias
// the value, which must not be changed afterwards. Null, empty and absent are one.
type Codecs struct {
	raw           codec[RawMessage]
	rawBulk       codec[RawMessage] // writes; raw reads both
	events        codec[inventory.Event]
	outcomes      codec[inventory.Outcome]
	positions     codec[inventory.Position]
	views         codec[inventory.View]
	snapshots     codec[SnapshotEnded]
	answers       codec[Answered]
	state         codec[inventory.Piece]
	stateHeader   codec[StateHeader]
	items         codec[MasterItem]
	locations     codec[MasterLocation]
	policies      codec[PolicyContent]
	postings      codec[Posting]
	results       codec[PostingResult]
	offers        codec[Offer]
	confirmed     codec[OfferResult]
	parked        codec[ParkedLine]
	retry         codec[ParkedLine] // writes; parked reads both
	acks          codec[PartnerAck]
	marks         codec[Mark]
	cursors       codec[Cursor]
	receipts      codec[Receipt]
	subscriptions codec[Subscription]
	deliveries    codec[Delivery]
	milestones    map[string]*codec[Milestone]  // by what they are about
	anyMilestone  codec[Milestone]              // reads those of all topics
	dead          map[string]*codec[DeadLetter] // by service
	anyDead       codec[DeadLetter]             // reads those of all services
}

// NewCodecs binds this build's records to registered schemas. It fails with
// ErrMissingSchema where one has no id, and where a table of fields and its
// latest schema differ.
func NewCodecs(ids *IDs) (*Codecs, error) {
	if err := ids.Complete(); err != nil {
		return nil, err
	}
	c := &Codecs{milestones: map[string]*codec[Milestone]{}, dead: map[string]*codec[DeadLetter]{}}
	sc := &scratch{words: newWords()}
	err := errors.Join(
		bindTo(&c.raw, ids, sc, TopicRaw, rawTable),
		bindTo(&c.rawBulk, ids, sc, TopicRawBulk, rawTable),
		bindTo(&c.events, ids, sc, TopicEvents, eventTable),
		bindTo(&c.outcomes, ids, sc, TopicOutcomes, outcomeTable),
		bindTo(&c.positions, ids, sc, TopicPositions, positionTable),
		bindTo(&c.views, ids, sc, TopicViews, viewTable),
		bindTo(&c.snapshots, ids, sc, TopicSnapshots, snapshotRecordTable),
		bindTo(&c.answers, ids, sc, TopicAnswers, answerRecordTable),
		bindTo(&c.state, ids, sc, TopicState, pieceTable),
		bindTo(&c.stateHeader, ids, sc, TopicState, stateHeaderTable),
		bindTo(&c.items, ids, sc, TopicItems, itemTable),
		bindTo(&c.locations, ids, sc, TopicLocations, locationTable),
		bindTo(&c.policies, ids, sc, TopicPolicies, policyTable),
		bindTo(&c.postings, ids, sc, TopicPostings, postingTable),
		bindTo(&c.results, ids, sc, TopicResults, resultTable),
		bindTo(&c.offers, ids, sc, TopicOffers, offerTable),
		bindTo(&c.confirmed, ids, sc, TopicConfirmed, offerResultTable),
		bindTo(&c.parked, ids, sc, TopicParked, parkedTable),
		bindTo(&c.retry, ids, sc, TopicRetry, parkedTable),
		bindTo(&c.receipts, ids, sc, TopicReceipts, receiptTable),
		bindTo(&c.acks, ids, sc, TopicAcks, ackTable),
		bindTo(&c.marks, ids, sc, TopicMarks, markTable),
		bindTo(&c.cursors, ids, sc, TopicCursors, cursorTable),
		bindTo(&c.subscriptions, ids, sc, TopicSubscriptions, subscriptionTable),
		bindTo(&c.deliveries, ids, sc, TopicSubscriptions, deliveryTable),
	)
	err = errors.Join(err,
		bindEach(c.milestones, &c.anyMilestone, ids, sc, milestoneTopic(), milestoneTable),
		bindEach(c.dead, &c.anyDead, ids, sc, deadLetterTopic(), deadLetterTable))
	if err != nil {
		return nil, err
	}
	maps.Copy(c.raw.byID, c.rawBulk.byID)
	maps.Copy(c.parked.byID, c.retry.byID)
	return c, nil
}

// bindEach binds a record that stands on several topics: each writes its own, any
// reads all.
func bindEach[T any](each map[string]*codec[T], anyOf *codec[T], ids *IDs, sc *scratch, topics map[string]string, t *table[T]) error {
	var err error
	for name, topic := range topics {
		one := &codec[T]{}
		err = errors.Join(err, bindTo(one, ids, sc, topic, t))
		each[name] = one
		if anyOf.byID == nil {
			*anyOf = *one
			anyOf.byID = map[uint32]func(*reader, *T){}
		}
		maps.Copy(anyOf.byID, one.byID)
	}
	return err
}

func bindTo[T any](c *codec[T], ids *IDs, sc *scratch, topic string, t *table[T]) error {
	var err error
	*c, err = newCodec(ids, sc, topic, t)
	return err
}

// TestCodecs returns codecs with the ids of LocalIDs, for tests and fakes.
func TestCodecs() *Codecs {
	c, err := NewCodecs(LocalIDs())
	if err != nil {
		return nil // not with the tables and schemas of one build: TestTablesAreTheSchemas
	}
	return c
}

// LocalIDs numbers the schemas of this build from 1, by topic and version, as if
// a registry had done so.
func LocalIDs() *IDs {
	ids := NewIDs()
	for i, s := range schemas.All() {
		ids.Add(SchemaID{Subject: s.Subject(), Version: int32(s.Version), ID: int32(i + 1)})
	}
	return ids
}

// AppendRaw appends a record of raw.messages.
func (c *Codecs) AppendRaw(dst []byte, x *RawMessage) ([]byte, error) { return c.raw.append(dst, x) }

// DecodeRaw reads a record of raw.messages or raw.bulk; Body aliases value.
func (c *Codecs) DecodeRaw(value []byte, into *RawMessage) error { return c.raw.decode(value, into) }

// AppendRawBulk appends a record of raw.bulk, which is as one of raw.messages.
func (c *Codecs) AppendRawBulk(dst []byte, x *RawMessage) ([]byte, error) {
	return c.rawBulk.append(dst, x)
}

// AppendEvent appends a record of inventory.events. RecordedAt is not written.
func (c *Codecs) AppendEvent(dst []byte, x *inventory.Event) ([]byte, error) {
	return c.events.append(dst, x)
}

// DecodeEvent reads a record of inventory.events. RecordedAt is the record's own
// time and left to the caller. A kind this build does not know is no error.
func (c *Codecs) DecodeEvent(value []byte, into *inventory.Event) error {
	return c.events.decode(value, into)
}

// Buf is an event and the memory to decode one after the other into it. The
// zero value is ready; one goroutine uses it.
type Buf struct {
	Event inventory.Event

	reader   reader
	movement inventory.Movement
	words    [12]string // of the event before: one that stands at the same place is often the same
}

// DecodeEventInto is DecodeEvent into memory used again. The event's texts are
// value's own memory: they hold for as long as nobody writes to value, and keep all
// of it, so what is to stay longer must be cloned. Kinds, sources, entities and
// locations, of which there are few, are not: the ledger keeps those. The event
// holds until the next call.
func (c *Codecs) DecodeEventInto(value []byte, buf *Buf) error {
	buf.reader.words, buf.reader.into = c.events.scratch.words, buf
	return c.events.read(&buf.reader, value, &buf.Event)
}

// AppendOutcome appends a record of inventory.outcomes.
func (c *Codecs) AppendOutcome(dst []byte, x *inventory.Outcome) ([]byte, error) {
	return c.outcomes.append(dst, x)
}

// DecodeOutcome reads a record of inventory.outcomes.
func (c *Codecs) DecodeOutcome(value []byte, into *inventory.Outcome) error {
	return c.outcomes.decode(value, into)
}

// AppendPosition appends a record of inventory.positions.
func (c *Codecs) AppendPosition(dst []byte, x *inventory.Position) ([]byte, error) {
	return c.positions.append(dst, x)
}

// DecodePosition reads a record of inventory.positions.
func (c *Codecs) DecodePosition(value []byte, into *inventory.Position) error {
	return c.positions.decode(value, into)
}

// AppendView appends a record of inventory.views.
func (c *Codecs) AppendView(dst []byte, x *inventory.View) ([]byte, error) {
	return c.views.append(dst, x)
}

// DecodeView reads a record of inventory.views.
func (c *Codecs) DecodeView(value []byte, into *inventory.View) error {
	return c.views.decode(value, into)
}

// AppendSnapshot appends a record of inventory.snapshots.
func (c *Codecs) AppendSnapshot(dst []byte, x *SnapshotEnded) ([]byte, error) {
	return c.snapshots.append(dst, x)
}

// DecodeSnapshot reads a record of inventory.snapshots.
func (c *Codecs) DecodeSnapshot(value []byte, into *SnapshotEnded) error {
	return c.snapshots.decode(value, into)
}

// AppendAnswer appends a record of reservations.answers.
func (c *Codecs) AppendAnswer(dst []byte, x *Answered) ([]byte, error) {
	return c.answers.append(dst, x)
}

// DecodeAnswer reads a record of reservations.answers.
func (c *Codecs) DecodeAnswer(value []byte, into *Answered) error {
	return c.answers.decode(value, into)
}

// AppendState appends a piece of inventory.state, and nothing for a Deleted one:
// its value is a tombstone.
func (c *Codecs) AppendState(dst []byte, x *inventory.Piece) ([]byte, error) {
	if x.Deleted {
		return dst, nil
	}
	return c.state.append(dst, x)
}

// AppendHead is AppendState of a head, which copies what is the same out of the
// encoding that memo remembers: prev, the value that stands now. Given another prev it
// copies nothing; the caller sees to it that a value of its length is that one.
func (c *Codecs) AppendHead(dst []byte, x *inventory.Piece, same inventory.Same, memo *HeadMemo, prev []byte) ([]byte, error) {
	if x.Head == nil || len(prev) != int(memo.size) {
		*memo = HeadMemo{ends: memo.ends[:0]}
	}
	if x.Head == nil {
		return c.AppendState(dst, x)
	}
	p := headParts{memo: memo, prev: prev, same: same}
	before := len(dst)
	dst, err := c.state.appendBy(dst, x, headRoom(prev), func(w *writer, x *inventory.Piece) { encodeHeadPiece(w, x, &p) })
	memo.size = int32(len(dst) - before) //nolint:gosec // a value is at most MaxValue
	if err != nil {
		*memo = HeadMemo{}
	}
	return dst, err
}

// headRoom is the room with which a head is encoded where it belongs: it grows by little
// at a time.
func headRoom(prev []byte) int {
	if len(prev) == 0 {
		return roomy
	}
	return len(prev) + 32
}

// DecodeState reads a piece of inventory.state. Kind and N come from the key; an
// empty value is a Deleted piece; a kind this build does not know has no body.
func (c *Codecs) DecodeState(key, value []byte, into *inventory.Piece) error {
	kind, n, err := c.splitStateKey(key)
	if err != nil {
		*into = inventory.Piece{}
		return c.state.undecodable(err)
	}
	if len(value) == 0 {
		*into = inventory.Piece{Kind: kind, N: n, Deleted: true}
		return nil
	}
	if err := c.state.decode(value, into); err != nil {
		return err
	}
	if into.Kind != kind {
		err := fmt.Errorf("kind %q stands under key %q", into.Kind, key)
		*into = inventory.Piece{}
		return c.state.undecodable(err)
	}
	into.N = n
	return nil
}

// AppendStateHeader appends a partition's header of inventory.state.
func (c *Codecs) AppendStateHeader(dst []byte, x *StateHeader) ([]byte, error) {
	return c.stateHeader.append(dst, x)
}

// DecodeStateHeader reads a partition's header of inventory.state.
func (c *Codecs) DecodeStateHeader(value []byte, into *StateHeader) error {
	return c.stateHeader.decode(value, into)
}

// AppendItem appends a record of master.items.
func (c *Codecs) AppendItem(dst []byte, x *MasterItem) ([]byte, error) { return c.items.append(dst, x) }

// DecodeItem reads a record of master.items.
func (c *Codecs) DecodeItem(value []byte, into *MasterItem) error { return c.items.decode(value, into) }

// AppendLocation appends a record of master.locations.
func (c *Codecs) AppendLocation(dst []byte, x *MasterLocation) ([]byte, error) {
	return c.locations.append(dst, x)
}

// DecodeLocation reads a record of master.locations.
func (c *Codecs) DecodeLocation(value []byte, into *MasterLocation) error {
	return c.locations.decode(value, into)
}

// AppendPolicy appends a record of policies.
func (c *Codecs) AppendPolicy(dst []byte, x *PolicyContent) ([]byte, error) {
	return c.policies.append(dst, x)
}

// DecodePolicy reads a record of policies; Content aliases value.
func (c *Codecs) DecodePolicy(value []byte, into *PolicyContent) error {
	return c.policies.decode(value, into)
}

// AppendPosting appends a record of erp.postings. Its dates must be empty or
// written 2006-01-02.
func (c *Codecs) AppendPosting(dst []byte, x *Posting) ([]byte, error) {
	return c.postings.append(dst, x)
}

// DecodePosting reads a record of erp.postings.
func (c *Codecs) DecodePosting(value []byte, into *Posting) error {
	return c.postings.decode(value, into)
}

// AppendResult appends a record of erp.results.
func (c *Codecs) AppendResult(dst []byte, x *PostingResult) ([]byte, error) {
	return c.results.append(dst, x)
}

// DecodeResult reads a record of erp.results.
func (c *Codecs) DecodeResult(value []byte, into *PostingResult) error {
	return c.results.decode(value, into)
}

// AppendOffer appends a record of channel.offers. Day must be empty or written
// 2006-01-02.
func (c *Codecs) AppendOffer(dst []byte, x *Offer) ([]byte, error) { return c.offers.append(dst, x) }

// DecodeOffer reads a record of channel.offers.
func (c *Codecs) DecodeOffer(value []byte, into *Offer) error { return c.offers.decode(value, into) }

// AppendOfferResult appends a record of channel.results.
func (c *Codecs) AppendOfferResult(dst []byte, x *OfferResult) ([]byte, error) {
	return c.confirmed.append(dst, x)
}

// DecodeOfferResult reads a record of channel.results.
func (c *Codecs) DecodeOfferResult(value []byte, into *OfferResult) error {
	return c.confirmed.decode(value, into)
}

// AppendParked appends a record of canonicalizer.parked.
func (c *Codecs) AppendParked(dst []byte, x *ParkedLine) ([]byte, error) {
	return c.parked.append(dst, x)
}

// DecodeParked reads a record of canonicalizer.parked or raw.retry; Tree aliases value.
func (c *Codecs) DecodeParked(value []byte, into *ParkedLine) error {
	return c.parked.decode(value, into)
}

// AppendRetry appends a record of raw.retry.
func (c *Codecs) AppendRetry(dst []byte, x *ParkedLine) ([]byte, error) {
	return c.retry.append(dst, x)
}

// AppendAck appends a record of partner.acks.
func (c *Codecs) AppendAck(dst []byte, x *PartnerAck) ([]byte, error) { return c.acks.append(dst, x) }

// DecodeAck reads a record of partner.acks; Body aliases value.
func (c *Codecs) DecodeAck(value []byte, into *PartnerAck) error { return c.acks.decode(value, into) }

// AppendReceipt appends a record of canonicalizer.receipts.
func (c *Codecs) AppendReceipt(dst []byte, x *Receipt) ([]byte, error) {
	return c.receipts.append(dst, x)
}

// DecodeReceipt reads a record of canonicalizer.receipts.
func (c *Codecs) DecodeReceipt(value []byte, into *Receipt) error {
	return c.receipts.decode(value, into)
}

// AppendMilestone appends a record of the topic that x.About names.
func (c *Codecs) AppendMilestone(dst []byte, x *Milestone) ([]byte, error) {
	one := c.milestones[x.About]
	if one == nil {
		return dst, fmt.Errorf("encoding milestone: no topic about %q", x.About)
	}
	return one.append(dst, x)
}

// DecodeMilestone reads a record of orders.events, shipments.events or returns.events.
func (c *Codecs) DecodeMilestone(value []byte, into *Milestone) error {
	return c.anyMilestone.decode(value, into)
}

// AppendDeadLetter appends a record of the dead letters of x.Service, which is
// the first part of the topic's name. A key or value beyond MaxBytes is cut: a
// dead letter must always be writable, and its place says where the whole stands.
func (c *Codecs) AppendDeadLetter(dst []byte, x *DeadLetter) ([]byte, error) {
	one := c.dead[x.Service]
	if one == nil {
		return dst, fmt.Errorf("encoding dead letter: no topic for service %q", x.Service)
	}
	if len(x.Key)+len(x.Value) > MaxBytes {
		cut := *x
		cut.Key = cut.Key[:min(len(cut.Key), MaxBytes-MaxBody)]
		cut.Value = cut.Value[:min(len(cut.Value), MaxBody)]
		x = &cut
	}
	return one.append(dst, x)
}

// DecodeDeadLetter reads a record of any service's dead letters; Key and Value
// alias value.
func (c *Codecs) DecodeDeadLetter(value []byte, into *DeadLetter) error {
	return c.anyDead.decode(value, into)
}
