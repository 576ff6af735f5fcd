// Package event turns what stands on topics into values and back: Avro in the
// Confluent wire format, CloudEvents and trace headers. It isolates the Avro
// library; nothing outside imports it.
package event

import (
	"strconv"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Topics.
const (
	TopicRaw       = "raw.messages.v1"
	TopicRawBulk   = "raw.bulk.v1"
	TopicRetry     = "raw.retry.v1"
	TopicEvents    = "inventory.events.v1"
	TopicOutcomes  = "inventory.outcomes.v1"
	TopicPositions = "inventory.positions.v1"
	TopicState     = "inventory.state.v1"
	TopicViews     = "inventory.views.v1"
	TopicSnapshots = "inventory.snapshots.v1"
	TopicAnswers   = "reservations.answers.v1"
	TopicOrders    = "orders.events.v1"
	TopicShipments = "shipments.events.v1"
	TopicReturns   = "returns.events.v1"
	TopicItems     = "master.items.v1"
	TopicLocations = "master.locations.v1"
	TopicPolicies  = "policies.v1"
	TopicPostings  = "erp.postings.v1"
	TopicResults   = "erp.results.v1"
	TopicOffers    = "channel.offers.v1"
	TopicConfirmed = "channel.results.v1"
	TopicSchemas   = "schemas.v1"
	TopicParked    = "canonicalizer.parked.v1"
	TopicReceipts  = "canonicalizer.receipts.v1"
	TopicAcks      = "partner.acks.v1"

	TopicDeadCanonicalizer = "canonicalizer.deadletter.v1"
	TopicDeadATP           = "atp.deadletter.v1"
	TopicDeadATPAPI        = "atp-api.deadletter.v1"
	TopicDeadERPWriter     = "erp-writer.deadletter.v1"
	TopicDeadChannel       = "channel-publisher.deadletter.v1"
)

// ControlKey is the key of a record of inventory.events that concerns its whole
// partition; no entity is ever empty.
const ControlKey = "|control"

// TraceParent is the W3C trace header.
const TraceParent = "traceparent"

// StateHeader is the partition header of inventory.state, field by field the
// runner's own.
type StateHeader struct {
	Lineage        int64
	Cluster        string
	TopicID        string
	Topic          string
	Partition      int32
	Partitions     int32
	Partitioner    string
	StoreVersion   int32
	AppliedThrough int64
	PolicyVersion  int64
	Origin         string
	PreviousEnd    int64
	Start          int64
}

// RawMessage is a message as received. Key on the topic: source|stream key.
type RawMessage struct {
	ID          string // 32 hex digits
	Source      inventory.Source
	StreamKey   string // the document, where the adapter could extract it
	DedupeKey   string
	ContentType string
	Filename    string
	Body        []byte
	Headers     []inventory.Attribute // of the transport, allow-listed, no secrets
	ReceivedAt  inventory.Instant
	RemoteAddr  string

	// Chunks of a file beyond one message; reserved, always 0 of 0 for now.
	FileID      string
	Part, Parts int32
	FileSHA256  string
}

// Receipt closes a raw message: what became of its lines (Invariant 2).
type Receipt struct {
	RawID    string
	Source   inventory.Source
	Lines    int32
	EventIDs []string
	Rejected int32
	Parked   int32
	Masters  int32 // lines that became master data
	// Milestones are lines that became milestones; their ids stand with them, not here.
	Milestones int32
	Mapping    string
	At         inventory.Instant
	// Line is 0 of a whole message, else the number of a line that was parked and has
	// been run again; the message's own receipt counts it as parked.
	Line int32
}

// Adds says whether each line of the message is in exactly one of the lists, by the
// receipt's own numbers (Invariant 2).
func (r *Receipt) Adds() bool {
	return int64(r.Lines) == int64(len(r.EventIDs))+int64(r.Rejected)+int64(r.Parked)+int64(r.Masters)+int64(r.Milestones)
}

// What milestones are of: each has its topic.
const (
	AboutOrders    = "orders"
	AboutShipments = "shipments"
	AboutReturns   = "returns"
)

// Milestone is what a document, or a line of it, has come to, in its sender's words.
// It moves nothing. Key: entity|document type|number, each escaped.
type Milestone struct {
	About       string // orders, shipments or returns
	ID          string // EventID of source and document
	Source      inventory.Source
	Document    inventory.Document
	Entity      inventory.Entity
	Item        inventory.Item // empty: the line names none
	Identifiers []Identifier   // as stated
	Location    inventory.Location
	Status      string

	Quantity    inventory.Quantity // of the item, in BaseUnit
	HasQuantity bool
	BaseUnit    string
	// Of a line without an item, in StatedUnit, the sender's own, which may be empty.
	StatedQuantity inventory.Quantity
	HasStated      bool
	StatedUnit     string

	OccurredAt    inventory.Instant
	OccurredBasis string
	ReceivedAt    inventory.Instant
	Due           inventory.Day // zero: none
	Refs          []inventory.Ref
	Attributes    []inventory.Attribute
	Trace         inventory.Trace
}

// ParkedLine waits for a reference that is not known yet. Key: ParkedKey. It stands in
// the partition that raw.retry has for the stream of its message. On raw.retry, with the
// key of its message, it is a line to be run again, or dropped.
type ParkedLine struct {
	ID      string // the event id the line would have
	Missing string // item:<type>:<value>, location:<code> or unit:<item>:<unit>
	Code    string
	Reason  string
	RawID   string
	Line    int32
	Source  inventory.Source
	Tree    []byte // the mapped line, JSON
	At      inventory.Instant

	StreamKey string // of its message
	Place     string // in its message, as the format counts
	Mapping   string // version that read it

	// Of raw.retry alone.
	Action   string // RetryRun, the same as empty, or RetryDrop
	Author   string // of a drop
	Note     string // of a drop: why
	ParkedIn int32  // partition of canonicalizer.parked
}

// What is to be done with a parked line.
const (
	RetryRun  = "run"
	RetryDrop = "drop"
)

// ParkedKey is the key of a parked line. The line is part of it: the topic is
// compacted, and a message may miss one item in many of its lines (Invariant 2).
func ParkedKey(p *ParkedLine) string {
	return inventory.Escape(p.Missing) + "|" + p.RawID + "|" + strconv.Itoa(int(p.Line))
}

// StreamKey is the key of what belongs to a source's stream on the raw topics.
func StreamKey(source inventory.Source, stream string) string {
	return inventory.Escape(string(source)) + "|" + inventory.Escape(stream)
}

// What an acknowledgement says of an interchange as a whole.
const (
	AckAccepted = "accepted"
	AckErrors   = "accepted_with_errors"
	AckPartly   = "partly_accepted"
	AckRejected = "rejected"
)

// PartnerAck is a document for a partner that says whether an interchange of his could
// be read. Key: the source, escaped.
type PartnerAck struct {
	ID          string // of raw message, place in it and document: a repeat is the same
	Source      inventory.Source
	RawID       string
	Interchange string // its control number
	Document    string // 997, 999, TA1, CONTRL or STATUS
	Status      string
	Control     int32 // of its own interchange; those of a source only grow
	Numbers     int32 // used from Control on, for itself and its groups
	ContentType string
	Body        []byte
	At          inventory.Instant // receipt of the interchange
}

// DeadLetter is what could not be processed, with its reason. One per input
// record, or one per rejected line of a raw message.
type DeadLetter struct {
	ID        string // event id of the line where known, else a function of the input's place
	Service   string
	Code      string
	Reason    string
	RawID     string
	Line      int32
	Source    inventory.Source
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte // the input record, or the line as read
	At        inventory.Instant
}

// Identifier is a name of an item in somebody's numbering.
type Identifier struct {
	Type  string // sku, gtin, upc, vendor, customer
	Value string
	Owner string // whose numbering, for vendor and customer
}

// UnitOf is a unit of measure of an item.
type UnitOf struct {
	Unit   string
	Factor inventory.Quantity // base units per one of it
}

// MasterItem is an item of an entity. Key: entity|item.
type MasterItem struct {
	Key         inventory.Key
	Description string
	BaseUnit    string
	Indivisible bool
	Units       []UnitOf
	Identifiers []Identifier
	Version     int64
	Deleted     bool
	Source      inventory.Source
	RawID       string
	At          inventory.Instant
}

// MasterLocation is a location of an entity. Key: entity|location.
type MasterLocation struct {
	Entity      inventory.Entity
	Location    inventory.Location
	Description string
	Class       string // dc, store, 3pl, returns; consigned, dropship, channel_owned are reserved
	Zone        string // IANA time zone
	Valued      bool
	Publishable bool
	ReceiptTo   string // on_hand, quarantine or picked
	Aliases     []Identifier
	Version     int64
	Deleted     bool
	Source      inventory.Source
	RawID       string
	At          inventory.Instant
}

// PolicyContent is a policy version's content. Key: name@version.
type PolicyContent struct {
	Name    string // ledger, atp, channels
	Version int64
	Hash    string
	Content []byte // canonical JSON
	At      inventory.Instant
}

// PostingLine is a line of an ERP document.
type PostingLine struct {
	Item     inventory.Item
	From, To inventory.Place
	Quantity inventory.Quantity
	Unit     string
}

// Posting is the plan of one ERP document, durable before any call. Its id is a
// hash of the event ids it covers and the move's number, so recovery reads the
// plan and never regroups.
type Posting struct {
	ID            string
	ERP           string
	Entity        inventory.Entity
	Type          inventory.MovementType
	Lines         []PostingLine
	EventIDs      []string
	Refs          []inventory.Ref
	Document      inventory.Document
	Source        inventory.Source
	Reason        string
	DocumentDate  string // 2006-01-02, local to the location
	PostingDate   string
	OccurredAt    inventory.Instant
	PolicyVersion int64
	At            inventory.Instant
}

// Answered is the ledger's answer to a request, for the replica that asked. Key: the
// reservation's id. Of one request there may be several: a repeated one is answered
// again, with Outcome duplicate.
type Answered struct {
	Key           inventory.Key
	EventID       string
	Outcome       inventory.OutcomeKind // applied, denied, duplicate, conflict, parked or rejected
	Answer        inventory.Answer
	RecordedAt    inventory.Instant
	Version       int64
	PolicyVersion int64
	Lineage       int64
	Partition     int32
	Offset        int64
}

// SnapshotEnded is the end of a full snapshot that a partition's ledger has come to,
// written in the transaction that has applied all before it. Key: entity|location|source.
type SnapshotEnded struct {
	End           inventory.SnapshotEnd
	EventID       string // of the control record
	RecordedAt    inventory.Instant
	PolicyVersion int64 // has the guard
	Lineage       int64
	Partition     int32
	Offset        int64 // of the control record in inventory.events
}

// Posting results.
const (
	Posted        = "posted"         // by this call
	AlreadyPosted = "already_posted" // found by its reference
	PostFailed    = "failed"         // refused for good; a person must look
)

// PostingResult is what came of a posting.
type PostingResult struct {
	PostingID string
	ERP       string
	Entity    inventory.Entity
	Status    string
	Reference string // the ERP's own number
	Code      string
	Reason    string
	Attempts  int32
	At        inventory.Instant
}

// Offer is what a channel should show for an item. Key: channel|entity|item.
type Offer struct {
	Channel       string
	Key           inventory.Key
	Listing       string // the channel's own id of the item
	Quantity      inventory.Quantity
	Version       int64 // item version it was computed from
	PolicyVersion int64
	Day           string // local day it was computed for
	EventID       string // last event behind it
	RecordedAt    inventory.Instant
	At            inventory.Instant
}

// Channel results.
const (
	Confirmed   = "confirmed"   // read back and equal
	Unconfirmed = "unconfirmed" // accepted, not read back yet (Invariant 7)
	Corrected   = "corrected"   // read back different, put right
	Refused     = "refused"
)

// OfferResult is what a channel confirmed.
type OfferResult struct {
	Channel  string
	Key      inventory.Key
	Version  int64
	Quantity inventory.Quantity
	Seen     inventory.Quantity // as read back
	Status   string
	Code     string
	Reason   string
	At       inventory.Instant
}
