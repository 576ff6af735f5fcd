package inventory

import "strings"

// The private state of a key is a handful of pieces, each under its own state
// key "entity|item|kind|n", so that a change writes only what it touched. The
// letters are stored and never change.
const (
	PieceHead     = "h" // one per key
	PieceLocation = "l" // n = location; only beyond MaxHeadLocations
	PieceIDs      = "d" // n = segment number: event ids seen
	PieceJournal  = "j" // n = location|segment: as-of entries
	PieceLine     = "c" // n = line: one demand line or reservation
	PieceSupply   = "s" // n = line: one supply line
	PieceParked   = "p" // n = number: parked events
	PieceView     = "v" // n = system|location: claimed view
	PieceRef      = "r" // n = hash of a business ref: the line it names
	PieceWaiting  = "w" // n = number: waiting orphans, held snapshots
)

// Limits of the layout.
const (
	MaxHeadLocations = 64  // more split into PieceLocation
	MaxRecentIDs     = 32  // in the head; older ones move to segments
	MaxRecentEntries = 32  // journal entries in the head; older ones move to segments
	SegmentSize      = 256 // ids or entries in a full, from then on immutable, segment
)

// Fence says how far a key's ledger has applied its log: an event at or below it
// is a counted no-op, and the event at it must be the same one.
type Fence struct {
	Lineage int64
	Offset  int64  // -1 or below: nothing yet
	IDHash  uint64 // HashID of the event at Offset
}

// Head is the piece every event reads and most write.
type Head struct {
	Fence     Fence
	Clock     Instant // key clock: the latest RecordedAt seen, never falls
	Version   int64   // +1 per event that changed a fact of the item (Invariant 5)
	HasSafety bool
	Safety    Quantity
	Locations []LocationState // sorted by Location, at most MaxHeadLocations
	Split     []Location      // sorted; the locations beyond, each in a PieceLocation of its own
	IDs       []Seen          // newest last, at most MaxRecentIDs
	IDCount   int64           // ids moved to segments so far: segment n holds [n*SegmentSize, (n+1)*SegmentSize)
	Journal   []Entry         // newest last, at most MaxRecentEntries
	Outside   Outside         // most movements touch it, so it stands here
}

// LocationState is what a key knows of one location.
type LocationState struct {
	Location     Location
	States       [NumStates]Quantity
	HasSafety    bool
	Safety       Quantity
	Version      int64    // item version of its last change
	Reserved     []Bucket // sum of open claims of the lines, sorted
	Supply       []Bucket
	LastCount    CountMark
	JournalCount int64 // entries moved to segments so far, as IDCount
}

// CountMark remembers the latest count of a location by its as-of time.
type CountMark struct {
	AsOf   Instant
	Source Source
	Covers uint8 // bit n: Account n
}

// Seen is an event id already decided.
type Seen struct {
	ID      uint64 // HashID
	Content uint32 // content hash: same id with another one is a conflict
}

// Entry is one dated change of one state at one location: position as of T is
// the position now less the entries after T.
type Entry struct {
	At       Instant
	Location Location
	State    Account
	Count    bool  // made at a count's as-of: marks the count even when the difference is zero
	Includes uint8 // of a count: bit n, its number includes Account n beside State
	Delta    Quantity
}

// Line is a demand line: what was ordered, cancelled, picked and shipped of it,
// kept by document so that revisions replace and copies take the maximum.
type Line struct {
	ID      string
	Refs    []Ref
	Channel string
	Due     Day
	Movable bool
	Entries []LineEntry
	Claims  []Claim // open claim by location, as last recomputed
	Posted  []Posted
}

// LineEntry is what one document of one source says of a stage at a location.
type LineEntry struct {
	Source   Source
	Location Location
	Document uint64 // HashID of type, number and document line
	Revision string
	Stage    Stage // Ordered, Cancelled, Allocated, or StagePicked, StageShipped
	Quantity Quantity
	At       Instant // business time of the document
}

// Stages of a demand line that physical movements bring it to.
const (
	StagePicked  Stage = "picked"
	StageShipped Stage = "shipped"
)

// Claim is the open claim of a line at a location.
type Claim struct {
	Location Location
	Quantity Quantity
}

// Posted is what a line has moved at a location so far; the difference to what it
// should have moved is what an event posts.
type Posted struct {
	Location Location
	Outflow  Quantity // left on_hand: max(picked, shipped)
	Shipped  Quantity // reached the customer
}

// SupplyLine is a purchase order or transfer line.
type SupplyLine struct {
	ID      string
	Refs    []Ref
	Entries []SupplyEntry
	Open    []SupplyOpen
}

// SupplyEntry is what one document of one source says of a supply stage.
type SupplyEntry struct {
	Source   Source
	Location Location
	Document uint64
	Revision string
	Stage    Stage // Ordered, Expected, Closed, or StageReceived
	Quantity Quantity
	Due      Day
	At       Instant // business time of the document
}

// StageReceived is the supply stage a receipt brings a line to.
const StageReceived Stage = "received"

// SupplyOpen is what is still to come of a line at a location.
type SupplyOpen struct {
	Location Location
	Due      Day
	Quantity Quantity
}

// Outside is one cumulative for each outside account of a key, indexed by
// Account - NumStates.
type Outside [NumAccounts - NumStates]Quantity

// RefTarget is the line a business ref names.
type RefTarget struct {
	Kind string // PieceLine or PieceSupply
	Line string
}

// Piece is one record of the private state. Exactly one body is set unless
// Deleted, which is a tombstone.
type Piece struct {
	Kind    string
	N       []string // the parts of n, unescaped
	Deleted bool

	Head     *Head
	Location *LocationState
	IDs      []Seen
	Journal  []Entry
	Line     *Line
	Supply   *SupplyLine
	View     *View
	Ref      *RefTarget
}

// StateKey is the piece's key in inventory.state: "entity|item|kind" and, where
// the kind has one, "|n", with every part escaped.
func StateKey(k Key, kind string, n ...string) string {
	var b strings.Builder
	b.WriteString(k.String())
	b.WriteByte('|')
	b.WriteString(kind)
	for _, p := range n {
		b.WriteByte('|')
		b.WriteString(Escape(p))
	}
	return b.String()
}

// String is the key as it stands on topics: escaped entity and item joined by '|'.
func (k Key) String() string { return Escape(string(k.Entity)) + "|" + Escape(string(k.Item)) }

// PositionKey is the key of a position or view record.
func PositionKey(k Key, l Location) string { return k.String() + "|" + Escape(string(l)) }

// Escape percent-encodes '|', '%' and control bytes, so that joined parts never
// collide.
func Escape(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c == '|' || c == '%' || c < 0x20 || c == 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		if c := s[i]; c == '|' || c == '%' || c < 0x20 || c == 0x7f {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}
