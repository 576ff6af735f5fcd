package inventory

// Entity is the legal entity that owns the stock.
type Entity string

// Item identifies a stock-keeping unit in the entity's own catalogue.
type Item string

// Location is a place that holds stock: a site and a stock class.
type Location string

// Source names a system that sends messages; each has a file in policies/sources.
type Source string

// Key names one ledger: an item of a legal entity. All its locations share a
// partition, so a transfer between them is one step.
type Key struct {
	Entity Entity
	Item   Item
}

// Instant is a moment in UTC, in milliseconds since 1970-01-01T00:00:00Z. Zero
// means "not stated".
type Instant int64

// Day is a calendar day in a location's own time zone, counted from 1970-01-01.
// Zero means "not stated".
type Day int32

// Account is where quantity stands. The first NumStates accounts are states at a
// location; the others are outside, one cumulative each per item.
//
// The numbers are stored; they never change and are never reused.
type Account uint8

// States at a location, then the accounts outside.
const (
	OnHand     Account = iota // physical, sellable, not picked
	Picked                    // off the shelf, not yet shipped
	InTransit                 // on its way to this location
	Damaged                   // physically there, unsellable
	Returned                  // received back, not dispositioned
	Quarantine                // held, suspect, in quality control

	Supplier
	Customer
	Adjustment
	Scrap
	Consumption
	Opening
	Intercompany // reserved for linked legs over two keys
	Conversion   // reserved for linked legs over two keys

	NumStates   = 6
	NumAccounts = 14
)

// How a time is known: from the document itself, from the name or header of its
// file, from its envelope, or only from when it was received.
const (
	BasisDocument = "document"
	BasisFile     = "file"
	BasisEnvelope = "envelope"
	BasisReceipt  = "receipt"
)

// Kind says what an Event states.
type Kind string

// The kinds of event. A log may hold kinds this build does not know; those are
// rejected, never guessed.
const (
	KindMovement    Kind = "movement"    // stock moved between two accounts
	KindCount       Kind = "count"       // a balance as of a time
	KindDemand      Kind = "demand"      // a stage of a demand line
	KindSupply      Kind = "supply"      // a stage of a supply line
	KindReservation Kind = "reservation" // a request: try, confirm or cancel; may be denied
	KindApproval    Kind = "approval"    // a person's word on something held, parked or frozen
	KindTick        Kind = "tick"        // brings time to an idle key, and nothing else
	KindSetting     Kind = "setting"     // a policy value of this key
	KindControl     Kind = "control"     // a record for the whole partition
)

// MovementType names what happened physically; it fixes the two accounts.
type MovementType string

// The movement types and the accounts they join.
const (
	Receipt          MovementType = "receipt"            // supplier → on_hand
	Pick             MovementType = "pick"               // on_hand → picked
	Unpick           MovementType = "unpick"             // picked → on_hand
	Ship             MovementType = "ship"               // picked or on_hand → customer
	TransferOut      MovementType = "transfer_out"       // on_hand at Location → in_transit at ToLocation
	TransferIn       MovementType = "transfer_in"        // in_transit at Location → on_hand at Location
	ReturnReceipt    MovementType = "return_receipt"     // customer → returned
	Disposition      MovementType = "disposition"        // returned → ToState
	Damage           MovementType = "damage"             // FromState (on_hand) → damaged
	Hold             MovementType = "hold"               // FromState (on_hand) → quarantine
	Release          MovementType = "release"            // quarantine → ToState (on_hand)
	ScrapStock       MovementType = "scrap"              // FromState → scrap
	ReturnToVendor   MovementType = "return_to_vendor"   // FromState (on_hand) → supplier
	Adjust           MovementType = "adjustment"         // adjustment → State, or back when negative; reason required
	OpeningBalance   MovementType = "opening"            // opening → State
	Reversal         MovementType = "reversal"           // the opposite of an earlier movement, named by id
	CountDifference  MovementType = "count_difference"   // made by a count: adjustment ↔ state
	CountRestatement MovementType = "count_restatement"  // made by a late movement: the count's adjustment, corrected
	CountStateChange MovementType = "count_state_change" // made by a count: between states of the location
)

// Ref is a business reference: who issued it, what it names, its number and line.
// Events of one key that share a ref are about the same line.
type Ref struct {
	Issuer string
	Type   string // order, purchase_order, transfer, shipment, asn, rma
	Number string
	Line   string // empty when the document identifies the line by the item alone
}

// Document is the message a fact came in, as its source names it. Source, Type,
// Number, Revision and Line make the event id.
type Document struct {
	Type     string
	Number   string
	Revision string // of a corrected document; empty is the first
	Line     string
}

// Event is one canonical fact about one key, as it stands in inventory.events.
// Exactly one body is set, the one its Kind names.
type Event struct {
	ID       string // 32 hex digits, a function of source and document alone
	Kind     Kind
	Key      Key
	Source   Source
	Document Document

	OccurredAt    Instant // business time; zero only for control records
	OccurredBasis string  // document, file, envelope or receipt: how OccurredAt is known
	ReceivedAt    Instant // when ingest had the message
	RecordedAt    Instant // the log's append time: ledger time; set on reading, zero before

	Refs       []Ref
	Attributes []Attribute // carried, never decided on: lot, serial, tracking

	Movement    *Movement
	Count       *Count
	Demand      *Demand
	Supply      *Supply
	Reservation *Reservation
	Approval    *Approval
	Setting     *Setting
	Control     *Control

	Trace Trace
}

// Attribute is a fact carried for people and ERPs.
type Attribute struct{ Name, Value string }

// Trace says how an event was made; none of it enters the content hash.
type Trace struct {
	RawID          string   // of the raw message
	RawLine        int32    // line within it, from 1
	MappingVersion string   // of the source's mapping
	MasterVersion  int64    // of the item's master record
	UnitFactor     Quantity // base units per stated unit, scale 10^-4
}

// Movement is a stock movement stated by its source. Quantity is positive, but
// for Adjust, where the sign is the direction.
type Movement struct {
	Type       MovementType
	Location   Location
	ToLocation Location // transfers only
	FromState  Account  // where the type leaves it open; OnHand by default
	ToState    Account
	Quantity   Quantity
	Reason     string // required for Adjust
	Reverses   string // event id, for Reversal
	Sequence   int64  // the source's own order, 0 when it has none; shared with its counts
}

// Basis says what a reported balance counts.
type Basis string

// The bases a source may declare.
const (
	Physical  Basis = "physical"  // everything on the shelf, less what Includes says
	Sellable  Basis = "sellable"  // on_hand only
	Available Basis = "available" // sellable less the claims the source knew of
)

// Count is an absolute balance of a location as of a time.
type Count struct {
	Location  Location
	Basis     Basis
	Includes  []Account      // states the stated on_hand number includes
	Covers    []Account      // states it reports; others are untouched
	Balances  []StateBalance // one per covered state that is stated
	AsOf      Instant
	AsOfBasis string // document, file, envelope or receipt
	Sequence  int64  // the source's own order, 0 when it has none; shared with its movements
	Complete  bool   // part of a full snapshot of the location
	Snapshot  string // id of that snapshot; its end names it again
	Part      int32  // of a snapshot in several messages: which one, from 1; 0: it is in one
	Parts     int32  // how many it is in; 0: another part says
}

// StateBalance is a quantity in a state.
type StateBalance struct {
	State    Account
	Quantity Quantity
}

// Stage is how far a demand or supply line has come.
type Stage string

// Stages of demand, then of supply.
const (
	Ordered   Stage = "ordered"
	Cancelled Stage = "cancelled"
	Allocated Stage = "allocated" // a warehouse or ERP knows of it
	Expected  Stage = "expected"  // supply: what is on its way, dated
	Closed    Stage = "closed"    // supply: will not come any more
)

// Demand states a stage of a demand line at a location. Only the policy's demand
// origin creates ordered quantity; everybody else's copy advances the line.
type Demand struct {
	Stage    Stage
	Location Location
	Quantity Quantity // of this document alone; documents of one source add
	Channel  string
	Due      Day  // zero counts today
	Movable  bool // may be served from another location
}

// Supply states a stage of a supply line at a location.
type Supply struct {
	Stage    Stage
	Location Location
	Quantity Quantity
	Due      Day // zero: undated, never promised
}

// Action is what a reservation event asks for.
type Action string

// The actions of a reservation.
const (
	Try     Action = "try"     // claim if it fits; a second try of one reservation changes it
	Confirm Action = "confirm" // keep what was granted; never checks again
	Cancel  Action = "cancel"  // let go; before its try it leaves a tombstone
)

// Reservation asks to set stock of one item aside. A request over several items is
// one event an item, each with the full list of siblings.
type Reservation struct {
	ID        string // hash of partner and idempotency key, 32 hex digits
	Action    Action
	Partner   string            // who asks: limits are per partner
	Lines     []ReservationLine // of this item; of a try only
	Partial   bool              // grant what fits; otherwise all or none
	ExpiresAt Instant           // of a try: when it lapses by itself; of a confirm: 0 keeps it until served
	Siblings  []Key             // all keys of the request, this one included; empty when it is alone
	ReplyTo   int32             // partition of reservations.answers; below zero: nobody waits
}

// ReservationLine is one line of a request. The quantities of one item are summed
// before the check.
type ReservationLine struct {
	Line     string
	Location Location // empty: the ledger sources it
	Quantity Quantity
	Channel  string
	Due      Day // zero counts today
	Movable  bool
	Priority uint8 // 0 is served first
}

// Verdict is what became of a request.
type Verdict uint8

// The verdicts, stored with the event's id: a repeated request gets its first one
// again. The numbers never change.
const (
	NoVerdict Verdict = iota // not a request
	Granted
	VerdictDenied // does not fit
	Contended     // fits but for tentative claims of others: try again soon
	Confirmed
	VerdictCancelled
	Lapsed  // a confirm that came too late, in the time of the log
	Unknown // a confirm of what was never granted here
)

// Answer is the ledger's answer to a request, for reservations.answers.
type Answer struct {
	Reservation string
	Action      Action
	Verdict     Verdict
	Code        Code // why not; empty when granted, confirmed or cancelled
	Lines       []AnswerLine
	ExpiresAt   Instant
	Available   Quantity // what could have been granted; for denied and contended
	ReplyTo     int32
}

// AnswerLine is what a line was granted at a location.
type AnswerLine struct {
	Line     string
	Location Location
	Quantity Quantity
}

// Approval is a person's word on an event the ledger holds: a snapshot beyond its
// guard, a parked event, a frozen key.
type Approval struct {
	Event   string // id of the event held; empty of an unfreeze
	Release ReleaseKind
	Author  string
	Reason  string
}

// ReleaseKind is what an approval does.
type ReleaseKind string

// The kinds of approval.
const (
	ReleaseApply    ReleaseKind = "apply"    // apply the event now
	ReleaseDrop     ReleaseKind = "drop"     // forget it; its outcome says so
	ReleaseUnfreeze ReleaseKind = "unfreeze" // the key's events were appended again in order: go on
)

// Setting is a policy value of one key.
type Setting struct {
	Location    Location // empty: every location without its own
	SafetyStock Quantity
}

// Control is a record for a whole partition: from here on, decide by this policy;
// or a full snapshot of a location is complete.
type Control struct {
	PolicyVersion int64
	PolicyHash    string
	Snapshot      *SnapshotEnd
}

// SnapshotEnd says that all lines of a full snapshot stand in the log. What it did
// not list at the location is zero.
type SnapshotEnd struct {
	Source   Source
	ID       string
	Entity   Entity
	Location Location
	AsOf     Instant
	Basis    Basis
	Covers   []Account
	Lines    int64 // over all partitions

	// Of a snapshot in several messages: which one ends here, from 1, and how many there
	// are; 0 of the first says that it is in one, of the second that another part says.
	// It is over when all have ended.
	Part, Parts int32

	// Author is set of an approval: the person who closes the snapshot in spite of the
	// guard.
	Author string
	Reason string // of the approval
}

// OutcomeKind is what became of an event. Invariant 2: exactly one per line.
type OutcomeKind string

// The outcomes the ledger decides. "rejected" and "parked" lines of the
// canonicalizer stand in its own topics.
const (
	Applied    OutcomeKind = "applied"    // the ledger took it
	Noted      OutcomeKind = "noted"      // claimed view only: the source has no authority for it
	Duplicate  OutcomeKind = "duplicate"  // same id, same content
	Superseded OutcomeKind = "superseded" // an older revision of a document already known
	Conflict   OutcomeKind = "conflict"   // same id, other content
	Denied     OutcomeKind = "denied"
	Parked     OutcomeKind = "parked"
	Rejected   OutcomeKind = "rejected"
)

// Code is a stable word for something a person should look at.
type Code string

// Codes an outcome may carry.
const (
	CodeOversold           Code = "oversold"             // a recorded fact took promisable stock below zero
	CodeNegative           Code = "negative_balance"     // a state fell below zero
	CodeOverShipped        Code = "over_shipped"         // shipped more than was ordered
	CodeShippedAfterCancel Code = "shipped_after_cancel" // shipped what had been cancelled
	CodeIDConflict         Code = "id_conflict"          // same event id, other content
	CodeUnauthorised       Code = "unauthorised"         // the source does not own this fact
	CodeFutureClock        Code = "future_clock"         // stated time beyond receipt; clamped
	CodeInexact            Code = "inexact"              // a count older than the journal
)

// Place is an account, at a location when it is a state.
type Place struct {
	Location Location // empty for outside accounts
	Account  Account
}

// Move is one double entry: Quantity, always positive, leaves From and enters To.
// Whatever the ledger does to quantity it does by moves, so the sum over all
// accounts of an item is zero by construction (Invariant 3).
type Move struct {
	Type     MovementType
	From, To Place
	Quantity Quantity
	Reason   string
	At       Instant // business time it counts from
}

// Outcome is what the ledger did with one event.
type Outcome struct {
	Kind          OutcomeKind
	Late          bool // it happened before something already decided, e.g. a count
	Codes         []Code
	Detail        string // for people; never parsed
	EventID       string
	EventKind     Kind
	Key           Key
	Source        Source
	Document      Document
	Refs          []Ref
	Moves         []Move
	OccurredAt    Instant
	RecordedAt    Instant
	Version       int64 // of the item, after
	PolicyVersion int64
	Line          string  // demand or supply line it belongs to
	Answer        *Answer // of a request
	Lapsed        []Lapse // claims whose time was over when it came; the first maxLapses
	Attributes    []Attribute
	Trace         Trace

	// Where the event stands in inventory.events.
	Lineage   int64
	Partition int32
	Offset    int64
}

// Bucket is quantity of one sort due on one day.
type Bucket struct {
	Due      Day
	Channel  string
	Movable  bool
	Quantity Quantity
}

// Position is everything the world may know of an item at a location. It holds
// facts only; ATP is computed where it is read, because a number stored at noon
// is wrong at midnight.
type Position struct {
	Key         Key
	Location    Location
	States      [NumStates]Quantity
	Reserved    []Bucket // open claims, by due day, channel and movable, in that order
	Supply      []Bucket // open dated supply, by due day
	ParkedOut   Quantity // outbound that waits in parked events: not promisable
	Frozen      bool     // events of the key wait; numbers are of before
	SafetyStock Quantity
	Version     int64 // item version of the commit that last changed this location
	Previous    int64 // item version of the location's last change before that commit; NoPrevious: there was none; 0: it is not said
	Part, Parts int32 // this is location Part of the Parts that commit changed, from 1

	RecordedAt    Instant // the key clock with the last event that changed it: it never falls
	EventID       string  // that event
	PolicyVersion int64
	Lineage       int64
	Partition     int32
	Offset        int64
}

// NoPrevious is the previous version of a location's first position.
const NoPrevious = -1

// StateSequence is the place of a state's snapshot in its source's own order.
type StateSequence struct {
	State    Account
	Sequence int64
}

// View is what another system claims to hold; it never changes the ledger.
type View struct {
	Key        Key
	Location   Location
	Source     Source
	Basis      Basis
	Includes   []Account       // states its on_hand number includes
	Balances   []StateBalance  // what it claims now: its snapshot, and its own movements since
	Moved      []ViewMove      // those movements, by time; see MaxViewMoves
	Blurred    Instant         // movements up to here are merged; 0: none
	AsOf       Instant         // of the snapshot
	Sequence   int64           // of the snapshot, in the source's own order; 0: none
	Older      []StateSequence // states that a snapshot of the same moment with a lower sequence said
	Document   int32           // of the snapshot, whatever its revision: a hash
	RecordedAt Instant
	EventID    string
	Version    int64
	Variance   *Variance // against the ledger; nil where policy compares nothing
}
